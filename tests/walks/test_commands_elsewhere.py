"""Orders that reach another process than the one that has the call, which may be dead."""

import asyncio
import signal
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import aiohttp

from app.emulators.twilio import DialOutcome
from app.emulators.twilio_call import EmulatedCall
from tests.services.conftest import postgres_url  # noqa: F401 - a fixture
from tests.walks.stage import API_KEY
from tests.walks.test_process import NUMBER
from tests.walks.test_reentry import pair, talked

TRANSFER = {"type": "transfer", "target": "billing", "announcement": "To Anna, then."}
ANSWERS = {NUMBER: DialOutcome("bridged", talk_ms=200)}


async def order(
    port: int, call: EmulatedCall, verb: str, path: str, body: Any
) -> tuple[int, dict[str, Any]]:
    """What a process answers to an order of the operator's."""
    headers = {"Authorization": f"Bearer {API_KEY}"}
    url = f"http://127.0.0.1:{port}/v1/calls/{call.call_sid}/{path}"
    async with (
        aiohttp.ClientSession(headers=headers) as client,
        client.request(verb, url, json=body) as answer,
    ):
        return answer.status, await answer.json()


async def put(port: int, call: EmulatedCall, patch: dict[str, Any]) -> tuple[int, dict[str, Any]]:
    return await order(port, call, "PATCH", "custom-data", patch)


async def command(port: int, call: EmulatedCall, *wanted: Any) -> tuple[int, dict[str, Any]]:
    return await order(port, call, "POST", "commands", list(wanted))


def states(body: dict[str, Any]) -> list[str]:
    return [one["state"] for one in body["commands"]]


@contextmanager
def nobody() -> Iterator[int]:
    """A port where connections are made and nothing is ever answered."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
        yield port


async def test_orders_reach_a_call_in_another_process_once_or_not_at_all(
    tmp_path: Path,
    postgres_url: str,  # noqa: F811 - a fixture
) -> None:
    """Data is put to it, its caller put through, each answered with what became of it."""
    async with pair(tmp_path, database_url=postgres_url) as p:
        first, second = await p.start(), await p.start()
        p.front.to = [first]
        call, other, third = [await talked(p, answers=ANSWERS) for _ in range(3)]

        # The live call's own copy is what is merged into, here and there; also what is long.
        assert await put(second, call, {"a": 1, "b": 1}) == (200, {"custom_data": {"a": 1, "b": 1}})
        assert (await put(first, call, {"b": "", "c": 3}))[1] == {"custom_data": {"a": 1, "c": 3}}
        long = {"a": None, "text": "Grüße " * 4_000}
        assert (await put(second, call, long))[1]["custom_data"] == {"c": 3, "text": long["text"]}
        refused = await put(second, call, {"more": "x" * 50_000})
        assert (refused[0], refused[1]["detail"]) == (
            413,
            "a call's custom data may have 64 KiB in all",
        )

        told = await command(second, call, {"type": "add_message", "text": "A patient."}, TRANSFER)
        assert (told[0], states(told[1])) == (202, ["completed", "accepted"])
        again = await command(second, call, TRANSFER)
        assert (again[0], again[1]["detail"]) == (409, "a transfer is under way already")
        await call.until(lambda: call.dialled == [NUMBER])
        record = await p.ended(second, call)
        assert record["end_reason"] == "transferred"
        assert record["custom_data"] == {"c": 3, "text": long["text"]}
        assert "To Anna, then." in str(p.openai.connections[0].client_events)

        said = await command(second, other, {"type": "say", "text": "Bye."}, {"type": "end_call"})
        assert (said[0], states(said[1])) == (202, ["accepted", "accepted"])
        await other.ended()
        assert (await p.ended(first, other))["end_reason"] == "operator_ended"
        over = await command(first, other, {"type": "end_call"})
        assert (over[0], over[1]["detail"]) == (409, "the call is over (operator_ended)")

        # A process that stood still hears the order when it thaws, and that nobody wants it now.
        p.processes[first].send_signal(signal.SIGSTOP)

        answers = await asyncio.gather(
            command(second, third, TRANSFER), put(second, third, {"a": 1})
        )

        p.processes[first].send_signal(signal.SIGCONT)
        for status, body in answers:
            assert (status, "does not answer" in body["detail"]) == (503, True)
        # What was given up came before this, on the same channel.
        told = await command(second, third, {"type": "say", "text": "Still here."})
        assert (told[0], states(told[1])) == (202, ["accepted"])
        heard_ms = third.heard_ms
        await third.heard_at_least(heard_ms + 200)
        assert third.dialled == []

        # Twilio ends a call for anybody, whatever its process does.
        p.front.to = [second]
        await p.front.drop_kept()
        p.processes[first].send_signal(signal.SIGSTOP)
        assert (await command(second, third, {"type": "end_call"}))[0] == 200
        await third.ended()
        record = await p.ended(second, third)
        assert record["custom_data"] == {}
        assert record["transfers"] == []


async def test_a_caller_of_a_dead_process_is_put_through_all_the_same(
    tmp_path: Path,
    postgres_url: str,  # noqa: F811 - a fixture
) -> None:
    """The process that is asked claims the call, and Twilio says the announcement; what needs a
    stream waits for one; a call is ended whoever has it."""
    async with pair(tmp_path, database_url=postgres_url) as p:
        first, second = await p.start(), await p.start()
        p.front.to = [first]
        calls = [await talked(p, answers=ANSWERS), await talked(p)]
        with nobody() as hole:
            # Twilio's own question must not be faster than the operator.
            p.front.to = [hole]
            await p.kill(first)

            said = await command(second, calls[1], {"type": "say", "text": "Hello."})
            assert (said[0], "ask again" in said[1]["detail"]) == (503, True)
            told = await command(second, calls[0], TRANSFER)
            assert (told[0], states(told[1])) == (200, ["completed"])
            ended = await command(second, calls[1], {"type": "end_call"})
            assert (ended[0], states(ended[1])) == (200, ["completed"])
            p.front.to = [second]

        await calls[0].until(lambda: calls[0].dialled == [NUMBER], timeout=60)
        assert "To Anna, then." in calls[0].said
        record = await p.ended(second, calls[0])
        assert record["end_reason"] == "transferred"
        assert [one["outcome"] for one in record["transfers"]] == ["connected"]
        assert (await p.ended(second, calls[1]))["end_reason"] == "operator_ended"
