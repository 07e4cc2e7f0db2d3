"""What a changed session is, and what the server is told of it: only what differs."""

from typing import Any

import orjson
import pytest

from app.protocol.dialect import DIALECTS, OPENAI, Dialect
from app.protocol.realtime_client_events import SessionConfig, session_changed
from app.protocol.session_changes import Changes, changed

CONFIG = SessionConfig(
    model="m",
    instructions="Answer the phone.",
    turn_detection={"type": "semantic_vad", "eagerness": "low", "create_response": True},
    transcription={"model": "gpt-transcribe", "languages": ["fr", "en"], "prompt": "Cars."},
    noise_reduction={"type": "near_field"},
    tools=({"name": "look_up"}, {"name": "pay"}),
)


def told(changes: Changes, before: Changes = Changes(), dialect: Dialect = OPENAI) -> Any:  # noqa: B008
    old, new = changed(CONFIG, before), changed(CONFIG, changes)
    text = session_changed(old, new, dialect, by_server=True)
    return orjson.loads(text)["session"] if text else None


def test_w3_only_what_is_changed_is_told() -> None:
    """One field is one field; the speed is the only thing of the voice."""
    assert told(Changes({"speed": 1.2})) == {
        "type": "realtime",
        "audio": {"output": {"speed": 1.2}},
    }
    assert told(Changes({"tools": ["pay"]})) == {"type": "realtime", "tools": [{"name": "pay"}]}
    assert told(Changes({"instructions": CONFIG.instructions})) is None


def test_w7_a_replaced_field_is_exactly_the_new_one() -> None:
    """What stood in it beside is gone, and its neighbours are not touched."""
    new = {"model": "gpt-transcribe", "keywords": ["stent"]}
    assert told(Changes({"transcription": new}))["audio"] == {"input": {"transcription": new}}


def test_w9_a_merged_field_keeps_what_stands_beside() -> None:
    """null deletes; W17: one language takes the place of several."""
    patch = {"transcription": {"language": "es", "prompt": None}}
    assert told(Changes({}, patch))["audio"]["input"]["transcription"] == {
        "model": "gpt-transcribe",
        "languages": ["es"],
    }


def test_w8_what_is_restored_is_told_as_it_was() -> None:
    """The second update equals the original."""
    assert told(Changes(), before=Changes({"noise_reduction": None}))["audio"] == {
        "input": {"noise_reduction": {"type": "near_field"}}
    }


def test_another_kind_of_turns_has_nothing_of_the_old_one() -> None:
    """The server would refuse it; who answers stays as it is."""
    detection = {"turn_detection": {"type": "server_vad", "threshold": 0.7}}
    assert told(Changes({}, detection))["audio"]["input"]["turn_detection"] == {
        "type": "server_vad",
        "threshold": 0.7,
        "create_response": True,
        "interrupt_response": True,
    }


@pytest.mark.parametrize("dialect", DIALECTS.values())
def test_every_server_is_told_in_its_own_shape(dialect: Dialect) -> None:
    """Nobody gets a field that they were not set up with."""
    found = told(Changes({"turn_detection": {"type": "semantic_vad"}}), dialect=dialect)
    assert ("turn_detection" in found) is dialect.top_level
