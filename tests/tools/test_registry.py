"""Tools: what the model is told of them, and everything a tool may do without harm."""

import asyncio
import contextvars
import datetime
import enum
import sys
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import dataclass
from typing import Annotated, Any, Literal

import orjson
import pytest
import structlog
from hypothesis import given
from hypothesis import strategies as st
from pydantic import AfterValidator, BaseModel, Field

from app.errors import ToolFault
from app.tools.foreign import ToolThreads
from app.tools.registry import Background, CallFacts, Registry, Tool, ToolOutcome, tool

FACTS = CallFacts(call_id="c1", call_sid="CA1", caller="+33612345678", line="+15005550006")


class Slot(enum.Enum):
    MORNING = "morning"
    EVENING = "evening"


class Patient(BaseModel):
    """Who comes."""

    name: str
    title: str | None = None


@dataclass
class Fee:
    amount: int


@tool
def book(  # noqa: PLR0917 - as its author would write it
    day: Annotated[datetime.date, "The day, as YYYY-MM-DD"],
    slot: Slot,
    patient: Patient,
    service: Literal["cleaning", "check-up"] = "check-up",
    minutes: Annotated[int, Field(ge=5, le=120, description="Length")] = 30,
    notes: list[str] | None = None,
) -> dict[str, object]:
    """Book an appointment.

    Only after the caller confirmed day and slot.
    """
    return {"day": day, "slot": slot.value, "patient": patient, "minutes": minutes}


@pytest.fixture
def registry() -> Iterator[Registry]:
    registry = Registry(threads=2)
    yield registry
    registry.close()


async def run(function: Callable[..., object] | Tool, arguments: str = "{}") -> ToolOutcome:
    made = function if isinstance(function, Tool) else tool(function)
    return await made.run(arguments, facts=FACTS, threads=ToolThreads(2))


def described(text: str = "Text.") -> Callable[[Callable[..., object]], Callable[..., object]]:
    """Give a function a docstring, so that a test can go without one."""

    def with_docstring(function: Callable[..., object]) -> Callable[..., object]:
        function.__doc__ = text
        return function

    return with_docstring


def test_the_schema_of_a_tool_is_what_realtime_wants() -> None:
    """O11: session.update.tools[] equals the golden schema; no references, no titles."""
    assert book.schema == {
        "type": "function",
        "name": "book",
        "description": ("Book an appointment.\n\nOnly after the caller confirmed day and slot."),
        "parameters": {
            "type": "object",
            "properties": {
                "day": {
                    "type": "string",
                    "format": "date",
                    "description": "The day, as YYYY-MM-DD",
                },
                "slot": {"type": "string", "enum": ["morning", "evening"]},
                "patient": {
                    "type": "object",
                    "description": "Who comes.",
                    "properties": {
                        "name": {"type": "string"},
                        "title": {
                            "anyOf": [{"type": "string"}, {"type": "null"}],
                            "default": None,
                        },
                    },
                    "required": ["name"],
                },
                "service": {
                    "type": "string",
                    "enum": ["cleaning", "check-up"],
                    "default": "check-up",
                },
                "minutes": {
                    "type": "integer",
                    "minimum": 5,
                    "maximum": 120,
                    "description": "Length",
                    "default": 30,
                },
                "notes": {
                    "anyOf": [{"type": "array", "items": {"type": "string"}}, {"type": "null"}],
                    "default": None,
                },
            },
            "required": ["day", "slot", "patient"],
            "additionalProperties": False,
        },
    }


def test_a_tool_without_arguments_has_an_empty_schema() -> None:
    """Realtime wants an object even where there is nothing in it."""

    @tool
    def now() -> str:
        """Tell the time."""
        return "noon"

    assert now.schema["parameters"] == {
        "type": "object",
        "properties": {},
        "additionalProperties": False,
    }


def test_parameters_may_have_names_that_pydantic_uses_itself() -> None:
    """A booking system has a "copy", a "schema" and a "json"; none may shadow anything."""

    @tool
    def keep(schema: str, copy: int, json: str = "j", model_config: str = "m") -> str:
        """Keep."""
        return f"{schema}{copy}{json}{model_config}"

    names = ["schema", "copy", "json", "model_config"]
    assert list(keep.schema["parameters"]["properties"]) == names
    assert keep.parameters.read('{"schema":"s","copy":1}')["schema"] == "s"


def test_a_decorated_function_can_still_be_called() -> None:
    """Its author wants to test it without a telephone."""

    @tool(name="sum_up", timeout_ms=500, background=True, say_while_running="One moment.")
    def add(a: int, b: int) -> int:
        """Add."""
        return a + b

    assert add(1, b=2) == 3
    assert (add.name, add.timeout_ms, add.background) == ("sum_up", 500, True)
    assert add.say_while_running == ("One moment.",)


async def test_the_arguments_arrive_as_the_types_of_the_signature() -> None:
    """The author wrote date and Enum, and must not have to parse text."""
    outcome = await run(
        book, '{"day":"2026-11-24","slot":"evening","patient":{"name":"Ann"},"minutes":"45"}'
    )

    assert outcome.ok
    assert orjson.loads(outcome.output) == {
        "day": "2026-11-24",
        "slot": "evening",
        "patient": {"name": "Ann", "title": None},
        "minutes": 45,
    }


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ("{", "not complete JSON"),
        ('{"day":"2026-11', "not complete JSON"),
        ("[]", "must be a JSON object"),
        ("null", "must be a JSON object"),
        ('"book"', "must be a JSON object"),
        ("", "day: is required; slot: is required; patient: is required"),
        ('{"day":"tomorrow","slot":"morning","patient":{"name":"A"}}', "day: "),
        (
            '{"day":"2026-11-24","slot":"noon","patient":{"name":"A"}}',
            "slot: Input should be 'morning' or 'evening'",
        ),
        (
            '{"day":"2026-11-24","slot":"morning","patient":{}}',
            "patient.name: is required",
        ),
        (
            '{"day":"2026-11-24","slot":"morning","patient":{"name":"A"},"colour":"red"}',
            "colour: there is no such argument (there are: day, slot, patient, service,",
        ),
        ('{"day":"2026-11-24","slot":"morning","patient":{"name":"A"},"minutes":1}', "minutes: "),
        ("x" * 100_000, "too long"),
        ("[" * 50_000, "not complete JSON"),
    ],
)
async def test_bad_arguments_tell_the_model_what_to_correct(arguments: str, said: str) -> None:
    """`D-JB-2`: an interrupted tool call brings truncated JSON, and models invent values."""
    outcome = await run(book, arguments)

    assert not outcome.ok
    assert said in outcome.output
    assert "Call the tool again" in outcome.output


async def test_every_truncation_of_the_arguments_is_refused_in_words() -> None:
    """The cut can come anywhere; the tool must not run on half of what was meant."""
    whole = '{"day":"2026-11-24","slot":"evening","patient":{"name":"Ann"}}'
    for length in range(len(whole)):
        outcome = await run(book, whole[:length])
        assert not outcome.ok
        assert "Call the tool again" in outcome.output


@given(st.text(st.characters(codec=None, exclude_categories=()), max_size=40))
def test_no_arguments_whatsoever_make_a_run_raise(arguments: str) -> None:
    """The text is a model's: it may be anything."""
    asyncio.run(run(book, arguments))


async def test_synchronous_functions_run_in_a_thread_and_coroutines_on_the_loop() -> None:
    """A database driver that blocks must not stop the audio; a coroutine needs the loop."""
    seen: dict[str, object] = {}

    def blocking() -> None:
        """Block."""
        seen["blocking"] = threading.current_thread()

    async def waiting() -> None:
        """Wait."""
        seen["waiting"] = threading.current_thread()

    await run(blocking)
    await run(waiting)

    assert seen["blocking"] is not threading.main_thread()
    assert seen["waiting"] is threading.main_thread()


async def test_a_decorated_coroutine_function_is_awaited_too() -> None:
    """A plain wrapper hides that it returns a coroutine."""

    async def inner() -> str:
        return "done"

    def wrapper() -> Awaitable[str]:
        """Wrap."""
        return inner()

    assert (await run(wrapper)).output == "done"


async def test_a_thread_sees_the_callers_context() -> None:
    """Log lines of a tool must carry the call's id."""
    call = contextvars.ContextVar("call", default="none")

    def look() -> str:
        """Look."""
        return call.get()

    call.set("c1")
    assert (await run(look)).output == "c1"


async def test_the_facts_of_the_call_are_injected_and_not_told_to_the_model() -> None:
    """Who calls is a fact, and must not be something the model can make up."""

    def greet(facts: CallFacts, name: str) -> str:
        """Greet."""
        return f"{name} {facts.caller}"

    made = tool(greet)

    assert list(made.schema["parameters"]["properties"]) == ["name"]
    assert (await run(made, '{"name":"Ann"}')).output == "Ann +33612345678"
    assert not (await run(made, '{"name":"Ann","facts":{"caller":"+1"}}')).ok


@pytest.mark.parametrize(
    ("value", "output"),
    [
        ("plain", "plain"),
        ("", ""),
        (None, "null"),
        ({"a": [1, 2.5, True]}, '{"a":[1,2.5,true]}'),
        ({1: "x"}, '{"1":"x"}'),
        ({"only"}, '["only"]'),
        (Patient(name="Ann"), '{"name":"Ann","title":null}'),
        (Slot.MORNING, '"morning"'),
        (Fee(amount=20), '{"amount":20}'),
        (1 + 2j, '"(1+2j)"'),
        ("bad \ud800 half", "bad ? half"),
    ],
)
async def test_a_result_becomes_text(value: object, output: str) -> None:
    """Text as it is, everything else as JSON: a model reads both."""

    @described()
    def give() -> object:
        return value

    outcome = await run(give)

    assert (outcome.output, outcome.ok, outcome.background) == (output, True, False)


async def test_a_long_result_is_cut_with_a_note() -> None:
    """8 kB is what a voice can use; a model must know that it saw a part."""

    @described()
    async def give() -> str:
        return "é" * 100_000

    outcome = await run(give)

    assert outcome.ok
    assert len(outcome.output.encode()) <= 8192
    assert outcome.output.endswith("é … [cut: the result was too long]")


@pytest.mark.parametrize("value", [2**70, {"a": "\ud800"}])
async def test_a_result_that_json_cannot_hold_is_a_failure(value: object) -> None:
    """It must not raise where the output is written to the model line."""

    @described()
    def give() -> object:
        return value

    outcome = await run(give)

    assert not outcome.ok
    assert outcome.output.startswith("The tool failed: ")


async def test_a_background_result_says_so() -> None:
    """O12: the model is told without being made to speak."""

    @described()
    def remember() -> Background:
        return Background({"saved": True})

    @tool(background=True)
    async def note() -> str:
        """Note."""
        return "noted"

    assert (await run(remember)).background
    assert (await run(remember)).output == '{"saved":true}'
    assert (await run(note)).background


class Secretive(Exception):
    """An exception whose text quotes the caller."""


@pytest.mark.parametrize(
    "fault",
    [
        ValueError("+33612345678"),
        Secretive("+33612345678"),
        KeyError("k"),
        SystemExit(1),
        asyncio.CancelledError(),
        TimeoutError(),
        StopIteration(),
        ExceptionGroup("many", [ValueError("+33612345678")]),
    ],
    ids=lambda fault: type(fault).__name__,
)
@pytest.mark.parametrize("blocking", [True, False])
async def test_whatever_a_tool_raises_becomes_an_outcome(
    fault: BaseException, blocking: bool
) -> None:
    """`D-TRA-3`: one caller's tool must not end a call, let alone all of them."""

    @described()
    def fail() -> None:
        raise fault

    @described()
    async def fail_waiting() -> None:
        raise fault

    outcome = await run(fail if blocking else fail_waiting)

    # A coroutine that raises StopIteration has it turned into RuntimeError by Python itself.
    names = {type(fault).__name__, "RuntimeError"}
    assert outcome.output in {f"The tool failed: {name}." for name in names}
    assert not outcome.ok


async def test_a_validator_that_came_with_the_function_may_fail_too() -> None:
    """It is foreign code as well, and runs before the function does."""

    def look_up(value: str) -> str:
        raise KeyError(value)

    @described()
    def find(code: Annotated[str, AfterValidator(look_up)]) -> str:
        return code

    assert (await run(find, '{"code":"x"}')).output == "The tool failed: KeyError."


async def test_a_failure_is_logged_with_its_place_and_without_its_words() -> None:
    """The operator needs the line; the log must not hold what the caller said."""

    @described()
    def fail() -> None:
        raise Secretive("+33612345678")

    with structlog.testing.capture_logs() as lines:
        await run(fail)

    assert lines[0]["event"] == "tool.failed"
    assert (lines[0]["tool"], lines[0]["error"]) == ("fail", "Secretive")
    assert lines[0]["place"].startswith("test_registry.py:")
    assert "+33" not in str(lines)


async def test_a_coroutine_that_takes_too_long_is_cancelled() -> None:
    """`D-TAC-6`: a tool that never returns must not mute the call for ever."""
    cancelled = asyncio.Event()

    @tool(timeout_ms=20)
    async def hang() -> None:
        """Hang."""
        try:
            await asyncio.Event().wait()
        finally:
            cancelled.set()

    outcome = await run(hang)

    assert outcome.output == "The tool did not finish within 0.02 seconds."
    assert not outcome.ok
    assert outcome.elapsed_ms >= 20
    assert cancelled.is_set()


@pytest.fixture
async def gate() -> AsyncIterator[threading.Event]:
    """Holds blocking tools until the test is over."""
    gate = threading.Event()
    yield gate
    gate.set()


async def test_threads_of_overdue_tools_stay_counted_until_they_are_free(
    registry: Registry, gate: threading.Event
) -> None:
    """Hung tools must neither use up the machine unseen nor make others wait in a queue."""
    left = threading.Semaphore(0)

    @tool(timeout_ms=20)
    def hang() -> None:
        """Hang."""
        gate.wait()
        left.release()

    @tool
    def quick() -> str:
        """Be quick."""
        return "there"

    registry.add(hang)
    registry.add(quick)

    overdue = await asyncio.gather(*(registry.run("hang", "", FACTS) for _ in range(2)))
    busy = await registry.run("quick", "", FACTS)

    assert {outcome.output for outcome in overdue} == {
        "The tool did not finish within 0.02 seconds."
    }
    assert (busy.ok, busy.output) == (False, "The tool is busy at the moment. Try again later.")
    assert registry.threads_running == 2
    gate.set()
    for _ in range(2):
        assert await asyncio.to_thread(left.acquire, timeout=60)


async def test_cancelling_passes_through(gate: threading.Event) -> None:
    """Tools are abandoned at hang-up; the runner must not wait for them."""

    @described()
    def block() -> None:
        gate.wait()

    @described()
    async def hang() -> None:
        await asyncio.Event().wait()

    for function in (block, hang):
        running = asyncio.create_task(run(function))
        await asyncio.sleep(0)
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running


def test_a_tool_that_outlives_the_loop_ends_without_a_word(gate: threading.Event) -> None:
    """A shutdown in the middle of a tool must not end in a traceback."""
    threads = ToolThreads(1)
    before = set(threading.enumerate())

    @tool(timeout_ms=10)
    def hang() -> None:
        """Hang."""
        gate.wait()

    asyncio.run(hang.run("", facts=FACTS, threads=threads))
    left = set(threading.enumerate()) - before
    gate.set()
    for thread in left:
        thread.join(5)

    assert len(left) == 1
    assert all(thread.daemon for thread in left)
    assert threads.running == 0


async def test_an_unknown_tool_is_an_outcome(registry: Registry) -> None:
    """Models call tools that were never offered; a dangling call would confuse later turns."""
    registry.add(book)

    outcome = await registry.run("bok", "{}", FACTS)

    assert (outcome.ok, outcome.output) == (False, "There is no such tool. There are: book.")


def test_a_document_may_say_otherwise_than_the_function(registry: Registry) -> None:
    """Options of an entry in the agent document win over those of the decorator."""
    registry.add(
        book,
        name="reserve",
        description="Reserve.",
        timeout_ms=1,
        background=True,
        say_while_running=["A moment.", "Let me see."],
    )
    registry.add(book)

    entry = registry["reserve"]
    assert (entry.description, entry.timeout_ms, entry.background) == ("Reserve.", 1, True)
    assert entry.say_while_running == ("A moment.", "Let me see.")
    assert registry.names == ("reserve", "book")
    assert [schema["name"] for schema in registry.schemas()] == ["reserve", "book"]
    assert "book" in registry
    assert not registry["book"].background


@pytest.mark.parametrize(
    ("name", "said"),
    [("book", "two tools"), ("end_call", "built in"), ("transfer_call", "built in")],
)
def test_a_name_is_given_once(registry: Registry, name: str, said: str) -> None:
    """A silently replaced tool, or a replaced end_call, would be found on the telephone."""
    registry.add(book)

    with pytest.raises(ToolFault, match=said):
        registry.add(book, name=name)


async def test_a_closed_registry_starts_no_thread(registry: Registry) -> None:
    """After the drain nothing new begins."""

    @tool
    def late() -> str:
        """Be late."""
        return "late"

    registry.add(late)
    registry.close()

    assert not (await registry.run("late", "", FACTS)).ok
    assert registry.threads_running == 0


def star(*names: str) -> str:
    """Star."""
    return ""


def stars(**names: str) -> str:
    """Stars."""
    return ""


def bare(name) -> str:  # type: ignore[no-untyped-def]
    """Bare."""
    return ""


def slash(name: str, /) -> str:
    """Slash."""
    return ""


def strange(name: threading.Event) -> str:
    """Strange."""
    return ""


def forward(name: "Nowhere") -> str:  # type: ignore[name-defined]  # noqa: F821
    """Forward."""
    return ""


def assigned(name: str = Field(description="Name")) -> str:
    """Assigned."""
    return ""


def many() -> Iterator[str]:
    """Many."""
    yield ""


class Tree(BaseModel):
    children: list["Tree"]


def recursive(tree: Tree) -> str:
    """Recurse."""
    return ""


def undescribed() -> str:
    return ""


def talkative() -> str:
    return ""


talkative.__doc__ = "x" * 1025


def naïve() -> str:  # noqa: PLC2401 - that is the point
    """Naïve."""
    return ""


@pytest.mark.parametrize(
    ("function", "fix"),
    [
        (star, r"replace \*names by parameters with names"),
        (stars, r"replace \*names by parameters with names"),
        (bare, 'annotate name, for example "name: str"'),
        (slash, "let name be passed by name"),
        (strange, "types that JSON can express"),
        (forward, "correct its annotations .*Nowhere"),
        (assigned, "Annotated"),
        (many, "return one value"),
        (recursive, "Tree contains itself"),
        (undescribed, "write a docstring"),
        (talkative, r"shorten its description to 1024 characters \(it has 1025\)"),
        (naïve, "letters, digits"),
        (print, "plain function"),
        (Patient, "plain function"),
    ],
)
def test_an_unsuitable_function_is_refused_with_the_fix(
    function: Callable[..., object], fix: str
) -> None:
    """Found when the document is loaded, never with a caller on the line."""
    with pytest.raises(ToolFault, match=fix) as caught:
        tool(function)

    assert function.__qualname__ in str(caught.value)


def test_a_default_that_json_cannot_express_is_not_told() -> None:
    """A sentinel is a fine default in Python."""

    @tool
    def find(limit: Any = sys) -> str:
        """Find."""
        return ""

    assert find.schema["parameters"]["properties"] == {"limit": {}}
