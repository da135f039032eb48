"""The ledger: SQLite embedded, PostgreSQL for production, one contract."""

from gateway.store.ledger import Lease, Ledger, Load
from gateway.store.received import StatementRow
from gateway.store.rows import (
    ArchiveState,
    CommandRow,
    InstructionRow,
    NewEvent,
    Origin,
    OutboxState,
    ParkedRow,
    Parking,
    SendRow,
    WaitingReply,
)
from gateway.store.unit import Unit

__all__ = [
    "ArchiveState",
    "CommandRow",
    "InstructionRow",
    "Lease",
    "Ledger",
    "Load",
    "NewEvent",
    "Origin",
    "OutboxState",
    "ParkedRow",
    "Parking",
    "SendRow",
    "StatementRow",
    "Unit",
    "WaitingReply",
]
