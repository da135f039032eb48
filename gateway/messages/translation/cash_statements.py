"""Take apart what FIN says of a cash account in forms of its own, and put it together again.

A balance of cash has in FIN a field of its own for each type. An entry puts into one mark whether it is a credit and
whether it undoes one, into four digits its day, and into code words of field 86 its references. The fields of
``CashStatement`` are what either language says; those that only one of them has are left to be named as not carried.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from typing import Final, Literal

from gateway.messages.fin import statements as in_fin
from gateway.messages.translation.heading import is_reference
from gateway.messages.translation.payments import NOT_PROVIDED, SHORT, WITHIN, is_iban
from gateway.messages.translation.stating import EVENT, Stated, Statement, Tree, also, at, items, refuse, usual
from gateway.messages.writing import lines
from gateway.model.references import business_message_id
from gateway.model.vocabulary import Amount

CASH: Final = "cash_statement"
NO_REFERENCE: Final = "NONREF"
_UNKNOWN_CODE: Final = "NMSC"  # a transaction of no other code
_CODE: Final = re.compile("[SNF][A-Z0-9]{3}")
_BALANCES: Final = {
    "opening": "OPBD",
    "intermediate_opening": "ITBD",
    "intermediate_closing": "ITBD",
    "closing": "CLBD",
    "available": "CLAV",
    "forward": "FWAV",
}
_MARKS: Final = {"C": ("credit", False), "D": ("debit", False), "RC": ("debit", True), "RD": ("credit", True)}
_LINES, _WIDTH = 6, 65  # of field 86
_WORDS: Final = {"end_to_end_id": "EREF", "unique_end_to_end_reference": "UETR"}
_PART_OF_86: Final = {"end_to_end_id": "end_to_end_id", "unique_end_to_end_reference": "uetr"}


@dataclass
class CashBalance:
    """A balance; ``type`` is a code (OPBD, CLBD), ``sub_type`` INTM of one between two pages."""

    type: str | None = None
    proprietary_type: str | None = None
    sub_type: str | None = None
    credit_debit: Literal["credit", "debit"] | None = None
    amount: Amount | None = None
    balance_date: date | None = None
    balance_time: datetime | None = None


@dataclass
class CashTransaction:
    """The one transaction, or one of those, that an entry books."""

    end_to_end_id: str | None = None
    unique_end_to_end_reference: str | None = None
    account_owner_transaction_id: str | None = None
    account_servicer_reference: str | None = None
    amount: Amount | None = None
    credit_debit: Literal["credit", "debit"] | None = None
    narrative: str | None = None


@dataclass
class CashEntry:
    """An entry: in FIN ``mark``, ``entry_date``, ``transaction_code``, ``reference`` and ``details``."""

    amount: Amount | None = None
    mark: str | None = None
    credit_debit: Literal["credit", "debit"] | None = None
    reversal: bool | None = None
    status: str | None = None
    booking_date: date | None = None
    booking_time: datetime | None = None
    entry_date: str | None = None
    value_date: date | None = None
    value_time: datetime | None = None
    funds_code: str | None = None
    transaction_type: str | None = None
    transaction_code: str | None = None
    proprietary_code: str | None = None
    account_servicer_reference: str | None = None
    reference: str | None = None
    details: str | None = None
    narrative: str | None = None
    transactions: tuple[CashTransaction, ...] = ()


@dataclass
class CashStatement:
    """A page of a statement of a cash account; in FIN each balance has a field, and the account one of several."""

    reference: str | None = None
    related_reference: str | None = None
    account: str | None = None
    account_at_servicer: str | None = None
    only_account: str | None = None
    account_servicer: str | None = None
    iban: str | None = None
    other_account: str | None = None
    currency: str | None = None
    number: int | None = None
    legal_number: int | None = None
    page: int | None = None
    last_page: bool | None = None
    message_page: int | None = None
    last_message_page: bool | None = None
    begins: datetime | None = None
    ends: datetime | None = None
    opening: CashBalance | None = None
    intermediate_opening: CashBalance | None = None
    closing: CashBalance | None = None
    intermediate_closing: CashBalance | None = None
    available: CashBalance | None = None
    forward: tuple[CashBalance, ...] = ()
    balances: tuple[CashBalance, ...] = ()
    entries: tuple[CashEntry, ...] = ()
    narrative: str | None = None


# --- from FIN ---------------------------------------------------------------------------------------------------


def from_fin(said: Statement) -> None:
    """State as ISO 20022 does what FIN says; what it leaves to be understood is derived."""
    given = said.fields[EVENT]
    number = given.get("account") or given.get("account_at_servicer") or given.get("only_account")
    if isinstance(number, Stated):
        given["iban" if is_iban(number.value) else "other_account"] = number
    intermediate = "intermediate_closing" in given
    if "page" in given or intermediate:
        given.setdefault("page", usual(1))
        given["last_page"] = usual(not intermediate)
    _period(given)
    currency = at(given, "opening", "amount", "currency") or at(given, "intermediate_opening", "amount", "currency")
    if currency is not None:
        given["currency"] = usual(currency.value)
    balances: Tree = {}
    for name, code in _BALANCES.items():
        found = [item for _, item in items(given, name)] if name == "forward" else [given.get(name)]
        for balance in (each for each in found if each is not None):
            balances[len(balances)] = {**balance, "type": Stated(code, None)}
    given["balances"] = balances
    for _, entry in items(given, "entries"):
        _entry_from_fin(said, entry, currency)


def _period(given: Tree) -> None:
    """State the days of the statement, which are those of its first and last balance."""
    for name, clock, balances in (
        ("begins", time(), ("opening", "intermediate_opening")),
        ("ends", time(23, 59, 59), ("closing", "intermediate_closing")),
    ):
        day = next((found for each in balances if (found := at(given, each, "balance_date")) is not None), None)
        if day is not None:
            given[name] = usual(datetime.combine(day.value, clock, UTC))


def _entry_from_fin(said: Statement, entry: Tree, currency: Stated | None) -> None:
    mark = entry.get("mark")
    if isinstance(mark, Stated):
        word, undoes = _MARKS[mark.value]
        entry["credit_debit"] = Stated(word, mark.leaf)
        if undoes:
            entry["reversal"] = Stated(True, mark.leaf)
    entry["status"] = usual("BOOK")
    if currency is not None and "amount" in entry:
        entry["amount"]["currency"] = usual(currency.value)
    funds = entry.get("funds_code")
    if (
        isinstance(funds, Stated)
        and funds.leaf is not None
        and currency is not None
        and funds.value == currency.value[-1]
    ):
        said.constants.append(funds.leaf)
        del entry["funds_code"]
    day, valued = entry.get("entry_date"), entry.get("value_date")
    if isinstance(day, Stated) and isinstance(valued, Stated):
        booked = in_fin.booked(valued.value, day.value)
        if booked is not None:
            entry["booking_date"] = Stated(booked, day.leaf)
    kind, code = entry.get("transaction_type"), entry.get("transaction_code")
    if isinstance(kind, Stated) and isinstance(code, Stated):
        entry["proprietary_code"] = Stated(f"{kind.value}{code.value}", code.leaf)
        also(said, kind, code)
    transaction: Tree = {}
    reference = entry.get("reference")
    if isinstance(reference, Stated) and reference.leaf is not None:
        if reference.value == NO_REFERENCE:
            said.constants.append(reference.leaf)
        else:
            transaction["account_owner_transaction_id"] = reference
    if "account_servicer_reference" in entry:
        transaction["account_servicer_reference"] = entry["account_servicer_reference"]
    if "details" in entry:
        transaction["narrative"] = entry["details"]
    narrative = entry.get("narrative")
    if isinstance(narrative, Stated):
        words = dict(in_fin.parts("86", {"narrative": narrative.value}))
        for name, part in _PART_OF_86.items():
            if part in words:
                transaction[name] = Stated(words[part], narrative.leaf)
        own = {f"/{_WORDS[name]}/{words[part]}" for name, part in _PART_OF_86.items() if part in words}
        rest = "\n".join(line for line in narrative.value.splitlines() if line not in own)
        if rest:
            entry["narrative"] = Stated(rest, narrative.leaf)
        else:
            del entry["narrative"]
    if transaction:
        entry["transactions"] = {0: transaction}


# --- to FIN -----------------------------------------------------------------------------------------------------


def to_fin(said: Statement) -> None:
    """State as FIN does what ISO 20022 says."""
    given = said.fields[EVENT]
    number = given.get("iban") or given.get("other_account")
    if isinstance(number, Stated):
        given["account_at_servicer" if "account_servicer" in given else "account"] = number
        given["only_account"] = number
    for name in ("reference", "related_reference"):
        named = given.get(name)
        if isinstance(named, Stated) and named.leaf is not None and not is_reference(named.value):
            said.why[id(named.leaf)] = SHORT
            given[name] = usual(business_message_id(named.value, "translation", CASH))
            if name == "related_reference":
                del given[name]
    for name, other in (("number", "legal_number"), ("page", "message_page"), ("last_page", "last_message_page")):
        if other in given:
            if name not in given:
                given[name] = given[other]
            else:
                also(said, given[other], given[name] if given[name].value == given[other].value else None)
    for name in ("begins", "ends"):
        refuse(said, given.get(name, {}), "FIN dates the balances")
    _balances_to_fin(said, given)
    first: Tree = next((given[name] for name in ("opening", "intermediate_opening") if name in given), {})
    currency = at(first, "amount", "currency")
    account = given.get("currency")
    if isinstance(account, Stated) and currency is not None and currency.value == account.value:
        also(said, account, at(first, "amount", "value"))
    entries = given.get("entries", {})
    for key, entry in list(items(given, "entries")):
        why = _no_entry(entry, currency)
        if why is None:
            _entry_to_fin(said, entry)
        else:
            refuse(said, entries.pop(key), why)


def _balances_to_fin(said: Statement, given: Tree) -> None:
    """Give each balance its field, and say of those that FIN has none for that it is so."""
    last = given.get("last_page")
    goes_on = isinstance(last, Stated) and last.value is False
    types = [item["type"].value for _, item in items(given, "balances") if "type" in item]
    forward: Tree = {}
    for _, balance in items(given, "balances"):
        kind, between = balance.get("type"), balance.get("sub_type")
        code = kind.value if isinstance(kind, Stated) else ""
        if isinstance(between, Stated):
            code = {"OPBD": "opening ITBD", "CLBD": "closing ITBD"}.get(code, "") if between.value == "INTM" else ""
        day = balance.get("balance_time")
        if isinstance(day, Stated) and "balance_date" not in balance:
            balance["balance_date"] = Stated(day.value.date(), day.leaf)
            refuse(said, day, "the day alone")
        field = _field(code, types, given, goes_on=goes_on)
        if field == "forward":
            forward[len(forward)] = balance
        elif field is not None:
            given[field] = balance
        if field is None:
            refuse(said, balance, "FIN has no field for this balance")
            continue
        amount = at(balance, "amount", "value")
        for word in (kind, between):
            if isinstance(word, Stated):
                also(said, word, amount)
                if word.leaf is not None and _BALANCES[field] != code:
                    said.why[id(word.leaf)] = f"the {field.replace('_', ' ')} balance"
    given["forward"] = forward
    closing = given.get("intermediate_closing" if goes_on else "closing", {})
    if isinstance(last, Stated):
        also(said, last, at(closing, "amount", "value"))
        del given["last_page"]
    given.pop("last_message_page", None)


def _field(code: str, types: list[str], given: Tree, *, goes_on: bool) -> str | None:
    """Return the field of a balance that is not taken yet; None where FIN has none for it."""
    begun = "opening" in given or "intermediate_opening" in given
    ended = "closing" in given or "intermediate_closing" in given
    match code:
        case "OPBD":
            field = None if begun else "opening"
        case "PRCD":  # how the day before ended
            field = None if begun or {"OPBD", "ITBD"} & set(types) else "opening"
        case "opening ITBD":
            field = None if begun else "intermediate_opening"
        case "ITBD" if not begun and "OPBD" not in types:
            field = "intermediate_opening"
        case "ITBD" | "closing ITBD":
            field = None if ended or ("CLBD" in types and code == "ITBD") else "intermediate_closing"
        case "CLBD":
            field = None if ended else "intermediate_closing" if goes_on else "closing"
        case "CLAV":
            field = None if "available" in given else "available"
        case "FWAV":
            field = "forward"
        case _:
            field = None
    return field


def _no_entry(entry: Tree, currency: Stated | None) -> str | None:
    """Say why an entry of FIN would say something else."""
    status = entry.get("status")
    if isinstance(status, Stated) and status.value != "BOOK":
        return f"an entry of FIN is booked, and this is {status.value}"
    own = at(entry, "amount", "currency")
    if own is not None and currency is not None and own.value != currency.value:
        return f"an entry of FIN is in the currency of the account, and this is {own.value}"
    return None


def _entry_to_fin(said: Statement, entry: Tree) -> None:
    word, undoes = entry.get("credit_debit"), entry.get("reversal")
    amount = at(entry, "amount", "value")
    if isinstance(word, Stated):
        meant = word.value, isinstance(undoes, Stated) and undoes.value
        entry["mark"] = Stated(next(mark for mark, said_by in _MARKS.items() if said_by == meant), word.leaf)
        if isinstance(undoes, Stated):
            also(said, undoes, word)
    status = entry.get("status")
    if isinstance(status, Stated):
        also(said, status, amount)
    _days_to_fin(said, entry)
    code = entry.get("proprietary_code")
    if isinstance(code, Stated) and _CODE.fullmatch(code.value):
        entry["transaction_type"] = Stated(code.value[0], code.leaf)
        entry["transaction_code"] = Stated(code.value[1:], code.leaf)
    else:
        entry["transaction_type"], entry["transaction_code"] = usual(_UNKNOWN_CODE[0]), usual(_UNKNOWN_CODE[1:])
        if isinstance(code, Stated):
            refuse(said, code, "no code of an entry in FIN: S, N or F and three characters")
    several = [item for _, item in items(entry, "transactions")]
    transaction = several[0] if len(several) == 1 else {}
    for item in several[: 0 if transaction else None]:
        refuse(said, item, "an entry of FIN has one transaction")
    same = at(transaction, "amount", "value"), at(transaction, "amount", "currency"), at(transaction, "credit_debit")
    own = amount, at(entry, "amount", "currency"), word
    if all(one is None or (two is not None and one.value == two.value) for one, two in zip(same, own, strict=True)):
        for stated in same[::2]:
            if stated is not None:
                also(said, stated, amount)
    _references_to_fin(said, entry, transaction)
    if "narrative" in transaction:
        entry["details"] = transaction["narrative"]
    _narrative_to_fin(said, entry, transaction)


def _days_to_fin(said: Statement, entry: Tree) -> None:
    for name in ("value", "booking"):
        moment = entry.get(f"{name}_time")
        if isinstance(moment, Stated) and f"{name}_date" not in entry:
            entry[f"{name}_date"] = Stated(moment.value.date(), moment.leaf)
            refuse(said, moment, "the day alone")
    booked = entry.get("booking_date")
    if isinstance(booked, Stated) and "value_date" not in entry:
        entry["value_date"] = Stated(booked.value, booked.leaf)
        refuse(said, booked, "no other value date is said")
    if isinstance(booked, Stated):
        digits = f"{booked.value:%m%d}"
        if in_fin.booked(entry["value_date"].value, digits) == booked.value:
            entry["entry_date"] = Stated(digits, booked.leaf)
        else:
            refuse(said, booked, "FIN says no year, and would mean the one nearest to the value date")


def _references_to_fin(said: Statement, entry: Tree, transaction: Tree) -> None:
    own, theirs = transaction.get("account_owner_transaction_id"), entry.get("account_servicer_reference")
    again = transaction.get("account_servicer_reference")
    if not isinstance(theirs, Stated) and isinstance(again, Stated):
        entry["account_servicer_reference"] = theirs = again
    elif isinstance(theirs, Stated) and isinstance(again, Stated) and theirs.value == again.value:
        also(said, again, theirs)
    if isinstance(own, Stated) and is_reference(own.value):
        entry["reference"] = own
    else:
        entry["reference"] = usual(NO_REFERENCE)
        if isinstance(own, Stated):
            refuse(said, own, SHORT)
    if isinstance(theirs, Stated) and not is_reference(theirs.value):
        refuse(said, entry.pop("account_servicer_reference"), SHORT)


def _narrative_to_fin(said: Statement, entry: Tree, transaction: Tree) -> None:
    """Put the references that have no field into the lines before the narrative."""
    told: list[Stated] = []
    texts: list[str] = []
    for name, word in _WORDS.items():
        named = transaction.get(name)
        if not isinstance(named, Stated) or named.leaf is None:
            continue
        if named.value == NOT_PROVIDED:
            said.constants.append(named.leaf)
        elif "/" in named.value:
            refuse(said, named, "a slash would end it in field 86")
        else:
            told.append(named)
            texts.append(f"/{word}/{named.value}")
    narrative = entry.get("narrative")
    if not told:
        return
    if isinstance(narrative, Stated):
        whole = "\n".join([*texts, narrative.value])
        if len(lines(whole, _WIDTH).splitlines()) <= _LINES:
            texts.append(narrative.value)
            told.insert(0, narrative)
            refuse(said, narrative, WITHIN)
        else:
            refuse(said, narrative, f"{_LINES} lines of {_WIDTH} characters, with the references before it")
    entry["narrative"] = Stated("\n".join(texts), told[0].leaf)
    for each in told[1:]:
        also(said, each, told[0])
