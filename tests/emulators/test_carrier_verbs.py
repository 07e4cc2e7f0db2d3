"""What a person at a phone of the local carrier hears of TwiML, and what the server gets."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from app.audio.tones import strength, tone
from app.emulators.carrier import Account, LocalCarrier, Numbers
from app.emulators.phone_sounds import BUSY_HZ
from app.emulators.twilio import Pace
from app.emulators.twilio_call import HungUp, Inline, Redirected
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
