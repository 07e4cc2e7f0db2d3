"""Bringing a database to today's tables: one function, safe to call from every process."""

from pathlib import Path
from typing import TYPE_CHECKING

import sqlalchemy as sa
import structlog

from app.services.store.database import open_blocking
from app.services.store.schema import metadata

MIGRATIONS = Path(__file__).parent / "migrations"
HEAD = "r0007"
"""The newest migration, known here so that Alembic's twelve megabytes are loaded only where
there is something to do; a test compares. Names of migrations sort by their age."""
_LOCK = 0x50617463  # "Patc": the advisory lock of our migrations

log = structlog.get_logger("store")

if TYPE_CHECKING:
    from alembic.config import Config


def configuration(connection: sa.Connection) -> "Config":
    """What Alembic's commands want, over an open connection."""
    from alembic.config import Config  # noqa: PLC0415 - see HEAD

    config = Config()
    config.set_main_option("script_location", MIGRATIONS.as_posix().replace("%", "%%"))
    config.attributes["connection"] = connection
    return config


def migrate(url: str) -> None:
    """Run the migrations that are missing, all or none of them; blocks, so call it in a thread.

    Of several processes one does it and the others wait: PostgreSQL has an advisory lock for
    that, SQLite's file is taken for oneself. Tables that a later version made are left as they
    are: a deploy migrates first and may be taken back, so every migration lets the version before
    it go on. Raises AddressFault, SQLAlchemyError, OSError.
    """
    engine = open_blocking(url)
    try:
        with engine.begin() as connection:
            if connection.dialect.name == "postgresql":
                connection.execute(sa.select(sa.func.pg_advisory_xact_lock(_LOCK)))
            found = _revision(connection)
            if not sa.inspect(connection).get_table_names():
                _make(connection)
            elif found is not None and found > HEAD:
                log.warning("store.tables_are_newer", found=found, known=HEAD)
            elif found != HEAD:
                _upgrade(connection)
    finally:
        engine.dispose()


def _revision(connection: sa.Connection) -> str | None:
    """What the database was brought to last."""
    if not sa.inspect(connection).has_table("alembic_version"):
        return None
    found = connection.execute(sa.text("SELECT version_num FROM alembic_version"))
    return found.scalar_one_or_none()


def _make(connection: sa.Connection) -> None:
    """Today's tables, where there are none: what the migrations come to, as a test holds."""
    metadata.create_all(connection)
    version = sa.Table(
        "alembic_version",
        sa.MetaData(),
        sa.Column("version_num", sa.String(32), nullable=False),
        sa.PrimaryKeyConstraint("version_num", name="alembic_version_pkc"),
    )
    version.create(connection)
    connection.execute(sa.insert(version).values(version_num=HEAD))


def _upgrade(connection: sa.Connection) -> None:
    from alembic import command  # noqa: PLC0415 - see HEAD

    command.upgrade(configuration(connection), "head")
