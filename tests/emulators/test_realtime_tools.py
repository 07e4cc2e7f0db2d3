"""Function calls of the model: one, several, announced twice, broken, and their outputs."""

import json

import pytest

from app.emulators.realtime import RealtimeEmulator
from app.emulators.scenario import Expect, Hang, Items, Parallel, Reply, Scenario, ToolUse
from tests.emulators.realtime_peer import answered, offering, ready


async def test_a_tool_makes_a_round_trip() -> None:
    """Announced, written in pieces, closed; its output is found by the next turn."""
    script = Scenario(
        [
            Items([ToolUse("lookup", {"order": 1234567}, call_id="call_a")]),
            Expect(tool_outputs=1, tool_output_contains="shipped", absent=["response.cancel"]),
            Reply("It has been sent.", 100),
        ]
    )
    async with RealtimeEmulator(script) as emulator, ready(emulator) as peer:
        await offering(peer)
        done = await answered(peer)
        output = {"type": "function_call_output", "call_id": "call_a", "output": "shipped"}
        await peer.send("conversation.item.create", item=output)
        await answered(peer)
        emulator.assert_clean()

    pieces = [e["delta"] for e in peer.of("response.function_call_arguments.delta")]
    finished = peer.of("response.function_call_arguments.done")[0]
    assert len(pieces) > 1
    assert "".join(pieces) == finished["arguments"] == json.dumps({"order": 1234567})
    assert (finished["name"], finished["call_id"]) == ("lookup", "call_a")
    assert peer.of("response.output_item.added")[0]["item"]["arguments"] == ""
    assert done["output"][0]["type"] == "function_call"


async def test_parallel_calls_are_numbered_in_one_response() -> None:
    """All outputs first, then one response: the client must see that they belong together."""
    turn = Parallel(ToolUse("lookup", {"id": 1}), ToolUse("lookup", {"id": 2}))
    async with RealtimeEmulator(Scenario([turn])) as emulator, ready(emulator) as peer:
        await offering(peer)
        done = await answered(peer)

    ids = {event["response_id"] for event in peer.of("response.output_item.done")}
    assert ids == {done["id"]}
    assert [e["output_index"] for e in peer.of("response.output_item.done")] == [0, 1]
    assert len({item["call_id"] for item in done["output"]}) == 2


async def test_a_call_may_be_announced_twice() -> None:
    """Executed once, or the order is placed twice."""
    turn = Parallel(ToolUse("lookup", announced=2))
    async with RealtimeEmulator(Scenario([turn])) as emulator, ready(emulator) as peer:
        await offering(peer)
        done = await answered(peer)

    assert len(peer.of("response.output_item.done")) == 2
    assert len(peer.of("response.function_call_arguments.done")) == 2
    assert len(done["output"]) == 1


async def test_an_interrupted_call_has_broken_arguments() -> None:
    """`D-JB-2`: half a JSON text, an incomplete item, a cancelled response: not to be run."""
    script = Scenario([Hang(ToolUse("lookup", '{"order": 12')), Reply("yes?", 100)])
    async with RealtimeEmulator(script) as emulator, ready(emulator) as peer:
        await offering(peer)
        await peer.send("response.create")
        await peer.until("response.function_call_arguments.delta")
        await peer.speak()
        done = (await peer.until("response.done"))["response"]
        await peer.pause()
        await peer.until("response.done")
        emulator.assert_clean()

    assert done["status"] == "cancelled"
    assert done["output"][0]["status"] == "incomplete"
    with pytest.raises(json.JSONDecodeError):
        json.loads(done["output"][0]["arguments"])


async def test_an_output_needs_a_call_and_a_call_needs_one_output() -> None:
    """An output for nothing is refused; a second one is accepted and noted."""
    script = Scenario([Parallel(ToolUse("lookup", call_id="call_a"))])
    output = {"type": "function_call_output", "call_id": "call_a", "output": "1"}
    async with RealtimeEmulator(script) as emulator, ready(emulator) as peer:
        await offering(peer)
        item = output | {"call_id": "call_b"}
        error = await peer.refused("conversation.item.create", item=item)
        await answered(peer)
        for _ in range(2):
            await peer.send("conversation.item.create", item=output)
        await peer.configure()
        violations = emulator.connections[0].violations

    assert error["code"] == "invalid_tool_call_id"
    assert violations[1] == "conversation.item.create: a second output for call_a"
