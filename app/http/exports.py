"""The record in the words of others: vCon, watsonx, call-center-ai; for who moves here or away.

Made from the record alone. What ours does not know is left out where the other format allows it
and null where it does not; nothing is made up. Written after the published descriptions
(draft-ietf-vcon-vcon-core, IBM's CDR fields, the CallGet model of call-center-ai); none of the
three was validated against a schema of theirs.
"""

from collections.abc import Callable, Iterator, Mapping
from datetime import datetime, timedelta
from typing import Any
from uuid import NAMESPACE_URL, uuid5

import orjson

Shape = Callable[[Mapping[str, Any]], dict[str, Any]]

VCON_VERSION = "0.4.0"
_CALLER, _AGENT = 0, 1
_IBM_REQUESTS = {"start": "start", "dtmf": "dtmf", "no_input": "no_input_turn"}


def vcon(record: Mapping[str, Any]) -> dict[str, Any]:
    """An unsigned vCon: two parties, a text dialog for each thing said, the record attached."""
    created_at = record["timestamps"]["created_at"]
    dialog = [
        {
            "type": "text",
            "start": _moment(created_at, at_ms),
            "parties": [party, _AGENT if party == _CALLER else _CALLER],
            "originator": party,
            "mediatype": "text/plain",
            "body": text,
            "encoding": "none",
        }
        for party, at_ms, text in _said(record)
    ]
    return {
        "vcon": VCON_VERSION,
        "uuid": _uuid(record),
        "created_at": created_at,
        "subject": f"call {record['call_id']}",
        "parties": [_party(record, _caller(record), "customer"), _party(record, _ours(record))],
        "dialog": dialog,
        "analysis": _analysis(record, len(dialog)),
        "attachments": [
            {
                "purpose": "cdr",
                "start": created_at,
                "party": _AGENT,
                "mediatype": "application/json",
                "body": orjson.dumps(record).decode(),
                "encoding": "json",
            }
        ],
    }


def watsonx(record: Mapping[str, Any]) -> dict[str, Any]:
    """IBM's call detail record, as its webhook has it under ``payload``."""
    stamps, latency, failure = record["timestamps"], record["latency_ms"], record["failure"]
    return {
        "payload": {
            "primary_phone_number": record["to"]["number"],
            "global_session_id": record["call_id"],
            "active_calls": record["concurrency_at_start"],
            "failure_occurred": failure is not None,
            "failure_details": failure and failure["code"],
            "transfer_occurred": bool(record["transfers"]),
            "x-global-sip-trunk-call-id": record["carrier"]["call_sid"],
            "call": {
                "start_timestamp": stamps["created_at"],
                "stop_timestamp": stamps["ended_at"],
                "milliseconds_elapsed": record["durations_ms"]["total"],
                "end_reason": _ibm_end(record),
            },
            "session_initiation_protocol": {
                "invite_arrival_timestamp": stamps["created_at"],
                "setup_milliseconds": latency["answer_to_first_audio"],
                "headers": {
                    "call_id": None,
                    "from_uri": record["from"]["number"],
                    "to_uri": record["to"]["number"],
                },
            },
            "max_response_milliseconds": {
                "assistant": latency["turn_sent"]["max"],
                "text_to_speech": None,
                "speech_to_text": None,
            },
            "assistant_interaction_summaries": [
                {"session_id": one["id"], "turns": turns} for one, turns in _ibm_sessions(record)
            ],
            "injected_custom_data": record["custom_data"],
            "warnings_and_errors": [
                {"id": one["id"], "message": f"{one['id']} ({one['count']})"}
                for one in record["warnings"]
            ],
            "realtime_transport_network_summary": None,
        }
    }


def call_center_ai(record: Mapping[str, Any]) -> dict[str, Any]:
    """The CallGet model: messages by persona; ``claim`` is the form, or the custom data."""
    created_at = record["timestamps"]["created_at"]
    return {
        "call_id": _uuid(record),
        "created_at": created_at,
        "claim": (record["form"] or {}).get("values") or record["custom_data"],
        "in_progress": record["status"] == "in_progress",
        "initiate": {"phone_number": _caller(record)},
        "messages": list(_messages(record, created_at)),
        "next": _next(record),
        "reminders": [_reminder(one) for one in record.get("reminders") or ()],
        "synthesis": _synthesis(record),
    }


def _reminder(noted: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "title": noted["title"],
        "description": noted["description"],
        "due_date_time": noted["due_at"],
        "owner": noted["owner"],
    }


SHAPES: dict[str, tuple[str, Shape]] = {
    "vcon": ("application/vcon+json", vcon),
    "watsonx": ("application/json", watsonx),
    "call-center-ai": ("application/json", call_center_ai),
}
"""Media type and maker by the value of ``?shape=``."""


def _uuid(record: Mapping[str, Any]) -> str:
    """The same for the same call; whoever stores it twice stores it once."""
    return str(uuid5(NAMESPACE_URL, f"urn:patchline:{record['call_id']}"))


def _inbound(record: Mapping[str, Any]) -> bool:
    return not str(record["direction"]).startswith("outbound")


def _caller(record: Mapping[str, Any]) -> str:
    """The person's number, whoever called whom."""
    return str(record["from" if _inbound(record) else "to"]["number"])


def _ours(record: Mapping[str, Any]) -> str:
    return str(record["to" if _inbound(record) else "from"]["number"])


def _party(_record: Mapping[str, Any], number: str, role: str = "agent") -> dict[str, Any]:
    if number.startswith("+"):
        return {"tel": f"tel:{number}", "role": role}
    return {"sip" if number.startswith("sip") else "name": number or "unknown", "role": role}


def _moment(created_at: str, at_ms: int) -> str:
    moment = datetime.fromisoformat(created_at) + timedelta(milliseconds=at_ms)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _said(record: Mapping[str, Any]) -> Iterator[tuple[int, int, str]]:
    for turn in record["turns"]:
        if turn["text"]:
            yield _CALLER, turn["at_ms"], turn["text"]
        for one in turn["responses"]:
            if one["type"] == "speech" and one["text"]:
                yield _AGENT, one["at_ms"], one["text"]


def _analysis(record: Mapping[str, Any], dialogs: int) -> list[dict[str, Any]]:
    found = {"summary": record["analysis"], "form": record["form"]}
    return [
        {
            "type": name,
            "dialog": list(range(dialogs)),
            "vendor": "patchline",
            "mediatype": "application/json",
            "body": orjson.dumps(value).decode(),
            "encoding": "json",
        }
        for name, value in found.items()
        if value is not None
    ]


def _ibm_end(record: Mapping[str, Any]) -> str | None:
    if record["end_reason"] is None:
        return None
    if record["failure"] is not None:
        return "failed"
    ends = {"transferred": "assistant_transfer", "caller_hangup": "caller_hangup"}
    return ends.get(record["end_reason"], "assistant_hangup")


def _ibm_sessions(
    record: Mapping[str, Any],
) -> Iterator[tuple[Mapping[str, Any], list[dict[str, Any]]]]:
    """All turns with the first session: facts do not say which of them took which turn."""
    turns = [_ibm_turn(record, turn) for turn in record["turns"]]
    sessions = record["model"]["sessions"] or ([{"id": None}] if turns else [])
    for index, session in enumerate(sessions):
        yield session, turns if index == 0 else []


def _ibm_turn(record: Mapping[str, Any], turn: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "start_timestamp": _moment(record["timestamps"]["created_at"], turn["at_ms"]),
        "response_milliseconds": None,
        "request": {"type": _IBM_REQUESTS.get(turn["type"], "speech_to_text")},
        "response": [
            {"type": "text_to_speech", "barge_in_occurred": one["interrupted"]}
            for one in turn["responses"]
            if one["type"] == "speech"
        ],
    }


def _messages(record: Mapping[str, Any], created_at: str) -> Iterator[dict[str, Any]]:
    yield _message(created_at, 0, "human", action="call")
    for turn in record["turns"]:
        if turn["text"]:
            yield _message(created_at, turn["at_ms"], "human", turn["text"])
        for one in turn["responses"]:
            if one["type"] == "speech":
                yield _message(created_at, one["at_ms"], "assistant", one["text"])
            elif one["type"] == "tool":
                tool = {"content": "", "function_arguments": "", "function_name": one["name"]}
                calls = [{**tool, "tool_id": ""}]
                yield {**_message(created_at, one["at_ms"], "tool"), "tool_calls": calls}
    ended_ms = record["durations_ms"]["total"]
    if ended_ms is not None:
        who = "human" if record["end_reason"] == "caller_hangup" else "assistant"
        yield _message(created_at, ended_ms, who, action="hangup")


def _message(
    created_at: str, at_ms: int, persona: str, content: str = "", *, action: str = "talk"
) -> dict[str, Any]:
    return {
        "created_at": _moment(created_at, at_ms),
        "action": action,
        "content": content,
        "persona": persona,
        "style": "none",
        "tool_calls": [],
    }


def _next(record: Mapping[str, Any]) -> dict[str, Any] | None:
    found = (record["analysis"] or {}).get("next_action")
    return found and {"action": found.get("action"), "justification": found.get("reason")}


def _synthesis(record: Mapping[str, Any]) -> dict[str, Any] | None:
    found = record["analysis"]
    return found and {
        "short": found.get("short"),
        "long": found.get("long"),
        "satisfaction": found.get("satisfaction"),
        "improvement_suggestions": found.get("improvement"),
    }
