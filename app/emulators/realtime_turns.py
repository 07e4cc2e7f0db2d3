"""What the local model can be made to say: outputs, turns, and the brain that chooses them.

A brain decides and waits for nothing; the emulator does the talking. A turn is a value with
a plan: it says what one response consists of, and is told nothing about sockets or time.
"""

import json
from collections.abc import Awaitable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal, Protocol, TypeAlias

from app.emulators.realtime_hearing import Detector
from app.emulators.realtime_speech import tone

Origin: TypeAlias = Literal["client", "turn", "idle"]
"""Who asked for a response: the client, the end of the caller's turn, the caller's silence."""


@dataclass(frozen=True, slots=True)
class Speech:
    """Something said aloud: a tone, or the mu-law ``audio`` that is given."""

    text: str
    ms: int = 2000
    tone_hz: float = 440
    audio: bytes | None = None

    def sound(self) -> bytes:
        """Mu-law of it."""
        return tone(self.tone_hz, self.ms) if self.audio is None else self.audio


@dataclass(frozen=True, slots=True)
class Words:
    """Something written, not said."""

    text: str


@dataclass(frozen=True, slots=True)
class ToolUse:
    """A function call."""

    name: str
    arguments: Mapping[str, Any] | str = field(default_factory=dict)
    """As a string it goes out as it is, however broken."""
    call_id: str | None = None
    announced: int = 1
    """How many times the end of the call is announced; real services have repeated it."""
    unoffered: bool = False
    """The model makes the tool up: nothing is wrong with the client."""

    def json(self) -> str:
        """The arguments as the model writes them."""
        return self.arguments if isinstance(self.arguments, str) else json.dumps(self.arguments)


Output: TypeAlias = Speech | Words | ToolUse


@dataclass(frozen=True, slots=True)
class Plan:
    """One response, from its creation to its end."""

    outputs: tuple[Output, ...] = ()
    first_ms: int = 0
    """Silence between ``response.created`` and the first output."""
    status: Literal["completed", "incomplete", "failed"] = "completed"
    reason: str | None = None
    code: str | None = None
    message: str | None = None
    hangs: bool = False
    """After the last output nothing follows, until the response is cancelled."""


class Turn(Protocol):
    """An element of a script that answers one request for a response."""

    def plan(self) -> Plan:
        """What the response consists of."""


@dataclass(frozen=True, slots=True)
class Reply:
    """Speech, and possibly function calls after it in the same response."""

    text: str
    ms: int = 2000
    tone_hz: float = 440
    audio: bytes | None = None
    tools: Sequence[ToolUse] = ()
    first_audio_ms: int = 0

    def plan(self) -> Plan:
        """The speech, then the calls."""
        speech = Speech(self.text, self.ms, self.tone_hz, self.audio)
        return Plan((speech, *self.tools), self.first_audio_ms)


@dataclass(frozen=True, slots=True, init=False)
class Items:
    """Any outputs in one response: several spoken items, text between calls ..."""

    outputs: tuple[Output, ...]

    def __init__(self, outputs: Sequence[Output]) -> None:
        object.__setattr__(self, "outputs", tuple(outputs))

    def plan(self) -> Plan:
        """The outputs in order."""
        return Plan(self.outputs)


@dataclass(frozen=True, slots=True, init=False)
class Parallel:
    """Several function calls in one response and no speech."""

    tools: tuple[ToolUse, ...]

    def __init__(self, *tools: ToolUse) -> None:
        object.__setattr__(self, "tools", tools)

    def plan(self) -> Plan:
        """The calls in order."""
        return Plan(self.tools)


@dataclass(frozen=True, slots=True)
class TextOnly:
    """A written answer where a spoken one was asked for."""

    text: str

    def plan(self) -> Plan:
        """The text."""
        return Plan((Words(self.text),))


@dataclass(frozen=True, slots=True)
class Empty:
    """A completed response without any output."""

    def plan(self) -> Plan:
        """Nothing."""
        return Plan()


@dataclass(frozen=True, slots=True)
class Fail:
    """``response.done`` with status failed, possibly in the middle of speech."""

    code: str = "server_error"
    message: str = "The server had an error while processing your request."
    after: Speech | None = None

    def plan(self) -> Plan:
        """What was said before it failed."""
        outputs = (self.after,) if self.after else ()
        return Plan(outputs, status="failed", code=self.code, message=self.message)


@dataclass(frozen=True, slots=True)
class Cut:
    """``response.done`` with status incomplete: out of tokens, or filtered."""

    speech: Speech
    reason: Literal["max_output_tokens", "content_filter"] = "max_output_tokens"

    def plan(self) -> Plan:
        """What was said before it ended."""
        return Plan((self.speech,), status="incomplete", reason=self.reason)


@dataclass(frozen=True, slots=True)
class Slow:
    """Another turn, later."""

    turn: Turn
    first_audio_ms: int

    def plan(self) -> Plan:
        """The turn's own plan with a silence before it."""
        return replace(self.turn.plan(), first_ms=self.first_audio_ms)


@dataclass(frozen=True, slots=True)
class Hang:
    """A response that never ends: nothing was said, or the last output is never closed.

    With half the arguments of a ``ToolUse`` it is a call in the middle of being written.
    """

    last: Output | None = None

    def plan(self) -> Plan:
        """What was said before it hung."""
        return Plan((self.last,) if self.last else (), hangs=True)


@dataclass(frozen=True, slots=True)
class Ask:
    """One request for a response, as the model sees it."""

    origin: Origin
    out_of_band: bool
    instructions: str
    tools: tuple[str, ...]
    """Names of the functions on offer; empty when the choice is ``none``."""
    metadata: Mapping[str, str]
    items: tuple[Mapping[str, Any], ...]
    """The context, oldest first."""
    schemas: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    """The parameters of the functions on offer, by name."""
    tool_required: bool = False
    """The choice leaves the model no answer but a function call."""


@dataclass(frozen=True, slots=True)
class Heard:
    """What the transcription makes of one turn of the caller, and when it says so."""

    text: str
    when: Literal["early", "late", "failed", "never"] = "early"
    """Before the answer begins; after it ended; an error instead; not at all."""


class Brain(Protocol):
    """What stands behind the emulator's mouth; a class that names it as a base is one."""

    def answer(self, ask: Ask) -> Plan | Awaitable[Plan]:
        """The response to ``ask``; an awaitable may be cancelled when the caller interrupts."""
        ...

    def detector(self) -> Detector | None:
        """What tells this session speech from noise; None: its loudness."""
        return None

    def attend(self) -> None:
        """The caller begins to speak; a turn that did not come to its end is forgotten."""
        return None

    def listen(self, audio: bytes, format_name: str) -> None:
        """More of the turn, as it is appended, for those who cannot wait for its end."""
        return None

    def turn_over(self, audio: bytes, format_name: str) -> None:
        """The turn is committed: ``audio`` is all of it. Its answer, if any, is asked for next."""
        return None

    def hear(self, audio: bytes, format_name: str) -> Heard | Awaitable[Heard]:
        """The transcript of the turn, where the session wants one."""
        return Heard("")

    def notice(self, event: Mapping[str, Any]) -> None:
        """A client event of the right shape arrived; appended audio is not shown."""
        return None

    def leave(self) -> None:
        """A session of this brain is over; where each has a brain of its own, so is this one."""
        return None

    def assert_consumed(self) -> None:
        """Raise AssertionError when something of the script is left over or went wrong."""
        return None
