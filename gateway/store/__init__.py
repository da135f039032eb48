"""The ledger: SQLite embedded, PostgreSQL for production, one contract."""

from gateway.store.ledger import Lease, Ledger, Load, overload
from gateway.store.received import StatementRow
from gateway.store.rows import (
    Alleged,
    ArchiveState,
    CommandRow,
    CutoffChange,
    InstructionRow,
    Linked,
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
    "Alleged",
    "ArchiveState",
    "CommandRow",
    "CutoffChange",
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
    "StatementRow",
    "Unit",
    "WaitingReply",
    "WatchRow",
    "cutoffs_in_force",
    "overload",
]
