"""The counterparty's desk: what to do with what arrives, and which answer is due. No I/O; the clock is passed in.

It remembers every business message and transaction, so that nothing is answered twice; it knows which answers a
cancellation may still stop, what is on hold, and where each transaction stands. What it begins itself it keeps like an
arrival, whose transaction identification is its own reference.
"""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Final

from gateway.errors import Violation
from gateway.simulator.answers import Answer, Writer
from gateway.simulator.arrival import Arrival
from gateway.simulator.book import AnswerState, Book, Recorded, Repeat
from gateway.simulator.initiative import Initiative
from gateway.simulator.scenario import Scenario, Scenarios, Step
from gateway.simulator.tables import Dialogue

_ALWAYS = datetime.min.replace(tzinfo=UTC)
# Arrivals are this far apart in the book, so that answers, one microsecond apart, have creation times that order them.
_APART = timedelta(microseconds=50)
_NO_TIME = timedelta(0)
_REFUSAL = "refusal"
_AN_INSTRUCTION: Final = Dialogue()

_Key = tuple[int, int]


@dataclass(slots=True)
class _Transaction:
    """What the desk remembers of a transaction: what it was told to play, and which answers have not begun.

    ``terms`` are kept of what the counterparty began: what is answered to it does not repeat them. ``said`` are the
    answers that move an axis, also those to come; ``held`` those that wait for a release, since ``held_at``.
    ``amended`` are terms that a modification changed.
    """

    dialogue: str
    scripted: tuple[str, ...] = ()
    terms: dict[str, str] = field(default_factory=dict)
    final: bool = False
    open: dict[_Key, tuple[Answer, Arrival]] = field(default_factory=dict)
    said: dict[_Key, Answer] = field(default_factory=dict)
    held: dict[_Key, tuple[Answer, Arrival]] = field(default_factory=dict)
    held_at: datetime | None = None
    asked: Counter[str] = field(default_factory=Counter)
    amended: dict[str, str] = field(default_factory=dict)


@dataclass(slots=True)
class Taken:
    """What a batch came to: rows for the book, answers whose state or time changed, how many arrivals were known."""

    recorded: list[Recorded] = field(default_factory=list)
    changed: list[tuple[AnswerState, Answer]] = field(default_factory=list)
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
        self._named: dict[str, str] = {}  # business message, ours or theirs -> transaction
        self._queue: list[tuple[datetime, int, int, int, Answer, Arrival]] = []
        self._live: dict[_Key, Answer] = {}  # what is queued; whatever else the queue has was dropped or moved
        self._pushed = 0
        self._next_number = 1
        self._last_at = _ALWAYS

    def restore(self, book: Book, now: datetime) -> None:
        """Take up a book: what arrived is known again, what is planned falls due again, what is on hold waits."""
        waiting = {
            answer.number for answer, state in book.answers() if state in (AnswerState.PLANNED, AnswerState.HELD)
        }
        arrivals: dict[int, Arrival] = {}
        about: dict[int, tuple[_Transaction, datetime, bool]] = {}
        named: dict[int, str] = {}
        for number, at, arrival, _, repeat in book.arrivals():
            self._remember(arrival, repeat)
            self._next_number = number + 1
            self._last_at = at
            if number in waiting:
                arrivals[number] = arrival
            if arrival.transaction_id and repeat is None:
                named[number] = arrival.transaction_id
            transaction = self._find(arrival)
            if transaction is not None and arrival.valid and repeat is None:
                about[number] = (transaction, at, bool(self._dialogue(arrival).about))
                if about[number][2]:
                    transaction.asked[arrival.dialogue or ""] += 1
                elif arrival.terms.get("hold") == "held":
                    transaction.held_at = at
        for answer, state in book.answers():
            transaction, at, asks = about.get(answer.number, (None, now, False))
            if answer.number in named:
                self._named[answer.business_message_id] = named[answer.number]
            if transaction is not None and answer.dialogue != _REFUSAL:
                self._recall(transaction, answer, state, at, asks=asks)
            if state is AnswerState.HELD and transaction is not None:
                transaction.held[answer.number, answer.position] = (answer, arrivals[answer.number])
            elif state is AnswerState.PLANNED:
                # One that was due may have left before the end; a cancellation can no longer stop it.
                stoppable = transaction if answer.due_at > now and not asks and answer.dialogue != _REFUSAL else None
                self._push(answer, arrivals[answer.number], stoppable)

    def take(self, batch: Sequence[Arrival], now: datetime) -> Taken:
        """Decide on a batch of arrivals; the answers are planned at once and fall due by the scenario."""
        taken = Taken()
        for arrival in batch:
            if (arrival.carrier_key, arrival.sha256) in self._carried:
                taken.redelivered += 1
                continue
            self._take(arrival, now, taken)
        return taken

    def begin(self, initiatives: Iterable[Initiative], now: datetime) -> Taken:
        """Begin what nobody asked for; what the book has already is not begun again. Raises ConfigError."""
        taken = Taken()
        for initiative in initiatives:
            scenario = self._scenarios.begun(initiative.play)
            arrival = initiative.arrival(scenario.dialogue)
            if (arrival.carrier_key, arrival.sha256) in self._carried:
                taken.redelivered += 1
            else:
                self._begin(arrival, scenario, now, taken, after=initiative.after)
        return taken

    def due(self, now: datetime, limit: int) -> list[tuple[Answer, Arrival]]:
        """Hand out the answers that are due, oldest first; from now on no cancellation stops them."""
        ready: list[tuple[Answer, Arrival]] = []
        while self._queue and len(ready) < limit and self._queue[0][0] <= now:
            _, number, _, _, answer, arrival = heapq.heappop(self._queue)
            key = (number, answer.position)
            if self._live.get(key) is not answer:
                continue
            del self._live[key]
            transaction = self._find(arrival) if answer.dialogue != _REFUSAL else None
            if transaction is not None:
                transaction.open.pop(key, None)
                transaction.final = transaction.final or answer.final
            ready.append((answer, arrival))
        return ready

    def put_back(self, answer: Answer, arrival: Arrival, at: datetime) -> None:
        """Queue an answer again that the carrier did not take."""
        self._queue_up(at, answer, arrival)

    def next_due(self) -> datetime | None:
        """Say when the next answer falls due, or None where none is planned."""
        return self._queue[0][0] if self._queue else None

    @property
    def waiting(self) -> int:
        """Count the answers that are planned and not handed out; what is on hold is not among them."""
        return len(self._live)

    # Arrivals -------------------------------------------------------------------------------------------------------

    def _take(self, arrival: Arrival, now: datetime, taken: Taken) -> None:
        number, at = self._number(now)
        if by := self._dialogue(arrival).named_by:
            # It names a message, not the transaction that the message is about.
            arrival = replace(arrival, transaction_id=self._named.get(arrival.terms.get(by, "")))
        repeat = self._repeat(arrival)
        self._remember(arrival, repeat)
        if repeat in (Repeat.MARKED, Repeat.UNMARKED, Repeat.CHANGED):
            taken.recorded.append(Recorded(number, at, arrival, None, repeat))
            return
        if repeat is Repeat.TRANSACTION:
            arrival = replace(arrival, violations=(*arrival.violations, _repeated(arrival)))
        transaction = self._find(arrival) if arrival.valid and repeat is None else None
        standing = self._standing(transaction, arrival, at)
        scenario = self._choose(arrival, repeat, transaction, standing)
        plan = partial(
            self._writer.plan, number, at, arrival, standing=standing, about=transaction.terms if transaction else None
        )
        answers = plan(scenario)
        if transaction is not None and self._dialogue(arrival).about:
            if self._comes_too_late(transaction, answers) and (finished := self._dialogue(arrival).finished):
                scenario = self._scenarios.named(scenario.dialogue, finished)
                answers = plan(scenario)
            elif stated := self._stated_until(transaction, answers):
                answers = plan(scenario, after=max((stated - at).total_seconds(), 0.0))
        taken.recorded.append(Recorded(number, at, arrival, scenario.name, repeat, answers))
        if repeat is None:
            self._name(arrival, answers)
        if transaction is None or scenario.dialogue == _REFUSAL:
            for answer in answers:
                self._push(answer, arrival, None)
        elif self._dialogue(arrival).about:
            transaction.asked[arrival.dialogue or ""] += 1
            if scenario.drops:
                self._drop(transaction, taken, arrival.terms.get(self._dialogue(arrival).named_by or ""))
            self._answer_request(transaction, arrival, answers, at, taken)
        else:
            self._follow(transaction, arrival, answers, at, taken)
            for begun in self._scenarios.asked_for(arrival.scripted, arrival.dialogue):
                self._begin(self._mirrored(arrival, begun.dialogue), begun, now, taken)

    def _begin(self, arrival: Arrival, scenario: Scenario, now: datetime, taken: Taken, *, after: float = 0.0) -> None:
        number, at = self._number(now)
        self._remember(arrival, None)
        transaction = self._transactions[arrival.transaction_id or ""]
        answers = self._writer.plan(number, at, arrival, scenario, after=after)
        taken.recorded.append(Recorded(number, at, arrival, scenario.name, None, answers))
        self._name(arrival, answers)
        self._follow(transaction, arrival, answers, at, taken)

    def _follow(
        self, transaction: _Transaction, arrival: Arrival, answers: Sequence[Answer], at: datetime, taken: Taken
    ) -> None:
        """Plan the answers of a transaction itself; what is instructed on hold waits from its settlement on."""
        for answer in answers:
            self._push(answer, arrival, transaction)
            self._recall(transaction, answer, AnswerState.PLANNED, at, asks=False)
        if arrival.terms.get("hold") == "held":
            self._hold(transaction, at, taken)

    def _answer_request(
        self, transaction: _Transaction, arrival: Arrival, answers: Sequence[Answer], at: datetime, taken: Taken
    ) -> None:
        """Plan the answers to a request, and do in the book what they say is done."""
        for answer in answers:
            hold = answer.values.get("hold")
            if hold == "held":
                self._hold(transaction, at, taken)
            elif hold == "released":
                self._release(transaction, answer.said_at, taken)
            if self._writer.amended(answer):
                self._amend(transaction, answer, taken)
        if any(answer.final for answer in answers):
            self._drop(transaction, taken)
            transaction.final = True
        for answer in answers:
            # What answers a request is not stopped by another one.
            self._push(answer, arrival, None)
            self._recall(transaction, answer, AnswerState.PLANNED, at, asks=True)

    def _comes_too_late(self, transaction: _Transaction, answers: Sequence[Answer]) -> bool:
        """Tell whether answers would say how a transaction stands after its own last word was said."""
        last = [answer.said_at for answer in transaction.said.values() if answer.final]
        return bool(last) and any(
            answer.said_at > min(last) for answer in answers if self._writer.restates_status(answer)
        )

    def _stated_until(self, transaction: _Transaction, answers: Sequence[Answer]) -> datetime | None:
        """Say until when others say how a transaction stands that these answers bring to its end."""
        if not any(answer.final for answer in answers):
            return None
        return max(
            (one.said_at for one in transaction.said.values() if self._writer.restates_status(one)), default=None
        )

    def _drop(self, transaction: _Transaction, taken: Taken, message: str | None = None) -> None:
        """Drop what is still to be said of a transaction, or only what answers one message of ours."""
        for key, (answer, arrival) in sorted((transaction.open | transaction.held).items()):
            if message is None or arrival.business_message_id == message:
                taken.changed.append((AnswerState.DROPPED, answer))
                self._forget(transaction, key)

    def _forget(self, transaction: _Transaction, key: _Key) -> None:
        self._live.pop(key, None)
        for kept in (transaction.open, transaction.held, transaction.said):
            kept.pop(key, None)

    def _amend(self, transaction: _Transaction, modified: Answer, taken: Taken) -> None:
        """Let what is said after a modification is done say the changed terms."""
        transaction.amended |= self._writer.amended(modified)
        to_come = {key: pair for key, pair in transaction.open.items() if pair[0].said_at > modified.said_at}
        to_come |= transaction.held  # said after its release, whatever was planned before the hold
        if not to_come:
            return
        first, arrival = next(iter(to_come.values()))
        # What answers a request is said of the transaction too; only its own answers settle it.
        said = [answer for key, answer in transaction.said.items() if key not in to_come and key[0] == first.number]
        answers = [answer for answer, _ in to_come.values()]
        for answer, changed in self._writer.replan(arrival, said, answers, transaction.amended):
            key = (answer.number, answer.position)
            held = key in transaction.held
            if changed == answer:
                continue
            self._forget(transaction, key)
            if changed is None:
                taken.changed.append((AnswerState.DROPPED, answer))
            elif held:
                transaction.held[key] = (changed, arrival)
                taken.changed.append((AnswerState.HELD, changed))
            else:
                self._push(changed, arrival, transaction)
                if changed.axis is not None:
                    transaction.said[key] = changed
                taken.changed.append((AnswerState.PLANNED, changed))

    def _hold(self, transaction: _Transaction, at: datetime, taken: Taken) -> None:
        """Let wait what settles, and everything after it."""
        transaction.held_at = at
        settling = [key for key, (answer, _) in transaction.open.items() if self._writer.settles(answer)]
        if not settling:
            return
        first = min(settling)
        for key in sorted(key for key in transaction.open if key >= first):
            transaction.held[key] = transaction.open.pop(key)
            del self._live[key]
            transaction.said.pop(key, None)
            taken.changed.append((AnswerState.HELD, transaction.held[key][0]))

    def _release(self, transaction: _Transaction, at: datetime, taken: Taken) -> None:
        """Go on after the hold as far apart as was planned before it."""
        since = transaction.held_at or at
        for _, (answer, arrival) in sorted(transaction.held.items()):
            apart = timedelta(microseconds=answer.position + 1)
            said_at = at + apart + max(answer.said_at - since, _NO_TIME)
            moved = replace(answer, said_at=said_at, due_at=max(said_at, at + apart + (answer.due_at - since)))
            self._push(moved, arrival, transaction)
            self._recall(transaction, moved, AnswerState.PLANNED, at, asks=False)
            taken.changed.append((AnswerState.PLANNED, moved))
        transaction.held.clear()
        transaction.held_at = None

    def _recall(
        self, transaction: _Transaction, answer: Answer, state: AnswerState, at: datetime, *, asks: bool
    ) -> None:
        """Remember what an answer means for its transaction: where it stands, and whether that was the last word."""
        if state in (AnswerState.PLANNED, AnswerState.SENT) and answer.axis is not None:
            transaction.said[answer.number, answer.position] = answer
        if answer.final and (state is AnswerState.SENT or asks):
            transaction.final = True
        if state in (AnswerState.PLANNED, AnswerState.SENT):
            transaction.amended |= self._writer.amended(answer)
        if answer.values.get("hold"):
            transaction.held_at = at if answer.values["hold"] == "held" else None

    # Decisions ------------------------------------------------------------------------------------------------------

    def _number(self, now: datetime) -> tuple[int, datetime]:
        number, at = self._next_number, max(now, self._last_at + _APART)
        self._next_number, self._last_at = number + 1, at
        return number, at

    def _repeat(self, arrival: Arrival) -> Repeat | None:
        before = self._messages.get(arrival.business_message_id) if arrival.business_message_id else None
        if before is not None:
            if before != _digest(arrival):
                return Repeat.CHANGED
            return Repeat.MARKED if arrival.possible_duplicate else Repeat.UNMARKED
        if arrival.valid and not self._dialogue(arrival).about and arrival.transaction_id in self._transactions:
            return Repeat.TRANSACTION
        return None

    def _choose(
        self, arrival: Arrival, repeat: Repeat | None, transaction: _Transaction | None, standing: Sequence[str]
    ) -> Scenario:
        if not arrival.valid or repeat is not None or arrival.dialogue is None:
            return self._scenarios.named(_REFUSAL, _REFUSAL)
        dialogue, scripted, turn = self._dialogue(arrival), arrival.scripted, 0
        if dialogue.about:
            own = transaction if transaction is not None and transaction.dialogue in dialogue.about else None
            forced = (
                (dialogue.unknown if own is None else None)
                or (dialogue.finished if own is not None and own.final else None)
                or (dialogue.silent if not standing else None)
            )
            if forced is not None:
                return self._scenarios.named(arrival.dialogue, forced)
            if own is not None:
                scripted, turn = own.scripted, own.asked[arrival.dialogue]
        draw = self._writer.draw(
            "scenario", arrival.dialogue, arrival.transaction_id or "", *([str(turn)] if turn else [])
        )
        return self._scenarios.choose(arrival.dialogue, self._wanted, draw, scripted=scripted, turn=turn)

    def _standing(self, transaction: _Transaction | None, arrival: Arrival, at: datetime) -> list[str]:
        """Name the steps by which a transaction stands where it does, for a dialogue that tells it."""
        tells = self._dialogue(arrival).tells
        if transaction is None or not tells:
            return []
        latest: dict[str, str] = {}
        for answer in sorted(transaction.said.values(), key=lambda answer: answer.said_at):
            if answer.said_at <= at and answer.axis in tells:
                latest[answer.axis] = answer.step
        steps = (latest[axis] for axis in tells if axis in latest)
        return [
            step for step in steps if self._writer.status_step(arrival.dialogue or "", Step.parse(step)) is not None
        ]

    def _mirrored(self, arrival: Arrival, dialogue: str) -> Arrival:
        """Turn a message of ours into what the counterparty begins with the same terms, seen from its side."""
        reference = self._writer.identifier("begun", dialogue, arrival.transaction_id or "")
        turned = self._writer.dialogues[dialogue].turned
        terms = {name: turned.get(name, {}).get(text, text) for name, text in arrival.terms.items()}
        terms.pop("hold", None)
        return replace(
            arrival,
            carrier_key=f"{arrival.carrier_key}#{dialogue}",
            business_message_id=None,
            message_definition=None,
            transaction_id=reference,
            dialogue=dialogue,
            terms=terms | {"transaction_id": reference},
        )

    def _dialogue(self, arrival: Arrival) -> Dialogue:
        return self._writer.dialogues.get(arrival.dialogue or "", _AN_INSTRUCTION)

    def _remember(self, arrival: Arrival, repeat: Repeat | None) -> None:
        self._carried.add((arrival.carrier_key, arrival.sha256))
        if arrival.business_message_id:
            self._messages.setdefault(arrival.business_message_id, _digest(arrival))
            if arrival.valid and repeat is None and arrival.transaction_id:
                self._named.setdefault(arrival.business_message_id, arrival.transaction_id)
        if arrival.valid and repeat is None and arrival.transaction_id and not self._dialogue(arrival).about:
            terms = arrival.terms if self._dialogue(arrival).begins else {}
            transaction = _Transaction(arrival.dialogue or "", arrival.scripted, terms)
            self._transactions.setdefault(arrival.transaction_id, transaction)

    def _name(self, arrival: Arrival, answers: Sequence[Answer]) -> None:
        """Remember which transaction the messages that answer something are about."""
        if arrival.transaction_id:
            self._named |= {answer.business_message_id: arrival.transaction_id for answer in answers}

    def _find(self, arrival: Arrival | None) -> _Transaction | None:
        return self._transactions.get(arrival.transaction_id) if arrival and arrival.transaction_id else None

    def _push(self, answer: Answer, arrival: Arrival, transaction: _Transaction | None) -> None:
        self._queue_up(answer.due_at, answer, arrival)
        if transaction is not None:
            transaction.open[answer.number, answer.position] = (answer, arrival)

    def _queue_up(self, at: datetime, answer: Answer, arrival: Arrival) -> None:
        self._pushed += 1
        self._live[answer.number, answer.position] = answer
        heapq.heappush(self._queue, (at, answer.number, answer.rank, self._pushed, answer, arrival))


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
