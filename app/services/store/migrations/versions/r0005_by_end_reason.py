"""Calls that ended in a certain way, newest first, without sorting them all."""

from alembic import op

revision = "r0005"
down_revision = "r0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Forwards. The version before finds its calls by the new index as well."""
    op.create_index("ix_calls_end_reason_created_at", "calls", ["end_reason", "created_at"])
    op.drop_index("ix_calls_end_reason", table_name="calls")


def downgrade() -> None:
    """Backwards."""
    op.create_index("ix_calls_end_reason", "calls", ["end_reason"])
    op.drop_index("ix_calls_end_reason_created_at", table_name="calls")
