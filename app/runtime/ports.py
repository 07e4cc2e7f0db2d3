"""What a runner needs of the floors below, as shapes. ``main`` is where they meet the real ones."""

from collections import Counter
from collections.abc import Awaitable, Callable
from typing import Protocol

from app.protocol.commands import RunTool, ToCaller, ToModel
from app.protocol.events import Event, ToolDone

Feed = Callable[[Event], None]


class CallerLine(Protocol):
    """The socket that Twilio opened."""

    ignored: Counter[str]
    """What could not be understood or was not needed, by reason."""

    def send(self, command: ToCaller) -> None:
        """Write or queue; never blocks, never raises."""

    def close(self, code: int = ...) -> None:
        """Idempotent."""


class ModelLine(Protocol):
    """The socket that we open."""

    ignored: Counter[str]
    """What could not be understood or was not needed, by type or reason."""

    warnings: Counter[str]
    """What the server does only in part, by reason: for the record."""

    session_id: str
    feed: Feed
    """Where its events go until it is closed; may be replaced."""

    def append(self, payload_b64: str) -> None:
        """``send`` for ``AppendAudio`` alone, fifty times a second."""

    def send(self, command: ToModel) -> None:
        """Write or queue; never blocks, never raises."""

    def close(self) -> None:
        """Idempotent; no event follows."""


OpenModelLine = Callable[[Feed, int], Awaitable[ModelLine]]
"""Open a line within so many ms; raises ``ModelFault``. Cancelling leaves nothing behind."""

ToolRunner = Callable[[RunTool], Awaitable[ToolDone]]
"""Run a tool of this call; never raises but for cancellation."""


class Carrier(Protocol):
    """The telephone company's REST API. All raise ``CarrierFault``, which says whether the
    request may have taken effect all the same."""

    async def redirect(self, call_sid: str, twiml: str) -> None:
        """Replace what the live call is doing; never twice for one wish."""

    async def hang_up(self, call_sid: str) -> None:
        """End the call; a call that is over already is fine."""

    async def call_status(self, call_sid: str) -> str:
        """Twilio's word for the state the call is in."""


class RecordStore(Protocol):
    """Where records live when their calls do not any more."""

    def put(self, record: dict[str, object]) -> None:
        """Keep a record under its ``call_id``, replacing what was there."""

    def get(self, call_id: str) -> dict[str, object] | None:
        """The record, or None."""
