"""What operators ask the ledger about time, and the one thing they write: a change of a cut-off.

Every function takes a connection of ``Ledger.query`` (one snapshot), ``change_cutoff`` one of ``Ledger.execute``.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, date, datetime, time

import msgspec
from sqlalchemy import Connection, func, insert, or_, select

from gateway.calendar.deadlines import Cutoff, Deadline
from gateway.lifecycle import terms_in_force, timing
from gateway.model.facts import State, Terms
from gateway.model.transitions import FINISHED
from gateway.penalties import Fail, fail_of
from gateway.store import tables
from gateway.store.rows import CutoffChange
from gateway.store.views import CommandRefused, DeadlineView

_STATE = msgspec.json.Decoder(State)
_TERMS = msgspec.json.Decoder(Terms)
_DEADLINES = msgspec.json.Decoder(tuple[Deadline, ...])


def read_deadlines(content: bytes) -> tuple[Deadline, ...]:
    """Read the deadlines of an instruction as the ledger keeps them."""
    return _DEADLINES.decode(content)


def deadlines_of(connection: Connection, instruction_id: int) -> tuple[Deadline, ...]:
    """Return the deadlines of an instruction; none where the loop has not seen it yet."""
    table = tables.deadline
    content = connection.execute(select(table.c.content).where(table.c.instruction_id == instruction_id)).scalar()
    return () if content is None else read_deadlines(content)


def list_deadlines(
    connection: Connection, *, counterparty: str | None = None, kind: str | None = None, limit: int | None = 50
) -> list[DeadlineView]:
    """Return instructions of which something is still to be told, the next first; ``kind`` is of what comes next."""
    deadline, instruction = tables.deadline, tables.instruction
    names = ("transaction_id", "source", "trade_id", "instruction_number", "counterparty", "headline", "currency")
    query = (
        select(deadline.c.next_at, deadline.c.content, instruction)
        .join(instruction, instruction.c.id == deadline.c.instruction_id)
        .where(deadline.c.next_at.is_not(None))
        .order_by(deadline.c.next_at, deadline.c.instruction_id)
    )
    for dialogue, finished in FINISHED.items():  # the loop ends them when it looks next
        query = query.where(or_(instruction.c.dialogue != dialogue, instruction.c.headline.not_in(finished)))
    if counterparty is not None:
        query = query.where(instruction.c.counterparty.startswith(counterparty, autoescape=True))
    found: list[DeadlineView] = []
    for row in connection.execute(query).mappings():
        if limit is not None and len(found) == limit:
            break
        state, deadlines = _STATE.decode(row["state"]), read_deadlines(row["content"])
        ahead = [one for one in deadlines if one.is_open and not timing.has_happened(state, one.kind)]
        following = min(ahead, key=lambda one: one.next_at, default=None)
        if following is not None and kind in (None, following.kind):
            found.append(
                DeadlineView(
                    **{name: row[name] for name in (*names, "settlement_date")},
                    kind=following.kind,
                    due_at=following.due_at,
                    told_at=following.next_at,
                    deadlines=deadlines,
                )
            )
    return found


def list_fails(
    connection: Connection, until: date, *, counterparty: str | None = None, identifier: str | None = None
) -> list[tuple[str, str, Fail]]:
    """Return what was failing on a day: (trade, counterparty, fail), the oldest intended date first.

    That is what is open still and whose date has come, and what settled or was cancelled later than that day, or had a
    penalty reported on that day or later; or, failing or not, the one with a transaction identification. Reads every
    instruction, so not for every second.
    """
    table = tables.instruction
    query = select(table).order_by(table.c.settlement_date, table.c.id)
    if identifier is not None:
        query = query.where(table.c.transaction_id == identifier)
    else:
        changed_since = table.c.updated_at >= datetime.combine(until, time(), UTC)
        query = query.where(table.c.settlement_date <= until)
        for dialogue, finished in FINISHED.items():
            is_open = table.c.headline.not_in(finished)
            query = query.where(or_(table.c.dialogue != dialogue, is_open, changed_since))
    if counterparty is not None:
        query = query.where(table.c.counterparty.startswith(counterparty, autoescape=True))
    found = []
    for row in connection.execute(query).mappings():
        state, terms = _STATE.decode(row["state"]), _TERMS.decode(row["terms"])
        if not (timing.settles(state) and timing.is_ours(state)):
            continue
        fail = fail_of(row["transaction_id"], terms_in_force(state, terms), state, row["created_at"].date())
        if fail is None:
            continue
        over = row["headline"] in FINISHED[row["dialogue"]] and (fail.ended_on is None or fail.ended_on <= until)
        over = over and not any(one.asserted_at and one.asserted_at.date() >= until for one in fail.reported)
        if identifier is not None or not over:
            found.append((f"{row['source']}/{row['trade_id']}", row["counterparty"], fail))
    return found


def cutoff_changes(connection: Connection) -> list[CutoffChange]:
    """Return every change that operators made to cut-offs, in order."""
    table = tables.cutoff
    return [
        CutoffChange(
            id=row["id"],
            action=row["action"],
            cutoff=Cutoff.model_validate_json(bytes(row["content"])),
            actor=row["actor"],
            reason=row["reason"],
            created_at=row["created_at"],
        )
        for row in connection.execute(select(table).order_by(table.c.id)).mappings()
    ]


def last_cutoff_change(connection: Connection) -> int:
    """Return the number of the last change; 0 when there was none."""
    return int(connection.execute(select(func.max(tables.cutoff.c.id))).scalar() or 0)


def standing_changes(changes: Iterable[CutoffChange]) -> list[CutoffChange]:
    """Return those that hold: the last of each cut-off's criteria, unless it was cleared."""
    last = {change.cutoff.key: change for change in changes}
    return [change for change in last.values() if change.action == "set"]


def change_cutoff(
    connection: Connection, action: str, cutoff: Cutoff | int, actor: str, reason: str, now: datetime
) -> CutoffChange | CommandRefused:
    """Record that an operator sets a cut-off, or clears one by the number of the change that set it.

    The running gateway finds the row and looks again at every open instruction that it may be about.
    """
    if not reason.strip() or not actor.strip():
        return CommandRefused("command_without_reason", "user and reason are recorded for ever: give both")
    if isinstance(cutoff, int):
        standing = {change.id: change for change in standing_changes(cutoff_changes(connection))}
        if cutoff not in standing:
            text = f"change {cutoff} sets no cut-off that holds; those of the configuration are changed there"
            return CommandRefused("cutoff_not_set", text)
        cutoff = standing[cutoff].cutoff
    values = {"action": action, "content": cutoff.model_dump_json().encode(), "actor": actor.strip()}
    result = connection.execute(insert(tables.cutoff).values(**values, reason=reason.strip(), created_at=now))
    key = result.inserted_primary_key
    assert key is not None
    return CutoffChange(int(key[0]), action, cutoff, actor.strip(), reason.strip(), now)
