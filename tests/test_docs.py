"""The documents and the program say the same, in both directions.

What is documented exists; what exists is documented. The guide is README.md and the pages in
docs; its tables are read by the name of their first column.
"""

import os
import re
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import Counter, Gauge, Histogram
from typer.main import get_command

import app
from app.__main__ import cli
from app.agents.load import NUMBER_FIELDS
from app.agents.schema import fields_at, schema
from app.built_ins import offered
from app.call import built_in
from app.call.notices import NOTICES
from app.call.report import END_REASONS
from app.emulators.__main__ import cli as emulators_cli
from app.emulators.scenarios.given import PLAYS
from app.main import switchboard
from app.runtime import metrics
from app.runtime.scripts import MEDIA_PATH
from app.settings import Settings, setting_names
from tests.test_built_ins import EVERYTHING

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
README = (ROOT / "README.md").read_text(encoding="utf-8")
GUIDE = "\n".join(page.read_text(encoding="utf-8") for page in PAGES)
MAP = app.__doc__ or ""


def rows(first_column: str) -> list[list[str]]:
    """The rows of every table of the guide whose first column has that name."""
    found: list[list[str]] = []
    inside = False
    for line in GUIDE.splitlines():
        cells = [cell.strip() for cell in line.strip().strip("|").split("|")]
        if not line.strip().startswith("|"):
            inside = False
        elif cells[0] == first_column:
            inside = True
        elif inside and not set(line) <= set("|- "):
            found.append(cells)
    assert found, f"the guide has no table of {first_column}"
    return found


def quoted(text: str) -> list[str]:
    """Everything between backticks."""
    return re.findall(r"`([^`]+)`", text)


def names(first_column: str) -> list[str]:
    """The first name of each row, without its backticks."""
    return [quoted(row[0])[0] for row in rows(first_column)]


def test_every_place_on_the_map_exists() -> None:
    """A map that names a place that is gone sends people astray."""
    places = quoted(MAP)

    assert places
    assert not [place for place in places if not (ROOT / place).exists()]


def test_every_decision_is_on_the_map() -> None:
    """Where a line about a subject belongs must be findable without asking."""
    floors = ("protocol", "audio", "call", "transports", "services", "runtime", "http")
    files = {
        f"app/{floor}/{file.name}"
        for floor in floors
        for file in (ROOT / "app" / floor).glob("*.py")
        if file.name != "__init__.py"
    }
    # Small parts of a neighbour that the map does name.
    parts = {
        "app/protocol/base64_text.py",
        "app/protocol/errors.py",
        "app/runtime/ports.py",
        "app/transports/frames.py",
    }

    assert files - parts <= set(quoted(MAP))


def test_every_setting_is_documented_and_no_other() -> None:
    """A setting nobody can find is not a setting; one that does nothing is a trap."""
    example = (ROOT / ".env.example").read_text(encoding="utf-8")

    assert sorted(names("setting")) == sorted(setting_names())
    assert re.findall(r"^([A-Z_]+)=", example, re.MULTILINE) == list(setting_names())


def test_every_route_is_documented_and_no_other(tmp_path: Path) -> None:
    """Twilio's console and the operator's programs are set up from this table."""
    board = switchboard(Settings(_env_file=None), data=tmp_path)
    paths = board.app.openapi()["paths"]
    built = {(verb.upper(), path) for path, verbs in paths.items() for verb in verbs}
    built |= {("WS", MEDIA_PATH), ("GET", "/openapi.json")}

    documented = {
        (verb, path) for row in rows("route") for *verbs, path in [quoted(row[0])] for verb in verbs
    }

    assert documented == built


def test_every_end_reason_is_documented_with_its_result() -> None:
    """Reports are built on these words."""
    documented = {quoted(row[0])[0]: row[1] for row in rows("end reason")}

    assert documented == {reason: result.value for reason, result in END_REASONS.items()}


def test_every_metric_is_documented_and_no_other() -> None:
    """Dashboards and alarms are built on these names."""
    collectors = [one for one in vars(metrics).values() if isinstance(one, Counter | Gauge)]
    collectors += [one for one in vars(metrics).values() if isinstance(one, Histogram)]
    described = [one.describe()[0] for one in collectors]
    built = {one.name + ("_total" if one.type == "counter" else "") for one in described}

    assert set(names("metric")) == built


def test_every_event_is_documented_and_no_other() -> None:
    """The operator's programs are written against these names."""
    assert dict(map(_first_two, rows("event"))) == NOTICES


def _first_two(row: list[str]) -> tuple[str, str]:
    return quoted(row[0])[0], row[1]


def test_every_built_in_tool_is_documented_with_its_arguments() -> None:
    """Their names and arguments are stable: agents' instructions mention them."""
    schemas = offered(EVERYTHING, dials=True)
    built = {
        schema["name"]: [
            name if name in schema["parameters"].get("required", []) else f"{name}?"
            for name in schema["parameters"]["properties"]
        ]
        for schema in schemas
    }

    documented = {quoted(row[0])[0]: quoted(row[1]) for row in rows("built-in tool")}

    assert documented == built
    assert set(built) == built_in.NAMES


def test_every_field_of_the_agent_document_is_documented() -> None:
    """The document is the product's language."""
    assert sorted(names("field")) == sorted(fields_at([]))


@pytest.mark.parametrize(
    ("first_column", "path"),
    [
        ("target field", ["transfer_targets", "desk"]),
        ("tool field", ["tools", "find"]),
        ("http tool field", ["tools", "ask"]),
        ("server field", ["tools", "mcp"]),
        ("failure field", ["failure"]),
        ("webhook field", ["webhooks", 0]),
        ("analysis field", ["analysis"]),
        ("call-back field", ["callbacks"]),
        ("guardrails field", ["guardrails"]),
        ("preset field", ["dtmf", "presets", "pin"]),
        ("text field", ["sms"]),
        ("knowledge field", ["knowledge"]),
        ("code field", ["verification"]),
        ("number field", ["numbers", "line"]),
        ("hours field", ["hours", "office"]),
        ("before_call field", ["numbers", "line", "before_call"]),
    ],
)
def test_every_field_of_a_table_is_documented_with_its_default(
    first_column: str, path: list[str | int]
) -> None:
    """Whether something must be written is the first question about it."""
    kinds = {"desk": "Target", "find": "PythonTool", "failure": "Failure", "0": "Webhook"}
    kinds |= {"ask": "HttpTool", "mcp": "McpTool"}
    kinds |= {
        "analysis": "Analysis",
        "callbacks": "Callbacks",
        "guardrails": "Guardrails",
        "pin": "DtmfPreset",
        "sms": "Sms",
        "knowledge": "Knowledge",
        "verification": "Verification",
    }
    kinds |= {"line": "Number", "office": "Hours", "before_call": "BeforeCall"}
    definition = kinds[str(path[-1])]
    table = schema()["$defs"][definition]
    documented = {quoted(row[0])[0]: row[1] for row in rows(first_column)}

    own = NUMBER_FIELDS if definition == "Number" else table["properties"]
    assert sorted(documented) == sorted(own)
    required = {name for name, default in documented.items() if default == "required"}
    assert required == set(table.get("required", []))
    for name, one in table["properties"].items():
        default = one.get("default") if name in own else None
        if isinstance(default, str | bool):
            text = default if isinstance(default, str) else str(default).lower()
            assert documented[name] == f"`{text}`"


def test_every_way_from_watsonx_leads_to_something_that_exists(tmp_path: Path) -> None:
    """A name that is gone is worse than no table: somebody moves a line by it."""
    openapi = switchboard(Settings(_env_file=None), data=tmp_path).app.openapi()
    tables = {name: set(one["properties"]) for name, one in _tables(schema()["$defs"])}
    commands = {
        one["properties"]["type"]["const"]: set(one["properties"])
        for name, one in _tables(openapi["components"]["schemas"])
        if name.endswith("Command") and "const" in one["properties"].get("type", {})
    }
    built = {
        "field": set(fields_at([])) | {f"{x}.{name}" for x in tables for name in tables[x]},
        "tool": set(built_in.NAMES),
        "event": set(NOTICES),
        "command": set(commands),
        "command field": {f"{x}.{name}" for x in commands for name in commands[x]},
        "route": {f"{verb.upper()} {p}" for p, one in openapi["paths"].items() for verb in one},
    }
    known = {f"{kind} `{name}`" for kind, names_ in built.items() for name in names_}

    led = [(row[0], row[1], row[2]) for row in rows("watsonx")]

    assert len(led) > 60
    absent = {"not on Twilio", "not here"}
    assert not [here for _, here, _ in led if here not in known | absent]
    assert not [theirs for theirs, here, why in led if here in absent and not why]


def _tables(definitions: dict[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    return [(name, one) for name, one in definitions.items() if "properties" in one]


def test_every_command_is_documented_and_no_other() -> None:
    """A command in the README that does not exist is the first thing a newcomer meets."""
    scripts = {
        f"./scripts/{file.name}"
        for file in (ROOT / "scripts").iterdir()
        if file.is_file() and os.access(file, os.X_OK) and not file.suffix
    }
    built = {f"python -m app {name}" for name in get_command(cli).commands}  # type: ignore[attr-defined]
    built |= {
        f"python -m app.emulators {name}"
        for name in get_command(emulators_cli).commands  # type: ignore[attr-defined]
    }

    documented = {re.sub(r" [A-Z]+$", "", name) for name in names("command")}

    assert documented == scripts | built


def test_every_scenario_is_documented_and_no_other() -> None:
    """Names are what one types; `--list` says what happens in them."""
    section = README.partition("### Scenarios")[2].partition("###")[0]

    told = re.findall(r"`([a-z]+(?:-[a-z]+)*)`", section.partition(":")[2].partition(". Every")[0])

    assert told == [play.name for play in PLAYS]


@pytest.mark.parametrize("command", ["./scripts/start", "./scripts/test", "./scripts/demo"])
def test_the_first_screen_has_the_commands_a_newcomer_types(command: str) -> None:
    """Nobody scrolls before the first success."""
    assert command in "\n".join(README.splitlines()[:25])


def test_every_file_that_is_mentioned_exists() -> None:
    """Files move; sentences about them do not notice."""
    mentioned = re.findall(r"`((?:app|tests|scripts|docs|examples)/[\w./]*)`", GUIDE)

    assert mentioned
    assert not [file for file in mentioned if not (ROOT / file).exists()]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_link_leads_somewhere(page: Path) -> None:
    """To a file, and to a heading that is on that page."""
    links = re.findall(
        r"\]\((?!https?:)([^)#\s]*)(?:#([\w-]+))?\)", page.read_text(encoding="utf-8")
    )

    assert links
    for name, anchor in links:
        file = (page.parent / name).resolve() if name else page
        assert file.exists(), name
        assert not anchor or anchor in anchors(file), f"{name}#{anchor}"


def anchors(page: Path) -> set[str]:
    """What GitHub calls the headings of a page."""
    headings = re.findall(r"^#+ (.+)$", page.read_text(encoding="utf-8"), flags=re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", one.lower()).replace(" ", "-") for one in headings}


def test_ci_runs_the_test_command_of_the_readme() -> None:
    """What is promised to newcomers is what is tried on every change."""
    lines = (ROOT / ".ci" / "run").read_text(encoding="utf-8").splitlines()

    assert lines[-1] == "./scripts/test"
