"""The simulator's own book: what arrived, what was answered, and where each transaction should have ended.

One SQLite file (write-ahead log, full durability), readable while the simulator runs. An arrival and its planned
answers are committed before the carrier may forget the message, so a killed simulator goes on where it was.
"""

from __future__ import annotations

import sqlite3
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from enum import StrEnum
from pathlib import Path
from typing import Any, Self

import msgspec

from gateway.errors import ConfigError, StoreUnavailable, Violation
from gateway.simulator.answers import Answer
from gateway.simulator.arrival import Arrival


class Repeat(StrEnum):
    """How an arrival repeats an earlier one; none of them is answered like a first one."""

    MARKED = "marked"  # same business message, marked possible duplicate: as it should be
    UNMARKED = "unmarked"  # same business message without the mark: a fault of the sender
    CHANGED = "changed"  # same business message identifier, other terms: a fault of the sender
    TRANSACTION = "transaction"  # another business message instructs the same transaction: refused


class AnswerState(StrEnum):
    """Where an answer stands: ``dropped`` by a cancellation, ``invalid`` by the simulator's own validation.

    ``held`` is what waits until its instruction is released.
    """

    PLANNED = "planned"
    HELD = "held"
    SENT = "sent"
    DROPPED = "dropped"
    INVALID = "invalid"


@dataclass(frozen=True, slots=True)
class BookAnswer:
    """One answer in the book; ``sent_at`` is None until the carrier has it, ``sha256`` is of the bytes sent."""

    step: str
    message_definition: str | None
    business_message_id: str
    axis: str | None
    value: str | None
    values: dict[str, str]
    said_at: datetime
    due_at: datetime
    duplicate: bool
    state: AnswerState
    sent_at: datetime | None = None
    reference: str | None = None
    sha256: str | None = None


@dataclass(frozen=True, slots=True)
class Outcome:
    """Where a transaction should stand when every answer was taken in: the value of each axis and what was settled.

    ``differs`` names the terms that were confirmed wrongly on purpose (amount, quantity, date, account).
    """

    axes: dict[str, str] = field(default_factory=dict)
    settled_quantity: Decimal = Decimal(0)
    settled_amount: Decimal | None = None
    parts: int = 0
    differs: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class BookEntry:
    """One arrival, with its answers and the expected outcome of its transaction (None where it has none)."""

    number: int
    at: datetime
    carrier_key: str
    business_message_id: str | None
    transaction_id: str | None
    message_definition: str | None
    dialogue: str | None
    possible_duplicate: bool
    sha256: str
    valid: bool
    violations: tuple[Violation, ...]
    terms: dict[str, str]
    scenario: str | None
    repeat: Repeat | None
    answers: tuple[BookAnswer, ...] = ()
    outcome: Outcome | None = None


@dataclass(frozen=True, slots=True)
class Recorded:
    """An arrival as it is to be written: its number and time, what was decided, and the answers planned."""

    number: int
    at: datetime
    arrival: Arrival
    scenario: str | None
    repeat: Repeat | None
    answers: Sequence[Answer] = ()


_SCHEMA = """
CREATE TABLE IF NOT EXISTS meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS arrival (
  number INTEGER PRIMARY KEY, at INTEGER NOT NULL, carrier_key TEXT NOT NULL, business_message_id TEXT,
  transaction_id TEXT, message_definition TEXT, dialogue TEXT, possible_duplicate INTEGER NOT NULL,
  sha256 TEXT NOT NULL, valid INTEGER NOT NULL, created_at TEXT, terms TEXT NOT NULL, violations TEXT NOT NULL,
  scenario TEXT, repeat TEXT);
CREATE TABLE IF NOT EXISTS answer (
  number INTEGER NOT NULL REFERENCES arrival, position INTEGER NOT NULL, rank INTEGER NOT NULL, dialogue TEXT NOT NULL,
  step TEXT NOT NULL, document TEXT, message_definition TEXT, business_message_id TEXT NOT NULL,
  said_at INTEGER NOT NULL, due_at INTEGER NOT NULL, axis TEXT, value TEXT, final INTEGER NOT NULL,
  duplicate INTEGER NOT NULL, answer_values TEXT NOT NULL, state TEXT NOT NULL, sent_at INTEGER, reference TEXT,
  sha256 TEXT, PRIMARY KEY (number, position)) WITHOUT ROWID;
"""
_ARRIVAL = (
    "number, at, carrier_key, business_message_id, transaction_id, message_definition, dialogue, possible_duplicate, "
    "sha256, valid, created_at, terms, violations, scenario, repeat"
)
_ANSWER = (
    "number, position, rank, dialogue, step, document, message_definition, business_message_id, said_at, due_at, axis, "
    "value, final, duplicate, answer_values, state"
)


class Book:
    """The open book of one simulated counterparty; one process writes it."""

    def __init__(self, path: Path, identity: Mapping[str, str]) -> None:
        """Open or begin a book; ``identity`` (BICs, seed, header) has to be that of its beginning, or ConfigError.

        A book made by other words would plan other answers after a restart than it said before.
        """
        path.parent.mkdir(parents=True, exist_ok=True)
        self._path = path
        try:
            # The loop's thread and its worker thread take turns, never at once.
            self._connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
            self._connection.executescript("PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL;" + _SCHEMA)
            self._connection.executemany("INSERT OR IGNORE INTO meta VALUES (?, ?)", list(identity.items()))
            kept = dict(self._connection.execute("SELECT key, value FROM meta"))
        except sqlite3.Error as error:
            raise StoreUnavailable(f"the simulator's book {path} cannot be opened: {error}") from error
        for key, value in identity.items():
            if kept[key] != value:
                raise ConfigError(
                    f"the book {path} was begun with {key} {kept[key]}, not {value}; take another book or that {key}"
                )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the file; everything recorded is durable already."""
        self._connection.close()

    def record(self, batch: Sequence[Recorded], changed: Iterable[tuple[AnswerState, Answer]] = ()) -> None:
        """Write arrivals with their plans, and what became of answers that were planned before, in one transaction."""
        answers = [_answer_row(answer) for recorded in batch for answer in recorded.answers]
        with self._transaction() as connection:
            connection.executemany(
                f"INSERT INTO arrival ({_ARRIVAL}) VALUES ({_marks(_ARRIVAL)})", [_arrival_row(item) for item in batch]
            )
            connection.executemany(f"INSERT INTO answer ({_ANSWER}) VALUES ({_marks(_ANSWER)})", answers)
            connection.executemany(
                "UPDATE answer SET state = ?, said_at = ?, due_at = ?, answer_values = ? "
                "WHERE number = ? AND position = ?",
                [
                    (
                        state.value,
                        _microseconds(answer.said_at),
                        _microseconds(answer.due_at),
                        msgspec.json.encode(answer.values).decode(),
                        answer.number,
                        answer.position,
                    )
                    for state, answer in changed
                ],
            )

    def mark(self, sent: Sequence[tuple[Answer, AnswerState, datetime, str, str]]) -> None:
        """Write what became of answers: (answer, state, when, the carrier's reference, sha256 of the bytes)."""
        rows = [
            (state.value, _microseconds(at), reference, digest, answer.number, answer.position)
            for answer, state, at, reference, digest in sent
        ]
        with self._transaction() as connection:
            connection.executemany(
                "UPDATE answer SET state = ?, sent_at = ?, reference = ?, sha256 = ? WHERE number = ? AND position = ?",
                rows,
            )

    def arrivals(self) -> Iterable[tuple[int, datetime, Arrival, str | None, Repeat | None]]:
        """Read every arrival in order: (number, at, arrival, scenario, repeat)."""
        for row in self._connection.execute(f"SELECT {_ARRIVAL} FROM arrival ORDER BY number"):
            yield row[0], _moment(row[1]), _arrival(row), row[13], Repeat(row[14]) if row[14] else None

    def answers(self) -> Iterable[tuple[Answer, AnswerState]]:
        """Read every answer, in the order of arrivals and of sending."""
        for row in self._connection.execute(f"SELECT {_ANSWER} FROM answer ORDER BY number, rank"):
            yield _answer(row), AnswerState(row[15])

    def _transaction(self) -> _Transaction:
        return _Transaction(self._connection, self._path)


class _Transaction:
    def __init__(self, connection: sqlite3.Connection, path: Path) -> None:
        self._connection = connection
        self._path = path

    def __enter__(self) -> sqlite3.Connection:
        try:
            self._connection.execute("BEGIN IMMEDIATE")
        except sqlite3.Error as error:
            raise StoreUnavailable(f"the simulator's book {self._path} cannot be written: {error}") from error
        return self._connection

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, *rest: object) -> None:
        try:
            self._connection.execute("COMMIT" if kind is None else "ROLLBACK")
        except sqlite3.Error as failure:
            raise StoreUnavailable(f"the simulator's book {self._path} cannot be written: {failure}") from failure
        if isinstance(error, sqlite3.Error):
            raise StoreUnavailable(f"the simulator's book {self._path} cannot be written: {error}") from error


def read_book(path: Path | str) -> list[BookEntry]:
    """Read a book, in the order of arrival, also while its simulator runs; raises StoreUnavailable where it cannot."""
    file = Path(path)
    if not file.is_file():
        raise StoreUnavailable(f"there is no simulator's book at {file}")
    try:
        with closing(sqlite3.connect(f"{file.resolve().as_uri()}?mode=ro", uri=True)) as connection:
            connection.execute("BEGIN")  # one snapshot of both tables
            arrivals = connection.execute(f"SELECT {_ARRIVAL} FROM arrival ORDER BY number").fetchall()
            rows = connection.execute(f"SELECT {_ANSWER}, sent_at, reference, sha256 FROM answer ORDER BY number, rank")
            answers: dict[int, list[BookAnswer]] = defaultdict(list)
            for row in rows:
                answers[row[0]].append(_book_answer(row))
    except sqlite3.Error as error:
        raise StoreUnavailable(f"the simulator's book {file} cannot be read: {error}") from error
    outcomes = _outcomes(arrivals, answers)
    return [
        BookEntry(
            number=row[0],
            at=_moment(row[1]),
            carrier_key=row[2],
            business_message_id=row[3],
            transaction_id=row[4],
            message_definition=row[5],
            dialogue=row[6],
            possible_duplicate=bool(row[7]),
            sha256=row[8],
            valid=bool(row[9]),
            violations=msgspec.json.decode(row[12], type=tuple[Violation, ...]),
            terms=msgspec.json.decode(row[11], type=dict[str, str]),
            scenario=row[13],
            repeat=Repeat(row[14]) if row[14] else None,
            answers=tuple(answers.get(row[0], ())),
            outcome=outcomes.get(row[4]) if row[4] else None,
        )
        for row in arrivals
    ]


def outcomes(entries: Iterable[BookEntry]) -> dict[str, Outcome]:
    """Return the expected outcome of every transaction in the entries of a book, by transaction identification."""
    return {
        entry.transaction_id: entry.outcome for entry in entries if entry.transaction_id and entry.outcome is not None
    }


def _outcomes(arrivals: Sequence[tuple[Any, ...]], answers: Mapping[int, Sequence[BookAnswer]]) -> dict[str, Outcome]:
    said: dict[str, list[BookAnswer]] = {}
    born: dict[str, dict[str, str]] = {}
    for row in arrivals:
        # What answers a repeated transaction speaks of that message, not of the transaction.
        if row[4] and not row[14]:
            if row[4] not in said and "hold" in (terms := msgspec.json.decode(row[11], type=dict[str, str])):
                born[row[4]] = {"hold": terms["hold"]}
            said.setdefault(row[4], []).extend(answers.get(row[0], ()))
    return {transaction_id: _fold(spoken, born.get(transaction_id, {})) for transaction_id, spoken in said.items()}


# What was confirmed on the settlement axis is not undone by a status, only by a reversal.
_CONFIRMED = ("settled", "partially_settled")


# What is not said, or will not be as things are.
_UNSAID = (AnswerState.DROPPED, AnswerState.INVALID, AnswerState.HELD)


def _fold(spoken: Iterable[BookAnswer], born: Mapping[str, str]) -> Outcome:
    axes = dict(born)
    quantity = Decimal(0)
    amount: Decimal | None = None
    parts = 0
    differs: list[str] = []
    for answer in sorted(spoken, key=lambda answer: answer.said_at):
        if answer.axis is None or answer.value is None or answer.state in _UNSAID:
            continue
        if "hold" in answer.values:
            axes["hold"] = answer.values["hold"]
        settled = answer.values.get("settled_quantity")
        if settled is not None:
            sign = -1 if answer.value == "reversed" else 1
            parts += sign if sign > 0 else -parts
            quantity += sign * Decimal(settled)
            if "settled_amount" in answer.values:
                amount = (amount or Decimal(0)) + sign * Decimal(answer.values["settled_amount"])
            if "differs" in answer.values:
                differs.append(answer.values["differs"])
        elif axes.get(answer.axis) in _CONFIRMED:
            continue
        axes[answer.axis] = answer.value
    return Outcome(axes, quantity, amount, parts, tuple(differs))


def _arrival_row(item: Recorded) -> tuple[Any, ...]:
    arrival = item.arrival
    return (
        item.number,
        _microseconds(item.at),
        arrival.carrier_key,
        arrival.business_message_id,
        arrival.transaction_id,
        arrival.message_definition,
        arrival.dialogue,
        arrival.possible_duplicate,
        arrival.sha256,
        arrival.valid,
        arrival.created_at,
        msgspec.json.encode(arrival.terms).decode(),
        msgspec.json.encode(arrival.violations).decode(),
        item.scenario,
        item.repeat,
    )


def _arrival(row: Sequence[Any]) -> Arrival:
    return Arrival(
        carrier_key=row[2],
        business_message_id=row[3],
        transaction_id=row[4],
        message_definition=row[5],
        dialogue=row[6],
        possible_duplicate=bool(row[7]),
        sha256=row[8],
        valid=bool(row[9]),
        created_at=row[10],
        terms=msgspec.json.decode(row[11], type=dict[str, str]),
        violations=msgspec.json.decode(row[12], type=tuple[Violation, ...]),
    )


def _answer_row(answer: Answer) -> tuple[Any, ...]:
    return (
        answer.number,
        answer.position,
        answer.rank,
        answer.dialogue,
        answer.step,
        answer.document,
        answer.message_definition,
        answer.business_message_id,
        _microseconds(answer.said_at),
        _microseconds(answer.due_at),
        answer.axis,
        answer.value,
        answer.final,
        answer.duplicate,
        msgspec.json.encode(answer.values).decode(),
        AnswerState.PLANNED.value,
    )


def _answer(row: Sequence[Any]) -> Answer:
    return Answer(
        number=row[0],
        position=row[1],
        rank=row[2],
        dialogue=row[3],
        step=row[4],
        document=row[5],
        message_definition=row[6],
        business_message_id=row[7],
        said_at=_moment(row[8]),
        due_at=_moment(row[9]),
        axis=row[10],
        value=row[11],
        final=bool(row[12]),
        duplicate=bool(row[13]),
        values=msgspec.json.decode(row[14], type=dict[str, str]),
    )


def _book_answer(row: Sequence[Any]) -> BookAnswer:
    return BookAnswer(
        step=row[4],
        message_definition=row[6],
        business_message_id=row[7],
        axis=row[10],
        value=row[11],
        values=msgspec.json.decode(row[14], type=dict[str, str]),
        said_at=_moment(row[8]),
        due_at=_moment(row[9]),
        duplicate=bool(row[13]),
        state=AnswerState(row[15]),
        sent_at=_moment(row[16]) if row[16] is not None else None,
        reference=row[17],
        sha256=row[18],
    )


def _marks(columns: str) -> str:
    return ", ".join("?" * (columns.count(",") + 1))


def _microseconds(moment: datetime) -> int:
    whole = moment.astimezone(UTC)
    return int(whole.replace(microsecond=0).timestamp()) * 1_000_000 + whole.microsecond


def _moment(microseconds: int) -> datetime:
    return datetime.fromtimestamp(microseconds // 1_000_000, UTC).replace(microsecond=microseconds % 1_000_000)
