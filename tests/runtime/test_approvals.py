"""Tools that wait for a person, in this process and in another."""

import asyncio
from collections.abc import Coroutine
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import pytest

from app.errors import CallerFault, OurFault
from app.protocol.commands import RunTool
from app.runtime import approvals
from app.runtime.approvals import Approvals

CALL = "call_" + "0" * 24
WISH = RunTool("tc1", "refund", '{"pin":"{{dtmf.pin}}"}')


@dataclass
class Call:
    """As much of a live call as is asked for."""

    call_id: str = CALL
    patience_ms: int | None = 60_000
    told: list[tuple[str, dict[str, Any]]] = field(default_factory=list)

    @property
    def met(self) -> Any:
        """Its line."""
        return SimpleNamespace(approval=lambda _tool: self.patience_ms)

    def now_ms(self) -> int:
        """No time passes."""
        return 0

    def tell(self, _at_ms: int, kind: str, data: dict[str, Any]) -> None:
        """A fact."""
        self.told.append((kind, data))


class Process:
    """One of those that answer under the same address, with its calls."""

    def __init__(self, name: str, house: "dict[str, Process]", *calls: Call) -> None:
        self.calls = {call.call_id: call for call in calls}
        self.house = house
        house[name] = self
        book: Any = SimpleNamespace(here=self.calls.get)
        self.approvals = Approvals(book, self, self, me=name)  # type: ignore[arg-type]
        self.answer = self.approvals.or_else(self._nothing)

    async def _nothing(self, _op: str, _args: dict[str, Any]) -> None:
        return None

    async def row(self, call_id: str) -> Any:
        """What the store knows: the call lives, in the process that has it."""
        owner = next((n for n, p in self.house.items() if call_id in p.calls), None)
        return SimpleNamespace(erased=False, status="live", owner=owner) if owner else None

    async def approvals_asked(self) -> list[tuple[str, dict[str, Any]]]:
        """What the store knows of all calls: everything that was told."""
        return [
            (call.call_id, data)
            for one in self.house.values()
            for call in one.calls.values()
            for kind, data in call.told
            if kind == "tool.approval_requested"
        ]

    async def ask(self, to: str, op: str, args: dict[str, Any], within_s: float) -> Any | None:
        """Over the bus; None where nobody is."""
        return await self.house[to].answer(op, args) if to in self.house else None


async def asking(call: Call, process: Process) -> "asyncio.Task[str | None]":
    """A tool call that waits."""
    work: Coroutine[Any, Any, str | None] = process.approvals.asked(call, WISH)  # type: ignore[arg-type]
    task = asyncio.create_task(work)
    await asyncio.sleep(0)
    return task


def asked_for(call: Call) -> str:
    """The id of what waits."""
    return str(call.told[0][1]["approval_id"])


async def test_what_needs_no_approval_waits_for_nobody() -> None:
    """Every tool call passes here."""
    call = Call(patience_ms=None)

    assert await (await asking(call, Process("a", {}, call))) is None
    assert call.told == []


async def test_a_tool_is_allowed_by_a_person_and_the_first_word_counts() -> None:
    """O14: it does not run until approved; the same word again is no mistake, another is late."""
    call, house = Call(), dict[str, Process]()
    process = Process("a", house, call)
    task = await asking(call, process)

    [waiting] = await process.approvals.waiting()
    assert (waiting.name, waiting.arguments) == ("refund", '{"pin":"{{dtmf.pin}}"}')
    assert not task.done()
    for _ in range(2):
        await process.approvals.decide(asked_for(call), approve=True, reason="")

    assert await task is None
    with pytest.raises(CallerFault, match="decided"):
        await process.approvals.decide(asked_for(call), approve=False, reason="no")
    assert [(kind, data.get("state")) for kind, data in call.told] == [
        ("tool.approval_requested", None),
        ("tool.approval_answered", "approved"),
    ]
    assert await process.approvals.waiting() == []


async def test_a_refusal_carries_its_reason() -> None:
    """O14: the model can tell the caller why."""
    call = Call()
    process = Process("a", {}, call)
    task = await asking(call, process)

    await process.approvals.decide(asked_for(call), approve=False, reason="Over the limit.")

    assert await task == approvals.REFUSED.format(reason=" They say: Over the limit.")


async def test_nobodys_answer_is_a_refusal() -> None:
    """O14: timeout → rejected; and it is too late then."""
    call = Call(patience_ms=1)
    process = Process("a", {}, call)

    assert await (await asking(call, process)) == approvals.TIMED_OUT
    assert call.told[-1][1]["state"] == "timed_out"
    with pytest.raises(CallerFault):
        await process.approvals.decide(asked_for(call), approve=True, reason="")


async def test_a_hang_up_withdraws_the_question() -> None:
    """Nobody is to decide about somebody who is gone."""
    call = Call()
    process = Process("a", {}, call)
    task = await asking(call, process)

    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task

    assert call.told[-1][1]["state"] == "canceled"
    assert await process.approvals.waiting() == []


async def test_a_word_reaches_the_process_that_has_the_call() -> None:
    """Requests come to any of them; all of them list what waits anywhere, once."""
    call, house = Call(), dict[str, Process]()
    has_it, other = Process("a", house, call), Process("b", house)
    task = await asking(call, has_it)

    for process in (has_it, other):
        assert [one.approval_id for one in await process.approvals.waiting()] == [asked_for(call)]
    await other.approvals.decide(asked_for(call), approve=True, reason="")
    await other.approvals.decide(asked_for(call), approve=True, reason="")

    assert await task is None
    with pytest.raises(CallerFault):
        await other.approvals.decide(asked_for(call), approve=False, reason="")


async def test_a_process_that_does_not_answer_may_be_asked_again() -> None:
    """Nobody is told that something was decided which was not."""
    call, house = Call(), dict[str, Process]()
    has_it, other = Process("a", house, call), Process("b", house)
    task = await asking(call, has_it)

    has_it.answer = has_it._nothing  # type: ignore[assignment]
    with pytest.raises(OurFault):
        await other.approvals.decide(asked_for(call), approve=True, reason="")

    assert not task.done()
    task.cancel()


@pytest.mark.parametrize("name", ["appr_x", f"appr_{'1' * 24}_{'0' * 12}"])
async def test_what_nobody_asked_is_unknown(name: str) -> None:
    """A guess is answered like a typing mistake."""
    with pytest.raises(CallerFault) as fault:
        await Process("a", {}).approvals.decide(name, approve=True, reason="")

    assert fault.value.reason == "unknown"
