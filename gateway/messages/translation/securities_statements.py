"""Take apart what FIN says of a securities account in forms of its own, and put it together again.

FIN puts everything into the sequence of a sub-account, whether there are sub-accounts or not, and the sign of a balance
into its number; of its sub-balances each has a qualifier, and one that is about a place has that of the whole.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, make_dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import Any, Final, Literal

from gateway.messages.translation.stating import (
    EVENT,
    Stated,
    Statement,
    Tree,
    also,
    at,
    items,
    leaves_below,
    refuse,
    usual,
)
from gateway.model.vocabulary import Amount, Code, ProprietaryIdentification

HOLDINGS: Final = "holdings_statement"
POSTINGS: Final = "postings_statement"
PENDING: Final = "pending_statement"
ALLEGEMENTS: Final = "allegements_report"
MOVEMENTS: Final = "movements_statement"
NO_REFERENCE: Final = "NONREF"
_SETTLEMENT: Final = "SETT"  # what a transaction is about where nothing else is said
_DELIVERING: Final = ("DEAG", "DEI2", "DEI1", "DECU", "SELL")
_RECEIVING: Final = ("REAG", "REI2", "REI1", "RECU", "BUYR")
_STATUSES: Final[Mapping[str, Mapping[str, str]]] = {
    "processing": {
        "accepted": "PACK",
        "pending": "PPRC",
        "repair": "REPR",
        "cancelled": "CAND",
        "cancellation_pending": "CANP",
        "cancellation_requested": "CPRC",
        "modification_requested": "MPRC",
        "generated": "CGEN",
    },
    "matching": {"matched": "MACH", "unmatched": "NMAT"},
    "inferred_matching": {"matched": "MACH", "unmatched": "NMAT"},
    "settlement": {"pending": "PEND", "failing": "PENF"},
}
"""The statuses of each axis, and the code of each in FIN."""

_STATED: Final = (
    "matched",
    "cancellation_requested",
    "modification_requested",
)  # need no reason, nor that there is none
_WITH_REASONS: Final = ("PACK", "PPRC", "REPR", "CAND", "CANP", "CGEN", "NMAT", "PEND", "PENF")
_OF_ITS_OWN: Final = ("proprietary", ProprietaryIdentification | None, None)
_NO_REASON: Final = "NORE"
_IDENTIFICATIONS: Final = (
    "account_owner_transaction_id",
    "account_servicer_transaction_id",
    "pool_id",
    "market_infrastructure_transaction_id",
    "processor_transaction_id",
)
_CHAINS: Final = {"delivering_parties": _DELIVERING, "receiving_parties": _RECEIVING}
_CODES: Final = (
    *("AWAS", "BLCA", "BLOK", "BLOT", "BLOV", "BODE", "BORE", "BORR", "COLI", "COLO", "DRAW", "LOAN", "LODE", "LORE"),
    *("MARG", "OTHR", "PECA", "PEDA", "PEND", "PENR", "PLED", "REGO", "RSTR", "TRAN"),
)
_PRICES: Final = {"market_price": "MRKT", "indicative_price": "INDC"}
_BALANCES: Final = ("aggregate", "available", "not_available")


@dataclass
class Quantity:
    """A quantity of securities."""

    type: Literal["unit", "face_amount", "amortised_value", "digital_token_unit"] | None = None
    value: Decimal | None = None


@dataclass
class Balance:
    """A balance, long or short; in FIN a short one is negative."""

    quantity: Quantity | None = None
    side: Literal["long", "short"] | None = None


@dataclass
class SubBalanceQuantity:
    """A part of a holding, and whether it is available."""

    quantity: Quantity | None = None
    availability: Literal["available", "not_available"] | None = None


Codes: Final = make_dataclass("Codes", [(code, SubBalanceQuantity | None, None) for code in _CODES])


@dataclass
class Place:
    """A place of safekeeping: a kind of place with its BIC, or a country."""

    kind: str | None = None
    bic: str | None = None
    country: str | None = None


@dataclass
class SubBalance:
    """A part of a holding; in FIN one of ``codes``, or with a place what is held there."""

    type: str | None = None
    proprietary_type: ProprietaryIdentification | None = None
    side: Literal["long", "short"] | None = None
    quantity: Quantity | None = None
    counted: SubBalanceQuantity | None = None
    codes: Codes | None = None  # type: ignore[valid-type]
    counted_codes: Codes | None = None  # type: ignore[valid-type]
    aggregate: Balance | None = None
    available: Balance | None = None
    not_available: Balance | None = None
    place: Place | None = None
    narrative: str | None = None


@dataclass
class Price:
    """A price of a security; ``kind`` is MRKT or INDC."""

    kind: str | None = None
    type: Literal["PARV", "DISC", "PREM"] | None = None
    rate: Decimal | None = None
    amount: Amount | None = None


@dataclass
class Holding:
    """What is held of one security."""

    isin: str | None = None
    description: str | None = None
    aggregate: Balance | None = None
    available: Balance | None = None
    not_available: Balance | None = None
    market_price: Price | None = None
    indicative_price: Price | None = None
    prices: tuple[Price, ...] = ()
    value: Amount | None = None
    value_sign: Literal["plus", "minus"] | None = None
    value_in_its_currency: Amount | None = None
    value_in_its_currency_sign: Literal["plus", "minus"] | None = None
    balances: tuple[SubBalance, ...] = ()
    places: tuple[SubBalance, ...] = ()
    narrative: str | None = None


@dataclass
class Owner:
    """Who owns an account."""

    bic: str | None = None
    proprietary: ProprietaryIdentification | None = None
    lei: str | None = None


@dataclass
class SubAccount:
    """A sub-account; in FIN whatever is stated of no sub-account is in one without a number."""

    owner: Owner | None = None
    account: str | None = None
    wallet: str | None = None
    activity: bool | None = None
    holdings: tuple[Holding, ...] = ()


@dataclass
class _Report:
    """What any statement of a securities account says of itself."""

    page: str | None = None
    continuation: str | None = None
    last_page: bool | None = None
    reference: str | None = None
    short_number: str | None = None
    long_number: str | None = None
    query_reference: str | None = None
    frequency: Code | None = None
    update: Code | None = None
    activity: bool | None = None
    owner: Owner | None = None
    account: str | None = None
    typed_account: str | None = None
    wallet: str | None = None


@dataclass
class _Period:
    """The days that a statement is about, in FIN where it says their times ``timed``."""

    begins: date | None = None
    ends: date | None = None
    timed_begins: date | None = None
    timed_ends: date | None = None
    begins_at: datetime | None = None
    ends_at: datetime | None = None


@dataclass
class _Moment:
    """The day, or the moment, that a statement is of."""

    statement_date: date | None = None
    statement_time: datetime | None = None


@dataclass
class HoldingsStatement(_Moment, _Report):
    """What an account holds."""

    kind: Literal["custody", "accounting"] | None = None
    basis: Code | None = None
    with_sub_accounts: bool | None = None
    audited: bool | None = None
    holdings: tuple[Holding, ...] = ()
    accounts: tuple[SubAccount, ...] = ()


@dataclass
class Party:
    """A party of a settlement chain."""

    bic: str | None = None
    proprietary: ProprietaryIdentification | None = None
    lei: str | None = None
    account: str | None = None
    processing_reference: str | None = None


_Parts = make_dataclass("_Parts", [(part, Party | None, None) for part in (*_DELIVERING, *_RECEIVING)])


@dataclass
class Transaction:
    """A transaction as a statement lists it; in FIN each part of its chains has a qualifier (``parts``)."""

    account_owner_transaction_id: str | None = None
    account_servicer_transaction_id: str | None = None
    transaction_reference: str | None = None
    market_infrastructure_transaction_id: str | None = None
    counterparty_market_infrastructure_transaction_id: str | None = None
    processor_transaction_id: str | None = None
    pool_id: str | None = None
    common_id: str | None = None
    corporate_action_id: str | None = None
    isin: str | None = None
    description: str | None = None
    activity: Code | None = None
    transaction_type: Code | None = None
    movement: Literal["deliver", "receive"] | None = None
    payment: Literal["against", "free"] | None = None
    quantity: Quantity | None = None
    settlement_quantity: Quantity | None = None
    amount: Amount | None = None
    credit_debit: Literal["credit", "debit"] | None = None
    trade_date: date | None = None
    trade_time: datetime | None = None
    settlement_date: date | None = None
    settlement_time: datetime | None = None
    effective_settlement_date: date | None = None
    effective_settlement_time: datetime | None = None
    parts: _Parts | None = None  # type: ignore[valid-type]
    place_of_settlement: str | None = None
    delivering_parties: tuple[Party, ...] = ()
    receiving_parties: tuple[Party, ...] = ()
    narrative: str | None = None


@dataclass
class EndBalance:
    """A balance at one end of a statement, or of a page that is not its first or last."""

    side: Literal["long", "short"] | None = None
    final: Quantity | None = None
    intermediate: Quantity | None = None


@dataclass
class Posted:
    """What was booked of one security, and what was held before and after."""

    isin: str | None = None
    description: str | None = None
    opening: EndBalance | None = None
    closing: EndBalance | None = None
    transactions: tuple[Transaction, ...] = ()


@dataclass
class PostedAccount:
    """What was booked on a sub-account."""

    owner: Owner | None = None
    account: str | None = None
    wallet: str | None = None
    activity: bool | None = None
    holdings: tuple[Posted, ...] = ()


@dataclass
class PostingsStatement(_Period, _Report):
    """What was booked on an account."""

    basis: Code | None = None
    with_sub_accounts: bool | None = None
    holdings: tuple[Posted, ...] = ()
    accounts: tuple[PostedAccount, ...] = ()


@dataclass
class Alleged(Transaction):
    """An instruction of another side that nothing of ours matches."""

    safekeeping_account: str | None = None


@dataclass
class AllegementsReport(_Moment, _Report):
    """What others have instructed against an account."""

    transactions: tuple[Alleged, ...] = ()


@dataclass
class Movement:
    """What was moved to another balance; ISO 20022 names it by one of its identifications."""

    account_owner_transaction_id: str | None = None
    account_servicer_transaction_id: str | None = None
    transaction_reference: str | None = None
    market_infrastructure_transaction_id: str | None = None
    processor_transaction_id: str | None = None
    pool_id: str | None = None
    balance_to: Code | None = None
    quantity: Quantity | None = None
    settlement_date: date | None = None
    settlement_time: datetime | None = None


@dataclass
class MovedFrom:
    """The balance that something was moved from."""

    balance_from: Code | None = None
    movements: tuple[Movement, ...] = ()


@dataclass
class Moved:
    """What was moved of one security."""

    isin: str | None = None
    description: str | None = None
    balances: tuple[MovedFrom, ...] = ()


@dataclass
class MovementsStatement(_Period, _Report):
    """What was moved between the balances of an account."""

    securities: tuple[Moved, ...] = ()


_Qualified = make_dataclass("_Qualified", [(code, Code | None, None) for code in _WITH_REASONS])


@dataclass
class Reason:
    """Why a transaction has a status; in FIN its code has the status as its qualifier (``codes``)."""

    code: Code | None = None
    codes: _Qualified | None = None  # type: ignore[valid-type]
    text: str | None = None


@dataclass
class Status:
    """A status, with reasons or with ``none``; ``stated`` where ISO 20022 takes it to need none."""

    none: str | None = None
    stated: str | None = None
    reasons: tuple[Reason, ...] = ()


_Axes = make_dataclass(
    "_Axes",
    [
        (axis, make_dataclass(axis, [*((word, Status | None, None) for word in words), _OF_ITS_OWN]) | None, None)
        for axis, words in _STATUSES.items()
    ],
)


@dataclass
class StatusSequence:
    """A status as FIN says it, and the transactions that have it."""

    code: Code | None = None
    reasons: tuple[Reason, ...] = ()
    transactions: tuple[Transaction, ...] = ()


@dataclass
class PendingOfStatus:
    """The transactions of one status."""

    statuses: _Axes | None = None  # type: ignore[valid-type]
    transactions: tuple[Transaction, ...] = ()


@dataclass
class _Sequences:
    """The statuses as FIN says them, by what they are about."""

    processing_sequences: tuple[StatusSequence, ...] = ()
    matching_sequences: tuple[StatusSequence, ...] = ()
    inferred_matching_sequences: tuple[StatusSequence, ...] = ()
    settlement_sequences: tuple[StatusSequence, ...] = ()


@dataclass
class PendingTransaction(_Sequences, Transaction):
    """A transaction with its statuses."""

    statuses: tuple[_Axes, ...] = ()  # type: ignore[valid-type]


@dataclass
class PendingStatement(_Sequences, _Moment, _Report):
    """What is pending, by status or by transaction."""

    structure: Literal["STAT", "TRAN"] | None = None
    groups: tuple[PendingOfStatus, ...] = ()
    pending: tuple[PendingTransaction, ...] = ()


MODELS: Final[Mapping[str, type]] = {
    PENDING: PendingStatement,
    HOLDINGS: HoldingsStatement,
    POSTINGS: PostingsStatement,
    ALLEGEMENTS: AllegementsReport,
    MOVEMENTS: MovementsStatement,
}


def _transactions(given: Tree) -> Iterator[Tree]:
    yield from (transaction for name in ("transactions", "pending") for _, transaction in items(given, name))
    for name in ("groups", *(f"{axis}_sequences" for axis in _STATUSES)):
        for _, group in items(given, name):
            yield from (transaction for _, transaction in items(group, "transactions"))
    for holding in _holdings(given):
        yield from (transaction for _, transaction in items(holding, "transactions"))


def _movements(given: Tree) -> Iterator[Tree]:
    for _, security in items(given, "securities"):
        for _, balance in items(security, "balances"):
            yield from (movement for _, movement in items(balance, "movements"))


def _holdings(given: Tree) -> Iterator[Tree]:
    yield from (holding for _, holding in items(given, "holdings"))
    for _, account in items(given, "accounts"):
        yield from (holding for _, holding in items(account, "holdings"))


# --- from FIN ---------------------------------------------------------------------------------------------------------


def from_fin(said: Statement) -> None:
    """State as ISO 20022 does what FIN says; what it leaves to be understood is derived."""
    given = said.fields[EVENT]
    continues = given.get("continuation")
    if isinstance(continues, Stated):
        given["last_page"] = Stated(continues.value != "MORE", continues.leaf)
    given.setdefault("kind", usual("custody"))
    for name in ("begins", "ends"):
        if f"timed_{name}" in given:
            given[name] = given[f"timed_{name}"]
    if "typed_account" in given:
        given["account"] = given["typed_account"]
    for holding in _holdings(given):
        _holding_from_fin(said, holding)
    for transaction in _transactions(given):
        _transaction_from_fin(transaction, booked="transactions" not in given)
    for movement in _movements(given):
        _movement_from_fin(said, movement)
    given["groups"] = {
        number: {"statuses": statuses, "transactions": sequence.get("transactions", {})}
        for number, (statuses, sequence) in enumerate(_statuses_from_fin(said, given))
    }
    for _, transaction in items(given, "pending"):
        transaction["statuses"] = dict(enumerate(statuses for statuses, _ in _statuses_from_fin(said, transaction)))
    for key, account in items(given, "accounts"):
        if "account" not in account and "wallet" not in account:
            given.setdefault("holdings", {}).update(given["accounts"].pop(key).get("holdings", {}))
        elif "activity" not in account:
            account["activity"] = usual(bool(account.get("holdings")))


def _sides_from_fin(said: Statement, holding: Tree) -> None:
    for name in _BALANCES:
        _side_from_fin(holding.get(name))
    if at(holding, "not_available", "side") is not None and holding["not_available"]["side"].value == "short":
        refuse(said, holding.pop("not_available"), "what is not available has no side in ISO 20022")


def _holding_from_fin(said: Statement, holding: Tree) -> None:
    _sides_from_fin(said, holding)
    holding["prices"] = {
        number: {**holding[name], "kind": Stated(code, None)}
        for number, (name, code) in enumerate(_PRICES.items())
        if name in holding
    }
    for name in ("opening", "closing"):
        for quantity in ("final", "intermediate"):
            if quantity in holding.get(name, {}):
                _side_from_fin({"quantity": holding[name][quantity]}, holding[name])
    for name in ("value", "value_in_its_currency"):
        if name in holding:
            holding.setdefault(f"{name}_sign", usual("plus"))
    places: Tree = {}
    for key, balance in items(holding, "balances"):
        codes = [*balance.get("codes", {}).items(), *balance.get("counted_codes", {}).items()]
        if codes:
            (code, part), *others = codes
            for _, other in others:
                refuse(said, other, "a sub-balance of ISO 20022 is of one type")
            balance["type"] = Stated(code, None)
            _side_from_fin(part, balance)
            balance.update({"counted": part} if "availability" in part else {"quantity": part["quantity"]})
            continue
        del holding["balances"][key]
        if "aggregate" in balance and "place" in balance:
            _sides_from_fin(said, balance)
            places[key] = balance
        else:
            refuse(said, balance, "a balance of a type, or one at a place")
    holding["places"] = places


def _transaction_from_fin(transaction: Tree, *, booked: bool) -> None:
    if "transaction_reference" in transaction:
        transaction.setdefault("account_servicer_transaction_id", transaction["transaction_reference"])
    if booked:
        transaction.setdefault("account_owner_transaction_id", usual(NO_REFERENCE))
    if "settlement_quantity" in transaction:
        transaction.setdefault("quantity", transaction["settlement_quantity"])
    if "movement" in transaction:
        transaction.setdefault("activity", usual(_SETTLEMENT))
    parts = transaction.get("parts", {})
    for chain, names in _CHAINS.items():
        transaction[chain] = dict(enumerate(parts[name] for name in names if name in parts))


def _statuses_from_fin(said: Statement, around: Tree) -> Iterator[tuple[Tree, Tree]]:
    """Yield the statuses of a statement, or of a transaction, with the sequence that says each."""
    for axis, words in _STATUSES.items():
        for _, sequence in items(around, f"{axis}_sequences"):
            code = sequence.get("code")
            status: Tree = {}
            if isinstance(code, dict):
                status = {"proprietary": code}
                refuse(said, sequence.get("reasons", {}), "of a status of its own ISO 20022 has reasons of its own")
            elif code is not None:
                word = next((each for each, said_by in words.items() if said_by == code.value), None)
                status = {} if word is None else {word: _status_from_fin(said, word, code, sequence)}
            if status:
                yield {axis: status}, sequence
            else:
                refuse(said, sequence, "no status that ISO 20022 has; a code of its own needs a scheme")


def _status_from_fin(said: Statement, word: str, code: Stated, sequence: Tree) -> Tree:
    if word in _STATED:
        refuse(said, sequence.get("reasons", {}), f"what is {word} has no reason")
        return {"stated": Stated("", code.leaf)}
    reasons: Tree = {}
    for _, reason in items(sequence, "reasons"):
        given = reason.get("codes", {}).pop(code.value, None)
        if given is None:
            refuse(said, reason, f"a reason of {code.value}")
            continue
        if not reasons and (first := given if isinstance(given, Stated) else at(given, "identification")) is not None:
            also(said, code, first)
        reasons[len(reasons)] = {"code": given, **({"text": reason["text"]} if "text" in reason else {})}
    return {"reasons": reasons} if reasons else {"none": Stated(_NO_REASON, code.leaf)}


def _movement_from_fin(said: Statement, movement: Tree) -> None:
    if "transaction_reference" in movement:
        movement.setdefault("account_servicer_transaction_id", movement["transaction_reference"])
    for name in [name for name in _IDENTIFICATIONS if name in movement][1:]:
        refuse(said, movement.pop(name), "a movement has one identification")


def _side_from_fin(balance: Any, into: Tree | None = None) -> None:
    """Take the sign from a number, and state it as a side."""
    value = at(balance, "quantity", "value")
    if value is None:
        return
    short = value.value.is_signed() and bool(value.value)
    balance["quantity"]["value"] = Stated(abs(value.value), value.leaf)
    (balance if into is None else into)["side"] = Stated("short", value.leaf) if short else usual("long")


# --- to FIN -----------------------------------------------------------------------------------------------------------


def to_fin(said: Statement) -> None:
    """State as FIN does what ISO 20022 says."""
    given = said.fields[EVENT]
    last = given.pop("last_page", None)
    if isinstance(last, Stated):
        first = at(given, "page")
        word = "MORE" if not last.value else "ONLY" if first is not None and int(first.value) == 1 else "LAST"
        given["continuation"] = Stated(word, last.leaf)
    for name in ("begins", "ends"):
        moment = given.get(f"{name}_at")
        if isinstance(moment, Stated):
            given[name] = Stated(moment.value.date(), moment.leaf)
            refuse(said, moment, "the day alone")
    for transaction in _transactions(given):
        _transaction_to_fin(said, transaction)
    for _, group in items(given, "groups"):
        _status_to_fin(said, group.get("statuses", {}), group.get("transactions", {}), given)
    for _, transaction in items(given, "pending"):
        for _, statuses in items(transaction, "statuses"):
            _status_to_fin(said, statuses, {}, transaction)
    for holding in _holdings(given):
        _holding_to_fin(said, holding)
    own = given.pop("holdings", {})
    if own:
        given["accounts"] = {
            0: {"holdings": own},
            **{n: each for n, (_, each) in enumerate(items(given, "accounts"), 1)},
        }


def _holding_to_fin(said: Statement, holding: Tree) -> None:
    for name in _BALANCES:
        _side_to_fin(said, holding.get(name))
    for name in ("opening", "closing"):
        end = holding.get(name, {})
        for quantity in ("final", "intermediate"):
            if quantity in end:
                _side_to_fin(said, {"quantity": end[quantity], "side": end.get("side")})
    for _, price in items(holding, "prices"):
        kind = at(price, "kind")
        field = next((each for each, code in _PRICES.items() if kind is not None and code == kind.value), None)
        if kind is None or field is None or field in holding:
            refuse(said, price, "FIN has a market price and an indicative one")
            continue
        holding[field] = price
        also(said, kind, at(price, "rate") or at(price, "amount", "value"))
    balances: Tree = {}
    for _, balance in items(holding, "balances"):
        kind, counted = balance.get("type"), balance.get("counted")
        if not isinstance(kind, Stated) or kind.value not in _CODES:
            refuse(said, balance, "no sub-balance of FIN is of this type")
            continue
        part = {"quantity": (balance if counted is None else counted).get("quantity", {})}
        refuse(said, (counted or {}).get("availability", {}), "written as a quantity alone")
        side = balance.get("side")
        _side_to_fin(said, part if side is None else {**part, "side": side})
        also(said, kind, at(part, "quantity", "value"))
        rest = {name: inner for name, inner in balance.items() if name not in ("type", "quantity", "counted", "side")}
        balances[len(balances)] = {**rest, "codes": {kind.value: part}}
    for _, place in items(holding, "places"):
        for name in _BALANCES:
            _side_to_fin(said, place.get(name))
        balances[len(balances)] = place
    holding["balances"] = balances


def _status_to_fin(said: Statement, statuses: Tree, transactions: Tree, around: Tree) -> None:
    """Put a status into the sequence that FIN has for what it is about."""
    for axis, words in _STATUSES.items():
        for word, status in statuses.get(axis, {}).items():
            sequence: Tree = {"transactions": transactions}
            if word == "proprietary":
                sequence["code"] = status
            else:
                sequence |= _sequence_of(said, words[word], status)
            sequences = around.setdefault(f"{axis}_sequences", {})
            sequences[len(sequences)] = sequence
            return
    refuse(said, {0: statuses, 1: transactions}, "no status that FIN has")


def _sequence_of(said: Statement, code: str, status: Tree) -> Tree:
    reasons: Tree = {}
    for _, reason in items(status, "reasons"):
        if code in _WITH_REASONS and "code" in reason:
            reasons[len(reasons)] = {**reason, "codes": {code: reason["code"]}}
        else:
            refuse(
                said,
                reason,
                f"a reason of {code} in FIN has a code" if code in _WITH_REASONS else f"{code} has no reason",
            )
    told = at(status, "none") or at(status, "stated")
    leaf = next(leaves_below(status), None) if told is None else told.leaf
    return {"code": Stated(code, leaf), "reasons": reasons}


def _transaction_to_fin(said: Statement, transaction: Tree) -> None:
    parts: Tree = {}
    for chain, names in _CHAINS.items():
        parties = [party for _, party in items(transaction, chain)][: len(names)]
        parts |= dict(zip((*names[:1], *names[len(names) - len(parties) + 1 :]), parties, strict=False))
    transaction["parts"] = parts


def _side_to_fin(said: Statement, balance: Any) -> None:
    value, side = at(balance, "quantity", "value"), at(balance, "side")
    if value is None:
        return
    if side is not None:
        also(said, side, value)
        if side.value == "short":
            balance["quantity"]["value"] = Stated(-value.value, value.leaf)
