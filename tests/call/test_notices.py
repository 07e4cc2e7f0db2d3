"""What the operator's programs are told, and what never."""

from typing import Any

import pytest

from app.call.facts import FACTS, TIMED_OUT
from app.call.notices import NOTICES, About, asked_for, notice
from app.protocol.events import ToolCalled, ToolDone
from tests.call.witness import Witnessed

CALL = About("call_1", "conv_1", "inbound", "+14155550123", None, {"campaign": "winter"})


@pytest.mark.parametrize(
    ("patterns", "kind", "asked"),
    [
        (["call.*"], "call.ended", True),
        (["call.*"], "transfer.ended", False),
        (["*"], "tool.failed", True),
        (["*"], "transcript.updated", False),
        (["*.updated"], "transcript.updated", False),
        (["transcript.*"], "transcript.updated", True),
        (["*"], "model.used", False),
        (["call.*"], "call.custom_data", False),
        (["record.gap"], "record.gap", False),
        ([], "call.ended", False),
    ],
)
def test_kinds_are_told_to_who_asked(patterns: list[str], kind: str, asked: bool) -> None:
    """Words only to who named them; what is ours to know, to nobody."""
    assert asked_for(patterns, kind) is asked


def test_every_notice_is_a_fact() -> None:
    """One that is told by nobody would be waited for; a reminder comes due after its call, and
    ``transfer.requested`` is a question."""
    assert set(NOTICES) - {"reminder.due", "transfer.requested"} <= set(FACTS)


@pytest.mark.parametrize(
    ("done", "kind", "more"),
    [
        ({"ok": True, "source": "mcp"}, "tool.completed", {"source": "mcp"}),
        ({"ok": True}, "tool.completed", {"source": "builtin"}),
        (
            {"ok": False, "source": "http", "error": "http_503"},
            "tool.failed",
            {"source": "http", "error": "http_503"},
        ),
        ({"ok": False}, "tool.failed", {"source": "builtin", "error": None}),
        (
            {"ok": False, "source": "python", "error": TIMED_OUT},
            "tool.timed_out",
            {"source": "python", "error": TIMED_OUT},
        ),
    ],
)
def test_how_a_tool_ended_is_told_with_its_name_and_source(
    done: dict[str, Any], kind: str, more: dict[str, Any]
) -> None:
    """O18: which tool, whose, how long it took, and what went wrong; never what it found."""
    seen = Witnessed()

    seen.saw(0, ToolCalled("r1", "i1", "t1", "find", "{}"), [])
    seen.saw(40, ToolDone("t1", "secret", elapsed_ms=40, **done), [])

    assert [fact.type for fact in seen.facts] == ["tool.started", kind]
    assert seen.facts[1].data == {"tool_call_id": "t1", "name": "find", "ms": 40, **more}
    assert len(seen.tool_ms) == 1
    assert asked_for(["*"], kind)


def test_arguments_of_tools_are_no_words() -> None:
    """They may be digits that the caller keyed in."""
    more = {"voice": "tool", "text": "", "name": "pay", "arguments": '{"card": "4111"}'}

    told = notice("transcript.updated", "2026-11-21T12:00:00.000Z", 4, CALL, more)

    assert "4111" not in str(told)
    assert (told["data"]["role"], told["data"]["seq"]) == ("tool", 4)


def test_what_is_in_a_record_cannot_pass_for_the_envelope() -> None:
    """The envelope's own names come last."""
    told = notice("call.ended", None, 9, CALL, {"seq": 1, "call_id": "other", "analysis": {}})

    assert (told["data"]["seq"], told["data"]["call_id"]) == (9, "call_1")
    assert "analysis" not in told["data"]
