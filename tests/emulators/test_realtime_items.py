"""Items of the conversation: order, truncation to the millisecond, deletion, retrieval."""

import base64
from typing import Any

import pytest

from app.audio import tones
from app.emulators.realtime import RealtimeEmulator
from app.emulators.scenario import Reply, Scenario
from tests.emulators.realtime_peer import Peer, ready


def message(item_id: str, text: str = "hi", role: str = "user") -> dict[str, Any]:
    """A written message."""
    part = "output_text" if role == "assistant" else "input_text"
    content = [{"type": part, "text": text}]
    return {"id": item_id, "type": "message", "role": role, "content": content}


async def spoken(peer: Peer) -> str:
    """Have the model say a second of something and return the item."""
    await peer.send("response.create")
    done = await peer.until("response.done")
    item_id: str = done["response"]["output"][0]["id"]
    return item_id


def cut(item_id: str, audio_end_ms: int) -> dict[str, Any]:
    """The fields of a truncation."""
    return {"item_id": item_id, "content_index": 0, "audio_end_ms": audio_end_ms}


async def test_truncation_is_echoed_and_forgets_the_transcript() -> None:
    """What was not heard was not said."""
    async with RealtimeEmulator(Scenario([Reply("hello", 1000)]), pace=0) as emulator:
        async with ready(emulator) as peer:
            item_id = await spoken(peer)
            await peer.send("conversation.item.truncate", **cut(item_id, 1000))
            await peer.send("conversation.item.truncate", **cut(item_id, 400))
            await peer.until("conversation.item.truncated")
            event = await peer.until("conversation.item.truncated")
        emulator.assert_clean()
        item = emulator.connections[0].items[0]

    assert event["audio_end_ms"] == 400
    assert (item.truncated_ms, item.audio_ms) == (400, 400)
    assert item.wire["content"][0]["transcript"] is None


async def test_truncation_beyond_the_end_is_refused_with_both_lengths() -> None:
    """`D-TAC-1`, `D-TRA-1`: a client that counts what it sent instead of what was heard."""
    async with RealtimeEmulator(Scenario([Reply("hello", 1000)]), pace=0) as emulator:
        async with ready(emulator) as peer:
            item_id = await spoken(peer)
            error = await peer.refused("conversation.item.truncate", **cut(item_id, 1001))
            await peer.send("conversation.item.truncate", **cut(item_id, 300))
            again = await peer.refused("conversation.item.truncate", **cut(item_id, 400))
        violations = emulator.connections[0].violations

    assert error["code"] == "invalid_value"
    assert error["message"] == "Audio content of 1000ms is already shorter than 1001ms"
    assert again["message"] == "Audio content of 300ms is already shorter than 400ms"
    assert len(violations) == 2


async def test_an_item_that_is_still_spoken_is_as_long_as_what_was_sent() -> None:
    """Nobody can have heard what was not sent yet."""
    async with (
        RealtimeEmulator(Scenario([Reply("a story", 5000)]), pace=1) as emulator,
        ready(emulator) as peer,
    ):
        await peer.send("response.create")
        delta = await peer.until("response.output_audio.delta")
        error = await peer.refused("conversation.item.truncate", **cut(delta["item_id"], 4000))
        await peer.send("conversation.item.truncate", **cut(delta["item_id"], 60))
        await peer.until("conversation.item.truncated")

    assert "is already shorter than 4000ms" in error["message"]


@pytest.mark.parametrize(
    ("event_type", "code"),
    [
        ("conversation.item.truncate", "item_truncate_invalid_item_id"),
        ("conversation.item.delete", "item_delete_invalid_item_id"),
        ("conversation.item.retrieve", "item_retrieve_invalid_item_id"),
    ],
)
async def test_an_unknown_item_is_refused(event_type: str, code: str) -> None:
    """Ids of the connection before mean nothing on this one."""
    fields = cut("item_old", 10) if event_type.endswith("truncate") else {"item_id": "item_old"}
    async with RealtimeEmulator(Scenario([])) as emulator, ready(emulator) as peer:
        error = await peer.refused(event_type, **fields)

    assert error["code"] == code


async def test_only_what_the_model_said_aloud_can_be_truncated() -> None:
    """The one error of the service whose code is null."""
    async with RealtimeEmulator(Scenario([])) as emulator, ready(emulator) as peer:
        await peer.send("conversation.item.create", item=message("m1"))
        error = await peer.refused("conversation.item.truncate", **cut("m1", 0))

    assert error["code"] is None
    assert error["message"] == "Only model output audio messages can be truncated"


async def test_items_are_placed_where_the_client_says() -> None:
    """At the end, at the root, after another one; each told as added and done."""
    async with RealtimeEmulator(Scenario([])) as emulator, ready(emulator) as peer:
        await peer.send("conversation.item.create", item=message("m1"))
        await peer.send("conversation.item.create", item=message("m3", role="assistant"))
        await peer.send(
            "conversation.item.create", item=message("m0", role="system"), previous_item_id="root"
        )
        await peer.send("conversation.item.create", item=message("m2"), previous_item_id="m1")
        error = await peer.refused(
            "conversation.item.create", item=message("m4"), previous_item_id="m9"
        )
        order = [item.id for item in emulator.connections[0].items]

    assert order == ["m0", "m1", "m2", "m3"]
    added = [(e["item"]["id"], e["previous_item_id"]) for e in peer.of("conversation.item.added")]
    assert added == [("m1", None), ("m3", "m1"), ("m0", None), ("m2", "m1")]
    assert error["param"] == "previous_item_id"


async def test_an_id_is_used_once_even_when_its_item_is_gone() -> None:
    """A seeded conversation must mint its own ids."""
    async with RealtimeEmulator(Scenario([])) as emulator, ready(emulator) as peer:
        await peer.send("conversation.item.create", item=message("m1"))
        await peer.send("conversation.item.delete", item_id="m1")
        await peer.until("conversation.item.deleted")
        error = await peer.refused("conversation.item.create", item=message("m1"))

    assert "'m1' already exists" in error["message"]


@pytest.mark.parametrize(
    "item",
    [
        message("m1", role="developer"),
        message("m1") | {"content": [{"type": "text", "text": "beta"}]},
        message("m1") | {"content": [{"type": "output_text", "text": "wrong side"}]},
        message("m1") | {"content": [{"type": "input_audio", "audio": "%%%"}]},
        message("m1", role="assistant") | {"content": [{"type": "output_audio", "audio": ""}]},
        message("x" * 33),
        {"type": "function_call_output", "call_id": "c", "output": {"ok": True}},
        {"type": "item_reference", "id": "m1"},
        {"type": "mcp_approval_response", "approval_request_id": "m", "approve": True},
    ],
)
async def test_items_the_service_would_not_take_are_refused(item: dict[str, Any]) -> None:
    """Wrong roles, parts of the beta, outputs that are no strings, assistants with audio."""
    async with RealtimeEmulator(Scenario([])) as emulator, ready(emulator) as peer:
        await peer.refused("conversation.item.create", item=item)

    assert len(emulator.connections[0].violations) == 1
    assert emulator.connections[0].items == []


async def test_a_retrieved_item_carries_its_audio() -> None:
    """Large on the real service: the reason not to ask for it."""
    turn = base64.b64encode(tones.tone(300, 100)).decode()
    item = {
        "id": "m1",
        "type": "message",
        "role": "user",
        "content": [{"type": "input_audio", "audio": turn, "transcript": "hi"}],
    }
    async with (
        RealtimeEmulator(Scenario([Reply("hello", 200)]), pace=0) as emulator,
        ready(emulator) as peer,
    ):
        item_id = await spoken(peer)
        await peer.send("conversation.item.create", item=item)
        added = await peer.until("conversation.item.added")
        await peer.send("conversation.item.retrieve", item_id=item_id)
        said = (await peer.until("conversation.item.retrieved"))["item"]
        await peer.send("conversation.item.retrieve", item_id="m1")
        heard = (await peer.until("conversation.item.retrieved"))["item"]

    assert "audio" not in added["item"]["content"][0]
    assert base64.b64decode(said["content"][0]["audio"]) == peer.sound(item_id)
    assert heard["content"][0]["audio"] == turn
