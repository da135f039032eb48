"""Take apart what FIN says of a securities account in forms of its own, and put it together again.

FIN puts everything into the sequence of a sub-account, whether there are sub-accounts or not, and the sign of a balance
into its number. Each type of sub-balance, each party of a chain and each kind of status has a qualifier.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from gateway.messages.translation.securities_reports import CODES, DELIVERING, RECEIVING, STATUSES, WITH_REASONS
from gateway.messages.translation.stating import EVENT, Stated, Statement, Tree, also, at, items, refuse, usual

NO_REFERENCE: Final = "NONREF"
_SETTLEMENT: Final = "SETT"  # what a transaction is about where nothing else is said
_STATED: Final = ("matched", "cancellation_requested", "modification_requested")  # with no reason, and no word for that
_NO_REASON: Final = "NORE"
_IDENTIFICATIONS: Final = (
    "account_owner_transaction_id",
    "account_servicer_transaction_id",
    "pool_id",
    "market_infrastructure_transaction_id",
    "processor_transaction_id",
)
_CHAINS: Final = {"delivering_parties": DELIVERING, "receiving_parties": RECEIVING}
_PRICES: Final = {"market_price": "MRKT", "indicative_price": "INDC"}
_BALANCES: Final = ("aggregate", "available", "not_available")


def _transactions(given: Tree) -> Iterator[Tree]:
    yield from (transaction for name in ("transactions", "pending") for _, transaction in items(given, name))
    for name in ("groups", *(f"{axis}_sequences" for axis in STATUSES)):
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
        if account.keys() == {"holdings"}:  # nothing is said of a sub-account
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
    for axis, words in STATUSES.items():
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
        if not isinstance(kind, Stated) or kind.value not in CODES:
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
    for axis, words in STATUSES.items():
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
        if code in WITH_REASONS and "code" in reason:
            reasons[len(reasons)] = {**reason, "codes": {code: reason["code"]}}
        else:
            refuse(
                said,
                reason,
                f"a reason of {code} in FIN has a code" if code in WITH_REASONS else f"{code} has no reason",
            )
    told = at(status, "none") or at(status, "stated")
    told = told or at(reasons.get(0), "code") or at(reasons.get(0), "code", "identification")
    return {"code": Stated(code, None if told is None else told.leaf), "reasons": reasons}


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
