"""The deviating servers: what each of them does that a strict one does not."""

import asyncio
from typing import Any

import pytest
from websockets.asyncio.client import connect

from app.audio import mulaw
from app.audio.tones import loudest
from app.emulators.realtime import RealtimeEmulator
from app.emulators.realtime_deviations import Deviation, HfLike, LocalAiLike, XaiLike
from app.emulators.scenario import Parallel, Reply, Scenario, ToolUse
from app.protocol.dialect import HF_SPEECH_TO_SPEECH
from app.transports.transcode import from_format
from tests.emulators.realtime_peer import KEY, LOOKUP, PHONE, Peer, dialled

PCM: dict[str, Any] = {
    "type": "realtime",
    "audio": {"output": {"format": {"type": "audio/pcm"}}, "input": {}},
}


def emulator(deviations: type[Deviation], *script: Any) -> RealtimeEmulator:
    return RealtimeEmulator(Scenario(list(script)), pace=0, deviations=deviations)


async def spoken(peer: Peer) -> dict[str, Any]:
    """Have a sentence said; its last delta."""
    await peer.send("response.create")
    await peer.until("response.done")
    return peer.of("response.output_audio.delta")[-1]


async def quiet(peer: Peer, seconds: float = 0.2) -> bool:
    """Nothing comes any more, for a while."""
    try:
        async with asyncio.timeout(seconds):
            await peer.socket.recv()
    except TimeoutError:
        return True
    return False


async def test_grok_takes_voice_and_turns_at_the_top_only() -> None:
    """Its clients move them; where they are in GA they are not."""
    top = {"voice": "marin", "turn_detection": {"type": "server_vad"}} | PHONE
    async with emulator(XaiLike) as openai, dialled(openai) as peer:
        assert (await peer.next())["type"] == "conversation.created"
        nested = PHONE | {"audio": {"output": {"voice": "marin"}}}
        refusal = await peer.refused("session.update", session=nested)
        await peer.configure(top)

    assert refusal["code"] == "unknown_parameter"


async def test_grok_tells_a_call_twice() -> None:
    """LiveKit had to take the second one out."""
    top = {"voice": "marin", "turn_detection": {"type": "server_vad"}, "tools": [LOOKUP]} | PHONE
    async with emulator(XaiLike, Parallel(ToolUse("lookup"))) as openai, dialled(openai) as peer:
        await peer.configure(top)
        await peer.send("response.create")
        await peer.until("response.done")

    assert len(peer.of("conversation.item.added")) == 2


@pytest.mark.parametrize("end_ms", [0, 100, 99_000])
async def test_localai_forgets_all_of_a_truncated_item(end_ms: int) -> None:
    """Also when it is told that more was heard than was said."""
    async with emulator(LocalAiLike, Reply("Hello there.", 200)) as openai, dialled(openai) as peer:
        item = (await spoken(peer))["item_id"]
        await peer.send(
            "conversation.item.truncate", item_id=item, content_index=0, audio_end_ms=end_ms
        )
        await peer.until("conversation.item.truncated")
        session = openai.connections[0]

    assert session.items[0].text == ""
    assert {event["event_id"] for event in peer.events} == {"event_TODO"}


async def test_localai_speaks_samples_whatever_is_asked_and_says_nothing_of_it() -> None:
    """Its echo has no format at all."""
    async with emulator(LocalAiLike, Reply("Hello.", 100)) as openai, dialled(openai) as peer:
        session = await peer.configure(PHONE)
        await spoken(peer)

    assert "format" not in session["audio"]["output"]
    assert len(peer.sound()) == 100 * 48 - 4, "a resampler drops two samples"


async def test_localai_passes_over_what_it_does_not_know() -> None:
    """Its log has it, its socket has not."""
    async with emulator(LocalAiLike) as openai, dialled(openai) as peer:
        await peer.until("conversation.created")
        await peer.send("response.hum")

        assert await quiet(peer)


async def test_hf_confirms_mulaw_and_speaks_samples() -> None:
    """The echo is what was wished for; only listening tells."""
    async with emulator(HfLike, Reply("Hello.", 100, 440)) as openai, dialled(openai) as peer:
        session = await peer.configure(PHONE)
        await spoken(peer)

    assert session["audio"]["output"]["format"]["type"] == "audio/pcmu"
    assert len(peer.sound()) == 100 * 32 - 2, "a resampler drops one sample"
    assert loudest(peer.sound(), [440.0]) is None
    heard = from_format(HF_SPEECH_TO_SPEECH.audio_out)(peer.sound())
    assert loudest(heard, [440.0, 220.0, 880.0]) == 440.0
    assert mulaw.rms(heard) > 1_000


async def test_hf_takes_a_truncation_and_does_nothing() -> None:
    """No error, no acknowledgement, no effect."""
    async with emulator(HfLike, Reply("Hello.", 100)) as openai, dialled(openai) as peer:
        item = (await spoken(peer))["item_id"]
        while not await quiet(peer):
            pass
        await peer.send("conversation.item.truncate", item_id=item, content_index=0, audio_end_ms=0)

        assert await quiet(peer)
        assert openai.connections[0].items[0].text == "Hello."


async def test_hf_refuses_the_rate_it_has() -> None:
    """Its messages are read by types that know 24,000 only."""
    wanted = PCM | {"audio": {"output": {"format": {"type": "audio/pcm", "rate": 16_000}}}}
    async with emulator(HfLike) as openai, dialled(openai) as peer:
        refusal = await peer.refused("session.update", session=wanted)
        session = await peer.configure(PCM)

    assert refusal["code"] == "unknown_or_invalid_event"
    assert session["audio"]["output"]["format"] == {"type": "audio/pcm", "rate": None}


async def test_hf_tells_the_end_of_a_call_alone() -> None:
    """And its address names no model."""
    script = Parallel(ToolUse("lookup", {"a": 1}))
    async with emulator(HfLike, script) as openai:
        url = f"ws://127.0.0.1:{openai.port}/v1/realtime"
        async with connect(url, additional_headers=KEY, compression=None) as socket:
            peer = Peer(socket)
            await peer.configure(PCM | {"tools": [LOOKUP]})
            await peer.send("response.create")
            await peer.until("response.done")

    told = [name for name in peer.types() if "item" in name or "function" in name]
    assert told == ["conversation.item.created", "response.function_call_arguments.done"]
