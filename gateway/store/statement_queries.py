"""What operators ask of the statements: lists, one of them whole, and the differences; see ``queries``."""

from __future__ import annotations

from datetime import date
from typing import Any

from sqlalchemy import Connection, Select, select

from gateway.store import tables
from gateway.store.received import stated_positions
from gateway.store.views import DifferenceView, PageView, StatementStory, StatementSummary


def list_statements(
    connection: Connection,
    *,
    counterparty: str | None = None,
    kind: str | None = None,
    day: date | None = None,
    differing: bool = False,
    before: int | None = None,
    limit: int = 50,
) -> list[StatementSummary]:
    """Return statements, newest first; ``differing`` leaves out those that agree."""
    table = tables.statement
    query = _summaries().order_by(table.c.instruction_id.desc()).limit(limit)
    if counterparty is not None:
        query = query.where(table.c.counterparty.startswith(counterparty, autoescape=True))
    if kind is not None:
        query = query.where(table.c.kind == kind)
    if day is not None:
        query = query.where(table.c.statement_date == day)
    if differing:
        query = query.where(table.c.differences > 0)
    if before is not None:
        query = query.where(table.c.instruction_id < before)
    return [_summary(row) for row in connection.execute(query).mappings()]


def show_statement(connection: Connection, identifier: str) -> list[StatementStory]:
    """Return what a reference, transaction identification or row number names, whole; empty where it names nothing."""
    table, instruction = tables.statement, tables.instruction
    ways = [instruction.c.transaction_id == identifier, table.c.reference == identifier]
    if identifier.isascii() and identifier.isdigit() and len(identifier) < 19:
        ways.append(table.c.instruction_id == int(identifier))
    for way in ways:
        rows = connection.execute(_summaries().where(way).order_by(table.c.instruction_id)).mappings().all()
        if rows:
            return [_story(connection, row) for row in rows]
    return []


def list_differences(
    connection: Connection,
    *,
    counterparty: str | None = None,
    code: str | None = None,
    transaction: str | None = None,
    statement: int | None = None,
    limit: int = 200,
) -> list[DifferenceView]:
    """Return differences, those of the newest statement first; ``limit`` 0 for all."""
    table, statements = tables.statement_difference, tables.statement
    query = (
        select(table, statements.c.counterparty, statements.c.kind, statements.c.reference, statements.c.statement_date)
        .join(statements, statements.c.instruction_id == table.c.statement_id)
        .order_by(table.c.statement_id.desc(), table.c.page, table.c.number)
    )
    if limit:
        query = query.limit(limit)
    if counterparty is not None:
        query = query.where(statements.c.counterparty.startswith(counterparty, autoescape=True))
    for column, value in (
        (table.c.code, code),
        (table.c.transaction_id, transaction),
        (table.c.statement_id, statement),
    ):
        if value is not None:
            query = query.where(column == value)
    return [
        DifferenceView(
            statement_id=row["statement_id"],
            counterparty=row["counterparty"],
            kind=row["kind"],
            reference=row["reference"],
            statement_date=row["statement_date"],
            page=row["page"],
            code=row["code"],
            subject=row["subject"],
            field=row["field"],
            ours=row["ours"],
            theirs=row["theirs"],
            transaction_id=row["transaction_id"],
            found_at=row["found_at"],
        )
        for row in connection.execute(query).mappings()
    ]


def _summaries() -> Select[Any]:
    table, instruction = tables.statement, tables.instruction
    columns = (
        instruction.c.transaction_id,
        instruction.c.headline,
        instruction.c.created_at,
        instruction.c.updated_at,
    )
    return select(table, *columns).join(instruction, instruction.c.id == table.c.instruction_id)


def _summary(row: Any) -> StatementSummary:
    return StatementSummary(
        id=row["instruction_id"],
        transaction_id=row["transaction_id"],
        counterparty=row["counterparty"],
        kind=row["kind"],
        reference=row["reference"],
        number=row["number"],
        statement_date=row["statement_date"],
        update=row["update_kind"],
        headline=row["headline"],
        pages=row["pages"],
        last_page=row["last_page"],
        entries=row["entries"],
        differences=row["differences"],
        requested=row["request_id"] is not None,
        created_at=row["created_at"],
        updated_at=row["updated_at"],
    )


def _story(connection: Connection, row: Any) -> StatementStory:
    pages = tables.statement_page
    number = row["instruction_id"]
    listed = connection.execute(
        select(pages.c.page, pages.c.archive_id, pages.c.entries)
        .where(pages.c.statement_id == number)
        .order_by(pages.c.page)
    )
    return StatementStory(
        statement=_summary(row),
        account=row["account"] or None,
        pages=tuple([PageView(*page) for page in listed]),
        positions=tuple(stated_positions(connection, number)),
        differences=tuple(list_differences(connection, statement=number, limit=0)),
    )
