"""Take apart what the confirmation of a trade (MT300, MT515, MT518) puts together, and say what each field holds.

MT515 states when a trade was made by its parts. MT300 names a party by BIC and account, or in lines that each begin
with what they are; it divides the common reference and a source of rates into their components
(``gateway.messages.fin.foreign_exchange``). Here is the way back; and for the way there, which elements a field
repeats.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final

from gateway.messages.fin.foreign_exchange import STANDING_INSTRUCTIONS, Exchange, PartyOfExchange
from gateway.messages.translation.leaves import Leaf
from gateway.messages.translation.report import Entry
from gateway.messages.translation.stating import EVENT, Origins, Stated, Statement, Tree, leaves_below
from gateway.model.events.foreign_exchange import ForeignExchangeTrade, SettlementAgents, TradeSide, TradingParty

FIN: Final = "fin"
_EXCHANGE: Final = "exchange"
_FORWARD: Final = "non_deliverable_forward"
_CONFIRMATION: Final = "confirm_trade/1"
_SUBMITS: Final = "FIN names who submits a trade by the header alone"
_CODED: Final = re.compile("/([A-Z0-9]{4})/(.*)")
_BIC: Final = re.compile("[A-Z]{4}[A-Z]{2}[A-Z0-9]{2}([A-Z0-9]{3})?")
_IDENTIFIED: Final = {
    "ABIC": "bic",
    "ACCT": "account",
    "NAME": "name",
    "ADD1": "address",
    "ADD2": "address",
    "CLRC": "clearing_system",
    "LEIC": "lei",
}
"""The code words of option J, and what the event calls them."""

_FREE: Final = "name_and_address"
_SIDES: Final = (("party_a", "trading_side"), ("party_b", "counterparty_side"))
_WAYS: Final = (("bought", "settlement_agents"), ("sold", "counterparty_settlement_agents"))
_AGENTS: Final = ("delivery_agent", "intermediary", "receiving_agent", "beneficiary")
_OTHERS: Final = ("dealing_branch", "counterparty_dealing_branch", "broker")
_REFERENCE: Final = ("prefix_1", "suffix_1", "rate", "prefix_2", "suffix_2")
_NEAR: Final = 50  # a rate prices a pair where its amounts give the same, but for one part in so many


# --- from FIN -------------------------------------------------------------------------------------------------------


def take_apart(said: Statement, sender: str, receiver: str) -> None:
    """State of the event what a confirmation says in FIN's own forms; does nothing to any other message.

    A side whose party is not the sender, or the receiver, is submitted by that; which is stated as derived.
    """
    _executed(said, said.fields[FIN].get("executed", {}))
    given: Tree = said.fields[FIN].get(_EXCHANGE, {})
    if not given:
        return
    if isinstance(operation := given.get("operation"), Stated):
        said.state(EVENT, ("operation_type",), operation)
    _common_reference(said, given.get("common_reference", {}))
    for (name, side), submits in zip(_SIDES, (sender, receiver), strict=True):
        if not (party := _party(said, given.get(name, {}))):
            continue
        if not submits or _bank(_bic(party)) == _bank(submits):
            said.fields[EVENT][side] = {"submitting_party": party}
        else:
            submitting = {"bic": Stated(submits, None, told=False)}
            said.fields[EVENT][side] = {"submitting_party": submitting, "trading_party": party}
    for name, way in _WAYS:
        _way(said, given.get(name, {}), way)
    for name in _OTHERS:
        if party := _party(said, given.get(name, {})):
            said.fields[EVENT][name] = party
    _forward(said, given)


def _executed(said: Statement, parts: Tree) -> None:
    """State when a trade was made, of which FIN has the parts; a time without its zone is no time for the event."""
    day = said.value(EVENT, "trade_date")
    stated = {name: part for name, part in parts.items() if isinstance(part, Stated) and part.leaf is not None}
    if day is None or not stated.keys() >= {"time", "offset"}:
        return
    time, decimals, offset = (stated[name].value if name in stated else "" for name in ("time", "decimals", "offset"))
    fraction = f".{decimals}" if decimals else ""
    zone = offset if offset.startswith("-") else f"+{offset}"
    moment = datetime.fromisoformat(f"{day.isoformat()}T{time}{fraction}{zone}")
    first = stated["time"].leaf
    if said.state(EVENT, ("executed_at",), Stated(moment, first)) and first is not None:
        said.echoes += [(part.leaf, first) for name, part in stated.items() if part.leaf is not None and name != "time"]


def _common_reference(said: Statement, parts: Tree) -> None:
    stated = [part for name in _REFERENCE if isinstance(part := parts.get(name), Stated)]
    leaves = [part.leaf for part in stated if part.leaf is not None]
    if len(leaves) == len(_REFERENCE):
        said.state(EVENT, ("common_reference",), Stated("".join(part.value for part in stated), leaves[0]))
        said.echoes += [(other, leaves[0]) for other in leaves[1:]]


def _way(said: Statement, given: Tree, way: str) -> None:
    """State the agents of an amount; without one that receives it, the others have no place in ISO 20022."""
    agents = {name: party for name in _AGENTS if (party := _party(said, given.get(name, {})))}
    if "receiving_agent" in agents:
        said.fields[EVENT][way] = agents
    for leaf in leaves_below(agents) if "receiving_agent" not in agents else ():
        said.why[id(leaf)] = "ISO 20022 names it only beside a receiving agent"


def _party(said: Statement, given: Tree) -> Tree:
    """Return a party as the event has it; of lines that it has no field for, what is left is told."""
    bic, account, lines = (given.get(name) for name in ("bic", "account", "description"))
    with_account = {"account": account} if isinstance(account, Stated) else {}
    if isinstance(bic, Stated):
        return {"identification": {"bic": bic, **with_account}} if with_account else {"bic": bic}
    if not isinstance(lines, Stated) or lines.leaf is None:
        return {}
    if lines.leaf.tags[-1] == _FREE:
        name, *address = lines.value.splitlines()
        of_it = {"address": Stated(" ".join(address), lines.leaf)} if address else {}
        named = Stated(name, lines.leaf)
        return (
            {"identification": {"name": named, **of_it, **with_account}} if of_it or with_account else {"name": named}
        )
    if lines.value == STANDING_INSTRUCTIONS.description:
        said.constants.append(lines.leaf)
        return {}
    found: dict[str, Stated] = {}
    left = []
    for line in lines.value.splitlines():
        coded = _CODED.fullmatch(line)
        name = _IDENTIFIED.get(coded[1], "") if coded is not None else ""
        if coded is None or not name or (name == "bic" and not _BIC.fullmatch(coded[2])):
            left.append(Entry(lines.leaf.shown, None, line, "no element is for this line"))
        elif name in found and name != "address":
            left.append(Entry(lines.leaf.shown, None, line, "said twice"))
        else:
            before = found[name].value if name in found else ""
            found[name] = Stated(before + coded[2], lines.leaf)
    said.left += left
    if left and not found:
        said.why[id(lines.leaf)] = "no element is for what it says"
    return dict(found) if set(found) == {"name"} else {"identification": found} if found else {}


def _forward(said: Statement, given: Tree) -> None:
    """State what is not delivered but valued: an opening with its conditions, or a fixing that names its opening."""
    event = said.fields[EVENT]
    for number, item in enumerate(given.get("rate_sources", {}).values()):
        conditions = event.setdefault(_FORWARD, {}).setdefault("conditions", {})
        conditions.setdefault("rate_sources", {})[number] = _rate_source(said, item)
    indicator = given.get("non_deliverable")
    if not isinstance(indicator, Stated) or indicator.leaf is None:
        return
    forward = event.get(_FORWARD, {})
    opening = forward.get("opening")
    unsaid: Sequence[str] = tuple(forward)
    why = "the trade is deliverable, as field 17F says"
    if indicator.value and isinstance(opening, Stated):
        unsaid = ("opening_reference",) if opening.value else ("conditions",)
        why = "an opening has conditions, and a fixing the reference of its opening"
    elif indicator.value:
        why = "it is neither an opening nor a fixing without field 17O"
    for name in unsaid:
        for leaf in said.drop((_FORWARD, name)) or ():
            said.why[id(leaf)] = why
    if not forward:
        event.pop(_FORWARD, None)
    if not indicator.value:
        said.constants.append(indicator.leaf)
    elif isinstance(opening, Stated) and opening.leaf is not None:
        said.echoes.append((indicator.leaf, opening.leaf))


def _rate_source(said: Statement, given: Tree) -> Tree:
    source, number, time, place = (given.get(name) for name in ("source", "number", "time", "location"))
    made: Tree = {}
    if isinstance(source, Stated) and isinstance(number, Stated):
        made["source"] = Stated(source.value + number.value, source.leaf)
        if number.leaf is not None and source.leaf is not None:
            said.echoes.append((number.leaf, source.leaf))
    if isinstance(time, Stated):
        made["time"] = Stated(time.value.replace(":", "")[:4], time.leaf)
    if isinstance(place, Stated):
        made["country"] = Stated(place.value[:2], place.leaf)
        made["location"] = Stated(place.value[2:], place.leaf)
    return made


def _bic(party: Tree) -> str:
    stated = party.get("bic") or party.get("identification", {}).get("bic")
    return stated.value if isinstance(stated, Stated) else ""


def _bank(bic: str) -> str:
    return bic.removesuffix("XXX")


# --- to FIN ---------------------------------------------------------------------------------------------------------


def put_together(said: Statement, kind: str, sender: str, receiver: str) -> None:
    """State who submits a trade for another as FIN does, by the header, and what a confirmation links to."""
    own = said.value("identity", "transaction_id")
    if kind == _CONFIRMATION and own is not None and "references" not in said.fields[EVENT]:
        said.state(EVENT, ("trade_id",), Stated(own, None, told=False))  # there is no confirmation without a link
    for (_, side), bic, which in zip(_SIDES, (sender, receiver), ("sender_bic", "receiver_bic"), strict=True):
        given = said.fields[EVENT].get(side)
        if not isinstance(given, dict) or "trading_party" not in given or "submitting_party" not in given:
            continue
        submitting = given["submitting_party"]
        for leaf in leaves_below(submitting):
            said.why[id(leaf)] = _SUBMITS
        named = submitting.get("bic") or submitting.get("identification", {}).get("bic")
        if isinstance(named, Stated):
            said.state("correspondents", (which,), named)
        given["submitting_party"] = {"bic": Stated(bic, None, told=False)}


def trace(event: Any, exchange: Exchange | None, origins: Origins) -> None:
    """Note which elements each field of a confirmation in FIN repeats."""
    if exchange is None or not isinstance(event, ForeignExchangeTrade):
        return
    _note(origins, exchange, "operation", origins.leaf(event, "operation_type"))
    for name in _REFERENCE:
        _note(origins, exchange.common_reference, name, origins.leaf(event, "common_reference"))
    for name, side in _SIDES:
        _trace_party(_who_trades(getattr(event, side)), getattr(exchange, name), origins)
    for name, way in _WAYS:
        agents: SettlementAgents | None = getattr(event, way)
        for each in _AGENTS if agents is not None else ():
            _trace_party(getattr(agents, each), getattr(getattr(exchange, name), each), origins)
    for name in _OTHERS:
        _trace_party(getattr(event, name), getattr(exchange, name), origins)
    forward = event.non_deliverable_forward
    sources = forward.conditions.rate_sources if forward is not None and forward.conditions is not None else ()
    for source, made in zip(sources, exchange.rate_sources, strict=True):
        for name in ("source", "number"):
            _note(origins, made, name, origins.leaf(source, "source"))
        _note(origins, made, "time", origins.leaf(source, "time"))
        place = [leaf for name in ("country", "location") if (leaf := origins.leaf(source, name)) is not None]
        _note(origins, made, "location", *_first(place))


def _who_trades(side: TradeSide) -> TradingParty:
    return side.trading_party or side.submitting_party


def _trace_party(party: TradingParty | None, made: PartyOfExchange | None, origins: Origins) -> None:
    if party is None or made is None:
        return
    identified = party.identification
    bic = party if identified is None else identified
    _note(origins, made, "bic", origins.leaf(bic, "bic"))
    if identified is not None:
        _note(origins, made, "account", origins.leaf(identified, "account"))
    _note(origins, made, "description", *_first(origins.below(party)))


def _note(origins: Origins, holder: object, name: str, leaf: Leaf | None, others: Sequence[Leaf] = ()) -> None:
    """Note which element said it; what none did is derived."""
    if leaf is not None:
        origins.note(holder, name, leaf, others)


def _first(leaves: Sequence[Leaf]) -> tuple[Leaf | None, Sequence[Leaf]]:
    return (leaves[0], leaves[1:]) if leaves else (None, ())


def granted(event: Any, origins: Origins) -> list[Leaf]:
    """Return the elements that say of which currency a rate is, where the amounts and the rate do too."""
    if not isinstance(event, ForeignExchangeTrade):
        return []
    rate, one, other = event.rate, event.bought_amount, event.sold_amount
    if rate.unit_currency == other.currency or rate.quoted_currency == one.currency:
        one, other = other, one
    usual = abs(one.value * rate.value - other.value) * _NEAR <= other.value
    named = [
        (rate.unit_currency, one.currency, "unit_currency"),
        (rate.quoted_currency, other.currency, "quoted_currency"),
    ]
    leaves = [origins.leaf(rate, name) for stated, meant, name in named if stated == meant]
    return [leaf for leaf in leaves if usual and leaf is not None]
