"""A model for `python -m app.emulators openai`: follows its instructions as far as it can read.

It understands no word, yet greets as it is told to, answers every turn, and works through the
tools on offer, always in the same way. Rule: what it does depends on the conversation it was
given and on nothing else, so that the same call goes the same way twice.

    the caller's turns    1: answers   2: first tool   3: answers   4: second tool   5: ...
"""

import json
import re
from collections.abc import Callable, Mapping
from typing import Any

from app.emulators.demo_voice import AGENT, Studio, VoiceFault
from app.emulators.made_up import arguments
from app.emulators.realtime_config import bytes_per_ms
from app.emulators.realtime_turns import Ask, Brain, Heard, Output, Plan, Speech, ToolUse

GREETING = "Hello. How can I help you?"
STILL_THERE = "Are you still there?"
ASIDE = "The caller spoke with the attendant, who understood nothing and answered everything."
BACK = "Here I am again. What else can I do for you?"
GOODBYE = "Then I wish you a good day. Goodbye."
ANNOUNCEMENTS = ("Let me see.", "One moment, please.")
REPLIES = (
    "Of course. Could you tell me a little more?",
    "Thank you, I have made a note of that. What else?",
    "I see. Is there anything else I should know?",
)
THOUGHT_MS = 250

_VERBATIM = re.compile(
    r"(?:exactly|word for word|verbatim|literally)[^\"“«]*[\"“«](.+)[\"”»][\s.]*\Z", re.I | re.S
)
_LEAVES = re.compile(r"transfer|refer|hand_?(?:off|over)|callback|end|hang|goodbye|stop", re.I)
_ENDS = re.compile(r"(?:^|_)(?:end|hang|hangup|goodbye|stop)(?:_|$)", re.I)
_TOOL_EVERY_TURNS = 2
_QUOTED_CHARS = 160

Tell = Callable[[str, str], None]
"""Who, and what is told of them."""


class Attendant(Brain):
    """Answers any number of turns; speaks with ``studio``, and ``tell``s what it hears and says."""

    def __init__(self, studio: Studio, tell: Tell = lambda who, text: None) -> None:
        self._studio = studio
        self._tell = tell

    async def answer(self, ask: Ask) -> Plan:
        """What it says and does; takes as long as espeak-ng takes to say it."""
        text, tool = decided(ask)
        outputs: list[Output] = []
        if text:
            self._tell("agent", text)
            outputs.append(Speech(text, audio=await self._said(text)))
        if tool is not None:
            self._tell("tool", f"{tool.name}({tool.json()})")
            outputs.append(tool)
        return Plan(tuple(outputs), first_ms=THOUGHT_MS)

    def hear(self, audio: bytes, format_name: str) -> Heard:
        """Not a word, but how long it was."""
        text = f"(speaks for {len(audio) / bytes_per_ms(format_name) / 1000:.1f} s)"
        self._tell("caller", text)
        return Heard(text)

    def notice(self, event: Mapping[str, Any]) -> None:
        """Tell what the client returns, and how much of an answer it says was heard."""
        if event["type"] == "conversation.item.truncate":
            self._tell("cut", f"the client says {event['audio_end_ms']} ms were heard")
        item = event.get("item") or {}
        if item.get("type") == "function_call_output":
            self._tell("tool", f"→ {item['output']}")

    async def _said(self, text: str) -> bytes:
        try:
            return await self._studio.say(text, AGENT)
        except VoiceFault:
            return await Studio(None).say(text, AGENT)


def decided(ask: Ask) -> tuple[str, ToolUse | None]:
    """The words (none: empty) and the tool of the answer to ``ask``."""
    last = ask.items[-1] if ask.items else {}
    if ask.tool_required and ask.tools:
        return "", _use(ask, ask.tools[0])
    if ask.out_of_band:
        return ASIDE, None
    given = _VERBATIM.search(ask.instructions) if ask.origin == "client" else None
    if given is not None:
        return given[1].strip(), None
    if last.get("type") == "function_call_output":
        return f"It says: {_quoted(str(last['output']))} What else can I do for you?", None
    if ask.origin == "idle":
        return STILL_THERE, None
    if ask.origin == "client":
        return (BACK if _said_before(ask) else GREETING), None
    return _to_a_turn(ask)


def _to_a_turn(ask: Ask) -> tuple[str, ToolUse | None]:
    turns = sum(1 for item in ask.items if item.get("role") == "user")
    name = _next_tool(ask) if turns and turns % _TOOL_EVERY_TURNS == 0 else None
    if name is None:
        return REPLIES[max(0, turns - 1) // _TOOL_EVERY_TURNS % len(REPLIES)], None
    announcement = ANNOUNCEMENTS[turns // _TOOL_EVERY_TURNS % len(ANNOUNCEMENTS)]
    return (GOODBYE if _ENDS.search(name) else announcement), _use(ask, name)


def _next_tool(ask: Ask) -> str | None:
    """The first tool not used yet: those that take the caller away come last, the end at last."""
    used = {item.get("name") for item in ask.items if item.get("type") == "function_call"}
    left = [name for name in ask.tools if name not in used]
    return min(left, key=_lateness, default=None)


def _lateness(name: str) -> int:
    return 2 if _ENDS.search(name) else 1 if _LEAVES.search(name) else 0


def _use(ask: Ask, name: str) -> ToolUse:
    return ToolUse(name, arguments(ask.schemas.get(name, {})))


def _said_before(ask: Ask) -> bool:
    return any(item.get("role") == "assistant" for item in ask.items)


def _quoted(output: str) -> str:
    """A tool's output as one could say it, not too long."""
    try:
        value = json.loads(output)
    except ValueError:
        value = output
    if isinstance(value, dict):
        value = ", ".join(f"{name} {one}" for name, one in value.items())
    text = " ".join(str(value).split()) or "nothing"
    if len(text) > _QUOTED_CHARS:
        text = text[:_QUOTED_CHARS].rsplit(" ", 1)[0] + " and so on"
    return text if text.endswith((".", "!", "?")) else text + "."
