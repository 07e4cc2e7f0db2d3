"""The schema that editors use must say what the loader does."""

import json

from app.agents.schema import SCHEMA_FILE, fields_at, schema_text


def test_the_schema_file_is_the_models() -> None:
    """Written anew by ``python -m app.agents.schema``; a stale one teaches mistakes."""
    assert SCHEMA_FILE.read_text(encoding="utf-8") == schema_text()


def test_the_schema_knows_the_short_forms() -> None:
    """An editor must not underline the five-line document."""
    properties = json.loads(schema_text())["properties"]

    for field in ("greeting", "voice"):
        kinds = [one.get("type", one.get("$ref")) for one in properties[field]["anyOf"]]
        assert "string" in kinds, field


def test_no_internal_name_is_in_the_schema() -> None:
    """Units are in our names and in the operator's values."""
    assert "timeout_ms" not in schema_text()


def test_fields_are_found_at_every_depth() -> None:
    """Suggestions come from here."""
    assert "greeting" in fields_at(())
    assert {"type", "handler", "url"} <= set(fields_at(("tools", "find")))
    assert fields_at(("transfer_targets", "desk", "on_failure")) == ["say", "then"]
    assert {"threshold", "eagerness"} <= set(fields_at(("turn_detection",)))
    assert fields_at(("tools",)) == []
    assert fields_at(("nowhere", 3)) == []
