"""One answer of the emulated model, as the messages OpenAI Realtime sends.

One rule: the order and the shapes are those of the real service. Everything but the seal of a
delta is built once per item, because the generator plays hundreds of models on one core.
"""

from itertools import count
from typing import Any

import orjson
from bench_wire import BYTES_PER_MS

_events = count(1)
_TEXT = "and then, "
USAGE = {
    "total_tokens": 200,
    "input_tokens": 120,
    "output_tokens": 80,
    "input_token_details": {
        "text_tokens": 80,
        "audio_tokens": 40,
        "image_tokens": 0,
        "cached_tokens": 64,
        "cached_tokens_details": {"text_tokens": 64, "audio_tokens": 0, "image_tokens": 0},
    },
    "output_token_details": {"text_tokens": 20, "audio_tokens": 60},
}


def message(kind: str, **fields: Any) -> bytes:
    """A server event with an id of its own."""
    return orjson.dumps({"type": kind, "event_id": f"event_{next(_events)}", **fields})


class Item:
    """One spoken item of an answer, cut into deltas of equal length."""

    __slots__ = ("_after_seal", "_before_seal", "id", "number", "pieces", "places", "sent")

    def __init__(
        self, item_id: str, *, number: int, index: int, response_id: str, pieces: int, tail: bytes
    ) -> None:
        self.id = item_id
        self.number = number
        self.pieces = pieces
        self.sent = 0
        self.places = {
            "response_id": response_id,
            "item_id": item_id,
            "output_index": index,
            "content_index": 0,
        }
        fixed = orjson.dumps(self.places)[1:-1]
        self._before_seal = b'",' + fixed + b',"delta":"'
        self._after_seal = tail + b'"}'

    def delta(self, seal: bytes) -> bytes:
        """The next 100 ms, or whatever a piece is long, beginning with ``seal``."""
        self.sent += 1
        return b'{"type":"response.output_audio.delta","event_id":"event_%d%b%b%b' % (
            next(_events),
            self._before_seal,
            seal,
            self._after_seal,
        )

    def text(self) -> bytes:
        """A piece of the transcript; runs beside the audio."""
        return message("response.output_audio_transcript.delta", **self.places, delta=_TEXT)

    def shape(self, status: str) -> dict[str, Any]:
        """The item as it is shown in events."""
        spoken = {"type": "output_audio", "transcript": _TEXT}
        return {
            "id": self.id,
            "object": "realtime.item",
            "type": "message",
            "status": status,
            "role": "assistant",
            "content": [] if status == "in_progress" else [spoken],
        }


class Answer:
    """One response of the default conversation."""

    __slots__ = ("conversation_id", "id", "items", "metadata", "started_at_ns")

    def __init__(
        self, response_id: str, items: list[Item], *, conversation_id: str, metadata: Any
    ) -> None:
        self.id = response_id
        self.items = items
        self.conversation_id = conversation_id
        self.metadata = metadata
        self.started_at_ns = 0

    def opening(self) -> bytes:
        """``response.created``."""
        return message("response.created", response=self._shape("in_progress", None))

    def item_opening(self, item: Item) -> list[bytes]:
        """What precedes an item's first delta."""
        shape = item.shape("in_progress")
        index = item.places["output_index"]
        return [
            message(
                "response.output_item.added", response_id=self.id, output_index=index, item=shape
            ),
            message("conversation.item.added", previous_item_id=None, item=shape),
            message(
                "response.content_part.added",
                **item.places,
                part={"type": "audio", "transcript": ""},
            ),
        ]

    def item_closing(self, item: Item, status: str) -> list[bytes]:
        """What follows an item's last delta."""
        shape = item.shape(status)
        index = item.places["output_index"]
        return [
            message("response.output_audio.done", **item.places),
            message("response.output_audio_transcript.done", **item.places, transcript=_TEXT),
            message(
                "response.content_part.done",
                **item.places,
                part={"type": "audio", "transcript": _TEXT},
            ),
            message(
                "response.output_item.done", response_id=self.id, output_index=index, item=shape
            ),
            message("conversation.item.done", previous_item_id=None, item=shape),
        ]

    def closing(self, status: str, reason: str | None) -> list[bytes]:
        """``response.done`` and what comes with it."""
        details = None if reason is None else {"type": status, "reason": reason}
        limits = [{"name": "tokens", "limit": 50000, "remaining": 49950, "reset_seconds": 0.06}]
        return [
            message("response.done", response=self._shape(status, details)),
            message("rate_limits.updated", rate_limits=limits),
        ]

    def _shape(self, status: str, details: dict[str, str] | None) -> dict[str, Any]:
        done = status != "in_progress"
        seen = [item for item in self.items if item.sent] if done else []
        return {
            "object": "realtime.response",
            "id": self.id,
            "status": status,
            "status_details": details,
            "output": [item.shape(_item_status(item)) for item in seen],
            "conversation_id": self.conversation_id,
            "output_modalities": ["audio"],
            "max_output_tokens": "inf",
            "audio": {"output": {"format": {"type": "audio/pcmu"}, "voice": "marin"}},
            "usage": USAGE if done else None,
            "metadata": self.metadata,
        }


def _item_status(item: Item) -> str:
    return "completed" if item.sent == item.pieces else "incomplete"


def length_ms(item: Item, piece_bytes: int) -> int:
    """Milliseconds of audio of ``item`` that were sent."""
    return item.sent * piece_bytes // BYTES_PER_MS
