"""What the rest of the house knows of durable work: what can be asked for, and what became of it.

A job is asked for once, under an id, and is carried out by another process, later, also when
every process of today has died. Rule: everything here is plain JSON on its way through a
database, so that a job can be read, moved and judged without running a line of code.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from typing import Any, Protocol, Self


@dataclass(frozen=True, slots=True)
class Retry:
    """How often a call that ended in a certain way is placed again."""

    times: int
    """Further attempts, 1 or more."""
    after_s: int
    """From the end of one attempt to the next; calling hours may make it longer."""

    @classmethod
    def of(cls, given: Mapping[str, Any]) -> Self:
        """As it was before ``asdict``; unknown names are a newer version's and are ignored."""
        return cls(**{name: given[name] for name in cls.__slots__ if name in given})


@dataclass(frozen=True, slots=True)
class Dial:
    """Call somebody."""

    to: str
    """E.164, with the plus."""
    from_: str
    """A number of the account, E.164."""
    url: str
    """Where Twilio asks for the document of the answered call."""
    status_callback: str = ""
    """Where Twilio reports the call's progress; empty: nowhere, and the call is asked after."""
    parameters: Mapping[str, str] = field(default_factory=dict)
    """Further parameters of Twilio's ``Calls.create`` by their names in twilio-python, such as
    ``machine_detection``, ``async_amd``, ``timeout``; they go out as they are."""
    retries: Mapping[str, Retry] = field(default_factory=dict)
    """By how the call ended: ``busy``, ``no-answer``, ``failed``, ``canceled``."""
    ask_after_s: float = 30.0
    """How long a call's progress is waited for before Twilio is asked about it."""

    def to_json(self) -> dict[str, Any]:
        """As it lies in the database."""
        return asdict(self)

    @classmethod
    def of(cls, given: Mapping[str, Any]) -> Self:
        """As it was before ``to_json``; unknown names are a newer version's and are ignored."""
        known = {name: given[name] for name in cls.__slots__ if name in given}
        retries = {why: Retry.of(one) for why, one in known.pop("retries", {}).items()}
        return cls(**known, retries=retries)


@dataclass(frozen=True, slots=True)
class Deliver:
    """Tell the operator's program that something happened."""

    url: str
    body: str
    """JSON; what is signed is exactly this text."""

    def to_json(self) -> dict[str, Any]:
        """As it lies in the database."""
        return asdict(self)

    @classmethod
    def of(cls, given: Mapping[str, Any]) -> Self:
        """As it was before ``to_json``."""
        return cls(url=str(given["url"]), body=str(given["body"]))


@dataclass(frozen=True, slots=True)
class FollowUp:
    """Do what comes after a call: tell that it ended, say what it came to, tell that."""

    call_id: str

    def to_json(self) -> dict[str, Any]:
        """As it lies in the database."""
        return asdict(self)

    @classmethod
    def of(cls, given: Mapping[str, Any]) -> Self:
        """As it was before ``to_json``."""
        return cls(call_id=str(given["call_id"]))


@dataclass(frozen=True, slots=True)
class Remind:
    """Tell that a reminder of a call is due, unless it was changed since."""

    call_id: str
    reminder_id: str
    due_at: str
    """RFC 3339, as the reminder has it."""

    @property
    def job_id(self) -> str:
        """The same for the same reminder and moment."""
        moment = "".join(one for one in self.due_at if one.isalnum())
        return f"reminder:{self.call_id}:{self.reminder_id}:{moment}"

    def to_json(self) -> dict[str, Any]:
        """As it lies in the database."""
        return asdict(self)

    @classmethod
    def of(cls, given: Mapping[str, Any]) -> Self:
        """As it was before ``to_json``."""
        return cls(**{name: str(given[name]) for name in cls.__slots__})


@dataclass(frozen=True, slots=True)
class Answer:
    """Answer what the caller of a call that is over has written."""

    call_id: str
    text_id: str

    @property
    def job_id(self) -> str:
        """The same for the same text."""
        return f"answer:{self.call_id}:{self.text_id}"

    def to_json(self) -> dict[str, Any]:
        """As it lies in the database."""
        return asdict(self)

    @classmethod
    def of(cls, given: Mapping[str, Any]) -> Self:
        """As it was before ``to_json``."""
        return cls(**{name: str(given[name]) for name in cls.__slots__})


@dataclass(frozen=True, slots=True)
class Parked:
    """A delivery that was given up."""

    job_id: str
    url: str
    state: str
    """``parked`` after the last try, ``gone`` or ``disabled`` where the receiver wants none."""
    status: int | None
    """Of the last answer."""
    reason: str
    given_up_at_ms: int | None
    """Epoch."""


Job = Dial | Deliver | FollowUp | Remind | Answer


class JobState(StrEnum):
    """Where a job is.

    waiting -> running -> done | failed, and back to waiting for another attempt;
    everything but done and failed -> cancelled.
    """

    WAITING = "waiting"
    """For its turn, for the callee's day to begin, or for another attempt."""
    RUNNING = "running"
    DONE = "done"
    """It came to an end that ``result`` names: also a refusal is one."""
    FAILED = "failed"
    """Something broke here; ``result`` is empty."""
    CANCELLED = "cancelled"


@dataclass(frozen=True, slots=True)
class JobStatus:
    """What became of a job."""

    job_id: str
    state: JobState
    result: Mapping[str, Any]
    """Of the newest attempt that has one. ``state`` in it, for a call: completed, busy, no-answer,
    failed, canceled, refused (with ``reason``), deferred, indeterminate; for a webhook: delivered,
    parked, gone, disabled; for what follows a call: completed, skipped, failed, forgotten."""
    runs: int
    """How often it was taken up, deferrals included."""
    not_before_ms: int | None = None
    """Epoch; when a waiting job is taken up again, where that is known."""


class Jobs(Protocol):
    """Durable work, from a process that does not do it itself.

    All raise ``OurFault``, ``jobs_unreachable``, where the database cannot be had.
    """

    async def enqueue(self, job: Job, *, job_id: str, after_s: float = 0) -> None:
        """Have ``job`` done, once for each ``job_id`` (``job_id_of`` makes one of a key).

        The same job under the same id is nothing new. Raises ``CallerFault``,
        ``job_id_in_use``, where another job has the id.
        """

    async def cancel(self, job_id: str) -> bool:
        """See to it that nothing further is done; False where it was over or unknown.

        What is on its way is not taken back: a call that rings goes on ringing.
        """

    async def withdraw(self, job_id: str) -> bool:
        """Cancel it if nothing of it is under way: it then never begins. False where a run has
        begun, or it was over or unknown; then nothing was changed."""

    async def status(self, job_id: str) -> JobStatus | None:
        """What became of the job; None where there is none, or none any more."""

    async def tell(self, job_id: str, news: Mapping[str, str]) -> None:
        """Let a call's job know what Twilio's status callback said: ``call_sid``, ``status`` and
        whatever else belongs into the result. ``job_id`` is the id of the run that placed the
        call, as its status callback has it. Nothing happens where there is no such job."""

    async def replay(self, job_id: str) -> bool:
        """Begin a parked or failed delivery anew; False where it is not over or unknown."""

    async def parked(self, limit: int = 100) -> list[Parked]:
        """Deliveries that were given up and not begun anew, newest first, at most ``limit``."""

    async def forget(self, call_id: str) -> int:
        """Stop and delete what was asked for about this call, its placing and the bodies of its
        webhooks included; how many runs."""
