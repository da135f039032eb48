"""What the other side alleges is compared with instructions by counterparty and date, and with its parked events."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """Add the indexes."""
    op.create_index("instruction_counterparty_date", "instruction", ["counterparty", "settlement_date"])
    is_open = sa.text("state = 'open'")
    op.create_index(
        "parked_open_counterparty", "parked", ["counterparty"], sqlite_where=is_open, postgresql_where=is_open
    )
