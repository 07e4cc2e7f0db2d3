"""A model whose answers were written down: what a simulated call is played with, without a key.

It says word for word what it is told to, and otherwise takes the next answer of the script,
whatever it heard. Rule: what the script and the call do not agree about is a complaint: an
answer nobody asked for, one too many that was asked for, a tool that is not on offer.
"""

from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from re import DOTALL, IGNORECASE
from re import compile as pattern
from typing import Any, Final

from app.emulators.realtime_turns import Ask, Brain, Heard, Plan, Speech, ToolUse

_VERBATIM = pattern(r"exactly this[^\"':]*:?\s*[\"'](?P<words>.+)[\"']\s*\Z", DOTALL | IGNORECASE)
_OWN: Final = {
    "goodbye": "Goodbye.",
    "announce": "I put you through.",
    "filler": "One moment.",
    "resume": "I am back.",
    "returned": "Nobody was free.",
    "keypad": "Please key it in again.",
}
"""By the purpose of a request that is no turn of the conversation: what is said to it."""
_MS_PER_CHARACTER = 12
_SHORTEST_MS = 240
_MOST_COMPLAINTS = 20


@dataclass(frozen=True, slots=True)
class Answer:
    """One answer of the script."""

    say: str = ""
    use: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    """Tools to call behind it, by name: their arguments."""
    to: str = ""
    """What the caller must have said before, in any case of letters; empty: anything."""


class ScriptedModel(Brain):
    """Plays one script after the other; calls that go on together need one each."""

    def __init__(self) -> None:
        self._script: deque[Answer] = deque()
        self._unheard: deque[str] = deque(maxlen=100)
        self._last_said = ""
        self._complaints: list[str] = []

    def begin(self, script: Sequence[Answer]) -> None:
        """A call begins: nothing of the one before is known any more."""
        self._script = deque(script)
        self._unheard.clear()
        self._last_said = ""
        self._complaints = []

    def said(self, text: str) -> None:
        """The caller says these words; the turn in which they come is transcribed as them."""
        self._unheard.append(text)
        self._last_said = text

    def complaints(self) -> list[str]:
        """In what script and call differ, a sentence each; asked when the call is over."""
        left = len(self._script)
        unused = [f"the call was over {left} answers of the script too soon"] if left else []
        return [*self._complaints, *unused]

    def answer(self, ask: Ask) -> Plan:
        """The words that are ordered, or the next answer."""
        words = _VERBATIM.search(ask.instructions)
        purpose = ask.metadata.get("purpose", "")
        if words is not None or purpose in _OWN:
            return Plan((_speech(words["words"].strip() if words else _OWN[purpose]),))
        if not self._script:
            self._complain(f"an answer more was asked for than the script has ({_why(ask)})")
            return Plan()
        return self._played(self._script.popleft(), ask)

    def hear(self, audio: bytes, format_name: str) -> Heard:
        """The caller's words in the order in which they were said."""
        return Heard(self._unheard.popleft() if self._unheard else "")

    def _played(self, answer: Answer, ask: Ask) -> Plan:
        if answer.to.casefold() not in self._last_said.casefold():
            self._complain(f'the answer to "{answer.to}" came to "{self._last_said}"')
        for name in answer.use:
            if name not in ask.tools:
                offered = ", ".join(ask.tools) or "none"
                self._complain(f"the tool {name} is not on offer; offered: {offered}")
        spoken = (_speech(answer.say),) if answer.say else ()
        return Plan((*spoken, *(ToolUse(name, given) for name, given in answer.use.items())))

    def _complain(self, sentence: str) -> None:
        if len(self._complaints) < _MOST_COMPLAINTS:
            self._complaints.append(sentence)


def _speech(text: str) -> Speech:
    return Speech(text, max(_SHORTEST_MS, _MS_PER_CHARACTER * len(text)))


def _why(ask: Ask) -> str:
    last = ask.items[-1] if ask.items else {}
    if last.get("type") == "function_call_output":
        return "a tool had answered"
    return ask.metadata.get("purpose") or "the caller had spoken"
