"""The rules of the house, read from the source text by ``ast``; nothing is imported or run.

A rule stands here so that it is broken on purpose or not at all. The map that goes with them
is the docstring of ``app/__init__.py``.
"""

import ast
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
APP = ROOT / "app"
SOURCES = sorted(path.relative_to(ROOT) for path in APP.rglob("*.py"))
EMULATORS = Path("app/emulators")
PROCESSES_OF_THEIR_OWN = {EMULATORS, Path("app/local")}

PURE = ("protocol", "audio", "call")
EVERYTHING_BELOW_RUNTIME = {"tools", "transports", "services", "call", "audio", "protocol"}
MAY_IMPORT = {
    "protocol": {"protocol"},
    "errors": set[str](),
    "log": set[str](),
    "addresses": set[str](),
    "hours": set[str](),
    "number_kinds": set[str](),
    "setting_values": {"addresses", "hours"},
    "settings": {"addresses", "setting_values"},
    "audio": {"audio", "protocol.units"},
    "call": {"call", "audio", "number_kinds", "protocol"},
    "agents": {
        "agents",
        "call.analysis",
        "call.blocklist",
        "call.built_in",
        "call.templates",
        "call.notices",
        "call.prices",
        "call.ways",
        "audio",
        "hours",
        "number_kinds",
        "protocol",
        "errors",
    },
    "transports": {"transports", "call.faults", "audio", "protocol", "errors"},
    "services": {"services", "addresses", "call", "audio", "protocol", "errors"},
    "tools": {"tools", "addresses", "call", "audio", "protocol", "errors"},
    "runtime": {"runtime", "jobs.port", "errors", *EVERYTHING_BELOW_RUNTIME},
    "http": {"http", "runtime", "tools", "call", "audio", "protocol", "jobs.port", "errors"},
    "jobs": {
        *("jobs", "services", "call.analysis", "call.forms", "call.notices"),
        *("call.correspondence", "call.sms", "call.written"),
        *("hours", "number_kinds", "protocol", "errors"),
    },
    "emulators": {"emulators", "audio", "protocol.units"},
    "local": {"local", "emulators", "audio", "protocol.units"},
    "built_ins": {"agents", "runtime", "jobs.port", "errors", *EVERYTHING_BELOW_RUNTIME},
    "judging": {
        *("agents", "call.blocklist", "call.plan", "call.verdicts", "errors", "runtime.ports"),
        *("services.analyst", "settings"),
    },
    "assembly": {
        "built_ins",
        "judging",
        "tool_kinds",
        "agents",
        "runtime",
        "jobs.port",
        "errors",
        *EVERYTHING_BELOW_RUNTIME,
    },
    "editions": {"assembly", "built_ins", "agents", "runtime", *EVERYTHING_BELOW_RUNTIME},
    "reloading": {"agents", "errors", "runtime"},
    "front_page": {"http", "services", "settings"},
    "lifetime": {"runtime", "services", "transports"},
    "tool_kinds": {"addresses", "agents", "call.templates", "tools", "errors"},
    "before_call": {
        *("call.lookup", "jobs.signing", "runtime.reception", "services.webhook_post", "settings"),
    },
    "recordings": {"http.recordings", "services", "settings"},
    "main": {
        "recordings",
        "before_call",
        "built_ins",
        "editions",
        "judging",
        "line_numbers",
        "reloading",
        "lifetime",
        "tool_kinds",
        "jobs.client",
        "jobs.destinations",
        "jobs.hours",
        "jobs.port",
        "assembly",
        "front_page",
        "agents",
        "http",
        "runtime",
        "settings",
        "errors",
    }
    | EVERYTHING_BELOW_RUNTIME,
    "companions": set[str](),
    "standins": {"companions", "http.pages", "settings"},
    "doctor": {"addresses", "doctor_visit", "protocol"},
    "line_numbers": {"agents", "errors", "services.twilio_rest", "settings"},
    "line_doctor": {
        *("agents", "front_page", "line_numbers", "http.steps", "http.advice", "protocol"),
        *("services", "settings", "errors"),
    },
    "doctor_visit": {"audio", "protocol", "transports.transcode"},
    "show": set[str](),
    "records": {"settings"},
    "server": {
        "errors",
        "main",
        "http.wire",
        "runtime.draining",
        "settings",
        "transports.takeover",
    },
    "jobs_child": {"companions", "settings"},
    "simulation": {
        *("simulation", "agents", "tool_kinds", "call.analysis", "call.built_in", "companions"),
        *("errors", "main", "server", "services.analyst", "settings", "standins", "tools"),
    },
    "__main__": {
        "simulation",
        "jobs.database",
        "jobs.process",
        "jobs_child",
        "main",
        "server",
        "companions",
        "doctor",
        "line_doctor",
        "standins",
        "show",
        "records",
        "assembly",
        "tool_kinds",
        "agents",
        "runtime",
        "settings",
        "log",
        "services.store",
        "errors",
    },
    "__init__": set[str](),
}
"""Floor by floor, downwards only; a dotted name allows that module alone."""

ALSO_MAY_IMPORT = {Path("app/jobs/process.py"): {"settings", "agents"}}
"""An entry is a composition root of its own."""

CODECS = {
    "app.protocol.base64_text",
    "app.protocol.dialect",
    "app.protocol.realtime_client_events",
    "app.protocol.realtime_server_events",
    "app.protocol.twilio_signature",
    "app.protocol.twilio_stream",
    "app.protocol.twilio_webhooks",
    "app.protocol.twiml",
}
WORLDLY = {
    *("asyncio", "concurrent", "datetime", "logging", "os", "random", "secrets", "selectors"),
    *("signal", "socket", "structlog", "subprocess", "threading", "time", "uuid"),
}
"""What a pure floor has no business with: clocks, chance, the network, the log."""
UNITS = {8000, 160, 20}
"""Samples a second, bytes of a frame, its milliseconds."""


@cache
def tree(source: Path) -> ast.Module:
    """The parsed file."""
    return ast.parse((ROOT / source).read_text(encoding="utf-8"))


def module_of(source: Path) -> str:
    """The dotted name of a file."""
    parts = source.with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {module_of(source): source for source in SOURCES}


def floor_of(source: Path) -> str:
    """Package or top-level module below ``app``."""
    return source.parts[1].removesuffix(".py")


def imports(source: Path) -> Iterator[str]:
    """Every module a file imports, wherever in the file it does so."""
    for node in ast.walk(tree(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{source}:{node.lineno}: imports are absolute"
            assert node.module is not None
            for alias in node.names:
                inner = f"{node.module}.{alias.name}"
                yield inner if inner in MODULES else node.module


def own_imports(source: Path) -> set[str]:
    """The modules of this project among them."""
    return {name for name in imports(source) if name.split(".")[0] == "app"}


def places(source: Path, *kinds: type[ast.AST]) -> Iterator[ast.AST]:
    """The nodes of some kinds in a file."""
    return (node for node in ast.walk(tree(source)) if isinstance(node, kinds))


def name_of(node: ast.AST) -> str:
    """The last name of ``a``, ``a.b`` or ``a.b()``, empty for anything else."""
    if isinstance(node, ast.Call):
        return name_of(node.func)
    return getattr(node, "attr", None) or getattr(node, "id", "")


def test_every_floor_of_the_house_has_its_rule() -> None:
    """A new package that nobody drew into the picture would import what it likes."""
    assert {floor_of(source) for source in SOURCES} == set(MAY_IMPORT)


@pytest.mark.parametrize("source", SOURCES, ids=str)
def test_imports_run_downwards_only(source: Path) -> None:
    """What a floor cannot see it cannot be broken by."""
    allowed = MAY_IMPORT[floor_of(source)] | ALSO_MAY_IMPORT.get(source, set())

    forbidden = [
        name
        for name in own_imports(source)
        if not any(f"{name}.".startswith(f"app.{one}.") for one in allowed)
    ]

    assert not forbidden


def test_no_module_needs_itself() -> None:
    """A cycle makes two modules one, whatever their names say; lazy imports do not hide it."""
    graph = {name: own_imports(source) for name, source in MODULES.items()}

    try:
        TopologicalSorter(graph).prepare()
    except CycleError as cycle:
        pytest.fail(" -> ".join(cycle.args[1]))


@pytest.mark.parametrize("source", [s for s in SOURCES if floor_of(s) in PURE], ids=str)
def test_decisions_know_no_clock_no_chance_and_no_loop(source: Path) -> None:
    """Every decision can be tested with literal values and replayed from a flight log."""
    assert not {name.split(".")[0] for name in imports(source)} & WORLDLY


@pytest.mark.parametrize("source", [s for s in SOURCES if floor_of(s) == "call"], ids=str)
def test_decisions_know_no_codec(source: Path) -> None:
    """Vendors' words stop below: the call is decided in our own nouns."""
    assert not own_imports(source) & CODECS


def test_the_two_lines_do_not_know_each_other() -> None:
    """Either can be replaced while the other goes on."""
    assert "app.transports.model" not in own_imports(Path("app/transports/caller.py"))
    assert "app.transports.caller" not in own_imports(Path("app/transports/model.py"))


def test_the_engine_of_the_jobs_has_its_process_to_itself() -> None:
    """Beside live audio its threads cost stalls of 50 to 120 ms."""
    engine = {"app.jobs.engine", "app.jobs.workflows"}
    knowing = {str(source) for source in SOURCES if own_imports(source) & engine}

    assert knowing == {"app/jobs/engine.py", "app/jobs/process.py"}


def test_the_package_of_mcp_is_imported_where_it_is_wanted_alone() -> None:
    """Half a second and 21 MB: by the two rooms that speak it, and those by no module's start."""
    rooms = {"app/http/mcp_protocol.py", "app/tools/mcp_tools.py"}
    knowing = {
        str(source)
        for source in SOURCES
        if any(name.partition(".")[0] in {"mcp", "mcp_types"} for name in imports(source))
    }
    at_once = {
        f"{node.module}.{alias.name}"
        for source in SOURCES
        for node in tree(source).body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }

    assert knowing == rooms
    for room in rooms:
        name = module_of(Path(room))
        assert not [one for one in at_once if one == name or one.startswith(f"{name}.")]


def test_heavy_packages_are_not_there_from_the_start() -> None:
    """21 and 25 MB, and half a second each: only where a document or a setting wants them."""
    code = "import sys, app.main, app.server; print({'mcp', 'openai'} & sys.modules.keys())"

    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)

    assert done.stdout == "set()\n"


def test_services_do_not_know_each_other() -> None:
    """Who combines two of them decides something, and deciding has its own floor."""
    services = {name for name in MODULES if name.startswith("app.services.")}

    for name in services:
        others = {other for other in services if other.split(".")[2] != name.split(".")[2]}
        assert not own_imports(MODULES[name]) & others, name


def test_only_the_runner_and_the_lifespan_start_tasks() -> None:
    """A task has one owner who ends it; processes of their own have owners of their own."""
    starting = {
        str(source)
        for source in SOURCES
        if not PROCESSES_OF_THEIR_OWN & set(source.parents)
        for call in places(source, ast.Call)
        if name_of(call) in {"create_task", "TaskGroup", "ensure_future", "gather"}
    }

    ours = {"app/lifetime.py", "app/jobs/process.py", "app/runtime/runner.py"}
    # A command that ends with its last call, and no part of a server that answers others'.
    assert starting == ours | {"app/simulation/lanes.py", "app/simulation/run.py"}


def test_the_environment_is_read_by_the_settings_only() -> None:
    """A setting that is read elsewhere is neither checked at the start nor documented."""
    # These hand PATH and its like to the programs they start.
    hand_on = {EMULATORS / "demo_server.py", EMULATORS / "voice_program.py"}
    exempt = {Path("app/settings.py")} | hand_on
    readers = {
        str(source)
        for source in SOURCES
        if source not in exempt
        for node in places(source, ast.Attribute, ast.Name)
        if name_of(node) in {"environ", "environb", "getenv"}
    }

    assert not readers


def _is_broad(node: ast.AST | None) -> bool:
    if node is None:
        return True
    if isinstance(node, ast.Tuple):
        return any(_is_broad(one) for one in node.elts)
    return name_of(node) in {"Exception", "BaseException"}


def test_only_the_effects_catch_everything() -> None:
    """Elsewhere what goes wrong has a name, or is a defect that must be seen."""
    broad = {
        str(source)
        for source in SOURCES
        for handler in places(source, ast.ExceptHandler)
        if isinstance(handler, ast.ExceptHandler) and _is_broad(handler.type)
    }
    suppressing = {
        f"{source}:{call.lineno}"
        for source in SOURCES
        for call in places(source, ast.Call)
        if isinstance(call, ast.Call) and name_of(call) == "suppress"
        if any(_is_broad(one) for one in call.args)
    }

    assert broad == {"app/runtime/effects.py"}
    assert not suppressing


def test_only_foreign_code_is_silenced_by_leaving_a_block() -> None:
    """``__exit__`` that returns true is a broad except by another name."""
    silencing = {
        str(source)
        for source in SOURCES
        for function in places(source, ast.FunctionDef, ast.AsyncFunctionDef)
        if isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef)
        if function.name in {"__exit__", "__aexit__"}
        if ast.unparse(function.returns or ast.Constant(None)) != "None"
    }

    # The local model is a process of its own, and never imports the tools.
    assert silencing == {"app/tools/foreign.py", "app/local/foreign.py"}


def _counted_with(node: ast.AST) -> Iterator[ast.AST]:
    """The operands of arithmetic, comparisons and slices; shifts are sizes, not audio."""
    if isinstance(node, ast.BinOp) and not isinstance(node.op, ast.LShift | ast.RShift):
        yield from (node.left, node.right)
    elif isinstance(node, ast.Compare):
        yield from (node.left, *node.comparators)
    elif isinstance(node, ast.AugAssign):
        yield node.value
    elif isinstance(node, ast.Slice):
        yield from filter(None, (node.lower, node.upper, node.step))
    elif isinstance(node, ast.Call) and name_of(node) == "range":
        yield from node.args


def test_the_units_of_audio_are_numbers_in_one_file_only() -> None:
    """A 160 in a formula is a frame in a codec nobody will find when the codec changes."""
    bare = {
        f"{source}:{operand.lineno}"
        for source in SOURCES
        if source != Path("app/protocol/units.py")
        for node in ast.walk(tree(source))
        for operand in _counted_with(node)
        if isinstance(operand, ast.Constant)
        and type(operand.value) in {int, float}
        and operand.value in UNITS
    }

    assert not bare


def test_the_machine_does_no_arithmetic() -> None:
    """It knows order and phase; who counts is a component with a test of its own."""
    machine = Path("app/call/machine.py")
    counting = [
        f"{ast.unparse(node)} in line {node.lineno}"
        for node in places(machine, ast.BinOp, ast.AugAssign)
        if isinstance(node, ast.BinOp | ast.AugAssign) and not _joins(node)
    ]

    assert not counting


def _joins(node: ast.BinOp | ast.AugAssign) -> bool:
    """Lists, texts and types may be joined; numbers, and what is named like them, may not."""
    if not isinstance(node.op, ast.Add | ast.BitOr):
        return False
    operands = [node.left, node.right] if isinstance(node, ast.BinOp) else [node.target, node.value]
    return not any(_is_number(one) for one in operands)


def _is_number(node: ast.AST) -> bool:
    if isinstance(node, ast.Constant):
        return isinstance(node.value, int | float)
    return name_of(node) == "len" or name_of(node).endswith(("_ms", "_s", "_bytes", "_hz"))


def test_every_module_says_why_it_exists() -> None:
    """A file without a reason is a place where anything may be put."""
    assert not [str(s) for s in SOURCES if not (ast.get_docstring(tree(s)) or "").strip()]
