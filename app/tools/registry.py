"""The tools a model may call, of whatever kind, run beside the conversation.

    @tool
    def opening_hours(day: Literal["weekday", "weekend"]) -> str:
        "When the practice is open."

A tool never delays a frame and never ends a call: blocking functions run in threads, every
run has a time limit, and whatever happens comes back as one text for the model. The one rule:
that text never shows a traceback, an exception's message or anybody's data; the operator
finds the name of the error and its place in the log. A tool of another kind (``http_tools``,
``mcp_tools``) is a function with other ``Arguments``, and its limits are those of all.
"""

import asyncio
import inspect
import re
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, Protocol, cast, overload

import orjson
import structlog
from pydantic import BaseModel

from app.call import built_in
from app.call.facts import TIMED_OUT
from app.errors import ToolFault
from app.tools.foreign import Attempt, ThreadsBusy, ToolThreads, place_of
from app.tools.parameters import BadArguments, CallFacts, parameters_of, unsupported

__all__ = ["Background", "CallFacts", "Registry", "Tool", "ToolOutcome", "tool"]

MAX_DESCRIPTION_CHARS = 1024
MAX_OUTPUT_BYTES = 8192
DEFAULT_TIMEOUT_MS = 10_000

_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")
_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Background:
    """Returned by a tool around its value: tell the model without making it speak."""

    value: object


@dataclass(frozen=True, slots=True)
class Saved:
    """Returned by a tool around its value: what of it the call is to know, by name."""

    value: object
    variables: Mapping[str, str]


class ToolProblem(Exception):
    """A tool cannot do what it was asked; the message is for the model, and ``reason``, which
    is short and tells nothing of the call, is for the log."""

    def __init__(self, reason: str, sentence: str) -> None:
        super().__init__(sentence)
        self.reason = reason


class Arguments(Protocol):
    """What the model is told of a tool's arguments, and how they are read."""

    @property
    def schema(self) -> dict[str, Any]:
        """JSON Schema of an object."""

    @property
    def facts_name(self) -> str | None:
        """The parameter that receives CallFacts; None when there is none."""

    def read(self, arguments: str) -> dict[str, object]:
        """Values by parameter name from JSON text. Raises BadArguments."""


@dataclass(frozen=True, slots=True)
class ToolOutcome:
    """How a run ended, whichever way it did."""

    output: str
    """Text for the model: the result or, where ``ok`` is false, what went wrong."""
    ok: bool
    background: bool = False
    elapsed_ms: int = 0
    variables: Mapping[str, str] = field(default_factory=dict)
    """What the call is to know of it, by name."""
    source: str = "python"
    error: str = ""
    """Where ``ok`` is false: what it was, short and stable."""


@dataclass(frozen=True, slots=True)
class Tool:
    """A function the model may call. Calling the tool itself calls the function."""

    name: str
    description: str
    function: Callable[..., object]
    parameters: Arguments
    timeout_ms: int = DEFAULT_TIMEOUT_MS
    background: bool = False
    """True: no result of this tool makes the model speak."""
    say_while_running: tuple[str, ...] = ()
    """What to say while the caller waits; one of several is chosen."""
    approval_ms: int | None = None
    """How long a person is waited for who must approve each time; None: nobody must."""
    source: str = "python"
    """What kind it is: python, http or mcp."""

    def __post_init__(self) -> None:
        if not _NAME.fullmatch(self.name):
            raise unsupported(self.function, "its name must be letters, digits, _ or -, up to 64")
        if not self.description:
            raise unsupported(self.function, "write a docstring that tells when to use it")
        if len(self.description) > MAX_DESCRIPTION_CHARS:
            fix = f"shorten its description to {MAX_DESCRIPTION_CHARS} characters"
            raise unsupported(self.function, f"{fix} (it has {len(self.description)})")

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Call the function as if it had never been decorated."""
        return self.function(*args, **kwargs)

    @property
    def schema(self) -> dict[str, Any]:
        """The tool as ``session.tools`` of Realtime wants it."""
        return {
            "type": "function",
            "name": self.name,
            "description": self.description,
            "parameters": self.parameters.schema,
        }

    async def run(self, arguments: str, *, facts: CallFacts, threads: ToolThreads) -> ToolOutcome:
        """Carry out one tool call; ``arguments`` is JSON text as the model wrote it.

        Never raises, except CancelledError when the caller cancels. A function that blocks
        then keeps its thread until it returns; a coroutine is cancelled.
        """
        begun = time.monotonic()
        outcome = await self._outcome(arguments, facts, threads)
        elapsed_ms = round((time.monotonic() - begun) * 1000)
        return replace(outcome, elapsed_ms=elapsed_ms, source=self.source)

    async def _outcome(self, arguments: str, facts: CallFacts, threads: ToolThreads) -> ToolOutcome:
        with Attempt() as reading:
            values = self.parameters.read(arguments)
        if isinstance(reading.fault, BadArguments):
            return _problem(str(reading.fault), "bad_arguments")
        if reading.fault is not None:
            return self._failed(reading.fault)
        if self.parameters.facts_name is not None:
            values[self.parameters.facts_name] = facts
        try:
            async with asyncio.timeout(self.timeout_ms / 1000):
                done = await self._called(partial(self.function, **values), threads)
        except TimeoutError:
            return self._overdue(threads)
        except ThreadsBusy:
            _log.warning("tool.busy", tool=self.name, threads=threads.running)
            return _problem("The tool is busy at the moment. Try again later.", "busy")
        except asyncio.CancelledError as fault:
            # Nobody cancelled us: the tool cancelled itself, which must not look like a hang-up.
            if _being_cancelled():
                raise
            return self._failed(fault)
        return self._answered(done)

    async def _called(self, function: Callable[[], object], threads: ToolThreads) -> Attempt:
        """The outcome of the function, written as text already."""
        if not inspect.iscoroutinefunction(self.function):
            done = await threads.run(partial(_call_and_write, function))
            if done.fault is not None or isinstance(done.value, _Written):
                return done
            awaitable = done.value
        else:
            awaitable = function()
        with Attempt(asyncio.CancelledError, GeneratorExit, KeyboardInterrupt) as attempt:
            attempt.value = _write(await cast("Awaitable[object]", awaitable))
        return attempt

    def _answered(self, done: Attempt) -> ToolOutcome:
        if done.fault is not None:
            return self._failed(done.fault)
        written = cast("_Written", done.value)
        return ToolOutcome(
            written.text,
            ok=True,
            background=self.background or written.background,
            variables=written.variables,
        )

    def _failed(self, fault: BaseException) -> ToolOutcome:
        if isinstance(fault, ToolProblem):
            _log.warning("tool.refused", tool=self.name, reason=fault.reason)
            return _problem(str(fault), fault.reason)
        error = type(fault).__name__
        _log.warning("tool.failed", tool=self.name, error=error, place=place_of(fault))
        # The trace holds the frames, the frames hold the fault: not for the collector to find.
        fault.__traceback__ = None
        return _problem(f"The tool failed: {error}.", error)

    def _overdue(self, threads: ToolThreads) -> ToolOutcome:
        seconds = f"{self.timeout_ms / 1000:g}"
        _log.warning("tool.overdue", tool=self.name, after_s=seconds, threads=threads.running)
        return _problem(f"The tool did not finish within {seconds} seconds.", TIMED_OUT)


@overload
def tool(function: Callable[..., object], /) -> Tool: ...


@overload
def tool(
    *,
    name: str | None = None,
    description: str | None = None,
    timeout_ms: int = DEFAULT_TIMEOUT_MS,
    background: bool = False,
    say_while_running: str | Sequence[str] = (),
) -> Callable[[Callable[..., object]], Tool]: ...


def tool(
    function: Callable[..., object] | None = None,
    /,
    *,
    name: str | None = None,
    description: str | None = None,
    timeout_ms: int = DEFAULT_TIMEOUT_MS,
    background: bool = False,
    say_while_running: str | Sequence[str] = (),
) -> Tool | Callable[[Callable[..., object]], Tool]:
    """Make a tool of a typed function, plain or ``async``.

    Name and description come from the function and its docstring, the arguments from its
    signature; ``Annotated[str, "text"]`` describes one. A parameter annotated ``CallFacts``
    receives the facts of the call. Raises ToolFault, naming the function and the fix.
    """

    def made(function: Callable[..., object]) -> Tool:
        parameters = parameters_of(function)
        return Tool(
            name=name or str(getattr(function, "__name__", "")),
            description=description or inspect.getdoc(function) or "",
            function=function,
            parameters=parameters,
            timeout_ms=timeout_ms,
            background=background,
            say_while_running=_sentences(say_while_running),
        )

    return made if function is None else made(function)


class Server(Protocol):
    """Whose tools come and go."""

    @property
    def tools(self) -> Mapping[str, Tool]:
        """What it offers now, by name."""

    async def run(self) -> None:
        """Keep in touch with it; ends by being cancelled."""


class Registry:
    """The tools of an agent document, by name, and the threads they run in."""

    def __init__(self, *, threads: int = 32) -> None:
        self._threads = ToolThreads(threads)
        self._tools: dict[str, Tool] = {}
        self.servers: dict[str, Server] = {}
        """Those whose tools are offered besides, by the name in the document."""
        self.acted: Callable[[Tool], Tool] = lambda entry: entry
        """What is run in a tool's place; itself, where a call is no simulation."""

    def add(
        self,
        tool: Tool,
        *,
        name: str | None = None,
        description: str | None = None,
        timeout_ms: int | None = None,
        background: bool | None = None,
        say_while_running: str | Sequence[str] | None = None,
        approval_ms: int | None = None,
    ) -> None:
        """Offer a tool; what is not None replaces what the tool says of itself.

        Raises ToolFault when the name is taken, or reserved for a built-in.
        """
        said = tool.say_while_running if say_while_running is None else say_while_running
        entry = replace(
            tool,
            name=name or tool.name,
            description=description or tool.description,
            timeout_ms=tool.timeout_ms if timeout_ms is None else timeout_ms,
            background=tool.background if background is None else background,
            say_while_running=_sentences(said),
            approval_ms=approval_ms,
        )
        if entry.name in built_in.NAMES:
            raise ToolFault("tool_name_taken", f"the tool {entry.name} is built in: rename yours")
        if entry.name in self._tools:
            raise ToolFault("tool_name_taken", f"two tools are called {entry.name}: rename one")
        self._tools[entry.name] = entry

    def __contains__(self, name: str) -> bool:
        return name in self._tools

    def __getitem__(self, name: str) -> Tool:
        """The tool of that name. Raises KeyError."""
        return self._tools[name]

    def taken(self, name: str, *, but: str = "") -> bool:
        """Whether a name belongs to a tool already, or to a server other than ``but``."""
        others = (one for label, one in self.servers.items() if label != but)
        known = name in self._tools or name in built_in.NAMES
        return known or any(name in one.tools for one in others)

    def listed(self) -> dict[str, dict[str, Tool]]:
        """What the servers offer now, by server and name."""
        return {label: dict(one.tools) for label, one in self.servers.items()}

    def _found(self, name: str) -> Tool | None:
        theirs = (one.tools[name] for one in self.servers.values() if name in one.tools)
        return self._tools.get(name) or next(theirs, None)

    def approval_ms(self, name: str) -> int | None:
        """How long a person is waited for who must approve of this tool; None: nobody must."""
        entry = self._found(name)
        return None if entry is None else entry.approval_ms

    @property
    def names(self) -> tuple[str, ...]:
        """In the order they were added."""
        return tuple(self._tools)

    @property
    def threads(self) -> ToolThreads:
        """Where tools may do what blocks."""
        return self._threads

    @property
    def threads_running(self) -> int:
        """Threads that tools keep, overdue ones included."""
        return self._threads.running

    def schemas(self) -> list[dict[str, Any]]:
        """``session.tools`` of Realtime, without the built-ins."""
        return [entry.schema for entry in self._tools.values()]

    async def run(self, name: str, arguments: str, facts: CallFacts) -> ToolOutcome:
        """Carry out a tool call of the model; see ``Tool.run``. An unknown name is an outcome."""
        entry = self._found(name)
        if entry is None:
            known = ", ".join(self.names) or "none"
            return _problem(f"There is no such tool. There are: {known}.", "unknown_tool")
        return await self.acted(entry).run(arguments, facts=facts, threads=self._threads)

    def close(self) -> None:
        """Start no further thread."""
        self._threads.close()


@dataclass(frozen=True, slots=True)
class _Written:
    """A result as the model will read it."""

    text: str
    background: bool
    variables: Mapping[str, str] = field(default_factory=dict)


def _call_and_write(function: Callable[[], object]) -> object:
    """The result as text; a decorated coroutine function's awaitable as it is."""
    value = function()
    return value if inspect.isawaitable(value) else _write(value)


def _write(value: object) -> _Written:
    if isinstance(value, Background):
        return replace(_write(value.value), background=True)
    if isinstance(value, Saved):
        return replace(_write(value.value), variables=value.variables)
    if isinstance(value, str):
        return _Written(_capped(value), background=False)
    text = orjson.dumps(value, default=_jsonable, option=orjson.OPT_NON_STR_KEYS)
    return _Written(_capped(text.decode()), background=False)


def _jsonable(value: object) -> object:
    if isinstance(value, BaseModel):
        return value.model_dump(mode="json")
    return list(value) if isinstance(value, set | frozenset) else str(value)


def _capped(text: str) -> str:
    """``text`` in 8 kB, with a note when it had to be cut, and without lone surrogates."""
    data = text[: MAX_OUTPUT_BYTES + 1].encode("utf-8", "replace")
    if len(data) <= MAX_OUTPUT_BYTES:
        return data.decode()
    note = " … [cut: the result was too long]"
    kept = data[: MAX_OUTPUT_BYTES - len(note.encode())].decode("utf-8", "ignore")
    return kept + note


def _problem(text: str, error: str) -> ToolOutcome:
    return ToolOutcome(_capped(text), ok=False, error=error)


def _sentences(said: str | Sequence[str]) -> tuple[str, ...]:
    return (said,) if isinstance(said, str) else tuple(said)


def _being_cancelled() -> bool:
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0
