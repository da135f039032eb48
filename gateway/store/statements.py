"""The hot statements, compiled once for a backend and run with plain tuples."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, Table, and_, bindparam, update

from gateway.store import tables


class HotInsert:
    """An INSERT compiled once for a dialect, run with tuples in the table's column order."""

    def __init__(self, table: Table, dialect: Any) -> None:
        names = [column.name for column in table.columns]
        compiled = table.insert().values({name: bindparam(name) for name in names}).compile(dialect=dialect)
        self.sql = str(compiled)
        order = list(compiled.positiontup or names)
        assert order == names, (order, names)
        processors = [column.type.dialect_impl(dialect).bind_processor(dialect) for column in table.columns]
        # LargeBinary's processor only wraps bytes for old drivers; both of ours take bytes as they are.
        self._processors = [
            (index, processor)
            for index, (processor, column) in enumerate(zip(processors, table.columns, strict=True))
            if processor is not None and column.type.python_type is not bytes
        ]

    def run(self, connection: Connection, rows: list[tuple[Any, ...]]) -> None:
        """Insert the rows; instants and decimals are converted as their column says."""
        if self._processors:
            converted = []
            for row in rows:
                values = list(row)
                for index, processor in self._processors:
                    values[index] = processor(values[index])
                converted.append(tuple(values))
            rows = converted
        connection.exec_driver_sql(self.sql, rows)


INSERT_ORDER = (
    tables.event,
    tables.instruction,
    tables.reference,
    tables.document,
    tables.outbox,
    tables.attempt,
    tables.archive,
    tables.history,
    tables.publication,
    tables.parked,
    tables.command,
    tables.deadline,
    tables.link,
    tables.recheck,
)


class Statements:
    """The hot statements of one backend, compiled once."""

    def __init__(self, dialect: Any) -> None:
        self.postgres: bool = dialect.name == "postgresql"
        self.inserts = {table: HotInsert(table, dialect) for table in INSERT_ORDER}
        self.update_instruction = self._update(
            dialect,
            tables.instruction,
            (
                "state",
                "headline",
                "sequence",
                "head_hash",
                "account_servicer_transaction_id",
                "updated_at",
                "market_infrastructure_transaction_id",
            ),
            ("id",),
        )
        self.update_outbox = self._update(dialect, tables.outbox, ("state", "attempts", "in_doubt"), ("document_id",))
        self.end_attempt = self._update(
            dialect, tables.attempt, ("ended_at", "outcome", "code", "reference"), ("document_id", "number")
        )
        self.update_archive = self._update(
            dialect,
            tables.archive,
            ("state", "message_definition", "business_message_id", "document_digest", "instruction_id"),
            ("id",),
        )
        self.update_deadline = self._update(
            dialect, tables.deadline, ("document_id", "next_at", "content"), ("instruction_id",)
        )
        self.published = self._update(dialect, tables.publication, ("published_at",), ("id",))

    @staticmethod
    def _update(dialect: Any, table: Table, values: Sequence[str], keys: Sequence[str]) -> str:
        statement = (
            update(table)
            .values({name: bindparam(f"v_{name}") for name in values})
            .where(and_(*(table.c[key] == bindparam(f"k_{key}") for key in keys)))
        )
        compiled = statement.compile(dialect=dialect)
        order = compiled.positiontup
        assert order is None or list(order) == [*(f"v_{n}" for n in values), *(f"k_{k}" for k in keys)], order
        return str(compiled)
