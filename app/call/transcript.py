"""Who said what, as it was heard.

A caller's turn has its place from the moment it was committed, its words when the side
transcription brings them. The model's words run ahead of its audio; when playback is cut,
the text of each content part is cut in proportion, at a word. That is an estimate: Realtime
gives no word times.
"""

from dataclasses import dataclass, field
from enum import Enum

from app.call.playout import Heard
from app.protocol.events import SpeechText


class Voice(Enum):
    """Whose entry it is."""

    CALLER = "caller"
    AGENT = "agent"
    TOOL = "tool"
    NOTE = "note"


@dataclass(slots=True)
class Entry:
    """One thing that was said or done, in the order of the conversation."""

    voice: Voice
    key: str
    """Item id; the tool call id for tools."""
    at_ms: int
    text: str = ""
    heard_ms: int | None = None
    """For the agent: what the caller heard of it when it was cut; None when heard whole."""
    sent_ms: int | None = None
    name: str = ""
    arguments: str = ""


@dataclass(slots=True)
class _Spoken:
    entry: Entry
    parts: dict[int, str] = field(default_factory=dict)
    """Words by content part, in the order of their beginnings."""

    def show(self) -> None:
        self.entry.text = "".join(self.parts.values())


class Transcript:
    """The entries of one stream's conversation, oldest first."""

    def __init__(self) -> None:
        self.entries: list[Entry] = []
        self._callers: dict[str, Entry] = {}
        self._agents: dict[str, _Spoken] = {}
        self._tools: dict[str, Entry] = {}

    def clear(self) -> None:
        """Nothing of it was heard by anybody."""
        self.entries.clear()
        for known in (self._callers, self._agents, self._tools):
            known.clear()

    def caller_turn(self, item_id: str, now_ms: int) -> None:
        """A caller's turn was committed; its words may follow."""
        if item_id not in self._callers:
            self._callers[item_id] = self._add(Entry(Voice.CALLER, item_id, now_ms))

    def caller_said(self, item_id: str, text: str, now_ms: int) -> None:
        """The words of a caller's turn, in whatever order they come."""
        self.caller_turn(item_id, now_ms)
        self._callers[item_id].text = text.strip()

    def caller_wrote(self, text: str, now_ms: int) -> None:
        """A turn that was not spoken, and has no item that could be named yet."""
        self._add(Entry(Voice.CALLER, "", now_ms, text=text))

    def agent_says(self, event: SpeechText, now_ms: int) -> None:
        """More words of the model's; ignored once their item was cut."""
        spoken = self._agents.get(event.item_id)
        if spoken is None:
            entry = self._add(Entry(Voice.AGENT, event.item_id, now_ms))
            spoken = self._agents[event.item_id] = _Spoken(entry)
        if spoken.entry.heard_ms is None:
            before = spoken.parts.get(event.content_index, "")
            spoken.parts[event.content_index] = before + event.text
            spoken.show()

    def cut(self, heard: Heard) -> None:
        """The caller heard only the beginning of this part."""
        spoken = self._agents.get(heard.item_id)
        if spoken is None:
            return
        words = spoken.parts.get(heard.content_index, "")
        spoken.parts[heard.content_index] = _beginning(words, heard.heard_ms, heard.sent_ms)
        spoken.show()
        entry = spoken.entry
        entry.heard_ms = (entry.heard_ms or 0) + heard.heard_ms
        entry.sent_ms = (entry.sent_ms or 0) + heard.sent_ms

    def tool_called(self, tool_call_id: str, name: str, arguments: str, now_ms: int) -> None:
        """The model called a tool; its output may follow."""
        self._tools[tool_call_id] = self._add(
            Entry(Voice.TOOL, tool_call_id, now_ms, name=name, arguments=arguments)
        )

    def tool_answered(self, tool_call_id: str, output: str) -> None:
        """The output the model was given."""
        if tool_call_id in self._tools:
            self._tools[tool_call_id].text = output

    def note(self, text: str, now_ms: int) -> None:
        """Something the model was told and nobody said."""
        self._add(Entry(Voice.NOTE, "", now_ms, text=text))

    def _add(self, entry: Entry) -> Entry:
        self.entries.append(entry)
        return entry


def _beginning(text: str, heard_ms: int, sent_ms: int) -> str:
    """The part of ``text`` that fits ``heard_ms`` of ``sent_ms``, ending with a whole word."""
    if heard_ms <= 0 or sent_ms <= 0:
        return ""
    if heard_ms >= sent_ms:
        return text
    cut = text[: len(text) * heard_ms // sent_ms]
    whole = cut.rfind(" ")
    return cut[:whole] if whole > 0 else ""
