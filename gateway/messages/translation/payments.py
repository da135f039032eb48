"""Take apart what FIN puts together in one field of a payment, and say what of a payment each such field holds.

FIN names a party in lines, and puts what it has no field for into the coded lines of fields 70 and 72
(``gateway.messages.fin.payments``). Here is the way back; and for the way there, which elements a field repeats.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import fields, is_dataclass
from datetime import UTC, date, datetime, time, timedelta, timezone
from typing import Any, Final

from gateway.messages.fin.payments import CLEARING, NOT_GIVEN
from gateway.messages.translation.heading import is_reference
from gateway.messages.translation.leaves import Leaf
from gateway.messages.translation.report import Entry
from gateway.messages.translation.stating import EVENT, Origins, Stated, Statement, Tree
from gateway.model.references import business_message_id
from gateway.model.strict import given

NOT_PROVIDED: Final = "NOTPROVIDED"
WITHIN: Final = "within a text"
_PAYMENT: Final = "payment"
_IDENTITY: Final = "identity"
_ROWS_OF_TEXT: Final = 140  # characters of unstructured remittance information
_BIC: Final = re.compile("[A-Z0-9]{4}[A-Z]{2}[A-Z0-9]{2}([A-Z0-9]{3})?")
_IBAN: Final = re.compile("[A-Z]{2}[0-9]{2}[A-Z0-9]{11,30}")
_CODED: Final = re.compile("/([A-Z0-9]{1,8})/(.*)")
_NUMBERED: Final = re.compile("([1-8])/(.*)")
_MEMBER: Final = re.compile("/([A-Z]{2})(.*)")
_LENGTH_OF_SIC: Final = 6  # digits of a member of CHSIC; one of CHBCC, which FIN writes alike, has fewer

_AGENTS: Final = {
    "ordering_institution": "debtor",
    "intermediary": "intermediary_agents[0]",
    "account_with": "creditor_agent",
    "beneficiary_institution": "creditor",
}
_FOR_CUSTOMER: Final = {
    "ordering_institution": "debtor_agent",
    "intermediary": "intermediary_agents[0]",
    "account_with": "creditor_agent",
    "ordering_customer": "debtor",
    "beneficiary": "creditor",
    "senders_correspondent": "instructing_reimbursement_agent",
    "receivers_correspondent": "instructed_reimbursement_agent",
    "third_institution": "third_reimbursement_agent",
}
_ENTRY: Final = "account_entry"
SHORT: Final = "a reference of FIN has 16 characters of set X"
_TRANSFERS: Final = ("transfer_between_institutions/1", "transfer_for_customer/1")
_NOTICE_CANCELLED: Final = "cancel_notice/1"
_REQUESTS: Final = ("cancel_payment/1", "query_payment_status/1", _NOTICE_CANCELLED)
_COVERS: Final = ("senders_correspondent", "receivers_correspondent", "third_institution")
_COVERED: Final = ("ordering_institution", "intermediary", "account_with", "ordering_customer", "beneficiary")
_PARTIES: Final[Mapping[str, Mapping[str, str]]] = {
    "transfer_between_institutions/1": _AGENTS
    | {f"cover.{name}": f"underlying.{_FOR_CUSTOMER[name]}" for name in _COVERED},
    "transfer_for_customer/1": _FOR_CUSTOMER,
    "notify_to_receive/1": {
        "ordering_customer": "customer_debtor",
        "ordering_institution": "debtor",
        "intermediary": "intermediary_agent",
    },
}
"""What FIN calls the parties of each kind of event, and what the event does."""

_CUSTOMERS: Final = ("ordering_customer", "beneficiary")
_WORDS: Final = {
    "INS": ("previous_instructing_agents", "bic"),
    "ACC": ("instructions_for_creditor_agent", "text"),
    "REC": ("instructions_for_next_agent", "text"),
    "BNF": ("remittance", ""),
}
"""Code words of field 72: the list of the event that they add to, and what of an item they say."""

_TEXTS: Final[Mapping[str, tuple[str, ...]]] = {
    "account": ("settlement_account", "account"),
    "related_reference": ("end_to_end_id",),
    "remittance": ("remittance", "end_to_end_id"),
    "to_receiver": tuple(name for name, _ in _WORDS.values()),
    "narrative": ("reason", "texts"),
    "cover.remittance": ("underlying.remittance",),
    "cover.to_receiver": tuple(f"underlying.{name}" for name, _ in _WORDS.values()),
}
_TIMES: Final = {"CLSTIME": "settlement_times.cls", "SNDTIME": "debited_at", "RNCTIME": "credited_at"}


# --- from FIN -------------------------------------------------------------------------------------------------------


def take_apart(said: Statement, kind: str, sender: str, receiver: str) -> None:
    """State of the event what FIN says in its own forms, and what lines are left that no field of the event is for.

    What FIN leaves to who sends and who receives the message is stated as such, as derived.
    """
    if kind == _ENTRY:
        _entry_from_fin(said)
        return
    given: Tree = said.fields["fin"].get(_PAYMENT, {})
    left = said.left
    for name, path in _PARTIES.get(kind, {}).items():
        party = _at(given, name)
        if isinstance(party, dict):
            told = _customer if name.rpartition(".")[2] in _CUSTOMERS else _institution
            for inner, value, leaf in told(party, left):
                said.state(EVENT, (*keys(path), *keys(inner)), Stated(value, leaf))
    account = given.get("account")
    if isinstance(account, Stated) and account.leaf is not None:
        where = "account" if kind.startswith("notify") else "settlement_account"
        for inner, value in _account(account.value):
            said.state(EVENT, (where, *keys(inner)[1:]), Stated(value, account.leaf))
    related = given.get("related_reference")
    if isinstance(related, Stated) and related.leaf is not None:
        if related.value == NOT_GIVEN:
            said.constants.append(related.leaf)
        else:
            said.state(EVENT, ("end_to_end_id",), related)
    _times(said, given.get("times", {}), left)
    for around in ("", "underlying."):
        fin = "cover." if around else ""
        _to_receiver(said, _at(given, f"{fin}to_receiver"), around, left)
        _remittance(said, _at(given, f"{fin}remittance"), around)
    _narrative(said, given.get("narrative"))
    charges = [given["prepaid"]] if "prepaid" in given else list(given.get("deducted", {}).values())
    for number, amount in enumerate(charges):
        said.fields[EVENT].setdefault("charges", {})[number] = {"amount": amount}
    _complete(said, kind, sender, receiver)


def _complete(said: Statement, kind: str, sender: str, receiver: str) -> None:
    """State what FIN takes for granted: the parties that send and receive, and how they settle with each other."""
    usual: dict[str, Any] = {}
    if kind in _TRANSFERS:
        usual["settlement_method"] = _method(said.fields[EVENT])
    if kind == _TRANSFERS[0]:
        usual["debtor.bic"] = sender
    elif kind == _TRANSFERS[1]:
        usual |= {"debtor_agent.bic": sender, "creditor_agent.bic": receiver}
        said.state(_IDENTITY, ("end_to_end_id",), Stated(NOT_PROVIDED, None, told=False))
        for item in said.fields[EVENT].get("charges", {}).values():
            item["agent"] = {"bic": Stated(sender, None, told=False)}
    elif kind in _REQUESTS:
        reference = said.value(_IDENTITY, "transaction_id")
        said.state(_IDENTITY, ("original_message_id",), Stated(reference, None, told=False))
    for path, value in usual.items():
        if path.partition(".")[0] not in said.fields[EVENT]:
            said.state(EVENT, keys(path), Stated(value, None, told=False))


def _method(stated: Collection[str]) -> str:
    """Return how a payment of these fields settles, unless something else is said: by a cover where banks are named."""
    return "cover" if any(_FOR_CUSTOMER[name] in stated for name in _COVERS) else "instructed_agent"


def granted(event: Any, kind: str, origins: Origins) -> list[Leaf]:
    """Return the elements that say what FIN takes for granted."""
    if kind not in _TRANSFERS or event.settlement_method != _method(set(given(event))):
        return []
    leaf = origins.leaf(event, "settlement_method")
    return [] if leaf is None else [leaf]


_Told = Iterator[tuple[str, Any, Leaf]]


def _institution(party: Tree, left: list[Entry]) -> _Told:
    for name in ("account", "number"):
        said = party.get(name)
        if isinstance(said, Stated) and said.leaf is not None:
            member = _MEMBER.fullmatch(said.value)
            system = None if member is None else _system(member[1], member[2])
            if member is None:
                yield from ((path, value, said.leaf) for path, value in _account(said.value))
            elif system is None:
                left.append(Entry(said.leaf.shown, None, said.value, f"{member[1]} is no clearing system known here"))
            else:
                yield "clearing_member.system", system, said.leaf
                yield "clearing_member.member", member[2], said.leaf
    yield from _named(party, "name_and_address", "bic")


def _customer(party: Tree, left: list[Entry]) -> _Told:
    for name in ("account", "identifier"):
        said = party.get(name)
        if isinstance(said, Stated) and said.leaf is not None:
            text = said.value.removeprefix("/") if name == "identifier" else said.value
            if name == "identifier" and text == said.value:
                left.append(Entry(said.leaf.shown, None, text, "an identification in a scheme of FIN"))
            else:
                yield from ((path, value, said.leaf) for path, value in _account(text))
    yield from _named(party, "free", "organisation.bic")
    numbered = party.get("numbered")
    if not isinstance(numbered, Stated) or numbered.leaf is None:
        return
    lines: dict[str, list[str]] = {}
    for line in numbered.value.splitlines():
        found = _NUMBERED.fullmatch(line)
        if found is not None:
            lines.setdefault(found[1], []).append(found[2])
    leaf = numbered.leaf
    if "1" in lines:
        yield "name", " ".join(lines.pop("1")), leaf
    for number, line in enumerate(lines.pop("2", ())):
        yield f"address.lines[{number}]", line, leaf
    for path, town, text in (("address.", "town", "3"), ("person.birth.", "city", "5")):
        country, _, place = " ".join(lines.pop(text, ())).partition("/")
        if country:
            yield f"{path}country", country, leaf
        if place:
            yield f"{path}{town}", place, leaf
    born = _day(lines.get("4", [""])[0])
    if born is not None:
        lines.pop("4")
        yield "person.birth.born_on", born, leaf
    for digit, texts in lines.items():
        left += [Entry(leaf.shown, None, f"{digit}/{text}", "no element is for this line") for text in texts]


def _day(text: str) -> date | None:
    try:
        return date.fromisoformat(text)
    except ValueError:
        return None


def _named(party: Tree, lines: str, bic: str) -> _Told:
    said, named = party.get("bic"), party.get(lines)
    if isinstance(said, Stated) and said.leaf is not None:
        yield bic, said.value, said.leaf
    if isinstance(named, Stated) and named.leaf is not None:
        name, *address = named.value.splitlines()
        yield "name", name, named.leaf
        for number, line in enumerate(address):
            yield f"address.lines[{number}]", line, named.leaf


def _account(text: str) -> Iterator[tuple[str, str]]:
    yield "account.iban" if is_iban(text) else "account.other.identification", text


def is_iban(text: str) -> bool:
    """Tell whether a text is an IBAN, by its check digits too (ISO 13616)."""
    return _IBAN.fullmatch(text) is not None and int("".join(str(int(c, 36)) for c in text[4:] + text[:4])) % 97 == 1


def _system(letters: str, member: str) -> str | None:
    systems = [system for system, code in CLEARING.items() if code == letters]
    if letters == "SW":
        return "CHSIC" if len(member) == _LENGTH_OF_SIC else "CHBCC"
    return systems[0] if systems else None


def _times(said: Statement, items: Tree, left: list[Entry]) -> None:
    day = said.value(EVENT, "settlement_date")
    for item in items.values():
        code, leaf = item["code"].value, item["time"].leaf
        path = _TIMES.get(code)
        offset = f"{item['sign'].value}{item['offset'].value}".replace(":", "")
        text = item["time"].value.replace(":", "")
        if path is None or day is None:
            left.append(Entry(leaf.shown, None, f"{code} {text}{offset}", "no element is for this time"))
            continue
        value: Any = f"{text[:2]}:{text[2:4]}:00{offset[:3]}:{offset[3:5]}"
        if path != _TIMES["CLSTIME"]:
            away = timedelta(hours=int(offset[1:3]), minutes=int(offset[3:5])) * (-1 if offset[0] == "-" else 1)
            value = datetime.combine(day, time(int(text[:2]), int(text[2:4])), timezone(away))
        if said.state(EVENT, keys(path), Stated(value, leaf)):
            others = (each.leaf for name, each in item.items() if name != "time")
            said.echoes += [(other, leaf) for other in others if other is not None]


def _to_receiver(said: Statement, told: Any, around: str, left: list[Entry]) -> None:
    """State what the coded lines of field 72 say: ``/CODE/`` and its text, which goes on behind ``//``."""
    if not isinstance(told, Stated) or told.leaf is None:
        return
    parts: list[tuple[str, str]] = []
    for line in told.value.splitlines():
        found = _CODED.fullmatch(line)
        if found is not None:
            parts.append((found[1], found[2]))
        elif parts and line.startswith("//"):
            parts[-1] = parts[-1][0], f"{parts[-1][1]} {line.removeprefix('//')}".strip()
        else:
            parts.append(("", line))
    often: dict[str, int] = {}
    for code, text in parts:
        name, inner = _WORDS.get(code, ("", ""))
        if not name or (inner == "bic" and _BIC.fullmatch(text) is None):
            shown = f"/{code}/{text}" if code else text
            left.append(Entry(told.leaf.shown, None, shown, "no element is for this line"))
            continue
        number = often[name] = often.get(name, -1) + 1
        said.state(EVENT, (*keys(f"{around}{name}"), number, *keys(inner)), Stated(text, told.leaf))


def _remittance(said: Statement, told: Any, around: str) -> None:
    """State what field 70 says: the reference of the ordering customer, and texts of as many lines as go into one."""
    if not isinstance(told, Stated) or told.leaf is None:
        return
    lines = told.value.splitlines()
    if not around and lines and lines[0].startswith("/ROC/"):
        said.state(_IDENTITY, ("end_to_end_id",), Stated(lines.pop(0).removeprefix("/ROC/"), told.leaf))
    texts: list[str] = []
    for line in lines:
        if texts and len(texts[-1]) + 1 + len(line) <= _ROWS_OF_TEXT:
            texts[-1] += f" {line}"
        else:
            texts.append(line)
    for number, text in enumerate(texts):
        said.state(EVENT, (*keys(f"{around}remittance"), number), Stated(text, told.leaf))


def _narrative(said: Statement, told: Any) -> None:
    """State why a payment is to be cancelled: a code between slashes, and lines of text."""
    if not isinstance(told, Stated) or told.leaf is None:
        return
    lines = told.value.splitlines()
    found = _CODED.fullmatch(lines[0]) if lines else None
    if found is not None:
        said.state(EVENT, ("reason",), Stated(found[1], told.leaf))
        lines[:1] = [found[2]] if found[2] else []
    for number, line in enumerate(lines):
        said.state(EVENT, ("texts", number), Stated(line, told.leaf))


def keys(path: str) -> tuple[str | int, ...]:
    """Return the steps of a path such as ``address.lines[0]``."""
    steps: list[str | int] = []
    for part in path.split(".") if path else ():
        name, bracket, index = part.partition("[")
        steps.append(name)
        if bracket:
            steps.append(int(index[:-1]))
    return tuple(steps)


def _at(tree: Any, path: str) -> Any:
    for name in path.split("."):
        tree = tree.get(name) if isinstance(tree, dict) else None
    return tree


# --- to FIN ---------------------------------------------------------------------------------------------------------


def put_together(said: Statement, kind: str) -> None:
    """State what FIN says of a payment in another way than ISO 20022 does, or cannot be without."""
    if kind == _ENTRY:
        _entry_to_fin(said)
    identity = said.fields[_IDENTITY]
    own = identity.get("transaction_id")
    if isinstance(own, Stated) and own.leaf is not None and not is_reference(own.value):
        said.why[id(own.leaf)] = SHORT
        identity["transaction_id"] = Stated(business_message_id(own.value, "translation", kind), None, told=False)
    named = identity.get("end_to_end_id")
    if isinstance(named, Stated) and named.leaf is not None:
        if kind == _TRANSFERS[0] and not is_reference(named.value):
            said.why[id(named.leaf)] = SHORT
            identity["end_to_end_id"] = Stated(NOT_PROVIDED, None, told=False)
        elif kind == _TRANSFERS[1] and named.value == NOT_PROVIDED:
            said.constants.append(named.leaf)
        elif kind == _TRANSFERS[1]:
            said.state(EVENT, ("end_to_end_id",), named)
    if kind == _NOTICE_CANCELLED and "original_definition" not in identity:
        identity["original_definition"] = Stated("MT210", None, told=False)
    sent = said.value("instructed", "settlement_date")
    if kind in _REQUESTS and sent is not None:  # the message was hardly sent on another day, and FIN wants to know it
        moment = datetime.combine(sent, time(), UTC)
        said.state(_IDENTITY, ("original_created_at",), Stated(moment, None, told=False))


def _entry_to_fin(said: Statement) -> None:
    """State the references and the account of an entry as FIN does, which has two fields for the first."""
    given = said.fields[EVENT]
    account = given.get("account", {})
    number = account.get("iban") or _at(account, "other.identification")
    if isinstance(number, Stated):
        said.state(EVENT, ("account_at_servicer" if "account_servicer" in given else "account_number",), number)
    booked = given.pop("booking_date", None)  # which FIN says with the time
    if isinstance(booked, Stated) and booked.leaf is not None and "value_date" not in given:
        said.why[id(booked.leaf)] = "no other value date is said"
        given["value_date"] = booked
    own = [given.get("servicer_reference"), said.fields[_IDENTITY].get("business_message_id")]
    theirs = [given.get(name) for name in ("related_reference", "transaction_id", "end_to_end_id")]
    usual = business_message_id(said.value(_IDENTITY, "business_message_id") or "", "translation", _ENTRY)
    for name, found, otherwise in (("servicer_reference", own, usual), ("related_reference", theirs, NOT_GIVEN)):
        fit = (one for one in found if isinstance(one, Stated) and is_reference(one.value))
        first = next(fit, Stated(otherwise, None, told=False))
        if isinstance(given.get(name), Stated) and given[name] is not first and given[name].leaf is not None:
            said.why[id(given[name].leaf)] = SHORT
        given[name] = first


def _entry_from_fin(said: Statement) -> None:
    given = said.fields[EVENT]
    number = given.get("account_number") or given.get("account_at_servicer")
    if isinstance(number, Stated):
        for path, value in _account(number.value):
            said.state(EVENT, keys(path), Stated(value, number.leaf))
    said.state(EVENT, ("transaction_code",), Stated(NOT_PROVIDED, None, told=False))  # ISO 20022 wants one
    related = given.get("related_reference")
    if isinstance(related, Stated) and related.value == NOT_GIVEN and related.leaf is not None:
        said.constants.append(related.leaf)
        del given["related_reference"]


def trace(event: Any, kind: str, identity: Any, payment: Any, origins: Origins) -> None:
    """Note which elements each field of a payment in FIN repeats."""
    if payment is None:
        return
    paths: dict[str, tuple[str, ...]] = {name: (path,) for name, path in _PARTIES.get(kind, {}).items()}
    for name, found in {**paths, **_TEXTS}.items():
        holder: Any = payment
        *around, last = name.split(".")
        for step in around:
            holder = getattr(holder, step)
        if holder is None or getattr(holder, last) is None:
            continue
        leaves = [leaf for path in found for leaf in _leaves(event, identity, path, origins)]
        for owner, field, text in _texts(holder, last):
            there = _plain(text)
            said = [leaf for leaf in leaves if any(form in there for form in _forms(leaf.text))]
            if said:
                origins.note(owner, field, said[0], said[1:])
    for each in payment.times:
        leaf = next(iter(_leaves(event, identity, _TIMES[each.code], origins)), None)
        for part in fields(each):
            origins.note(each, part.name, leaf)


def _forms(text: str) -> Iterator[str]:
    """Yield how FIN may write a text: a date without its hyphens, a clearing system by two letters."""
    yield from (_plain(text), text.replace("-", ""), *([f"/{CLEARING[text]}"] if text in CLEARING else []))


def _texts(holder: Any, name: str) -> Iterator[tuple[Any, str, str]]:
    value = getattr(holder, name)
    if isinstance(value, str):
        yield holder, name, value
    elif is_dataclass(value):
        for each in fields(value):
            yield from _texts(value, each.name)


def _leaves(event: Any, identity: Any, path: str, origins: Origins) -> Iterator[Leaf]:
    """Yield the elements that said anything at a path of the event, or of its identity."""
    here = event
    if path.startswith("identity."):
        here, path = identity, path.removeprefix("identity.")
    steps = keys(path)
    for number, key in enumerate(steps):
        if (
            here is None
            or (isinstance(key, int) and len(here) <= key)
            or not (isinstance(key, int) or hasattr(here, key))
        ):
            return
        leaf = origins.leaf(here, key)
        if leaf is not None and number == len(steps) - 1:
            yield leaf
        here = here[key] if isinstance(key, int) else getattr(here, key)
    yield from origins.below(here)
    for number, item in enumerate(here if isinstance(here, tuple) else ()):
        leaf = origins.leaf(here, number)
        yield from ((leaf,) if leaf is not None else origins.below(item))


def _plain(text: str) -> str:
    """Return a text without what FIN puts around and between its lines."""
    return "".join(re.sub("^(//|[1-8]/|/[A-Z]{3}/)", "", line).replace(" ", "") for line in text.splitlines())
