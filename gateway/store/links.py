"""Links between instructions: kept as they were said, resolved when they are asked for, in either direction."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import msgspec
from sqlalchemy import Connection, and_, delete, or_, select, update

from gateway.model.facts import OWN_NAMES, State
from gateway.model.transitions import UNDONE
from gateway.store import tables
from gateway.store.among import among
from gateway.store.pending import Pending
from gateway.store.rows import InstructionRow, Linked

_OF_ITS_CHANNEL = ("account_servicer_transaction_id", "market_infrastructure_transaction_id")
"""Names that somebody else gave: they are unique with one counterparty only."""

_STATE = msgspec.json.Decoder(State)


def linked_with(connection: Connection, instruction_id: int) -> list[Linked]:
    """Return what an instruction says that it goes with, and what says so of it; one with a name nobody has, too.

    Those that state the same pool, block or allocation go with each other. Which of the two came first does not matter.
    """
    link, table = tables.link, tables.instruction
    me = connection.execute(select(table).where(table.c.id == instruction_id)).mappings().one()
    own = connection.execute(
        select(link).where(link.c.instruction_id == instruction_id).order_by(link.c.stated_at, link.c.value)
    )
    found: list[Linked] = []
    for row in own.mappings():
        if row["names"] in OWN_NAMES:
            others = _named(connection, row["names"], row["value"], me["counterparty"])
            direction = "states"
        else:
            query = select(link.c.instruction_id).where(
                link.c.value == row["value"], link.c.names == row["names"], link.c.ended_by.is_(None)
            )
            others, direction = list(connection.execute(query).scalars()), "shares"
        ended = _ended(connection, instruction_id, row["ended_by"])
        known: list[int | None] = [number for number in others if number != instruction_id]
        found += [
            Linked(direction, row["relation"], row["names"], row["value"], number, ended) for number in known or [None]
        ]
    wanted = [and_(link.c.names == name, link.c.value == me[name]) for name in OWN_NAMES if me[name] is not None]
    query = (
        select(link, table.c.counterparty)
        .join(table, table.c.id == link.c.instruction_id)
        .where(or_(*wanted), link.c.instruction_id != instruction_id)
        .order_by(link.c.stated_at, link.c.instruction_id)
    )
    for row in connection.execute(query).mappings():
        if row["names"] in _OF_ITS_CHANNEL and row["counterparty"] != me["counterparty"]:
            continue
        number = row["instruction_id"]
        ended = _ended(connection, number, row["ended_by"])
        found.append(Linked("stated_by", row["relation"], row["names"], row["value"], number, ended))
    return found


def _named(connection: Connection, names: str, value: str, counterparty: str) -> list[int]:
    table = tables.instruction
    query = select(table.c.id).where(table.c[names] == value).order_by(table.c.id)
    if names in _OF_ITS_CHANNEL:
        query = query.where(table.c.counterparty == counterparty)
    return list(connection.execute(query).scalars())


def _ended(connection: Connection, instruction_id: int, ended_by: str | None) -> bool:
    """Tell whether the request to unlink was completed; until then the link holds."""
    if ended_by is None:
        return False
    table = tables.instruction
    state = connection.execute(select(table.c.state).where(table.c.id == instruction_id)).scalar_one()
    asked = (_STATE.decode(state).requests or {}).get(ended_by)
    return asked is not None and asked.status.value == "completed"


@dataclass
class Links(Pending):
    """State links, and look at those of instructions whose partners must be told."""

    _stated: set[tuple[int, str, str, str]] = field(default_factory=set)

    def add_link(self, row: InstructionRow, relation: str, names: str, value: str, cause: str) -> None:
        """Keep what an instruction goes with; said again it changes nothing, but that an ended link holds again."""
        table, key = tables.link, (row.id, relation, names, value)
        if key in self._stated:
            return
        self._stated.add(key)
        if row.id not in self._fresh:
            this = and_(*(column == part for column, part in zip(table.primary_key.columns, key, strict=True)))
            if self.connection.execute(update(table).where(this).values(ended_by=None)).rowcount:
                return
        self._rows[table].append((*key, cause, self.now, None))

    def end_link(self, row: InstructionRow, names: str, value: str, business_message_id: str) -> None:
        """Say which request of ours ends a link; it holds until that is completed."""
        table = tables.link
        self.connection.execute(
            update(table)
            .where(table.c.instruction_id == row.id, table.c.names == names, table.c.value == value)
            .values(ended_by=business_message_id)
        )

    def rechecks(self, limit: int) -> list[tuple[int, int]]:
        """Return (number, instruction) of those that are to be looked at once more, oldest first."""
        table = tables.recheck
        query = select(table.c.id, table.c.instruction_id).order_by(table.c.id).limit(limit)
        return [(row[0], row[1]) for row in self.connection.execute(query)]

    def end_rechecks(self, numbers: Sequence[int]) -> None:
        """Forget checks that were done; in the transaction that did them."""
        self.connection.execute(delete(tables.recheck).where(among(tables.recheck.c.id, numbers)))

    def parted(self, instruction_ids: Iterable[int]) -> dict[tuple[int, int], str]:
        """Return which of these go with an instruction where only one of the two was given up, and how (relation).

        All are asked together, and of a group only the members that matter are read: a block may have thousands.
        """
        link, table = tables.link, tables.instruction
        own = [table.c[name] for name in OWN_NAMES]
        query = select(table.c.id, table.c.counterparty, table.c.headline, *own).where(
            among(table.c.id, instruction_ids)
        )
        these = {row[0]: tuple(row) for row in self.connection.execute(query)}
        kept = {number for number, row in these.items() if row[2] not in UNDONE}
        found: dict[tuple[int, int], str] = {}

        def note(number: int, relation: str, names: str, other: int, counterparty: str, headline: str) -> None:
            if number == other or (number in kept) == (headline not in UNDONE):
                return
            if names not in _OF_ITS_CHANNEL or these[number][1] == counterparty:
                found[number, other] = relation

        stated: dict[str, dict[str, list[tuple[int, str]]]] = {}
        for number, relation, names, value, _, _, ended_by in self.connection.execute(
            select(link).where(among(link.c.instruction_id, these))
        ):
            if not _ended(self.connection, number, ended_by):
                stated.setdefault(names, {}).setdefault(value, []).append((number, relation))
        for names, by_value in stated.items():
            if names in OWN_NAMES:
                name = table.c[names]
                query = select(name, table.c.id, table.c.counterparty, table.c.headline).where(among(name, by_value))
            else:
                query = (
                    select(link.c.value, table.c.id, table.c.counterparty, table.c.headline)
                    .join(table, table.c.id == link.c.instruction_id)
                    .where(among(link.c.value, by_value), link.c.names == names, link.c.ended_by.is_(None))
                )
            if all(number in kept for said in by_value.values() for number, _ in said):
                query = query.where(among(table.c.headline, UNDONE))
            for value, other, counterparty, headline in self.connection.execute(query):
                for number, relation in by_value[value]:
                    note(number, relation, names, other, counterparty, headline)
        for place, names in enumerate(OWN_NAMES, 3):
            named: dict[str, list[int]] = {}
            for number, row in these.items():
                if row[place] is not None:
                    named.setdefault(row[place], []).append(number)
            if not named:
                continue
            query = (
                select(link, table.c.counterparty, table.c.headline)
                .join(table, table.c.id == link.c.instruction_id)
                .where(among(link.c.value, named), link.c.names == names)
            )
            for other, relation, _, value, _, _, ended_by, counterparty, headline in self.connection.execute(query):
                if not _ended(self.connection, other, ended_by):
                    for number in named[value]:
                        note(number, relation, names, other, counterparty, headline)
        return found

    def causes(self, instruction_ids: Iterable[int], kind: str) -> set[tuple[int, str]]:
        """Return (instruction, identifier) of the causes of one kind in the history of instructions."""
        table = tables.history
        query = select(table.c.instruction_id, table.c.cause).where(
            among(table.c.instruction_id, set(instruction_ids)), table.c.cause.startswith(f"{kind}:", autoescape=True)
        )
        return {(row[0], row[1].removeprefix(f"{kind}:")) for row in self.connection.execute(query)}
