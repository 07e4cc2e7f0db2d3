"""The caller's side of a session: appended audio becomes turns, turns become transcripts.

The item of a turn gets its id when the caller begins to speak; the turn is committed when the
caller falls silent, and only then may a response be made of it.
"""

import copy
from collections.abc import Awaitable
from dataclasses import dataclass, field
from typing import Any

from app.emulators.realtime_config import SessionConfig, bytes_per_ms, is_linear
from app.emulators.realtime_conversation import Conversation, Item
from app.emulators.realtime_errors import Json, Refusal, too_little_audio
from app.emulators.realtime_floor import Floor
from app.emulators.realtime_hearing import Ear, SpeechStarted, SpeechStopped
from app.emulators.realtime_line import Line
from app.emulators.realtime_speech import split
from app.emulators.realtime_turns import Brain, Heard, Origin

_SHORTEST_TURN_MS = 100
_TRANSCRIPT = "conversation.item.input_audio_transcription"
_MOST_APPENDED_BYTES = 15 * 1024 * 1024


@dataclass(slots=True)
class CallerSide:
    """Hears the caller and hands over the floor."""

    line: Line
    config: SessionConfig
    conversation: Conversation
    brain: Brain
    floor: Floor
    keep_audio: bool = True
    ear: Ear = field(default_factory=Ear)
    turn_id: str | None = None
    """The item of the turn that is being spoken."""
    turn_start_ms: int = 0
    committed: bool = False
    """Whether a turn was just committed by the ear, so that a client's commit comes too late."""

    def append(self, audio: bytes) -> None:
        """Hear ``audio``, in the input format; raises ``Refusal`` when it cannot be that."""
        if len(audio) > _MOST_APPENDED_BYTES:
            raise Refusal("Invalid 'audio': more than 15 MiB.", param="audio")
        name = self.config.input_format
        if is_linear(name) and len(audio) % 2:
            raise Refusal("Invalid 'audio': half a sample.", param="audio")
        for noticed in self.ear.hear(audio, name, self.config.turn_detection):
            if isinstance(noticed, SpeechStarted):
                self._started(noticed)
            else:
                self._stopped(noticed)
        if audio := self.ear.fresh():
            self.brain.listen(audio, name)

    def commit(self) -> None:
        """The client ends the turn; raises ``Refusal`` when there is too little of it."""
        buffered_ms = self.ear.buffered_ms
        if buffered_ms < _SHORTEST_TURN_MS:
            raise too_little_audio(buffered_ms, race=self.committed)
        self._take(self.ear.commit())
        self.committed = False

    def clear(self) -> None:
        """The client throws the turn away."""
        self.ear.clear()
        self.turn_id = None
        self.line.emit("input_audio_buffer.cleared")

    def idle(self) -> None:
        """The caller has been silent for too long: an empty turn, and a response to it."""
        now_ms = self.ear.written_ms
        self.turn_id = self.line.mint("item")
        self.line.emit(
            "input_audio_buffer.timeout_triggered",
            audio_start_ms=min(self.turn_start_ms, now_ms),
            audio_end_ms=now_ms,
            item_id=self.turn_id,
        )
        self._take(b"")
        self.floor.offer("idle")

    def _started(self, noticed: SpeechStarted) -> None:
        self.turn_id = self.line.mint("item")
        self.turn_start_ms = noticed.audio_start_ms
        self.committed = False
        self.brain.attend()
        self.line.emit(
            "input_audio_buffer.speech_started",
            audio_start_ms=noticed.audio_start_ms,
            item_id=self.turn_id,
        )
        detection = self.config.turn_detection
        self.floor.interrupt(cut=detection is not None and detection.interrupt_response)

    def _stopped(self, noticed: SpeechStopped) -> None:
        self.line.emit(
            "input_audio_buffer.speech_stopped",
            audio_end_ms=noticed.audio_end_ms,
            item_id=self.turn_id,
        )
        self.turn_start_ms = noticed.audio_end_ms
        self._take(noticed.audio)
        self.committed = True
        detection = self.config.turn_detection
        if detection is not None and detection.create_response:
            origin: Origin = "turn"
            self.floor.offer(origin)

    def _take(self, audio: bytes) -> None:
        item_id = self.turn_id or self.line.mint("item")
        self.turn_id = None
        wire: dict[str, Any] = {
            "id": item_id,
            "object": "realtime.item",
            "type": "message",
            "status": "completed",
            "role": "user",
            "content": [{"type": "input_audio", "transcript": None}],
        }
        name = self.config.input_format
        item = Item(wire, format_name=name, audio=audio, turn_bytes=len(audio))
        before = self.conversation.append(item)
        self.line.emit("input_audio_buffer.committed", previous_item_id=before, item_id=item_id)
        for event_type in ("conversation.item.added", "conversation.item.done"):
            self.line.emit(event_type, previous_item_id=before, item=copy.deepcopy(wire))
        if audio:
            self.brain.turn_over(audio, name)
            if self.config.transcribes:
                self._transcribe(item)
        if not self.keep_audio:
            item.audio = b""

    def _transcribe(self, item: Item) -> None:
        heard = self.brain.hear(item.audio, item.format_name)
        if isinstance(heard, Heard):
            self._transcribed(item, heard)
        else:
            self.floor.beside(self._await_transcript(item, heard), f"transcript of {item.id}")

    async def _await_transcript(self, item: Item, heard: Awaitable[Heard]) -> None:
        self._transcribed(item, await heard)

    def _transcribed(self, item: Item, heard: Heard) -> None:
        if heard.when == "early":
            self._tell(item, heard.text)
        elif heard.when == "late":
            self.floor.after_response(lambda: self._tell(item, heard.text))
        elif heard.when == "failed":
            error: Json = {
                "type": "server_error",
                "code": None,
                "message": f"Input transcription failed for item '{item.id}'.",
                "param": None,
            }
            self.line.emit(f"{_TRANSCRIPT}.failed", item_id=item.id, content_index=0, error=error)

    def _tell(self, item: Item, text: str) -> None:
        for words in split(text):
            self.line.emit(f"{_TRANSCRIPT}.delta", item_id=item.id, content_index=0, delta=words)
        item.wire["content"][0]["transcript"] = text
        self.line.emit(
            f"{_TRANSCRIPT}.completed",
            item_id=item.id,
            content_index=0,
            transcript=text,
            usage=_usage(item, text),
        )


def _usage(item: Item, text: str) -> Json:
    sounded = item.turn_bytes // bytes_per_ms(item.format_name) // 100
    written = -(-len(text) // 4)
    return {
        "type": "tokens",
        "total_tokens": sounded + written,
        "input_tokens": sounded,
        "input_token_details": {"text_tokens": 0, "audio_tokens": sounded},
        "output_tokens": written,
    }
