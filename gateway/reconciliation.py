"""Compare what a statement says with what the ledger holds. Pure: every difference is returned with both sides.

Nothing is advanced by a statement: a settlement that only it knows is a difference, for somebody to ask about. What the
counterparty asserted after the statement was made is no difference, and what one side does not state is none.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime
from decimal import Decimal
from typing import Any, Final

from gateway.model.facts import (
    Amount,
    Axis,
    CashBalance,
    CashEntry,
    CashTransaction,
    Counterpart,
    Position,
    Quantity,
    State,
    Statement,
    StatementDifference,
    Terms,
    TransactionEntry,
)
from gateway.model.transitions import SETTLED, Dialogue

NO_REFERENCE: Final = "NONREF"  # what stands where an identification is mandatory and there is none
_AXES: Final = ("processing", "inferred_matching", "matching", "settlement")
# What we should have heard of; that we never heard that all is well is no difference.
_GRAVE: Final = frozenset({"unmatched", "failing", "rejected", "cancelled", "repair", "cancellation_pending"})
_OPENING: Final = ("OPBD", "PRCD")
_CLOSING: Final = "CLBD"


@dataclass(frozen=True, slots=True)
class Held:
    """A transaction of ours as the ledger holds it, with the terms in force; ``finished`` says that it is over."""

    transaction_id: str
    dialogue: str
    headline: str
    finished: bool
    state: State
    terms: Terms


def subject_of(entry: TransactionEntry) -> str:
    """Name a transaction as its statement does: by our reference, else by theirs, else by its security."""
    own = entry.account_owner_transaction_id
    named = own if own and own != NO_REFERENCE else None
    return named or entry.account_servicer_transaction_id or entry.isin or entry.other_identification or "?"


def names_ours(entry: TransactionEntry) -> str | None:
    """Return the reference of ours that an entry states, if it does."""
    own = entry.account_owner_transaction_id
    return None if own == NO_REFERENCE else own


# Transactions ---------------------------------------------------------------------------------------------------------


def compare_posting(entry: TransactionEntry, held: Held | None, amount_tolerance: Decimal) -> list[StatementDifference]:
    """Compare what a statement says was booked: it must be settled here, in the same quantity and amount."""
    if held is None:
        return [_unknown(entry)] if names_ours(entry) else []
    if held.dialogue != Dialogue.SETTLEMENT:
        return []
    found = _compare_terms(entry, held, whole=False)
    parts = [part for part in held.state.parts if not part.reversed]
    if _value(held, "settlement") not in SETTLED:
        return [
            _difference("statement_settled_there", entry, held, "settlement", held.headline, _described(entry)),
            *found,
        ]
    quantity, amount = entry.quantity, entry.amount
    if quantity is not None:
        settled = [part.quantity.value for part in parts if part.quantity and part.quantity.type == quantity.type]
        if settled and quantity.value not in (*settled, sum(settled)):
            shown = _plain(sum(settled, Decimal(0)))
            found.append(_differ(entry, held, "quantity", shown, _plain(quantity.value)))
    if amount is not None:
        paid = [part.amount for part in parts if part.amount is not None]
        if any(one.currency != amount.currency for one in paid):
            found.append(_differ(entry, held, "currency", paid[0].currency, amount.currency))
        elif paid:
            values = [one.value for one in paid]
            if all(abs(value - amount.value) > amount_tolerance for value in (*values, sum(values))):
                shown = f"{_plain(sum(values, Decimal(0)))} {amount.currency}"
                found.append(_differ(entry, held, "amount", shown, _money(amount)))
    return found


def compare_pending(
    entry: TransactionEntry, held: Held | None, stated_at: datetime | None, amount_tolerance: Decimal
) -> list[StatementDifference]:
    """Compare what a statement says is pending: it must be open here, with the same statuses and terms."""
    if held is None:
        return [_unknown(entry)] if names_ours(entry) else []
    if held.dialogue != Dialogue.SETTLEMENT:
        return []
    if held.finished:
        if any(_later(axis, stated_at) for axis in (held.state.axes or {}).values()):
            return []
        theirs = next((s.value for s in (entry.settlement, entry.matching, entry.processing) if s), "pending")
        return [_difference("statement_open_there", entry, held, "status", held.headline, theirs)]
    found = _compare_statuses(entry, held, stated_at)
    whole = _value(held, "settlement") not in SETTLED  # of a part, the quantity may be the whole or the rest
    return [*found, *_compare_terms(entry, held, whole=whole, tolerance=amount_tolerance)]


def compare_movement(entry: TransactionEntry, held: Held | None) -> list[StatementDifference]:
    """Compare a movement between balances with what was instructed."""
    if held is None:
        return [_unknown(entry)] if names_ours(entry) else []
    return _compare_terms(entry, held, whole=entry.previously_settled_quantity is None and not entry.remaining_quantity)


def compare_trail(
    entries: Sequence[TransactionEntry], held: Held | None, stated_at: datetime | None
) -> list[StatementDifference]:
    """Compare the last status of every axis in an audit trail, whatever order it is told in."""
    ordered = sorted(entries, key=lambda entry: entry.at.timestamp() if entry.at else 0)
    if not ordered:
        return []
    last = ordered[-1]
    if held is None:
        return [_unknown(last)] if names_ours(last) else []
    latest: dict[str, Any] = {}
    for name in _AXES:
        said = [status for entry in ordered if (status := getattr(entry, name)) is not None]
        latest[name] = said[-1] if said else None
    last = replace(last, **latest)
    if any(entry.settlements for entry in ordered):
        if _value(held, "settlement") in SETTLED:
            return []
        return [_difference("statement_settled_there", last, held, "settlement", held.headline, "settled")]
    return _compare_statuses(last, held, stated_at)


def compare_allegement(
    entry: TransactionEntry, alleged: Terms | None, like: Counterpart | None
) -> list[StatementDifference]:
    """Compare an alleged transaction of a report with the allegement that came by itself (``alleged``; None: none did).

    ``like`` is what of ours is most like one that never came.
    """
    if alleged is not None:
        state = State(Dialogue.ALLEGEMENT)
        held = Held("", Dialogue.ALLEGEMENT, "alleged", finished=False, state=state, terms=alleged)
        return [replace(found, transaction_id=None) for found in _compare_terms(entry, held, whole=True)]
    ours = None
    if like is not None:
        differs = ", ".join(f"{one.field} {one.instructed}" for one in like.differences) or "no difference"
        ours = f"{like.identifier} {like.standing} ({differs})"
    code, own = "statement_allegement_unknown", None if like is None else like.identifier
    return [StatementDifference(code, subject_of(entry), "allegement", ours, _described(entry), own)]


def terms_of(entry: TransactionEntry) -> Terms:
    """State the terms of an entry."""
    return Terms(
        movement=entry.movement,
        payment=entry.payment,
        isin=entry.isin,
        quantity=entry.quantity,
        amount=entry.amount,
        trade_date=entry.trade_date,
        settlement_date=entry.settlement_date,
    )


def missing(lacking: Iterable[Held]) -> list[StatementDifference]:
    """Name what is open here and on no page of a complete statement of pending transactions."""
    code = "statement_transaction_missing"
    return [
        StatementDifference(code, held.transaction_id, "status", held.headline, None, held.transaction_id)
        for held in lacking
    ]


def compare_cash(
    entry: CashEntry, one: CashTransaction | None, held: Held, amount_tolerance: Decimal
) -> list[StatementDifference]:
    """Compare a booked cash entry, or one transaction of it, that names a transaction of ours."""
    amount = one.amount if one is not None and one.amount is not None else entry.amount
    alone = one is None or one.amount is not None or len(entry.transactions) < 2
    if entry.status not in (None, "BOOK") or amount is None or entry.reversal:
        return []
    subject, found = held.transaction_id, []
    if held.dialogue == Dialogue.SETTLEMENT and _value(held, "settlement") not in SETTLED:
        day = entry.value_date or entry.booking_date
        booked = f"booked {_money(amount)}" + (f" on {day}" if day else "")
        found.append(
            StatementDifference("statement_settled_there", subject, "settlement", held.headline, booked, subject)
        )
    ours = held.terms.amount
    if ours is None or not alone:
        return found
    if ours.currency != amount.currency or abs(ours.value - amount.value) > amount_tolerance:
        code = "statement_terms_differ"
        found.append(StatementDifference(code, subject, "amount", _money(ours), _money(amount), subject))
    return found


def references_of(entry: CashEntry) -> list[tuple[CashTransaction | None, tuple[str, ...]]]:
    """List every reference of a cash entry that may be ours, transaction by transaction."""
    listed: list[tuple[CashTransaction | None, tuple[str, ...]]] = []
    for one in entry.transactions:
        names = (
            one.account_owner_transaction_id,
            one.end_to_end_id,
            one.instruction_id,
            one.transaction_id,
            one.message_id,
        )
        listed.append((one, tuple([name for name in names if name])))
    if entry.entry_reference:
        listed.append((None, (entry.entry_reference,)))
    return listed


def _compare_statuses(entry: TransactionEntry, held: Held, stated_at: datetime | None) -> list[StatementDifference]:
    found = []
    for name in _AXES:
        status = getattr(entry, name)
        if status is None:
            continue
        axis = (held.state.axes or {}).get(name)
        if axis is not None and (_later(axis, stated_at) or axis.status.value == status.value):
            continue
        if axis is None and status.value not in _GRAVE:
            continue
        if name == "settlement" and axis is not None and axis.status.value in SETTLED:
            continue  # the rest of what settled in parts is pending, too
        ours = None if axis is None else axis.status.value
        found.append(_difference("statement_status_differs", entry, held, name, ours, status.value))
    return found


def _compare_terms(
    entry: TransactionEntry, held: Held, *, whole: bool, tolerance: Decimal = Decimal(0)
) -> list[StatementDifference]:
    terms = held.terms
    pairs: list[tuple[str, object, object]] = [
        ("isin", terms.isin, entry.isin),
        ("movement", terms.movement, entry.movement),
        ("payment", terms.payment, entry.payment),
        ("trade_date", terms.trade_date, entry.trade_date),
        ("settlement_date", terms.settlement_date, entry.settlement_date),
    ]
    if whole:
        pairs.append(("quantity", _measured(terms.quantity), _measured(entry.quantity)))
        if terms.amount is not None and entry.amount is not None:
            same = terms.amount.currency == entry.amount.currency
            if not same or abs(terms.amount.value - entry.amount.value) > tolerance:
                pairs.append(("amount", _money(terms.amount), _money(entry.amount)))
    return [
        _differ(entry, held, name, str(ours), str(theirs))
        for name, ours, theirs in pairs
        if ours is not None and theirs is not None and ours != theirs
    ]


def _value(held: Held, axis: str) -> str | None:
    found = (held.state.axes or {}).get(axis)
    return None if found is None else found.status.value


def _later(axis: Axis, stated_at: datetime | None) -> bool:
    return axis.asserted_at is not None and stated_at is not None and axis.asserted_at > stated_at


def _difference(
    code: str, entry: TransactionEntry, held: Held, field: str, ours: str | None, theirs: str | None
) -> StatementDifference:
    return StatementDifference(code, subject_of(entry), field, ours, theirs, held.transaction_id)


def _differ(entry: TransactionEntry, held: Held, field: str, ours: str, theirs: str) -> StatementDifference:
    return _difference("statement_terms_differ", entry, held, field, ours, theirs)


def _unknown(entry: TransactionEntry) -> StatementDifference:
    code = "statement_transaction_unknown"
    return StatementDifference(code, subject_of(entry), "transaction", None, _described(entry))


def _described(entry: TransactionEntry) -> str:
    """Say what an entry states in a line, without accounts."""
    day = entry.effective_settlement_date or entry.settlement_date
    words = [
        entry.movement,
        _measured(entry.quantity),
        entry.isin,
        f"against {_money(entry.amount)}" if entry.amount else entry.payment,
        f"on {day}" if day else None,
    ]
    return " ".join(word for word in words if word) or "listed"


def _measured(quantity: Quantity | None) -> str | None:
    return None if quantity is None else f"{_plain(quantity.value)} {quantity.type}"


def _money(amount: Amount) -> str:
    return f"{_plain(amount.value)} {amount.currency}"


def _plain(value: Decimal) -> str:
    shown = format(value, "f")
    return shown.rstrip("0").rstrip(".") if "." in shown else shown


# Holdings and balances ------------------------------------------------------------------------------------------------


def positions_of(statement: Statement) -> list[Position]:
    """List the holdings and balances that a page states; short and debit are negative."""
    own, day = statement.account or "", statement.statement_date
    found = []
    for holding in statement.holdings:
        instrument = holding.isin or holding.other_identification or holding.description or "?"
        balances = (
            ("closing" if statement.kind == "postings" else "held", holding.quantity, holding.side),
            ("opening", holding.opening, holding.opening_side),
        )
        for name, quantity, side in balances:
            if quantity is not None:
                value = -quantity.value if side == "short" else quantity.value
                found.append(Position(holding.account or own, instrument, name, value, quantity.type, day))
    for balance in statement.balances:
        if balance.amount is not None:
            currency = balance.amount.currency
            found.append(
                Position(own, currency, balance.type or "?", _signed(balance), currency, balance.balance_date or day)
            )
    return found


def movements(held: Iterable[Held], after: date, until: date) -> dict[tuple[str, str], Decimal]:
    """Add up what settled here between two days, by account and security: received less delivered.

    A part settled on the day of the message that confirmed it.
    """
    sums: dict[tuple[str, str], Decimal] = defaultdict(Decimal)
    for one in held:
        terms = one.terms
        if terms.isin is None or terms.movement not in ("deliver", "receive"):
            continue
        for part in one.state.parts:
            if part.reversed or part.quantity is None or part.asserted_at is None:
                continue
            if after < part.asserted_at.date() <= until:
                value = part.quantity.value if terms.movement == "receive" else -part.quantity.value
                sums[terms.safekeeping_account or "", terms.isin] += value
    return dict(sums)


def compare_holdings(
    before: Sequence[Position], now: Sequence[Position], moved: Mapping[tuple[str, str], Decimal], *, complete: bool
) -> list[StatementDifference]:
    """Compare two statements of holdings with what settled here between them.

    What a ``complete`` statement does not list is not held any more. One that names no account is of all of them.
    """
    earlier, later = (_by_security(positions, "held") for positions in (before, now))
    everywhere: dict[str, Decimal] = defaultdict(Decimal)
    for (_, security), value in moved.items():
        everywhere[security] += value
    found = []
    for key in sorted(earlier.keys() | later.keys() if complete else later.keys()):
        account, security, unit = key
        moved_here = moved.get((account, security), Decimal(0)) if account else everywhere[security]
        expected = earlier.get(key, Decimal(0)) + moved_here
        stated = later.get(key, Decimal(0))
        if expected != stated:
            ours = f"{_plain(expected)} {unit} ({_plain(moved_here)} settled here since)"
            code = "statement_holding_differs"
            found.append(StatementDifference(code, security, "quantity", ours, f"{_plain(stated)} {unit}"))
    return found


def _by_security(positions: Sequence[Position], balance: str) -> dict[tuple[str, str, str], Decimal]:
    sums: dict[tuple[str, str, str], Decimal] = defaultdict(Decimal)
    for one in positions:
        if one.balance == balance:
            sums[one.account, one.instrument, one.unit] += one.value
    return dict(sums)


def compare_balances(statement: Statement, before: Sequence[Position]) -> list[StatementDifference]:
    """Compare a whole cash statement: it begins where the one before it closed, and its entries make the difference."""
    found = []
    closed = {one.unit: one.value for one in before if one.balance == _CLOSING}
    opening = _balances(statement, _OPENING)
    closing = _balances(statement, (_CLOSING,))
    for currency, value in sorted(opening.items()):
        if currency in closed and closed[currency] != value:
            ours = f"{_plain(closed[currency])} {currency}"
            found.append(_off(currency, "opening_balance", ours, f"{_plain(value)} {currency}"))
        if currency not in closing:
            continue
        booked = [entry for entry in statement.entries if entry.status in (None, "BOOK") and entry.amount is not None]
        total = sum((_signed(e) for e in booked if e.amount and e.amount.currency == currency), value)
        if total != closing[currency]:
            stated = f"{_plain(closing[currency])} {currency}"
            found.append(_off(currency, "closing_balance", f"{_plain(total)} {currency}", stated))
    return found


def _balances(statement: Statement, types: tuple[str, ...]) -> dict[str, Decimal]:
    """Return the balances of the first of some types that there is, by currency."""
    for wanted in types:
        found = {b.amount.currency: _signed(b) for b in statement.balances if b.type == wanted and b.amount}
        if found:
            return found
    return {}


def _signed(stated: CashBalance | CashEntry) -> Decimal:
    value = stated.amount.value if stated.amount is not None else Decimal(0)
    return -value if stated.credit_debit == "debit" else value


def _off(currency: str, field: str, ours: str, theirs: str) -> StatementDifference:
    return StatementDifference("statement_balance_differs", currency, field, ours, theirs)
