"""Who said what, as it was heard.

A caller's turn has its place from the moment it was committed, its words when the side
transcription brings them. The model's words run ahead of its audio; when playback is cut,
the text of each content part is cut in proportion, at a word. That is an estimate: Realtime
gives no word times.
"""

from dataclasses import dataclass, field
from enum import Enum

import orjson

from app.call.playout import Heard
from app.protocol.events import SpeechText


class Voice(Enum):
    """Whose entry it is."""

    CALLER = "caller"
    AGENT = "agent"
    TOOL = "tool"
    NOTE = "note"


NO_INPUT = "no_input"
"""The name of a note that began a turn without anything of the caller's."""
SMS, SMS_FAILED = "sms", "sms_failed"
"""The names of what the caller wrote in a text message, and of a note that one did not arrive."""
SILENCE = "silence"
"""The name of a note that the caller said nothing, and was reminded."""
KEYED = "dtmf"
"""The name of a note that says what the caller keyed in; its arguments are JSON."""
LATEST = 8
"""Entries among which the last words are; behind them are notes and tool calls."""


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
    broke_off: bool = False
    """For the agent: the line was lost in mid-sentence."""
    place: int = field(default=0, compare=False)
    """Among the entries of its stream, from 0."""


@dataclass(slots=True)
class _Spoken:
    entry: Entry
    response_id: str
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
        self._changed: dict[int, Entry] = {}
        self._cleared = False

    def take_changed(self) -> list[Entry]:
        """The entries that are new or other than when this was last asked, oldest first."""
        if not self._changed:
            return []
        changed, self._changed = self._changed, {}
        return [changed[place] for place in sorted(changed)]

    def take_cleared(self) -> bool:
        """Whether what was told of before, if anything, has not been heard by anybody."""
        cleared, self._cleared = self._cleared, False
        return cleared

    def spoken(self, item_id: str) -> Entry | None:
        """The agent's entry of this item."""
        spoken = self._agents.get(item_id)
        return spoken.entry if spoken is not None else None

    def clear(self) -> None:
        """Nothing of it was heard by anybody."""
        self.entries.clear()
        self._changed.clear()
        self._cleared = True
        for known in (self._callers, self._agents, self._tools):
            known.clear()

    def caller_turn(self, item_id: str, now_ms: int) -> None:
        """A caller's turn was committed; its words may follow."""
        if item_id not in self._callers:
            self._callers[item_id] = self._add(Entry(Voice.CALLER, item_id, now_ms))

    def caller_said(self, item_id: str, text: str, now_ms: int) -> None:
        """The words of a caller's turn, in whatever order they come."""
        self.caller_turn(item_id, now_ms)
        self._touched(self._callers[item_id]).text = text.strip()

    def caller_wrote(self, text: str, now_ms: int, *, name: str = "") -> None:
        """A turn that was not spoken, and has no item that could be named yet."""
        self._add(Entry(Voice.CALLER, "", now_ms, text=text, name=name))

    def agent_says(self, event: SpeechText, now_ms: int) -> None:
        """More words of the model's; ignored once their item was cut."""
        spoken = self._spoken(event.item_id, event.response_id, now_ms)
        if spoken.entry.heard_ms is None:
            before = spoken.parts.get(event.content_index, "")
            spoken.parts[event.content_index] = before + event.text
            spoken.show()
            self._touched(spoken.entry)

    def _spoken(self, item_id: str, response_id: str, now_ms: int) -> _Spoken:
        spoken = self._agents.get(item_id)
        if spoken is None:
            entry = self._add(Entry(Voice.AGENT, item_id, now_ms))
            spoken = self._agents[item_id] = _Spoken(entry, response_id)
        return spoken

    def cut(self, heard: Heard, now_ms: int) -> None:
        """The caller heard only the beginning of this part, of which no word may have come yet."""
        spoken = self._spoken(heard.item_id, heard.response_id, now_ms)
        words = spoken.parts.get(heard.content_index, "")
        spoken.parts[heard.content_index] = beginning(words, heard.heard_ms, heard.sent_ms)
        spoken.show()
        entry = self._touched(spoken.entry)
        entry.heard_ms = (entry.heard_ms or 0) + heard.heard_ms
        entry.sent_ms = (entry.sent_ms or 0) + heard.sent_ms

    def unsaid(self, response_id: str) -> None:
        """None of this response was sent: its words ran ahead, and their sound never came."""
        for spoken in self._agents.values():
            if spoken.response_id == response_id:
                spoken.parts.clear()
                spoken.show()
                spoken.entry.heard_ms = spoken.entry.sent_ms = 0

    @property
    def broken_off(self) -> str:
        """What was said of the last thing that was, if the line went in the middle of it."""
        said = [x for x in self.entries[-LATEST:] if x.voice in (Voice.CALLER, Voice.AGENT)]
        last = said[-1] if said else None
        cut = last is not None and last.broke_off and last.heard_ms is None
        return last.text.strip() if cut and last is not None else ""

    @property
    def cut_off(self) -> str:
        """What was heard of the agent's last words, if the caller cut them."""
        said = [x for x in self.entries[-LATEST:] if x.voice is Voice.AGENT]
        cut = bool(said) and said[-1].heard_ms is not None
        return said[-1].text.strip() if cut else ""

    def broke_off(self, response_id: str) -> None:
        """The line went while this was being said; what was sent of it will be heard."""
        for spoken in self._agents.values():
            if spoken.response_id == response_id:
                spoken.entry.broke_off = True

    def tool_called(self, tool_call_id: str, name: str, arguments: str, now_ms: int) -> None:
        """The model called a tool; its output may follow."""
        self._tools[tool_call_id] = self._add(
            Entry(Voice.TOOL, tool_call_id, now_ms, name=name, arguments=arguments)
        )

    def tool_answered(self, tool_call_id: str, output: str) -> None:
        """The output the model was given."""
        if tool_call_id in self._tools:
            self._touched(self._tools[tool_call_id]).text = output

    def note(self, text: str, now_ms: int, *, name: str = "") -> None:
        """Something the model was told and nobody said; by ``name`` it is known what it began."""
        self._add(Entry(Voice.NOTE, "", now_ms, text=text, name=name))

    def keyed(self, preset: str, shown: str, now_ms: int, *, ok: bool, told: str = "") -> None:
        """The caller keyed something in; ``told`` is what the model was, if it was in words."""
        shown = orjson.dumps({"preset": preset or None, "digits": shown, "ok": ok}).decode()
        self._add(Entry(Voice.NOTE, "", now_ms, text=told, name=KEYED, arguments=shown))

    def _add(self, entry: Entry) -> Entry:
        entry.place = len(self.entries)
        self.entries.append(entry)
        return self._touched(entry)

    def _touched(self, entry: Entry) -> Entry:
        self._changed[entry.place] = entry
        return entry


def beginning(text: str, heard_ms: int, sent_ms: int) -> str:
    """The part of ``text`` that fits ``heard_ms`` of ``sent_ms``, ending with a whole word."""
    if heard_ms <= 0 or sent_ms <= 0:
        return ""
    if heard_ms >= sent_ms:
        return text
    cut = text[: len(text) * heard_ms // sent_ms]
    whole = cut.rfind(" ")
    return cut[:whole] if whole > 0 else ""
