"""Trades that the other side begins: record them, and compare them with what is ours.

An allegement, a generated transaction, a counterparty's own trade confirmation, a foreign exchange trade that a central
system alleges and a system's event name nothing of ours. Each becomes a row like an instruction of ours, with a history
and status events; its transaction identification is derived from the counterparty and the counterparty's reference, so
that a repeat finds it again.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import date, datetime, timedelta
from typing import Final

from gateway import lifecycle, matching
from gateway.errors import EventError
from gateway.messages import Messages
from gateway.model.events import TradeEvent, parse_event
from gateway.model.facts import (
    Alert,
    AllegementAdvice,
    Counterpart,
    Delivery,
    Fact,
    ForeignExchangeStatus,
    References,
    Reply,
    State,
    StatusValue,
    SystemEvent,
    Terms,
)
from gateway.model.facts import Alleged as AllegedFact
from gateway.model.profile import Profile
from gateway.model.references import transaction_id
from gateway.model.reports import Cause
from gateway.model.transitions import FINISHED, Dialogue
from gateway.requests import ask
from gateway.store import Alleged, InstructionRow, Origin, Unit

ACTOR: Final = "gateway"
_NUMBER: Final = 1
_CONFIRMED: Final = "confirmed"  # the headline of a trade that both sides confirm alike
_PENDING: Final = {"pending": "under_investigation", "forwarded": "forwarded"}
_NEAR: Final = timedelta(days=10)  # around their settlement date; beyond it two trades are not the same trade
_OURS: Final = {
    Dialogue.ALLEGEMENT: (Dialogue.SETTLEMENT,),
    Dialogue.ALLEGED_TRADE: (Dialogue.CONFIRMATION, Dialogue.SETTLEMENT),
    Dialogue.ALLEGED_EXCHANGE: (Dialogue.FOREIGN_EXCHANGE,),
    Dialogue.SETTLEMENT: (Dialogue.SETTLEMENT,),
}
_DONE: Final = frozenset({"settled", "affirmed", "netted"})  # headlines of what ended as it was meant to


def answer(
    row: InstructionRow, word: str, code: str | None, text: str | None, event_id: str, at: datetime
) -> TradeEvent:
    """Make the event that answers a trade which the other side began.

    ``word`` is ``affirm`` or ``disaffirm`` for its trade confirmation, else ``consent``, ``reject``, ``pending`` (under
    investigation) or ``forwarded``. Raises EventError with every reason why this is no answer.
    """
    own: dict[str, object] = {
        "event_id": event_id,
        "source": ACTOR,
        "trade_id": row.trade_id,
        "instruction_number": row.instruction_number,
        "occurred_at": at.isoformat(),
        "counterparty": row.counterparty,
    }
    why = {name: value for name, value in (("reason", code), ("text", text)) if value is not None}
    said: dict[str, object]
    if row.dialogue == Dialogue.ALLEGED_TRADE:
        said = {"schema": "answer_trade/1", "answer": word, **why}
    elif word in _PENDING:
        said = {"schema": "answer_allegement/1", "pending": _PENDING[word], **why}
    else:
        said = {"schema": "answer_allegement/1", {"reject": "rejection"}.get(word, word): why}
    return parse_event(json.dumps(own | said).encode())


class Allegements:
    """Record what one counterparty begins, and compare it with what is ours."""

    def __init__(self, own_bic: str, profile: Profile) -> None:
        self._own_bic = own_bic
        self._profile = profile

    def transaction_of(self, reference: str, dialogue: str) -> str:
        """Derive the transaction identification under which the ledger keeps what the other side calls so."""
        return transaction_id(self._own_bic, self._profile.bic, reference, Dialogue(dialogue), _NUMBER)

    def told_apart(self, reply: Reply, candidates: Sequence[matching.Candidate]) -> Reply:
        """Tell theirs from ours in what a central system says of foreign exchange trades.

        A trade that the system states and that nothing of ours is named for is alleged, whether the system says so or
        not. A status of ours that names the other side's trade says that it is alleged no longer.
        """
        if not any(isinstance(fact, ForeignExchangeStatus) for _, fact in reply.facts):
            return reply
        facts: list[tuple[References, Fact]] = []
        for references, fact in reply.facts:
            if isinstance(fact, ForeignExchangeStatus):
                facts += self._told_apart(references, fact, reply, candidates)
            else:
                facts.append((references, fact))
        return replace(reply, facts=tuple(facts))

    def _told_apart(
        self,
        references: References,
        fact: ForeignExchangeStatus,
        reply: Reply,
        candidates: Sequence[matching.Candidate],
    ) -> list[tuple[References, Fact]]:
        found = matching.correlate(references, reply, candidates, self._profile.bic)
        theirs = isinstance(found, matching.Unknown) or (
            fact.alleged and isinstance(found, matching.Correlated) and found.candidate.theirs
        )
        if fact.states_trade and theirs:
            return [(references, fact.alleging())]
        other = References(account_servicer_transaction_id=references.matched_side_reference)
        told = matching.correlate(other, reply, candidates, self._profile.bic)
        if isinstance(told, matching.Correlated) and told.candidate.theirs:
            return [(references, fact), (other, AllegementAdvice(StatusValue("matched")))]
        return [(references, fact)]

    def record(
        self,
        unit: Unit,
        fact: AllegedFact | SystemEvent,
        reference: str,
        evidence: lifecycle.Evidence,
        row: InstructionRow | None,
    ) -> tuple[InstructionRow, lifecycle.Advance]:
        """Add or find the row of what is alleged, and give its next state; the caller moves it.

        The same terms again change nothing; other terms under the same reference are alerted, and the first stay in the
        ledger. What is ours is compared with the newest.
        """
        dialogue, terms = Dialogue(fact.about), self._seen_from_us(fact)
        changed: tuple[Alert, ...] = ()
        if row is None:
            row = unit.add_instruction(
                transaction_id=self.transaction_of(reference, dialogue),
                event=Origin(self._profile.bic, reference, _NUMBER),
                dialogue=dialogue,
                counterparty=self._profile.bic,
                terms=terms,
                state=lifecycle.begin(dialogue, {}, Delivery.THEIRS),
            )
            unit.end_wait([row.transaction_id])  # an answer may have come first
        elif row.terms != terms:
            changed = (lifecycle.alert("alleged_terms_changed", lifecycle.describe(terms)),)
        step = lifecycle.advance(row.state, fact, evidence, row.terms)
        alerts = (*changed, *step.alerts)
        said = (step.state.axes or {}).get("processing" if dialogue is Dialogue.SETTLEMENT else "allegement")
        if dialogue not in _OURS or said is None or said.archive_id != evidence.archive_id:  # an older one came late
            return row, lifecycle.Advance(step.state, step.changes, alerts)
        state = replace(step.state, stated=None if terms == row.terms else terms)  # or as it was at first again
        if state.stated != row.state.stated:
            unit.settles_on(row, terms.settlement_date)
        compared = self._compare(unit, row, state, evidence)
        return row, lifecycle.Advance(compared.state, (*step.changes, *compared.changes), (*alerts, *compared.alerts))

    def compare_again(self, unit: Unit, messages: Messages, row: InstructionRow) -> None:
        """Compare what the other side began before ours came or went with what there is now; the row is locked."""
        exchange = row.dialogue == Dialogue.ALLEGED_EXCHANGE
        if exchange and (not self._profile.confirms_exchange or row.headline in FINISHED[row.dialogue]):
            return  # a central system compares and tells
        held = (row.state.axes or {}).get("comparison")
        evidence = lifecycle.Evidence(
            unit.now, held.asserted_at if held else None, held.archive_id if held else 0, "comparison"
        )
        step = self._compare(unit, row, row.state, evidence)
        before = row.state.counterparts
        if step.state == row.state:
            self.confirm_ours(unit, row, before, evidence)
            return
        best = step.state.counterparts[0] if step.state.counterparts else None
        # Ours has just come and is on its way: only where it is held or parked does somebody have to act.
        due = best is None or best.differences or best.kind == "parked" or best.standing == "held"
        unit.move(
            row,
            step.state,
            lifecycle.headline(step.state),
            action="compared_again",
            actor=ACTOR,
            cause=Cause("comparison", best.identifier if best else row.transaction_id),
            changes=step.changes,
            alerts=step.alerts if due else (),
        )
        self.answer(unit, messages, row)
        self.confirm_ours(unit, row, before, evidence)

    def confirm_ours(
        self, unit: Unit, row: InstructionRow, before: Sequence[Counterpart], evidence: lifecycle.Evidence
    ) -> tuple[Alert, ...]:
        """Tell trades of ours what the other side's own confirmation makes of them: no status ever does.

        ``before`` is what it was compared with until now. The nearest of ours is confirmed where it agrees; what it had
        confirmed and is not like any more, or is withdrawn from, is so no longer. Returns what operators must see.
        """
        if row.dialogue != Dialogue.ALLEGED_EXCHANGE or not self._profile.confirms_exchange:
            return ()
        allegement = (row.state.axes or {}).get("allegement")
        stands = allegement is not None and allegement.status.value == "alleged"
        best = next(iter(row.state.counterparts), None) if stands else None
        names = {one.identifier for one in (*before, *row.state.counterparts) if one.kind == "instruction"}
        found = unit.by_transaction(names) if names else {}
        alerts: list[Alert] = []
        for ours in unit.lock(sorted(found.values())).values():
            nearest = best if best is not None and best.identifier == ours.transaction_id else None
            told_by = lifecycle.confirmed_by(ours.state)
            if ours.headline in FINISHED[ours.dialogue] and ours.headline != _CONFIRMED:
                continue
            if told_by != row.transaction_id and (nearest is None or (told_by is not None and nearest.differences)):
                continue
            step = lifecycle.confirm(ours.state, row.transaction_id, nearest, evidence)
            if step.state != ours.state:
                unit.move(
                    ours,
                    step.state,
                    lifecycle.headline(step.state),
                    action="compared",
                    actor=ACTOR,
                    cause=Cause("comparison", row.transaction_id),
                    changes=step.changes,
                    alerts=step.alerts,
                )
                alerts += step.alerts
                if nearest is None or nearest.differences:
                    unit.recheck([ours.id])  # another one of theirs may confirm it
        return tuple(alerts)

    def _compare(
        self, unit: Unit, row: InstructionRow, state: State, evidence: lifecycle.Evidence
    ) -> lifecycle.Advance:
        """Compare ours with the newest terms that the other side states."""
        terms = state.stated or row.terms
        counterparts = matching.rank(terms, self._ours(unit, row, state, terms), self._profile.tolerances)
        return lifecycle.compared(state, terms, counterparts, evidence)

    def answer(
        self, unit: Unit, messages: Messages, row: InstructionRow, stated_in: str | None = None
    ) -> tuple[Alert, ...]:
        """Affirm a trade confirmation of theirs that agrees with ours, once, where the profile allows it.

        ``stated_in`` is the definition of the message that is being applied, if it is about this trade.
        """
        axes = row.state.axes or {}
        agrees = "comparison" in axes and axes["comparison"].status.value == "agrees"
        if not (self._profile.answers_agreed_trades and agrees) or "answer" in axes:
            return ()
        if row.dialogue != Dialogue.ALLEGED_TRADE:
            return ()
        event = answer(row, "affirm", None, None, f"{row.transaction_id}-agreed", unit.now)
        cause = Cause("comparison", row.state.counterparts[0].identifier)
        return ask(unit, messages, self._profile, event, row, cause=cause, actor=ACTOR, stated_in=stated_in)

    def _seen_from_us(self, fact: AllegedFact | SystemEvent) -> Terms:
        """State the terms of a fact; who receives, delivers, buys or sells is decided by who we are, where named."""
        terms = fact.terms()
        if isinstance(fact, SystemEvent):
            return terms
        if fact.about == Dialogue.ALLEGED_EXCHANGE:
            if fact.trading_party is not None and matching.same_party(fact.trading_party, self._own_bic):
                return replace(terms, other_party=fact.counterparty)
            return replace(
                terms,
                bought_amount=terms.sold_amount,
                sold_amount=terms.bought_amount,
                other_party=fact.trading_party,
            )
        for party, movement in ((fact.receiving_agent, "receive"), (fact.delivering_agent, "deliver")):
            if party is not None and matching.same_party(party, self._own_bic):
                return replace(terms, movement=movement)
        return terms if terms.movement in ("deliver", "receive") else replace(terms, movement=None)

    def _ours(self, unit: Unit, row: InstructionRow, state: State, theirs: Terms) -> Sequence[matching.Ours]:
        """List what of ours it may be: open instructions around their date, and parked events of this counterparty.

        One that has settled stays beside what it was found to be like while it was open. What is alleged first after
        that is another trade: a depository alleges only what it has not matched.
        """
        dialogue, when = Dialogue(row.dialogue), theirs.settlement_date or unit.now.date()
        known = {one.identifier for one in state.counterparts if one.kind == "instruction"}
        ours = [
            matching.Ours(
                "instruction", one.transaction_id, _standing(one), lifecycle.terms_in_force(one.state, one.terms)
            )
            for one in unit.around(self._profile.bic, _OURS[dialogue], when - _NEAR, when + _NEAR)
            if one.id != row.id and (_is_open(one, row) or (one.headline in _DONE and one.transaction_id in known))
        ]
        for parked_id, code, content in unit.parked_events(self._profile.bic):
            terms = _terms_of(content, _OURS[dialogue], when)
            if terms is not None:
                ours.append(matching.Ours("parked", str(parked_id), code, terms))
        return ours


def may_be(alleged: Alleged, terms: Terms) -> bool:
    """Tell whether ours may be what the other side began, by the little that is at hand."""
    theirs, ours = alleged.settlement_date, terms.settlement_date
    if theirs is not None and ours is not None and abs(theirs - ours) > _NEAR:
        return False
    quantity, amount = terms.quantity, terms.amount or terms.bought_amount
    return (quantity is not None and quantity.value == alleged.quantity) or (
        amount is not None and amount.value == alleged.amount
    )


def _settling(row: InstructionRow) -> set[date]:
    """Return when one of ours is to settle, and when it was before it was amended."""
    dates = {row.terms.settlement_date, lifecycle.terms_in_force(row.state, row.terms).settlement_date}
    return {day for day in dates if day is not None}


def around(unit: Unit, instruction_ids: Iterable[int]) -> list[int]:
    """List what the other side began and nobody has answered, and these instructions are or may be."""
    alleged = unit.allegements_around(instruction_ids)
    rows = unit.look_up(instruction_ids).values()
    exchanges = [row for row in rows if row.dialogue == Dialogue.FOREIGN_EXCHANGE and row.terms.settlement_date]
    return sorted(
        {
            theirs.id
            for row in exchanges
            for when in _settling(row)
            for theirs in unit.around(row.counterparty, (Dialogue.ALLEGED_EXCHANGE,), when - _NEAR, when + _NEAR)
        }
        | {
            one.instruction_id
            for one in alleged
            for row in rows
            if row.counterparty == one.counterparty and may_be(one, row.terms)
        }
    )


def _is_open(ours: InstructionRow, theirs: InstructionRow) -> bool:
    """Tell whether one of ours may still be what the other side states: what another has confirmed is not."""
    if ours.headline == _CONFIRMED:
        return lifecycle.confirmed_by(ours.state) == theirs.transaction_id
    return ours.headline not in FINISHED[ours.dialogue]


def _standing(row: InstructionRow) -> str:
    held = (row.state.axes or {}).get("hold")
    return "held" if held is not None and held.status.value == "held" else row.headline


def _terms_of(content: bytes, dialogues: tuple[Dialogue, ...], when: date) -> Terms | None:
    """Read the terms of a parked event where it can be read at all, and is about that time."""
    try:
        event = parse_event(content)
    except EventError:
        return None
    terms = event.terms()
    if event.dialogue not in dialogues or terms.settlement_date is None or abs(terms.settlement_date - when) > _NEAR:
        return None
    return terms
