"""The counterparty's desk: what to do with what arrives, and which answer is due. No I/O; the clock is passed in.

It remembers every business message and transaction, so that nothing is answered twice, and knows which answers a
cancellation may still stop.
"""

from __future__ import annotations

import heapq
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

from gateway.errors import Violation
from gateway.simulator.answers import Answer, Writer
from gateway.simulator.arrival import Arrival
from gateway.simulator.book import AnswerState, Book, Recorded, Repeat
from gateway.simulator.scenario import Scenario, Scenarios

_ALWAYS = datetime.min.replace(tzinfo=UTC)
# Arrivals are this far apart in the book, so that answers, one microsecond apart, have creation times that order them.
_APART = timedelta(microseconds=50)
_REFUSAL, _TOO_LATE, _UNKNOWN = "refusal", "cancellation-too-late", "cancellation-unknown"

_Key = tuple[int, int]


@dataclass(slots=True)
class _Transaction:
    """What the desk remembers of a transaction: what it was told to play, and which answers have not begun."""

    scripted: tuple[str, ...] = ()
    final: bool = False
    open: set[_Key] = field(default_factory=set)


@dataclass(slots=True)
class Taken:
    """What a batch came to: rows for the book, answers that a cancellation stops, and how many were known already."""

    recorded: list[Recorded] = field(default_factory=list)
    dropped: list[_Key] = field(default_factory=list)
    redelivered: int = 0


class Desk:
    """Decide on arrivals and hand out answers as they fall due."""

    def __init__(self, writer: Writer, scenarios: Scenarios, wanted: Sequence[str]) -> None:
        """Take the counterparty's writer, its scenarios, and the scenario names in the order they are tried."""
        scenarios.check(wanted)
        self._writer = writer
        self._scenarios = scenarios
        self._wanted = tuple(wanted)
        self._carried: set[tuple[str, str]] = set()
        self._messages: dict[str, int] = {}  # business message -> digest of its terms
        self._transactions: dict[str, _Transaction] = {}
        self._queue: list[tuple[datetime, int, int, Answer, Arrival]] = []
        self._dropped: set[_Key] = set()
        self._next_number = 1
        self._last_at = _ALWAYS

    def restore(self, book: Book, now: datetime) -> None:
        """Take up a book: what arrived is known again, what is planned falls due again."""
        pending = {answer.number for answer, state in book.answers() if state is AnswerState.PLANNED}
        arrivals: dict[int, Arrival] = {}
        for number, at, arrival, _, repeat in book.arrivals():
            self._remember(arrival, repeat)
            self._next_number = number + 1
            self._last_at = at
            if number in pending:
                arrivals[number] = arrival
        for answer, state in book.answers():
            transaction = None if answer.dialogue == _REFUSAL else self._find(arrivals.get(answer.number))
            if state is AnswerState.PLANNED:
                # One that was due may have left before the end; a cancellation can no longer stop it.
                self._push(answer, arrivals[answer.number], transaction if answer.due_at > now else None)
        for transaction_id in book.final():
            self._transactions[transaction_id].final = True

    def take(self, batch: Sequence[Arrival], now: datetime) -> Taken:
        """Decide on a batch of arrivals; the answers are planned at once and fall due by the scenario."""
        taken = Taken()
        for arrival in batch:
            if (arrival.carrier_key, arrival.sha256) in self._carried:
                taken.redelivered += 1
                continue
            number, at = self._next_number, max(now, self._last_at + _APART)
            self._next_number, self._last_at = number + 1, at
            self._take(number, at, arrival, taken)
        return taken

    def due(self, now: datetime, limit: int) -> list[tuple[Answer, Arrival]]:
        """Hand out the answers that are due, oldest first; from now on no cancellation stops them."""
        ready: list[tuple[Answer, Arrival]] = []
        while self._queue and len(ready) < limit and self._queue[0][0] <= now:
            _, number, _, answer, arrival = heapq.heappop(self._queue)
            key = (number, answer.position)
            if key in self._dropped:
                self._dropped.discard(key)
                continue
            transaction = self._find(arrival) if answer.dialogue != _REFUSAL else None
            if transaction is not None:
                transaction.open.discard(key)
                transaction.final = transaction.final or answer.final
            ready.append((answer, arrival))
        return ready

    def put_back(self, answer: Answer, arrival: Arrival, at: datetime) -> None:
        """Queue an answer again that the carrier did not take."""
        heapq.heappush(self._queue, (at, answer.number, answer.rank, answer, arrival))

    def next_due(self) -> datetime | None:
        """Say when the next answer falls due, or None where none is planned."""
        return self._queue[0][0] if self._queue else None

    @property
    def waiting(self) -> int:
        """Count the answers that are planned and not handed out."""
        return len(self._queue) - len(self._dropped)

    def _take(self, number: int, at: datetime, arrival: Arrival, taken: Taken) -> None:
        repeat = self._repeat(arrival)
        self._remember(arrival, repeat)
        if repeat in (Repeat.MARKED, Repeat.UNMARKED, Repeat.CHANGED):
            taken.recorded.append(Recorded(number, at, arrival, None, repeat))
            return
        if repeat is Repeat.TRANSACTION:
            arrival = replace(arrival, violations=(*arrival.violations, _repeated(arrival)))
        scenario = self._choose(arrival, repeat)
        answers = self._writer.plan(number, at, arrival, scenario)
        transaction = None if scenario.dialogue == _REFUSAL else self._find(arrival)
        if transaction is not None and scenario.dialogue == "cancellation" and any(answer.final for answer in answers):
            taken.dropped.extend(sorted(transaction.open))
            self._dropped |= transaction.open
            transaction.open.clear()
            transaction.final = True
        for answer in answers:
            self._push(answer, arrival, transaction)
        taken.recorded.append(Recorded(number, at, arrival, scenario.name, repeat, answers))

    def _repeat(self, arrival: Arrival) -> Repeat | None:
        before = self._messages.get(arrival.business_message_id) if arrival.business_message_id else None
        if before is not None:
            if before != _digest(arrival):
                return Repeat.CHANGED
            return Repeat.MARKED if arrival.possible_duplicate else Repeat.UNMARKED
        if arrival.valid and arrival.dialogue != "cancellation" and arrival.transaction_id in self._transactions:
            return Repeat.TRANSACTION
        return None

    def _choose(self, arrival: Arrival, repeat: Repeat | None) -> Scenario:
        if not arrival.valid or repeat is not None or arrival.dialogue is None:
            return self._scenarios.named(_REFUSAL, _REFUSAL)
        transaction = self._find(arrival)
        wanted = (*arrival.scripted, *self._wanted)
        if arrival.dialogue == "cancellation":
            if transaction is None:
                return self._scenarios.named("cancellation", _UNKNOWN)
            if transaction.final:
                return self._scenarios.named("cancellation", _TOO_LATE)
            wanted = (*transaction.scripted, *self._wanted)
        draw = self._writer.draw("scenario", arrival.dialogue, arrival.transaction_id or "")
        return self._scenarios.choose(arrival.dialogue, wanted, draw)

    def _remember(self, arrival: Arrival, repeat: Repeat | None) -> None:
        self._carried.add((arrival.carrier_key, arrival.sha256))
        if arrival.business_message_id:
            self._messages.setdefault(arrival.business_message_id, _digest(arrival))
        if arrival.valid and repeat is None and arrival.transaction_id and arrival.dialogue != "cancellation":
            self._transactions.setdefault(arrival.transaction_id, _Transaction(arrival.scripted))

    def _find(self, arrival: Arrival | None) -> _Transaction | None:
        return self._transactions.get(arrival.transaction_id) if arrival and arrival.transaction_id else None

    def _push(self, answer: Answer, arrival: Arrival, transaction: _Transaction | None) -> None:
        heapq.heappush(self._queue, (answer.due_at, answer.number, answer.rank, answer, arrival))
        # What answers a cancellation is not stopped by another one.
        if transaction is not None and answer.dialogue != "cancellation":
            transaction.open.add((answer.number, answer.position))


def _digest(arrival: Arrival) -> int:
    return hash((arrival.message_definition, frozenset(arrival.terms.items())))


def _repeated(arrival: Arrival) -> Violation:
    return Violation(
        code="transaction_repeated",
        path="/Document",
        rule="a transaction identification is instructed once",
        value=arrival.transaction_id,
        text=f"The transaction {arrival.transaction_id} was instructed before by another business message.",
    )
