"""The ledger: SQLite embedded, PostgreSQL for production, one contract."""

from gateway.store.ledger import Lease, Ledger
from gateway.store.rows import ArchiveState, InstructionRow, NewEvent, OutboxState, Parking, SendRow, WaitingReply
from gateway.store.unit import Unit

__all__ = [
    "ArchiveState",
    "InstructionRow",
    "Lease",
    "Ledger",
    "NewEvent",
    "OutboxState",
    "Parking",
    "SendRow",
    "Unit",
    "WaitingReply",
]
