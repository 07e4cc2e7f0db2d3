"""The refusals of the local OpenAI, worded as the real service words them.

Clients match on ``code`` first and on the beginning of the message second, so both are kept
here, in one place, and nowhere else; the rule is that a refusal never changes any state.
"""

from dataclasses import dataclass
from typing import Any, TypeAlias

Json: TypeAlias = dict[str, Any]

EXPIRED_REASON = "Your session hit the maximum duration of 60 minutes."
BAD_KEY_REASON = "invalid_request_error.invalid_api_key"
BETA_REASON = "invalid_request_error.beta_api_shape_disabled"


@dataclass(eq=False)
class Refusal(Exception):
    """Why a client event was refused; ``code`` may be None, as it is for a few real errors."""

    message: str
    code: str | None = "invalid_value"
    param: str | None = None
    race: bool = False
    """The client could not have known better: a server event was on its way to it."""

    def body(self, event_id: object) -> Json:
        """The ``error`` object of an ``error`` event."""
        return {
            "type": "invalid_request_error",
            "code": self.code,
            "message": self.message,
            "param": self.param,
            "event_id": event_id if isinstance(event_id, str) else None,
        }


def already_active(response_id: str, *, race: bool) -> Refusal:
    """A second response was asked of the conversation while one was being made."""
    return Refusal(
        f"Conversation already has an active response in progress: {response_id}. "
        "Wait until the response is finished before creating a new one.",
        "conversation_already_has_active_response",
        race=race,
    )


def nothing_to_cancel(*, race: bool) -> Refusal:
    """A cancellation came when nothing was being said."""
    return Refusal(
        "Cancellation failed: no active response found", "response_cancel_not_active", race=race
    )


def too_little_audio(buffered_ms: float, *, race: bool) -> Refusal:
    """A commit of less than the 100 ms a turn must have."""
    return Refusal(
        "Error committing input audio buffer: buffer too small. Expected at least 100ms of "
        f"audio, but buffer only has {buffered_ms:.2f}ms of audio.",
        "input_audio_buffer_commit_empty",
        race=race,
    )


def truncated_too_late(length_ms: int, audio_end_ms: int) -> Refusal:
    """The client claims to have played more than it was given."""
    return Refusal(
        f"Audio content of {length_ms}ms is already shorter than {audio_end_ms}ms",
        "invalid_value",
        "audio_end_ms",
    )


def not_model_audio() -> Refusal:
    """The item to be truncated is not something the model spoke."""
    return Refusal("Only model output audio messages can be truncated", None)


def no_such_item(verb: str, item_id: str) -> Refusal:
    """``verb`` is truncate, delete or retrieve; the id is unknown to this connection."""
    return Refusal(
        f"Error {verb.removesuffix('e')}ing item: the item with id '{item_id}' does not exist.",
        f"item_{verb}_invalid_item_id",
        "item_id",
    )


def voice_locked() -> Refusal:
    """The whole update is lost when the voice changes after the model spoke."""
    return Refusal(
        "Cannot update a conversation's voice if assistant audio is present.",
        "cannot_update_voice",
        "session.audio.output.voice",
    )
