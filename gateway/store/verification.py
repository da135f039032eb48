"""Prove the history: every chain from its first entry to its head, and against what upstream was told."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from itertools import groupby, islice
from typing import Any

from sqlalchemy import Connection, select

from gateway.store import tables
from gateway.store.history import GENESIS, entry_hash
from gateway.store.tables import microseconds
from gateway.store.views import Fault, Verification

_PAGE = 500
_SHOWN = 1000


def verify_history(connection: Connection, progress: Callable[[int], None] | None = None) -> Verification:
    """Recompute every chain; ``progress`` is told how many instructions are done. Memory does not grow with the ledger.

    Faults: ``history_gap``, ``history_altered``, ``history_head``, ``history_length``, ``history_orphan``.
    """
    instruction, history = tables.instruction, tables.history
    done = entries = faulty = 0
    shown: list[Fault] = []
    last = -1
    while True:
        page = connection.execute(
            select(instruction.c.id, instruction.c.transaction_id, instruction.c.sequence, instruction.c.head_hash)
            .where(instruction.c.id > last)
            .order_by(instruction.c.id)
            .limit(_PAGE)
        ).all()
        query = select(history).where(history.c.instruction_id > last)
        if len(page) == _PAGE:  # the last page also takes entries behind the last instruction
            query = query.where(history.c.instruction_id <= page[-1][0])
        found = connection.execute(query.order_by(history.c.instruction_id, history.c.sequence)).mappings()
        chains = {number: list(chain) for number, chain in groupby(found, key=lambda row: int(row["instruction_id"]))}
        for row in page:
            chain = chains.pop(row[0], [])
            entries += len(chain)
            for fault in _faults(row, chain):
                faulty += 1
                shown.append(fault)
        for number, chain in chains.items():
            faulty += 1
            entries += len(chain)
            shown.append(Fault("history_orphan", number, None, None, f"{len(chain)} entries of no instruction"))
        del shown[_SHOWN:]
        done += len(page)
        if progress is not None:
            progress(done)
        if len(page) < _PAGE:
            return Verification(done, entries, tuple(shown), faulty)
        last = page[-1][0]


def _faults(instruction: Any, chain: list[Any]) -> Iterator[Fault]:
    number, transaction, sequence, head = instruction

    def fault(code: str, at: int | None, text: str) -> Fault:
        return Fault(code, number, transaction, at, text)

    previous, expected = GENESIS, 1
    for entry in chain:
        at = entry["sequence"]
        if at != expected:
            yield fault("history_gap", expected, f"entry {expected} is missing; the next is {at}")
        computed = entry_hash(
            previous,
            transaction,
            at,
            microseconds(entry["at"]),
            entry["actor"],
            entry["action"],
            entry["cause"],
            bytes(entry["detail"]),
        )
        previous = bytes(entry["hash"])
        if computed != previous and at == expected:
            yield fault("history_altered", at, f"entry {at}, or the one before it, is not what was written")
        expected = at + 1
    if expected - 1 != sequence:
        yield fault(
            "history_length", sequence, f"the history ends at {expected - 1}, the instruction stands at {sequence}"
        )
    elif bytes(head) != previous:
        yield fault("history_head", sequence, "the instruction's head is not the hash of its last entry")


def verify_witness(connection: Connection, told: Iterable[tuple[str, int, str]]) -> Verification:
    """Compare the history with status events that upstream kept: (transaction identification, sequence, head hash).

    A ledger whose chains were all written anew still differs from what was told: fault ``history_witness``.
    """
    instruction, history = tables.instruction, tables.history
    transactions: set[str] = set()
    entries = faulty = 0
    shown: list[Fault] = []
    events = iter(told)
    while batch := list(islice(events, _PAGE)):
        query = (
            select(instruction.c.transaction_id, history.c.sequence, history.c.hash, instruction.c.id)
            .join(history, history.c.instruction_id == instruction.c.id)
            .where(instruction.c.transaction_id.in_({transaction for transaction, _, _ in batch}))
            .where(history.c.sequence.in_({sequence for _, sequence, _ in batch}))
        )
        known = {(row[0], row[1]): (bytes(row[2]).hex(), row[3]) for row in connection.execute(query)}
        for transaction, sequence, head in batch:
            entries += 1
            transactions.add(transaction)
            kept, number = known.get((transaction, sequence), (None, 0))
            if kept != head.lower():
                faulty += 1
                text = "the ledger has no such entry" if kept is None else "the ledger's entry is another"
                shown.append(
                    Fault("history_witness", number, transaction, sequence, f"upstream was told {head}; {text}")
                )
        del shown[_SHOWN:]
    return Verification(len(transactions), entries, tuple(shown), faulty)
