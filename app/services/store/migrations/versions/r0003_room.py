"""How many more calls a process would take."""

import sqlalchemy as sa
from alembic import op

revision = "r0003"
down_revision = "r0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Forwards. A process of before says nothing of it, and is not sent anything for that."""
    op.add_column("processes", sa.Column("room", sa.Integer(), server_default="0", nullable=False))


def downgrade() -> None:
    """Backwards."""
    op.drop_column("processes", "room")
