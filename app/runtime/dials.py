"""Dials: where Twilio tells how a transfer ended, one unguessable URL for each transfer.

A result counts once and for its own transfer. Twilio repeats: the same result gets the same
answer again, also when the call is over, because the answer that it uses may be the second.
"""

import asyncio
import secrets
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

from app.call.reception import Refusal
from app.call.ways import Way
from app.runtime.invitations import digest_of
from app.runtime.live_call import LiveCall
from app.runtime.scripts import Dial

TOKEN_BYTES = 32
AT_CARRIER_S = 24 * 3600
"""Twilio lets two people talk for four hours; after a day the result was lost."""
MOST_ANSWERED = 1_000
"""Answers that are remembered, for results that come again; the oldest are let go of."""

MOST_LATE = 100
"""Calls that ended in doubt about their redirect; a result comes when the talk is over."""


@dataclass(frozen=True, slots=True)
class _Answered:
    call_sid: str
    twiml: str


def put_through(refused: Refusal) -> Dial | None:
    """Of a caller whom the agent does not answer, and who comes to somebody else; None where they
    do not. Nobody holds such a call: its record alone knows the digest."""
    if refused.instead is None or refused.instead.target is None:
        return None
    token = secrets.token_urlsafe(TOKEN_BYTES)
    return Dial(refused.instead.target, token, digest_of(token))


class Dials:
    """The transfers under way, by token, and what the ended ones were answered with."""

    def __init__(self) -> None:
        self._open: dict[str, LiveCall] = {}
        self._answered: OrderedDict[str, _Answered] = OrderedDict()
        self._late: OrderedDict[str, LiveCall] = OrderedDict()

    def __len__(self) -> int:
        return len(self._open)

    def draw(self, call: LiveCall, target: str, room: str = "", way: Way | None = None) -> Dial:
        """The call is being put through to ``target``; a transfer before that one is over.

        ``room``: where the person waits, if they do. ``way``: where the target is for this call.
        """
        self.forget(call)
        token = secrets.token_urlsafe(TOKEN_BYTES)
        call.dial = Dial(target, token, digest_of(token), room, way)
        self._open[call.dial.digest] = call
        told = {"target": target, "token_digest": call.dial.digest, "room": room}
        if target in call.led:
            told["to"] = call.led[target].to
        call.tell(call.now_ms(), "transfer.dialling", told)
        return call.dial

    def restore(self, call: LiveCall, target: str, digest: str, room: str = "") -> None:
        """A transfer that another process began; its token is known by the digest alone."""
        call.dial = Dial(target, "", digest, room)
        self._open[digest] = call

    def await_result(self, call: LiveCall, give_up: Callable[[LiveCall, str], None]) -> None:
        """The caller is with the carrier; with a reason to ``give_up`` if no result ever comes."""
        loop = asyncio.get_running_loop()
        call.forgetting = loop.call_later(AT_CARRIER_S, give_up, call, "carrier_failed")

    def forget(self, call: LiveCall) -> None:
        """The call is not being put through any more; a result means nothing to it."""
        if call.dial is not None:
            self._open.pop(call.dial.digest, None)
            call.dial = None
        if call.forgetting is not None:
            call.forgetting.cancel()
            call.forgetting = None

    def call(self, token: str, call_sid: str) -> LiveCall | None:
        """The call whose transfer has this token; None where it is over or was never drawn."""
        call = self._open.get(digest_of(token))
        return call if call is not None and call.facts.call_sid == call_sid else None

    def outlive(self, call: LiveCall) -> None:
        """The call is over for us, and Twilio may yet put the caller through."""
        if call.dial is None:
            return
        self._late[call.dial.token] = call
        while len(self._late) > MOST_LATE:
            self._late.popitem(last=False)

    def late(self, token: str, call_sid: str) -> LiveCall | None:
        """The ended call whose redirect this result proves, once; None where there is none."""
        call = self._late.get(token)
        return self._late.pop(token) if call and call.facts.call_sid == call_sid else None

    def answered(self, token: str, call_sid: str, twiml: str) -> str:
        """Remember what a result was answered with, and answer it."""
        self._answered[token] = _Answered(call_sid, twiml)
        while len(self._answered) > MOST_ANSWERED:
            self._answered.popitem(last=False)
        return twiml

    def answer(self, token: str, call_sid: str) -> str | None:
        """What this result was answered with before; None where it never was."""
        known = self._answered.get(token)
        return known.twiml if known is not None and known.call_sid == call_sid else None
