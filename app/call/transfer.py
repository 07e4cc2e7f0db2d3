"""Putting the caller through: announced and heard first, then by REST, never by closing.

The stream ends because Twilio ends it after the redirect. Closing our socket instead would
let Twilio run the verb behind ``</Connect>``. While a transfer is under way the caller does
not interrupt the announcement; if REST refuses, the model is told and the call goes on.

An answer that got lost tells nothing: a stream that then ends was redirected, and one that
goes on was not.

    NONE ──transfer_call, order──▶ SAYING ──heard──▶ REDIRECTING ──accepted──▶ GONE (Twilio's stop)
     ▲                               │                 ▲  ├──refused──▶ NONE
     │                             heard               │  └──unclear──▶ UNCLEAR ──no stop──▶ NONE
     └─────────not reached───────── ASKING ──accepted──┘   (``app.call.warm``)
"""

from enum import Enum, auto

import orjson

from app.call.alarms import Alarms
from app.call.announcement import Announcement, Spoken
from app.call.openness import Openness, in_words
from app.call.plan import CallPlan
from app.call.prompts import verbatim
from app.call.responses import Finished
from app.call.warm import SideCall, shortened
from app.protocol.commands import Command, CreateResponse, Join, Transfer
from app.protocol.events import ToolCalled, TransferOrdered

TRANSFER_CALL = "transfer_call"
ANNOUNCE = CreateResponse(
    "announce",
    "Tell the caller in one short sentence, in their language, that you are putting them "
    "through now.",
    tools=False,
)


class Putting(Enum):
    """How far the transfer has come."""

    NONE = auto()
    SAYING = auto()
    ASKING = auto()
    REDIRECTING = auto()
    UNCLEAR = auto()
    GONE = auto()


class TransferDesk:
    """One transfer at a time, to targets the operator named."""

    def __init__(self, alarms: Alarms, plan: CallPlan, side: SideCall) -> None:
        self._side = side
        self.agent_is(plan)
        self._summary = ""
        """What a person who is asked first is told."""
        self._announcement = Announcement(alarms, ANNOUNCE)
        self.tool_call_id = ""
        """Empty where nobody called a tool: the operator wants it."""
        self.target = ""
        self.doubt = ""
        """Why it is unclear whether Twilio took the redirect."""
        self.state = Putting.NONE

    def agent_is(self, plan: CallPlan) -> None:
        """Whom the caller can be put through to from now on."""
        self._targets = plan.targets
        self._offered = plan.targets if plan.offered is None else plan.offered
        self._modes = plan.modes
        self._openness = Openness(plan.impossible, plan.closed)
        self._side.plans = plan.warm

    @property
    def under_way(self) -> bool:
        """From the tool call until REST refuses: the caller does not interrupt."""
        return self.state is not Putting.NONE

    @property
    def asking(self) -> bool:
        """A person is asked; the caller hears music and is still on the stream."""
        return self.state is Putting.ASKING

    def begin(self, call: ToolCalled, now_ms: int) -> str | None:
        """The model names a target. The refusal it is told, None when the transfer begins.

        A number, an unknown name, a second wish, and a target that cannot be had now are refused.
        """
        target, summary = self._wished(call.arguments)
        if self.under_way:
            return _refusal("a transfer is already under way")
        if target is None or target not in self._offered:
            known = ", ".join(self._offered) or "none"
            return _refusal(f"unknown target; known targets: {known}")
        if (why := self._openness.refusal(target, now_ms)) is not None:
            return _refusal(why)
        self.target, self._summary = target, summary
        self.state = Putting.SAYING
        self.tool_call_id = call.tool_call_id
        self._announcement.begin(call.response_id, now_ms)
        return None

    def order(self, order: TransferOrdered, now_ms: int) -> CreateResponse | None:
        """The operator names a target: what the model is asked to say before the caller is put
        through. None where there is no such target; nobody may be under way."""
        known = self._known(order.target)
        if known is None:
            return None
        self.target, self._summary = known, shortened(order.summary)
        self.state = Putting.SAYING
        self.tool_call_id = ""
        return self._announcement.ask(_announced(order.announcement), now_ms)

    def closed(self, target: str, now_ms: int) -> str | None:
        """Why a target, by the operator's spelling or another, cannot be had now."""
        known = self._known(target)
        return None if known is None else self._openness.refusal(known, now_ms)

    def _wished(self, arguments: str) -> tuple[str | None, str]:
        """The target that the model names, if there is one, and what the person is to know."""
        try:
            given = orjson.loads(arguments)
            wished, summary = given.get("target"), given.get("summary") or given.get("reason")
        except (orjson.JSONDecodeError, AttributeError):
            return None, ""
        return self._known(wished) if isinstance(wished, str) else None, shortened(summary)

    def _known(self, wished: str) -> str | None:
        """The operator's spelling of the target named; speech models are careless with case."""
        found = {name.casefold(): name for name in self._targets}
        return found.get(wished.strip().casefold())

    def finished(self, response: Finished) -> CreateResponse | None:
        """A response ended: the announcement, if it has yet to be said."""
        return self._announcement.finished(response)

    def heard(self) -> list[Command]:
        """Everything that was sent has been heard."""
        if self.state is Putting.SAYING and self._announcement.state is Spoken.SAID:
            return self._redirect()
        return []

    def overdue(self) -> list[Command]:
        """The announcement took too long to be heard."""
        return self._redirect() if self.state is Putting.SAYING else []

    def forget(self) -> None:
        """Who wished for it is gone, and the caller never came to hear of it."""
        self.state = Putting.NONE
        self._announcement.end()

    def _redirect(self) -> list[Command]:
        self._announcement.end()
        return self.instead(self.target)

    def instead(self, target: str) -> list[Command]:
        """The caller, who has heard that they are put through, goes to ``target``."""
        self.target = target
        if self._side.asks(target):
            self.state = Putting.ASKING
            return [self._side.place(target, self._summary)]
        self.state = Putting.REDIRECTING
        return [Transfer(target, self._modes.get(target, "cold"), self._summary)]

    def join(self) -> Command:
        """The person who was asked waits for the caller."""
        self.state = Putting.REDIRECTING
        return Join(self.target, self._side.join())

    def stays(self) -> None:
        """The person who was asked was not reached, and the caller never left."""
        self.state = Putting.NONE

    def accepted(self) -> bool:
        """Twilio will end the stream. False if nobody asked it to."""
        if self.state is not Putting.REDIRECTING:
            return False
        self.state = Putting.GONE
        return True

    def unclear(self, reason: str) -> bool:
        """Twilio may end the stream, or may not. False if nobody asked it to."""
        if self.state is not Putting.REDIRECTING:
            return False
        self.state, self.doubt = Putting.UNCLEAR, reason
        return True

    def refused(self, reason: str) -> str | None:
        """The caller is still here; what the model is told. None if nobody was redirected."""
        if self.state not in {Putting.REDIRECTING, Putting.UNCLEAR}:
            return None
        self.state = Putting.NONE
        return _refusal(reason)


def _announced(words: str) -> CreateResponse | None:
    return CreateResponse(ANNOUNCE.purpose, verbatim(words), tools=False) if words else None


def _refusal(reason: str) -> str:
    why = in_words(reason)
    told = {"ok": False, "reason": reason} | ({"why": why} if why else {})
    return orjson.dumps(told).decode()
