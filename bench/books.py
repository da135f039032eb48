"""The ledger seen from outside: when a round is done, what it took, and the very rows that it wrote."""

from __future__ import annotations

import asyncio
import sqlite3
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any

import asyncpg

Rows = dict[str, list[tuple[Any, ...]]]

_NEW = "SELECT id FROM instruction WHERE created_at > {after}"
# What a round has added, by table, in the order of writing.
_ADDED = {
    "event": f"SELECT * FROM event WHERE instruction_id IN ({_NEW}) ORDER BY id",
    "instruction": "SELECT * FROM instruction WHERE created_at > {after} ORDER BY id",
    "document": f"SELECT * FROM document WHERE instruction_id IN ({_NEW}) ORDER BY id",
    "outbox": f"SELECT * FROM outbox WHERE instruction_id IN ({_NEW}) ORDER BY document_id",
    "attempt": "SELECT a.* FROM attempt a JOIN document d ON d.id = a.document_id "
    f"WHERE d.instruction_id IN ({_NEW}) ORDER BY a.document_id, a.number",
    "archive": f"SELECT * FROM archive WHERE instruction_id IN ({_NEW}) ORDER BY id",
    "history": f"SELECT * FROM history WHERE instruction_id IN ({_NEW}) ORDER BY instruction_id, sequence",
    "publication": f"SELECT * FROM publication WHERE instruction_id IN ({_NEW}) ORDER BY id",
}
TABLES = tuple(_ADDED)
# Partial indexes answer these, so asking costs next to nothing while there is work.
_UNFINISHED = (
    "SELECT 1 FROM outbox WHERE state < 3 LIMIT 1",
    "SELECT 1 FROM archive WHERE state = 0 LIMIT 1",
    "SELECT 1 FROM publication WHERE published_at IS NULL LIMIT 1",
)


class Book(ABC):
    """One ledger, read beside the gateways that write it. Times are seconds since 1970."""

    def __init__(self) -> None:
        self._after = 0

    @abstractmethod
    def query(self, statement: str) -> Sequence[Any]:
        """Return the rows of a query."""

    @abstractmethod
    def size(self) -> int:
        """Return the bytes of the ledger."""

    @abstractmethod
    def close(self) -> None:
        """Close the connection."""

    def replies(self) -> int:
        """Count the archived replies."""
        return int(self.query("SELECT count(*) FROM archive")[0][0])

    def settled(self, instructions: int) -> bool:
        """Say whether so many replies were applied and everything is published."""
        if any(self.query(statement) for statement in _UNFINISHED):
            return False
        return self.replies() >= instructions

    def parked(self) -> dict[str, int]:
        """Count what was parked, by code; empty when all went as it should."""
        return {row[0]: row[1] for row in self.query("SELECT code, count(*) FROM parked GROUP BY code")}

    def last_published(self) -> float:
        """Return when the last status event was published."""
        return float(self.query("SELECT max(published_at) FROM publication")[0][0]) / 1e6

    def latencies(self, instructions: int) -> list[float]:
        """Return seconds from event read to message sent of the latest instructions, in ascending order."""
        found = self.query(
            "SELECT a.ended_at - e.received_at FROM event e JOIN document d ON d.instruction_id = e.instruction_id "
            "JOIN attempt a ON a.document_id = d.id WHERE a.outcome = 'sent' "
            f"ORDER BY e.received_at DESC LIMIT {instructions}"
        )
        return sorted(row[0] / 1e6 for row in found)

    def holders(self) -> dict[str, str]:
        """Return which process holds which lease."""
        return {row[0]: row[1].split("/")[-2] for row in self.query("SELECT channel, holder FROM lease")}

    def skip_rows(self) -> None:
        """Count the instructions so far as old."""
        self._after = int(self.query("SELECT coalesce(max(created_at), 0) FROM instruction")[0][0])

    def new_rows(self) -> Rows:
        """Return the rows of the instructions since the last call, by table."""
        rows = {
            table: [tuple(row) for row in self.query(statement.format(after=self._after))]
            for table, statement in _ADDED.items()
        }
        self.skip_rows()
        return rows


class SqliteBook(Book):
    """A SQLite ledger, opened for reading."""

    def __init__(self, path: str) -> None:
        super().__init__()
        self._connection = sqlite3.connect(f"file:{path}?mode=ro", uri=True)

    def query(self, statement: str) -> Sequence[Any]:
        """Return the rows of a query."""
        return self._connection.execute(statement).fetchall()

    def replies(self) -> int:
        """Return the highest number: SQLite's are without gaps, and counting would read the whole table."""
        return int(self.query("SELECT coalesce(max(id), 0) FROM archive")[0][0])

    def size(self) -> int:
        """Return the bytes of its pages."""
        return int(self.query("PRAGMA page_count")[0][0]) * int(self.query("PRAGMA page_size")[0][0])

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()


class PostgresBook(Book):
    """A PostgreSQL ledger."""

    def __init__(self, url: str) -> None:
        super().__init__()
        self._runner = asyncio.Runner()
        self._connection = self._runner.run(_connect(url))

    def query(self, statement: str) -> Sequence[Any]:
        """Return the rows of a query."""
        found: Sequence[Any] = self._runner.run(self._connection.fetch(statement))
        return found

    def size(self) -> int:
        """Return the bytes of the database."""
        return int(self.query("SELECT pg_database_size(current_database())")[0][0])

    def close(self) -> None:
        """Close the connection."""
        self._runner.run(self._connection.close())
        self._runner.close()


async def _connect(url: str) -> Any:
    return await asyncpg.connect(url.replace("postgresql+asyncpg:", "postgresql:"))


def open_book(url: str) -> Book:
    """Open the ledger that a URL names."""
    return SqliteBook(url.removeprefix("sqlite:///")) if url.startswith("sqlite:") else PostgresBook(url)
