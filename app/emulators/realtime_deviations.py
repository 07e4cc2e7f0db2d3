"""Servers that are not quite OpenAI's, as a change of what a strict one is told and tells.

The rule: a deviation is met at the socket. Going in, a message becomes what a strict server
would have been sent, or is refused; coming out, an event becomes what that server says. One
of these lives as long as its session. Collected from the servers' and clients' sources, 2026-11.
"""

import copy
from typing import Any

from app.emulators.realtime_conversation import Conversation
from app.emulators.realtime_errors import Json, Refusal
from app.emulators.realtime_grammar import EVENTS

_TRANSCRIPT = "conversation.item.input_audio_transcription"
_ITEM_ADDED = "conversation.item.added"
_STRICT_RATE_HZ = 24_000
_HF_RATE_HZ = 16_000

LOCALAI_EVENT_ID = "event_TODO"
"""What LocalAI writes as the id of every event (core/http/endpoints/openai/realtime.go)."""


class Deviation:
    """None: strict GA."""

    needs_model = True
    """The address must name a model."""

    def admit(self, event: Json) -> Json | None:
        """What a strict server would have been sent; None for what is passed over in silence.

        Raises ``Refusal``.
        """
        return event

    def judged(self, event: Json) -> Json:
        """What of an admitted event is to be judged by the strict grammar."""
        return event

    def truncate(self, conversation: Conversation, place: dict[str, Any]) -> bool:
        """Do something about a truncation; False when it is not acknowledged."""
        conversation.truncate(**place)
        return True

    def tell(self, event: Json) -> list[Json]:
        """The events that the client gets in place of ``event``."""
        return [event]


class XaiLike(Deviation):
    """Grok Voice: voice and turn detection at the top, transcripts that grow, items told twice."""

    def __init__(self) -> None:
        self._transcript = ""

    def admit(self, event: Json) -> Json | None:
        """Refuses what stands where it does in GA."""
        if "tool_choice" in event.get("response", {}):
            raise _unknown("response.tool_choice")
        return self._session(copy.deepcopy(event)) if "session" in event else event

    def _session(self, event: Json) -> Json:
        session = event["session"]
        heard, said = (session["audio"].setdefault(side, {}) for side in ("input", "output"))
        for side, name in ((heard, "turn_detection"), (heard, "noise_reduction"), (said, "voice")):
            if name in side:
                raise _unknown(f"session.audio.{name}")
        said["voice"] = session.pop("voice")
        heard["turn_detection"] = session.pop("turn_detection")
        if heard["turn_detection"]["type"] != "server_vad":
            raise Refusal("Only server_vad is supported.", param="session.turn_detection.type")
        if heard.get("transcription") is not None:
            heard["transcription"].setdefault("model", "built-in")
        return event

    def tell(self, event: Json) -> list[Json]:
        """No ``session.created``; a function call is added twice; transcripts are cumulative."""
        kind = event["type"]
        if kind == "session.created":
            return []
        if kind == _ITEM_ADDED:
            event = event | {"previous_item_id": None}
            return [event] * (2 if event["item"]["type"] == "function_call" else 1)
        if kind == f"{_TRANSCRIPT}.delta":
            self._transcript += event["delta"]
            told = event | {"type": f"{_TRANSCRIPT}.updated", "transcript": self._transcript}
            half = told | {"type": f"{_TRANSCRIPT}.completed", "status": "in_progress"}
            del told["delta"], half["delta"]
            return [told, half]
        if kind == f"{_TRANSCRIPT}.completed":
            self._transcript = ""
            return [event | {"status": "completed"}]
        return [event]


class LocalAiLike(Deviation):
    """LocalAI: samples only, whatever is asked; a truncated item is blank; ids are to do."""

    def admit(self, event: Json) -> Json | None:
        """Formats that are not samples are passed over, as are events it does not know."""
        if event.get("type") not in EVENTS:
            return None
        if "session" not in event:
            return event
        event = copy.deepcopy(event)
        for side in event["session"].get("audio", {}).values():
            if side.get("format", {}).get("type") != "audio/pcm":
                side.pop("format", None)
            wanted = side.get("transcription")
            if wanted and "model" in wanted:
                raise Refusal("Failed to update session", "session_update_error", "")
            if wanted is not None:
                wanted["model"] = "whisper-base"
        return event

    def judged(self, event: Json) -> Json:
        """Samples may come at any rate."""
        return _at_strict_rate(event)

    def truncate(self, conversation: Conversation, place: dict[str, Any]) -> bool:
        """All of the item's words are gone, however much of it was heard."""
        item = conversation.find(place["item_id"])
        if item is None:
            raise Refusal("Failed to truncate: item not found", "item_not_found", "")
        item.truncated_ms = 0
        for part in item.wire["content"]:
            part["transcript"] = ""
        return True

    def tell(self, event: Json) -> list[Json]:
        """No format in the echo, no item of speech, no end of an item, errors nobody knows."""
        kind = event["type"]
        event = event | {"event_id": LOCALAI_EVENT_ID}
        if kind == "conversation.item.done":
            return []
        if kind in ("session.created", "session.updated"):
            event = copy.deepcopy(event)
            for side in event["session"]["audio"].values():
                del side["format"]
        if kind.startswith("input_audio_buffer.speech_"):
            event = event | {"item_id": ""}
        if kind == "input_audio_buffer.committed":
            error = {"type": "invalid_request_error", "code": "speaker_unknown", "param": ""}
            error |= {"message": "Failed to identify the speaker", "event_id": LOCALAI_EVENT_ID}
            return [event, {"type": "error", "event_id": "", "error": error}]
        return [event]


class HfLike(Deviation):
    """Hugging Face speech-to-speech: samples at 16 kHz, truncations passed over, ends only."""

    needs_model = False

    def __init__(self) -> None:
        self._formats: dict[str, Any] = {}
        self._deltas = 0

    def admit(self, event: Json) -> Json | None:
        """Mu-law is taken for samples; a rate is unsaid, or 24,000."""
        if event.get("type") not in EVENTS:
            raise Refusal("Unknown or invalid event", "unknown_or_invalid_event", None)
        if "session" not in event:
            return event
        event = copy.deepcopy(event)
        for name, side in event["session"].get("audio", {}).items():
            if "format" not in side:
                continue
            self._formats[name] = side["format"]
            rate = side["format"].get("rate", _HF_RATE_HZ)
            if "rate" in side["format"] and rate != _STRICT_RATE_HZ:
                raise Refusal("Unknown or invalid event", "unknown_or_invalid_event", None)
            side["format"] = {"type": "audio/pcm", "rate": rate}
        return event

    def judged(self, event: Json) -> Json:
        """As it was before its samples were given a rate."""
        return _at_strict_rate(event)

    def truncate(self, conversation: Conversation, place: dict[str, Any]) -> bool:
        """Accepted, and nothing else."""
        return False

    def tell(self, event: Json) -> list[Json]:
        """Calls come whole, words in sentences, items as ``created``; the echo is the wish."""
        kind = event["type"]
        if kind.startswith(("response.output_item.", "response.content_part.")):
            return []
        if kind in _NOT_TOLD_BY_HF:
            return []
        if kind == "response.output_audio_transcript.delta":
            sentence = event | {"type": "response.output_audio_transcript.done"}
            return [sentence | {"transcript": sentence.pop("delta").strip()}]
        if kind == _ITEM_ADDED:
            of_model = event["item"].get("role") == "assistant"
            return [] if of_model else [event | {"type": "conversation.item.created"}]
        if kind == "response.output_audio.delta":
            self._deltas += 1
            return [event | {"content_index": self._deltas}]
        if kind == "session.updated":
            event = copy.deepcopy(event)
            for name, wish in self._formats.items():
                event["session"]["audio"][name]["format"] = {"rate": None} | wish
        return [event]


_NOT_TOLD_BY_HF = {
    "conversation.item.done",
    "response.function_call_arguments.delta",
    "response.output_audio_transcript.done",
}


def _unknown(param: str) -> Refusal:
    return Refusal(f"Unknown parameter: '{param}'.", "unknown_parameter", param)


def _at_strict_rate(event: Json) -> Json:
    """``event`` with the one rate that the strict grammar knows."""
    if "session" not in event:
        return event
    event = copy.deepcopy(event)
    for side in event["session"].get("audio", {}).values():
        if "rate" in side.get("format", {}):
            side["format"]["rate"] = _STRICT_RATE_HZ
    return event
