"""Handlers: found in the document's folder, and every mistake named before the port opens."""

import sys
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from app.errors import ToolFault
from app.tools.foreign import ToolThreads
from app.tools.parameters import CallFacts
from app.tools.python_tools import load_handler

FACTS = CallFacts(call_id="c1", call_sid="CA1", caller="+33612345678", line="+15005550006")
BOOKING = '''
    from patchline_prices import PRICE
    from app.tools.registry import tool

    NOT_A_FUNCTION = 7

    def price(service: str) -> int:
        """What a service costs."""
        return PRICE

    @tool(name="cost", timeout_ms=123)
    def decorated(service: str) -> int:
        """What a service costs."""
        return PRICE

    def unsuitable(*services: str) -> int:
        """What services cost."""
        return 0
'''

Write = Callable[[str, str], Path]


@pytest.fixture
def write(tmp_path: Path) -> Iterator[Write]:
    """Put a module into the document's folder; Python forgets it after the test."""
    before = set(sys.modules)

    def put(name: str, text: str) -> Path:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(textwrap.dedent(text))
        return tmp_path

    yield put
    for name in set(sys.modules) - before:
        file = getattr(sys.modules[name], "__file__", None)
        if file is not None and Path(file).is_relative_to(tmp_path):
            del sys.modules[name]


@pytest.fixture
def folder(write: Write) -> Path:
    write("patchline_prices.py", "PRICE = 42")
    return write("patchline_booking.py", BOOKING)


async def test_a_plain_function_becomes_a_tool(folder: Path) -> None:
    """Five lines of Python and one of YAML must be enough."""
    path_before = list(sys.path)

    made = load_handler("patchline_booking:price", folder)

    outcome = await made.run('{"service":"x"}', facts=FACTS, threads=ToolThreads(1))
    assert (made.name, made.description) == ("price", "What a service costs.")
    assert (outcome.ok, outcome.output) == (True, "42")
    assert sys.path == path_before


def test_a_decorated_function_keeps_its_options(folder: Path) -> None:
    """The decorator is for those who want more than the function says."""
    made = load_handler("patchline_booking:decorated", folder)

    assert (made.name, made.timeout_ms) == ("cost", 123)


def test_a_handler_may_lie_in_a_package(write: Write) -> None:
    """Larger documents bring more than one file."""
    write("patchline_desk/__init__.py", "")
    folder = write(
        "patchline_desk/hours.py",
        '''
        def hours() -> str:
            """When we are open."""
            return "always"
        ''',
    )

    assert load_handler("patchline_desk.hours:hours", folder).name == "hours"


def test_a_folder_that_is_on_the_path_stays_there(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only what we put there is taken away again."""
    monkeypatch.syspath_prepend(str(folder.resolve()))
    path_before = list(sys.path)

    load_handler("patchline_booking:price", folder)

    assert sys.path == path_before


@pytest.mark.parametrize(
    ("handler", "reason", "said"),
    [
        ("patchline_booking", "handler_malformed", "must read module:function"),
        ("patchline_booking:", "handler_malformed", "must read module:function"),
        ("../booking:price", "handler_malformed", "must read module:function"),
        ("/etc/passwd:price", "handler_malformed", "must read module:function"),
        (".booking:price", "handler_malformed", "must read module:function"),
        ("booking.py:a.b", "handler_malformed", "must read module:function"),
        ("patchline_boking:price", "handler_not_found", 'no module "patchline_boking" in'),
        ("patchline_booking.x:price", "handler_not_found", 'no module "patchline_booking.x" in'),
        ("patchline_booking:pric", "handler_no_function", 'did you mean "price"?'),
        ("patchline_booking:zzz", "handler_no_function", 'has no function "zzz"'),
        ("patchline_booking:NOT_A_FUNCTION", "handler_no_function", "is not a function"),
        ("patchline_booking:unsuitable", "tool_unsupported", "parameters with names"),
    ],
)
def test_a_mistake_is_named_with_its_fix(
    folder: Path, handler: str, reason: str, said: str
) -> None:
    """The author of a document reads one sentence, not a traceback of ours."""
    with pytest.raises(ToolFault) as caught:
        load_handler(handler, folder)

    assert caught.value.reason == reason
    assert said in str(caught.value)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("import patchline_nowhere", "ModuleNotFoundError at patchline_broken.py:1"),
        ("import patchline_nowhere", "patchline_nowhere"),
        ("x = 1\ndef f(:\n    pass", "SyntaxError at patchline_broken.py:2: invalid syntax"),
        ("\nraise ValueError('no\\nrates')", "ValueError at patchline_broken.py:2: no rates"),
        ("import os\nos.environ['RATES']", "KeyError at patchline_broken.py:2: 'RATES'"),
        ("import json\njson.loads('')", "JSONDecodeError at patchline_broken.py:2: Expecting"),
        ("raise ValueError('x' * 9000)", f"ValueError at patchline_broken.py:1: {'x' * 300}…"),
        ("class E(Exception):\n __str__ = None\nraise E", "E at patchline_broken.py:3"),
        ("raise SystemExit(3)", "SystemExit at patchline_broken.py:1: 3"),
        (r"raise ValueError('\x1b[2J')", "ValueError at patchline_broken.py:1: \ufffd[2J"),
        ("assert False", "AssertionError at patchline_broken.py:1"),
        ("from json import nothing_like_this", "nothing_like_this"),
    ],
)
def test_a_module_that_fails_on_import_says_where(write: Write, text: str, said: str) -> None:
    """Its code runs when the server starts: sys.exit there must not look like our end."""
    folder = write("patchline_broken.py", text)

    with pytest.raises(ToolFault) as caught:
        load_handler("patchline_broken:f", folder)

    assert caught.value.reason == "handler_import_failed"
    assert said in str(caught.value)
    assert len(str(caught.value)) < 500
    assert str(caught.value).isprintable()


@pytest.mark.parametrize("name", ["json", "calendar", "app"])
def test_a_module_named_like_another_is_refused_and_breaks_nothing(write: Write, name: str) -> None:
    """A calendar.py beside the document must neither be overlooked nor replace Python's."""
    folder = write(f"{name}.py", "def f() -> str: ...")
    before = sys.modules.get(name)

    with pytest.raises(ToolFault, match="rename it") as caught:
        load_handler(f"{name}:f", folder)

    assert caught.value.reason == "handler_name_taken"
    assert before is None or sys.modules[name] is before


def test_a_package_named_like_another_module_is_refused(write: Write) -> None:
    """Python's error here says that json is not what it is."""
    write("calendar/__init__.py", "")
    folder = write("calendar/hours.py", "def f() -> str: ...")

    with pytest.raises(ToolFault) as caught:
        load_handler("calendar.hours:f", folder)

    assert caught.value.reason == "handler_name_taken"
