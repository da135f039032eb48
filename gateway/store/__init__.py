"""The ledger: SQLite embedded, PostgreSQL for production, one contract."""

from gateway.store.ledger import Lease, Ledger, Load, overload
from gateway.store.rows import (
    Alleged,
    ArchiveState,
    CommandRow,
    InstructionRow,
    Linked,
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
    "Alleged",
    "ArchiveState",
    "CommandRow",
    "InstructionRow",
    "Lease",
    "Ledger",
    "Linked",
    "Load",
    "NewEvent",
    "Origin",
    "OutboxState",
    "ParkedRow",
    "Parking",
    "SendRow",
    "Unit",
    "WaitingReply",
    "overload",
]
