"""Random dialogues between the gateway and simulated counterparties end where the simulators' own books say.

The gateway is its real loops on a real ledger; each counterparty is the simulator's desk, writer and book. One speaks
ISO 20022, the other FIN. Between them messages are lost and sent again, answers are shuffled, doubled and dropped, and
the gateway's process dies. However that goes, once all is delivered the axes of every transaction stand where the book
says, the sums agree, and every chain of history verifies. ``GATEWAY_TEST_FULL=1`` plays thousands of dialogues.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import tempfile
from collections import Counter
from collections.abc import Coroutine, Mapping, Sequence
from datetime import date, timedelta
from pathlib import Path
from typing import Any, TypeVar

import msgspec
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from gateway.model.facts import Delivery, State
from gateway.model.reports import settled_sums
from gateway.model.transitions import REQUESTS, Dialogue
from gateway.simulator.book import AnswerState, BookEntry, Outcome, outcomes
from gateway.simulator.initiative import Initiative
from gateway.store import Ledger, tables
from tests import loops as under_test
from tests.dialogues import (
    ANSWERED,
    ANSWERS,
    FAMILIES,
    FIN,
    ISO,
    LANGUAGES,
    SCENARIOS,
    UNCLEAR,
    Desktop,
    Exchanges,
    Family,
    begins,
    empty_ledger,
    expected_to_be_parked,
    never_begun,
    paid,
    refused_by_the_network,
    said_to,
    spoken_of,
    told_after_all,
)
from tests.loops import Loops, party, settings_for

FULL = os.environ.get("GATEWAY_TEST_FULL") == "1"
EXAMPLES = 500 if FULL else 12
STEPS = 40

T = TypeVar("T")

FATES = {
    "arrives": under_test.arrives,
    "not_sent": under_test.not_sent,
    "lost": under_test.lost,
    "arrives_in_doubt": under_test.arrives_in_doubt,
}
# Events that come too late, or answer what never came, are for an operator.
REFUSED_EVENTS = {"illegal_transition", "request_unknown_instruction"}
# A status answers a query, whatever it was sent for.
QUERIES = {"status_query"}
# What is asked about a payment in FIN is answered in words, which operators read.
ANSWERED_IN_WORDS = {("payment_query", "told"), ("payment_query", "received")}
# What we say to the other side of a trade itself holds without an answer.
DONE_BY_ASKING = {
    (Dialogue.FOREIGN_EXCHANGE, "amendment"): "modified",
    (Dialogue.FOREIGN_EXCHANGE, "cancellation"): "cancelled",
}
# A central system gives one status at a time, and the gateway says what it means for every axis.
ONE_AT_A_TIME = {Dialogue.FOREIGN_EXCHANGE}
PLAYED: Counter[str] = Counter()
A_SIDE = st.sampled_from(sorted(LANGUAGES))


class Dialogues(RuleBasedStateMachine):
    """Upstream publishes, the gateway works, the counterparty answers, and everything between them goes wrong."""

    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        self.folder = Path(tempfile.mkdtemp(prefix="dialogues-", dir=empty_ledger().parent))
        self.trades: list[tuple[str, Family, str]] = []  # counterparty, what was begun, trade
        self.begun: list[tuple[str, str, str]] = []  # counterparty, kind of dialogue, reference of theirs
        self.events: list[dict[str, Any]] = []

    @initialize(seed=st.integers(0, 10**6))
    def begin(self, seed: int) -> None:
        shutil.copy(empty_ledger(), self.folder / "ledger.db")
        url = f"sqlite:///{self.folder}/ledger.db"
        self.ledger = self.run(Ledger.open(url))
        parties = [party(bic, language=language) for bic, language in LANGUAGES.items()]
        self.loops = Loops(self.ledger, settings_for(url, counterparties=parties))
        self.sides = {bic: Desktop.open(bic, self.folder, seed) for bic in LANGUAGES}

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        return self.runner.run(work)

    # Upstream ---

    @rule(data=st.data(), side=A_SIDE)
    def instruct(self, data: st.DataObject, side: str) -> None:
        language = LANGUAGES[side]
        family = data.draw(st.sampled_from(FAMILIES[language]))
        asked_for = [family.dialogue, *sorted(family.requests), *(family.begins if data.draw(st.booleans()) else ())]
        names = [data.draw(st.sampled_from(SCENARIOS[language][one])) for one in asked_for]
        trade = f"T{len(self.trades) + 1}"
        self.trades.append((side, family, trade))
        PLAYED[f"{language} {family.dialogue}"] += 1
        text = f"SIM:{','.join(names)}"
        said = {family.text: (text,) if family.text == "remittance" else text} if family.text else {}
        held = {"hold": True} if family.holds and data.draw(st.booleans()) else {}
        unlike = self._unlike_others(family, trade)
        self._publish(under_test.event(family.event, trade, **family.changes, **held, **said, **unlike), side)

    @precondition(lambda self: any(family.requests for _, family, _ in self.trades))
    @rule(data=st.data())
    def ask(self, data: st.DataObject) -> None:
        side, family, trade = data.draw(st.sampled_from([one for one in self.trades if one[1].requests]))
        kind = data.draw(st.sampled_from(sorted(family.requests)))
        self._ask(side, trade, data.draw(st.sampled_from(family.requests[kind])), family)

    @precondition(lambda self: self._answerable())
    @rule(data=st.data())
    def answer_theirs(self, data: st.DataObject) -> None:
        side, dialogue, reference = data.draw(st.sampled_from(self._answerable()))
        self._ask(side, reference, data.draw(st.sampled_from(ANSWERS[dialogue])))

    @precondition(lambda self: self.events)
    @rule(data=st.data())
    def publish_again(self, data: st.DataObject) -> None:
        event = data.draw(st.sampled_from(self.events))
        [recorded] = self.run(self.loops.take_in(event))
        assert recorded.outcome == "duplicate"

    def _answerable(self) -> list[tuple[str, str, str]]:
        return [one for one in self.begun if LANGUAGES[one[0]] == ISO and one[1] in ANSWERS]

    def _ask(self, side: str, trade: str, request: dict[str, Any], family: Family | None = None) -> None:
        PLAYED[f"{LANGUAGES[side]} {request['schema']}"] += 1
        identifier = f"{trade}-asks-{len(self.events)}"
        if request["schema"] == "amend_foreign_exchange/1":  # nobody names an amendment: only its terms tell which
            later = date(2026, 3, 5) + timedelta(days=len(self.events))
            request = request | {"settlement_date": later.isoformat()} | self._unlike_others(family, trade)
        self._publish(under_test.event(request["schema"], trade, **request, event_id=identifier), side)

    @staticmethod
    def _unlike_others(family: Family | None, trade: str) -> dict[str, Any]:
        """Give each trade that both sides confirm an amount of its own, so that it is known which confirms which."""
        if family is None or family.dialogue != "exchange_confirmation":
            return {}
        return {"bought_amount": {"value": f"{1_000_000 + 10_000 * int(trade[1:])}.00", "currency": "EUR"}}

    def _publish(self, event: dict[str, Any], side: str) -> None:
        event = event | {"counterparty": side}
        self.run(self.loops.take_in(event))
        self.events.append(event)

    # Between the two ---

    @rule(side=A_SIDE, fates=st.lists(st.sampled_from(sorted(FATES)), max_size=4))
    def send(self, side: str, fates: list[str]) -> None:
        self.loops.wires[side].fates = [FATES[fate] for fate in fates]
        self.run(self.loops.send(side))

    @rule(side=A_SIDE, before_the_send=st.booleans())
    def die_while_sending(self, side: str, before_the_send: bool) -> None:
        wire = self.loops.wires[side]
        wire.fates = [under_test.crashes if before_the_send else under_test.arrives_and_crashes]
        try:
            self.run(self.loops.send(side))
        except under_test.Crash:
            self.loops.crash()
        wire.fates = []

    @rule(side=A_SIDE)
    def counterparty_reads(self, side: str) -> None:
        arrived = self.loops.arrived(side)[self.sides[side].read :]
        self.sides[side].take([item.content for item in arrived], self.loops.time.now)

    @precondition(lambda self: any(side.able_to_begin for side in self.sides.values()))
    @rule(data=st.data(), differs=st.booleans())
    def counterparty_begins(self, data: st.DataObject, differs: bool) -> None:
        """Let it begin what nobody asked for, with the terms of one of ours or others."""
        able = [(side, arrival) for side in self.sides.values() for arrival in side.able_to_begin]
        side, arrival = data.draw(st.sampled_from(able))
        family = begins(side.language, arrival.dialogue)
        assert family is not None
        dialogue, known = data.draw(st.sampled_from(family.begins)), SCENARIOS[side.language]
        turned = side.writer.dialogues[dialogue].turned
        terms = {name: turned.get(name, {}).get(text, text) for name, text in arrival.terms.items() if name != "hold"}
        if differs and family.differs in terms:
            terms[family.differs] = "777"
        play = [data.draw(st.sampled_from(known[dialogue]))]
        if dialogue in ANSWERED and side.language == ISO:
            play.append(data.draw(st.sampled_from(known[ANSWERED[dialogue]])))
        reference = f"THEIRS-{len(self.begun) + 1}"
        self.begun.append((side.bic, dialogue, reference))
        PLAYED[f"{side.language} {dialogue}"] += 1
        side.begin(Initiative(reference, tuple(play), terms), self.loops.time.now)

    @precondition(lambda self: any(side.desk.next_due() is not None for side in self.sides.values()))
    @rule(data=st.data(), limit=st.integers(1, 5))
    def counterparty_speaks(self, data: st.DataObject, limit: int) -> None:
        able = [side.bic for side in self.sides.values() if side.desk.next_due() is not None]
        self._speak(self.sides[data.draw(st.sampled_from(able))], limit)

    def _speak(self, side: Desktop, limit: int) -> None:
        due = side.desk.next_due()
        assert due is not None
        if due > self.loops.time.now + timedelta(minutes=10):
            self.loops.crash()  # much time goes by: leases run out
        self.loops.time.now = max(self.loops.time.now, due)
        side.speak(self.loops.time.now, limit)

    @precondition(lambda self: any(side.on_the_way for side in self.sides.values()))
    @rule(data=st.data(), fate=st.sampled_from(["deliver", "deliver", "deliver", "twice", "drop"]))
    def answer(self, data: st.DataObject, fate: str) -> None:
        able = [(side.bic, number) for side in self.sides.values() for number in range(len(side.on_the_way))]
        bic, number = data.draw(st.sampled_from(able))
        answer, content = self.sides[bic].next_to_arrive(number)
        if fate == "drop":
            self.sides[bic].note(answer, AnswerState.DROPPED, self.loops.time.now)
            return
        self.sides[bic].note(answer, AnswerState.SENT, self.loops.time.now)
        self.run(self.loops.hear(*([content] * (2 if fate == "twice" else 1)), channel=bic))

    @rule(side=A_SIDE)
    def archive_and_die(self, side: str) -> None:
        """Receive everything, and die before any of it is applied."""
        self.run(self.loops.archive(*self._all_that_waits(self.sides[side]), channel=side))
        self.loops.crash()

    def _all_that_waits(self, side: Desktop) -> list[bytes]:
        """Take everything that is on its way."""
        for answer, _, _ in side.on_the_way:
            side.note(answer, AnswerState.SENT, self.loops.time.now)
        contents = [content for _, _, content in side.on_the_way]
        side.on_the_way.clear()
        return contents

    # In the end ---

    def teardown(self) -> None:
        try:
            if hasattr(self, "loops"):
                self._finish()
                self._compare()
        finally:
            if hasattr(self, "loops"):
                for side in self.sides.values():
                    side.book.close()
                self.run(self.ledger.close())
            self.runner.close()
            shutil.rmtree(self.folder)

    def _finish(self) -> None:
        """Let everything that is under way come to its end."""
        for _ in range(20):
            for bic in self.sides:
                self.run(self.loops.apply(bic))
            self.run(self.loops.work_off())
            going_on = [self._goes_on(side) for side in self.sides.values()]
            if not any(going_on):
                for bic in self.sides:
                    self._release_what_came_too_early(bic)
                self.run(self.loops.work_off())  # what is to be compared anew for it
                return
        raise AssertionError("this would never end")

    def _goes_on(self, side: Desktop) -> bool:
        """Send, and hear, what there is with one of them; tell whether there was anything."""
        self.send(side.bic, fates=[])
        self.counterparty_reads(side.bic)
        while side.desk.next_due() is not None:
            self._speak(side, limit=100)
        waiting = self._all_that_waits(side)
        for content in waiting:
            self.run(self.loops.hear(content, channel=side.bic))
        return bool(waiting) or side.read < len(self.loops.arrived(side.bic))

    def _compare(self) -> None:
        faults = [fault for side in self.sides.values() for fault in self._faults(side)]
        assert not faults, "\n".join(faults)
        self.run(self.loops.prove())

    def _faults(self, side: Desktop) -> list[str]:
        """Say everything in which the ledger is not what the book of one of them says."""
        entries = told_after_all(side, self.loops.time.now)
        ours: dict[str, State] = {}
        for row in self.run(self.loops.rows(tables.instruction)):
            if row["counterparty"] == side.bic:
                state = msgspec.json.decode(row["state"], type=State)
                ours[row["trade_id"] if state.delivery is Delivery.THEIRS else row["transaction_id"]] = state
        exchanges = Exchanges.of(entries, side.writer)
        theirs = {entry.transaction_id for entry in entries if entry.message_definition is None}
        expected = {
            name: self._should_stand(outcome)
            for name, outcome in outcomes(entries).items()
            if (name not in theirs or outcome.axes) and name not in never_begun(entries)
        }
        for reference, confirmed in exchanges.theirs.items():
            if confirmed.began:
                axes = {"allegement": "alleged" if confirmed.stands else "withdrawn"}
                expected[reference] = {"axes": axes, "quantity": 0, "amount": 0, "returned": 0}
        for transaction, (booked, returned) in paid(entries).items():
            expected[transaction] |= {"amount": booked, "returned": returned}
        faults = self._left_with_operators(side, entries, exchanges)
        said, spoken = said_to(entries), spoken_of(entries)
        for transaction, should in expected.items():
            if transaction not in ours:
                faults.append(f"{transaction} never came: {should}")
                continue
            state = ours[transaction]
            stands = self._stands(state, should)
            if state.dialogue == Dialogue.FOREIGN_EXCHANGE and side.language == FIN:
                # Whether both sides confirm the same follows from what they confirm, in whichever order it came.
                matching = (state.axes or {}).get("matching")
                confirmed = matching is not None and matching.status.value == "confirmed"
                for axes in (stands["axes"], should["axes"]):
                    axes.pop("matching", None)
                if transaction in exchanges.ours and confirmed != exchanges.is_confirmed(transaction):
                    faults.append(f"{state.dialogue} {transaction} is {'' if confirmed else 'not '}confirmed")
            if spoken[transaction] & ANSWERED_IN_WORDS and side.language == FIN:
                should["axes"]["investigation"] = "answered"
            for what, unclear in UNCLEAR.items():
                if side.language == ISO and what in spoken[transaction]:
                    for axis in unclear:
                        stands["axes"].pop(axis, None)
                        should["axes"].pop(axis, None)
            if stands != should:
                faults.append(f"{state.dialogue} {transaction} stands at {stands}, not at {should}")
            faults += self._wrong_answers(state, said, DONE_BY_ASKING if side.language == FIN else {})
        unexpected = {name for name, state in ours.items() if state.delivery is not Delivery.WITHDRAWN} - set(expected)
        return faults + [f"{ours[name].dialogue} {name} is not in the book" for name in unexpected]

    @staticmethod
    def _wrong_answers(
        state: State, said: Mapping[tuple[str, str], str], unanswered: Mapping[tuple[str, str], str]
    ) -> list[str]:
        faults = []
        for name, asked in (state.requests or {}).items():
            silent = unanswered.get((state.dialogue, asked.request), "requested")
            answer = said.get((name, asked.request), silent)
            rescinded = "processing" in (axes := state.axes or {}) and axes["processing"].status.value == "rescinded"
            if asked.request in QUERIES or (rescinded and asked.request == "cancellation"):
                continue  # whatever was said to it, what it wanted is there
            if state.dialogue == Dialogue.FINANCING and (asked.status.value, answer) == ("modified", "accepted"):
                continue  # that it is done is not said: a leg settled as it says
            if asked.status.value != answer:
                faults.append(f"{state.dialogue} {asked.request} {name} is {asked.status.value}, not {answer}")
        return faults

    def _left_with_operators(self, side: Desktop, entries: Sequence[BookEntry], exchanges: Exchanges) -> list[str]:
        """Say what was parked without a reason."""
        wrong = expected_to_be_parked(entries) | exchanges.senseless
        refused = {f"{side.bic}/{name}" for name in refused_by_the_network(entries)}
        archive = {row["id"]: row for row in self.run(self.loops.rows(tables.archive))}

        def is_wrong(archive_id: int) -> bool:
            """Tell whether nobody can read it, or it is one of those that are wrong on purpose."""
            found = archive[archive_id]
            return found["message_definition"] is None or found["business_message_id"] in wrong

        return [
            f"parked: {row['stage']} {row['code']}: {row['text']}"
            for row in self.run(self.loops.rows(tables.parked))
            if row["state"] == "open"
            and row["counterparty"] in (side.bic, None)
            and not (row["code"] == "network_refused" and row["origin"] in refused)
            and not (row["stage"] == "event" and row["code"] in REFUSED_EVENTS)
            and not (row["stage"] == "reply" and is_wrong(row["archive_id"]))
        ]

    def _release_what_came_too_early(self, bic: str) -> None:
        """Release what was said of a trade of theirs before they began it, as an operator does who sees it now."""
        for row in self.run(self.loops.rows(tables.parked)):
            if row["state"] == "open" and row["stage"] == "reply" and row["code"] == "reply_unknown_transaction":
                self.run(self.loops.command("release", row["id"]))
        self.run(self.loops.apply(bic))

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
            "amount": sum(amount.value for amount in amounts),
            "returned": sum(part.amount.value for part in state.returns if part.amount),
        }

    @staticmethod
    def _should_stand(outcome: Outcome) -> dict[str, Any]:
        return {
            "axes": {name: value for name, value in outcome.axes.items() if name not in REQUESTS},
            "quantity": outcome.settled_quantity,
            "amount": outcome.settled_amount or 0,
            "returned": 0,
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
    phases=[Phase.explicit, Phase.reuse, Phase.generate],
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much, HealthCheck.data_too_large],
)
