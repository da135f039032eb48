"""Instructions by counterparty and settlement date: what the other side alleges is compared with them."""

from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """Add the index."""
    op.create_index("instruction_counterparty_date", "instruction", ["counterparty", "settlement_date"])
