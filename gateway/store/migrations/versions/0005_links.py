"""Links between instructions, requests that wait for their instruction, and commands about an instruction."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"

_IDENTITY = sa.BigInteger().with_variant(sa.Integer, "sqlite")


def upgrade() -> None:
    """Add tables, columns and indexes; what is there stays as it is."""
    for column in ("market_infrastructure_transaction_id", "common_reference"):
        op.add_column("instruction", sa.Column(column, sa.Text))
    _partial("instruction_infrastructure", "instruction", "market_infrastructure_transaction_id", None)
    _partial("instruction_common", "instruction", "common_reference", None)
    is_open = "dialogue IN ('allegement', 'alleged_trade') AND headline IN ('alleged', 'agrees', 'differs')"
    _partial("instruction_alleged", "instruction", "counterparty", is_open)
    op.create_table(
        "link",
        sa.Column("instruction_id", sa.BigInteger, nullable=False),
        sa.Column("relation", sa.String(24), nullable=False),
        sa.Column("names", sa.String(40), nullable=False),
        sa.Column("value", sa.Text, nullable=False),
        sa.Column("cause", sa.Text, nullable=False),
        sa.Column("stated_at", sa.BigInteger, nullable=False),
        sa.Column("ended_by", sa.String(35)),
        sa.PrimaryKeyConstraint("instruction_id", "relation", "names", "value"),
        sqlite_with_rowid=False,
    )
    op.create_index("link_value", "link", ["value", "names"])
    op.create_table(
        "recheck",
        sa.Column("id", _IDENTITY, primary_key=True),
        sa.Column("instruction_id", sa.BigInteger, nullable=False),
    )
    op.add_column("parked", sa.Column("awaits", sa.String(16)))
    op.drop_index("parked_open", "parked")
    _partial("parked_holding", "parked", "trade_key", "state IN ('open', 'waiting')")
    _partial("parked_awaits", "parked", "awaits", "state = 'waiting'")
    _partial("parked_waiting", "parked", "created_at", "state = 'waiting'")
    with op.batch_alter_table("command") as command:
        command.add_column(sa.Column("instruction_id", sa.BigInteger))
        command.alter_column("parked_id", existing_type=sa.BigInteger, nullable=True)


def _partial(name: str, table: str, column: str, where: str | None) -> None:
    holds = sa.text(where or f"{column} IS NOT NULL")
    op.create_index(name, table, [column], sqlite_where=holds, postgresql_where=holds)
