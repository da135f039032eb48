"""What operators ask of trades that the other side began: the open ones, ours beside theirs, and their answer.

Every function takes a connection of ``Ledger.query`` (one snapshot), ``submit_answer`` one of ``Ledger.execute``.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import datetime
from typing import Any

import msgspec
from sqlalchemy import Connection, and_, insert, or_, select

from gateway import lifecycle, matching
from gateway.errors import EventError
from gateway.model.events import parse_event
from gateway.model.facts import Counterpart, State, Terms
from gateway.model.transitions import Dialogue
from gateway.store import tables
from gateway.store.parking import harmless
from gateway.store.views import AllegementSummary, CommandRefused, CounterpartView

_STATE = msgspec.json.Decoder(State)
_TERMS = msgspec.json.Decoder(Terms)
_WAITING = ("alleged", "agrees", "differs")  # headlines at which nobody has answered yet
ANSWERS = ("affirm", "disaffirm", "consent", "reject", "pending", "forwarded")
_OF_A_TRADE = ("affirm", "disaffirm")


def list_allegements(
    connection: Connection,
    *,
    counterparty: str | None = None,
    closed: bool = False,
    before: int | None = None,
    limit: int = 50,
) -> list[AllegementSummary]:
    """Return trades that the other side began, newest first; unless ``closed``, only those that wait for somebody."""
    table = tables.instruction
    theirs = table.c.dialogue.in_((Dialogue.ALLEGEMENT, Dialogue.ALLEGED_TRADE))
    generated = and_(table.c.dialogue == Dialogue.SETTLEMENT, table.c.headline == "generated")
    query = select(table).where(or_(theirs if closed else theirs & table.c.headline.in_(_WAITING), generated))
    if counterparty is not None:
        query = query.where(table.c.counterparty.startswith(counterparty, autoescape=True))
    if before is not None:
        query = query.where(table.c.id < before)
    found = connection.execute(query.order_by(table.c.id.desc()).limit(limit)).mappings().fetchall()
    return [_summary(connection, row) for row in found]


def _summary(connection: Connection, row: Any) -> AllegementSummary:
    terms, state = _TERMS.decode(row["terms"]), _STATE.decode(row["state"])
    views = counterparts(connection, state, terms)
    best = views[0] if views else None
    compared = (state.axes or {}).get("comparison")

    def fields(verdict: str) -> tuple[str, ...]:
        return () if best is None else tuple(line.field for line in best.fields if line.verdict == verdict)

    return AllegementSummary(
        id=row["id"],
        transaction_id=row["transaction_id"],
        counterparty=row["counterparty"],
        reference=row["trade_id"],
        dialogue=row["dialogue"],
        headline=row["headline"],
        comparison=None if compared is None else compared.status.value,
        terms=lifecycle.describe(terms).removeprefix("Theirs: ").removesuffix("."),
        ours=best,
        agreed=fields("agrees"),
        differing=fields("differs"),
        unstated=fields("unknown"),
        created_at=row["created_at"],
    )


def counterparts(connection: Connection, state: State, theirs: Terms) -> tuple[CounterpartView, ...]:
    """Put what of ours the other side's trade was compared with beside it, the best one first, as it stands now."""
    return tuple(_beside(connection, one, theirs) for one in state.counterparts)


def _beside(connection: Connection, one: Counterpart, theirs: Terms) -> CounterpartView:
    table, parked, event = tables.instruction, tables.parked, tables.event
    ours: Terms | None = None
    if one.kind == "instruction":
        row = connection.execute(select(table).where(table.c.transaction_id == one.identifier)).mappings().first()
        stands = None if row is None else row["headline"]
        if row is not None:
            ours = lifecycle.terms_in_force(_STATE.decode(row["state"]), _TERMS.decode(row["terms"]))
    else:
        query = (
            select(parked, event.c.content)
            .join(event, event.c.id == parked.c.event_row)
            .where(parked.c.id == int(one.identifier))
        )
        row = connection.execute(query).mappings().first()
        stands = None if row is None else ("parked" if row["state"] == "open" else row["state"])
        if row is not None:
            try:
                ours = parse_event(bytes(row["content"])).terms()
            except EventError:
                ours = None
    return CounterpartView(
        kind=one.kind,
        identifier=one.identifier,
        source=None if row is None else row["source"],
        trade_id=None if row is None else row["trade_id"],
        instruction_number=None if row is None else row["instruction_number"],
        compared_as=one.standing,
        stands=stands,
        fields=matching.side_by_side(one, ours, theirs),
    )


def submit_answer(
    connection: Connection,
    identifier: str,
    answer: str,
    code: str | None,
    text: str | None,
    actor: str,
    now: datetime,
) -> int | CommandRefused:
    """Ask the running gateway to answer a trade that the other side began; returns the command's number.

    It is named by its transaction identification, its row number, or the other side's reference.
    """
    commands = tables.command
    if answer not in ANSWERS:
        return CommandRefused("command_unknown", f"no answer {answer!r}; one of {', '.join(ANSWERS)}")
    if not actor.strip():
        return CommandRefused("command_without_reason", "the user is recorded for ever: give one")
    found = _named(connection, identifier)
    if len(found) != 1:
        what = "no trade" if not found else "more than one trade"
        return CommandRefused("allegement_not_found", f"{what} that the other side began is called {identifier}")
    row = found[0]
    right = Dialogue.ALLEGED_TRADE if answer in _OF_A_TRADE else Dialogue.ALLEGEMENT
    if row["dialogue"] != right:
        allowed = _OF_A_TRADE if row["dialogue"] == Dialogue.ALLEGED_TRADE else ANSWERS[2:]
        return CommandRefused(
            "answer_not_fitting", f"{identifier} is a {row['dialogue']}: the answers to it are {', '.join(allowed)}"
        )
    waiting = select(commands.c.id).where(commands.c.instruction_id == row["id"], commands.c.state == "waiting")
    earlier = connection.execute(waiting.with_for_update()).scalar()
    if earlier is not None:
        return CommandRefused("command_waiting", f"command {earlier} for {identifier} waits already")
    said = {"answer": answer, "code": code and harmless(code), "text": text and harmless(text)}
    values = {
        "kind": "answer",
        "instruction_id": row["id"],
        "content": json.dumps(said).encode(),
        "actor": harmless(actor.strip()),
        "reason": " ".join(str(part) for part in said.values() if part),
    }
    result = connection.execute(insert(commands).values(**values, created_at=now, state="waiting"))
    key = result.inserted_primary_key
    assert key is not None
    return int(key[0])


def _named(connection: Connection, identifier: str) -> Sequence[Any]:
    table = tables.instruction
    theirs = table.c.dialogue.in_((Dialogue.ALLEGEMENT, Dialogue.ALLEGED_TRADE))
    columns = (table.c.id, table.c.dialogue)
    ways = [table.c.transaction_id == identifier, table.c.trade_id == identifier]
    if identifier.isascii() and identifier.isdigit() and len(identifier) < 19:
        ways.append(table.c.id == int(identifier))
    for way in ways:
        found = connection.execute(select(*columns).where(theirs, way)).mappings().fetchall()
        if found:
            return found
    return []
