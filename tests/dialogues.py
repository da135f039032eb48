"""What random dialogues are made of: what may be begun and asked in each language, the simulated other side, its book.

The book is read here for what it means to the gateway: what was said in the end, what nobody can make sense of, and
which trades both sides confirm alike.
"""

from __future__ import annotations

import asyncio
import tempfile
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from functools import cache
from pathlib import Path
from typing import Any

from gateway.messages.schema_files import load_catalogue
from gateway.messages.validation import Validator
from gateway.simulator.answers import Answer, Writer
from gateway.simulator.arrival import Arrival, Reader
from gateway.simulator.book import AnswerState, Book, BookAnswer, BookEntry, read_book
from gateway.simulator.counterparty import read_scenarios
from gateway.simulator.desk import Desk, Taken
from gateway.simulator.fin import FinWriter
from gateway.simulator.initiative import Initiative
from gateway.simulator.scenario import RANDOM, Delays, Scenario, Scenarios
from gateway.simulator.tables import Tables, dialogues, read_tables, steps
from gateway.store.migration import upgrade
from tests.loops import CHANNEL, OTHER, OWN_BIC

ISO, FIN = "iso20022", "fin"
LANGUAGES = {CHANNEL: ISO, OTHER: FIN}


@cache
def empty_ledger() -> Path:
    path = Path(tempfile.mkdtemp(prefix="gateway-dialogues-")) / "ledger.db"
    asyncio.run(upgrade(f"sqlite:///{path}"))
    return path


@cache
def simulated() -> Tables:
    return read_tables()


@cache
def validator() -> Validator:
    return Validator(load_catalogue())


# What is played -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Family:
    """A dialogue that we begin: its event, the field of it that asks for scenarios, and what may be asked about it.

    ``requests`` are events by the simulator's name of their dialogue; ``begins`` is what the other side may begin with
    the same terms, and ``differs`` the term in which it may see them otherwise.
    """

    dialogue: str
    event: str
    text: str | None
    requests: Mapping[str, Sequence[dict[str, Any]]] = field(default_factory=dict, repr=False)
    begins: Sequence[str] = field(default=(), repr=False)
    differs: str = field(default="", repr=False)
    changes: Mapping[str, Any] = field(default_factory=dict, repr=False)
    holds: bool = field(default=False, repr=False)


def asks(schema: str, *changes: dict[str, Any]) -> list[dict[str, Any]]:
    return [{"schema": schema, **one} for one in changes or ({},)]


def sides(other: str) -> dict[str, Any]:
    return {
        "trading_side": {"submitting_party": {"bic": OWN_BIC}},
        "counterparty_side": {"submitting_party": {"bic": other}},
    }


MONEY = {"payment": "against", "settlement_amount": {"value": "61234.56", "currency": "EUR"}}
CONDITIONS: list[dict[str, Any]] = [{"hold": True}, {"hold": False}, {"hold": None, "priority": 2}]
SETTLEMENT = {
    "cancellation": asks("cancel_settlement/1"),
    "condition_modification": asks("change_settlement_conditions/1", *CONDITIONS),
    "status_query": asks("query_settlement_status/1"),
}
PAYMENT = {"payment_cancellation": asks("cancel_payment/1"), "payment_query": asks("query_payment_status/1")}
IN_BOTH = (
    Family("payment", "transfer_between_institutions/1", "remittance", PAYMENT),
    Family("payment", "transfer_for_customer/1", "remittance", PAYMENT),
)
FAMILIES: Mapping[str, Sequence[Family]] = {
    ISO: (
        *IN_BOTH,
        Family(
            "settlement",
            "instruct_settlement/1",
            "processing_text",
            SETTLEMENT
            | {
                "modification": asks(
                    "modify_settlement/1",
                    {"modification": {"trade_date": "2026-03-01"}},
                    {"modification": {"common_reference": "COMMON-2"}},
                ),
            },
            begins=("allegement", "generation"),
            differs="amount",
            changes=MONEY,
            holds=True,
        ),
        Family(
            "confirmation",
            "confirm_trade/1",
            "processing_text",
            {"confirmation_cancellation": asks("cancel_confirmation/1")},
            begins=("alleged_trade",),
            differs="price",
        ),
        Family("notice", "notify_to_receive/1", "remittance"),
        Family(
            "foreign_exchange",
            "instruct_foreign_exchange/1",
            "text",
            {
                "foreign_exchange_amendment": asks("amend_foreign_exchange/1", sides("OTHRUS33XXX")),
                "foreign_exchange_cancellation": asks("cancel_foreign_exchange/1", sides("OTHRUS33XXX")),
            },
            begins=("alleged_exchange",),
            differs="bought",
            changes=sides("OTHRUS33XXX"),
        ),
        Family(
            "movement",
            "instruct_intra_position_movement/1",
            "processing_text",
            {"movement_cancellation": asks("cancel_intra_position_movement/1")},
        ),
        Family(
            "financing",
            "instruct_securities_financing/1",
            "processing_text",
            {
                "financing_cancellation": asks("cancel_securities_financing/1"),
                "condition_modification": asks("change_financing_conditions/1", *CONDITIONS[:2]),
                "financing_modification": asks("modify_securities_financing/1"),
            },
            holds=True,
        ),
    ),
    FIN: (
        *IN_BOTH,
        Family(
            "settlement",
            "instruct_settlement/1",
            "processing_text",
            SETTLEMENT,
            begins=("allegement",),
            differs="amount",
            changes=MONEY,
            holds=True,
        ),
        # A notice has no place for a text: what comes of it is drawn.
        Family("notice", "notify_to_receive/1", None, changes={"debtor": {"bic": "AGNTDEFFXXX"}}),
        Family("movement", "instruct_intra_position_movement/1", "processing_text"),
        Family(
            "exchange_confirmation",
            "instruct_foreign_exchange/1",
            "text",
            {
                "exchange_amendment": asks("amend_foreign_exchange/1", sides(OTHER)),
                "exchange_cancellation": asks("cancel_foreign_exchange/1", sides(OTHER)),
            },
            begins=("alleged_exchange",),
            differs="bought",
            changes=sides(OTHER),
        ),
    ),
}
ANSWERS = {
    "allegement": asks(
        "answer_allegement/1", {"pending": "forwarded"}, {"pending": None, "consent": {"reason": "CPTR"}}
    )
    + asks("answer_allegement/1", {"pending": None, "rejection": {"reason": "CPTR"}}),
    "alleged_trade": asks("answer_trade/1", {"answer": "affirm"}, {"answer": "disaffirm"}),
}
"""What we may answer to what the other side begins, in ISO 20022: FIN has no such answers."""

ANSWERED = {"allegement": "allegement_answer", "alleged_trade": "trade_answer"}


def begins(language: str, dialogue: str | None) -> Family | None:
    """Return the family of a dialogue that makes the other side begin something; None where it does not."""
    return next((one for one in FAMILIES[language] if one.dialogue == dialogue and one.begins), None)


def is_said(scenario: Scenario, language: str) -> bool:
    """Tell whether a language has messages for all that a scenario says."""
    if language == ISO:
        return scenario.dialogue not in ("exchange_confirmation", "exchange_amendment", "exchange_cancellation")
    answers = simulated().answers
    rows = steps(answers)[scenario.dialogue]
    said = (rows[step.name] for step in scenario.steps if step.name in rows)
    return all(_has_fin(answers["documents"], {**row, **row.get("in_fin", {})}) for row in said)


def _has_fin(documents: Mapping[str, Any], row: Mapping[str, Any]) -> bool:
    described = documents[row["document"]].get("fin")
    if described is None:
        return False
    body = documents[described["like"]]["fin"]["body"] if "like" in described else described["body"]
    return "{>status}" not in body or "fin" in row or bool(row.get("tells"))


@cache
def _scenarios() -> Scenarios:
    return read_scenarios()


def _names(language: str, dialogue: str) -> list[str]:
    """Name what may be asked for in a dialogue; some the simulator plays whatever is asked for."""
    row = dialogues(simulated().answers)[dialogue]
    own = {row.unknown, row.finished, row.silent}
    names = [
        one.name for one in _scenarios() if one.dialogue == dialogue and one.name not in own and is_said(one, language)
    ]
    return [name for name in names if not name.startswith("call-")]  # they answer a call, which none of these asks


SCENARIOS = {
    language: {dialogue: _names(language, dialogue) for dialogue in dialogues(simulated().answers)}
    for language in FAMILIES
}


# The other side -------------------------------------------------------------------------------------------------------


@dataclass
class Desktop:
    """A simulated counterparty at work: what it has read, and what it has said that is still on its way."""

    bic: str
    desk: Desk
    writer: Writer
    reader: Reader
    book: Book
    path: Path
    read: int = 0
    on_the_way: list[tuple[Answer, Arrival, bytes]] = field(default_factory=list)
    arrivals: list[Arrival] = field(default_factory=list)

    @classmethod
    def open(cls, bic: str, folder: Path, seed: int) -> Desktop:
        reading = simulated().reading
        writer = (FinWriter if LANGUAGES[bic] == FIN else Writer)(
            simulated().answers,
            reading["codes"],
            load_catalogue().namespace,
            bic=bic,
            gateway_bic=OWN_BIC,
            seed=seed,
            delays=Delays(shortest=1, longest=20),
        )
        path = folder / f"{bic}.db"
        return cls(
            bic=bic,
            desk=Desk(writer, read_scenarios(), (RANDOM,)),
            writer=writer,
            reader=Reader(validator(), reading, bic, OWN_BIC),
            book=Book(path, {"bic": bic}),
            path=path,
        )

    @property
    def language(self) -> str:
        return LANGUAGES[self.bic]

    @property
    def able_to_begin(self) -> list[Arrival]:
        """Return what has arrived whose like it may begin itself."""
        return [one for one in self.arrivals if begins(self.language, one.dialogue)]

    def take(self, contents: list[bytes], now: datetime) -> None:
        """Read what arrived; what is due has been said before."""
        self.speak(now, 1000)
        arrivals = [self.reader.read(f"wire/{self.read + number}", content) for number, content in enumerate(contents)]
        for arrival in arrivals:
            assert arrival.valid, arrival.violations
        self.read += len(contents)
        self.arrivals += arrivals
        self._record(self.desk.take(arrivals, now))

    def begin(self, initiative: Initiative, now: datetime) -> None:
        self._record(self.desk.begin([initiative], now))

    def speak(self, now: datetime, limit: int) -> None:
        """Say what is due; nothing that has been said is stopped any more."""
        due = self.desk.due(now, limit)
        self.on_the_way += [(answer, arrival, self._written(arrival, answer)) for answer, arrival in due]

    def _written(self, arrival: Arrival, answer: Answer) -> bytes:
        content = self.writer.write(arrival, answer)
        if answer.document is not None and answer.step.partition(":")[0] not in FAULTS:
            found = [one.text for one in validator().check(content).violations if one.severity == "error"]
            assert not found, (answer.step, found, content)
        return content

    def next_to_arrive(self, number: int) -> tuple[Answer, bytes]:
        """Take one of what is on its way. What states no time of its own arrives in the order in which it was said."""
        answer, arrival, _ = self.on_the_way[number]
        if _states_no_time(answer):
            number = next(
                place
                for place, (other, about, _) in enumerate(self.on_the_way)
                if _states_no_time(other) and about.transaction_id == arrival.transaction_id
            )
        answer, _, content = self.on_the_way.pop(number)
        return answer, content

    def note(self, answer: Answer, state: AnswerState, now: datetime) -> None:
        self.book.mark([(answer, state, now, "", "")])

    def _record(self, taken: Taken) -> None:
        self.book.record(taken.recorded, taken.changed)


def _states_no_time(answer: Answer) -> bool:
    """Tell whether it is of the categories of FIN whose messages do not state when they were prepared."""
    definition = answer.message_definition or ""
    return definition.startswith("MT") and not definition.startswith("MT5")


# What its book says ---------------------------------------------------------------------------------------------------

# What the counterparty says wrongly on purpose; each is parked.
FAULTS = {"garbage", "unknown-transaction", "impostor"}
ENDS = {"settled", "rejected", "rescinded", "refused"}  # of a foreign exchange trade
BEGINS = {"alleged", "confirmed", "generated"}  # by these steps it tells us of what it begins
# A query that finds nothing to tell is answered that the payment was received, also where it was refused or was blocked
# meanwhile; and what an amended trade is called does not enter the book. These axes are then not compared.
# (In FIN it is said in words.)
RECEIVED, AMENDED = ("payment_query", "received"), ("foreign_exchange_amendment", "amended")
UNCLEAR = {RECEIVED: ("processing",), AMENDED: ("processing", "matching")}
_BOOKED, _RETURNED = {("payment", "booked"), ("notice", "credited")}, ("payment", "returned")
_TERMS = ("bought", "bought_currency", "sold", "sold_currency", "rate", "trade_date", "settlement_date")
_EXCHANGES = {"exchange_confirmation", "exchange_amendment", "exchange_cancellation", "alleged_exchange"}
_CONFIRMS = {"confirmed", "differing", "amended", "amended-otherwise", "alleged"}


def told_after_all(desktop: Desktop, now: datetime) -> list[BookEntry]:
    """Return the book; what was lost on the way and said again, or told in the answer to a query, has been said."""
    entries = read_book(desktop.path)
    told = [
        (entry.transaction_id, answer.said_at, answer.values["told"].split(","))
        for entry in entries
        for answer in entry.answers
        if "told" in answer.values and answer.state is AnswerState.SENT
    ]
    twice = {
        answer.business_message_id
        for entry in entries
        for answer in entry.answers
        if answer.duplicate and answer.state is AnswerState.SENT
    }
    lost = []
    for answer, state in desktop.book.answers():
        transaction = next(entry.transaction_id for entry in entries if entry.number == answer.number)
        if state is AnswerState.DROPPED and (
            answer.business_message_id in twice
            or any(transaction == about and answer.step in steps and answer.said_at <= at for about, at, steps in told)
        ):
            lost.append(answer)
    for answer in lost:
        desktop.note(answer, AnswerState.SENT, now)
    return read_book(desktop.path)


def said_to(entries: Sequence[BookEntry]) -> dict[tuple[str, str], str]:
    """Return the last word on each message of ours that asks something, by its identifier and axis."""
    said = {}
    crossed = amended_after_the_end(entries)
    for entry in entries:
        for answer in sorted(entry.answers, key=lambda answer: answer.said_at):
            spoken = answer.state is AnswerState.SENT and answer.business_message_id not in crossed
            if entry.repeat is None and entry.business_message_id and answer.axis and answer.value and spoken:
                said[entry.business_message_id, answer.axis] = answer.value
    return said


def spoken_of(entries: Sequence[BookEntry]) -> dict[str, set[tuple[str, str]]]:
    """Return the dialogue and step of everything that was said of each transaction."""
    spoken: dict[str, set[tuple[str, str]]] = defaultdict(set)
    for entry in entries:
        sent = [answer.step for answer in entry.answers if answer.state is AnswerState.SENT]
        spoken[entry.transaction_id or ""] |= {(entry.dialogue or "", step) for step in sent}
    return spoken


def paid(entries: Sequence[BookEntry]) -> dict[str, tuple[Decimal, Decimal]]:
    """Return the money of each payment and notice that was booked, and that came back; each entry counts once."""
    sums: dict[str, tuple[Decimal, Decimal]] = {}
    counted: set[str] = set()
    for entry in entries:
        for answer in entry.answers:
            said = (entry.dialogue, answer.step.partition(":")[0])
            if answer.state is not AnswerState.SENT or answer.business_message_id in counted:
                continue
            if said in (*_BOOKED, _RETURNED):
                counted.add(answer.business_message_id)
                booked, returned = sums.get(entry.transaction_id or "", (Decimal(0), Decimal(0)))
                amount = Decimal(entry.terms["amount"])
                come = (booked, returned + amount) if said == _RETURNED else (booked + amount, returned)
                sums[entry.transaction_id or ""] = come
    return sums


def refused_by_the_network(entries: Sequence[BookEntry]) -> set[str]:
    """Name the messages of ours that the network refused."""
    return {
        entry.terms["user_reference"]
        for entry in entries
        for answer in entry.answers
        if answer.message_definition == "F21" and answer.step == "refused" and answer.state is AnswerState.SENT
    }


def expected_to_be_parked(entries: Sequence[BookEntry]) -> set[str]:
    """Name the messages that nobody can make sense of."""
    wrong = {
        answer.business_message_id
        for entry in entries
        for answer in entry.answers
        if answer.step.partition(":")[0] in FAULTS or (entry.dialogue, answer.step) == RECEIVED
    } | amended_after_the_end(entries)
    unheard = never_begun(entries)
    return wrong | {
        answer.business_message_id for entry in entries if entry.transaction_id in unheard for answer in entry.answers
    }


def never_begun(entries: Sequence[BookEntry]) -> set[str]:
    """Name what the other side began and never told us: what it says of that afterwards is for an operator."""
    return {
        entry.transaction_id or ""
        for entry in entries
        if entry.message_definition is None
        and entry.valid
        and not any(answer.step in BEGINS and answer.state is AnswerState.SENT for answer in entry.answers)
    }


def amended_after_the_end(entries: Sequence[BookEntry]) -> set[str]:
    """Name the answers to amendments that crossed the end of their trade: the system said both."""
    ended = {
        entry.transaction_id: answer.said_at
        for entry in entries
        for answer in entry.answers
        if entry.dialogue == "foreign_exchange" and answer.step in ENDS
    }
    return {
        answer.business_message_id
        for entry in entries
        for answer in entry.answers
        if (entry.dialogue, answer.step) == AMENDED
        and entry.transaction_id in ended
        and ended[entry.transaction_id] < answer.said_at
    }


@dataclass(frozen=True, slots=True)
class Theirs:
    """A foreign exchange trade as the other side confirms it: how it was last, and whether it began and stands.

    ``messages`` are what was said of it.
    """

    terms: tuple[str | None, ...]
    began: bool
    stands: bool
    messages: frozenset[str]


@dataclass(frozen=True, slots=True)
class Exchanges:
    """Trades that both sides confirm to each other: the terms of ours that is in force, and theirs by its reference."""

    ours: Mapping[str, tuple[str | None, ...]]
    theirs: Mapping[str, Theirs]

    @classmethod
    def of(cls, entries: Sequence[BookEntry], writer: Writer) -> Exchanges:
        ours: dict[str, tuple[str | None, ...]] = {}
        said: dict[str, list[tuple[BookAnswer, BookEntry]]] = defaultdict(list)
        for entry in entries:
            dialogue, name = entry.dialogue or "", entry.transaction_id or ""
            if not entry.valid or entry.repeat is not None or dialogue not in _EXCHANGES:
                continue
            if dialogue != "exchange_confirmation" and refused_by_the_network([entry]):
                pass  # it never came
            elif dialogue in ("exchange_confirmation", "exchange_amendment"):
                ours[name] = _exchanged(entry.terms)
            elif dialogue == "exchange_cancellation":
                ours.pop(name, None)
            reference = name if entry.message_definition is None else writer.identifier("servicer", name)
            said[reference] += [(answer, entry) for answer in entry.answers if answer.state is AnswerState.SENT]
        return cls(ours, {name: found for name, spoken in said.items() if (found := _theirs(spoken))})

    @property
    def senseless(self) -> frozenset[str]:
        """Name the messages that withdraw what was never confirmed."""
        return frozenset().union(*(one.messages for one in self.theirs.values() if not one.began))

    def is_confirmed(self, transaction: str) -> bool:
        """Tell whether something of theirs that stands has the terms of this one of ours."""
        return any(one.began and one.stands and one.terms == self.ours[transaction] for one in self.theirs.values())


def _theirs(spoken: Sequence[tuple[BookAnswer, BookEntry]]) -> Theirs | None:
    ordered = sorted(spoken, key=lambda pair: pair[0].said_at)
    said = [(answer.step.partition(":")[0], answer, entry) for answer, entry in ordered]
    confirmed = [(answer, entry) for step, answer, entry in said if step in _CONFIRMS]
    stands = [step in _CONFIRMS for step, _, _ in said if step in (*_CONFIRMS, "withdrawn")]
    if not stands:
        return None
    messages = frozenset(answer.business_message_id for _, answer, _ in said)
    if not confirmed:
        return Theirs((), began=False, stands=False, messages=messages)
    answer, entry = confirmed[-1]
    return Theirs(_exchanged(entry.terms | answer.values), began=True, stands=stands[-1], messages=messages)


def _exchanged(terms: Mapping[str, str]) -> tuple[str | None, ...]:
    return tuple(terms.get(name) for name in _TERMS)
