"""What Twilio's webhooks say of text messages: their forms, read into values.

As in ``twilio_webhooks`` unknown parameters are ignored, and only what nobody can do without
makes a form malformed.

https://www.twilio.com/docs/messaging/guides/webhook-request
"""

import re
from dataclasses import dataclass

from app.protocol.twilio_signature import FormPairs
from app.protocol.twilio_webhooks import MalformedForm

_SID = re.compile(r"(SM|MM)[0-9a-fA-F]{32}")
_CODE = re.compile(r"[0-9]{1,6}")
STOP_WORDS = frozenset({"stop", "stopall", "unsubscribe", "end", "quit", "cancel", "revoke"})
STOP_WORDS |= {"optout", "arret", "arrêt"}
START_WORDS = frozenset({"start", "unstop", "yes"})
HELP_WORDS = frozenset({"help", "info"})
"""Twilio acts on these by itself, and answers them (its help centre: "Twilio support for opt-out
keywords"); a message is one of them where nothing else is in it."""
MOST_CHARS = 1_600


@dataclass(frozen=True, slots=True)
class IncomingMessage:
    """Somebody sent a text message to a number of ours."""

    message_sid: str
    from_: str
    to: str
    body: str
    media: int = 0
    """How many pictures and the like came with it."""
    opt_out: str = ""
    """STOP, START or HELP; empty: it is meant for somebody to read."""


@dataclass(frozen=True, slots=True)
class MessageStatus:
    """How far a message of ours has come; may come late, twice and out of order."""

    message_sid: str
    status: str
    error_code: int | None = None

    @property
    def failed(self) -> bool:
        """It will not arrive."""
        return self.status in {"failed", "undelivered"}

    @property
    def delivered(self) -> bool:
        """It has arrived."""
        return self.status in {"delivered", "read"}


def parse_incoming_message(form: FormPairs) -> IncomingMessage:
    """Read an incoming message. Raises MalformedForm."""
    fields = dict(form)
    body = fields.get("Body", "")[:MOST_CHARS]
    count = fields.get("NumMedia", "0")
    return IncomingMessage(
        message_sid=_sid(fields),
        from_=fields.get("From", ""),
        to=fields.get("To", ""),
        body=body,
        media=int(count) if _CODE.fullmatch(count) else 0,
        opt_out=fields.get("OptOutType", "").upper() or _word(body),
    )


def _word(body: str) -> str:
    word = body.strip().strip(".!\"'").casefold()
    known = (("STOP", STOP_WORDS), ("START", START_WORDS), ("HELP", HELP_WORDS))
    return next((name for name, words in known if word in words), "")


def parse_message_status(form: FormPairs) -> MessageStatus:
    """Read a message's status callback. Raises MalformedForm."""
    fields = dict(form)
    status, code = fields.get("MessageStatus", ""), fields.get("ErrorCode", "")
    if not status:
        raise MalformedForm("MessageStatus")
    return MessageStatus(_sid(fields), status, int(code) if _CODE.fullmatch(code) else None)


def _sid(fields: dict[str, str]) -> str:
    sid = fields.get("MessageSid", "")
    if not _SID.fullmatch(sid):
        raise MalformedForm("MessageSid")
    return sid
