"""The conversation a Realtime session keeps: its items, their order, and how long they sound.

The length of every spoken item is counted in bytes as they are handed out, so that a client
that claims to have played more than it was given is found out, item by item.
"""

import base64
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from app.emulators.realtime_config import bytes_per_ms
from app.emulators.realtime_errors import (
    Json,
    Refusal,
    no_such_item,
    not_model_audio,
    truncated_too_late,
)
from app.emulators.realtime_shapes import decoded


@dataclass(slots=True)
class Item:
    """One item of the conversation."""

    wire: dict[str, Any]
    """The item as events carry it: without audio."""
    format_name: str = "audio/pcmu"
    sent_bytes: int = 0
    """Bytes of model speech handed to the client."""
    audio: bytes = b""
    """A caller's turn, unless audio is not kept; or the whole of what the model meant to say."""
    turn_bytes: int = 0
    """Length of the caller's turn."""
    truncated_ms: int | None = None
    """Where the client says that the caller stopped hearing it."""

    @property
    def id(self) -> str:
        """The id both sides call it by."""
        return str(self.wire["id"])

    @property
    def type(self) -> str:
        """``message``, ``function_call``, ``function_call_output`` ..."""
        return str(self.wire["type"])

    @property
    def role(self) -> str | None:
        """Who said it; None when it is not a message."""
        return self.wire.get("role")

    @property
    def spoken(self) -> bool:
        """Whether the model said it aloud."""
        parts = self.wire.get("content") or []
        return any(part["type"] == "output_audio" for part in parts)

    @property
    def audio_ms(self) -> int:
        """Length of the speech the server believes was said."""
        if self.truncated_ms is not None:
            return self.truncated_ms
        return self.sent_bytes // bytes_per_ms(self.format_name)

    @property
    def text(self) -> str:
        """Everything in it that can be read: texts, transcripts, arguments, outputs."""
        parts = self.wire.get("content") or []
        words = [part.get("text") or part.get("transcript") or "" for part in parts]
        words += [str(self.wire.get(name, "")) for name in ("arguments", "output")]
        return " ".join(word for word in words if word)


@dataclass(slots=True)
class Conversation:
    """The items in order; ids once used are never given out again."""

    items: list[Item] = field(default_factory=list)
    used: set[str] = field(default_factory=set)

    def find(self, item_id: str) -> Item | None:
        """The item of that id, or None."""
        return next((item for item in self.items if item.id == item_id), None)

    def before(self, item: Item) -> str | None:
        """The id of the item before ``item``; None when it is the first or was deleted."""
        ids = [one.id for one in self.items]
        place = ids.index(item.id) if item.id in ids else 0
        return ids[place - 1] if place else None

    def append(self, item: Item) -> str | None:
        """Put ``item`` at the end; returns the id of the one before it."""
        return self._put(item, len(self.items))

    def insert(
        self, wire: dict[str, Any], after: str | None, format_name: str
    ) -> tuple[Item, str | None]:
        """A client's item, checked; ``after`` is an id, ``root`` or None for the end.
        Audio inside it has the format ``format_name``.

        Returns the item and the id of the one before it; raises ``Refusal``.
        """
        if wire["id"] in self.used:
            raise Refusal(f"Item with id '{wire['id']}' already exists.", param="item.id")
        if wire["type"] == "function_call_output":
            self._check_call(wire["call_id"])
        audio = _turn_audio(wire)
        item = Item(strip_audio(wire), format_name=format_name, audio=audio, turn_bytes=len(audio))
        return item, self._put(item, self._place(after))

    def _place(self, after: str | None) -> int:
        if after is None:
            return len(self.items)
        if after == "root":
            return 0
        for index, item in enumerate(self.items):
            if item.id == after:
                return index + 1
        raise Refusal(
            f"Previous item with id '{after}' not found.",
            "item_create_invalid_previous_item_id",
            "previous_item_id",
        )

    def _put(self, item: Item, place: int) -> str | None:
        self.used.add(item.id)
        self.items.insert(place, item)
        return self.items[place - 1].id if place else None

    def _check_call(self, call_id: str) -> None:
        calls = (item.wire["call_id"] for item in self.items if item.type == "function_call")
        if call_id not in calls:
            raise Refusal(
                f"Tool call ID '{call_id}' not found in conversation.",
                "invalid_tool_call_id",
                "item.call_id",
            )

    def answered(self, call_id: str) -> int:
        """How many outputs the call has."""
        outputs = (item for item in self.items if item.type == "function_call_output")
        return sum(item.wire["call_id"] == call_id for item in outputs)

    def truncate(self, item_id: str, content_index: int, audio_end_ms: int) -> None:
        """Forget what was not heard of a spoken item, and its transcript; raises ``Refusal``."""
        item = self.find(item_id)
        if item is None:
            raise no_such_item("truncate", item_id)
        if not item.spoken:
            raise not_model_audio()
        if content_index != 0:
            raise Refusal(f"Invalid content_index: {content_index}.", param="content_index")
        if audio_end_ms > item.audio_ms:
            raise truncated_too_late(item.audio_ms, audio_end_ms)
        item.truncated_ms = audio_end_ms
        for part in item.wire["content"]:
            part["transcript"] = None

    def delete(self, item_id: str) -> None:
        """Take the item out; raises ``Refusal`` when there is none."""
        item = self.find(item_id)
        if item is None:
            raise no_such_item("delete", item_id)
        self.items.remove(item)

    def retrieve(self, item_id: str) -> Json:
        """The item with its audio; raises ``Refusal`` when there is none."""
        item = self.find(item_id)
        if item is None:
            raise no_such_item("retrieve", item_id)
        wire = item.wire
        if "content" not in wire:
            return wire
        sound = item.audio[: item.audio_ms * bytes_per_ms(item.format_name)]
        heard = base64.b64encode(sound if item.spoken else item.audio).decode()
        parts = [
            part | ({"audio": heard} if part["type"].endswith("_audio") else {})
            for part in wire["content"]
        ]
        return wire | {"content": parts}


def strip_audio(wire: dict[str, Any]) -> dict[str, Any]:
    """The item without the audio inside, which events never carry."""
    if "content" not in wire:
        return wire
    parts = [
        {name: value for name, value in part.items() if name != "audio"} for part in wire["content"]
    ]
    return wire | {"content": parts}


def _turn_audio(wire: dict[str, Any]) -> bytes:
    parts: Iterable[dict[str, Any]] = wire.get("content") or []
    turns = [
        decoded(part["audio"], f"item.content[{index}].audio")
        for index, part in enumerate(parts)
        if part["type"] == "input_audio"
    ]
    return b"".join(turns)
