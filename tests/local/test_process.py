"""The local model as a process: started, spoken to with the official client, ended by its pipe."""

import asyncio
import base64
import json
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from openai import AsyncOpenAI
from websockets.exceptions import InvalidStatus

from app.audio import mulaw
from app.local.decoding import available
from app.tools.builtin import end_call
from tests.local.utterances import utterances

ROOT = Path(__file__).parents[2]
SESSION: dict[str, Any] = {
    "type": "realtime",
    "instructions": "You are Contoso.",
    "tools": [end_call()],
    "audio": {
        "input": {
            "format": {"type": "audio/pcmu"},
            "transcription": {"model": "any"},
            "turn_detection": {"type": "server_vad", "silence_duration_ms": 300},
        },
        "output": {"format": {"type": "audio/pcmu"}},
    },
}


@asynccontextmanager
async def local_model(
    *more: str, env: dict[str, str] | None = None
) -> AsyncIterator[tuple[AsyncOpenAI, dict[str, Any]]]:
    """The process, its client, and what it said of itself; its end is part of the test."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "app.local", *more),
        cwd=ROOT,
        env=env,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        async with asyncio.timeout(60):
            ready = json.loads(await process.stdout.readline())
        base_url = f"http://127.0.0.1:{ready['port']}/v1"
        async with AsyncOpenAI(base_url=base_url, api_key="sk-local", max_retries=0) as client:
            yield client, ready
        process.stdin.close()
        async with asyncio.timeout(60):
            assert await process.wait() == 0
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


async def events(connection: Any, last: str) -> list[Any]:
    """Everything up to the first event of that type."""
    found = []
    async with asyncio.timeout(60):
        async for event in connection:
            found.append(event)
            if event.type == last:
                return found
    raise AssertionError(f"no {last}")


async def test_it_says_what_it_has_and_greets_as_it_is_told() -> None:
    """Every rung of the three ladders is told, for the log and for the page."""
    async with local_model() as (client, ready), client.realtime.connect(model="any") as line:
        await line.session.update(session=SESSION)  # type: ignore[arg-type]
        await line.response.create(
            response={"instructions": 'Say exactly this, word for word: "Hello, Contoso Dental."'}
        )
        told = await events(line, "response.done")

    assert set(ready) >= {"ready", "port", "hear", "think", "speak"}
    assert ready["think"] == "rules of the agent document"
    said = [event.transcript for event in told if hasattr(event, "transcript")]
    assert said[-1] == "Hello, Contoso Dental."
    audio = b"".join(
        base64.b64decode(e.delta) for e in told if e.type == "response.output_audio.delta"
    )
    assert mulaw.rms(audio) > 1000


async def test_a_spoken_sentence_is_understood() -> None:
    """From appended frames to words: voice activity, grammar, answer."""
    if not available():
        pytest.skip("PocketSphinx is not installed")
    spoken = next(
        one for one in utterances() if (one.voice, one.text) == ("flite slt", "thank you goodbye")
    )
    frames = mulaw.silence(500) + spoken.audio + mulaw.silence(1200)
    async with local_model() as (client, _), client.realtime.connect(model="any") as line:
        await line.session.update(session=SESSION)  # type: ignore[arg-type]
        for at in range(0, len(frames), 160):
            await line.input_audio_buffer.append(
                audio=base64.b64encode(frames[at : at + 160]).decode()
            )
        told = await events(line, "response.done")

    kinds = [event.type for event in told]
    assert "input_audio_buffer.speech_started" in kinds
    assert "input_audio_buffer.speech_stopped" in kinds
    heard = "conversation.item.input_audio_transcription.completed"
    if heard not in kinds:
        pytest.fail(f"no transcript among {kinds}")
    assert [e.transcript for e in told if e.type == heard] == ["thank you goodbye"]


async def test_one_session_too_many_is_refused_and_the_others_go_on() -> None:
    """The decoders share one core; the caller hears a sentence, not silence."""
    async with (
        local_model("--sessions", "1") as (client, _),
        client.realtime.connect(model="any") as line,
    ):
        await events(line, "session.created")
        with pytest.raises(InvalidStatus, match="429"):
            async with client.realtime.connect(model="any"):
                pytest.fail("two sessions")
        await line.session.update(session=SESSION)  # type: ignore[arg-type]
        await events(line, "session.updated")


async def test_a_scenario_that_cannot_be_used_ends_the_start(tmp_path: Path) -> None:
    """Before the first call, with the place of the mistake."""
    file = tmp_path / "clinic.yaml"
    file.write_text("intents: {a: {say_like: [x]}}")
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "app.local", "--scenario", str(file)),
        cwd=ROOT,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )

    out, complaint = await process.communicate()

    assert process.returncode == 1
    assert out == b""
    assert b"clinic.yaml: intents.a" in complaint
    assert b"Traceback" not in complaint
