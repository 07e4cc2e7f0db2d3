"""What Alembic runs around the migrations: over the connection it is given, in its transaction.

A developer who writes a revision gives an address instead:
``alembic -x url=sqlite:///data/patchline.db revision --autogenerate -m "…"``.
"""

from typing import Literal

import sqlalchemy as sa
from alembic import context
from alembic.autogenerate.api import AutogenContext

from app.services.store.database import open_blocking
from app.services.store.schema import KNOWLEDGE_WORDS, Instant, metadata


def _rendered(kind: str, item: object, _context: AutogenContext) -> str | Literal[False]:
    """A migration knows SQLAlchemy only, so that it means the same when our types have moved."""
    if kind == "type" and isinstance(item, Instant):
        return "sa.DateTime(timezone=True)"
    return False


def _ours(name: str | None, _kind: str, _parents: object) -> bool:
    """Whether SQLAlchemy knows of things of this kind."""
    return name is None or not name.startswith(KNOWLEDGE_WORDS)


def _run(connection: sa.Connection) -> None:
    context.configure(
        connection=connection,
        target_metadata=metadata,
        render_as_batch=True,
        render_item=_rendered,
        include_name=_ours,
        transactional_ddl=True,
    )
    with context.begin_transaction():
        context.run_migrations()


given = context.config.attributes.get("connection")
if given is not None:
    _run(given)
else:
    engine = open_blocking(context.get_x_argument(as_dictionary=True)["url"])
    with engine.begin() as own:
        _run(own)
    engine.dispose()
