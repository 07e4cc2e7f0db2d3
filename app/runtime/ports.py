"""What a runner needs of the floors below, as shapes. ``main`` is where they meet the real ones."""

from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from datetime import datetime
from typing import Any, Protocol

from app.call.facts import Fact
from app.protocol.commands import PlaceSideCall, RunTool, ToCaller, ToModel
from app.protocol.events import Event, ToolDone
from app.services.store.changes import NewCall

Feed = Callable[[Event], None]


class CallerLine(Protocol):
    """The socket that Twilio opened."""

    ignored: Counter[str]
    """What could not be understood or was not needed, by reason."""

    def send(self, command: ToCaller) -> None:
        """Write or queue; never blocks, never raises."""

    def close(self, code: int = ...) -> None:
        """Idempotent."""

    def hand_to(self, feed: Feed | None) -> None:
        """From now on events go there; None: nobody wants the stream, which is closed."""


class ModelLine(Protocol):
    """The socket that we open."""

    ignored: Counter[str]
    """What could not be understood or was not needed, by type or reason."""

    warnings: Counter[str]
    """What the server does only in part, by reason: for the record."""

    session_id: str
    life_ms: int | None
    """What the server grants the session, counted from its beginning; None if it did not say."""
    feed: Feed
    """Where its events go until it is closed; may be replaced."""

    def append(self, payload_b64: str) -> None:
        """``send`` for ``AppendAudio`` alone, fifty times a second."""

    def send(self, command: ToModel) -> None:
        """Write or queue; never blocks, never raises."""

    def close(self) -> None:
        """Idempotent; no event follows."""


OpenModelLine = Callable[..., Awaitable[ModelLine]]
"""``(feed, timeout_ms)``, and ``agent`` where it is not of the agent who has the conversation:
open a line within so many ms; raises ``ModelFault``. Cancelling leaves nothing behind."""

ToolRunner = Callable[[RunTool], Awaitable[ToolDone]]
"""Run a tool of this call; never raises but for cancellation."""


Recorder = Callable[[str], Awaitable[bool]]
"""Have one call recorded, or not, as in ``AskRecording``: one wish after the other. False where it
was not carried out. Raises nothing but for cancellation."""


Judge = Callable[[str, str], Awaitable[bool]]
"""``(rule, text)``: whether a text is against a rule of the document. Bounded in time; raises
``ModelFault`` where nobody can say."""


class Carrier(Protocol):
    """The telephone company's REST API. All raise ``CarrierFault``, which says whether the
    request may have taken effect all the same."""

    async def redirect(self, call_sid: str, twiml: str) -> None:
        """Replace what the live call is doing; never twice for one wish."""

    async def hang_up(self, call_sid: str) -> None:
        """End the call; a call that is over already is fine."""

    async def call_status(self, call_sid: str) -> str:
        """Twilio's word for the state the call is in."""

    async def place(self, to: str, from_: str, url: str, more: Mapping[str, Any]) -> str:
        """Call somebody, who gets the document at ``url``; their CallSid."""


class People(Protocol):
    """Those whom one call may ask whether they take it."""

    def asked(self, wish: PlaceSideCall, feed: Feed) -> None:
        """One is to be called, and may be dropped from now on; ``feed`` is told what becomes of
        it. Never blocks, never raises."""

    async def place(self, wish: PlaceSideCall) -> Event:
        """Call them, after ``asked``: that it rings, or why not."""

    def drop(self, attempt: int) -> None:
        """This one is not wanted any more, as of now. Never blocks, never raises."""

    def join_twiml(self, target: str, attempt: int) -> str:
        """The document that brings the caller to who waits. Raises ``KeyError``."""


class FactStore(Protocol):
    """Where what is known about calls goes when it is told. Nothing here blocks or raises."""

    def opened(self, call: NewCall) -> None:
        """A call begins."""

    def answered(
        self,
        call_id: str,
        answered_at: datetime,
        call_sid: str | None = ...,
        owner: str | None = ...,
        lease_s: float | None = ...,
    ) -> None:
        """Somebody picked up; from now on ``owner`` holds the call, if one is named."""

    def append(self, call_id: str, seq: int, fact: Fact) -> None:
        """A fact, under its number."""

    def closed(
        self,
        call_id: str,
        end_reason: str,
        ended_at: datetime,
        record: Mapping[str, Any] | None,
        *,
        by: str | None = ...,
    ) -> None:
        """The call is over, with the record that its facts come to."""

    async def retell(self, call_id: str, record: Mapping[str, Any]) -> None:
        """The record of a call that is over, once more: it ended otherwise than was thought."""
