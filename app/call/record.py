"""The call detail record of a report: shape and names of callcentre 6.1, pure.

Unknown is ``null``, never absent; times are UTC with milliseconds, durations integers.
"""

from collections.abc import Callable, Mapping
from typing import Any

from app.call import recorded, sms
from app.call.prices import CURRENCY, dollars
from app.call.report import END_REASONS, Party, Report, Result, merged, percentiles
from app.call.transcript import Voice
from app.call.written import KINDS as WRITTEN
from app.call.written import told as written

CALLBACK = "callback_scheduled"
"""What came of a call in which the agent promised to call back."""
Utc = Callable[[int | None], str | None]
"""A moment of the call, in ms since it was created, as RFC 3339; null stays null."""


def _agents(report: Report, utc: Utc) -> list[dict[str, Any]] | None:
    """Who had the conversation; null where nobody answered, or nobody knows."""
    if not report.party.agent or report.model_ready_at_ms is None:
        return None
    entered = [(report.party.agent, report.model_ready_at_ms), *report.agents]
    left_ms = [*(at_ms for _, at_ms in report.agents), report.ended_at_ms]
    return [
        {"name": name, "entered_at": utc(at_ms), "left_at": utc(until_ms)}
        for (name, at_ms), until_ms in zip(entered, left_ms, strict=True)
    ]


def record(call_id: str, report: Report, utc: Utc) -> dict[str, Any]:
    """What is known of the call by now."""
    party, ending = report.party, report.ending
    return {
        "schema": "cdr/1",
        "call_id": call_id,
        "conversation_id": party.conversation_id,
        "resumed_from": party.resumed_from,
        "direction": party.direction,
        "status": "queued" if report.queued else "completed" if ending else "in_progress",
        "end_reason": ending,
        "ending": {"result": END_REASONS[ending].value, "reason": ending} if ending else None,
        "disposition": CALLBACK if report.promised.callback else None,
        "failure": _failure(report, utc),
        "from": {"number": party.from_number},
        "to": {"number": party.to_number},
        "answered_by": report.answered_by,
        "agents": _agents(report, utc),
        "language": party.language or None,
        "config": {"version": party.config_version},
        "timestamps": {
            "created_at": utc(0),
            "ringing_at": utc(min(report.rung.values(), default=None)),
            "answered_at": utc(report.answered_at_ms),
            "model_ready_at": utc(report.model_ready_at_ms),
            "first_audio_at": utc(report.first_audio_at_ms),
            "ended_at": utc(report.ended_at_ms),
        },
        "durations_ms": _durations(report),
        "concurrency_at_start": party.concurrency,
        "carrier": {
            "provider": "twilio",
            "account_sid": party.account_sid,
            "call_sid": party.call_sid,
            "parent_call_sid": None,
            "price": None,
            "stream_sids": list(report.stream_sids),
            "sip": _sip(party),
        },
        "model": {
            "provider": "openai",
            "sessions": [{"id": session} for session in report.sessions],
            "losses": report.model_losses,
            "usage": dict(report.usage),
            "cost_estimate": _cost(report),
        },
        "latency_ms": _latency(report),
        "audio": {
            "played_ms": report.played_ms,
            "silence_appended_ms": report.padded_ms,
            "longest_gap_ms": None,
            "clears": report.barge_ins,
        },
        "messages_ignored": dict(sorted(report.ignored.items())),
        "turns": report.dialogue(),
        "transfers": _transfers(report, utc),
        "form": form_of(report.analysis, report.form.told),
        "sms": list(report.texts),
        "texts": list(report.written),
        "reminders": list(report.promised.reminders.values()),
        "analysis": report.analysis,
        "recording": list(report.recorded.entries),
        "guardrails": {
            "input_trips": report.tripped["input"],
            "output_trips": report.tripped["output"],
        },
        "custom_data": dict(report.custom_data),
        "warnings": [{"id": name, "count": n} for name, n in sorted(report.warnings.items())],
    }


def amended(record: Mapping[str, Any], *, kind: str, data: Mapping[str, Any]) -> dict[str, Any]:
    """The record of a call that is over, with a fact that came afterwards."""
    told = dict(record)
    if kind == "call.custom_data":
        told["custom_data"] = merged(told.get("custom_data") or {}, data)
    elif kind == "call.analyzed":
        told["analysis"] = data.get("analysis")
        told["form"] = form_of(told["analysis"], told.get("form"))
    elif kind == "reminder.created":
        noted = {one["id"]: one for one in told.get("reminders") or ()}
        told["reminders"] = list((noted | {data["id"]: dict(data)}).values())
    elif kind == "transfer.ended" and told.get("transfers"):
        *before, last = told["transfers"]
        told["transfers"] = [*before, {**last, **data}]
        if data["talk_s"] is not None:
            spoken = (told["durations_ms"]["human"] or 0) + data["talk_s"] * 1000
            told["durations_ms"] = {**told["durations_ms"], "human": spoken}
    elif kind in sms.KINDS:
        told["sms"] = sms.told(told.get("sms") or (), kind, data)
    elif kind in WRITTEN:
        told["texts"] = written(told.get("texts") or (), kind, data)
    elif kind in recorded.KINDS:
        told["recording"] = recorded.told(told.get("recording") or (), kind, data)
    elif kind == "callback.scheduled":
        told["disposition"] = CALLBACK
    return told


def form_of(analysis: Any, noted: Mapping[str, Any] | None) -> Any:
    """What the call found out: as the agent ``noted`` it and, of the same form, as the analysis
    added to that; None where nobody did either."""
    checked = analysis.get("form") if isinstance(analysis, Mapping) else None
    if noted is None:
        return checked
    return checked if checked and checked.get("name") == noted["name"] else dict(noted)


def kept_afterwards(
    record: Mapping[str, Any], before: Mapping[str, Any] | None
) -> Mapping[str, Any]:
    """``record``, told again by who held the call, with what others had added ``before``."""
    added = ("custom_data", "analysis", "form", "texts")
    return {**record, **{name: before[name] for name in added if before and name in before}}


_COMPONENTS = {
    "model_failed": "model",
    "carrier_failed": "carrier",
    "transfer_failed": "carrier",
    "stream_lost": "carrier",
    "busy": "carrier",
    "no_answer": "carrier",
    "dial_failed": "carrier",
    "rejected": "server",
    "capacity": "server",
    "cost_limit": "server",
    "guardrail": "server",
    "server_shutdown": "server",
}
"""Where it went wrong; a reason that is not here failed nowhere."""


def _failure(report: Report, utc: Utc) -> dict[str, object] | None:
    ending = report.ending
    last = list(report.attempts.values())[-1] if report.attempts else {}
    if ending is None or END_REASONS[ending] is Result.SUCCESS:
        return None
    return {
        "code": ending,
        "component": _COMPONENTS.get(ending),
        "message": last.get("status"),
        "sip_response_code": last.get("sip_response_code"),
        "at": utc(report.ended_at_ms),
    }


def _cost(report: Report) -> dict[str, str] | None:
    """What the responses of the model came to; null where nobody knows, never 0."""
    if not report.bill:
        return None
    return {
        "amount": dollars(report.bill.total()),
        "currency": CURRENCY,
        "price_list": next(reversed(report.bill)),
    }


def _durations(report: Report) -> dict[str, int | None]:
    talks_s = [one.talk_s for one in report.transfers if one.talk_s is not None]
    agents = [one for one in report.passages.values() if one.voice is Voice.AGENT]
    # A stream whose process died has no end of its own; then nobody knows.
    whole = [end - begin for begin, end in report.streams.values() if end is not None]
    known = len(whole) == len(report.streams)
    return {
        "total": report.ended_at_ms,
        "ringing": None,
        "ai": sum(whole) if known else None,
        # Of a hold whose process died nobody knows how long it was.
        "hold": None if None in report.holds and report.ending else sum(filter(None, report.holds)),
        "human": sum(talks_s) * 1000 if talks_s or not report.transfers else None,
        "caller_speech": None,
        "assistant_speech": sum(one.heard_ms or 0 for one in agents),
    }


def _sip(party: Party) -> dict[str, object] | None:
    """Of a caller who came by SIP."""
    if not party.sip_call_id and not party.sip_headers:
        return None
    return {"call_id": party.sip_call_id or None, "headers": dict(party.sip_headers)}


def _transfers(report: Report, utc: Utc) -> list[dict[str, object]]:
    return [
        {
            "target": transfer.target,
            "mode": transfer.mode,
            "summary": transfer.summary or None,
            "requested_at": utc(transfer.requested_at_ms),
            "outcome": transfer.outcome,
            "leg_sid": transfer.leg_sid,
            "talk_s": transfer.talk_s,
        }
        for transfer in report.transfers
    ]


def _latency(report: Report) -> dict[str, object]:
    turns = [report.turns[at_ms] for at_ms in sorted(report.turns)]
    return {
        "answer_to_first_audio": _between(report.answered_at_ms, report.first_audio_at_ms),
        "turn_sent": percentiles([t.sent_ms for t in turns if t.sent_ms is not None]),
        "turn_played": percentiles([t.played_ms for t in turns if t.played_ms is not None]),
        "barge_in_us": percentiles(report.reaction_us),
        "tool": percentiles(report.tool_ms),
        "turns": [{"sent_ms": turn.sent_ms, "played_ms": turn.played_ms} for turn in turns],
    }


def _between(begin_ms: int | None, end_ms: int | None) -> int | None:
    """0 where the first audio was ready before the caller."""
    return None if begin_ms is None or end_ms is None else max(0, end_ms - begin_ms)
