"""Compare three books: what was published, what the counterparties say arrived, what upstream was told. Pure.

Every trade has to end where its course says, and nothing may be lost, doubled or invented on the way.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from gateway.demo.day import Day, Expected, asked_of
from gateway.demo.upstream import Heard, Upstream
from gateway.model.transitions import Dialogue
from gateway.simulator import AnswerState, BookEntry, Outcome, Repeat, request_dialogues

_REQUESTS = request_dialogues()
Arrived = Mapping[str, Sequence[tuple[str, BookEntry]]]
"""What the counterparties' books hold of each transaction, by what they call it: (BIC, entry)."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is not as it should be; ``trade_id`` is None where no trade is concerned."""

    trade_id: str | None
    text: str


def audit(
    day: Day, published: Mapping[str, int], upstream: Upstream, books: Mapping[str, Sequence[BookEntry]]
) -> list[Finding]:
    """Return everything that is wrong; ``published`` counts the events of each trade that reached the broker."""
    findings = [Finding(trade_id, text) for trade_id, text in upstream.faults]
    arrived = by_reference(books)
    for bic, entries in books.items():
        for entry in entries:
            findings += [Finding(None, text) for text in _strange(day, bic, entry)]
    for trade in day.trades:
        if published.get(trade.trade_id, 0) != len(trade.events):
            text = f"{published.get(trade.trade_id, 0)} of {len(trade.events)} events were published"
            findings.append(Finding(trade.trade_id, text))
        for expected in trade.expected:
            heard = upstream.instructions.get(expected.transaction_id)
            wrong = _judge(expected, heard, arrived.get(expected.reference, ()))
            findings += [Finding(trade.trade_id, text) for text in wrong]
    findings += [
        Finding(heard.trade_id, f"upstream was told of the unexpected instruction {transaction}")
        for transaction, heard in upstream.instructions.items()
        if transaction not in day.expected
    ]
    return findings + _exceptions(day, upstream)


def by_reference(books: Mapping[str, Sequence[BookEntry]]) -> Arrived:
    """Sort the entries of the books by the transaction that they are about."""
    arrived: dict[str, list[tuple[str, BookEntry]]] = defaultdict(list)
    for bic, entries in books.items():
        for entry in entries:
            arrived[entry.transaction_id or ""].append((bic, entry))
    return arrived


def has_ended(expected: Expected, heard: Heard | None) -> bool:
    """Tell whether upstream was told an end of this instruction that its course allows."""
    return heard is not None and heard.headline in expected.ends


def _was_withdrawn(expected: Expected, heard: Heard) -> bool:
    """Tell whether an instruction of ours was withdrawn before it was sent; what is theirs ends with the same word."""
    return expected.event is not None and heard.headline == "withdrawn"


def is_over(expected: Expected, heard: Heard, arrived: Sequence[tuple[str, BookEntry]]) -> bool:
    """Tell whether the counterparty was asked everything, has said everything, and upstream was told all of it."""
    if _was_withdrawn(expected, heard):
        return True
    firsts = [entry for _, entry in arrived if entry.repeat is None]
    return (
        expected.alerts <= heard.alerts
        and _asked(firsts) == expected.asked
        and not any(answer.state is AnswerState.PLANNED for entry in firsts for answer in entry.answers)
        and all(is_taken_in(heard, entry.outcome) for entry in firsts if entry.outcome is not None)
    )


def _asked(entries: Sequence[BookEntry]) -> Counter[str]:
    return Counter(asked_of(entry.dialogue, entry.terms) for entry in entries if entry.dialogue in _REQUESTS)


def expected_exceptions(day: Day) -> Counter[tuple[str | None, str]]:
    """Count the exceptions that the day has to bring, by trade (None for those that name none) and label."""
    wanted: Counter[tuple[str | None, str]] = Counter()
    for trade in day.trades:
        wanted.update((trade.trade_id, name) for name in trade.course.parked)
        wanted.update((None, name) for name in trade.course.strays)
    return wanted


def _exceptions(day: Day, upstream: Upstream) -> list[Finding]:
    wanted = expected_exceptions(day)
    findings = []
    for trade_id, name in sorted(wanted.keys() | upstream.parked.keys(), key=str):
        want, got = wanted[trade_id, name], upstream.parked[trade_id, name]
        if want != got:
            findings.append(Finding(trade_id, f"{got} exceptions {name} were published, {want} were expected"))
    return findings


def _strange(day: Day, bic: str, entry: BookEntry) -> Iterator[str]:
    """Name what no message may be, whichever trade it belongs to."""
    what = f"{entry.message_definition} {entry.business_message_id} at {bic}"
    if entry.transaction_id not in day.known:
        yield f"{what} is of no trade of the day"
    if not entry.valid:
        yield f"{what} is invalid: {entry.violations[0].text if entry.violations else 'no reason given'}"
    if entry.repeat is not None and entry.repeat is not Repeat.MARKED:
        yield f"{what} came twice and is not as it has to be: {entry.repeat}"
    for answer in entry.answers:
        if answer.state in (AnswerState.INVALID, AnswerState.PLANNED):
            yield f"the answer {answer.step} to {what} is {answer.state}"


def _judge(expected: Expected, heard: Heard | None, arrived: Sequence[tuple[str, BookEntry]]) -> Iterator[str]:
    """Compare one instruction, or one trade that the counterparty began, in all three books."""
    if heard is None:
        yield "upstream was told nothing"
        return
    if not has_ended(expected, heard):
        yield f"ended {heard.headline}, not {' or '.join(expected.ends)}"
    if heard.alerts != expected.alerts:
        yield f"alerts {sorted(heard.alerts)}, expected {sorted(expected.alerts)}"
    firsts = [(bic, entry) for bic, entry in arrived if entry.dialogue not in _REQUESTS and entry.repeat is None]
    if _was_withdrawn(expected, heard):
        if arrived:
            yield "was withdrawn, and reached the counterparty all the same"
        return
    if len(firsts) != 1:
        yield f"reached a counterparty {len(firsts)} times"
    asked = _asked([entry for _, entry in arrived if entry.repeat is None])
    for what in sorted(asked.keys() | expected.asked.keys()):
        if asked[what] != expected.asked[what]:
            yield f"its {what} was requested {asked[what]} times, not {expected.asked[what]}"
    for bic, entry in firsts:
        if bic != expected.counterparty:
            yield f"reached {bic}, not {expected.counterparty}"
        if expected.event is not None:
            yield from _compare_terms(expected, expected.event, entry)
        if entry.scenario != expected.script.split(",", maxsplit=1)[0]:
            yield f"was answered by the scenario {entry.scenario}, not {expected.script}"
        if entry.outcome is not None:
            yield from _compare(heard, entry.outcome)


def _compare_terms(expected: Expected, event: Mapping[str, Any], entry: BookEntry) -> Iterator[str]:
    compared = _COMPARED[expected.dialogue]
    stated = {name: value for name, value in entry.terms.items() if name in compared}
    wanted = {name: text for name, path in compared.items() if (text := _at(event, path)) is not None}
    differing = sorted(name for name in wanted.keys() | stated.keys() if not _same(wanted.get(name), stated.get(name)))
    if differing:
        yield f"arrived with other terms: {', '.join(differing)}"


def _paths(*same: str, **others: str) -> dict[str, str]:
    return {name: name for name in same} | others


_QUANTITY = {"quantity": "quantity.value", "quantity_type": "quantity.type"}
_SETTLEMENT = _paths("movement", "payment", "isin", "trade_date", "settlement_date", "safekeeping_account", **_QUANTITY)
_PAID = {"amount": "settlement_amount.value", "currency": "settlement_amount.currency"}
# What the counterparty has to have read, and where the published event has it.
_COMPARED: Mapping[Dialogue, Mapping[str, str]] = {
    Dialogue.SETTLEMENT: _SETTLEMENT | _PAID,
    Dialogue.CONFIRMATION: _paths("side", "payment", "isin", "trade_date", "settlement_date", **_QUANTITY)
    | {"amount": "net_amount.value", "currency": "net_amount.currency"},
    Dialogue.PAYMENT: _paths("settlement_date", **_PAID),
    Dialogue.NOTICE: {"settlement_date": "value_date", "amount": "amount.value", "currency": "amount.currency"},
    Dialogue.FOREIGN_EXCHANGE: _paths(
        "trade_date",
        "settlement_date",
        bought="bought_amount.value",
        bought_currency="bought_amount.currency",
        sold="sold_amount.value",
        sold_currency="sold_amount.currency",
        rate="rate.value",
        other_side="counterparty_side.submitting_party.bic",
    ),
    Dialogue.INTRA_POSITION_MOVEMENT: _paths(
        "isin", "settlement_date", "safekeeping_account", "balance_from", "balance_to", **_QUANTITY
    ),
    Dialogue.FINANCING: _SETTLEMENT
    | {
        "settlement_date": "opening_date",
        "amount": "opening_amount.value",
        "currency": "opening_amount.currency",
    },
}
_SIDES = {"buy": "BUYI", "sell": "SELL"}


def _at(event: Mapping[str, Any], path: str) -> str | None:
    value: Any = event
    for name in path.split("."):
        value = value.get(name) if isinstance(value, Mapping) else None
    return _SIDES.get(value, value) if isinstance(value, str) else None


def _same(one: str | None, other: str | None) -> bool:
    if one is None or other is None or one == other:
        return one == other
    try:
        return Decimal(one) == Decimal(other)
    except ArithmeticError:
        return False


# What the simulator's book calls it -> what the gateway's axes call it.
_SAID = {("message", "rejected"): ("processing", "rejected"), ("cancellation", "refused"): ("cancellation", "rejected")}


def is_taken_in(heard: Heard, outcome: Outcome) -> bool:
    """Tell whether every axis stands where the counterparty's last word put it."""
    return not list(_compare(heard, outcome))


def _compare(heard: Heard, outcome: Outcome) -> Iterator[str]:
    said = dict(_SAID.get(item, item) for item in outcome.axes.items())
    for axis, value in said.items():
        stands = heard.axes.get(axis)
        if stands != value and not _advised_after_part(axis, value, heard) and not _shown_by_a_leg(axis, stands, heard):
            yield f"{axis} is {stands}, the counterparty says {value}"
    settled = Counter({name: Decimal(value) for name, value in heard.settled.items()})
    quantity = sum((settled[name] for name in ("unit", "face_amount", "amortised_value")), Decimal(0))
    if quantity != outcome.settled_quantity:
        yield f"{quantity} are settled, the counterparty settled {outcome.settled_quantity}"
    amounts = [value for name, value in settled.items() if name.isupper()]
    if outcome.settled_amount is not None and sum(amounts, Decimal(0)) != outcome.settled_amount:
        yield f"the amount {sum(amounts, Decimal(0))} is settled, the counterparty settled {outcome.settled_amount}"


def _shown_by_a_leg(axis: str, stands: str | None, heard: Heard) -> bool:
    """A modification of a financing is never said to be done; the confirmation of a leg that has its terms shows it."""
    return (heard.dialogue, axis, stands) == (Dialogue.FINANCING, "modification", "modified")


def _advised_after_part(axis: str, value: str, heard: Heard) -> bool:
    """A part that settled stands beside a later status on the rest, which is alerted and moves nothing."""
    return axis == "settlement" and value in ("pending", "failing") and heard.headline == "partially_settled"
