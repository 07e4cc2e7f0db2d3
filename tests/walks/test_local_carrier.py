"""Calls from a telephone on this machine: the real server, with nothing switched off."""

import contextlib
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from app.audio.tones import strength, tone
from app.emulators.phone_sounds import RINGING_HZ
from app.emulators.realtime import RealtimeEmulator
from app.emulators.scenario import Expect, Fail, Reply, Scenario, ToolUse
from app.emulators.twilio_words import monotonic_ms
from app.protocol.units import BYTES_PER_MS, bytes_of_b64
from tests.walks.stage import ACCOUNT, PUBLIC_URL, TOKEN, VOICE, Stage, stage
from tests.walks.telephone import TICKET, Telephone, telephone

NUMBER = "+14155550123"
AGENT = f"""
instructions: You answer the phone for the tests.
greeting: Hello.
turn_detection: {{type: server_vad, silence_duration_ms: 120}}
transfer_targets:
  billing: {{description: Questions about invoices., to: "{NUMBER}"}}
"""
TRANSFER = ToolUse("transfer_call", {"target": "billing"})
THROUGH = Reply("I put you through.", 300, 660, tools=[TRANSFER])
LOCAL = {"ticket": TICKET, "unattended_ms": 300}


def brain(*script: Any) -> RealtimeEmulator:
    """A model that follows a script, as fast as it can."""
    return RealtimeEmulator(Scenario(list(script)), pace=0)


class Tones:
    """A voice that says a number as a tone of so many hertz."""

    rung = "flite (test)"

    async def say(self, text: str) -> bytes:
        """300 ms of it."""
        return tone(float(text), 300)


TO_CALLER = {"From": "+15005550006", "To": "+14155550100"}


async def rest(s: Stage, resource: str, form: dict[str, str]) -> dict[str, Any]:
    """A request to the carrier's REST API, as the account."""
    url = f"{s.twilio.api_url}/2010-04-01/Accounts/{ACCOUNT}/{resource}.json"
    headers = {"Authorization": aiohttp.encode_basic_auth(ACCOUNT, TOKEN)}
    async with (
        aiohttp.ClientSession(headers=headers) as client,
        client.post(url, data=form) as answer,
    ):
        assert answer.status == 201
        made: dict[str, Any] = await answer.json()
        return made


async def record(s: Stage, call_sid: str) -> dict[str, Any]:
    """The record of a call that is over, and has been told of to its end."""
    await s.twilio.calls[call_sid].ended()
    return await s.record(s.twilio.calls[call_sid])


async def test_a_telephone_calls_hears_talks_and_hangs_up(tmp_path: Path) -> None:
    """The first thing anybody tries."""
    openai = brain(Reply("Hello.", 300, 440), Reply("Yes.", 300, 880))
    async with stage(openai, tmp_path, local=LOCAL) as s, telephone(s.local) as phone:
        sid = await phone.dial()
        await phone.hears(440, 240)
        phone.speak(VOICE)
        await phone.hears(880, 240)
        await phone.send("hangup")
        over = await phone.got("hungup")
        found = await record(s, sid)

        assert phone.events[:3] == ["ready", "calling", "start"]
        assert (over["by"], over["reason"]) == ("caller", "caller")
        assert phone.marks_returned
        assert found["end_reason"] == "caller_hangup"
        assert len(found["turns"]) >= 2
        s.twilio.assert_clean()


async def test_an_interruption_clears_what_the_tab_had_not_played(tmp_path: Path) -> None:
    """The tab's clock is the truth: what it returns is what the model is told was heard."""
    openai = brain(Reply("Hello, and so on and on.", 3000, 440), Reply("Yes?", 200, 880))
    async with stage(openai, tmp_path, local=LOCAL) as s, telephone(s.local) as phone:
        sid = await phone.dial()
        await phone.hears(440, 500)
        phone.speak(VOICE)
        await phone.until(lambda: phone.cleared == 1)
        truth_ms = phone.line.heard_ms
        await s.session.client_events.until("conversation.item.truncate", 1)
        await phone.hears(880, 140)
        await phone.send("hangup")
        found = await record(s, sid)

        (cut,) = s.session.client_events.of("conversation.item.truncate")
        assert abs(cut["audio_end_ms"] - truth_ms) <= 80
        assert phone.heard(440) < 1500
        returned = [name for name, _ in s.twilio.calls[sid].stream.marks_returned]
        assert set(returned) <= set(phone.marks_returned)
        assert found["turns"][0]["responses"][0]["interrupted"]


async def test_a_key_reaches_the_agent(tmp_path: Path) -> None:
    """A keypad on a page is a keypad."""
    openai = brain(
        Reply("Hello.", 200, 440), Expect(message_contains="5"), Reply("Five.", 200, 880)
    )
    async with stage(openai, tmp_path, local=LOCAL) as s, telephone(s.local) as phone:
        await phone.dial()
        await phone.hears(440, 140)
        await phone.press("5")
        await phone.hears(880, 140)
        await phone.send("hangup")
        await phone.got("hungup")

        openai.assert_clean()


async def transferred(s: Stage, phone: Telephone) -> str:
    """A caller who asks for somebody; the CallSid."""
    sid = await phone.dial()
    await phone.hears(440, 140)
    phone.speak(VOICE)
    await phone.got("dialling")
    return sid


async def test_a_transfer_rings_a_second_phone_and_both_hear_each_other(tmp_path: Path) -> None:
    """The moment a demonstration is about: a person takes over."""
    openai = brain(Reply("Hello.", 200, 440), THROUGH)
    async with (
        stage(openai, tmp_path, agent=AGENT, local=LOCAL) as s,
        telephone(s.local) as phone,
        telephone(s.local, "person") as person,
    ):
        sid = await transferred(s, phone)
        ring = await person.got("ring")
        assert ring["sentence"] == "The agent is putting +14155550100 through to you"
        await phone.until(lambda: _sounds(phone, *RINGING_HZ))
        await person.send("answer")
        await person.got("bridged")
        await phone.got("bridged")
        phone.speak(tone(1000, 600))
        person.speak(tone(1400, 600))
        await person.hears(1000, 400)
        await phone.hears(1400, 400)
        await phone.press("5")
        await person.until(lambda: _sounds(person, 770, 1336))
        await person.press("0")
        await phone.until(lambda: _sounds(phone, 941, 1336))
        await person.send("hangup")
        over = await phone.got("hungup")
        gone = await person.got("hungup")
        found = await record(s, sid)

        assert (ring["from"], ring["to"]) == ("+14155550100", NUMBER)
        assert phone.heard(660) > 200
        assert person.heard(660) == 0
        assert over["by"] == gone["by"] == "person"
        assert found["end_reason"] == "transferred"
        (transfer,) = found["transfers"]
        assert transfer["outcome"] == "connected"
        result = dial_result(s, sid)
        assert (result["DialCallStatus"], result["DialBridged"]) == ("completed", "true")
        assert int(result["DialCallDuration"]) >= 1
        s.twilio.assert_clean()


def _sounds(phone: Telephone, *frequencies_hz: float) -> bool:
    """Whether just now all of these are heard at once."""
    audio = phone.line.heard[-640:]
    return all(strength(audio, frequency_hz) > 0.25 for frequency_hz in frequencies_hz)


def dial_result(s: Stage, call_sid: str) -> dict[str, str]:
    """What the server was told of a transfer."""
    (result,) = [r for r in s.twilio.calls[call_sid].requests if "/dial-result/" in r.path]
    return result.form


async def test_a_caller_who_leaves_ends_the_persons_call_too(tmp_path: Path) -> None:
    """Nobody talks to a dead line."""
    openai = brain(Reply("Hello.", 200, 440), THROUGH)
    async with (
        stage(openai, tmp_path, agent=AGENT, local=LOCAL) as s,
        telephone(s.local) as phone,
        telephone(s.local, "person") as person,
    ):
        sid = await transferred(s, phone)
        await person.got("ring")
        await person.send("answer")
        await phone.got("bridged")
        await phone.send("hangup")
        gone = await person.got("hungup")
        found = await record(s, sid)

        result = dial_result(s, sid)
        assert gone["by"] == "caller"
        assert found["transfers"][0]["outcome"] == "connected"
        assert (result["DialCallStatus"], result["DialBridged"]) == ("completed", "true")
        assert "DialCallDuration" in result


async def test_a_caller_who_gives_up_stops_the_ringing(tmp_path: Path) -> None:
    """A phone that rings on for nobody is a phone that is not believed the next time."""
    openai = brain(Reply("Hello.", 200, 440), THROUGH)
    async with (
        stage(openai, tmp_path, agent=AGENT, local=LOCAL) as s,
        telephone(s.local) as phone,
        telephone(s.local, "person") as person,
    ):
        await transferred(s, phone)
        await person.got("ring")
        await phone.send("hangup")
        await person.got("ringing-over")
        await phone.got("hungup")


@pytest.mark.parametrize("way", ["declined", "nobody"])
async def test_a_caller_nobody_takes_comes_back_to_the_agent(tmp_path: Path, way: str) -> None:
    """S20: busy and no-answer are told as what they are."""
    openai = brain(Reply("Hello.", 200, 440), THROUGH, Reply("They are busy. What else?", 300, 880))
    async with (
        stage(openai, tmp_path, agent=AGENT, local=LOCAL) as s,
        telephone(s.local) as phone,
        contextlib.AsyncExitStack() as more,
    ):
        if way == "declined":
            person = await more.enter_async_context(telephone(s.local, "person"))
        sid = await transferred(s, phone)
        if way == "declined":
            await person.got("ring")
            await person.send("decline")
            await person.got("ringing-over")
        await phone.got("start", 2)
        await phone.hears(880, 240)
        await phone.send("hangup")
        found = await record(s, sid)

        expected = {"declined": "busy", "nobody": "no-answer"}[way]
        result = dial_result(s, sid)
        assert (result["DialCallStatus"], result["DialBridged"]) == (expected, "false")
        assert "DialCallDuration" not in result
        assert found["end_reason"] == "caller_hangup"
        assert not _sounds(phone, *RINGING_HZ)


async def test_a_person_who_opens_the_page_while_it_rings_is_rung(tmp_path: Path) -> None:
    """And a page that is reloaded goes on ringing."""
    openai = brain(Reply("Hello.", 200, 440), THROUGH)
    local = {**LOCAL, "unattended_ms": 1500}
    async with stage(openai, tmp_path, agent=AGENT, local=local) as s, telephone(s.local) as phone:
        await transferred(s, phone)
        async with telephone(s.local, "person") as first:
            await first.got("ring")
            rung_ms = len(phone.line.heard) // 8
            await phone.until(lambda: len(phone.line.heard) // 8 > rung_ms + 1600)
        async with telephone(s.local, "person") as second:
            await second.got("ring")
            await second.send("answer")
            await phone.got("bridged")


async def test_a_tab_that_dies_has_hung_up(tmp_path: Path) -> None:
    """A caller who lost the network: stop, then completed, and the record is closed."""
    openai = brain(Reply("Hello.", 200, 440))
    async with stage(openai, tmp_path, local=LOCAL) as s:
        async with telephone(s.local) as phone:
            sid = await phone.dial()
            await phone.hears(440, 140)
            phone.socket.transport.abort()
            await s.twilio.calls[sid].ended()
        found = await record(s, sid)

        assert found["end_reason"] == "caller_hangup"
        assert s.twilio.calls[sid].stream.stopped
        s.twilio.assert_clean()


async def test_a_tab_that_was_asleep_leaves_a_gap_and_no_shift(tmp_path: Path) -> None:
    """What it did not say in time is silence: the model's clock and the caller's stay one."""
    openai = brain(Reply("Hello.", 200, 440))
    async with stage(openai, tmp_path, local=LOCAL) as s, telephone(s.local) as phone:
        await phone.dial()
        await phone.hears(440, 140)
        phone.speaks = False
        begun_ms = len(phone.line.heard) // BYTES_PER_MS
        await phone.until(lambda: len(phone.line.heard) // BYTES_PER_MS > begun_ms + 2200)
        phone.speaks = True
        await phone.until(lambda: len(phone.line.heard) // BYTES_PER_MS > begun_ms + 2600)
        started_at_ms = s.twilio.calls[phone.call_sid].stream.started_at_ms or 0
        elapsed_ms = monotonic_ms() - started_at_ms
        appended = s.session.client_events.of("input_audio_buffer.append")
        written_ms = sum(bytes_of_b64(one["audio"]) for one in appended) / BYTES_PER_MS
        await phone.send("hangup")
        await phone.got("hungup")

        assert abs(elapsed_ms - written_ms) < 300


async def test_a_carrier_that_ends_hangs_up_for_its_callers(tmp_path: Path) -> None:
    """Ctrl-C in the middle of a call leaves no call open in the server."""
    async with stage(brain(Reply("Hello.", 200, 440)), tmp_path, local=LOCAL) as s:
        assert s.local is not None
        async with telephone(s.local) as phone:
            sid = await phone.dial()
            await phone.hears(440, 140)
            await s.local.__aexit__(None, None, None)
            found = await record(s, sid)

        assert found["end_reason"] == "caller_hangup"
        assert s.twilio.calls[sid].stream.stopped


async def test_a_media_socket_that_is_refused_is_told_in_words(tmp_path: Path) -> None:
    """A wrong token is the mistake everybody makes once."""
    async with stage(brain(), tmp_path, local=LOCAL) as s, telephone(s.local) as phone:
        s.twilio.faults.stream_signature = "wrong"
        await phone.dial()
        problem = await phone.got("problem", timeout=60)
        await phone.got("hungup")

        assert problem["code"] == "stream_refused"
        assert "31920" in problem["sentence"]


async def test_a_phone_without_a_microphone_speaks_by_the_carriers_voice(tmp_path: Path) -> None:
    """ "Say it for me": one text behind the other, and silence after them ends the turn."""
    openai = brain(Reply("Hello.", 200, 440), Reply("Yes.", 300, 880))
    local = {**LOCAL, "speaker": Tones()}
    async with stage(openai, tmp_path, local=local) as s, telephone(s.local) as phone:
        phone.speaks = False
        await phone.dial()
        await phone.hears(440, 140)
        await phone.send("say", text="300")
        await phone.hears(880, 240)
        await phone.send("hangup")
        await phone.got("hungup")

        assert phone.last("ready")["voice"] == "flite"
        s.twilio.assert_clean()


async def test_what_the_carrier_says_is_spoken_and_shown(tmp_path: Path) -> None:
    """A failing agent's last sentence reaches a caller who only has ears, and a deaf one."""
    agent = """
instructions: You answer the phone for the tests.
greeting: Hello.
failure: {say: "1400", then: end_call}
"""
    local = {**LOCAL, "voice": Tones()}
    async with (
        stage(brain(Fail()), tmp_path, agent=agent, local=local) as s,
        telephone(s.local) as phone,
    ):
        sid = await phone.dial()
        said = await phone.got("said", timeout=60)
        over = await phone.got("hungup", timeout=60)
        found = await record(s, sid)

        assert said["text"] == "1400"
        assert phone.heard(1400) >= 200
        assert over["by"] == "agent"
        assert found["end_reason"] == "model_failed"


async def test_a_call_out_rings_the_callers_phone(tmp_path: Path) -> None:
    """By REST, as the server would; the keys of the account open it."""
    openai = brain(Reply("Hello.", 200, 440))
    async with stage(openai, tmp_path, local=LOCAL) as s, telephone(s.local) as phone:
        await rest(s, "Calls", {"Url": PUBLIC_URL + "/incoming-call", **TO_CALLER})
        ring = await phone.got("ring")
        await phone.send("answer")
        await phone.hears(440, 140)
        await phone.send("hangup")
        await phone.got("hungup")

        assert ring["from"] == TO_CALLER["From"]
        assert ring["sentence"] == "The agent is calling you from +15005550006"
        s.twilio.assert_clean()


@pytest.mark.parametrize("way", ["declined", "nobody"])
async def test_a_call_out_that_nobody_takes_has_failed(tmp_path: Path, way: str) -> None:
    """The server hears busy or no-answer."""
    async with stage(brain(), tmp_path, local=LOCAL) as s, contextlib.AsyncExitStack() as more:
        if way == "declined":
            phone = await more.enter_async_context(telephone(s.local))
        call = await rest(s, "Calls", {"Url": PUBLIC_URL + "/incoming-call", **TO_CALLER})
        if way == "declined":
            await phone.got("ring")
            await phone.send("decline")
            await phone.got("ringing-over")
        await s.twilio.calls[call["sid"]].ended()

        expected = {"declined": "busy", "nobody": "no-answer"}[way]
        assert s.twilio.calls[call["sid"]].status == expected


async def test_a_text_message_is_seen_on_the_phones(tmp_path: Path) -> None:
    """Nobody has an inbox here."""
    async with (
        stage(brain(), tmp_path, local=LOCAL) as s,
        telephone(s.local) as phone,
        telephone(s.local, "person") as person,
    ):
        await rest(s, "Messages", {"Body": "Your table is booked.", **TO_CALLER})
        sms = await phone.got("sms")
        await person.got("sms")

        assert sms["body"] == "Your table is booked."
        assert (sms["from"], sms["to"]) == (TO_CALLER["From"], TO_CALLER["To"])
