"""What the operator's programs are told, and what never."""

from typing import Any

import pytest
from pydantic import ValidationError

from app.agents.document import Webhook
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


LATER = {
    "call.time_elapsed": "no marks in time can be configured",
    "turn.started": "transcript.updated tells words as they come, caller.interrupted what was cut",
    "turn.completed": "the same, and the record has the turns",
    "language.changed": "agents speak whatever language they are spoken to",
    "transfer.answered": "a person who is asked first accepts, or transfer.failed says why not",
    "transfer.declined": "transfer.failed, with the reason",
    "consent.recorded": "the record's recordings say whether they were announced",
}
"""Of the catalogue (callcentre 7.2), what nothing here tells, and what does instead."""
CATALOGUE = """
call.created call.ringing call.answered call.rejected call.resumed call.stream_started
call.stream_stopped call.model_connected call.model_lost call.ended call.analyzed
transcript.updated caller.interrupted caller.silent caller.opted_out tool.started tool.completed
tool.failed tool.timed_out mcp.tools_listed mcp.failed dtmf.received dtmf.collected dtmf.failed
dtmf.sent form.updated form.completed sms.sent sms.delivered sms.failed sms.received
transfer.started transfer.ringing transfer.accepted transfer.connected transfer.failed
transfer.ended voicemail.detected voicemail.left recording.started recording.paused
recording.resumed recording.completed guardrail.tripped reminder.created reminder.due
callback.scheduled callback.started callback.exhausted
"""


def test_the_catalogue_is_told() -> None:
    """O5: what a program written for the catalogue waits for is told, or it is said what is."""
    assert set(CATALOGUE.split()) <= set(NOTICES)
    assert not set(LATER) & set(NOTICES)


def test_every_notice_may_be_asked_for_in_a_document() -> None:
    """By its name; what the agent document takes, and what is told, are one list."""
    for kind in NOTICES:
        one = Webhook.model_validate({"url": "https://contoso.test/hook", "events": [kind]})
        assert asked_for(one.events, kind)
    with pytest.raises(ValidationError):
        Webhook.model_validate({"url": "https://contoso.test/hook", "events": ["tool.begun"]})


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
