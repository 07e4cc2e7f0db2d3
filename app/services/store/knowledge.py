"""Documents that are searched: passages by the digest of the file they are from.

A file is known by its content: what did not change is not read again, by no process, and processes
with different versions of a file do not disturb each other. Words are found by the database's own
full-text search, FTS5 or a GIN index; which passages answer best is ``app.call.wording``'s to say.
"""

import asyncio
from collections.abc import Collection, Sequence
from dataclasses import dataclass

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncEngine

from app.call.wording import is_beginning, ranked
from app.errors import StoreFault
from app.services.store.schema import knowledge_files, knowledge_passages, now

KEEP_S = 30 * 86_400
"""After the last process that used it."""
CANDIDATES = 100
"""Read of what has any of the words; the best of these are the answer."""

_SQLITE = """
    SELECT p.digest, p.place, p.body, p.words
    FROM knowledge_words JOIN knowledge_passages AS p ON p.id = knowledge_words.rowid
    WHERE knowledge_words MATCH :asked AND p.digest IN :digests
    ORDER BY knowledge_words.rank LIMIT :most
"""
_POSTGRES = """
    SELECT digest, place, body, words FROM knowledge_passages
    WHERE knowledge_words @@ CAST(:asked AS tsquery) AND digest IN :digests
    ORDER BY ts_rank(knowledge_words, CAST(:asked AS tsquery), 1) DESC LIMIT :most
"""


@dataclass(frozen=True, slots=True)
class Quote:
    """A passage that was found."""

    digest: str
    place: str
    text: str


class Knowledge:
    """Over an engine that belongs to the caller."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine
        self._on_postgres = engine.name == "postgresql"
        text = sa.text(_POSTGRES if self._on_postgres else _SQLITE)
        self._search = text.bindparams(sa.bindparam("digests", expanding=True))

    async def known(self, digests: Collection[str]) -> set[str]:
        """Those of these files that are in the index; they are in use. Raises ``StoreFault``."""
        c = knowledge_files.c
        here = c.digest.in_(list(digests))
        try:
            async with self._engine.begin() as connection:
                await connection.execute(
                    sa.update(knowledge_files).where(here).values(seen_at=now())
                )
                return set((await connection.execute(sa.select(c.digest).where(here))).scalars())
        except (SQLAlchemyError, OSError) as exc:
            raise StoreFault("database") from exc

    async def add(self, digest: str, passages: Sequence[tuple[str, str, str]]) -> bool:
        """A file, whole: places, texts and their words, as ``app.call.wording`` makes them.
        False: another process had it in. Raises ``StoreFault``."""
        insert = postgresql.insert if self._on_postgres else sqlite.insert
        file = insert(knowledge_files).values(digest=digest, seen_at=now())
        rows = [
            {"digest": digest, "place": place, "body": body, "words": found}
            for place, body, found in passages
            if found
        ]
        try:
            async with self._engine.begin() as connection:
                wanted = file.on_conflict_do_nothing().returning(knowledge_files.c.digest)
                is_new = (await connection.execute(wanted)).first() is not None
                if is_new and rows:
                    await connection.execute(sa.insert(knowledge_passages), rows)
                return is_new
        except (SQLAlchemyError, OSError) as exc:
            raise StoreFault("database") from exc

    async def search(
        self, asked: Sequence[str], digests: Collection[str], most: int
    ) -> list[Quote]:
        """The passages of these files that answer best; ``asked`` as ``beginnings`` makes it.
        Raises SQLAlchemyError and OSError."""
        if not asked or not digests:
            return []
        query = _tsquery(asked) if self._on_postgres else _match(asked)
        given = {"asked": query, "digests": list(digests), "most": CANDIDATES}
        async with self._engine.connect() as connection:
            rows = (await connection.execute(self._search, given)).all()
        # In a thread: that takes some milliseconds, in which no frame would move.
        best = await asyncio.to_thread(ranked, asked, [row.words for row in rows], most)
        return [Quote(rows[at].digest, rows[at].place, rows[at].body) for at in best]

    async def expire(self) -> int:
        """Forget the files that nobody has used for long; how many these were. Raises
        ``StoreFault``."""
        old = sa.delete(knowledge_files).where(knowledge_files.c.seen_at < now(-KEEP_S))
        try:
            async with self._engine.begin() as connection:
                return (await connection.execute(old)).rowcount
        except (SQLAlchemyError, OSError) as exc:
            raise StoreFault("database") from exc


def _match(asked: Sequence[str]) -> str:
    """A query of FTS5's: any of the words."""
    return " OR ".join(f'"{word[:-1]}"*' if is_beginning(word) else f'"{word}"' for word in asked)


def _tsquery(asked: Sequence[str]) -> str:
    """The same in PostgreSQL's words."""
    return " | ".join(f"'{word[:-1]}':*" if is_beginning(word) else f"'{word}'" for word in asked)
