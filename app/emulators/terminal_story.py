"""A call from a terminal, told while it goes on: what the phone knows and the captions say.

The phone knows what its caller said and what it played; the captions what the agent
understood, meant to say and did. Rule: it changes nothing, and of the agent's words it tells
how much was heard.
"""

from collections.abc import Callable, Mapping
from typing import Any, Final, Protocol

from app.emulators.demo_story import Screen
from app.emulators.phone_script import PhoneEvent

Caption = Mapping[str, Any]

_LEFT = {
    "caller": "the caller hung up",
    "agent": "the agent hung up",
    "person": "the person hung up",
    "carrier": "the carrier ended the call",
}


class Witness(Protocol):
    """Somebody who is told of a call."""

    def happened(self, event: PhoneEvent) -> None:
        """Something happened on the phone."""
        ...

    def captioned(self, caption: Caption) -> None:
        """A line of the captions is new, or changed."""
        ...


class Nobody:
    """Tells nothing."""

    def happened(self, event: PhoneEvent) -> None:
        """Not told."""

    def captioned(self, caption: Caption) -> None:
        """Not told."""


class TerminalStory:
    """Tells one call on the screen."""

    def __init__(self, screen: Screen) -> None:
        self._screen = screen
        self._words: dict[str, str] = {}
        """What was told of each line already."""
        self._open: Caption | None = None
        """The agent's line that may still grow."""
        self._latency_ms: dict[str, int] = {}

    def happened(self, event: PhoneEvent) -> None:
        """Tell what the phone knows."""
        if event.name == "calling":
            self._screen.begin()
        if event.name in ("agent-ends", "hungup"):
            self._finish()
        tell = _TOLD.get(event.name)
        if tell is not None:
            who, text = tell(event.fields)
            self._screen.tell(who, text)

    def captioned(self, caption: Caption) -> None:
        """Tell what the captions say."""
        kind, place = str(caption["kind"]), str(caption["id"])
        if kind == "turn":
            self._latency_ms[place] = int(caption["latency_ms"])
            return
        if self._open is not None and self._open["id"] != place:
            self._finish()
        match kind:
            case "agent":
                self._open = caption
            case "cut":
                self._finish()
                heard = f"{caption['heard_ms'] or 0:,} of {caption['sent_ms'] or 0:,} ms heard"
                self._once(place, "cut", f"{heard}: {caption['text']}▏")
            case "caller":
                self._once(place, "heard", str(caption["text"]))
            case "tool":
                answered = " has answered" if caption["ok"] else " is called"
                self._once(place, "tool", f"{caption['name']}{answered}")
            case _:
                self._once(place, "call", str(caption["text"]))

    def _once(self, place: str, who: str, text: str) -> None:
        """Tell a line unless it says what it said before, or nothing."""
        if text and self._words.get(place) != text:
            self._words[place] = text
            self._screen.tell(who, text)

    def _finish(self) -> None:
        """The agent's line is told once it was spoken: words come before their sound."""
        line, self._open = self._open, None
        if line is None:
            return
        place, text = str(line["id"]), str(line["text"]).strip()
        fresh = text.removeprefix(self._words.get(place, "")).strip()
        self._words[place] = text
        if fresh:
            latency_ms = self._latency_ms.pop(place, None)
            after = f" ({latency_ms:,} ms)" if latency_ms is not None else ""
            self._screen.tell("agent", f"{fresh}{after}")


def _line(fields: Mapping[str, Any]) -> str:
    if "say" in fields:
        return str(fields["say"])
    if "press" in fields:
        return f"presses {fields['press']}"
    if "text" in fields:
        return f"writes: {fields['text']}"
    return f"plays {fields.get('play')}"


_TOLD: Final[dict[str, Callable[[Mapping[str, Any]], tuple[str, str]]]] = {
    "calling": lambda fields: ("call", f"calling the agent: {fields['callSid']}"),
    "start": lambda _: ("call", "the agent is on the line"),
    "line": lambda fields: ("caller", _line(fields)),
    "said": lambda fields: ("carrier", str(fields.get("text"))),
    "dialling": lambda fields: ("transfer", f"{fields.get('to')} rings"),
    "bridged": lambda _: ("transfer", "the caller talks to a person"),
    "sms": lambda fields: ("sms", f"to {fields.get('to')}: {fields.get('body')}"),
    "problem": lambda fields: ("problem", str(fields.get("sentence"))),
    "hungup": lambda fields: ("call", _left(fields)),
}
"""What the phone's events are told as: who, and what."""


def _left(fields: Mapping[str, Any]) -> str:
    by = str(fields.get("by"))
    why = f": {fields.get('reason')}" if by == "carrier" else ""
    return f"{_LEFT.get(by, by)}{why}"
