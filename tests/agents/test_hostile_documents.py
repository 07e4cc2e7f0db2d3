"""Documents nobody meant to write: whatever is in the file, the answer is an agent or sentences."""

import json
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from app.agents.load import check_file

EXAMPLE = (Path(__file__).parents[2] / "app" / "agents" / "example.yaml").read_text(
    encoding="utf-8"
)
FULL: dict[str, Any] = {
    "instructions": "x",
    "greeting": {"text": "y", "interruptible": "none", "mode": "generate"},
    "voice": {"name": "z", "speed": 1.1},
    "turn_detection": {"type": "server_vad", "threshold": 0.4},
    "noise_reduction": {"type": "far_field"},
    "transcription": {"languages": ["en"], "keywords": ["a"]},
    "reasoning": {"effort": "low"},
    "tools": {"find": {"type": "python", "handler": "a:b", "timeout": "3s"}},
    "transfer_to": "+33612345678",
    "transfer_targets": {
        "desk": {"description": "d", "to": "sip:a@b.test", "on_failure": {"then": "resume"}}
    },
    "failure": {"then": "desk"},
}
BITS = ["\t", "\n", ": ", "- ", "[", "{", "&a ", "*a", "!!int ", "<<: ", "---\n", "%YAML 1.1\n"]
JUNK = st.one_of(st.sampled_from(BITS), st.text(max_size=5))
TEXTS = st.text(st.characters(), max_size=8)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner),
    max_leaves=5,
)


def sentences(suffix: str, content: str) -> list[str]:
    """What is wrong with a file of this content; only AgentFault may stand in the way."""
    with TemporaryDirectory() as folder:
        file = Path(folder) / f"agent{suffix}"
        file.write_bytes(content.encode("utf-8", "surrogatepass"))
        told = [str(problem) for problem in check_file(file)]
    assert all(sentence.isprintable() for sentence in told)
    return told


def places(value: Any) -> list[tuple[Any, Any]]:
    """Every container of ``value`` with each of its keys."""
    if not isinstance(value, dict | list):
        return []
    keys = list(value) if isinstance(value, dict) else list(range(len(value)))
    return [(value, key) for key in keys] + [place for key in keys for place in places(value[key])]


@given(st.data())
def test_a_document_cut_and_pasted_anywhere_is_answered(data: st.DataObject) -> None:
    """A text editor can leave anything behind."""
    text = EXAMPLE
    for _ in range(data.draw(st.integers(1, 4))):
        start = data.draw(st.integers(0, len(text)))
        end = data.draw(st.integers(start, min(len(text), start + 30)))
        text = text[:start] + data.draw(JUNK) + text[end:]

    sentences(data.draw(st.sampled_from([".yaml", ".toml", ".json"])), text)


@given(st.data())
def test_any_value_in_any_place_is_answered(data: st.DataObject) -> None:
    """A generator of documents can put anything anywhere."""
    document = json.loads(json.dumps(FULL))
    for _ in range(data.draw(st.integers(1, 3))):
        container, key = data.draw(st.sampled_from(places(document)))
        container[key] = data.draw(VALUES)
        if isinstance(container, dict) and data.draw(st.booleans()):
            container[data.draw(TEXTS)] = data.draw(VALUES)

    for sentence in sentences(".json", json.dumps(document)):
        assert "agent.json:" in sentence
        assert "pydantic" not in sentence.lower()
        assert "input" not in sentence.lower().replace("unknown field", "")


@given(st.sampled_from([".yaml", ".json", ".toml"]), st.text(max_size=60))
def test_any_text_is_answered(suffix: str, text: str) -> None:
    """The wrong file was named."""
    sentences(suffix, text)


def test_every_beginning_of_the_example_is_answered() -> None:
    """An upload that broke off."""
    for end in range(0, len(EXAMPLE), 7):
        sentences(".yaml", EXAMPLE[:end])
