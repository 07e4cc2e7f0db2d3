"""What of a call was told to the operator's programs, and whether its end was followed up."""

import sqlalchemy as sa
from alembic import op

revision = "r0002"
down_revision = "r0001"
branch_labels = None
depends_on = None

_INDEX = "ix_calls_not_followed_up"


def upgrade() -> None:
    """Forwards. Calls that are over already are yesterday's: nobody is told of them now."""
    op.add_column("calls", sa.Column("told_seq", sa.Integer(), server_default="0", nullable=False))
    op.add_column(
        "calls", sa.Column("followed_up", sa.Boolean(), server_default=sa.false(), nullable=False)
    )
    calls = sa.table("calls", sa.column("status"), sa.column("followed_up", sa.Boolean()))
    over = sa.update(calls).where(calls.c.status == "ended").values(followed_up=sa.true())
    op.execute(over)
    waiting = sa.text("status = 'ended' AND NOT followed_up")
    op.create_index(_INDEX, "calls", ["ended_at"], postgresql_where=waiting, sqlite_where=waiting)


def downgrade() -> None:
    """Backwards."""
    op.drop_index(_INDEX, table_name="calls")
    op.drop_column("calls", "followed_up")
    op.drop_column("calls", "told_seq")
