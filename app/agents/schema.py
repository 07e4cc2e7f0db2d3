"""The JSON Schema of the agent document, for editors that complete and check while one types.

``schema.json`` beside this file is its text; a test compares them, and
``python -m app.agents.schema`` writes it anew after a change of the model.
"""

import json
from collections.abc import Iterable, Mapping
from functools import cache
from pathlib import Path
from typing import Any

from app.agents.document import Document
from app.agents.layers import OWN

SCHEMA_FILE = Path(__file__).with_name("schema.json")


@cache
def schema() -> dict[str, Any]:
    """The schema as plain values; not to be changed by the caller."""
    made = Document.model_json_schema()
    agent = made["$defs"]["Agent"]["properties"]
    for fields in (made["properties"], agent):
        fields["tools"] = {"anyOf": [fields["tools"], _LISTED]} | _said_of(fields["tools"])
    for name in ("numbers", *OWN):
        agent.pop(name, None)
    number = made["$defs"]["Number"]["properties"]
    made["$defs"]["Number"]["properties"] = {**agent, **number}
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        **made,
        "title": "Patchline agent document",
    }


_LISTED: dict[str, Any] = {
    "type": "array",
    "items": {"anyOf": [{"type": "string"}, {"type": "object", "maxProperties": 1}]},
}
"""Tools by name, or a name with options."""


def _said_of(field: dict[str, Any]) -> dict[str, Any]:
    """What an editor shows of a field, taken out of it."""
    return {name: field.pop(name) for name in ("title", "description") if name in field}


def schema_text() -> str:
    """What ``schema.json`` must contain."""
    return json.dumps(schema(), indent=2, ensure_ascii=False) + "\n"


def fields_at(path: Iterable[str | int], whole: Mapping[str, Any] | None = None) -> list[str]:
    """The names a table at ``path`` of a document may use; empty where none are fixed.

    ``whole``: the schema of another kind of document.
    """
    whole = schema() if whole is None else whole
    tables = _resolved(whole, whole)
    for step in path:
        tables = [inner for table in tables for inner in _below(table, step, whole)]
    return [name for table in tables for name in table.get("properties", {})]


def _below(
    table: Mapping[str, Any], step: str | int, whole: Mapping[str, Any]
) -> list[Mapping[str, Any]]:
    if isinstance(step, int):
        found = table.get("items")
    else:
        found = table.get("properties", {}).get(step) or table.get("additionalProperties")
    return _resolved(found, whole) if isinstance(found, dict) else []


def _resolved(table: Mapping[str, Any], whole: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """The table itself, with what it refers to and all its alternatives."""
    if "$ref" in table:
        return _resolved(whole["$defs"][table["$ref"].removeprefix("#/$defs/")], whole)
    alternatives = [*table.get("anyOf", ()), *table.get("oneOf", ())]
    return [table, *(inner for one in alternatives for inner in _resolved(one, whole))]


if __name__ == "__main__":
    SCHEMA_FILE.write_text(schema_text(), encoding="utf-8")
