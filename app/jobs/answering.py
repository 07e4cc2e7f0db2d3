"""Answering what a caller writes when the call is over: composed once, sent once, told once.

The text waits in the record of its call until a process takes it up, also when every process of
today has died. Rule: the answer is kept before it is sent, and goes to nobody but who wrote; who
sent STOP, wrote too often, or has been answered meanwhile gets none.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Protocol

from app.call import written
from app.call.analysis import NoAnswer
from app.call.correspondence import MOST_ANSWERED
from app.call.sms import FAILED, SENT
from app.jobs.texting import Texter
from app.services.store.afterwards import Afterwards
from app.services.store.calls import CallRow, StoredFact

Tell = Callable[[CallRow, StoredFact, str, Mapping[str, Any]], Awaitable[None]]
"""Enqueue a fact for everybody who asked for its kind."""
_NOTHING: Mapping[str, Any] = {}


class Writes(Protocol):
    """Whoever finds the words."""

    async def reply(self, record: Mapping[str, Any], *, room: int = 1) -> str | None:
        """The answer to what was written last; None where none is needed. Raises ``NoAnswer``."""


class Answering:
    """The steps of it. Belongs to the loop of whoever uses it first."""

    def __init__(
        self,
        store: Afterwards,
        penman: Writes | str,
        texter: Texter | None,
        tell: Tell,
    ) -> None:
        """``penman``: or why there is none."""
        self._store = store
        self._penman = penman
        self._texter = texter
        self._tell = tell

    async def compose(self, call_id: str, text_id: str, room: int) -> dict[str, Any]:
        """Find an answer and keep it: ``state``, or ``again`` with the reason.

        What was kept is not asked again, and nothing that was written is in what is returned.
        """
        row = await self._store.call(call_id)
        if row is None or row.record is None:
            return {"state": "forgotten"}
        texts = _texts(row)
        if _one(texts, written.AGENT, text_id):
            return {"state": "answered"}
        if not written.unanswered(texts, text_id):
            return {"state": "superseded"}
        if written.count(texts, written.AGENT) >= MOST_ANSWERED:
            return {"state": "too_many"}
        if isinstance(self._penman, str):
            return {"state": "skipped", "reason": self._penman}
        via = str(_one(texts, written.CALLER, text_id)["via"])
        if via == "sms" and (reason := await self._refusal(row)) is not None:
            return {"state": "refused", "reason": reason}
        try:
            reply = await self._penman.reply(row.record, room=room)
        except NoAnswer as fault:
            return {"again": fault.reason}
        if reply is None:
            return {"state": "no_reply"}
        answer = {"id": text_id, "via": via, "text": reply, "at": _now()}
        await self._store.add_once(call_id, written.ANSWERED, answer, by="id")
        return {"state": "answered"}

    async def _refusal(self, row: CallRow) -> str | None:
        return "no_carrier" if self._texter is None else await self._texter.refusal(row)

    async def intend(self, call_id: str, text_id: str) -> dict[str, Any]:
        """Who is about to send it; empty where nothing is to be sent."""
        row, answer = await self._answer(call_id, text_id)
        if self._texter is None or row is None or answer.get("via") != "sms":
            return {}
        return await self._texter.intend(row)

    async def send(self, call_id: str, text_id: str, by: str) -> dict[str, Any]:
        """Send it, once."""
        row, answer = await self._answer(call_id, text_id)
        if self._texter is None or row is None or not answer:
            return {"status": "not_sent", "reason": "forgotten"}
        return await self._texter.answer(row, str(answer["text"]), by, key=text_id)

    async def keep(self, call_id: str, text_id: str, sent: Mapping[str, Any]) -> bool:
        """Put on record what became of the message; False where it was already."""
        kind = SENT if sent["status"] == "sent" else FAILED
        fact = {"message_sid": None, "to": "caller", **sent, "at": _now(), "of": text_id}
        return await self._store.add_once(call_id, kind, fact, by="of")

    async def tell(self, call_id: str, text_id: str) -> bool:
        """The webhooks of what was written and sent; False: there is no such call any more."""
        row = await self._store.call(call_id)
        if row is None:
            return False
        for kind, name in ((written.RECEIVED, "id"), (written.ANSWERED, "id"), (SENT, "of")):
            for fact in await self._store.all_of(call_id, kind):
                if fact.data.get(name) == text_id:
                    await self._tell(row, fact, f"{kind}:{fact.seq}", fact.data)
                    break
        return True

    async def _answer(self, call_id: str, text_id: str) -> tuple[CallRow | None, Mapping[str, Any]]:
        row = await self._store.call(call_id)
        return row, _NOTHING if row is None else _one(_texts(row), written.AGENT, text_id)


def _texts(row: CallRow) -> Sequence[Mapping[str, Any]]:
    return (row.record or {}).get("texts") or ()


def _one(texts: Sequence[Mapping[str, Any]], by: str, text_id: str) -> Mapping[str, Any]:
    found = (one for one in texts if (one["by"], one["id"]) == (by, text_id))
    return next(found, _NOTHING)


def _now() -> str:
    at = datetime.now(UTC).isoformat(timespec="milliseconds")
    return at.replace("+00:00", "Z")
