"""What operators ask the ledger, and the one thing they write: a command row that the running gateway executes.

Every function takes a connection of ``Ledger.query`` (one snapshot), ``submit_command`` one of ``Ledger.execute``.
Lists come newest first in pages: give the last ``id`` as ``before`` to go on.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any

import msgspec
from sqlalchemy import Connection, Select, func, insert, or_, select

from gateway.errors import Violation
from gateway.model.facts import Alert, Change, State, Terms
from gateway.model.references import trade_key
from gateway.store import tables
from gateway.store.alleged import counterparts
from gateway.store.links import linked_with
from gateway.store.parking import harmless
from gateway.store.rows import ArchiveState, OutboxState
from gateway.store.timing import deadlines_of
from gateway.store.views import (
    AttemptView,
    CommandRefused,
    CommandView,
    Content,
    Counts,
    DocumentView,
    EventView,
    HistoryView,
    InstructionSummary,
    LinkView,
    ParkedItem,
    ParkedSummary,
    ReplyView,
    Story,
)

Snapshot = Connection  # what a query runs on, for callers that need not know the library
COMMANDS = ("repair", "release", "discard")
_MANY_SOURCES = 200


class _Detail(msgspec.Struct):
    before: str = ""
    headline: str = ""
    changes: tuple[Change, ...] = ()
    alerts: tuple[Alert, ...] = ()


_DETAIL = msgspec.json.Decoder(_Detail)
_STATE = msgspec.json.Decoder(State)
_TERMS = msgspec.json.Decoder(Terms)
_VIOLATIONS = msgspec.json.Decoder(tuple[Violation, ...])


# Instructions ---------------------------------------------------------------------------------------------------------


def list_instructions(
    connection: Connection,
    *,
    headline: str | None = None,
    counterparty: str | None = None,
    dialogue: str | None = None,
    trade: str | None = None,
    changed_since: datetime | None = None,
    before: int | None = None,
    limit: int = 50,
) -> list[InstructionSummary]:
    """Return instructions, newest first. ``trade`` is a trade identification, alone or as ``source/trade``."""
    table = tables.instruction
    query = select(table).order_by(table.c.id.desc()).limit(limit)
    for column, value in ((table.c.headline, headline), (table.c.dialogue, dialogue)):
        if value is not None:
            query = query.where(column == value)
    if counterparty is not None:
        query = query.where(table.c.counterparty.startswith(counterparty, autoescape=True))
    if trade is not None:
        query = _of_trade(connection, query, table, trade)
    if changed_since is not None:
        query = query.where(table.c.updated_at >= changed_since)
    if before is not None:
        query = query.where(table.c.id < before)
    return [_summary(row, _TERMS.decode(row["terms"])) for row in connection.execute(query).mappings()]


def show_instruction(connection: Connection, identifier: str, *, content: bool = False) -> list[Story]:
    """Return the whole story of what an identifier names; empty where it names nothing.

    It is tried as transaction identification, business message identifier (ours or theirs), the servicer's
    identification, UETR or end-to-end identification, trade (alone or as ``source/trade``: all its instructions), and
    row number, in this order.
    """
    for find in _FINDERS:
        ids = sorted(find(connection, identifier))
        if ids:
            return [_story(connection, number, content) for number in ids]
    return []


def _by_transaction(connection: Connection, identifier: str) -> Iterable[int]:
    table = tables.instruction
    return connection.execute(select(table.c.id).where(table.c.transaction_id == identifier)).scalars()


def _by_message(connection: Connection, identifier: str) -> Iterable[int]:
    ours, theirs = tables.document, tables.archive
    found = connection.execute(select(ours.c.instruction_id).where(ours.c.business_message_id == identifier)).scalars()
    channels = select(tables.lease.c.channel)  # archive_message is an index by channel and message
    query = select(theirs.c.instruction_id).where(
        theirs.c.channel.in_(channels),
        theirs.c.business_message_id == identifier,
        theirs.c.instruction_id.is_not(None),
    )
    return {*found, *connection.execute(query).scalars()}


def _by_servicer(connection: Connection, identifier: str) -> Iterable[int]:
    table = tables.instruction
    query = select(table.c.id).where(table.c.account_servicer_transaction_id == identifier)
    return connection.execute(query).scalars()


def _by_reference(connection: Connection, identifier: str) -> Iterable[int]:
    table = tables.reference
    query = select(table.c.instruction_id).where(table.c.kind.in_(("uetr", "end_to_end_id")))
    return connection.execute(query.where(table.c.value == identifier)).scalars()


def _by_trade(connection: Connection, identifier: str) -> Iterable[int]:
    table = tables.instruction
    return connection.execute(_of_trade(connection, select(table.c.id), table, identifier)).scalars()


def _by_number(connection: Connection, identifier: str) -> Iterable[int]:
    if not (identifier.isascii() and identifier.isdigit() and len(identifier) < 19):
        return ()
    table = tables.instruction
    return connection.execute(select(table.c.id).where(table.c.id == int(identifier))).scalars()


_FINDERS = (_by_transaction, _by_message, _by_servicer, _by_reference, _by_trade, _by_number)


def _of_trade(connection: Connection, query: Select[Any], table: Any, trade: str) -> Select[Any]:
    """Narrow a query to a trade by its indexed key, which takes the source: the known ones are tried."""
    source, slash, rest = trade.partition("/")
    wanted = [(source, rest)] if slash and rest else []
    sources = _sources(connection)
    if sources is None:
        return query.where(or_(table.c.trade_id == trade, (table.c.source == source) & (table.c.trade_id == rest)))
    wanted += [(known, trade) for known in sources]
    query = query.where(table.c.trade_key.in_({trade_key(*pair) for pair in wanted}))
    return query.where(table.c.trade_id.in_({trade_id for _, trade_id in wanted}))


def _sources(connection: Connection) -> list[str] | None:
    """Walk the index of events from source to source; None where there are too many to try each."""
    column = tables.event.c.source
    found: list[str] = []
    following = connection.execute(select(func.min(column))).scalar()
    while following is not None and len(found) < _MANY_SOURCES:
        found.append(following)
        following = connection.execute(select(func.min(column)).where(column > following)).scalar()
    return found if following is None else None


def _story(connection: Connection, number: int, content: bool) -> Story:
    table = tables.instruction
    row = connection.execute(select(table).where(table.c.id == number)).mappings().one()
    terms, state = _TERMS.decode(row["terms"]), _STATE.decode(row["state"])
    history = _history(connection, number)
    documents = _documents(connection, number, content)
    causes = {entry.cause.removeprefix("event:") for entry in history if entry.cause.startswith("event:")}
    causes |= {document.cause for document in documents}
    return Story(
        instruction=_summary(row, terms),
        account_servicer_transaction_id=row["account_servicer_transaction_id"],
        terms=terms,
        state=state,
        events=_events(connection, row["source"], causes, content),
        documents=documents,
        replies=_replies(connection, number, state, content),
        history=history,
        parked=_parked_of(connection, row["trade_key"], row["trade_id"], row["instruction_number"]),
        deadlines=deadlines_of(connection, number),
        links=_links(connection, number),
        counterparts=counterparts(connection, state, terms),
    )


def _links(connection: Connection, number: int) -> tuple[LinkView, ...]:
    table = tables.instruction
    found = linked_with(connection, number)
    names = ("transaction_id", "source", "trade_id", "instruction_number", "dialogue", "counterparty", "headline")
    query = select(table.c.id, *(table.c[name] for name in names))
    rows = connection.execute(query.where(table.c.id.in_({one.instruction_id for one in found}))).fetchall()
    others = {row[0]: dict(zip(names, row[1:], strict=True)) for row in rows}
    return tuple(
        LinkView(
            one.direction, one.relation, one.names, one.value, one.ended, **others.get(one.instruction_id or 0, {})
        )
        for one in found
    )


def _summary(row: Any, terms: Terms) -> InstructionSummary:
    return InstructionSummary(
        **{name: row[name] for name in _SAME_NAMES},
        movement=terms.movement,
        payment=terms.payment,
        isin=terms.isin,
        quantity_type=terms.quantity.type if terms.quantity else None,
    )


_SAME_NAMES = tuple(
    name for name in InstructionSummary.__dataclass_fields__ if name in {column.name for column in tables.instruction.c}
)


def _events(connection: Connection, source: str, event_ids: set[str], content: bool) -> tuple[EventView, ...]:
    table = tables.event
    query = select(table).where(table.c.source == source, table.c.event_id.in_(event_ids)).order_by(table.c.id)
    return tuple(
        EventView(
            id=row["id"],
            source=row["source"],
            event_id=row["event_id"],
            kind=row["kind"],
            received_at=row["received_at"],
            origin=f"{row['topic']}/{row['partition']}/{row['offset']}",
            disposition=row["disposition"],
            content=readable(row["content"]) if content else None,
        )
        for row in connection.execute(query).mappings()
    )


def _documents(connection: Connection, number: int, content: bool) -> tuple[DocumentView, ...]:
    document, outbox, attempt = tables.document, tables.outbox, tables.attempt
    mine = select(document.c.id).where(document.c.instruction_id == number)
    attempts: dict[int, list[AttemptView]] = defaultdict(list)
    query = select(attempt).where(attempt.c.document_id.in_(mine)).order_by(attempt.c.document_id, attempt.c.number)
    for row in connection.execute(query).mappings():
        attempts[row["document_id"]].append(
            AttemptView(
                number=row["number"],
                started_at=row["started_at"],
                ended_at=row["ended_at"],
                possible_duplicate=bool(row["possible_duplicate"]),
                outcome=row["outcome"],
                code=row["code"],
                reference=row["reference"],
            )
        )
    found = connection.execute(
        select(document, outbox.c.channel, outbox.c.state)
        .join(outbox, outbox.c.document_id == document.c.id)
        .where(document.c.instruction_id == number)
        .order_by(document.c.id)
    ).mappings()
    return tuple(
        DocumentView(
            id=row["id"],
            role=row["role"],
            cause=row["cause"],
            message_definition=row["message_definition"],
            business_message_id=row["business_message_id"],
            created_at=row["created_at"],
            channel=row["channel"],
            state=OutboxState(row["state"]).name.lower(),
            attempts=tuple(attempts[row["id"]]),
            content=readable(row["content"]) if content else None,
        )
        for row in found
    )


def _replies(connection: Connection, number: int, state: State, content: bool) -> tuple[ReplyView, ...]:
    """Return the replies about an instruction; one that speaks of several is named by the state of each."""
    table = tables.archive
    named = {axis.archive_id for axis in (state.axes or {}).values()} | {part.archive_id for part in state.parts}
    named |= set((state.sources or {}).values())
    query = select(table).where(or_(table.c.instruction_id == number, table.c.id.in_(named))).order_by(table.c.id)
    return tuple(
        ReplyView(
            archive_id=row["id"],
            channel=row["channel"],
            carrier_key=row["carrier_key"],
            received_at=row["received_at"],
            state=ArchiveState(row["state"]).name.lower(),
            repeats=row["repeats"],
            message_definition=row["message_definition"],
            business_message_id=row["business_message_id"],
            content=readable(row["content"]) if content else None,
        )
        for row in connection.execute(query).mappings()
    )


def _history(connection: Connection, number: int) -> tuple[HistoryView, ...]:
    table = tables.history
    query = select(table).where(table.c.instruction_id == number).order_by(table.c.sequence)
    entries = []
    for row in connection.execute(query).mappings():
        detail = _DETAIL.decode(row["detail"])
        entries.append(
            HistoryView(
                sequence=row["sequence"],
                at=row["at"],
                actor=row["actor"],
                action=row["action"],
                cause=row["cause"],
                before=detail.before,
                headline=detail.headline,
                changes=detail.changes,
                alerts=detail.alerts,
                hash=bytes(row["hash"]).hex(),
            )
        )
    return tuple(entries)


# Parked items ---------------------------------------------------------------------------------------------------------

_PARKED_COLUMNS = tuple(tables.parked.c[name] for name in ParkedSummary.__dataclass_fields__)


def list_parked(
    connection: Connection,
    *,
    state: str | None = "open",
    code: str | None = None,
    stage: str | None = None,
    trade: str | None = None,
    counterparty: str | None = None,
    before: int | None = None,
    limit: int = 50,
) -> list[ParkedSummary]:
    """Return parked items, newest first; ``open`` are those that still wait too, None is every state."""
    table = tables.parked
    query = select(*_PARKED_COLUMNS).order_by(table.c.id.desc()).limit(limit)
    if state is not None:
        query = query.where(table.c.state.in_(("open", "waiting") if state == "open" else (state,)))
    for column, value in ((table.c.code, code), (table.c.stage, stage)):
        if value is not None:
            query = query.where(column == value)
    if counterparty is not None:
        query = query.where(table.c.counterparty.startswith(counterparty, autoescape=True))
    if trade is not None:
        query = _of_trade(connection, query, table, trade)
    if before is not None:
        query = query.where(table.c.id < before)
    return [ParkedSummary(*row) for row in connection.execute(query)]


def _parked_of(connection: Connection, key: int, trade_id: str, number: int) -> tuple[ParkedSummary, ...]:
    table = tables.parked
    query = select(*_PARKED_COLUMNS).where(table.c.trade_key == key, table.c.trade_id == trade_id)
    query = query.where(or_(table.c.instruction_number == number, table.c.instruction_number.is_(None)))
    return tuple(ParkedSummary(*row) for row in connection.execute(query.order_by(table.c.id)))


def show_parked(connection: Connection, parked_id: int, *, content: bool = True) -> ParkedItem | None:
    """Return a parked item with its original as it came, and how many later events of its trade it holds."""
    table, commands, event = tables.parked, tables.command, tables.event
    row = connection.execute(select(table).where(table.c.id == parked_id)).mappings().first()
    if row is None:
        return None
    transaction = select(tables.instruction.c.transaction_id).where(tables.instruction.c.id == row["instruction_id"])
    held = select(func.count()).where(event.c.trade_key == row["trade_key"], event.c.disposition == "held")
    given = connection.execute(select(commands).where(commands.c.parked_id == parked_id).order_by(commands.c.id))
    original = _original(connection, row) if content else None
    return ParkedItem(
        summary=ParkedSummary(*(row[column.name] for column in _PARKED_COLUMNS)),
        violations=_VIOLATIONS.decode(row["violations"]),
        transaction_id=connection.execute(transaction).scalar(),
        holding=connection.execute(held).scalar_one() if row["state"] in ("open", "waiting") else 0,
        commands=tuple(_command(command) for command in given.mappings()),
        original=None if original is None else readable(original),
        repaired=readable(row["repaired"]) if content and row["repaired"] is not None else None,
    )


def original_content(connection: Connection, parked_id: int) -> bytes | None:
    """Return the exact bytes of what was parked: the event, our document or the reply; None where there is none."""
    row = connection.execute(select(tables.parked).where(tables.parked.c.id == parked_id)).mappings().first()
    return None if row is None else _original(connection, row)


def _original(connection: Connection, row: Any) -> bytes | None:
    for name, table in (("event_row", tables.event), ("document_id", tables.document), ("archive_id", tables.archive)):
        if row[name] is not None:
            content = connection.execute(select(table.c.content).where(table.c.id == row[name])).scalar()
            return None if content is None else bytes(content)
    return None


# Commands -------------------------------------------------------------------------------------------------------------


def submit_command(
    connection: Connection,
    kind: str,
    parked_id: int,
    content: bytes | None,
    actor: str,
    reason: str,
    now: datetime,
) -> int | CommandRefused:
    """Ask the running gateway to repair, release or discard a parked item; returns the command's number."""
    table = tables.parked
    if kind not in COMMANDS:
        return CommandRefused("command_unknown", f"no command {kind!r}; one of {', '.join(COMMANDS)}")
    if not reason.strip() or not actor.strip():
        return CommandRefused("command_without_reason", "user and reason are recorded for ever: give both")
    if (kind == "repair") != bool(content):
        return CommandRefused("repair_without_content", "a repair, and only a repair, takes the corrected content")
    state = connection.execute(select(table.c.state).where(table.c.id == parked_id).with_for_update()).scalar()
    if state is None:
        return CommandRefused("parked_unknown", f"there is no parked item {parked_id}")
    if state not in ("open", "waiting"):
        return CommandRefused("parked_closed", f"parked item {parked_id} is {state} already")
    commands = tables.command
    waiting = select(commands.c.id).where(commands.c.parked_id == parked_id, commands.c.state == "waiting")
    earlier = connection.execute(waiting).scalar()
    if earlier is not None:
        return CommandRefused("command_waiting", f"command {earlier} for parked item {parked_id} waits already")
    values = {
        "kind": kind,
        "parked_id": parked_id,
        "content": content,
        "actor": harmless(actor.strip()),
        "reason": harmless(reason.strip()),
    }
    result = connection.execute(insert(commands).values(**values, created_at=now, state="waiting"))
    key = result.inserted_primary_key
    assert key is not None
    return int(key[0])


def await_command(connection: Connection, command_id: int) -> CommandView | None:
    """Return a command with its answer once it has one: look again until ``state`` is no longer ``waiting``."""
    row = connection.execute(select(tables.command).where(tables.command.c.id == command_id)).mappings().first()
    return None if row is None else _command(row)


def _command(row: Any) -> CommandView:
    return CommandView(**{name: row[name] for name in CommandView.__dataclass_fields__})


# Summary --------------------------------------------------------------------------------------------------------------


def counts(connection: Connection) -> Counts:
    """Count what is in the ledger; reads every instruction and archive row, so not for every second."""
    instruction, parked, outbox, archive = tables.instruction, tables.parked, tables.outbox, tables.archive
    publication, event, command = tables.publication, tables.event, tables.command

    def grouped(columns: Sequence[Any], *where: Any) -> list[Any]:
        return list(
            connection.execute(select(*columns, func.count()).where(*where).group_by(*columns).order_by(*columns))
        )

    def number(*where: Any) -> int:
        return int(connection.execute(select(func.count()).where(*where)).scalar_one())

    return Counts(
        instructions={row[0]: row[1] for row in grouped([instruction.c.headline])},
        parked={row[0]: row[1] for row in grouped([parked.c.code], parked.c.state == "open")},
        held_events=number(event.c.disposition == "held"),
        waiting_requests=number(parked.c.state == "waiting"),
        outbox={
            f"{row[0]} {OutboxState(row[1]).name.lower()}": row[2]
            for row in grouped([outbox.c.channel, outbox.c.state], outbox.c.state < int(OutboxState.DONE))
        },
        unpublished={row[0]: row[1] for row in grouped([publication.c.topic], publication.c.published_at.is_(None))},
        archive={ArchiveState(row[0]).name.lower(): row[1] for row in grouped([archive.c.state])},
        commands=number(command.c.state == "waiting"),
    )


def readable(content: bytes) -> Content:
    """Return text where the bytes are UTF-8, else the bytes."""
    try:
        return bytes(content).decode()
    except UnicodeDecodeError:
        return bytes(content)
