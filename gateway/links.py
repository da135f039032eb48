"""What goes with what: links are kept as events state them, and a part that ends without settling marks the rest.

The marking has a transaction of its own, soon after: what ends an instruction locks that instruction alone, and its
partners are locked here, all in the order of their identifiers. Which links are to be looked at is kept in the ledger,
so that a crash loses nothing, and an instruction's history says whom it was told of, so that it is told once.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from gateway import lifecycle
from gateway.model.facts import InstructionName, Link
from gateway.model.references import transaction_id
from gateway.model.reports import Cause
from gateway.model.transitions import UNDONE, Dialogue
from gateway.store import InstructionRow, Unit

ACTOR: Final = "gateway"


def state(unit: Unit, own_bic: str, row: InstructionRow, links: Sequence[Link], cause: str, message_id: str) -> None:
    """Keep the links that an event states, in the caller's transaction; ``message_id`` is the message it becomes."""
    for link in links:
        value = link.value
        if isinstance(value, InstructionName):
            value = transaction_id(
                own_bic, value.source, value.trade_id, Dialogue(value.dialogue), value.instruction_number
            )
        if link.ends:
            unit.end_link(row, link.names, value, message_id)
        else:
            unit.add_link(row, link.relation, link.names, value, cause)
    if links:
        unit.recheck([row.id])


def mark(unit: Unit, pairs: Mapping[tuple[int, int], str]) -> list[tuple[InstructionRow, str]]:
    """Alert what goes with an instruction that settles nothing, or no longer, once.

    Returns the instructions that were told, each with the transaction identification of the one that ended.
    """
    rows = unit.lock(sorted({number for pair in pairs for number in pair}))
    known = unit.causes(rows, "link")
    told = []
    for (one, other), relation in sorted(pairs.items()):
        for gone, left in ((rows[one], rows[other]), (rows[other], rows[one])):
            if gone.headline not in UNDONE or left.headline in UNDONE:
                continue
            if (left.id, gone.transaction_id) in known:
                continue
            known.add((left.id, gone.transaction_id))
            _tell(unit, left, gone, relation)
            told.append((left, gone.transaction_id))
    return told


def _tell(unit: Unit, row: InstructionRow, gone: InstructionRow, relation: str) -> None:
    name = f"{gone.source}/{gone.trade_id} #{gone.instruction_number}"
    text = f"{gone.dialogue} {gone.transaction_id} ({name}, linked as {relation}) is {gone.headline}."
    unit.move(
        row,
        row.state,
        row.headline,
        action="linked_ended",
        actor=ACTOR,
        cause=Cause("link", gone.transaction_id),
        alerts=(lifecycle.alert("linked_instruction_ended", text),),
    )
