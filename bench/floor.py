"""The native floor of one instruction: libxml2 and the bare driver, and no Python in between that could be left out.

It parses and validates the outgoing message with its header and one reply, and writes the rows that a run of the
gateway left in its ledger, the same rows in the same commits (batches of 100), to the same kind of store with full
durability. No Kafka.
"""

from __future__ import annotations

import asyncio
import sqlite3
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import asyncpg
from lxml import etree

from gateway.messages.schema_files import load_catalogue
from gateway.store import tables
from gateway.store.migration import upgrade

BATCH = 100


@dataclass(frozen=True)
class Rows:
    """The rows of a finished run, by table, each list in the order in which the run wrote it."""

    tables: dict[str, list[tuple[Any, ...]]]

    @property
    def instructions(self) -> int:
        """Return how many instructions the run had."""
        return len(self.tables["instruction"])


_ORDER = {
    "event": "id",
    "instruction": "id",
    "document": "id",
    "outbox": "document_id",
    "attempt": "document_id, number",
    "archive": "id",
    "history": "instruction_id, sequence",
    "publication": "id",
}


def rows_of(path: Path) -> Rows:
    """Read the rows of a run from its SQLite ledger."""
    with sqlite3.connect(path) as connection:
        return Rows(
            {name: connection.execute(f"SELECT * FROM {name} ORDER BY {order}").fetchall() for name, order in _ORDER.items()}
        )


@dataclass(frozen=True)
class Commit:
    """One transaction of the floor: statements with their rows."""

    statements: list[tuple[str, list[tuple[Any, ...]]]]


def _columns(name: str) -> list[str]:
    return [column.name for column in tables.metadata.tables[name].columns]


def _insert(name: str, rows: list[tuple[Any, ...]]) -> tuple[str, list[tuple[Any, ...]]]:
    columns = _columns(name)
    quoted = ", ".join(f'"{column}"' for column in columns)
    return f"INSERT INTO {name} ({quoted}) VALUES ({', '.join('?' * len(columns))})", rows


def commits(rows: Rows) -> Iterator[Commit]:
    """Give the transactions of the run, six a batch: intake, attempts, outcomes, archive, apply, published.

    The gateway updates rows that it wrote before with the values the finished run holds; the floor writes the same final
    values twice, which costs the store the same.
    """
    all_rows = rows.tables
    by_instruction: dict[int, list[tuple[Any, ...]]] = {}
    for row in all_rows["history"]:
        by_instruction.setdefault(row[0], []).append(row)
    publications: dict[int, list[tuple[Any, ...]]] = {}
    for row in all_rows["publication"]:
        publications.setdefault(row[4], []).append(row)
    attempts = {row[0]: row for row in all_rows["attempt"]}
    outboxes = {row[0]: row for row in all_rows["outbox"]}
    documents = all_rows["document"]
    instructions = {row[0]: row for row in all_rows["instruction"]}
    replies = {row[11]: row for row in all_rows["archive"]}
    update_instruction = (
        "UPDATE instruction SET state=?, headline=?, sequence=?, head_hash=?, account_servicer_transaction_id=?, "
        "updated_at=? WHERE id=?"
    )
    update_outbox = "UPDATE outbox SET state=?, attempts=?, in_doubt=? WHERE document_id=?"
    end_attempt = "UPDATE attempt SET ended_at=?, outcome=?, code=?, reference=? WHERE document_id=? AND number=?"
    update_archive = (
        "UPDATE archive SET state=?, message_definition=?, business_message_id=?, document_digest=?, instruction_id=? "
        "WHERE id=?"
    )
    for start in range(0, len(documents), BATCH):
        part = documents[start : start + BATCH]
        numbers = [row[1] for row in part]
        changed = [
            (row[13], row[14], row[15], row[16], row[17], row[19], row[0]) for row in (instructions[n] for n in numbers)
        ]
        events = all_rows["event"][start : start + BATCH]
        first = [by_instruction[n][0] for n in numbers]
        second = [by_instruction[n][1] for n in numbers]
        third = [entry for n in numbers for entry in by_instruction[n][2:]]
        sent = [publications[n][0] for n in numbers]
        answered = [entry for n in numbers for entry in publications[n][1:]]
        unpublished = lambda entries: [(*entry[:7], None) for entry in entries]  # noqa: E731  # said once, used twice
        waiting = [(*outboxes[row[0]][:4], 0, 0, 0) for row in part]
        started = [(*attempts[row[0]][:7], None, None, None, None) for row in part]
        arrived = [(*replies[n][:6], 0, 0, None, None, None, None, None) for n in numbers]
        yield Commit(
            [
                _insert("event", events),
                _insert("instruction", [instructions[n] for n in numbers]),
                _insert("document", part),
                _insert("outbox", waiting),
                _insert("history", first),
            ]
        )
        yield Commit([_insert("attempt", started), (update_outbox, [(1, 1, 0, row[0]) for row in part])])
        yield Commit(
            [
                _insert("history", second),
                _insert("publication", unpublished(sent)),
                (update_instruction, changed),
                (end_attempt, [(*attempts[row[0]][7:11], row[0], 1) for row in part]),
                (update_outbox, [(3, 1, 0, row[0]) for row in part]),
            ]
        )
        yield Commit([_insert("archive", arrived)])
        yield Commit(
            [
                _insert("history", third),
                _insert("publication", unpublished(answered)),
                (update_instruction, changed),
                (update_archive, [(*replies[n][6:7], *replies[n][8:12], replies[n][0]) for n in numbers]),
            ]
        )
        yield Commit(
            [("UPDATE publication SET published_at=? WHERE id=?", [(entry[7], entry[0]) for entry in (*sent, *answered)])]
        )


def sqlite_writer(path: Path) -> Callable[[Sequence[Commit]], None]:
    """Return a function that writes commits with the bare sqlite3 driver, WAL and synchronous FULL."""
    asyncio.run(upgrade(f"sqlite:///{path}"))
    connection = sqlite3.connect(path, isolation_level=None)
    for pragma in ("journal_mode=WAL", "synchronous=FULL", "cache_size=-32000", "temp_store=MEMORY"):
        connection.execute(f"PRAGMA {pragma}").close()

    def write(batch: Sequence[Commit]) -> None:
        for commit in batch:
            connection.execute("BEGIN IMMEDIATE")
            for statement, rows in commit.statements:
                if rows:
                    connection.executemany(statement, rows)
            connection.execute("COMMIT")

    return write


def _numbered(statement: str) -> str:
    parts = statement.split("?")
    return "".join(part + (f"${i}" if i < len(parts) else "") for i, part in enumerate(parts, 1))


def postgres_rows(rows: Rows) -> Rows:
    """Give dates and decimals the types that asyncpg wants."""
    from datetime import date
    from decimal import Decimal

    converted = dict(rows.tables)
    converted["instruction"] = [
        (
            *row[:8],
            date.fromisoformat(row[8]) if row[8] else None,
            Decimal(row[9]) if row[9] else None,
            Decimal(row[10]) if row[10] else None,
            *row[11:],
        )
        for row in rows.tables["instruction"]
    ]
    return Rows(converted)


async def write_postgres(url: str, batches: Sequence[Commit]) -> None:
    """Write commits with the bare asyncpg driver."""
    connection = await asyncpg.connect(url)
    try:
        for commit in batches:
            async with connection.transaction():
                for statement, rows in commit.statements:
                    if rows:
                        await connection.executemany(_numbered(statement), rows)
    finally:
        await connection.close()


class Judge:
    """Parse and validate with libxml2 only: header and document, one schema each."""

    def __init__(self) -> None:
        self._catalogue = load_catalogue()
        self._schemas: dict[str, etree.XMLSchema] = {}
        self._parser = etree.XMLParser(resolve_entities=False, no_network=True, load_dtd=False, huge_tree=False)

    def parse(self, content: bytes) -> list[tuple[etree.XMLSchema, Any]]:
        """Parse a message and find the schema of its header and its document."""
        root = etree.fromstring(content, self._parser)
        return [(self.schema(child.tag), child) for child in root]

    def schema(self, tag: str) -> etree.XMLSchema:
        """Return the compiled schema of a root element's namespace."""
        found = self._schemas.get(tag)
        if found is None:
            definition = tag[1:].partition("}")[0].rpartition(":")[2]
            found = self._schemas[tag] = etree.XMLSchema(etree.fromstring(self._catalogue.xsd(definition)))
        return found

    def __call__(self, content: bytes) -> None:
        """Parse and validate; raises when invalid."""
        for schema, element in self.parse(content):
            if not schema.validate(element):
                raise ValueError(schema.error_log)


def elapsed(work: Callable[[], object]) -> float:
    """Return the seconds that work takes."""
    start = time.perf_counter()
    work()
    return time.perf_counter() - start
