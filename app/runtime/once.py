"""Orders with a key: whoever repeats one is told what became of the first, and nothing is done.

The key stands for the commands of a request, whose ids follow from it; so any process finds out
from the call's facts how far they have come. Rule: in doubt nothing is done again. Where the order
was refused nothing was done, and the key is free.
"""

import hashlib
import secrets
from collections.abc import Sequence
from dataclasses import replace

import orjson

from app.errors import CallerFault, CarrierFault, OurFault
from app.runtime.book import Book
from app.runtime.commanding import Commanding, unclear
from app.runtime.wishes import Became, Given, Wish
from app.services.store.archive import Archive

OF_COMMANDS = "\N{BLACK RIGHT-POINTING TRIANGLE}"
"""Before a key: no header can hold it, so that no key of an ordered call is one of these."""


class Once:
    """The operator's orders, each of them once for its key. Belongs to the loop."""

    def __init__(self, commanding: Commanding, book: Book, archive: Archive) -> None:
        self._commanding = commanding
        self._book = book
        self._archive = archive

    async def give(self, name: str, wishes: Sequence[Wish], key: str | None = None) -> Given:
        """Carry out what is wished for a call, as ``Commanding.give``; with a ``key`` once in
        24 hours. Raises ``CallerFault``, ``key_in_use``, where the key stands for another order."""
        if key is None:
            return await self._commanding.give(name, wishes)
        kept, digest = OF_COMMANDS + key, _digest(name, wishes)
        mine = f"req_{secrets.token_hex(12)}"
        first = await self._archive.keys.claim(kept, mine, digest)
        if first.request_hash != digest:
            raise CallerFault("key_in_use", "this Idempotency-Key was used for other commands")
        known = [
            replace(wish, command_id=_command_id(first.call_id, place))
            for place, wish in enumerate(wishes)
        ]
        if first.call_id != mine:
            return await self._became(name, known)
        try:
            return await self._commanding.give(name, known)
        except (CallerFault, CarrierFault, OurFault) as fault:
            if not _in_doubt(fault):
                await self._archive.keys.forget(kept)
            raise

    async def _became(self, name: str, wishes: Sequence[Wish]) -> Given:
        call = self._book.here(name) or self._book.call(name)
        if call is not None:
            call_id, states = call.call_id, dict(call.report.commands)
        else:
            row = await self._archive.row(name)
            if row is None or row.erased:
                raise CallerFault("unknown", "no call has this id, or it was erased")
            call_id, states = row.call_id, await self._told(row.call_id)
        if not any(wish.command_id in states for wish in wishes):
            raise unclear()
        return Given(
            call_id,
            tuple(
                Became(wish.command_id, wish.type, *states.get(wish.command_id, ("accepted", "")))
                for wish in wishes
            ),
        )

    async def _told(self, call_id: str) -> dict[str, tuple[str, str]]:
        """How far the commands of a call have come, by its facts."""
        states: dict[str, tuple[str, str]] = {}
        for fact in await self._archive.all_facts(call_id):
            if fact.type == "command.received":
                states.setdefault(fact.data["command_id"], ("accepted", ""))
            elif fact.type == "command.ended":
                states[fact.data["command_id"]] = (fact.data["state"], fact.data["reason"])
        return states


def _in_doubt(fault: CallerFault | CarrierFault | OurFault) -> bool:
    """Whether something may have been done all the same."""
    if isinstance(fault, CarrierFault):
        return fault.unclear
    return fault.reason == "unclear"


def _digest(name: str, wishes: Sequence[Wish]) -> str:
    asked = [name, [[wish.type, dict(wish.fields)] for wish in wishes]]
    return hashlib.sha256(orjson.dumps(asked, option=orjson.OPT_SORT_KEYS)).hexdigest()


def _command_id(request_id: str, place: int) -> str:
    return f"cmd_{hashlib.sha256(f'{request_id}:{place}'.encode()).hexdigest()[:24]}"
