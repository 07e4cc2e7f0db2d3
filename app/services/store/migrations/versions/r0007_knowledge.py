"""Documents that are searched, and the index of their words."""

import sqlalchemy as sa
from alembic import op

revision = "r0007"
down_revision = "r0006"
branch_labels = None
depends_on = None

_WORDS = (
    "CREATE VIRTUAL TABLE knowledge_words USING fts5"
    "(words, content='knowledge_passages', content_rowid='id', tokenize='unicode61')",
    "CREATE TRIGGER knowledge_words_added AFTER INSERT ON knowledge_passages BEGIN"
    " INSERT INTO knowledge_words(rowid, words) VALUES (new.id, new.words); END",
    "CREATE TRIGGER knowledge_words_deleted AFTER DELETE ON knowledge_passages BEGIN"
    " INSERT INTO knowledge_words(knowledge_words, rowid, words)"
    " VALUES ('delete', old.id, old.words); END",
)
_GIN = (
    "ALTER TABLE knowledge_passages ADD COLUMN knowledge_words tsvector"
    " GENERATED ALWAYS AS (array_to_tsvector(string_to_array(words, ' '))) STORED",
    "CREATE INDEX knowledge_words_gin ON knowledge_passages USING gin (knowledge_words)",
)


def upgrade() -> None:
    """Forwards."""
    op.create_table(
        "knowledge_files",
        sa.Column("digest", sa.Text(), nullable=False),
        sa.Column("seen_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("digest", name=op.f("pk_knowledge_files")),
    )
    op.create_table(
        "knowledge_passages",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("digest", sa.Text(), nullable=False),
        sa.Column("place", sa.Text(), nullable=False),
        sa.Column("body", sa.Text(), nullable=False),
        sa.Column("words", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(
            ["digest"],
            ["knowledge_files.digest"],
            name=op.f("fk_knowledge_passages_digest_knowledge_files"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_knowledge_passages")),
    )
    op.create_index(op.f("ix_knowledge_passages_digest"), "knowledge_passages", ["digest"])
    statements = _GIN if op.get_bind().dialect.name == "postgresql" else _WORDS
    for statement in statements:
        op.execute(statement)


def downgrade() -> None:
    """Backwards."""
    if op.get_bind().dialect.name == "sqlite":
        op.execute("DROP TABLE knowledge_words")
    op.drop_table("knowledge_passages")
    op.drop_table("knowledge_files")
