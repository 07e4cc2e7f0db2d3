"""The tables, the same on SQLite and PostgreSQL.

JSON is plain ``sa.JSON``: what is in it is read back and never searched. Instants are UTC with
milliseconds, timezone-aware, and come back from both databases as they went in. A change here
needs a migration; a test compares the two.
"""

from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine.interfaces import Dialect
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.functions import FunctionElement
from sqlalchemy.types import TypeDecorator

metadata = sa.MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s_%(referred_table_name)s",
        "pk": "pk_%(table_name)s",
    }
)


def to_ms(instant: datetime) -> datetime:
    """``instant`` in UTC, cut to the millisecond. Raises ValueError where it has no zone."""
    if instant.tzinfo is None:
        raise ValueError("an instant needs a time zone")
    utc = instant.astimezone(UTC)
    return utc.replace(microsecond=utc.microsecond // 1000 * 1000)


class Instant(TypeDecorator[datetime]):
    """A moment in UTC. SQLite keeps text without a zone, which sorts as the moments do."""

    impl = sa.DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Cut to milliseconds, so that both databases keep the same."""
        if value is None:
            return None
        cut = to_ms(value)
        return cut.replace(tzinfo=None) if dialect.name == "sqlite" else cut

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """With its zone, which SQLite forgot and PostgreSQL turned into the session's."""
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


class now(FunctionElement[datetime]):
    """The database's clock, ``plus_s`` seconds later (or earlier, below zero).

    One clock judges every lease: machines of a cluster may be seconds apart, and a lease of
    fifteen seconds written by one and read by another would be anything between them. With
    SQLite there is one machine, whose clock it reads.
    """

    type = Instant()
    inherit_cache = True

    def __init__(self, plus_s: float = 0) -> None:
        super().__init__(sa.literal(round(float(plus_s), 3), sa.Float()))


@compiles(now, "postgresql")
def _now_of_postgres(element: now, compiler: SQLCompiler, **kw: Any) -> str:
    # Not now(): in a transaction that waited for a lock, that is the time before the wait.
    seconds = compiler.process(element.clauses, **kw)
    moved = f"clock_timestamp() + {seconds} * interval '1 second'"
    return f"date_trunc('milliseconds', {moved})"


@compiles(now, "sqlite")
def _now_of_sqlite(element: now, compiler: SQLCompiler, **kw: Any) -> str:
    # As SQLAlchemy writes instants: six digits, of which the clock gives three.
    seconds = compiler.process(element.clauses, **kw)
    return f"strftime('%Y-%m-%d %H:%M:%f000', 'now', {seconds} || ' seconds')"


NOT_FOLLOWED_UP = "status = 'ended' AND NOT followed_up"
NOT_FOLLOWED_UP_INDEX = "ix_calls_not_followed_up"
"""SQLite takes this index only where it is told to, and asked in the very words: else the look
that is taken every second reads all calls that are over, 65 ms of 100,000 (2026-11)."""

calls = sa.Table(
    "calls",
    metadata,
    sa.Column("call_id", sa.Text, primary_key=True),
    sa.Column("call_sid", sa.Text, unique=True),
    sa.Column("conversation_id", sa.Text, nullable=False, index=True),
    sa.Column("resumed_from", sa.Text),
    sa.Column("direction", sa.Text, nullable=False),
    sa.Column("from_number", sa.Text),
    sa.Column("to_number", sa.Text),
    sa.Column("status", sa.Text, nullable=False),
    sa.Column("end_reason", sa.Text),
    sa.Column("created_at", Instant, nullable=False, index=True),
    sa.Column("answered_at", Instant),
    sa.Column("ended_at", Instant),
    sa.Column("owner", sa.Text),
    sa.Column("lease_until", Instant),
    sa.Column("resume_count", sa.Integer, nullable=False, server_default="0"),
    sa.Column("config_version", sa.Text),
    sa.Column("custom_data", sa.JSON(none_as_null=True)),
    sa.Column("record", sa.JSON(none_as_null=True)),
    sa.Column("expires_at", Instant, index=True),
    sa.Column("erased", sa.Boolean, nullable=False, server_default=sa.false()),
    sa.Column("told_seq", sa.Integer, nullable=False, server_default="0"),
    sa.Column("followed_up", sa.Boolean, nullable=False, server_default=sa.false()),
    sa.CheckConstraint("status IN ('queued', 'live', 'ended')", name="status"),
    sa.Index(None, "status", "lease_until"),
    sa.Index(None, "from_number", "created_at"),
    sa.Index(None, "to_number", "created_at"),
    sa.Index(None, "end_reason", "created_at"),
    sa.Index(
        NOT_FOLLOWED_UP_INDEX,
        "ended_at",
        postgresql_where=sa.text(NOT_FOLLOWED_UP),
        sqlite_where=sa.text(NOT_FOLLOWED_UP),
    ),
)
"""A call. ``record`` is the fold over its facts, written when it ends; numbers, ``custom_data``
and ``record`` are gone where it is ``erased``. ``lease_until`` is the owner's word that it
lives; a live call without one can be taken over. ``told_seq`` is the last fact that webhooks
were enqueued for; ``followed_up`` says that what comes after the call is."""

call_facts = sa.Table(
    "call_facts",
    metadata,
    sa.Column(
        "call_id", sa.Text, sa.ForeignKey("calls.call_id", ondelete="CASCADE"), primary_key=True
    ),
    sa.Column("seq", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("at_ms", sa.BigInteger, nullable=False),
    sa.Column("type", sa.Text, nullable=False),
    sa.Column("data", sa.JSON, nullable=False),
)

invitations = sa.Table(
    "invitations",
    metadata,
    sa.Column("token_hash", sa.Text, primary_key=True),
    sa.Column(
        "call_id",
        sa.Text,
        sa.ForeignKey("calls.call_id", ondelete="CASCADE"),
        nullable=False,
        index=True,
    ),
    sa.Column("expires_at", Instant, nullable=False),
    sa.Column("used_at", Instant),
    sa.Column("used_by", sa.Text),
)

processes = sa.Table(
    "processes",
    metadata,
    sa.Column("process_id", sa.Text, primary_key=True),
    sa.Column("role", sa.Text, nullable=False),
    sa.Column("started_at", Instant, nullable=False),
    sa.Column("beat_at", Instant, nullable=False),
    sa.Column("version", sa.Text, nullable=False),
    sa.Column("address", sa.Text),
    sa.Column("room", sa.Integer, nullable=False, server_default="0"),
)
"""A process that says that it lives. ``room`` is how many more calls it would take then."""

idempotency_keys = sa.Table(
    "idempotency_keys",
    metadata,
    sa.Column("key", sa.Text, primary_key=True),
    sa.Column("call_id", sa.Text, nullable=False),
    sa.Column("request_hash", sa.Text, nullable=False),
    sa.Column("created_at", Instant, nullable=False, index=True),
)

do_not_call = sa.Table(
    "do_not_call",
    metadata,
    sa.Column("number", sa.Text, primary_key=True),
    sa.Column("reason", sa.Text),
    sa.Column("created_at", Instant, nullable=False),
)

costs = sa.Table(
    "costs",
    metadata,
    sa.Column("day", sa.Date, primary_key=True),
    sa.Column("process_id", sa.Text, primary_key=True),
    sa.Column("microusd", sa.BigInteger, nullable=False),
)
"""What the model has cost on a day of UTC's, by the process that spent it."""

text_opt_outs = sa.Table(
    "text_opt_outs",
    metadata,
    sa.Column("number", sa.Text, primary_key=True),
    sa.Column("created_at", Instant, nullable=False),
)
"""Who wants no text messages."""

knowledge_files = sa.Table(
    "knowledge_files",
    metadata,
    sa.Column("digest", sa.Text, primary_key=True),
    sa.Column("seen_at", Instant, nullable=False),
)
"""A document that is searched, by the digest of its bytes. ``seen_at``: when somebody used it."""

knowledge_passages = sa.Table(
    "knowledge_passages",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column(
        "digest",
        sa.Text,
        sa.ForeignKey("knowledge_files.digest", ondelete="CASCADE"),
        nullable=False,
        index=True,
    ),
    sa.Column("place", sa.Text, nullable=False),
    sa.Column("body", sa.Text, nullable=False),
    sa.Column("words", sa.Text, nullable=False),
)
"""A piece of it: where it stands, what can be quoted, and its words as they are searched for."""

KNOWLEDGE_WORDS = "knowledge_words"
"""The index of these words. SQLite's is a table of its own, which triggers keep, PostgreSQL's a
column; SQLAlchemy knows neither, and comparing tables passes over what has this name."""
_WORDS_OF_SQLITE = (
    f"CREATE VIRTUAL TABLE {KNOWLEDGE_WORDS} USING fts5"
    "(words, content='knowledge_passages', content_rowid='id', tokenize='unicode61')",
    f"CREATE TRIGGER {KNOWLEDGE_WORDS}_added AFTER INSERT ON knowledge_passages BEGIN"
    f" INSERT INTO {KNOWLEDGE_WORDS}(rowid, words) VALUES (new.id, new.words); END",
    f"CREATE TRIGGER {KNOWLEDGE_WORDS}_deleted AFTER DELETE ON knowledge_passages BEGIN"
    f" INSERT INTO {KNOWLEDGE_WORDS}({KNOWLEDGE_WORDS}, rowid, words)"
    " VALUES ('delete', old.id, old.words); END",
)
_WORDS_OF_POSTGRES = (
    f"ALTER TABLE knowledge_passages ADD COLUMN {KNOWLEDGE_WORDS} tsvector"
    " GENERATED ALWAYS AS (array_to_tsvector(string_to_array(words, ' '))) STORED",
    f"CREATE INDEX {KNOWLEDGE_WORDS}_gin ON knowledge_passages USING gin ({KNOWLEDGE_WORDS})",
)
for _kind, _statements in (("sqlite", _WORDS_OF_SQLITE), ("postgresql", _WORDS_OF_POSTGRES)):
    for _statement in _statements:
        _made = sa.DDL(_statement)  # type: ignore[no-untyped-call]
        sa.event.listen(knowledge_passages, "after_create", _made.execute_if(dialect=_kind))
