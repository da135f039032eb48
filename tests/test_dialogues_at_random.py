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
from collections.abc import Coroutine
from dataclasses import dataclass, field
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

import msgspec
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from gateway.messages.schema_files import load_catalogue
from gateway.messages.validation import Validator
from gateway.model.facts import State
from gateway.model.reports import settled_sums
from gateway.simulator.answers import Answer, Writer
from gateway.simulator.arrival import Arrival, Reader
from gateway.simulator.book import AnswerState, Book, Outcome, outcomes, read_book
from gateway.simulator.counterparty import read_scenarios
from gateway.simulator.desk import Desk
from gateway.simulator.scenario import RANDOM
from gateway.simulator.tables import Tables, read_tables
from gateway.store import Ledger, tables
from gateway.store.migration import upgrade
from tests import loops as under_test
from tests.loops import CHANNEL, OWN_BIC, Loops, settings_for

FULL = os.environ.get("GATEWAY_TEST_FULL") == "1"
EXAMPLES = 400 if FULL else 12
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


SCENARIOS = {
    dialogue: [scenario.name for scenario in read_scenarios() if scenario.dialogue == dialogue]
    for dialogue in ("settlement", "confirmation", "cancellation")
}
FATES = {
    "arrives": under_test.arrives,
    "not_sent": under_test.not_sent,
    "lost": under_test.lost,
    "arrives_in_doubt": under_test.arrives_in_doubt,
}


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
        """Read what arrived and say everything that is due."""
        arrivals = [self.reader.read(f"wire/{self.read + number}", content) for number, content in enumerate(contents)]
        self.read += len(contents)
        taken = self.desk.take(arrivals, now)
        self.book.record(taken.recorded, taken.changed)
        while due := self.desk.due(self.desk.next_due() or now, 100):
            self.on_the_way += [(answer, arrival, self.writer.write(arrival, answer)) for answer, arrival in due]

    def note(self, answer: Answer, state: AnswerState, now: datetime) -> None:
        self.book.mark([(answer, state, now, "", "")])


class Dialogues(RuleBasedStateMachine):
    """Upstream publishes, the gateway works, the counterparty answers, and everything between them goes wrong."""

    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        self.folder = Path(tempfile.mkdtemp(prefix="dialogues-", dir=empty_ledger().parent))
        self.trades: list[tuple[str, str]] = []  # kind of dialogue, trade
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

    @rule(scenario=st.sampled_from(SCENARIOS["settlement"]), then=st.sampled_from(SCENARIOS["cancellation"]))
    def instruct(self, scenario: str, then: str) -> None:
        trade = self._begin("settlement")
        self._publish(under_test.instruct(trade, processing_text=f"SIM:{scenario},{then}"))

    @rule(scenario=st.sampled_from(SCENARIOS["confirmation"]))
    def confirm(self, scenario: str) -> None:
        trade = self._begin("confirmation")
        self._publish(under_test.confirm(trade, processing_text=f"SIM:{scenario}"))

    @precondition(lambda self: any(dialogue == "settlement" for dialogue, _ in self.trades))
    @rule(data=st.data())
    def cancel(self, data: st.DataObject) -> None:
        trades = [trade for dialogue, trade in self.trades if dialogue == "settlement"]
        self._publish(under_test.cancel(data.draw(st.sampled_from(trades))))

    @precondition(lambda self: self.events)
    @rule(data=st.data())
    def publish_again(self, data: st.DataObject) -> None:
        event = data.draw(st.sampled_from(self.events))
        [recorded] = self.run(self.loops.take_in(event))
        assert recorded.outcome == "duplicate"

    def _begin(self, dialogue: str) -> str:
        trade = f"T{len(self.trades) + 1}"
        self.trades.append((dialogue, trade))
        return trade

    def _publish(self, event: dict[str, Any]) -> None:
        before = len(self.events)
        self.run(self.loops.take_in(event))
        self.events.append(event)
        assert len(self.events) == before + 1

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
            waiting = self.counterparty.on_the_way
            if not waiting and self.counterparty.read == len(self.loops.arrived()):
                return
            for answer, _, content in waiting:
                self.counterparty.note(answer, AnswerState.SENT, self.loops.time.now)
                self.run(self.loops.hear(content))
            waiting.clear()
        raise AssertionError("this would never end")

    def _compare(self) -> None:
        expected = outcomes(read_book(self.counterparty.path))
        rows = self.run(self.loops.rows(tables.instruction))
        ours = {row["transaction_id"]: msgspec.json.decode(row["state"], type=State) for row in rows}
        assert expected.keys() <= ours.keys()
        for transaction, outcome in expected.items():
            assert self._stands(ours[transaction]) == self._should_stand(outcome), transaction
        withdrawn = {name for name, state in ours.items() if state.delivery.value == "withdrawn"}
        assert set(ours) - withdrawn == set(expected), "an instruction never arrived, or one that was withdrawn did"
        self.run(self.loops.prove())

    @staticmethod
    def _stands(state: State) -> dict[str, Any]:
        quantities, amounts = settled_sums(state)
        return {
            # What we ask stands open until the counterparty says something about it.
            "axes": {name: axis.status.value for name, axis in (state.axes or {}).items() if axis.archive_id},
            "quantity": sum(quantity.value for quantity in quantities),
            "amount": sum(amount.value for amount in amounts),
        }

    @staticmethod
    def _should_stand(outcome: Outcome) -> dict[str, Any]:
        return {
            "axes": outcome.axes,
            "quantity": outcome.settled_quantity,
            "amount": outcome.settled_amount or 0,
        }


TestDialogues = Dialogues.TestCase
TestDialogues.settings = settings(
    max_examples=EXAMPLES,
    stateful_step_count=STEPS,
    deadline=None,
    phases=[Phase.explicit, Phase.reuse, Phase.generate],
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much, HealthCheck.data_too_large],
)
