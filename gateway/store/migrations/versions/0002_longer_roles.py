"""Roles of documents up to 32 characters: requests such as ``condition_modification``."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Widen the column; SQLite does not look at the length of a text."""
    if op.get_bind().dialect.name == "postgresql":
        op.alter_column("document", "role", existing_type=sa.String(16), type_=sa.String(32), existing_nullable=False)
