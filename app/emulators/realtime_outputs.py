"""The outputs of a response, each with its ladder of events up to speech and down again.

Whatever opens an output closes it with every closer, whether it was finished or cut off. The
type names differ on purpose: a content *part* is ``audio`` or ``text``, the same thing inside
an *item* is ``output_audio`` or ``output_text``.
"""

import copy
from dataclasses import dataclass
from typing import Any, Literal, Protocol, TypeAlias

from app.emulators.realtime_conversation import Conversation, Item
from app.emulators.realtime_errors import Json
from app.emulators.realtime_line import Line
from app.emulators.realtime_speech import Delta

ItemStatus: TypeAlias = Literal["completed", "incomplete"]


@dataclass(frozen=True, slots=True)
class Stage:
    """Where the outputs of one response appear."""

    line: Line
    response_id: str
    conversation: Conversation | None
    """None for a response out of band."""

    def tell(self, event_type: str, **fields: object) -> None:
        """Send an event of this response."""
        self.line.emit(event_type, response_id=self.response_id, **fields)

    def announce(self, item: Item, index: int) -> None:
        """An output begins: it is an item of the response and of the conversation."""
        self.tell("response.output_item.added", output_index=index, item=_copy(item))
        if self.conversation is not None:
            before = self.conversation.append(item)
            self.line.emit("conversation.item.added", previous_item_id=before, item=_copy(item))

    def conclude(self, item: Item, index: int, *, times: int = 1) -> None:
        """An output ends."""
        for _ in range(times):
            self.tell("response.output_item.done", output_index=index, item=_copy(item))
        if self.conversation is not None:
            before = self.conversation.before(item)
            self.line.emit("conversation.item.done", previous_item_id=before, item=_copy(item))


def _copy(item: Item) -> Json:
    return copy.deepcopy(item.wire)


class OpenOutput(Protocol):
    """An output that is being made."""

    item: Item

    def close(self, status: ItemStatus) -> None:
        """End it with all its closers."""


def _message(stage: Stage, **content: Any) -> dict[str, Any]:
    return {
        "id": stage.line.mint("item"),
        "object": "realtime.item",
        "type": "message",
        "status": "in_progress",
        "role": "assistant",
        **content,
    }


class SpokenOutput:
    """Speech with its transcript."""

    def __init__(self, stage: Stage, index: int, sound: bytes, format_name: str) -> None:
        self._stage = stage
        self._index = index
        self._transcript = ""
        self.item = Item(_message(stage, content=[]), format_name=format_name, audio=sound)
        stage.announce(self.item, index)
        self.item.wire["content"] = [{"type": "output_audio", "transcript": ""}]
        self._tell("content_part.added", part={"type": "audio", "transcript": ""})

    def say(self, delta: Delta) -> None:
        """Hand out a piece: words first."""
        if delta.words:
            self._transcript += delta.words
            self._tell("output_audio_transcript.delta", delta=delta.words)
        self.item.sent_bytes += delta.length_bytes
        self._tell("output_audio.delta", delta=delta.b64)

    def close(self, status: ItemStatus) -> None:
        """audio, transcript, part, item."""
        self._tell("output_audio.done")
        self._tell("output_audio_transcript.done", transcript=self._transcript)
        self._tell("content_part.done", part={"type": "audio", "transcript": self._transcript})
        forgotten = self.item.truncated_ms is not None
        self.item.wire["content"][0]["transcript"] = None if forgotten else self._transcript
        self.item.wire["status"] = status
        self._stage.conclude(self.item, self._index)

    def _tell(self, name: str, **fields: object) -> None:
        self._stage.tell(
            f"response.{name}",
            item_id=self.item.id,
            output_index=self._index,
            content_index=0,
            **fields,
        )


class WrittenOutput:
    """Text without speech."""

    def __init__(self, stage: Stage, index: int) -> None:
        self._stage = stage
        self._index = index
        self._text = ""
        self.item = Item(_message(stage, content=[]))
        stage.announce(self.item, index)
        self.item.wire["content"] = [{"type": "output_text", "text": ""}]
        self._tell("content_part.added", part={"type": "text", "text": ""})

    def write(self, words: str) -> None:
        """Hand out a piece."""
        self._text += words
        self._tell("output_text.delta", delta=words)

    def close(self, status: ItemStatus) -> None:
        """text, part, item."""
        self._tell("output_text.done", text=self._text)
        self._tell("content_part.done", part={"type": "text", "text": self._text})
        self.item.wire["content"][0]["text"] = self._text
        self.item.wire["status"] = status
        self._stage.conclude(self.item, self._index)

    def _tell(self, name: str, **fields: object) -> None:
        self._stage.tell(
            f"response.{name}",
            item_id=self.item.id,
            output_index=self._index,
            content_index=0,
            **fields,
        )


class CallOutput:
    """A function call; ``announced`` is how often its end is told."""

    def __init__(
        self, stage: Stage, index: int, name: str, call_id: str | None, announced: int
    ) -> None:
        self._stage = stage
        self._index = index
        self._announced = announced
        self.item = Item(
            {
                "id": stage.line.mint("item"),
                "object": "realtime.item",
                "type": "function_call",
                "status": "in_progress",
                "call_id": call_id or stage.line.mint("call"),
                "name": name,
                "arguments": "",
            }
        )
        stage.announce(self.item, index)

    def write(self, piece: str) -> None:
        """Hand out a piece of the arguments."""
        self.item.wire["arguments"] += piece
        self._tell("delta", delta=piece)

    def close(self, status: ItemStatus) -> None:
        """arguments, item: cut off in the middle, the arguments are no JSON."""
        times = self._announced if status == "completed" else 1
        wire = self.item.wire
        for _ in range(times):
            self._tell("done", name=wire["name"], arguments=wire["arguments"])
        wire["status"] = status
        self._stage.conclude(self.item, self._index, times=times)

    def _tell(self, event_name: str, **fields: object) -> None:
        self._stage.tell(
            f"response.function_call_arguments.{event_name}",
            item_id=self.item.id,
            output_index=self._index,
            call_id=self.item.wire["call_id"],
            **fields,
        )
