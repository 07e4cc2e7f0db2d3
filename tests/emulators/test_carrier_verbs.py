"""What a person at a phone of the local carrier hears of TwiML, and what the server gets."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
from aiohttp import ClientSession, encode_basic_auth, web

from app.audio.tones import strength, tone
from app.emulators.carrier import Account, LocalCarrier, Numbers
from app.emulators.demo_voice import stereo_wav
from app.emulators.phone_sounds import BUSY_HZ
from app.emulators.twilio import Pace
from app.emulators.twilio_call import HungUp, Inline, Redirected
from app.emulators.twilio_webhooks import MEDIA_LIMIT_BYTES
from tests.emulators.tiny_server import CONNECT, PUBLIC_URL, Peer, TinyServer
from tests.waiting import until
from tests.walks.telephone import TICKET, Telephone, telephone


class Long:
    """A voice that takes its time: two seconds of a tone, whatever it says."""

    rung = "none"

    async def say(self, text: str) -> bytes:
        """``text`` is how many hertz."""
        return tone(float(text), 2_000)


@asynccontextmanager
async def calling(
    twiml: str, numbers: Numbers | None = None
) -> AsyncIterator[tuple[LocalCarrier, TinyServer, Telephone]]:
    """A phone that has dialled a server which answers with ``twiml``."""
    async with TinyServer(twiml) as server:
        account = Account(server.url, PUBLIC_URL, "AC" + "0" * 32, "12345")
        made = LocalCarrier(
            account, ticket=TICKET, numbers=numbers, voice=Long(), pace=Pace(key_ms=200)
        )
        async with made as carrier, telephone(carrier) as phone:
            await phone.dial()
            yield carrier, server, phone


def both(audio: bytes, frequencies_hz: tuple[float, ...]) -> int:
    """Milliseconds in which all these frequencies sound at once."""
    pieces = [audio[at : at + 640] for at in range(0, len(audio) - 639, 640)]
    return 80 * sum(
        all(strength(piece, frequency_hz) > 0.25 for frequency_hz in frequencies_hz)
        for piece in pieces
    )


async def test_keys_that_are_played_are_heard() -> None:
    """<Play digits>: what a machine at the other end would listen to."""
    async with calling('<Response><Play digits="5"/></Response>') as (_, _server, phone):
        over = await phone.got("hungup")

        assert both(phone.line.heard, (770, 1336)) >= 80
        assert (over["by"], over["reason"]) == ("agent", "end_of_twiml")


async def test_a_rejected_caller_hears_the_busy_tone() -> None:
    """And is told so in words, too."""
    async with calling('<Response><Reject reason="busy"/></Response>') as (_, _server, phone):
        over = await phone.got("hungup")

        assert both(phone.line.heard, BUSY_HZ) >= 800
        assert (over["by"], over["reason"]) == ("agent", "busy")


async def test_a_keypad_answers_a_gather_over_its_prompt() -> None:
    """Menus of other servers work as well."""
    twiml = '<Response><Gather numDigits="1" action="/menu"><Say>400</Say></Gather></Response>'
    async with calling(twiml) as (_, server, phone):
        server.answers["/menu"] = "<Response><Hangup/></Response>"
        await phone.hears(400, 200)
        await phone.press("7")
        await phone.got("hungup")

        assert server.forms("/menu")[0]["Digits"] == "7"
        assert phone.heard(400) < 1_500


async def test_a_new_document_stops_what_is_being_said() -> None:
    """The rest of a sentence would otherwise be heard behind whatever follows."""
    async with calling("<Response><Say>400</Say></Response>") as (carrier, _, phone):
        await phone.hears(400, 200)
        call = carrier.twilio.calls[phone.call_sid]
        call.order(Redirected(Inline("<Response><Say>900</Say></Response>"), 0))
        await phone.hears(900, 200)
        call.order(HungUp("rest"))
        over = await phone.got("hungup")

        assert phone.heard(400) < 1_000
        assert (over["by"], over["reason"]) == ("agent", "rest")


async def streaming(server: TinyServer, phone: Telephone) -> Peer:
    """The server's end of the stream, once the phone speaks on it."""
    await phone.got("start")
    (peer,) = server.peers
    await until(lambda: len(peer.of("media")) >= 5)
    return peer


async def test_the_server_gets_the_phones_frames_numbered_anew() -> None:
    """Chunks and timestamps are the stream's, whatever the phone was doing before."""
    async with calling(CONNECT.format(behind="<Hangup/>")) as (_, server, phone):
        peer = await streaming(server, phone)
        await until(lambda: len(peer.of("media")) >= 40)
        await phone.send("hangup")
        await phone.got("hungup")

        media = [one["media"] for one in peer.of("media")]
        assert [one["chunk"] for one in media] == [str(n + 1) for n in range(len(media))]
        assert [int(one["timestamp"]) for one in media] == [20 * n for n in range(len(media))]
        assert peer.messages[-1]["event"] == "stop"


async def test_marks_come_back_when_the_phone_says_so_and_not_before() -> None:
    """A phone whose loudspeaker is late is late."""
    async with calling(CONNECT.format(behind="<Hangup/>")) as (_, server, phone):
        peer = await streaming(server, phone)
        await peer.play(tone(440, 100))
        await peer.mark("first")
        await until(lambda: peer.marks() == ["first"])
        # The phone's clock stands still: nothing is played, and nothing returned.
        phone.line.clear(0)
        phone.line.play(tone(700, 60_000), 0)
        await peer.play(tone(440, 100))
        await peer.mark("second")
        await phone.until(lambda: phone.line.outstanding_marks == ["second"])
        assert peer.marks() == ["first"]
        await peer.clear()
        await until(lambda: peer.marks() == ["first", "second"])

        assert phone.cleared == 1


async def test_a_destination_that_is_not_the_persons_fails() -> None:
    """Where only one number is the person's, a mistake in another is seen."""
    twiml = '<Response><Dial action="/after"><Number>+14155550177</Number></Dial></Response>'
    numbers = Numbers(dialled=frozenset({"+14155550123"}))
    async with calling(twiml, numbers) as (_, server, phone):
        server.answers["/after"] = "<Response><Hangup/></Response>"
        await phone.got("hungup")

        assert server.forms("/after")[0]["DialCallStatus"] == "failed"


@pytest.mark.parametrize(
    "noun",
    [
        "<Sip>sip:person@example.com</Sip>",
        "<Client>person</Client>",
        "<Number>+14155550177</Number>",
        "+14155550177",
    ],
)
async def test_every_noun_rings_the_person(noun: str) -> None:
    """However a destination is written, somebody is meant."""
    async with (
        calling(f'<Response><Dial callerId="+15005550006">{noun}</Dial></Response>') as parts,
        telephone(parts[0], "person") as person,
    ):
        ring = await person.got("ring")

        assert ring["from"] == "+15005550006"
        assert ring["to"] in noun


def sound(
    audio: bytes, content_type: str = "audio/wav"
) -> Callable[[dict[str, str]], web.Response]:
    """An answer with it."""
    return lambda _form: web.Response(body=audio, content_type=content_type)


async def test_what_is_said_and_played_in_a_loop_is_heard_so_often() -> None:
    """A menu that repeats itself does so here."""
    twiml = '<Response><Say loop="2">400</Say><Play loop="2">/tune</Play></Response>'
    async with calling(twiml) as (_, server, phone):
        server.answers["/tune"] = sound(stereo_wav(tone(900, 400), tone(900, 400)))
        await phone.got("hungup", timeout=60)

        assert 3_600 <= phone.heard(400) <= 4_100
        assert 640 <= phone.heard(900) <= 900
        assert phone.events.count("said") == 1


@pytest.mark.parametrize(
    ("answer", "code"),
    [
        (sound(b"ID3 nothing this carrier knows", "audio/mpeg"), "12400"),
        (sound(b"\x7f" * (MEDIA_LIMIT_BYTES + 1), "audio/basic"), "11200"),
        (lambda _form: web.Response(status=404), "11200"),
    ],
)
async def test_what_cannot_be_played_is_told_and_the_call_goes_on(answer: Any, code: str) -> None:
    """A wrong address would be a silence that nobody can explain."""
    twiml = "<Response><Play>/tune</Play><Say>900</Say></Response>"
    async with calling(twiml) as (carrier, server, phone):
        server.answers["/tune"] = answer
        call = carrier.twilio.calls[phone.call_sid]
        await phone.hears(900, 1_000)
        await phone.got("hungup")

        assert (await phone.got("said"))["text"].startswith(f"Not played: {code}")
        assert [str(one.code) for one in call.violations] == [code]


async def test_mu_law_is_played_as_it_is() -> None:
    """What the server has at hand anyway."""
    async with calling("<Response><Play>https://patchline.test/a</Play></Response>") as parts:
        parts[1].answers["/a"] = sound(tone(660, 400), "audio/basic")
        await parts[2].got("hungup")

        assert parts[2].heard(660) >= 320


@pytest.mark.parametrize(
    ("verb", "what"),
    [
        ("<Refer><Sip>sip:a@b.test</Sip></Refer>", "<Refer>"),
        ('<Enqueue action="/after">support</Enqueue>', "<Enqueue>"),
        ("<Start><Recording/></Start>", "<Start><Recording>"),
        ("<Pay/>", "<Pay>"),
    ],
)
async def test_what_is_not_simulated_is_said(verb: str, what: str) -> None:
    """Or it would be looked for in the server."""
    async with calling(f"<Response>{verb}</Response>") as (_, _server, phone):
        note = await phone.got("said")

        assert note["text"].startswith(f"The local carrier does not simulate {what}: ")


@asynccontextmanager
async def put_through(dial: str, behind: str) -> AsyncIterator[tuple[TinyServer, Any, Any]]:
    """A caller who talks to the person, by a <Dial> with these attributes."""
    twiml = f'<Response><Dial action="/after" {dial}>+14155550177</Dial></Response>'
    async with calling(twiml) as (carrier, server, phone), telephone(carrier, "person") as person:
        server.answers["/after"] = f"<Response>{behind}</Response>"
        await person.got("ring")
        await person.send("answer")
        await person.got("bridged")
        await phone.got("bridged")
        yield server, phone, person


async def test_a_time_limit_ends_the_conversation_and_not_the_call() -> None:
    """timeLimit is how long a person may be talked to."""
    async with put_through('timeLimit="1"', "<Say>900</Say>") as (server, phone, person):
        over = await person.got("hungup")
        await phone.hears(900, 200)

        assert (over["by"], over["reason"]) == ("carrier", "time_limit")
        assert server.forms("/after")[0]["DialCallStatus"] == "completed"
        assert server.forms("/after")[0]["DialBridged"] == "true"


async def test_the_star_key_leaves_the_person_where_that_was_asked_for() -> None:
    """hangupOnStar: the caller comes back to the agent without hanging up."""
    async with put_through('hangupOnStar="true"', "<Say>900</Say>") as (server, phone, person):
        await phone.press("5")
        await person.until(lambda: both(person.line.heard, (770, 1336)) >= 80)
        assert "hungup" not in person.events
        await phone.press("*")
        over = await person.got("hungup")
        await phone.hears(900, 200)

        assert over["by"] == "caller"
        assert server.forms("/after")[0]["DialCallStatus"] == "completed"


async def test_a_star_is_a_key_like_any_other_elsewhere() -> None:
    """A menu of the person's company may want it."""
    async with put_through("", "<Hangup/>") as (_, phone, person):
        await phone.press("*")
        await person.until(lambda: both(person.line.heard, (941, 1209)) >= 80)

        assert "hungup" not in person.events


SCREENED = (
    '<Response><Dial action="/after"><Number url="/whisper">+14155550177</Number></Dial></Response>'
)
ASKED = '<Response><Gather numDigits="1" action="/key"><Say>700</Say></Gather><Hangup/></Response>'


@asynccontextmanager
async def screened() -> AsyncIterator[tuple[LocalCarrier, TinyServer, Telephone, Telephone]]:
    """A person who answered and is told who calls before they are connected."""
    async with calling(SCREENED) as (carrier, server, phone), telephone(carrier, "person") as one:
        server.answers |= {"/whisper": ASKED, "/after": "<Response><Say>900</Say></Response>"}
        await one.got("ring")
        await one.send("answer")
        await one.hears(700, 200)
        yield carrier, server, phone, one


async def test_a_person_hears_who_calls_and_takes_the_call_with_a_key() -> None:
    """<Number url>: the whisper of a screened transfer; the caller hears it ring meanwhile."""
    async with screened() as (_, server, phone, person):
        server.answers["/key"] = "<Response/>"
        assert "bridged" not in [*phone.events, *person.events]
        await person.press("1")
        await person.got("bridged")
        phone.speak(tone(1000, 600))
        await person.hears(1000, 200)
        await person.send("hangup")
        await phone.got("hungup")

        (asked,) = server.forms("/whisper")
        assert asked["ParentCallSid"] == phone.call_sid
        assert (asked["Direction"], asked["CallStatus"]) == ("outbound-dial", "in-progress")
        assert server.forms("/key")[0]["Digits"] == "1"
        assert server.forms("/after")[0]["DialBridged"] == "true"
        assert phone.heard(700) == 0, "the caller heard what was for the person"


async def test_a_person_who_refuses_or_leaves_was_never_connected() -> None:
    """Twilio says completed all the same; DialBridged tells."""
    for leaving in ("refuses", "leaves"):
        async with screened() as (_, server, phone, person):
            server.answers["/key"] = "<Response><Hangup/></Response>"
            if leaving == "refuses":
                await person.press("2")
            else:
                await person.send("hangup")
            await person.got("hungup")
            await phone.hears(900, 200)

            result = server.forms("/after")[0]
            assert (result["DialCallStatus"], result["DialBridged"]) == ("completed", "false")
            assert "bridged" not in phone.events


async def test_a_caller_who_leaves_during_the_whisper_frees_the_person() -> None:
    """Their phone would speak to nobody."""
    async with screened() as (_, _server, phone, person):
        await phone.send("hangup")
        over = await person.got("hungup")

        assert over["by"] == "caller"


ROOM = '<Response><Dial action="/after"><Conference {0}>r</Conference></Dial></Response>'


@asynccontextmanager
async def conferring(
    caller: str, person: str
) -> AsyncIterator[tuple[TinyServer, Telephone, Telephone]]:
    """A caller who waits in a room, and a person the agent calls into it."""
    account = "AC" + "0" * 32
    async with (
        calling(ROOM.format(caller)) as (carrier, server, phone),
        telephone(carrier, "person") as other,
        ClientSession(headers={"Authorization": encode_basic_auth(account, "12345")}) as client,
    ):
        server.answers |= {
            "/after": "<Response><Say>900</Say></Response>",
            "/join": ROOM.format(person).replace("/after", "/person-after"),
            "/person-after": "<Response><Hangup/></Response>",
        }
        call = carrier.twilio.calls[phone.call_sid]
        await until(lambda: call.conferences == ["r"])
        form = {"To": "+14155550123", "From": "+15005550006", "Url": f"{PUBLIC_URL}/join"}
        url = f"{carrier.api_url}/2010-04-01/Accounts/{account}/Calls.json"
        async with client.post(url, data=form) as answer:
            assert answer.status == 201
        await other.got("ring")
        await other.send("answer")
        yield server, phone, other


async def test_two_telephones_meet_in_a_conference() -> None:
    """What a warm transfer is made of: the agent calls the person into the caller's room."""
    async with conferring("", 'endConferenceOnExit="true"') as (server, phone, person):
        await phone.got("bridged")
        await person.got("bridged")
        phone.speak(tone(1000, 600))
        person.speak(tone(1400, 600))
        await person.hears(1000, 200)
        await phone.hears(1400, 200)
        await person.send("hangup")
        await phone.hears(900, 200)

        assert server.forms("/after")[0]["DialCallStatus"] == "answered"


async def test_who_waits_in_a_conference_goes_on_waiting_when_the_other_leaves() -> None:
    """Without endConferenceOnExit the room stays, and nobody starts it who may not."""
    waits = 'startConferenceOnEnter="false"'
    async with conferring(waits, "") as (server, phone, person):
        await phone.got("bridged")
        await person.send("hangup")
        await person.got("hungup")
        await phone.send("hangup")
        over = await phone.got("hungup")

        assert over["by"] == "caller"
        assert phone.heard(900) == 0
        await server.until(lambda: len(server.forms("/after")) == 1)
