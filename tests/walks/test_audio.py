"""Audio passes untouched, at once, frame by frame, in the format both companies speak."""

import asyncio
import base64
from pathlib import Path

from app.audio.tones import tone
from app.emulators.realtime import RealtimeEmulator
from app.emulators.scenario import Expect, Items, Receptionist, Reply, Scenario, Speech
from tests.waiting import until
from tests.walks.raw_stream import invited, raw_stream
from tests.walks.stage import measured, stage

SILENT = b"\xff"
AGENT = """
instructions: You answer the phone for the tests.
greeting: Hello.
model: gpt-realtime-test
voice: cedar
turn_detection: {type: server_vad, silence_duration_ms: 120, threshold: 0.4}
transcription: {model: gpt-transcribe, language: fr}
noise_reduction: {type: far_field}
"""


async def test_what_the_model_says_is_what_the_caller_hears(tmp_path: Path) -> None:
    """O1: not a byte is changed, lost or doubled on its way to the ear."""
    said = tone(440, 333) + tone(554, 250) + tone(659, 117)
    script = Scenario([Items([Speech("Hello.", audio=said)])])
    openai = RealtimeEmulator(script, delta_ms=(7, 20, 150, 401))
    async with stage(openai, tmp_path) as s:
        call = await s.twilio.call()
        await call.heard_at_least(700)
        await until(lambda: not call.stream.line.playing)

        assert in_order(call.stream.line.heard, said)
        call.assert_clean()


def in_order(heard: bytes, said: bytes) -> bool:
    """Whether all that was heard is ``said``, between silences: where the machine is busy it
    comes late, and the ear hears nothing meanwhile."""
    rest = iter(said)
    wanted = next(rest)
    for at, byte in enumerate(heard):
        if byte == wanted:
            wanted = next(rest, None)
            if wanted is None:
                return not heard[at + 1 :].strip(SILENT)
        elif byte != SILENT[0]:
            return False
    return False


async def test_every_frame_of_the_caller_is_handed_on_by_itself(tmp_path: Path) -> None:
    """S1, D-BL-4, D-OAP-5: batching frames would add its length to every turn's end."""
    async with stage(RealtimeEmulator(Receptionist), tmp_path) as s:
        call_sid, token = await invited(s)
        async with raw_stream(s) as stream:
            await stream.start(call_sid, token)
            await stream.read("media")
            events = s.session.client_events
            frames = [tone(200 + 10 * index, 20) for index in range(25)]
            sent = [base64.b64encode(frame).decode() for frame in frames]

            for index, payload in enumerate(sent):
                sent_s = asyncio.get_running_loop().time()
                await stream.media(payload, str(20 * index))
                await events.until("input_audio_buffer.append", index + 1)
            measured("one frame from socket to socket", sent_s)

            assert [one["audio"] for one in events.of("input_audio_buffer.append")] == sent


async def test_the_session_is_what_the_document_says(tmp_path: Path) -> None:
    """O1, O24, S18, D-OAJ-1, D-JB-3: GA shape, mu-law both ways, before anything is asked."""
    script = Scenario([Expect(sent=["session.update", "response.create"]), Reply("Hello.", 300)])
    openai = RealtimeEmulator(script)
    async with stage(openai, tmp_path, agent=AGENT) as s:
        call = await s.twilio.call()
        await call.heard_at_least(200)

        (update,) = s.session.client_events.of("session.update")
        session = update["session"]
        assert session["type"] == "realtime"
        assert session["output_modalities"] == ["audio"]
        assert session["audio"]["output"]["format"] == {"type": "audio/pcmu"}
        assert session["audio"]["output"]["voice"] == "cedar"
        heard = session["audio"]["input"]
        assert heard["format"] == {"type": "audio/pcmu"}
        assert heard["noise_reduction"] == {"type": "far_field"}
        assert heard["turn_detection"]["threshold"] == 0.4
        assert heard["transcription"]["model"] == "gpt-transcribe"
        assert [tool["name"] for tool in session["tools"]] == ["end_call"]
        assert s.session.model == "gpt-realtime-test"
        assert s.session.headers["authorization"] == "Bearer sk-local"
        assert "openai-beta" not in s.session.headers
        assert "sec-websocket-extensions" not in s.session.headers
        openai.assert_clean()
        s.assert_conforms()
