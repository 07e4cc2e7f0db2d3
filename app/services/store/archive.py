"""The store of one process: brought up to date, written while it lives, emptied at its end."""

import asyncio
from collections.abc import AsyncIterator, Collection, Coroutine, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from datetime import UTC, datetime
from functools import partial
from typing import Any, Protocol, TypeVar

import sqlalchemy as sa
import structlog
from sqlalchemy.exc import SQLAlchemyError

from app.call.facts import Fact
from app.call.record import amended, kept_afterwards, record
from app.call.report import Report
from app.errors import OurFault, StoreFault
from app.services.store.calls import PAGE, CallRow, Calls, Filters, Page, StoredFact
from app.services.store.costs import Costs
from app.services.store.database import database_url, open_engine
from app.services.store.instants import utc_of
from app.services.store.keys import IdempotencyKeys
from app.services.store.knowledge import Knowledge, Quote
from app.services.store.leases import Leases
from app.services.store.migrate import migrate
from app.services.store.opt_outs import OptOuts
from app.services.store.schema import do_not_call
from app.services.store.sinks import Sink, sink_for
from app.services.store.waiting import Waiting
from app.services.store.writer import FactWriter

UNREACHABLE = (SQLAlchemyError, OSError, TimeoutError, ValueError)
"""What it means that the database cannot be asked now. ``ValueError`` is a connection of
aiosqlite's that is gone."""
LAST_WORDS_S = 5
"""How long the end of a process waits until everything is written."""
FRESH_S = 1
"""How long a reader waits for what was told just now."""
MOST_FACTS = 1_000
"""Read at once."""

T = TypeVar("T")

log = structlog.get_logger("store")


class Asked(Protocol):
    """Puts a question to the database: its answer, or what it raises; TimeoutError for none."""

    async def __call__(self, question: Coroutine[Any, Any, T], /) -> T:
        """Cancelling is safe."""


async def _asked(question: Coroutine[Any, Any, T], /) -> T:
    return await question


class _Writer(FactWriter):
    """A writer that can tell a record again."""

    def __init__(self, sink: Sink, calls: Calls) -> None:
        super().__init__(sink)
        self._calls = calls

    async def retell(self, call_id: str, record: Mapping[str, Any]) -> None:
        """Replace the record of a call that is over, once its end is written.

        What others added to it since is not in the memory of who held the call, and stays.
        """
        await self.flush(call_id, LAST_WORDS_S)
        row = await self._calls.get(call_id)
        told = record if row is None else kept_afterwards(record, row.record)
        await self._calls.retell(call_id, told)


class Archive:
    """Everything that is known about calls. Belongs to one loop; opens nothing by itself."""

    def __init__(self, url: str, asked: Asked = _asked) -> None:
        """``url`` as in DATABASE_URL. Raises ``AddressFault``.

        ``asked`` is how a reader's question is put: in which task, and for how long. One who
        leaves in the midst of it must not take the question along (aiosqlite then leaves a task
        behind), and one whom a silent database does not answer must not wait for ever.
        """
        self._url = url
        self._asked = asked
        self._engine = open_engine(url)
        self.calls = Calls(self._engine)
        self.writer = _Writer(sink_for(url), self.calls)
        self.leases = Leases(self._engine)
        self.waiting = Waiting(self._engine)
        self.keys = IdempotencyKeys(self._engine)
        self.opt_outs = OptOuts(self._engine)
        self.costs = Costs(self._engine)
        self.knowledge = Knowledge(self._engine)

    @asynccontextmanager
    async def opened(self) -> AsyncIterator[None]:
        """The time in which it can be used. Raises ``OurFault`` where the database cannot be had.

        ``writer.run`` is the caller's to start within, and ``last_words`` to say.
        """
        try:
            await asyncio.to_thread(migrate, self._url)
        except (SQLAlchemyError, OSError) as exc:
            where = database_url(self._url).render_as_string(hide_password=True)
            cause = getattr(exc, "orig", None) or exc
            raise OurFault(
                "database",
                f"DATABASE_URL names {where}, which cannot be used"
                f" ({type(cause).__name__}): see that it runs and lets this user in.",
            ) from exc
        try:
            yield
        finally:
            await self._engine.dispose()

    async def get(self, name: str) -> dict[str, Any] | None:
        """The record of a call, by our id or by Twilio's CallSid; None where there is none.

        Of a call that goes on, in whatever process, it is what its facts come to by now.
        Raises ``StoreFault``, as all that reads or writes here.
        """
        row = await self.row(name)
        if row is None or row.erased:
            return None
        if row.record is not None and "unwritable" not in row.record:
            return dict(row.record)
        report = Report()
        async for fact in self.story(row.call_id):
            report.learn(Fact(fact.type, fact.at_ms, fact.data))
        return record(row.call_id, report, partial(utc_of, row.created_at.timestamp()))

    async def row(self, name: str) -> CallRow | None:
        """What is known of a call beside its facts, by either of its names; also when erased."""
        await self.writer.flush(within_s=FRESH_S)
        with _reachable():
            return await self._asked(self.calls.get(name))

    async def page(self, filters: Filters, cursor: str | None, limit: int) -> Page:
        """A page of calls, newest first. Raises ``CursorFault``."""
        await self.writer.flush(within_s=FRESH_S)
        with _reachable():
            return await self._asked(self.calls.list(filters, cursor, limit))

    async def calls_with(self, number: str) -> list[str]:
        """The ids of the calls with a number on either side, newest first, at most a page."""
        page = await self.page(Filters(number=number), None, PAGE)
        return [row.call_id for row in page.calls if not row.erased]

    async def facts(
        self, call_id: str, after_seq: int, limit: int = MOST_FACTS
    ) -> list[StoredFact]:
        """The facts behind ``after_seq``, what was told just now included."""
        await self.writer.flush(call_id, FRESH_S)
        with _reachable():
            return await self._asked(self.calls.facts(call_id, after_seq, limit))

    async def story(self, call_id: str) -> AsyncIterator[StoredFact]:
        """All facts of a call, in portions: a call that lasts has many."""
        after_seq = 0
        while facts := await self.facts(call_id, after_seq):
            for fact in facts:
                yield fact
            after_seq = facts[-1].seq

    async def erase(self, call_id: str) -> bool:
        """Forget what was said, who called and what it was about; False: no such call."""
        await self.writer.flush(call_id, FRESH_S)
        with _reachable():
            return await self.calls.erase(call_id)

    async def erased(self, call_ids: Sequence[str]) -> Sequence[str]:
        """Those of these calls that were erased."""
        with _reachable():
            return await self.calls.erased(call_ids)

    async def unwanted(self, number: str) -> bool:
        """Whether a number is on the do-not-call list."""
        asked = sa.select(do_not_call.c.number).where(do_not_call.c.number == number)
        with _reachable():
            async with self._engine.connect() as connection:
                return (await connection.execute(asked)).first() is not None

    async def aged_recordings(self, older_than: datetime) -> Sequence[str]:
        """The recordings of calls that ``expire`` would delete, by their SIDs."""
        with _reachable():
            return await self.calls.aged_recordings(older_than)

    async def expire(self, older_than: datetime, limit: int) -> int:
        """Delete at most ``limit`` calls that ended before then; how many these were."""
        with _reachable():
            return await self.calls.expire(older_than, limit)

    async def add(self, call_id: str, kind: str, data: Mapping[str, Any]) -> bool:
        """A fact about a call that is over, its record included; False: there is no such call."""
        await self.writer.flush(call_id, FRESH_S)
        tell = partial(amended, kind=kind, data=data)
        with _reachable():
            return await self.calls.add(call_id, kind, data, at=datetime.now(UTC), tell=tell)

    async def quotes(
        self, asked: Sequence[str], digests: Collection[str], most: int
    ) -> list[Quote]:
        """The passages of these documents that answer best (``Knowledge.search``)."""
        with _reachable():
            return await self._asked(self.knowledge.search(asked, digests, most))

    async def approvals_asked(self) -> list[tuple[str, dict[str, Any]]]:
        """What live calls wait for a person with, as they told it, by call; those included that
        waited when their process died. Raises ``StoreFault``."""
        await self.writer.flush(within_s=FRESH_S)
        with _reachable():
            told = await self._asked(
                self.calls.told_live(("tool.approval_requested", "tool.approval_answered"))
            )
        waiting: dict[str, tuple[str, dict[str, Any]]] = {}
        for call_id, kind, data in told:
            if kind == "tool.approval_requested":
                waiting[data["approval_id"]] = (call_id, dict(data))
            else:
                waiting.pop(data["approval_id"], None)
        return list(waiting.values())

    async def all_facts(self, call_id: str) -> list[StoredFact]:
        """Everything that is known of a call, in its order."""
        facts: list[StoredFact] = []
        while page := await self.calls.facts(call_id, facts[-1].seq if facts else 0):
            facts += page
        return facts


@contextmanager
def _reachable() -> Iterator[None]:
    """What goes wrong with the database within, as ``StoreFault``."""
    try:
        yield
    except (SQLAlchemyError, OSError) as exc:
        # The kind only: what a driver says may quote a value, an address or a password.
        log.warning("store.unreadable", fault=type(getattr(exc, "orig", None) or exc).__name__)
        raise StoreFault("database", "what is kept about calls cannot be reached just now") from exc
