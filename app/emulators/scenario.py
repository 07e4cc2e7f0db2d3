"""Scripts for the local model, and a receptionist for when there is none.

The rule of a script is that it must be used up: a turn that nobody asked for, a question that
nobody expected and an expectation that was not met are all reported by ``assert_consumed``.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from app.emulators.realtime_turns import (
    Ask,
    Brain,
    Cut,
    Empty,
    Fail,
    Hang,
    Heard,
    Items,
    Origin,
    Parallel,
    Plan,
    Reply,
    Slow,
    Speech,
    TextOnly,
    ToolUse,
    Turn,
    Words,
)

__all__ = [
    "Ask", "Brain", "Cut", "Empty", "Expect", "Fail", "Hang", "Heard", "Items", "Parallel", "Plan",
    "Receptionist", "Reply", "Scenario", "Slow", "Speech", "TextOnly", "ToolUse", "Turn", "Words",
]  # fmt: skip


@dataclass(frozen=True, slots=True)
class Expect:
    """What the client must have sent since the previous response of the script was asked for."""

    sent: Sequence[str] = ()
    """Event types, in this order; others may stand between them."""
    absent: Sequence[str] = ()
    """Event types that must not be among them."""
    tool_outputs: int | None = None
    tool_output_contains: str | None = None
    message_contains: str | None = None
    truncated_ms: tuple[int, int] | None = None
    """The last truncation lies within these, both included."""
    origin: Origin | None = None
    instructions_contain: str | None = None
    tools: Sequence[str] = ()
    metadata: Mapping[str, str] | None = None

    def faults(self, events: Sequence[Mapping[str, Any]], ask: Ask | None) -> list[str]:
        """Everything about it that is not so; ``ask`` is None at the end of the script."""
        return [
            *self._order_faults(events),
            *self._item_faults(events),
            *self._truncation_faults(events),
            *self._ask_faults(ask),
        ]

    def _order_faults(self, events: Sequence[Mapping[str, Any]]) -> list[str]:
        types = [event["type"] for event in events]
        rest = iter(types)
        faults = [f"no {wanted} among {types}" for wanted in self.sent if wanted not in rest]
        return faults + [f"{name} was sent" for name in self.absent if name in types]

    def _item_faults(self, events: Sequence[Mapping[str, Any]]) -> list[str]:
        items = [e["item"] for e in events if e["type"] == "conversation.item.create"]
        outputs = [item["output"] for item in items if item["type"] == "function_call_output"]
        texts = [
            part.get("text", "")
            for item in items
            if item["type"] == "message"
            for part in item["content"]
        ]
        faults = []
        if self.tool_outputs is not None and len(outputs) != self.tool_outputs:
            faults.append(f"{len(outputs)} tool outputs instead of {self.tool_outputs}")
        for part, found in (
            (self.tool_output_contains, outputs),
            (self.message_contains, texts),
        ):
            if part is not None and not any(part in one for one in found):
                faults.append(f"{part!r} in none of {found}")
        return faults

    def _truncation_faults(self, events: Sequence[Mapping[str, Any]]) -> list[str]:
        if self.truncated_ms is None:
            return []
        ends = [e["audio_end_ms"] for e in events if e["type"] == "conversation.item.truncate"]
        lowest, highest = self.truncated_ms
        if ends and lowest <= ends[-1] <= highest:
            return []
        return [f"truncated at {ends[-1:]}, not within {self.truncated_ms} ms"]

    def _ask_faults(self, ask: Ask | None) -> list[str]:
        if ask is None:
            return []
        faults = []
        if self.origin is not None and ask.origin != self.origin:
            faults.append(f"asked for by {ask.origin}, not by {self.origin}")
        wanted = self.instructions_contain
        if wanted is not None and wanted not in ask.instructions:
            faults.append(f"{wanted!r} not in {ask.instructions!r}")
        missing = [name for name in self.tools if name not in ask.tools]
        if missing:
            faults.append(f"tools {missing} not on offer, only {list(ask.tools)}")
        if self.metadata is not None and dict(ask.metadata) != dict(self.metadata):
            faults.append(f"metadata {dict(ask.metadata)}, not {dict(self.metadata)}")
        return faults


Step: TypeAlias = Turn | Expect


class Scenario(Brain):
    """A script: a turn for every response that is asked for, in order.

    An ``Expect`` between two turns is judged when the second of them is asked for, one at the
    end by ``assert_consumed``. Responses out of band may run beside the conversation and take
    their turns from ``aside``; each of the caller's turns takes the next of ``heard``, and
    when those are used up it is transcribed as "caller turn N".
    """

    def __init__(
        self,
        script: Sequence[Step],
        *,
        aside: Sequence[Turn] = (),
        heard: Sequence[Heard | str] = (),
    ) -> None:
        self._script = list(script)
        self._aside = list(aside)
        self._heard = [Heard(one) if isinstance(one, str) else one for one in heard]
        self._turns_heard = 0
        self._events: list[Mapping[str, Any]] = []
        self.asked: list[Ask] = []
        """Every request for a response, in order."""
        self.complaints: list[str] = []
        """What went against the script so far."""

    @property
    def consumed(self) -> bool:
        """Whether every turn of the script was given."""
        return not self._aside and all(isinstance(step, Expect) for step in self._script)

    def answer(self, ask: Ask) -> Plan:
        """The next turn of the script; a failed response when there is none."""
        self.asked.append(ask)
        turn = self._next_aside() if ask.out_of_band else self._next(ask)
        if turn is None:
            self.complaints.append(f"a response nobody expected was asked for: {_brief(ask)}")
            return Fail(code="scenario_exhausted", message="The script has no more turns.").plan()
        plan = turn.plan()
        self._check_tools(plan, ask)
        return plan

    def hear(self, audio: bytes, format_name: str) -> Heard:
        """The next of ``heard``, or the number of the turn."""
        self._turns_heard += 1
        return self._heard.pop(0) if self._heard else Heard(f"caller turn {self._turns_heard}")

    def notice(self, event: Mapping[str, Any]) -> None:
        """Keep what the next expectation will look at."""
        self._events.append(event)

    def assert_consumed(self) -> None:
        """Raise AssertionError that names every complaint and everything left over."""
        complaints = list(self.complaints)
        left = [step for step in self._script if not isinstance(step, Expect)]
        if not left:
            complaints += self._judged([s for s in self._script if isinstance(s, Expect)], None)
        complaints += [f"nobody asked for {turn}" for turn in (*left, *self._aside)]
        if complaints:
            raise AssertionError("the script and the call differ:\n- " + "\n- ".join(complaints))

    def _next(self, ask: Ask) -> Turn | None:
        expectations: list[Expect] = []
        while self._script:
            step = self._script.pop(0)
            if not isinstance(step, Expect):
                self.complaints += self._judged(expectations, ask)
                self._events.clear()
                return step
            expectations.append(step)
        self.complaints += self._judged(expectations, ask)
        return None

    def _next_aside(self) -> Turn | None:
        return self._aside.pop(0) if self._aside else None

    def _judged(self, expectations: Sequence[Expect], ask: Ask | None) -> list[str]:
        number = len(self.asked)
        return [
            f"before response {number}: {fault}"
            for expectation in expectations
            for fault in expectation.faults(self._events, ask)
        ]

    def _check_tools(self, plan: Plan, ask: Ask) -> None:
        uses = [o for o in plan.outputs if isinstance(o, ToolUse) and not o.unoffered]
        self.complaints += [
            f"the script uses the tool {use.name!r}, but only {list(ask.tools)} are on offer"
            for use in uses
            if use.name not in ask.tools
        ]


def _brief(ask: Ask) -> str:
    last = ask.items[-1] if ask.items else None
    return f"by {ask.origin}, out of band {ask.out_of_band}, last item {last}"


class Receptionist(Brain):
    """Answers any number of turns of any number of calls; keeps nothing between them."""

    GREETING = Reply("Riverside Clinic, good morning. How may I help you?", 3000, 440)
    DONE = Reply("That is done. Is there anything else?", 3000, 523)
    REPLIES = (
        Reply("Of course. May I have your name, please?", 3200, 587),
        Reply("Thank you. We have room on Tuesday at ten, or on Thursday at four.", 5200, 659),
        Reply("Let me read that back to you, so that nothing is lost on the way.", 4300, 784),
        Reply("I have made a note of it. Could I do anything else for you?", 6000, 880),
    )

    def answer(self, ask: Ask) -> Plan:
        """The greeting first, then the stock replies in turn; a tool's output is acknowledged."""
        said = sum(1 for item in ask.items if item.get("role") == "assistant")
        if ask.items and ask.items[-1]["type"] == "function_call_output":
            return self.DONE.plan()
        if not said and ask.origin == "client":
            return self.GREETING.plan()
        return self.REPLIES[said % len(self.REPLIES)].plan()

    def hear(self, audio: bytes, format_name: str) -> Heard:
        """Does not understand a word, and says so."""
        return Heard("(the caller speaks)")
