"""The native floor of one instruction: libxml2 and the bare driver, and no Python in between that could be left out.

It parses and validates the outgoing message with its header and one reply, and writes the rows that a run of the
gateway has left in its ledger, the same rows in the same commits (batches of 100), to the same kind of store with full
durability. No Kafka.
"""

from __future__ import annotations

import asyncio
import re
import sqlite3
import time
from abc import ABC, abstractmethod
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import asyncpg
from lxml import etree

from bench.books import TABLES, Rows
from gateway.messages.schema_files import load_catalogue
from gateway.model.facts import Delivery, State
from gateway.model.reports import encode
from gateway.model.transitions import Dialogue
from gateway.store import tables
from gateway.store.migration import upgrade

BATCH = 100

Statement = tuple[str, list[tuple[Any, ...]]]
Commit = list[Statement]

_COLUMNS = {name: [column.name for column in tables.metadata.tables[name].columns] for name in TABLES}
_RECORDED = encode(State(Dialogue.SETTLEMENT))
_SENT = encode(State(Dialogue.SETTLEMENT, Delivery.SENT))


class Judge:
    """Parse and validate with libxml2 only: header and document, one schema each."""

    def __init__(self) -> None:
        self._catalogue = load_catalogue()
        self._schemas: dict[str, etree.XMLSchema] = {}
        self._parser = etree.XMLParser(resolve_entities=False, no_network=True, load_dtd=False, huge_tree=False)

    def parse(self, content: bytes) -> list[tuple[etree.XMLSchema, Any]]:
        """Parse a message; returns the schema and the element of its header and of its document."""
        root = etree.fromstring(content, self._parser)
        return [(self._schemas.get(child.tag) or self._compile(child.tag), child) for child in root]

    def _compile(self, tag: str) -> etree.XMLSchema:
        definition = tag[1:].partition("}")[0].rpartition(":")[2]
        schema = self._schemas[tag] = etree.XMLSchema(etree.fromstring(self._catalogue.xsd(definition)))
        return schema

    def __call__(self, content: bytes) -> None:
        """Parse and validate; raises ValueError for what is not valid."""
        for schema, element in self.parse(content):
            if not schema.validate(element):
                raise ValueError(schema.error_log)


def _index(table: str, column: str) -> int:
    return _COLUMNS[table].index(column)


def _insert(table: str, rows: list[tuple[Any, ...]]) -> Statement:
    columns = _COLUMNS[table]
    quoted = ", ".join(f'"{column}"' for column in columns)
    return f"INSERT INTO {table} ({quoted}) VALUES ({', '.join('?' * len(columns))})", rows


def _with(table: str, row: tuple[Any, ...], **values: Any) -> tuple[Any, ...]:
    """Return a row as it was before, with other values in some columns."""
    changed = list(row)
    for column, value in values.items():
        changed[_index(table, column)] = value
    return tuple(changed)


def _update(table: str, columns: Sequence[str], rows: list[tuple[Any, ...]], keys: Sequence[str]) -> Statement:
    """Set columns to what the rows hold."""
    places = [_index(table, name) for name in (*columns, *keys)]
    assignments = ", ".join(f"{name}=?" for name in columns)
    condition = " AND ".join(f"{key}=?" for key in keys)
    return f"UPDATE {table} SET {assignments} WHERE {condition}", [tuple(row[i] for i in places) for row in rows]


def commits(rows: Rows) -> list[Commit]:
    """Return the transactions of a run, six a batch: intake, attempts, outcomes, archive, apply, published."""
    of_instruction = {
        table: _grouped(rows[table], _index(table, "instruction_id"))
        for table in ("history", "publication", "archive", "outbox", "document")
    }
    attempts = _grouped(rows["attempt"], _index("attempt", "document_id"))
    found: list[Commit] = []
    for start in range(0, len(rows["instruction"]), BATCH):
        part = rows["instruction"][start : start + BATCH]

        def take(table: str, part: list[tuple[Any, ...]] = part) -> list[tuple[Any, ...]]:
            return [row for instruction in part for row in of_instruction[table][instruction[0]]]

        found += _batch(
            rows["event"][start : start + BATCH],
            part,
            [row for document in take("document") for row in attempts[document[0]]],
            {table: take(table) for table in of_instruction},
        )
    return found


def _grouped(rows: list[tuple[Any, ...]], place: int) -> dict[Any, list[tuple[Any, ...]]]:
    groups: dict[Any, list[tuple[Any, ...]]] = defaultdict(list)
    for row in rows:
        groups[row[place]].append(row)
    return groups


def _batch(
    events: list[tuple[Any, ...]], final: list[tuple[Any, ...]], attempts: list[tuple[Any, ...]], rows: Rows
) -> list[Commit]:
    """Return the six transactions of one batch; a row that is changed later is first written as it was then."""
    action, sequence = _index("history", "action"), _index("history", "sequence")
    told = _index("publication", "status_id")
    history: dict[str, list[tuple[Any, ...]]] = defaultdict(list)
    for row in rows["history"]:
        history[row[action] if row[action] in ("recorded", "sent") else "applied"].append(row)
    sent_sequences = {str(row[sequence]) for row in history["sent"]}
    sent = [row for row in rows["publication"] if row[told].rpartition("-")[2] in sent_sequences]
    answered = [row for row in rows["publication"] if row[told].rpartition("-")[2] not in sent_sequences]
    heads = {row[0]: row[_index("history", "hash")] for row in history["recorded"]}
    heads_sent = {row[0]: row[_index("history", "hash")] for row in history["sent"]}
    recorded = [
        _with(
            "instruction",
            row,
            state=_RECORDED,
            headline="recorded",
            sequence=1,
            head_hash=heads[row[0]],
            account_servicer_transaction_id=None,
            updated_at=row[_index("instruction", "created_at")],
        )
        for row in final
    ]
    delivered = [
        _with("instruction", row, state=_SENT, headline="sent", sequence=2, head_hash=heads_sent.get(row[0], b""))
        for row in recorded
    ]
    waiting = [_with("outbox", row, state=0, attempts=0) for row in rows["outbox"]]
    sending = [_with("outbox", row, state=1) for row in rows["outbox"]]
    started = [_with("attempt", row, ended_at=None, outcome=None, code=None, reference=None) for row in attempts]
    judged = ("state", "message_definition", "business_message_id", "document_digest", "instruction_id")
    arrived = [_with("archive", row, **dict.fromkeys(judged) | {"state": 0}) for row in rows["archive"]]
    moved = ("state", "headline", "sequence", "head_hash", "account_servicer_transaction_id", "updated_at")
    outbox = ("state", "attempts", "in_doubt")

    def unpublished(entries: list[tuple[Any, ...]]) -> list[tuple[Any, ...]]:
        return [_with("publication", row, published_at=None) for row in entries]

    return [
        [
            _insert("event", events),
            _insert("instruction", recorded),
            _insert("document", rows["document"]),
            _insert("outbox", waiting),
            _insert("history", history["recorded"]),
        ],
        [_insert("attempt", started), _update("outbox", outbox, sending, ["document_id"])],
        [
            _insert("history", history["sent"]),
            _insert("publication", unpublished(sent)),
            _update("instruction", moved, delivered, ["id"]),
            _update("attempt", ("ended_at", "outcome", "code", "reference"), attempts, ["document_id", "number"]),
            _update("outbox", outbox, rows["outbox"], ["document_id"]),
        ],
        [_insert("archive", arrived)],
        [
            _insert("history", history["applied"]),
            _insert("publication", unpublished(answered)),
            _update("instruction", moved, final, ["id"]),
            _update("archive", judged, rows["archive"], ["id"]),
        ],
        [_update("publication", ["published_at"], rows["publication"], ["id"])],
    ]


@dataclass(frozen=True)
class Replayed:
    """Microseconds an instruction: the whole and its two parts by the clock, and the processor time of this process."""

    microseconds: float
    libxml2: float
    store: float
    cpu_microseconds: float


class Floor(ABC):
    """Replay rounds of a run natively, into one ledger of its own that grows as the run's did."""

    def __init__(self, judge: Judge) -> None:
        self._judge = judge

    def run(self, rows: Rows) -> Replayed:
        """Judge every message of a round and write its rows."""
        prepared = commits(rows)
        outgoing = [bytes(row[_index("document", "content")]) for row in rows["document"]]
        replies = [bytes(row[_index("archive", "content")]) for row in rows["archive"]]
        each = 1e6 / len(rows["instruction"])
        used, started = time.process_time(), time.perf_counter()
        for content in outgoing:
            self._judge(content)
        for content in replies:
            self._judge(content)
        judged = time.perf_counter()
        self._write(prepared)
        ended, used = time.perf_counter(), time.process_time() - used
        return Replayed((ended - started) * each, (judged - started) * each, (ended - judged) * each, used * each)

    @abstractmethod
    def _write(self, prepared: list[Commit]) -> None:
        """Write the transactions, each committed with full durability."""

    @abstractmethod
    def close(self) -> None:
        """Close the connection."""


class SqliteFloor(Floor):
    """The bare sqlite3 driver, with the settings of the gateway's ledger."""

    def __init__(self, judge: Judge, path: Path) -> None:
        super().__init__(judge)
        asyncio.run(upgrade(f"sqlite:///{path}"))
        self._connection = sqlite3.connect(path, isolation_level=None)
        for pragma in ("journal_mode=WAL", "synchronous=FULL", "cache_size=-32000", "temp_store=MEMORY"):
            self._connection.execute(f"PRAGMA {pragma}").close()

    def _write(self, prepared: list[Commit]) -> None:
        connection = self._connection
        for commit in prepared:
            connection.execute("BEGIN IMMEDIATE")
            for statement, rows in commit:
                if rows:
                    connection.executemany(statement, rows)
            connection.execute("COMMIT")

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()


class PostgresFloor(Floor):
    """The bare asyncpg driver; the server's durability settings are untouched."""

    def __init__(self, judge: Judge, url: str) -> None:
        super().__init__(judge)
        asyncio.run(upgrade(url))
        self._runner = asyncio.Runner()
        self._connection = self._runner.run(_connect(url))

    def _write(self, prepared: list[Commit]) -> None:
        numbered = {statement: _numbered(statement) for commit in prepared for statement, _ in commit}

        async def write() -> None:
            for commit in prepared:
                async with self._connection.transaction():
                    for statement, rows in commit:
                        if rows:
                            await self._connection.executemany(numbered[statement], rows)

        self._runner.run(write())

    def close(self) -> None:
        """Close the connection."""
        self._runner.run(self._connection.close())
        self._runner.close()


async def _connect(url: str) -> Any:
    return await asyncpg.connect(url.replace("postgresql+asyncpg:", "postgresql:"))


def _numbered(statement: str) -> str:
    numbers = iter(range(1, statement.count("?") + 1))
    return re.sub(r"\?", lambda _: f"${next(numbers)}", statement)
