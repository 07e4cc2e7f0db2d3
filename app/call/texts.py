"""Text messages during a call: what the agent is told of them, and when it speaks of it.

A message of the caller's is a turn of theirs, one of ours that did not arrive is a turn of its
own. Rule: neither interrupts anybody. The model is told at once, and asked to speak when nobody
does; while keys are collected or music plays it is told, and says something when that is over.
"""

from app.call.model_link import Link
from app.call.parts import Parts
from app.call.transcript import SMS, SMS_FAILED
from app.protocol import commands as c
from app.protocol import events as e

MARK = "[SMS] "
MOST_CHARS = 1_600
FAILED = (
    "The text message to {to} has not arrived. {why} Tell the caller so in one short sentence, and"
    " offer another way."
)


class Texts:
    """What becomes of text messages."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts

    def received(self, event: e.TextReceived, now_ms: int) -> list[c.Command]:
        """The caller sent one."""
        turn = ("" if event.as_caller else MARK) + event.text[:MOST_CHARS]
        self._parts.transcript.caller_wrote(turn, now_ms, name=SMS)
        return self._told("user", turn, SMS, now_ms)

    def failed(self, event: e.TextFailed, now_ms: int) -> list[c.Command]:
        """One of ours has not arrived."""
        to = "the caller" if event.to == "caller" else event.to
        note = FAILED.format(to=to, why=event.why)
        self._parts.transcript.note(note, now_ms, name=SMS_FAILED)
        return self._told("system", note, SMS_FAILED, now_ms)

    def _told(self, role: str, text: str, purpose: str, now_ms: int) -> list[c.Command]:
        parts = self._parts
        there = parts.live or parts.redirecting
        if not there or parts.link.state is not Link.READY:
            return []  # A line that is to come is told what is in the transcript.
        out: list[c.Command] = [c.AddMessage(role, text)]
        if parts.leaving_soon or parts.hold.silences or parts.keypad.collecting:
            return out
        return out + parts.responses.ask(c.CreateResponse(purpose), now_ms)
