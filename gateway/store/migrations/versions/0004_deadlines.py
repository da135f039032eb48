"""Deadlines of instructions, and cut-offs that operators change while the gateway runs."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    """Add the tables. Instructions that are there already are taken account of by the loop, from the first document."""
    identity = sa.BigInteger().with_variant(sa.Integer, "sqlite")
    op.create_table(
        "deadline",
        sa.Column("instruction_id", identity, primary_key=True, autoincrement=False),
        sa.Column("document_id", sa.BigInteger, nullable=False),
        sa.Column("next_at", sa.BigInteger),
        sa.Column("content", sa.LargeBinary, nullable=False),
    )
    ticking = sa.text("next_at IS NOT NULL")
    op.create_index("deadline_next", "deadline", ["next_at"], sqlite_where=ticking, postgresql_where=ticking)
    op.create_table(
        "cutoff",
        sa.Column("id", identity, primary_key=True),
        sa.Column("action", sa.String(8), nullable=False),
        sa.Column("content", sa.LargeBinary, nullable=False),
        sa.Column("actor", sa.Text, nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("created_at", sa.BigInteger, nullable=False),
    )
    op.create_table(
        "progress",
        sa.Column("name", sa.String(40), primary_key=True),
        sa.Column("position", sa.BigInteger, nullable=False),
    )
