"""The ledger: SQLite embedded, PostgreSQL for production, one contract."""

from gateway.store.ledger import Lease, Ledger, Load
from gateway.store.rows import (
    ArchiveState,
    CommandRow,
    CutoffChange,
    InstructionRow,
    NewEvent,
    Origin,
    OutboxState,
    ParkedRow,
    Parking,
    SendRow,
    WaitingReply,
    WatchRow,
    cutoffs_in_force,
)
from gateway.store.unit import Unit

__all__ = [
    "ArchiveState",
    "CommandRow",
    "CutoffChange",
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
    "Unit",
    "WaitingReply",
    "WatchRow",
    "cutoffs_in_force",
]
