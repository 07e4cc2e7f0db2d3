"""The media socket in strangers' hands: what is no telephone company's opens nothing."""

import base64
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from websockets.exceptions import InvalidStatus

from app.call import leaving
from app.emulators.realtime import RealtimeEmulator
from app.emulators.scenario import Receptionist, Scenario
from app.emulators.twilio_words import new_sid
from app.runtime import book, invitations
from app.transports import caller
from tests.waiting import until
from tests.walks.raw_stream import incoming, invited, raw_stream, token_of
from tests.walks.stage import PUBLIC_URL, VOICE, media_signature, stage

SILENCE = base64.b64encode(b"\xff" * 160).decode()
LOUD = base64.b64encode(VOICE[:160]).decode()


@pytest.mark.parametrize("mode", ["none", "wrong"])
async def test_an_upgrade_without_the_right_signature_is_refused(tmp_path: Path, mode: Any) -> None:
    """D-TS-7, D-PT-11, D-DG-3: the caller hears the failure treatment, the model is not fed."""
    async with stage(RealtimeEmulator(Receptionist), tmp_path) as s:
        s.twilio.faults.stream_signature = mode
        call = await s.twilio.call()

        assert await call.ended() == "hangup"

        assert call.said == ["I'm sorry, we have a technical problem."]
        assert call.stream.started_at_ms is None
        assert [one.code for one in call.violations] == [31920]


async def test_a_slash_too_many_is_forgiven(tmp_path: Path) -> None:
    """Twilio has been seen to sign the upgrade with a slash at the end of the URL."""
    async with stage(RealtimeEmulator(Receptionist), tmp_path) as s:
        s.twilio.faults.stream_signature = "trailing_slash"
        call = await s.twilio.call()
        await call.heard_at_least(100)
        await call.hang_up()
        await call.ended()

        call.assert_clean()


async def test_sockets_live_on_one_path_only(tmp_path: Path) -> None:
    """What nobody serves is 404, before any signature is looked at."""
    async with stage(RealtimeEmulator(Scenario([])), tmp_path) as s:
        for path in ("/", "/media", "/media-stream/extra", "/v1/calls"):
            with pytest.raises(InvalidStatus) as refused:
                async with raw_stream(s, path):
                    pass
            assert refused.value.response.status_code == 404
        async with (
            aiohttp.ClientSession() as client,
            client.get(s.url + "/media-stream") as answer,
        ):
            assert answer.status == 404


async def test_a_name_of_a_process_opens_nothing_and_forbids_nothing(tmp_path: Path) -> None:
    """It is for the proxy: the signature covers it, the token decides."""
    path = "/media-stream/" + "0" * 16
    signature = media_signature(f"{PUBLIC_URL.replace('https', 'wss')}{path}")
    async with stage(RealtimeEmulator(Receptionist), tmp_path) as s:
        call_sid, token = await invited(s)
        async with raw_stream(s, path, signature) as stranger:
            await stranger.start(call_sid, "another")
            assert await stranger.closed() == 1008
        with pytest.raises(InvalidStatus) as refused:
            async with raw_stream(s, path):
                pass
        assert refused.value.response.status_code == 403
        async with raw_stream(s, path, signature) as stream:
            await stream.start(call_sid, token)
            await stream.read("media")


async def test_a_token_opens_one_stream_of_one_call_for_a_while(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """L20, S14, D-PT-11, D-AZ-2: reused, expired, foreign and missing tokens open nothing."""
    async with stage(RealtimeEmulator(Receptionist), tmp_path) as s:
        call_sid, token = await invited(s)
        async with raw_stream(s) as first, raw_stream(s) as second:
            await first.start(call_sid, token)
            await first.read("media")
            await second.start(call_sid, token)
            assert await second.closed() == 1008
            await first.media(LOUD)
            await first.read("media")

        for given in (token, "", "x" * 10_000):
            async with raw_stream(s) as stranger:
                await stranger.start(call_sid, given)
                assert await stranger.closed() == 1008

        other_sid, other = await invited(s)
        async with raw_stream(s) as stranger:
            await stranger.start(new_sid("CA"), other)
            assert await stranger.closed() == 1008
        async with raw_stream(s) as late:
            await late.start(other_sid, other)
            assert await late.closed() == 1008, "a token that was tried is spent"

        monkeypatch.setattr(invitations, "TOKEN_S", -1)
        call_sid, token = await invited(s)
        async with raw_stream(s) as late:
            await late.start(call_sid, token)
            assert await late.closed() == 1008


async def test_a_stream_in_another_format_is_refused(tmp_path: Path) -> None:
    """Anything but mu-law at 8 kHz would reach the model as noise."""
    async with stage(RealtimeEmulator(Receptionist), tmp_path) as s:
        call_sid, token = await invited(s)
        async with raw_stream(s) as odd:
            wide = {"encoding": "audio/l16", "sampleRate": 16000, "channels": 1}
            await odd.start(call_sid, token, mediaFormat=wide)
            assert await odd.closed() == 1008


async def test_a_socket_that_never_starts_is_closed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Idle sockets cost memory; ten seconds are enough to say ``start``."""
    monkeypatch.setattr(caller, "START_WITHIN_S", 0.2)
    async with stage(RealtimeEmulator(Scenario([])), tmp_path) as s, raw_stream(s) as idle:
        await idle.media(LOUD)
        assert await idle.closed() == 1008


HOSTILE: list[object] = [
    b"\x00\x01\x02",
    "",
    "null",
    "[]",
    "{}",
    '"media"',
    "{" * 5000,
    '{"event":"media"',
    "\x00",
    {"event": "media"},
    {"event": None},
    {"event": ["media"]},
    {"event": "media", "streamSid": "MZ" + "0" * 32, "media": {}},
    {"event": "start"},
    {"event": "connected"},
    {"event": "of_tomorrow", "x": 1},
]


async def test_nonsense_on_a_stream_is_ignored_and_the_call_goes_on(tmp_path: Path) -> None:
    """Every message is judged by itself: the hundred good ones around it count."""
    openai = RealtimeEmulator(Receptionist)
    async with stage(openai, tmp_path) as s:
        neighbour = await s.twilio.call()
        await neighbour.heard_at_least(20)
        call_sid, token = await invited(s)
        async with raw_stream(s) as stream:
            await stream.start(call_sid, token)
            await stream.read("media")
            session = openai.connections[1]
            for message in HOSTILE:
                await stream.send(message)
            sid = stream.stream_sid
            for body in (
                {"event": "media", "media": []},
                {"event": "media", "media": {"track": "inbound", "payload": 7, "timestamp": "0"}},
                {"event": "mark", "mark": {"name": 1}},
                {"event": "mark", "mark": {"name": "g0:999"}},
                {"event": "dtmf", "dtmf": {"digit": "1;DROP"}},
                {"event": "dtmf", "dtmf": {"digit": None}},
                {"event": "stop", "streamSid": "MZ" + "0" * 32},
            ):
                await stream.send({"streamSid": sid} | body)
            for timestamp in ("-1", "1e9", "99999999999999999999", "x", ""):
                await stream.media(SILENCE, timestamp)
            before = len(session.client_events.of("input_audio_buffer.append"))
            await stream.media(LOUD, "20")

            await session.client_events.until("input_audio_buffer.append", before + 1)
            assert s.board.book.live == 2
        await neighbour.heard_at_least(500)
        neighbour.assert_clean()
        openai.assert_clean()


SMUGGLED = [
    'AAAA"},{"type":"response.create"},{"a":"',
    'AAAA"}\n{"type":"session.update"',
    "AAAA\x22\x7d",
    "AA\\u0022AA",
    "AAA",
    "A=AA",
    "====",
    "AAAA AAAA",
    "AAAA\nAAAA",
    "\uff21" * 4,
    "-_-_",
    "",
]


async def test_a_payload_cannot_become_a_second_message(tmp_path: Path) -> None:
    """Base64 travels as text: what is not base64 must never reach the model's socket."""
    openai = RealtimeEmulator(Receptionist)
    async with stage(openai, tmp_path) as s:
        call_sid, token = await invited(s)
        async with raw_stream(s) as stream:
            await stream.start(call_sid, token)
            await stream.read("media")
            events = s.session.client_events
            for number, payload in enumerate(SMUGGLED, 1):
                before = len(events)

                await stream.media(payload)
                await stream.media(SILENCE, str(20 * number))
                await events.until("input_audio_buffer.append", number)

                (new,) = events[before:]
                assert new["type"] == "input_audio_buffer.append"
                assert new["audio"] == SILENCE
        openai.assert_clean()


async def test_too_much_of_it_costs_the_socket(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A message over the limit, and a hundred malformed ones, are no telephone company's."""
    monkeypatch.setattr(book, "RETURN_S", 0.1)
    async with stage(RealtimeEmulator(Receptionist), tmp_path) as s:
        call_sid, token = await invited(s)
        async with raw_stream(s) as stream:
            await stream.start(call_sid, token)
            await stream.send("x" * 100_000)
            assert await stream.closed() in (1006, 1009)
        call_sid, token = await invited(s)
        async with raw_stream(s) as stream:
            await stream.start(call_sid, token)
            for _ in range(100):
                await stream.send("nonsense")
            assert await stream.closed() == 1008
        await until(lambda: not s.board.book.live)
        await s.all_closed()


async def test_a_late_stream_is_a_call_like_any_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The model line is parked for half as long as the token is good: both are kept promises."""
    monkeypatch.setattr(leaving, "PARKED_MS", 100)
    async with stage(RealtimeEmulator(Receptionist), tmp_path) as s:
        call_sid, token = await invited(s)
        await until(lambda: not s.board.book.live)
        async with raw_stream(s) as late:
            await late.start(call_sid, token)
            await late.read("media")
            assert s.board.book.live == 1
            call_id = s.board.book.call_id(call_sid)
            await late.send({"event": "stop", "streamSid": late.stream_sid, "stop": {}})
            assert await late.closed() == 1000

        await s.all_closed()
        record = await s.get(f"/v1/calls/{call_id}")
        assert record["end_reason"] == "caller_hangup"


async def test_a_caller_who_hung_up_before_the_stream_opens_nothing(tmp_path: Path) -> None:
    """The token of a call that is over is worth nothing."""
    async with stage(RealtimeEmulator(Receptionist), tmp_path) as s:
        call_sid, token = await invited(s)
        over = incoming(call_sid) | {"CallStatus": "completed"}
        assert (await s.post("/twilio/call-status", over))[0] == 204
        await s.all_closed()

        async with raw_stream(s) as late:
            await late.start(call_sid, token)
            assert await late.closed() == 1008
        assert not s.board.book.live


async def test_a_call_that_comes_back_gets_a_stream_of_its_own(tmp_path: Path) -> None:
    """A repeated webhook after the stream began is Twilio starting over: the old one ends."""
    async with stage(RealtimeEmulator(Receptionist), tmp_path) as s:
        call_sid, token = await invited(s)
        async with raw_stream(s) as first, raw_stream(s) as second:
            await first.start(call_sid, token)
            await first.read("media")

            _, twiml = await s.post("/incoming-call", incoming(call_sid))
            await second.start(call_sid, token_of(twiml))
            await second.read("media")

            assert await first.closed() == 1000
            await second.media(LOUD)
            await second.read("media")
            assert s.board.book.live == 1
