"""Tells a call on the screen while it happens: who speaks, what was heard, where it was cut.

It watches the two emulators and is told nothing by the server: what stands on the screen is
what the caller's ear and the model's socket saw. Rule: it changes nothing and decides
nothing.
"""

import json
import shutil
import textwrap
import time
from collections import deque
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, TextIO

from app.emulators.realtime_turns import Ask, Brain, Heard, Plan, Speech, ToolUse
from app.emulators.twilio_call import EmulatedCall
from app.protocol.units import ms_of_bytes

_COLOURS = {
    "agent": "36",
    "caller": "33",
    "cut": "31",
    "tool": "35",
    "transfer": "34",
    "call": "1",
    "good": "32",
    "bad": "31",
}
_PLAIN = "\x1b[0m"
_TEXT_FROM_COLUMN = 18
_TEXT_COLUMNS = (24, 78)
"""At least and at most; between them what the terminal has room for."""


class Screen:
    """Lines with the time they came; coloured on a terminal only."""

    def __init__(self, out: TextIO) -> None:
        self._out = out
        self._coloured = out.isatty()
        self._began = time.monotonic()
        room = shutil.get_terminal_size((80, 24)).columns - _TEXT_FROM_COLUMN
        lowest, highest = _TEXT_COLUMNS
        self._columns = max(lowest, min(highest, room))

    def begin(self) -> None:
        """The clock starts now."""
        self._began = time.monotonic()

    def tell(self, who: str, text: str) -> None:
        """One line of the story."""
        passed = time.monotonic() - self._began
        first, *rest = textwrap.wrap(text, self._columns) or [""]
        self.write(f"{passed:6.2f}  {self.painted(who, f'{who:<9}')} {first}")
        for line in rest:
            self.write(" " * _TEXT_FROM_COLUMN + line)

    def write(self, text: str = "") -> None:
        """A line as it is."""
        self._out.write(text + "\n")
        self._out.flush()

    def painted(self, colour: str, text: str) -> str:
        """``text`` in the colour of that name, on a terminal."""
        code = _COLOURS.get(colour)
        return f"\x1b[{code}m{text}{_PLAIN}" if self._coloured and code else text


@dataclass(slots=True)
class Utterance:
    """Something the agent says, as the caller's ear follows it."""

    text: str
    length_ms: int
    before_ms: int
    """What the caller had heard in the call when the model was asked for it."""
    truncated_ms: int | None = None
    """How much the server told the model was heard, if it was cut off."""
    heard_ms: int | None = None
    """How much the ear heard, if it was cut off."""

    @property
    def cut(self) -> str:
        """The text with a bar where, by its length in time, it was cut."""
        at = round(len(self.text) * (self.truncated_ms or 0) / max(1, self.length_ms))
        return f"{self.text[:at]}▏{self.text[at:]}"


class Narrated(Brain):
    """A brain that is listened to while it answers."""

    def __init__(self, brain: Brain) -> None:
        self._brain = brain
        self.on_plan: Callable[[Plan], None] = lambda plan: None
        self.on_event: Callable[[Mapping[str, Any]], None] = lambda event: None

    def answer(self, ask: Ask) -> Plan | Awaitable[Plan]:
        """The brain's answer."""
        plan = self._brain.answer(ask)
        if isinstance(plan, Plan):
            self.on_plan(plan)
        return plan

    def hear(self, audio: bytes, format_name: str) -> Heard | Awaitable[Heard]:
        """What the brain hears."""
        return self._brain.hear(audio, format_name)

    def notice(self, event: Mapping[str, Any]) -> None:
        """The brain's to notice, and ours."""
        self._brain.notice(event)
        self.on_event(event)

    def assert_consumed(self) -> None:
        """The brain's verdict."""
        self._brain.assert_consumed()


class Story:
    """One call as it is told."""

    def __init__(self, screen: Screen, call: EmulatedCall) -> None:
        self._screen = screen
        self._call = call
        self._waiting: deque[Utterance | ToolUse] = deque()
        self._tools: dict[str, str] = {}
        self._streams = self._dials = self._results = self._clears = 0
        self._over = False
        self.utterances: list[Utterance] = []

    @property
    def interrupted(self) -> list[Utterance]:
        """What was cut off."""
        return [one for one in self.utterances if one.heard_ms is not None]

    async def watch(self) -> None:
        """Tell until cancelled."""
        while True:
            self.look()
            await self._call.pulse.next()

    def look(self) -> None:
        """Tell what is new."""
        self._look_at_streams()
        self._look_at_speech()
        self._look_at_cuts()
        self._look_at_transfers()
        if self._call.over and not self._over:
            self._over = True
            who = {"rest": "the agent", "caller": "the caller"}.get(self._call.ended_by or "")
            self._screen.tell("call", f"{who or self._call.ended_by} hangs up")

    def caller_says(self, text: str) -> None:
        """The caller opens their mouth."""
        self._screen.tell("caller", text)

    def planned(self, plan: Plan) -> None:
        """The model knows what it will say and do next."""
        for output in plan.outputs:
            if isinstance(output, Speech):
                length_ms = ms_of_bytes(len(output.sound()))
                self._waiting.append(Utterance(output.text, length_ms, self._call.heard_ms))
            elif isinstance(output, ToolUse):
                self._waiting.append(output)
        self.look()

    def noticed(self, event: Mapping[str, Any]) -> None:
        """The server sent something to the model."""
        if event["type"] == "conversation.item.truncate" and self.utterances:
            self.utterances[-1].truncated_ms = event["audio_end_ms"]
        item = event.get("item", {})
        if event["type"] == "conversation.item.create":
            if item.get("type") == "function_call":
                # A tool call of before, told to a new session: not new.
                self._tools.setdefault(item["call_id"], "")
            elif item.get("type") == "function_call_output":
                self._returned(item["call_id"], item["output"])
        self.look()

    def _returned(self, call_id: str, output: str) -> None:
        if call_id not in self._tools:
            self._tools[call_id] = output
            self._screen.tell("tool", f"→ {_readable(output)}")

    def _look_at_streams(self) -> None:
        started = [one for one in self._call.streams if one.started_at_ms is not None]
        for number in range(self._streams + 1, len(started) + 1):
            why = "" if number == 1 else ", the same conversation"
            self._screen.tell("call", f"stream {number} begins{why}")
        self._streams = len(started)

    def _look_at_speech(self) -> None:
        while self._waiting:
            first = self._waiting[0]
            if isinstance(first, Utterance):
                if self._call.heard_ms <= first.before_ms:
                    return
                self._screen.tell("agent", first.text)
                self.utterances.append(first)
            else:
                self._screen.tell("tool", f"{first.name}({_arguments(first)})")
            self._waiting.popleft()

    def _look_at_cuts(self) -> None:
        clears = sum(stream.received["clear"] for stream in self._call.streams)
        last = self.utterances[-1] if self.utterances else None
        if clears == self._clears or last is None or last.truncated_ms is None:
            return
        self._clears = clears
        last.heard_ms = self._call.heard_ms - last.before_ms
        self._screen.tell(
            "cut",
            f"the ear heard {last.heard_ms:,} of {last.length_ms:,} ms,"
            f" the model was told {last.truncated_ms:,}:",
        )
        self._screen.tell("", last.cut)

    def _look_at_transfers(self) -> None:
        for number in self._call.dialled[self._dials :]:
            self._screen.tell("transfer", f"{number} rings")
        self._dials = len(self._call.dialled)
        for outcome in self._call.dial_results[self._results :]:
            self._screen.tell("transfer", f"{outcome.status}: the caller goes back to the agent")
        self._results = len(self._call.dial_results)


def _arguments(tool: ToolUse) -> str:
    if isinstance(tool.arguments, str):
        return tool.arguments
    return ", ".join(f"{name}={json.dumps(value)}" for name, value in tool.arguments.items())


def _readable(output: str) -> str:
    try:
        value = json.loads(output)
    except ValueError:
        return output
    return value if isinstance(value, str) else output
