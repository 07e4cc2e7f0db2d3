"""Which process holds which call, who was invited to its stream, and who lives.

A call belongs to the process that renews its lease. Every question with a winner is one UPDATE
whose WHERE says when it may happen, so that of two processes one finds a row. All moments are
the database's (``schema.now``), never a process's: processes on several machines agree about
nothing else.
"""

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from app.services.store.calls import CallRow, call_row
from app.services.store.changes import clean
from app.services.store.schema import calls, invitations, now, processes

LEASE_S = 15
RENEW_S = 5
"""How often an owner renews: two renewals may fail."""
MOST_RESUMES = 3


class Leases:
    """Over an engine that belongs to the caller. Raises SQLAlchemyError and OSError."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

    async def invite(self, call_id: str, token_hash: str, within_s: float) -> None:
        """Whoever shows the token within that time may open a stream of this call.

        The call's row must be written: flush it first. Raises IntegrityError otherwise.
        """
        row = {"token_hash": token_hash, "call_id": call_id, "expires_at": now(within_s)}
        async with self._engine.begin() as connection:
            await connection.execute(sa.insert(invitations).values(row))

    async def take(self, token_hash: str, call_sid: str, by: str) -> CallRow | None:
        """The call this token opens, spending it; None where it opens nothing.

        Spent by the first who shows it, also under a wrong CallSid. A call that knows no
        CallSid yet learns it from the token, which nobody but Twilio was given.
        """
        spend = (
            sa.update(invitations)
            .where(
                invitations.c.token_hash == clean(token_hash),
                invitations.c.used_at.is_(None),
                invitations.c.expires_at > now(),
            )
            .values(used_at=now(), used_by=by)
            .returning(invitations.c.call_id)
        )
        async with self._engine.begin() as connection:
            call_id = (await connection.execute(spend)).scalar_one_or_none()
            if call_id is None:
                return None
            return await self._of_sid(connection, call_id, clean(call_sid))

    async def _of_sid(
        self, connection: AsyncConnection, call_id: str, call_sid: str
    ) -> CallRow | None:
        taken = sa.select(calls.c.call_id).where(calls.c.call_sid == call_sid)
        learn = (
            sa.update(calls)
            .where(
                calls.c.call_id == call_id, calls.c.call_sid.is_(None), ~sa.exists(taken.subquery())
            )
            .values(call_sid=call_sid)
        )
        await connection.execute(learn)
        wanted = sa.select(calls).where(
            calls.c.call_id == call_id, calls.c.call_sid == call_sid, calls.c.status != "ended"
        )
        row = (await connection.execute(wanted)).first()
        return None if row is None else call_row(row)

    async def claim(
        self,
        call: str,
        me: str,
        lease_s: float = LEASE_S,
        most_resumes: int = MOST_RESUMES,
        *,
        force: bool = False,
        seen_resumes: int | None = None,
    ) -> CallRow | None:
        """Take a live call over, by its id or CallSid; None where another has it, or nobody may.

        Allowed where nobody's lease runs, where it is ``me``'s, or by ``force``, for who was
        told by Twilio that the owner's stream is gone. ``seen_resumes`` is the count that the
        decision was made on: of two who were told the same, one wins.
        """
        call = clean(call)
        free = sa.or_(
            calls.c.owner.is_(None),
            calls.c.owner == me,
            calls.c.lease_until.is_(None),
            calls.c.lease_until <= now(),
        )
        take = (
            sa.update(calls)
            .where(
                sa.or_(calls.c.call_id == call, calls.c.call_sid == call),
                calls.c.status == "live",
                calls.c.resume_count < most_resumes,
            )
            .values(owner=me, lease_until=now(lease_s), resume_count=calls.c.resume_count + 1)
            .returning(*calls.c)
        )
        if not force:
            take = take.where(free)
        if seen_resumes is not None:
            take = take.where(calls.c.resume_count == seen_resumes)
        async with self._engine.begin() as connection:
            row = (await connection.execute(take)).first()
        return None if row is None else call_row(row)

    async def renew(self, me: str, lease_s: float = LEASE_S) -> frozenset[str]:
        """Renew every lease of this process, in one statement; returns the calls it still has.

        A call of ours that is not among them has been taken over: leave it alone.
        """
        # Locked in the order in which a batch locks them (``sinks``), so that neither waits for
        # the other for ever; judged again under the lock, because it may have waited for an end.
        mine = sa.and_(calls.c.owner == me, calls.c.status == "live")
        locked = (
            sa.select(calls.c.call_id)
            .where(mine)
            .order_by(calls.c.call_id)
            .with_for_update(key_share=True)
        )
        longer = (
            sa.update(calls)
            .where(calls.c.call_id.in_(locked), mine)
            .values(lease_until=now(lease_s))
            .returning(calls.c.call_id)
        )
        async with self._engine.begin() as connection:
            return frozenset((await connection.execute(longer)).scalars())

    async def release(self, call_id: str, me: str) -> bool:
        """Give a call away, for the next one to claim at once; False where it was not ours."""
        give = (
            sa.update(calls)
            .where(calls.c.call_id == call_id, calls.c.owner == me)
            .values(owner=None, lease_until=None)
        )
        async with self._engine.begin() as connection:
            return (await connection.execute(give)).rowcount > 0

    async def stale(self, after_s: float = LEASE_S, limit: int = 100) -> list[CallRow]:
        """Live calls that nobody has held for that long, longest first: for the reaper.

        One without any lease counts from its creation.
        """
        since = sa.func.coalesce(calls.c.lease_until, calls.c.created_at, type_=now.type)
        wanted = (
            sa.select(calls)
            .where(calls.c.status == "live", since <= now(-after_s))
            .order_by(since)
            .limit(limit)
        )
        async with self._engine.connect() as connection:
            return [call_row(row) for row in await connection.execute(wanted)]

    async def beat(
        self,
        process_id: str,
        role: str,
        version: str,
        address: str | None = None,
        *,
        room: int = 0,
    ) -> None:
        """This process lives, and would take ``room`` more calls; the first beat is its start."""
        insert = postgresql.insert if self._engine.name == "postgresql" else sqlite.insert
        row: dict[str, str | int | None] = {"process_id": process_id, "role": role}
        row |= {"version": version, "address": address, "room": room}
        alive = (
            insert(processes)
            .values(**row, started_at=now(), beat_at=now())
            .on_conflict_do_update(
                index_elements=["process_id"],
                set_={"beat_at": now(), "address": address, "room": room},
            )
        )
        async with self._engine.begin() as connection:
            await connection.execute(alive)

    async def others(self, me: str, role: str, within_s: float = LEASE_S) -> tuple[int, int]:
        """How many live calls the other processes hold a lease of, and how many more they would
        take together: those of this role that have said within that time that they live."""
        held = (
            sa.select(sa.func.count())
            .select_from(calls)
            .where(calls.c.status == "live", calls.c.lease_until > now(), calls.c.owner != me)
        )
        p = processes.c
        room = sa.select(sa.func.coalesce(sa.func.sum(p.room), 0)).where(
            p.role == role, p.process_id != me, p.beat_at > now(-within_s)
        )
        wanted = sa.select(held.scalar_subquery(), room.scalar_subquery())
        async with self._engine.connect() as connection:
            calls_held, would_take = (await connection.execute(wanted)).one()
        return calls_held, would_take

    async def others_on(self, me: str) -> dict[str, int]:
        """How many of the live calls that the other processes hold a lease of came in on which
        number of ours."""
        theirs = sa.and_(calls.c.status == "live", calls.c.lease_until > now(), calls.c.owner != me)
        wanted = (
            sa.select(calls.c.to_number, sa.func.count())
            .where(theirs, calls.c.direction == "inbound", calls.c.to_number.is_not(None))
            .group_by(calls.c.to_number)
        )
        async with self._engine.connect() as connection:
            return {row[0]: row[1] for row in await connection.execute(wanted)}

    async def forget(self, after_s: float) -> int:
        """Drop processes that have not beaten for that long and invitations as old; how many."""
        async with self._engine.begin() as connection:
            gone = await connection.execute(
                sa.delete(processes).where(processes.c.beat_at <= now(-after_s))
            )
            spent = await connection.execute(
                sa.delete(invitations).where(invitations.c.expires_at <= now(-after_s))
            )
        return gone.rowcount + spent.rowcount
