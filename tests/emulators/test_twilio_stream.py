"""The media socket of the local Twilio: handshake, messages, play-out, strictness, deaths."""

import asyncio
import base64
import json
from collections.abc import Awaitable, Callable

import pytest
from twilio.request_validator import RequestValidator

from app.emulators.twilio import EmulatorViolations, Faults
from app.emulators.twilio_media import EmulatedStream
from tests.emulators.tiny_server import CONNECT, Peer, telephone

TONE = bytes(n * 7 % 251 for n in range(8000))
"""One second that no other stretch of a second resembles, and no silence in it."""


async def test_the_upgrade_carries_twilios_headers_and_no_others() -> None:
    """A server that needs an Origin, or offers compression, must find out here."""
    async with telephone() as (twilio, server):
        call = await twilio.call()

        headers = (await server.peer()).request.headers

        assert headers["User-Agent"] == "Twilio.TmeWs/1.0"
        assert headers["Host"] == "patchline.test"
        assert headers["Accept-Encoding"] == "gzip"
        assert {
            "Origin",
            "Sec-WebSocket-Extensions",
            "Sec-WebSocket-Protocol",
            "Cookie",
        }.isdisjoint(headers)
        validator = RequestValidator("12345")
        signature = headers["X-Twilio-Signature"]
        assert validator.validate("wss://patchline.test/media", {}, signature)
        await call.hang_up()


@pytest.mark.parametrize(
    ("mode", "valid_for"),
    [("trailing_slash", "wss://patchline.test/media/"), ("wrong", None), ("none", None)],
)
async def test_the_upgrade_can_be_signed_in_every_way_twilio_or_a_forger_does(
    mode: str, valid_for: str | None
) -> None:
    """A door is only tested by somebody who also tries the wrong key."""
    async with telephone(faults=Faults(stream_signature=mode)) as (twilio, server):
        await twilio.call()

        signature = (await server.peer()).request.headers.get("X-Twilio-Signature")

        validator = RequestValidator("12345")
        assert (signature is None) == (mode == "none")
        if signature is not None:
            assert not validator.validate("wss://patchline.test/media", {}, signature)
        if valid_for is not None:
            assert validator.validate(valid_for, {}, signature)


async def test_connected_start_and_media_look_as_twilio_documents_them() -> None:
    """Numbers are strings, connected has no number, and the counter runs over all types."""
    async with telephone() as (twilio, server):
        call = await twilio.call()
        peer = await server.peer()
        await server.until(lambda: len(peer.of("media")) >= 3)
        await call.press("5")
        await server.until(lambda: bool(peer.of("dtmf")))
        await call.hang_up()
        await server.until(lambda: bool(peer.of("stop")))

        sid, stream = call.call_sid, call.stream.stream_sid
        assert peer.messages[0] == {"event": "connected", "protocol": "Call", "version": "1.0.0"}
        assert peer.messages[1] == {
            "event": "start",
            "sequenceNumber": "1",
            "streamSid": stream,
            "start": {
                "accountSid": twilio.account_sid,
                "streamSid": stream,
                "callSid": sid,
                "tracks": ["inbound"],
                "mediaFormat": {"encoding": "audio/x-mulaw", "sampleRate": 8000, "channels": 1},
                "customParameters": {"token": "t&1"},
            },
        }
        media = peer.of("media")
        assert [one["media"]["chunk"] for one in media[:3]] == ["1", "2", "3"]
        assert [one["media"]["timestamp"] for one in media[:3]] == ["0", "20", "40"]
        assert media[0]["media"]["track"] == "inbound"
        assert base64.b64decode(media[0]["media"]["payload"]) == b"\xff" * 160
        assert peer.of("dtmf")[0]["dtmf"] == {"track": "inbound_track", "digit": "5"}
        assert peer.of("stop")[0]["stop"] == {"accountSid": twilio.account_sid, "callSid": sid}
        numbers = [int(one["sequenceNumber"]) for one in peer.messages[1:]]
        assert numbers == list(range(1, len(numbers) + 1))
        await call.ended()
        call.assert_clean()


async def test_what_the_caller_says_arrives_whole_and_padded_to_frames() -> None:
    """Speech enters in real time; not a byte is lost and silence follows."""
    async with telephone() as (twilio, server):
        call = await twilio.call()
        peer = await server.peer()

        await call.speak(TONE[:1000], wait=True)
        await server.until(lambda: TONE[:1000] in _sent(peer))

        assert set(_sent(peer).replace(TONE[:1000], b"")) == {0xFF}
        assert TONE[:1000] in bytes(call.stream.spoken)


async def test_marks_return_when_their_audio_was_heard_and_at_once_on_silence() -> None:
    """Not when it was sent, and not when it was received."""
    async with telephone() as (twilio, server):
        call = await twilio.call()
        peer = await server.peer()

        await peer.mark("empty")
        await server.until(lambda: peer.marks() == ["empty"])
        await peer.play(TONE[:1600])
        await peer.mark("a")
        await peer.play(TONE[1600:2400])
        await peer.mark("b")
        await server.until(lambda: peer.marks() == ["empty", "a", "b"])

        line, at_ms = call.stream.line, dict(call.stream.marks_returned)
        started = line.chunks[0].started_at_ms
        assert started is not None
        assert at_ms["a"] >= started + 200
        assert at_ms["b"] >= started + 300
        assert call.heard_ms == 300
        assert TONE[:2400] in line.heard
        call.assert_clean()


async def test_clear_returns_every_mark_and_silences_the_line() -> None:
    """D-TS-1: returned marks prove nothing after a clear; the line knows what was heard."""
    async with telephone() as (twilio, server):
        call = await twilio.call()
        peer = await server.peer()

        for piece in range(4):
            await peer.play(TONE)
            await peer.mark(f"m{piece}")
        await call.heard_at_least(100)
        await peer.clear()
        await server.until(lambda: peer.marks() == ["m0", "m1", "m2", "m3"])

        heard = [chunk.heard_bytes for chunk in call.stream.line.chunks]
        assert 800 <= heard[0] < 8000
        assert heard[1:] == [0, 0, 0]
        assert call.stream.received == {"media": 4, "mark": 4, "clear": 1}
        call.assert_clean()


SID = "%SID%"
MALFORMED = [
    ("not json", 31951),
    ("[1]", 31951),
    ('"text"', 31951),
    ("{}", 31951),
    (json.dumps({"event": "connected"}), 31951),
    (json.dumps({"event": "dtmf", "streamSid": SID, "dtmf": {"digit": "1"}}), 31951),
    (json.dumps({"event": ["clear"], "streamSid": SID}), 31951),
    (json.dumps({"event": "clear"}), 31951),
    (json.dumps({"event": "clear", "streamSid": "MZ1"}), 31951),
    (json.dumps({"event": "clear", "streamSid": SID, "more": 1}), 31951),
    (json.dumps({"event": "mark", "streamSid": SID}), 31951),
    (json.dumps({"event": "mark", "streamSid": SID, "mark": {}}), 31951),
    (json.dumps({"event": "mark", "streamSid": SID, "mark": {"name": 1}}), 31951),
    (json.dumps({"event": "mark", "streamSid": SID, "mark": {"name": "a", "b": 1}}), 31951),
    (json.dumps({"event": "media", "streamSid": SID}), 31951),
    (json.dumps({"event": "media", "streamSid": SID, "media": "AAAA"}), 31951),
    (json.dumps({"event": "media", "streamSid": SID, "media": {"payload": ""}}), 31951),
    (json.dumps({"event": "media", "streamSid": SID, "media": {"payload": "A"}}), 31951),
    (json.dumps({"event": "media", "streamSid": SID, "media": {"payload": "ÄAAA"}}), 31951),
    (json.dumps({"event": "media", "streamSid": SID, "media": {"payload": "AA\nAA"}}), 31951),
    (json.dumps({"event": "media", "streamSid": SID, "media": {"payload": 5}}), 31951),
    (
        json.dumps(
            {"event": "media", "streamSid": SID, "media": {"payload": "AAAA", "track": "outbound"}}
        ),
        31951,
    ),
]


@pytest.mark.parametrize(("message", "code"), MALFORMED)
async def test_every_malformed_message_is_reported_and_changes_nothing(
    message: str, code: int
) -> None:
    """Twilio warns once and plays nothing; a server's mistake must not hide behind that."""
    async with telephone() as (twilio, server):
        call = await twilio.call()
        peer = await server.peer()

        await peer.socket.send_str(message.replace(SID, peer.stream_sid))
        await call.until(lambda: bool(call.violations))
        await peer.mark("still here")
        await server.until(lambda: peer.marks() == ["still here"])

        assert [one.code for one in call.violations] == [code]
        with pytest.raises(EmulatorViolations, match=str(code)):
            call.assert_clean()
        assert not call.stream.line.chunks


async def test_a_binary_frame_is_undecodable() -> None:
    """31950: some libraries send bytes as binary without being asked."""
    async with telephone() as (twilio, server):
        call = await twilio.call()
        peer = await server.peer()

        await peer.socket.send_bytes(b'{"event":"clear"}')
        await call.until(lambda: bool(call.violations))

        assert call.violations[0].code == 31950


async def test_a_broken_websocket_frame_is_a_protocol_violation() -> None:
    """31924: text that is not UTF-8; Twilio gives the stream up."""
    async with telephone() as (twilio, server):
        call = await twilio.call()
        peer = await server.peer()
        assert peer.request.transport is not None

        peer.request.transport.write(b"\x81\x02\xff\xff")
        await call.ended()

        assert [one.code for one in call.violations] == [31924]


async def test_more_than_ten_minutes_of_audio_is_reported_once() -> None:
    """31931 comes once per stream, however much is thrown away."""
    async with telephone() as (twilio, server):
        call = await twilio.call()
        peer = await server.peer()

        for _ in range(11):
            await peer.play(bytes(8000 * 60))
        await peer.play(TONE)
        await call.until(lambda: call.stream.received["media"] == 12)

        assert [one.code for one in call.violations] == [31931]


async def test_a_refused_upgrade_is_reported_and_the_twiml_goes_on() -> None:
    """31920 reaches the server only by its stream status callback; the caller hears the rest."""
    voice = CONNECT.replace('/media"', '/media" statusCallback="https://patchline.test/s"')
    async with telephone(voice.format(behind="<Say>behind</Say>")) as (twilio, server):
        server.upgrade_status = 403
        call = await twilio.call()

        assert await call.ended() == "end_of_twiml"

        assert call.said == ["behind"]
        assert [one.code for one in call.violations] == [31920]
        assert server.forms("/s")[0]["StreamEvent"] == "stream-error"
        assert server.forms("/s")[0]["StreamError"].startswith("31920")


async def test_a_refused_connection_has_its_own_code() -> None:
    """31902 instead of 31920: nobody listened."""
    voice = '<Response><Connect><Stream url="wss://127.0.0.1:9/media"/></Connect></Response>'
    async with telephone(voice) as (twilio, _server):
        call = await twilio.call()

        await call.ended()

        assert call.violations[0].code in (31902, 31904, 31910)


async def test_when_the_server_closes_the_verb_behind_connect_runs() -> None:
    """Closing is never a hang-up; what stands behind </Connect> is heard."""
    voice = CONNECT.replace('/media"', '/media" statusCallback="https://patchline.test/s"')
    async with telephone(voice.format(behind="<Say>behind</Say>")) as (twilio, server):
        call = await twilio.call()
        peer = await server.peer()

        await peer.socket.close(code=1011, message=b"bye")

        assert await call.ended() == "end_of_twiml"
        assert call.said == ["behind"]
        assert (call.stream.close_code, call.stream.close_reason) == (1011, "bye")
        assert [one.code for one in call.violations] == [31921]
        events = [form["StreamEvent"] for form in server.forms("/s")]
        assert sorted(events) == ["stream-started", "stream-stopped"]
        assert not peer.of("stop")
        call.assert_clean(allow={31921})


async def test_frames_lost_on_the_way_leave_a_gap_in_the_timestamps() -> None:
    """A server pads by timestamp; chunks count messages and show no gap."""
    async with telephone(faults=Faults(drop_every=3)) as (twilio, server):
        call = await twilio.call()
        peer = await server.peer()
        await server.until(lambda: len(peer.of("media")) >= 4)
        call.stream.skip_frames(10)
        last = int(peer.of("media")[-1]["media"]["timestamp"])
        await server.until(lambda: int(peer.of("media")[-1]["media"]["timestamp"]) > last + 150)

        media = [one["media"] for one in peer.of("media")]
        assert [one["timestamp"] for one in media[:4]] == ["0", "20", "60", "80"]
        assert [one["chunk"] for one in media] == [str(n + 1) for n in range(len(media))]


async def test_bunched_and_late_media_keeps_its_order_and_its_clock() -> None:
    """Networks deliver frames in heaps; presentation time does not care."""
    async with telephone(faults=Faults(bunch=5, jitter_ms=15)) as (twilio, server):
        await twilio.call()
        peer = await server.peer()
        await server.until(lambda: len(peer.of("media")) >= 10)

        stamps = [int(one["media"]["timestamp"]) for one in peer.of("media")]
        assert stamps == [20 * n for n in range(len(stamps))]


async def test_a_silent_carrier_sends_no_media_and_still_plays() -> None:
    """31953: audio stops while the call lives; a watchdog must not take it for the end."""
    async with telephone() as (twilio, server):
        call = await twilio.call()
        peer = await server.peer()
        await server.until(lambda: bool(peer.of("media")))

        twilio.faults.silent_media = True
        count = len(peer.of("media"))
        await peer.play(TONE[:1600])
        await peer.mark("heard")
        await server.until(lambda: peer.marks() == ["heard"])

        assert len(peer.of("media")) <= count + 2
        assert call.heard_ms == 200


async def test_half_open_is_silence_and_nothing_else() -> None:
    """Seen in production: no stop, no close, for 45 seconds, while the call is gone."""
    async with telephone() as (twilio, server):
        call = await twilio.call()
        peer = await server.peer()
        await server.until(lambda: bool(peer.of("media")))

        call.stream.die_half_open()
        await peer.play(TONE)
        count = len(peer.messages)
        with pytest.raises(TimeoutError):
            await server.until(lambda: len(peer.messages) > count + 1 or peer.gone, timeout=0.3)

        assert not peer.gone
        assert call.status == "in-progress"
        assert call.stream.received["media"] == 0


async def test_stop_without_close_leaves_the_socket_open() -> None:
    """The server has to close by itself: nothing else ever comes."""
    async with telephone() as (twilio, server):
        call = await twilio.call()
        peer = await server.peer()

        await call.stream.stop_without_close()

        assert await call.ended() == "stream"
        await server.until(lambda: bool(peer.of("stop")))
        assert not peer.gone
        await peer.socket.close()
        assert peer.socket.close_code == 1000


Death = Callable[[EmulatedStream], Awaitable[None]]


async def _close(stream: EmulatedStream) -> None:
    await stream.close_without_stop()


async def _reset(stream: EmulatedStream) -> None:
    stream.reset()


@pytest.mark.parametrize(("death", "code"), [(_close, 1000), (_reset, 1006)])
async def test_a_stream_may_go_without_stop(death: Death, code: int) -> None:
    """Close without stop, and a reset without even a close: both end the stream."""
    async with telephone() as (twilio, server):
        call = await twilio.call()
        peer = await server.peer()

        await death(call.stream)

        assert await call.ended() == "stream"
        await server.until(lambda: peer.gone)
        assert peer.socket.close_code == code
        assert not peer.of("stop")
        assert server.forms("/twilio/call-status")[-1]["CallStatus"] == "completed"


async def test_a_death_can_let_the_twiml_go_on() -> None:
    """What Twilio does with the call then is not documented; both must be survivable."""
    async with telephone() as (twilio, server):
        call = await twilio.call()
        await server.peer()

        call.stream.reset(then="next_verb")

        assert await call.ended() == "end_of_twiml"
        assert call.said == ["behind"]


async def test_stalled_reads_push_back_and_play_late() -> None:
    """While Twilio does not read, the server's writes pile up; nothing is lost by that."""
    async with telephone() as (twilio, server):
        call = await twilio.call()
        peer = await server.peer()
        await server.until(lambda: bool(peer.of("media")))

        call.stream.stall_reads()
        for _ in range(50):
            await peer.play(TONE[:160])
        await peer.mark("late")
        before = len(peer.of("media"))
        await server.until(lambda: len(peer.of("media")) > before + 3)
        assert call.stream.received["media"] <= 1
        assert not peer.marks()

        call.stream.resume_reads()
        await server.until(lambda: peer.marks() == ["late"])
        assert call.heard_ms == 1000


async def test_a_server_that_does_not_read_loses_the_callers_words() -> None:
    """31930: Twilio throws caller audio away instead of waiting for a slow server."""
    async with telephone() as (twilio, server):
        call = await twilio.call()
        peer = await server.peer()
        assert peer.request.transport is not None
        peer.request.transport.pause_reading()

        filling = asyncio.create_task(_press_for_ever(call.stream))
        await call.until(lambda: bool(call.violations))

        filling.cancel()
        assert call.violations[0].code == 31930


async def _press_for_ever(stream: EmulatedStream) -> None:
    """Fill the socket's buffers faster than fifty frames a second would."""
    while True:
        await stream.press("1" * 10_000)


def _sent(peer: Peer) -> bytes:
    return b"".join(base64.b64decode(one["media"]["payload"]) for one in peer.of("media"))
