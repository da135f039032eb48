"""Replies to payments name them by references that are not transaction identifications."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    """Add the table."""
    op.create_table(
        "reference",
        sa.Column("kind", sa.String(32), nullable=False),
        sa.Column("value", sa.Text, nullable=False),
        sa.Column("instruction_id", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("kind", "value", "instruction_id"),
    )
    op.create_index("reference_instruction", "reference", ["instruction_id"])
