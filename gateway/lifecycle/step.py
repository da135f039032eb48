"""One advance in the making: what a fact may move, and how. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from datetime import datetime
from decimal import Decimal
from typing import Final

from gateway.errors import IllegalTransition, Violation
from gateway.model.facts import (
    Alert,
    Asked,
    Axis,
    Change,
    Delivery,
    Difference,
    Part,
    State,
    StatusValue,
    Terms,
)
from gateway.model.transitions import (
    ALERTS,
    CLOSING,
    EFFECTS,
    NOTHING,
    OPENING,
    PROVABLE,
    REQUEST,
    SETTLED,
    STATUS,
    TAKEN_BACK,
    WAYS,
    Cause,
)


@dataclass(frozen=True, slots=True)
class Evidence:
    """Where a fact comes from.

    ``at`` is when it is applied, ``asserted_at`` the header's creation time (both aware), ``archive_id`` the reply's
    number in the archive (from 1), ``source_id`` identifies the reply's content (its business message identifier, or a
    digest where there is none), ``about`` says which kind of our messages it is about (``instruction``,
    ``confirmation`` or a request: one of ``REQUESTS``), and ``names`` which one, by business message identifier.
    """

    at: datetime
    asserted_at: datetime | None
    archive_id: int
    source_id: str
    about: str = "instruction"
    names: str | None = None


@dataclass(frozen=True, slots=True)
class Advance:
    """The next state, the axes that moved, and what operators must see."""

    state: State
    changes: tuple[Change, ...] = ()
    alerts: tuple[Alert, ...] = ()


NO_TERMS: Final = Terms()
_ZERO: Final = Decimal(0)
_COMPLETE: Final = StatusValue("settled")
_PARTIAL: Final = StatusValue("partially_settled")
_REVERSED: Final = StatusValue("reversed")
REQUESTED: Final = StatusValue("requested")


def terms_in_force(state: State, instructed: Terms) -> Terms:
    """Return what confirmations are compared with: what was instructed, with every modification that was done."""
    terms = instructed
    for asked in (state.requests or {}).values():
        if asked.terms is not None and asked.status.value == "modified":
            terms = modified(terms, asked.before, asked.terms)
    return terms


def modified(terms: Terms, before: Terms | None, asked: Terms) -> Terms:
    """Apply what one modification changed: another one may have been asked for, and done, beside it."""
    if before is None:
        return asked
    changed = {
        each.name: getattr(asked, each.name)
        for each in fields(Terms)
        if getattr(asked, each.name) != getattr(before, each.name)
    }
    return replace(terms, **changed)


def illegal(state: State, axis: str, before: str, after: str, *, code: str | None = None) -> IllegalTransition:
    return IllegalTransition(f"{state.dialogue} {axis}: no way from {before} to {after}", code=code)


def alert(code: str, detail: str = "") -> Alert:
    return Alert(code, f"{ALERTS[code]} {detail}".rstrip())


def warned(warnings: Sequence[Violation]) -> tuple[Alert, ...]:
    """Return the alert of the rules that a message goes against and that refuse nothing, if there are any."""
    return (alert("rule_warning", "; ".join(warning.text for warning in warnings)),) if warnings else ()


def newer(asserted_at: datetime | None, archive_id: int, held: Axis | Part | Asked) -> bool:
    if asserted_at is not None and held.asserted_at is not None and asserted_at != held.asserted_at:
        return asserted_at > held.asserted_at
    return archive_id > held.archive_id


class Step:
    """One advance in the making: copies of what the fact may move, and what moved."""

    __slots__ = (
        "advised",
        "alerts",
        "axes",
        "breaks",
        "changes",
        "delivery",
        "evidence",
        "parts",
        "requests",
        "returns",
        "state",
        "terms",
    )

    def __init__(self, state: State, evidence: Evidence, terms: Terms) -> None:
        self.state = state
        self.evidence = evidence
        self.terms = terms_in_force(state, terms) if state.requests else terms
        self.axes = dict(state.axes) if state.axes else {}
        self.advised = state.advised
        self.parts = state.parts
        self.returns = state.returns
        self.requests = state.requests
        self.breaks = state.breaks
        self.delivery = state.delivery
        self.changes: list[Change] = []
        self.alerts: list[Alert] = []

    def value(self, axis: str) -> str:
        held = self.axes.get(axis)
        return NOTHING if held is None else held.status.value

    def alert(self, code: str, detail: str = "") -> None:
        self.alerts.append(alert(code, detail))

    def prove_delivery(self) -> None:
        """A reply to our message proves that it arrived."""
        before = self.delivery
        if before in (Delivery.SENT, Delivery.THEIRS):
            return
        if before in PROVABLE:
            self.delivery = Delivery.SENT
            self.changes.append(Change("delivery", before, Delivery.SENT))
        else:
            self.alert("reply_to_unsent", f"Delivery is {before}.")

    def refuse_delivery(self) -> None:
        """Take our message out of the air: the network refused it. What is in doubt may have arrived all the same."""
        before = self.delivery
        after = TAKEN_BACK.get(before)
        if after is not None:
            self.delivery = after
            self.changes.append(Change("delivery", before, after))

    def say(self, axis: str, status: StatusValue, cause: Cause = STATUS) -> None:
        """Move an axis to what the counterparty asserts, unless it asserted something newer before."""
        self.notice(axis, status)
        held = self.axes.get(axis)
        evidence = self.evidence
        if held is None or newer(evidence.asserted_at, evidence.archive_id, held):
            self.move(axis, Axis(status, evidence.asserted_at, evidence.archive_id), cause)

    def notice(self, axis: str, status: StatusValue) -> None:
        """Alert a status that no code set here has; it is kept as a proprietary one."""
        if status.unknown:
            self.alert("status_code_unknown", f"{axis}: {status.proprietary}.")

    def refuse_request(self, axis: str, status: StatusValue) -> None:
        """Take back a request that the network refused: nobody has it. One that is done by being said is undone."""
        undone = (REQUEST, self.value(axis), status.value) in WAYS.get((self.state.dialogue, axis), ())
        self.answer(axis, status, REQUEST if undone else STATUS)

    def answer(self, axis: str, status: StatusValue, cause: Cause = STATUS) -> None:
        """Move a request of ours; the axis shows the latest of its kind."""
        if axis not in self.axes:
            self.alert("request_not_made")
        kind = {name: asked for name, asked in (self.requests or {}).items() if asked.request == axis}
        latest = next(reversed(kind), None)
        named = self.evidence.names if self.evidence.names in kind else latest
        if named == latest:
            self.say(axis, status, cause)
        if named is None:
            return
        asked = kind[named]
        answered = self.axes[axis] if named == latest else self.answered(asked, status, named, cause)
        self.requests = {
            **(self.requests or {}),
            named: replace(
                asked, status=answered.status, asserted_at=answered.asserted_at, archive_id=answered.archive_id
            ),
        }
        effect = EFFECTS.get((self.state.dialogue, axis, answered.status.value, asked.asks))
        if effect is not None and answered.status != asked.status:
            self.say(effect[0], StatusValue(effect[1]))

    def answered(self, asked: Asked, status: StatusValue, named: str, cause: Cause = STATUS) -> Axis:
        """Say where an earlier request stands after an answer; one that is older than its last word changes nothing."""
        self.notice(asked.request, status)
        evidence, before = self.evidence, asked.status.value
        if asked.archive_id and not newer(evidence.asserted_at, evidence.archive_id, asked):
            return Axis(asked.status, asked.asserted_at, asked.archive_id)
        if before != status.value:
            if (cause, before, status.value) not in WAYS[self.state.dialogue, asked.request]:
                raise illegal(self.state, asked.request, before, status.value)
            self.changes.append(Change(asked.request, before, status.value, status.reasons, named))
        return Axis(status, evidence.asserted_at, evidence.archive_id)

    def move(self, axis: str, to: Axis, cause: Cause, *, sums_moved: bool = False) -> None:
        held = self.axes.get(axis)
        after = to.status.value
        before = NOTHING if held is None else held.status.value
        if before != after:
            if (cause, before, after) not in WAYS.get((self.state.dialogue, axis), ()):
                raise illegal(self.state, axis, before, after)
        elif not sums_moved and held is not None and held.status == to.status:
            self.axes[axis] = to
            return
        self.axes[axis] = to
        self.changes.append(Change(axis, None if held is None else before, after, to.status.reasons))

    def advise_settlement(self, status: StatusValue) -> None:
        """Keep what a status says of settlement beside the confirmations, and show it while none stands."""
        self.notice("settlement", status)
        held, evidence = self.advised, self.evidence
        if held is not None and not newer(evidence.asserted_at, evidence.archive_id, held):
            return
        before = NOTHING if held is None else held.status.value
        if before != status.value and (STATUS, before, status.value) not in WAYS[self.state.dialogue, "settlement"]:
            raise illegal(self.state, "settlement", self.value("settlement"), status.value)
        self.advised = Axis(status, evidence.asserted_at, evidence.archive_id)
        if all(part.reversed for part in self.parts):
            self.move("settlement", self.unsettled(), STATUS)
        elif status.value == "failing" != before and self.value("settlement") == "partially_settled":
            self.alert("remainder_failing")

    def unsettled(self) -> Axis:
        """Say where settlement stands while no part does: the newer of the last reversal and the last status."""
        latest = self.advised
        for part in self.parts:
            if latest is None or newer(part.asserted_at, part.archive_id, latest):
                latest = Axis(_REVERSED, part.asserted_at, part.archive_id)
        assert latest is not None  # only a part or a status brings us here
        return latest

    def settle(self, cause: Cause, *, sums_moved: bool = True) -> None:
        """Derive the settlement axis and the breaks from the parts that stand, whatever order they came in."""
        breaks = self.total(cause, "settlement", self.parts, self.terms, sums_moved=sums_moved)
        if breaks or self.breaks:
            self.draw_up(breaks)

    def total(
        self, cause: Cause, axis: str, parts: Sequence[Part], terms: Terms, *, sums_moved: bool = True
    ) -> set[Difference]:
        """Derive one axis from the parts of it, and return its breaks; ``terms`` are what was to be settled."""
        instructed, price = terms.quantity, terms.amount
        standing = paid = 0
        whole = last = undone = False
        settled = spent = _ZERO
        breaks: set[Difference] = set()
        latest = parts[0]
        for part in parts:
            if newer(part.asserted_at, part.archive_id, latest):
                latest = part
            if part.reversed:
                undone = True
                continue
            standing += 1
            whole = whole or part.whole
            last = last or part.last
            if part.differences:
                breaks.update(part.differences)
            if instructed is not None and part.quantity is not None and part.quantity.type == instructed.type:
                settled += part.quantity.value
            if price is not None and part.amount is not None and part.amount.currency == price.currency:
                paid += 1
                spent += part.amount.value
        if not standing:
            self.move(axis, self.unsettled(), cause, sums_moved=sums_moved)
            return breaks
        # The last part completes the sum unless one before it was undone.
        complete = whole or (last and not undone) or (instructed is not None and settled >= instructed.value)
        status = _COMPLETE if complete else _PARTIAL
        self.move(axis, Axis(status, latest.asserted_at, latest.archive_id), cause, sums_moved=sums_moved)
        # A single confirmation is compared by itself already, unless it says that it is the last of several.
        summed = breaks if standing > 1 or last else None
        if instructed is not None and settled != instructed.value:
            self.weigh("quantity", instructed.value, settled, _ZERO, summed, complete=complete)
        if price is not None and spent != price.value:
            full = complete and paid == standing
            self.weigh("amount", price.value, spent, terms.amount_tolerance, summed, complete=full)
        return breaks

    def weigh(
        self,
        what: str,
        instructed: Decimal,
        settled: Decimal,
        tolerance: Decimal,
        breaks: set[Difference] | None,
        *,
        complete: bool,
    ) -> None:
        """Alert a sum beyond the instruction, and add it to ``breaks`` if it is that, or complete and short."""
        excess = settled - instructed
        if excess > tolerance:
            self.alert("settled_beyond_instruction", f"{what}: instructed {instructed}, settled {settled}.")
        if breaks is not None and (excess > tolerance or (complete and -excess > tolerance)):
            breaks.add(Difference(f"settled_{what}", str(instructed), str(settled)))

    def draw_up(self, breaks: set[Difference], code: str = "settlement_break") -> None:
        """Keep the breaks that stand, and alert those that are new."""
        fresh = breaks.difference(self.breaks)
        self.breaks = tuple(sorted(breaks, key=break_order))
        if fresh:
            described = (
                f"{d.field}: instructed {d.instructed}, confirmed {d.confirmed}" for d in self.breaks if d in fresh
            )
            self.alert(code, "; ".join(described) + ".")

    def finish(self, sources: dict[str, int] | None) -> Advance:
        state = self.state
        crossing = crossing_of(self.axes)
        if crossing is not None and crossing != crossing_of(state.axes or {}):
            self.alert(*crossing)
        after = State(
            state.dialogue,
            self.delivery,
            self.axes or None,
            self.parts,
            self.breaks,
            self.advised,
            sources,
            self.requests,
            state.counterparts,
            state.stated,
            self.returns,
        )
        return Advance(after, tuple(self.changes), tuple(self.alerts))


def break_order(difference: Difference) -> tuple[str, str]:
    return difference.field, difference.confirmed or ""


def crossing_of(axes: Mapping[str, Axis]) -> tuple[str, str] | None:
    opening = axes.get(OPENING)
    settlement = axes.get("settlement") or opening
    if settlement is None or settlement.status.value not in SETTLED:
        return None
    processing = axes["processing"].status.value if "processing" in axes else NOTHING
    cancellation = axes["cancellation"].status.value if "cancellation" in axes else NOTHING
    given_up = processing in ("rejected", "cancelled") or cancellation == "cancelled"
    if opening is not None and given_up and (CLOSING not in axes or axes[CLOSING].status.value != "settled"):
        return "closing_given_up", f"The opening leg is {opening.status.value}."
    if processing == "rejected":
        return "rejection_crossed_settlement", ""
    if settlement.status.value == "partially_settled":  # cancelling the remainder is regular business
        return None
    if processing == "cancelled" or cancellation == "cancelled":
        return "cancellation_crossed_settlement", "The counterparty also says that it is cancelled."
    if cancellation in ("requested", "accepted", "pending", "repair"):
        return "cancellation_crossed_settlement", f"The cancellation is {cancellation}."
    return None
