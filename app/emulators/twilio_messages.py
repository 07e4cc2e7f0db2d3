"""Text messages between the account's numbers and everybody's telephones.

What becomes of a message that was taken down is told to its StatusCallback, step by step; what
somebody writes to a number of the account is brought to its messaging webhook. Rule: a message has
one end, and STOP is kept here, as with Twilio, before the server hears of it.
"""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from app.emulators.twilio_tasks import OwnedTasks
from app.emulators.twilio_webhooks import Webhooks
from app.emulators.twilio_words import WebhookRequest, new_sid

STOP_WORDS = frozenset({"stop", "stopall", "unsubscribe", "cancel", "end", "quit"})
START_WORDS = frozenset({"start", "yes", "unstop"})
MESSAGE_PATH = "/incoming-message"


@dataclass(frozen=True, slots=True)
class Arrival:
    """How a message ends."""

    status: str = "delivered"
    """delivered, undelivered (after ``sent``) or failed (at once)."""
    error_code: int | None = None
    """30003 unreachable, 30005 unknown, 30006 landline, 30007 filtered."""
    after_ms: int = 5
    """Between two steps."""


Arrivals = Callable[[str], Arrival | None] | Mapping[str, Arrival | None]
"""By the number it goes to; a number that is not in it gets its messages, None: no more is heard
of them."""


class Post:
    """Carries messages both ways. The emulator owns it, and ``tasks``."""

    def __init__(
        self, account_sid: str, webhooks: Webhooks, tasks: OwnedTasks, opted_out: set[str]
    ) -> None:
        self._account_sid = account_sid
        self._webhooks = webhooks
        self._tasks = tasks
        self._opted_out = opted_out
        self.arrivals: Arrivals = {}
        self.told: list[WebhookRequest] = []
        """What the server was told of messages, the newest ones."""

    def carry(self, message: dict[str, Any], callback: str) -> None:
        """See a message of the account's to its end, beside everything else."""
        arrival = self._arrival(message["to"])
        if arrival is not None:
            self._tasks.start(self._carried(message, callback, arrival), name="text message")

    async def bring(self, from_: str, to: str, body: str) -> str:
        """Somebody writes to a number of the account: the message's SID, once the server has it."""
        word = body.strip().casefold()
        if word in STOP_WORDS:
            self._opted_out.add(from_)
        elif word in START_WORDS:
            self._opted_out.discard(from_)
        sid = new_sid("SM")
        form = {
            "MessageSid": sid,
            "SmsMessageSid": sid,
            "AccountSid": self._account_sid,
            "From": from_,
            "To": to,
            "Body": body,
            "NumMedia": "0",
            "NumSegments": "1",
        }
        await self._webhooks.send(self._webhooks.origin.absolute(MESSAGE_PATH), form, self.told)
        return sid

    def _arrival(self, number: str) -> Arrival | None:
        if isinstance(self.arrivals, Mapping):
            return self.arrivals.get(number, Arrival())
        return self.arrivals(number)

    async def _carried(self, message: dict[str, Any], callback: str, arrival: Arrival) -> None:
        before = () if arrival.status == "failed" else ("sent",)
        for status in ("queued", *before, arrival.status):
            if status != "queued":
                await asyncio.sleep(arrival.after_ms / 1000)
            message["status"] = status
            last = status == arrival.status
            message["error_code"] = arrival.error_code if last else None
            if callback:
                await self._webhooks.send(callback, _news(message), self.told)


def _news(message: Mapping[str, Any]) -> dict[str, str]:
    form = {
        "MessageSid": message["sid"],
        "SmsSid": message["sid"],
        "AccountSid": message["account_sid"],
        "From": message["from"] or "",
        "To": message["to"],
        "MessageStatus": message["status"],
        "SmsStatus": message["status"],
    }
    code = message["error_code"]
    return form if code is None else {**form, "ErrorCode": str(code)}
