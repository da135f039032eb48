"""Random dialogues between the gateway and the counterparty simulator end where the simulator's own book says.

The gateway is its real loops on a real ledger; the counterparty is the simulator's desk, writer and book. Between them
messages are lost and sent again, answers are shuffled, doubled and dropped, and the gateway's process dies. However
that goes, once all is delivered the axes of every transaction stand where the book says, the sums agree, and every
chain of history verifies. ``GATEWAY_TEST_FULL=1`` plays thousands of dialogues.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import tempfile
from collections import Counter, defaultdict
from collections.abc import Coroutine, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

import msgspec
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from gateway.messages.schema_files import load_catalogue
from gateway.messages.validation import Validator
from gateway.model.facts import Delivery, State
from gateway.model.reports import settled_sums
from gateway.model.transitions import REQUESTS, Dialogue
from gateway.simulator.answers import Answer, Writer
from gateway.simulator.arrival import Arrival, Reader
from gateway.simulator.book import AnswerState, Book, BookEntry, Outcome, outcomes, read_book
from gateway.simulator.counterparty import read_scenarios
from gateway.simulator.desk import Desk, Taken
from gateway.simulator.initiative import Initiative
from gateway.simulator.scenario import RANDOM, Delays
from gateway.simulator.tables import Tables, dialogues, read_tables
from gateway.store import Ledger, tables
from gateway.store.migration import upgrade
from tests import loops as under_test
from tests.loops import CHANNEL, OWN_BIC, Loops, settings_for

FULL = os.environ.get("GATEWAY_TEST_FULL") == "1"
EXAMPLES = 1000 if FULL else 12
STEPS = 40

T = TypeVar("T")


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


@dataclass(frozen=True, slots=True)
class Family:
    """A dialogue that we begin: its event, the field of it that asks for scenarios, and what may be asked about it.

    ``requests`` are events by the simulator's name of their dialogue; ``begins`` is what the other side may begin with
    the same terms, and ``differs`` the term in which it may see them otherwise.
    """

    event: str
    text: str
    requests: Mapping[str, Sequence[dict[str, Any]]] = field(default_factory=dict)
    begins: Sequence[str] = ()
    differs: str = ""
    changes: Mapping[str, Any] = field(default_factory=dict)


MONEY = {"payment": "against", "settlement_amount": {"value": "61234.56", "currency": "EUR"}}
SIDES = {
    "trading_side": {"submitting_party": {"bic": OWN_BIC}},
    "counterparty_side": {"submitting_party": {"bic": "OTHRUS33XXX"}},
}
CONDITIONS: list[dict[str, Any]] = [{"hold": True}, {"hold": False}, {"hold": None, "priority": 2}]


def asks(schema: str, *changes: dict[str, Any]) -> list[dict[str, Any]]:
    return [{"schema": schema, **one} for one in changes or ({},)]


FAMILIES = {
    "settlement": Family(
        "instruct_settlement/1",
        "processing_text",
        {
            "cancellation": asks("cancel_settlement/1"),
            "condition_modification": asks("change_settlement_conditions/1", *CONDITIONS),
            "status_query": asks("query_settlement_status/1"),
            "modification": asks(
                "modify_settlement/1",
                {"modification": {"trade_date": "2026-03-01"}},
                {"modification": {"common_reference": "COMMON-2"}},
            ),
        },
        begins=("allegement", "generation"),
        differs="amount",
        changes=MONEY,
    ),
    "confirmation": Family(
        "confirm_trade/1",
        "processing_text",
        {"confirmation_cancellation": asks("cancel_confirmation/1")},
        begins=("alleged_trade",),
        differs="price",
    ),
    "payment": Family(
        "transfer_between_institutions/1",
        "remittance",
        {"payment_cancellation": asks("cancel_payment/1"), "payment_query": asks("query_payment_status/1")},
    ),
    "notice": Family("notify_to_receive/1", "remittance"),
    "foreign_exchange": Family(
        "instruct_foreign_exchange/1",
        "text",
        {
            "foreign_exchange_amendment": asks("amend_foreign_exchange/1", SIDES),
            "foreign_exchange_cancellation": asks("cancel_foreign_exchange/1", SIDES),
        },
        begins=("alleged_exchange",),
        differs="bought",
        changes=SIDES,
    ),
    "movement": Family(
        "instruct_intra_position_movement/1",
        "processing_text",
        {"movement_cancellation": asks("cancel_intra_position_movement/1")},
    ),
    "financing": Family(
        "instruct_securities_financing/1",
        "processing_text",
        {
            "financing_cancellation": asks("cancel_securities_financing/1"),
            "condition_modification": asks("change_financing_conditions/1", *CONDITIONS[:2]),
            "financing_modification": asks("modify_securities_financing/1"),
        },
    ),
}
ANSWERS = {
    "allegement": asks(
        "answer_allegement/1", {"pending": "forwarded"}, {"pending": None, "consent": {"reason": "CPTR"}}
    )
    + asks("answer_allegement/1", {"pending": None, "rejection": {"reason": "CPTR"}}),
    "alleged_trade": asks("answer_trade/1", {"answer": "affirm"}, {"answer": "disaffirm"}),
}
ANSWERED = {"allegement": "allegement_answer", "alleged_trade": "trade_answer"}


def scenarios(dialogue: str) -> list[str]:
    """Name what may be asked for in a dialogue; some the simulator plays whatever is asked for."""
    row = dialogues(simulated().answers)[dialogue]
    own = {row.unknown, row.finished, row.silent}
    names = [one.name for one in read_scenarios() if one.dialogue == dialogue and one.name not in own]
    return [name for name in names if not name.startswith("call-")]  # they answer a call, which none of these asks


SCENARIOS = {dialogue: scenarios(dialogue) for dialogue in dialogues(simulated().answers)}
NOTHING = Family("", "")
FATES = {
    "arrives": under_test.arrives,
    "not_sent": under_test.not_sent,
    "lost": under_test.lost,
    "arrives_in_doubt": under_test.arrives_in_doubt,
}
# Events that come too late, or answer what never came, are for an operator.
REFUSED_EVENTS = {"illegal_transition", "request_unknown_instruction"}
# What the counterparty says wrongly on purpose; each is parked.
FAULTS = {"garbage", "unknown-transaction", "impostor"}
ENDS = {"settled", "rejected", "rescinded", "refused"}  # of a foreign exchange trade
BEGINS = {"alleged", "confirmed", "generated"}  # by these steps it tells us of what it begins
# A query that finds nothing to tell is answered that the payment was received, also where it was refused or was blocked
# meanwhile; and what an amended trade is called does not enter the book. These axes are then not compared.
RECEIVED, AMENDED = ("payment_query", "received"), ("foreign_exchange_amendment", "amended")
UNCLEAR = {RECEIVED: ("processing",), AMENDED: ("processing", "matching")}
# A status answers a query, whatever it was sent for.
QUERIES = {"status_query"}
# A central system gives one status at a time, and the gateway says what it means for every axis.
ONE_AT_A_TIME = {Dialogue.FOREIGN_EXCHANGE}
# The simulator's book does not add up what was booked.
NOT_ADDED_UP = {Dialogue.PAYMENT, Dialogue.NOTICE}
PLAYED: Counter[str] = Counter()


@dataclass
class Desktop:
    """The simulated counterparty at work: what it has read, and what it has said that is still on its way."""

    desk: Desk
    writer: Writer
    reader: Reader
    book: Book
    path: Path
    read: int = 0
    on_the_way: list[tuple[Answer, Arrival, bytes]] = field(default_factory=list)
    arrivals: list[Arrival] = field(default_factory=list)

    @classmethod
    def open(cls, folder: Path, seed: int) -> Desktop:
        reading = simulated().reading
        writer = Writer(
            simulated().answers,
            reading["codes"],
            load_catalogue().namespace,
            bic=CHANNEL,
            gateway_bic=OWN_BIC,
            seed=seed,
            delays=Delays(shortest=1, longest=20),
        )
        path = folder / "book.db"
        return cls(
            desk=Desk(writer, read_scenarios(), (RANDOM,)),
            writer=writer,
            reader=Reader(validator(), reading, CHANNEL, OWN_BIC),
            book=Book(path, {"bic": CHANNEL}),
            path=path,
        )

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
        self.on_the_way += [(answer, arrival, self.writer.write(arrival, answer)) for answer, arrival in due]

    def note(self, answer: Answer, state: AnswerState, now: datetime) -> None:
        self.book.mark([(answer, state, now, "", "")])

    def _record(self, taken: Taken) -> None:
        self.book.record(taken.recorded, taken.changed)


class Dialogues(RuleBasedStateMachine):
    """Upstream publishes, the gateway works, the counterparty answers, and everything between them goes wrong."""

    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        self.folder = Path(tempfile.mkdtemp(prefix="dialogues-", dir=empty_ledger().parent))
        self.trades: list[tuple[str, str]] = []  # kind of dialogue, trade
        self.begun: list[tuple[str, str]] = []  # kind of dialogue, reference of theirs
        self.events: list[dict[str, Any]] = []

    @initialize(seed=st.integers(0, 10**6))
    def begin(self, seed: int) -> None:
        shutil.copy(empty_ledger(), self.folder / "ledger.db")
        url = f"sqlite:///{self.folder}/ledger.db"
        self.ledger = self.run(Ledger.open(url))
        self.loops = Loops(self.ledger, settings_for(url))
        self.counterparty = Desktop.open(self.folder, seed)

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        return self.runner.run(work)

    # Upstream ---

    @rule(data=st.data(), dialogue=st.sampled_from(sorted(FAMILIES)))
    def instruct(self, data: st.DataObject, dialogue: str) -> None:
        family = FAMILIES[dialogue]
        asked_for = [dialogue, *sorted(family.requests), *(family.begins if data.draw(st.booleans()) else ())]
        names = [data.draw(st.sampled_from(SCENARIOS[one])) for one in asked_for]
        trade = f"T{len(self.trades) + 1}"
        self.trades.append((dialogue, trade))
        PLAYED[dialogue] += 1
        text = f"SIM:{','.join(names)}"
        said = (text,) if family.text == "remittance" else text
        held = {"hold": True} if dialogue in ("settlement", "financing") and data.draw(st.booleans()) else {}
        self._publish(under_test.event(family.event, trade, **family.changes, **held, **{family.text: said}))

    @precondition(lambda self: any(FAMILIES[dialogue].requests for dialogue, _ in self.trades))
    @rule(data=st.data())
    def ask(self, data: st.DataObject) -> None:
        dialogue, trade = data.draw(st.sampled_from([one for one in self.trades if FAMILIES[one[0]].requests]))
        requests = FAMILIES[dialogue].requests
        kind = data.draw(st.sampled_from(sorted(requests)))
        self._ask(trade, data.draw(st.sampled_from(requests[kind])))

    @precondition(lambda self: any(dialogue in ANSWERS for dialogue, _ in self.begun))
    @rule(data=st.data())
    def answer_theirs(self, data: st.DataObject) -> None:
        dialogue, reference = data.draw(st.sampled_from([one for one in self.begun if one[0] in ANSWERS]))
        self._ask(reference, data.draw(st.sampled_from(ANSWERS[dialogue])))

    @precondition(lambda self: self.events)
    @rule(data=st.data())
    def publish_again(self, data: st.DataObject) -> None:
        event = data.draw(st.sampled_from(self.events))
        [recorded] = self.run(self.loops.take_in(event))
        assert recorded.outcome == "duplicate"

    def _ask(self, trade: str, request: dict[str, Any]) -> None:
        PLAYED[str(request["schema"])] += 1
        identifier = f"{trade}-asks-{len(self.events)}"
        if request["schema"] == "amend_foreign_exchange/1":  # the system names no amendment: only its terms tell which
            later = date(2026, 3, 5) + timedelta(days=len(self.events))
            request = request | {"settlement_date": later.isoformat()}
        self._publish(under_test.event(request["schema"], trade, **request, event_id=identifier))

    def _publish(self, event: dict[str, Any]) -> None:
        self.run(self.loops.take_in(event))
        self.events.append(event)

    # Between the two ---

    @rule(fates=st.lists(st.sampled_from(sorted(FATES)), max_size=4))
    def send(self, fates: list[str]) -> None:
        self.loops.wires[CHANNEL].fates = [FATES[fate] for fate in fates]
        self.run(self.loops.send())

    @rule(before_the_send=st.booleans())
    def die_while_sending(self, before_the_send: bool) -> None:
        wire = self.loops.wires[CHANNEL]
        wire.fates = [under_test.crashes if before_the_send else under_test.arrives_and_crashes]
        try:
            self.run(self.loops.send())
        except under_test.Crash:
            self.loops.crash()
        wire.fates = []

    @rule()
    def counterparty_reads(self) -> None:
        arrived = self.loops.arrived()[self.counterparty.read :]
        self.counterparty.take([item.content for item in arrived], self.loops.time.now)

    @precondition(
        lambda self: any(FAMILIES.get(one.dialogue or "", NOTHING).begins for one in self.counterparty.arrivals)
    )
    @rule(data=st.data(), differs=st.booleans())
    def counterparty_begins(self, data: st.DataObject, differs: bool) -> None:
        """Let it begin what nobody asked for, with the terms of one of ours or others."""
        able = [one for one in self.counterparty.arrivals if FAMILIES.get(one.dialogue or "", NOTHING).begins]
        arrival = data.draw(st.sampled_from(able))
        family = FAMILIES[arrival.dialogue or ""]
        dialogue = data.draw(st.sampled_from(family.begins))
        turned = self.counterparty.writer.dialogues[dialogue].turned
        terms = {name: turned.get(name, {}).get(text, text) for name, text in arrival.terms.items() if name != "hold"}
        if differs and family.differs in terms:
            terms[family.differs] = "777"
        play = [data.draw(st.sampled_from(SCENARIOS[dialogue]))]
        if dialogue in ANSWERED:
            play.append(data.draw(st.sampled_from(SCENARIOS[ANSWERED[dialogue]])))
        reference = f"THEIRS-{len(self.begun) + 1}"
        self.begun.append((dialogue, reference))
        PLAYED[dialogue] += 1
        self.counterparty.begin(Initiative(reference, tuple(play), terms), self.loops.time.now)

    @precondition(lambda self: self.counterparty.desk.next_due() is not None)
    @rule(limit=st.integers(1, 5))
    def counterparty_speaks(self, limit: int) -> None:
        due = self.counterparty.desk.next_due()
        assert due is not None
        if due > self.loops.time.now + timedelta(minutes=10):
            self.loops.crash()  # much time goes by: leases run out
        self.loops.time.now = max(self.loops.time.now, due)
        self.counterparty.speak(self.loops.time.now, limit)

    @precondition(lambda self: self.counterparty.on_the_way)
    @rule(data=st.data(), fate=st.sampled_from(["deliver", "deliver", "deliver", "twice", "drop"]))
    def answer(self, data: st.DataObject, fate: str) -> None:
        waiting = self.counterparty.on_the_way
        number = data.draw(st.integers(0, len(waiting) - 1))
        answer, _, content = waiting.pop(number)
        if fate == "drop":
            self.counterparty.note(answer, AnswerState.DROPPED, self.loops.time.now)
            return
        self.counterparty.note(answer, AnswerState.SENT, self.loops.time.now)
        self.run(self.loops.hear(*([content] * (2 if fate == "twice" else 1))))

    @rule()
    def archive_and_die(self) -> None:
        """Receive everything, and die before any of it is applied."""
        contents = []
        for answer, _, content in self.counterparty.on_the_way:
            self.counterparty.note(answer, AnswerState.SENT, self.loops.time.now)
            contents.append(content)
        self.counterparty.on_the_way.clear()
        self.run(self.loops.archive(*contents))
        self.loops.crash()

    # In the end ---

    def teardown(self) -> None:
        try:
            if hasattr(self, "loops"):
                self._finish()
                self._compare()
        finally:
            if hasattr(self, "loops"):
                self.counterparty.book.close()
                self.run(self.ledger.close())
            self.runner.close()
            shutil.rmtree(self.folder)

    def _finish(self) -> None:
        """Let everything that is under way come to its end."""
        for _ in range(20):
            self.run(self.loops.apply())
            self.run(self.loops.work_off())
            self.send(fates=[])
            self.counterparty_reads()
            while self.counterparty.desk.next_due() is not None:
                self.counterparty_speaks(limit=100)
            waiting = self.counterparty.on_the_way
            if not waiting and self.counterparty.read == len(self.loops.arrived()):
                self._release_what_came_too_early()
                return
            for answer, _, content in waiting:
                self.counterparty.note(answer, AnswerState.SENT, self.loops.time.now)
                self.run(self.loops.hear(content))
            waiting.clear()
        raise AssertionError("this would never end")

    def _compare(self) -> None:
        assert self._faults() == []
        self.run(self.loops.prove())

    def _faults(self) -> list[str]:
        """Say everything in which the ledger is not what the book says."""
        entries = self._told_after_all()
        ours: dict[str, State] = {}
        for row in self.run(self.loops.rows(tables.instruction)):
            state = msgspec.json.decode(row["state"], type=State)
            ours[row["trade_id"] if state.delivery is Delivery.THEIRS else row["transaction_id"]] = state
        theirs = {entry.transaction_id for entry in entries if entry.message_definition is None}
        expected = {
            name: outcome
            for name, outcome in outcomes(entries).items()
            if (name not in theirs or outcome.axes) and name not in self._unheard(entries)
        }
        faults = self._left_with_operators(entries)
        said = self._answered(entries)
        spoken: dict[str, set[tuple[str, str]]] = defaultdict(set)
        for entry in entries:
            sent = [answer.step for answer in entry.answers if answer.state is AnswerState.SENT]
            spoken[entry.transaction_id or ""] |= {(entry.dialogue or "", step) for step in sent}
        for transaction, outcome in expected.items():
            if transaction not in ours:
                faults.append(f"{transaction} never came: {outcome}")
                continue
            state = ours[transaction]
            should = self._should_stand(outcome)
            stands = self._stands(state, should)
            for what, unclear in UNCLEAR.items():
                if what in spoken[transaction]:
                    for axis in unclear:
                        stands["axes"].pop(axis, None)
                        should["axes"].pop(axis, None)
            if stands != should:
                faults.append(f"{state.dialogue} {transaction} stands at {stands}, not at {should}")
            for name, asked in (state.requests or {}).items():
                answer = said.get((name, asked.request), "requested")
                rescinded = (
                    "processing" in (axes := state.axes or {}) and axes["processing"].status.value == "rescinded"
                )
                if asked.request in QUERIES or (rescinded and asked.request == "cancellation"):
                    continue  # whatever was said to it, what it wanted is there
                if state.dialogue == Dialogue.FINANCING and (asked.status.value, answer) == ("modified", "accepted"):
                    continue  # that it is done is not said: a leg settled as it says
                if asked.status.value != answer:
                    faults.append(f"{state.dialogue} {asked.request} {name} is {asked.status.value}, not {answer}")
        unexpected = {name for name, state in ours.items() if state.delivery is not Delivery.WITHDRAWN} - set(expected)
        return faults + [f"{ours[name].dialogue} {name} is not in the book" for name in unexpected]

    def _told_after_all(self) -> list[BookEntry]:
        """Return the book; what was lost on the way and said again, or told in the answer to a query, has been said."""
        entries = read_book(self.counterparty.path)
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
        for answer, state in self.counterparty.book.answers():
            transaction = next(entry.transaction_id for entry in entries if entry.number == answer.number)
            if state is AnswerState.DROPPED and (
                answer.business_message_id in twice
                or any(
                    transaction == about and answer.step in steps and answer.said_at <= at for about, at, steps in told
                )
            ):
                lost.append(answer)
        for answer in lost:
            self.counterparty.note(answer, AnswerState.SENT, self.loops.time.now)
        return read_book(self.counterparty.path)

    @staticmethod
    def _answered(entries: Sequence[BookEntry]) -> dict[tuple[str, str], str]:
        """Return the last word on each message of ours that asks something, by its identifier and axis."""
        said = {}
        crossed = Dialogues._amended_after_the_end(entries)
        for entry in entries:
            for answer in sorted(entry.answers, key=lambda answer: answer.said_at):
                spoken = answer.state is AnswerState.SENT and answer.business_message_id not in crossed
                if entry.repeat is None and entry.business_message_id and answer.axis and answer.value and spoken:
                    said[entry.business_message_id, answer.axis] = answer.value
        return said

    def _left_with_operators(self, entries: Sequence[BookEntry]) -> list[str]:
        """Say what was parked without a reason."""
        wrong = {
            answer.business_message_id
            for entry in entries
            for answer in entry.answers
            if answer.step.partition(":")[0] in FAULTS or (entry.dialogue, answer.step) == RECEIVED
        } | self._amended_after_the_end(entries)
        unheard = self._unheard(entries)
        wrong |= {
            answer.business_message_id
            for entry in entries
            if entry.transaction_id in unheard
            for answer in entry.answers
        }
        archive = {row["id"]: row["business_message_id"] for row in self.run(self.loops.rows(tables.archive))}
        return [
            f"parked: {row['stage']} {row['code']}: {row['text']}"
            for row in self.run(self.loops.rows(tables.parked))
            if row["state"] == "open"
            and not (row["stage"] == "event" and row["code"] in REFUSED_EVENTS)
            and not (row["stage"] == "reply" and (archive[row["archive_id"]] or "") in {*wrong, ""})
        ]

    @staticmethod
    def _unheard(entries: Sequence[BookEntry]) -> set[str]:
        """Name what the other side began and never told us: what it says of that afterwards is for an operator."""
        return {
            entry.transaction_id or ""
            for entry in entries
            if entry.message_definition is None
            and entry.valid
            and not any(answer.step in BEGINS and answer.state is AnswerState.SENT for answer in entry.answers)
        }

    @staticmethod
    def _amended_after_the_end(entries: Sequence[BookEntry]) -> set[str]:
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

    def _release_what_came_too_early(self) -> None:
        """Release what was said of a trade of theirs before they began it, as an operator does who sees it now."""
        for row in self.run(self.loops.rows(tables.parked)):
            if row["state"] == "open" and row["stage"] == "reply" and row["code"] == "reply_unknown_transaction":
                self.run(self.loops.command("release", row["id"]))
        self.run(self.loops.apply())

    @staticmethod
    def _stands(state: State, should: Mapping[str, Any]) -> dict[str, Any]:
        quantities, amounts = settled_sums(state)
        axes = {
            # What we ask stands open until the counterparty says something about it.
            name: axis.status.value
            for name, axis in (state.axes or {}).items()
            if (axis.archive_id or name == "hold") and name not in REQUESTS and name != "comparison"
        }
        if state.dialogue in ONE_AT_A_TIME:
            axes = {name: value for name, value in axes.items() if name in should["axes"]}
        return {
            "axes": axes,
            "quantity": sum(quantity.value for quantity in quantities),
            "amount": 0 if state.dialogue in NOT_ADDED_UP else sum(amount.value for amount in amounts),
        }

    @staticmethod
    def _should_stand(outcome: Outcome) -> dict[str, Any]:
        return {
            "axes": {name: value for name, value in outcome.axes.items() if name not in REQUESTS},
            "quantity": outcome.settled_quantity,
            "amount": outcome.settled_amount or 0,
        }


def teardown_module() -> None:
    """Say how much was played (``pytest -s`` shows it)."""
    begun = sum(count for name, count in PLAYED.items() if "/" not in name)
    asked = sum(count for name, count in PLAYED.items() if "/" in name)
    print(f"\n{begun} dialogues, {asked} requests and answers: {dict(sorted(PLAYED.items()))}")


TestDialogues = Dialogues.TestCase
TestDialogues.settings = settings(
    max_examples=EXAMPLES,
    stateful_step_count=STEPS,
    deadline=None,
    phases=[Phase.explicit, Phase.reuse, Phase.generate],
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much, HealthCheck.data_too_large],
)
