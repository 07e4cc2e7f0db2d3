"""Putting the caller through: announced and heard first, then by REST, never by closing.

The stream ends because Twilio ends it after the redirect. Closing our socket instead would
let Twilio run the verb behind ``</Connect>``. While a transfer is under way the caller does
not interrupt the announcement; if REST refuses, the model is told and the call goes on.

An answer that got lost tells nothing: a stream that then ends was redirected, and one that
goes on was not.

    NONE ──transfer_call, order──▶ SAYING ──heard──▶ REDIRECTING ──accepted──▶ GONE (Twilio's stop)
                                                          ├──refused──▶ NONE
                                                          └──unclear──▶ UNCLEAR ──no stop──▶ NONE
"""

from enum import Enum, auto

import orjson

from app.call.alarms import Alarms
from app.call.announcement import Announcement, Spoken
from app.call.prompts import verbatim
from app.call.responses import Finished
from app.protocol.commands import Command, CreateResponse, Transfer
from app.protocol.events import ToolCalled

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
    REDIRECTING = auto()
    UNCLEAR = auto()
    GONE = auto()


class TransferDesk:
    """One transfer at a time, to targets the operator named."""

    def __init__(self, alarms: Alarms, targets: tuple[str, ...]) -> None:
        self._targets = targets
        self._announcement = Announcement(alarms, ANNOUNCE)
        self.tool_call_id = ""
        """Empty where nobody called a tool: the operator wants it."""
        self.target = ""
        self.doubt = ""
        """Why it is unclear whether Twilio took the redirect."""
        self.state = Putting.NONE

    @property
    def under_way(self) -> bool:
        """From the tool call until REST refuses: the caller does not interrupt."""
        return self.state is not Putting.NONE

    def begin(self, call: ToolCalled, now_ms: int) -> str | None:
        """The model names a target. The refusal it is told, None when the transfer begins.

        A number, an unknown name and a second wish are refused.
        """
        target = self._named(call.arguments)
        if self.under_way:
            return _refusal("a transfer is already under way")
        if target is None:
            known = ", ".join(self._targets) or "none"
            return _refusal(f"unknown target; known targets: {known}")
        self.target = target
        self.state = Putting.SAYING
        self.tool_call_id = call.tool_call_id
        self._announcement.begin(call.response_id, now_ms)
        return None

    def order(self, target: str, announcement: str, now_ms: int) -> CreateResponse | None:
        """The operator names a target: what the model is asked to say before the caller is put
        through. None where there is no such target; nobody may be under way."""
        known = self._known(target)
        if known is None:
            return None
        self.target = known
        self.state = Putting.SAYING
        self.tool_call_id = ""
        return self._announcement.ask(_announced(announcement), now_ms)

    def _named(self, arguments: str) -> str | None:
        try:
            wished = orjson.loads(arguments).get("target")
        except (orjson.JSONDecodeError, AttributeError):
            return None
        return self._known(wished) if isinstance(wished, str) else None

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
        self.state = Putting.REDIRECTING
        self._announcement.end()
        return [Transfer(self.target)]

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
    return orjson.dumps({"ok": False, "reason": reason}).decode()
