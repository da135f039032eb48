"""Statements for reconciliation: their pages, positions and differences."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    """Add the tables."""
    op.create_table(
        "statement",
        sa.Column("instruction_id", sa.BigInteger(), nullable=False),
        sa.Column("counterparty", sa.String(11), nullable=False),
        sa.Column("kind", sa.String(20), nullable=False),
        sa.Column("account", sa.Text(), nullable=False),
        sa.Column("reference", sa.Text(), nullable=False),
        sa.Column("number", sa.BigInteger()),
        sa.Column("statement_date", sa.Date()),
        sa.Column("stated_at", sa.BigInteger()),
        sa.Column("update_kind", sa.Text()),
        sa.Column("basis", sa.Text()),
        sa.Column("last_page", sa.Integer()),
        sa.Column("pages", sa.Integer(), nullable=False),
        sa.Column("entries", sa.BigInteger(), nullable=False),
        sa.Column("differences", sa.BigInteger(), nullable=False),
        sa.Column("request_id", sa.BigInteger()),
        sa.PrimaryKeyConstraint("instruction_id"),
    )
    op.create_index("statement_account", "statement", ["counterparty", "kind", "account", "statement_date"])
    op.create_table(
        "statement_page",
        sa.Column("statement_id", sa.BigInteger(), nullable=False),
        sa.Column("page", sa.Integer(), nullable=False),
        sa.Column("archive_id", sa.BigInteger(), nullable=False),
        sa.Column("digest", sa.LargeBinary(), nullable=False),
        sa.Column("entries", sa.Integer(), nullable=False),
        sa.Column("named", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("statement_id", "page"),
    )
    op.create_table(
        "statement_position",
        sa.Column("statement_id", sa.BigInteger(), nullable=False),
        sa.Column("page", sa.Integer(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("account", sa.Text(), nullable=False),
        sa.Column("instrument", sa.Text(), nullable=False),
        sa.Column("balance", sa.Text(), nullable=False),
        sa.Column("value", sa.Text(), nullable=False),
        sa.Column("unit", sa.String(20), nullable=False),
        sa.Column("balance_date", sa.Date()),
        sa.PrimaryKeyConstraint("statement_id", "page", "number"),
    )
    op.create_table(
        "statement_difference",
        sa.Column("statement_id", sa.BigInteger(), nullable=False),
        sa.Column("page", sa.Integer(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("code", sa.String(60), nullable=False),
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("field", sa.String(40), nullable=False),
        sa.Column("ours", sa.Text()),
        sa.Column("theirs", sa.Text()),
        sa.Column("transaction_id", sa.String(16)),
        sa.Column("found_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("statement_id", "page", "number"),
    )
