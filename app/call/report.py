"""The story of a call, as a fold over its facts. Nothing else counts.

Whoever has the facts has the report: the process that holds the call learns them as they are
told, another one from the store. Times are milliseconds since the call was created, on one
clock for all of its streams. Facts that this version does not know are passed over.
"""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import Enum
from functools import partial
from types import MappingProxyType
from typing import Any

import orjson

from app.call import sms
from app.call.chronicle import Latency
from app.call.facts import Fact
from app.call.noted import KINDS as NOTED
from app.call.noted import NOTHING
from app.call.noted import learnt as noted
from app.call.recorded import FAILED as NOT_RECORDED
from app.call.recorded import KINDS as RECORDED
from app.call.recorded import Recorded
from app.call.transcript import KEYED, NO_INPUT, SILENCE, SMS, SMS_FAILED, Voice, beginning
from app.call.written import KINDS as WRITTEN
from app.call.written import told as written


class Result(Enum):
    """Whose doing an ending was."""

    SUCCESS = "success"
    CLIENT_ERROR = "client_error"
    SERVER_ERROR = "server_error"
    UPSTREAM_ERROR = "upstream_error"
    INDETERMINATE = "indeterminate"


END_REASONS: dict[str, Result] = {
    "caller_hangup": Result.SUCCESS,
    "assistant_hangup": Result.SUCCESS,
    "transferred": Result.SUCCESS,
    "transfer_failed": Result.UPSTREAM_ERROR,
    "capacity": Result.SERVER_ERROR,
    "left_queue": Result.SERVER_ERROR,
    "model_failed": Result.UPSTREAM_ERROR,
    "carrier_failed": Result.UPSTREAM_ERROR,
    "stream_lost": Result.INDETERMINATE,
    "server_shutdown": Result.SERVER_ERROR,
    "operator_ended": Result.SUCCESS,
    "silence_timeout": Result.SUCCESS,
    "max_duration": Result.SUCCESS,
    "cost_limit": Result.SERVER_ERROR,
    "guardrail": Result.CLIENT_ERROR,
    "voicemail_left": Result.SUCCESS,
    "voicemail_hangup": Result.SUCCESS,
    "ivr": Result.CLIENT_ERROR,
    "busy": Result.CLIENT_ERROR,
    "no_answer": Result.CLIENT_ERROR,
    "rejected": Result.CLIENT_ERROR,
    "canceled": Result.SUCCESS,
    "dial_failed": Result.UPSTREAM_ERROR,
    "closed_hours": Result.SUCCESS,
    "blocked": Result.CLIENT_ERROR,
}
"""Every way a call can end; documented in docs, checked by tests/test_docs.py."""
MOST_WARNINGS = 64
"""Different ones in a record; then they are ``other``."""
MOST_COMMANDS = 64
"""Of which it is known what became of them."""


@dataclass(slots=True)
class Transferred:
    """One attempt to put the caller through."""

    target: str
    requested_at_ms: int
    outcome: str = "requested"
    """requested, ringing, accepted, joined, refused:…, unclear:… (whether Twilio took it),
    connected, interrupted (the process that asked the person is gone), or why nobody was
    reached."""
    talk_s: int | None = None
    token_digest: str = ""
    """What the URL of its result is known by."""
    room: str = ""
    """Where the person waits, who was asked first."""
    mode: str = "cold"
    summary: str = ""
    """What the agent said it was about."""
    to: str = ""
    """Where a program said that the caller should go, where one was asked."""
    leg_sid: str | None = None
    """The CallSid of the call to the person, where they were asked first."""

    @property
    def open(self) -> bool:
        """How it ended is not known yet."""
        under_way = self.outcome in {"requested", "ringing", "accepted", "joined"}
        return under_way or self.outcome.startswith("unclear:")


@dataclass(slots=True)
class Passage:
    """One thing that was said or done, as far as it is known."""

    voice: Voice
    key: str
    at_ms: int
    text: str = ""
    name: str = ""
    arguments: str = ""
    heard_ms: int | None = None
    """Of the agent's words: so much was heard. None while nothing is known."""
    sent_ms: int | None = None
    cut: bool = False
    """The rest was taken away; ``text`` is what was heard."""
    whole: bool = False
    """Heard to the end."""

    @property
    def under_way(self) -> bool:
        """The caller has heard its beginning, as far as is known."""
        heard_ms = self.heard_ms or 0
        return not (self.cut or self.whole) and 0 < heard_ms < (self.sent_ms or 0)

    @property
    def keyed(self) -> dict[str, Any] | None:
        """``preset``, ``digits`` and ``ok`` of what the caller keyed in; None if nothing."""
        is_keyed = self.voice is Voice.NOTE and self.name == KEYED
        return orjson.loads(self.arguments) if is_keyed else None

    @property
    def forced(self) -> bool:
        """It began a turn without anything of the caller's."""
        return self.voice is Voice.NOTE and self.name in {NO_INPUT, SILENCE, SMS_FAILED}

    @property
    def by_caller(self) -> bool:
        """It is a turn of the caller's."""
        return self.voice is Voice.CALLER or self.keyed is not None

    @property
    def heard_text(self) -> str:
        """The words that were heard, of a line that may still be under way."""
        if self.voice is not Voice.AGENT or self.cut or self.whole:
            return self.text
        return beginning(self.text, self.heard_ms or 0, self.sent_ms or 0)


@dataclass(frozen=True, slots=True)
class Party:
    """What the carrier said about the call when it came."""

    direction: str = "inbound"
    from_number: str = ""
    to_number: str = ""
    account_sid: str = ""
    call_sid: str = ""
    config_version: str = ""
    agent: str = ""
    """Who answered, by name."""
    language: str = ""
    """What the caller chose by a key; empty: nothing."""
    concurrency: int = 0
    conversation_id: str | None = None
    resumed_from: str | None = None
    variables: Mapping[str, str] = field(default_factory=dict)
    """What the operator's program knew of the caller."""
    caller_name: str = ""
    sip_call_id: str = ""
    sip_headers: Mapping[str, str] = field(default_factory=dict)
    """Of a caller who came by SIP, by name."""


@dataclass(slots=True)
class Promised:
    """What is to be done after the call."""

    callback: str | None = None
    """The call that was promised in this one, the latest."""
    reminders: dict[str, Mapping[str, Any]] = field(default_factory=dict)
    """What the agent noted, by its id."""


class Report:
    """One call's story and figures. Teach it every fact, in their order."""

    pressed_away: str | None = None
    """Keys for which the carrier took the stream away; None once there is another one."""
    agents: tuple[tuple[str, int], ...] = ()
    """To whom the conversation was handed, and when."""
    session: Mapping[str, Any] = MappingProxyType({})
    """What was changed of the session of the agent who has the call."""
    form = NOTHING
    """What the agent noted of the form."""

    def __init__(self) -> None:
        self.party = Party()
        self.seq = 0
        """Facts learnt: the number of the last one."""
        self.turns: dict[int, Latency] = {}
        """By the moment the caller stopped."""
        self.transfers: list[Transferred] = []
        self.passages: dict[tuple[int, int], Passage] = {}
        """By stream and place, in the order of the story."""
        self.stream_sids: list[str] = []
        self.sessions: list[str] = []
        self.ending: str | None = None
        self.ended_at_ms: int | None = None
        self.answered_at_ms: int | None = None
        self.model_ready_at_ms: int | None = None
        self.first_audio_at_ms: int | None = None
        self.barge_ins = self.model_losses = self.tools_failed = 0
        self.tool_ms: list[int] = []
        self.usage, self.bill = Counter[str](), Counter[str]()
        """Tokens by their kind; millionths of a dollar by the price list, empty where nobody knows
        what they cost."""
        self.warnings, self.tripped = Counter[str](), Counter[str]()
        # The latter: how often something was said that a rule forbids, by direction.
        self.ignored = Counter[str]()
        """Messages of both lines that were not needed or not understood."""
        self.reaction_us: list[int] = []
        """From an interruption's arrival to the ``clear`` being written."""
        self.padded_ms = self.played_ms = 0
        self.holds: list[int | None] = []  # In ms; None goes on, or its process died.
        self.custom_data: dict[str, Any] = {}
        self.analysis: Any = None
        self.promised = Promised()
        # Text messages: direction, message_sid, to, status, error_code, at; and what was
        # written when it was over: by, id, via, text, at.
        self.texts: list[Any] = []
        self.written: list[Any] = []
        self.recorded = Recorded()
        self.answered_by: str | None = None
        """Of a call we placed: human, machine, fax or unknown."""
        self.order: Mapping[str, Any] | None = None
        """What was ordered, where we place it."""
        self.picked_up = False
        self.rung: dict[str, int] = {}
        """When a telephone rang, by the attempt."""
        self.attempts: dict[str, Mapping[str, Any]] = {}
        """How attempts ended that nobody picked up."""
        self.streams: dict[int, tuple[int, int | None]] = {}
        """When each began and stopped."""
        self.last_stream = 0
        """The number of the last stream, whether a caller came to it or not."""
        self.commands: dict[str, tuple[str, str]] = {}
        """What became of the last orders of the operator's: state and reason, by their id."""
        self.resumes = 0
        """How often the call came back by itself: from a lost stream, or to another process."""
        self._folds: dict[str, Callable[[int, Mapping[str, Any]], None]] = {
            "call.created": self._created,
            "call.stream_started": self._stream_started,
            "call.stream_stopped": self._stream_stopped,
            "call.stream_awaited": self._stream_awaited,
            "call.returned": self._returned,
            "call.ringing": self._rang,
            "call.attempted": self._attempted,
            "call.answered": self._picked_up,
            "call.first_audio": self._first_audio,
            "call.model_connected": self._model_connected,
            "call.model_refused": lambda _, x: self._warn(f"model_refused:{x['reason']}"),
            "call.model_lost": self._model_lost,
            "call.ended": self._ended,
            "call.corrected": self._corrected,
            "call.custom_data": self._put,
            "call.analyzed": self._analyzed,
            "call.looked_up": self._looked_up,
            "variables.saved": self._learnt,
            "callback.scheduled": self._callback_promised,
            "reminder.created": self._reminded,
            "transcript.updated": self._said,
            "transcript.heard": self._heard,
            "transcript.cleared": self._unsaid,
            "turn.answered": self._answered,
            "caller.interrupted": self._interrupted,
            "tool.approval_answered": self._approved,
            "tool.completed": lambda _, x: self.tool_ms.append(x["ms"]),
            "tool.failed": self._tool_failed,
            "tool.timed_out": self._tool_failed,
            "dtmf.sent": self._keys_sent,
            "guardrail.tripped": lambda _, x: self.tripped.update((x["direction"],)),
            "transfer.started": self._transferring,
            "transfer.dialling": self._transfer_dialling,
            "transfer.answered": self._transfer_answered,
            "transfer.ringing": self._person_rung,
            "transfer.accepted": lambda _, __: self._transfer_came_to("accepted"),
            "transfer.connected": lambda _, __: self._transfer_came_to("joined"),
            "transfer.failed": lambda _, x: self._transfer_came_to(x["reason"]),
            "transfer.ended": self._transfer_ended,
            "agent.changed": self._changed_agent,
            "session.changed": self._changed_session,
            "hold.started": self._held,
            "hold.ended": self._released,
            "command.received": lambda _, x: self._ordered(x["command_id"], "accepted"),
            "command.ended": lambda _, x: self._ordered(x["command_id"], x["state"], x["reason"]),
            **{kind: partial(self._noted, kind) for kind in NOTED},
            **{kind: partial(self._texted, kind) for kind in sms.KINDS},
            **{kind: partial(self._written, kind) for kind in WRITTEN},
            **{kind: partial(self.recorded.learn, kind) for kind in RECORDED},
            NOT_RECORDED: self._not_recorded,
            "model.used": self._used,
            "line.figures": self._figures,
            "warning": lambda _, x: self._warn(x["id"], x["count"]),
        }

    def learn(self, fact: Fact) -> None:
        """One more fact, the next in order. Of one whose data no database took there is only the
        place; one that a later version tells otherwise than this one is passed over, too, and
        is a warning: the rest of the story is worth more than none."""
        self.seq += 1
        fold = self._folds.get(fact.type)
        try:
            kept = fact.type == "call.custom_data" or "unwritable" not in fact.data
            if fold is not None and kept:
                fold(fact.at_ms, fact.data)
        except (LookupError, TypeError, ValueError, AttributeError):
            self._warn("unreadable_fact")

    def _created(self, _at_ms: int, told: Mapping[str, Any]) -> None:
        known = {name: told[name] for name in Party.__slots__ if name in told}
        self.party = Party(**known)
        self.order = told.get("order")

    def _looked_up(self, _at_ms: int, told: Mapping[str, Any]) -> None:
        self.party = replace(self.party, variables=told["variables"])

    def _learnt(self, _at_ms: int, told: Mapping[str, Any]) -> None:
        """What a tool's answer says of the caller; the latest answer is right."""
        self.party = replace(self.party, variables={**self.party.variables, **told["variables"]})

    def _changed_agent(self, at_ms: int, told: Mapping[str, Any]) -> None:
        self.agents = (*self.agents, (told["agent"], at_ms))
        self.session = {}

    def _changed_session(self, _at_ms: int, told: Mapping[str, Any]) -> None:
        self.session = told["lasting"]

    @property
    def agent(self) -> str:
        """Who has the conversation, or had it last."""
        return self.agents[-1][0] if self.agents else self.party.agent

    @property
    def queued(self) -> bool:
        """It was ordered, and nobody has picked up."""
        return self.order is not None and not self.picked_up and self.ending is None

    def _rang(self, at_ms: int, told: Mapping[str, Any]) -> None:
        self.rung.setdefault(told["run"], at_ms)

    def _attempted(self, _at_ms: int, told: Mapping[str, Any]) -> None:
        self.attempts.setdefault(told["run"], told)
        self.party = replace(self.party, call_sid=told["call_sid"])

    def _keys_sent(self, _at_ms: int, told: Mapping[str, Any]) -> None:
        if told["via"] == "play":
            self.pressed_away = told["digits"]

    def _stream_started(self, at_ms: int, told: Mapping[str, Any]) -> None:
        self.pressed_away = None
        self.stream_sids.append(told["stream_sid"])
        self.streams[told["stream"]] = (at_ms, None)
        if self.answered_at_ms is None:
            self.answered_at_ms = at_ms

    def _stream_stopped(self, at_ms: int, told: Mapping[str, Any]) -> None:
        began_at_ms, stopped_at_ms = self.streams.get(told["stream"], (at_ms, None))
        if stopped_at_ms is None and told["stream"] in self.streams:
            self.streams[told["stream"]] = (began_at_ms, at_ms)

    def _stream_awaited(self, _at_ms: int, told: Mapping[str, Any]) -> None:
        self.last_stream = told["stream"]

    def _returned(self, _at_ms: int, _told: Mapping[str, Any]) -> None:
        self.resumes += 1

    def _first_audio(self, at_ms: int, _told: Mapping[str, Any]) -> None:
        if self.first_audio_at_ms is None:
            self.first_audio_at_ms = at_ms

    def _model_connected(self, at_ms: int, told: Mapping[str, Any]) -> None:
        self.sessions.append(told["session_id"])
        if self.model_ready_at_ms is None:
            self.model_ready_at_ms = at_ms

    def _model_lost(self, _at_ms: int, told: Mapping[str, Any]) -> None:
        self.model_losses += 1
        self._warn(f"model_lost:{told['reason']}")

    def _used(self, _at_ms: int, told: Mapping[str, Any]) -> None:
        self.usage.update({name: count for name, count in told.items() if name != "bill"})
        if bill := told.get("bill"):
            self.bill[bill["prices"]] += bill["microusd"]

    def _warn(self, what: str, count: int = 1) -> None:
        """Part of ``what`` is the server's to make up."""
        full = len(self.warnings) >= MOST_WARNINGS
        self.warnings["other" if full and what not in self.warnings else what] += count

    def _put(self, _at_ms: int, told: Mapping[str, Any]) -> None:
        self.custom_data = merged(self.custom_data, told)

    def _picked_up(self, _at_ms: int, told: Mapping[str, Any]) -> None:
        self.answered_by = told.get("answered_by") or self.answered_by
        self.picked_up = True
        sids = {name: told[name] for name in ("call_sid", "account_sid") if name in told}
        self.party = replace(self.party, **sids)

    def _analyzed(self, _at_ms: int, told: Mapping[str, Any]) -> None:
        self.analysis = told.get("analysis")

    def _texted(self, kind: str, _at_ms: int, told: Mapping[str, Any]) -> None:
        self.texts = sms.told(self.texts, kind, told)

    def _not_recorded(self, at_ms: int, told: Mapping[str, Any]) -> None:
        self.recorded.learn(NOT_RECORDED, at_ms, told)
        self._warn(f"recording_{told['wish']}:{told['reason']}")

    def _written(self, kind: str, _at_ms: int, told: Mapping[str, Any]) -> None:
        self.written = written(self.written, kind, told)

    def _noted(self, kind: str, at_ms: int, told: Mapping[str, Any]) -> None:
        self.form = noted(self.form, kind, at_ms, told)

    def _reminded(self, _at_ms: int, told: Mapping[str, Any]) -> None:
        self.promised.reminders[told["id"]] = dict(told)

    def _callback_promised(self, _at_ms: int, told: Mapping[str, Any]) -> None:
        self.promised.callback = told["callback_id"]

    def _said(self, _at_ms: int, told: Mapping[str, Any]) -> None:
        place = (told["stream"], told["entry"])
        passage = self.passages.get(place)
        if passage is None:
            passage = Passage(Voice(told["voice"]), told["key"], told["began_at_ms"])
            self.passages[place] = passage
        passage.text = told["text"]
        passage.name, passage.arguments = told.get("name", ""), told.get("arguments", "")
        if told.get("cut"):
            passage.cut, passage.whole = True, False
            passage.heard_ms, passage.sent_ms = told["heard_ms"], told["sent_ms"]

    def _heard(self, _at_ms: int, told: Mapping[str, Any]) -> None:
        passage = self.passages.get((told["stream"], told["entry"]))
        if passage is not None and not passage.cut:
            passage.heard_ms, passage.sent_ms = told["heard_ms"], told["sent_ms"]
            passage.whole = told["whole"]

    def _unsaid(self, _at_ms: int, told: Mapping[str, Any]) -> None:
        kept = {place: x for place, x in self.passages.items() if place[0] != told["stream"]}
        self.passages = kept

    def _answered(self, _at_ms: int, told: Mapping[str, Any]) -> None:
        self.turns[told["stopped_at_ms"]] = Latency(**told)

    def _interrupted(self, _at_ms: int, told: Mapping[str, Any]) -> None:
        self.barge_ins += 1
        if told["reaction_us"] is not None:
            self.reaction_us.append(told["reaction_us"])

    def _tool_failed(self, _at_ms: int, told: Mapping[str, Any]) -> None:
        self.tool_ms.append(told["ms"])
        self.tools_failed += 1

    def _approved(self, _at_ms: int, told: Mapping[str, Any]) -> None:
        if told["state"] == "timed_out":
            self._warn("approval_timed_out")

    def _held(self, _at_ms: int, _told: Mapping[str, Any]) -> None:
        self.holds.append(None)

    def _released(self, _at_ms: int, told: Mapping[str, Any]) -> None:
        if self.holds:
            self.holds[-1] = told["ms"]

    def _transferring(self, at_ms: int, told: Mapping[str, Any]) -> None:
        mode, about = told.get("mode", "cold"), told.get("summary", "")
        self.transfers.append(Transferred(told["target"], at_ms, mode=mode, summary=about))

    def _transfer_dialling(self, _at_ms: int, told: Mapping[str, Any]) -> None:
        if self.transfers:
            self.transfers[-1].token_digest = told["token_digest"]
            self.transfers[-1].room = told.get("room", "")
            self.transfers[-1].to = told.get("to", "")

    def _transfer_answered(self, _at_ms: int, told: Mapping[str, Any]) -> None:
        """REST's word on the latest transfer; a dial result may have come before it."""
        if self.transfers and self.transfers[-1].outcome in {"requested", "accepted"}:
            self.transfers[-1].outcome = told["outcome"]

    def _person_rung(self, _at_ms: int, told: Mapping[str, Any]) -> None:
        """The call to the person was placed; they may have been faster than this news."""
        if self.transfers:
            self.transfers[-1].leg_sid = told["leg_sid"]
            if self.transfers[-1].outcome == "requested":
                self.transfers[-1].outcome = "ringing"

    def _transfer_came_to(self, outcome: str) -> None:
        """How far the latest transfer has come; once it has ended nothing changes that."""
        if self.transfers and self.transfers[-1].open:
            self.transfers[-1].outcome = outcome

    def _transfer_ended(self, _at_ms: int, told: Mapping[str, Any]) -> None:
        """What became of the latest transfer."""
        if self.transfers:
            self.transfers[-1].outcome = told["outcome"]
            self.transfers[-1].talk_s = told["talk_s"]

    def _ordered(self, command_id: str, state: str, reason: str = "") -> None:
        self.commands[command_id] = (state, reason)
        while len(self.commands) > MOST_COMMANDS:
            self.commands.pop(next(iter(self.commands)))

    def _figures(self, _at_ms: int, told: Mapping[str, Any]) -> None:
        self.played_ms += told["played_ms"]
        self.padded_ms += told["silence_appended_ms"]
        self.ignored.update(told["ignored"])

    def _ended(self, at_ms: int, told: Mapping[str, Any]) -> None:
        """A record closes exactly once."""
        if self.ending is None:
            self.ending, self.ended_at_ms = told["reason"], at_ms
            self.recorded.ended(at_ms)

    def _corrected(self, at_ms: int, told: Mapping[str, Any]) -> None:
        """The call that seemed over was not, and ended like this. For the reason it had, it is
        what came behind its end that became known."""
        if told["reason"] != self.ending:
            self.ending, self.ended_at_ms = told["reason"], at_ms

    @property
    def too_late_to_transfer(self) -> bool:
        """The caller had left when Twilio was asked for the latest transfer."""
        return bool(self.transfers) and self.transfers[-1].outcome == "refused:call_over"

    @property
    def transfer_unclear(self) -> bool:
        """Nobody knows whether Twilio took the latest redirect."""
        return bool(self.transfers) and self.transfers[-1].outcome.startswith("unclear:")

    def dialogue(self) -> list[dict[str, object]]:
        """The turns: what the caller said and what they heard after it."""
        turns: list[dict[str, object]] = []
        responses: list[dict[str, object]] = []
        for (stream, _), passage in self.passages.items():
            if passage.by_caller or passage.forced or not turns:
                responses = []
                turns.append(_turn(len(turns), passage, responses))
            if not passage.by_caller:
                over = stream < self.last_stream or self.ending is not None
                responses.append(_response(passage, over=over))
        return turns


def merged(custom_data: Mapping[str, Any], patch: Mapping[str, Any]) -> dict[str, Any]:
    """``custom_data`` with the keys of ``patch`` in the place of its own; null and the empty text
    delete a key. What is in a key is replaced whole."""
    gone = {key for key, value in patch.items() if value is None or value == ""}
    return {key: value for key, value in {**custom_data, **patch}.items() if key not in gone}


def _response(passage: Passage, *, over: bool) -> dict[str, object]:
    """``over``: its stream is; what was under way then, and nobody lived to cut, is cut."""
    if passage.voice is Voice.TOOL:
        return {"type": "tool", "name": passage.name, "at_ms": passage.at_ms}
    if passage.voice is Voice.NOTE:
        return {"type": "note", "text": passage.text, "at_ms": passage.at_ms}
    return {
        "type": "speech",
        "text": passage.heard_text,
        "audio_ms": passage.sent_ms or 0,
        "heard_ms": passage.heard_ms or 0,
        "interrupted": passage.cut or (over and passage.under_way),
        "at_ms": passage.at_ms,
    }


def _turn(index: int, passage: Passage, responses: list[dict[str, object]]) -> dict[str, object]:
    said = passage.voice is Voice.CALLER
    if passage.keyed is not None:
        return {
            "index": index,
            "type": "dtmf",
            "text": None,
            **passage.keyed,
            "at_ms": passage.at_ms,
            "responses": responses,
        }
    return {
        "index": index,
        "type": _began_by(passage),
        "text": passage.text if said else None,
        "at_ms": passage.at_ms,
        "responses": responses,
    }


def _began_by(passage: Passage) -> str:
    if passage.voice is Voice.CALLER:
        return SMS if passage.name == SMS else "speech"
    return passage.name if passage.forced else "start"


def percentiles(values: Sequence[int]) -> dict[str, int | None]:
    """Count, median, 95th percentile and maximum; None where there is nothing."""
    ordered = sorted(values)
    if not ordered:
        return {"count": 0, "p50": None, "p95": None, "max": None}
    return {
        "count": len(ordered),
        "p50": ordered[(len(ordered) - 1) // 2],
        "p95": ordered[min(len(ordered) - 1, round(0.95 * (len(ordered) - 1)))],
        "max": ordered[-1],
    }
