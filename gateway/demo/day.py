"""A believable day of trades, and where each of them has to end. Pure: the draw comes from a seed, the date is given.

The tables are in ``schemas/demo/day.toml``. Every trade follows a course: acts, done in order, with the answers that
the simulated counterparty is told to give; so the end of each trade is known before it begins.
"""

from __future__ import annotations

import itertools
import random
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any

import msgspec

from gateway.demo.course import Act, Course, Request, Tables
from gateway.model.currencies import DECIMALS
from gateway.model.references import business_message_id, transaction_id
from gateway.model.transitions import Dialogue
from gateway.simulator import Initiative

_DIALOGUES = {"instruct": Dialogue.SETTLEMENT, "confirm": Dialogue.CONFIRMATION}
_FREE_SHARE = 0.15
_RECEIVE_SHARE = 0.5
_REPO_FACTOR = Decimal("1.0004")  # a week of interest
_RATE_PLACES = Decimal("0.00001")


@dataclass(frozen=True, slots=True)
class Expected:
    """One instruction, confirmation or trade of theirs that a trade has to bring about.

    ``reference`` is what the counterparty's book calls it, ``event`` the event that instructs it (None for what the
    counterparty begins), ``asked`` what has to be asked of the counterparty about it: see ``asked_of``.
    """

    transaction_id: str
    reference: str
    dialogue: Dialogue
    counterparty: str
    script: str
    ends: tuple[str, ...]
    alerts: frozenset[str]
    event: Mapping[str, Any] | None
    asked: Counter[str] = field(default_factory=Counter)


def asked_of(dialogue: str, terms: Mapping[str, str]) -> str:
    """Say in words what a request asks: the simulator's dialogue, and the word that tells it from others like it."""
    return " ".join([dialogue, *(terms[name] for name in ("hold", "priority", "answer") if name in terms)])


@dataclass(frozen=True, slots=True)
class Trade:
    """A trade with what happens of it, one for each act of its course.

    Events are documents without ``occurred_at``, which is stamped when they are published.
    """

    trade_id: str
    source: str
    counterparty: str
    course: Course
    happenings: tuple[dict[str, Any] | Initiative, ...]
    expected: tuple[Expected, ...]

    @property
    def key(self) -> bytes:
        """Return the Kafka key: events of one trade stay in order."""
        return f"{self.source}/{self.trade_id}".encode()

    @property
    def events(self) -> tuple[dict[str, Any], ...]:
        """Return what upstream publishes of it."""
        return tuple([one for one in self.happenings if not isinstance(one, Initiative)])

    @property
    def names(self) -> frozenset[str]:
        """Return what status events call it: its own trade, and those that the counterparty begins."""
        return frozenset([self.trade_id, *(one.reference for one in self.happenings if isinstance(one, Initiative))])


@dataclass(frozen=True, slots=True)
class Day:
    """The trades of a day in the order in which they begin; ``expected`` by transaction, ``known`` by reference."""

    tables: Tables
    trades: tuple[Trade, ...]
    expected: dict[str, Expected] = field(default_factory=dict)
    known: dict[str, Expected] = field(default_factory=dict)


def make_day(tables: Tables, trades: int, seed: int, today: date) -> Day:
    """Draw a day of so many trades; the same arguments give the same day."""
    draw = random.Random(seed)
    courses = _courses(tables.courses, trades, draw)
    made = tuple(_Maker(tables, draw, today, number, course).trade() for number, course in enumerate(courses, start=1))
    expected = [item for trade in made for item in trade.expected]
    by_transaction = {item.transaction_id: item for item in expected}
    return Day(tables, made, by_transaction, {item.reference: item for item in expected})


def _courses(known: tuple[Course, ...], count: int, draw: random.Random) -> list[Course]:
    """Choose courses: each at least once while there is room, the rest by share; early ones come first."""
    if count < len(known):
        chosen = [known[number * len(known) // count] for number in range(count)]
    else:
        chosen = list(known) + draw.choices(known, [course.share for course in known], k=count - len(known))
    draw.shuffle(chosen)
    return sorted(chosen, key=lambda course: not course.early)


class _Maker:
    """Make one trade: its terms are drawn once, its events are written from them."""

    def __init__(self, tables: Tables, draw: random.Random, today: date, number: int, course: Course) -> None:
        self._tables = tables
        self._draw = draw
        self._course = course
        name, self._market = draw.choice(tables.markets_for(course))
        self._security = draw.choice(tables.securities[name])
        self._counterparty = self._market.counterparty
        self._trade_id = f"{today:%y%m%d}-{number:05d}"
        self._source = "fixed-income-desk" if self._security.bond else "equities-desk"
        self._payment = course.payment or ("free" if draw.random() < _FREE_SHARE else "against")
        self._receives = draw.random() < _RECEIVE_SHARE
        self._agent = draw.choice(self._market.agents)
        # What theirs is compared with is an odd lot on an account of its own: another trade like it would be found too.
        odd = number if any(act.do in tables.begins for act in course.acts) else 0
        self._account = f"{self._counterparty[:4]}-{f'S{odd}' if odd else draw.randrange(1000, 9999)}"
        self._dates = {
            "trade_date": today.isoformat(),
            "settlement_date": _business_days_after(today, self._market.days).isoformat(),
        }
        usual = Decimal(self._security.price)
        moved = usual * Decimal(str(round(draw.uniform(0.97, 1.03), 4)))
        self._price = moved.quantize(usual if usual == usual.to_integral_value() else Decimal("0.0001"))
        self._accrued = Decimal(0)
        if self._security.bond:
            self._quantity = Decimal(draw.randrange(50, 5_000) * 1_000 + odd)
            self._days_accrued = draw.randrange(1, 180)
            self._accrued = self._money(self._quantity * Decimal("0.03") * self._days_accrued / 365)
            self._gross = self._money(self._quantity * self._price / 100)
        else:
            self._quantity = Decimal(draw.choice((50, 100, 250, 400, 750, 1_000, 2_500, 6_000, 12_000)) + odd)
            self._gross = self._money(self._quantity * self._price)
        self._commission = self._money(self._gross * Decimal("0.0005"))

        # Money is exchanged for dollars, and dollars for euros.
        self._other_currency = "EUR" if self._market.currency == "USD" else "USD"
        dollars = {currency: Decimal(value) for currency, value in tables.dollars.items()}
        rate = dollars[self._market.currency] / dollars[self._other_currency]
        self._rate = (rate * Decimal(str(round(draw.uniform(0.99, 1.01), 4)))).quantize(_RATE_PLACES)

    def trade(self) -> Trade:
        happenings: list[dict[str, Any] | Initiative] = []
        expected: list[Expected] = []
        for place, act in enumerate(self._course.acts):
            request = self._tables.requests.get(act.do)
            if act.do in self._tables.begins:
                happenings.append(self._begin(act))
            elif request is not None:
                happenings.append(self._asking(act, place, request, expected))
            else:
                happenings.append(self._event(act, place, [one for one in happenings if isinstance(one, dict)]))
            if act.ends:
                expected.append(self._expect(act, happenings[-1]))
        return Trade(self._trade_id, self._source, self._counterparty, self._course, tuple(happenings), tuple(expected))

    def _event(self, act: Act, place: int, events: list[dict[str, Any]]) -> dict[str, Any]:
        instructed = self._tables.instructs.get(act.do)
        if instructed is not None:
            event: dict[str, Any] = _filled(instructed.event, self._values(act))
        else:
            event = _WRITERS[act.do](self, act, events)
        event |= {} if act.do in ("repeat", "conflict", "bytes") else self._head(act, place)
        return _MISTAKES[act.wrong](self, event) if act.wrong else event

    def _asking(self, act: Act, place: int, request: Request, expected: Sequence[Expected]) -> dict[str, Any]:
        """Ask or answer something, and note that the counterparty has to be asked it."""
        event: dict[str, Any] = self._head(act, place) | _filled(request.event, self._values(act))
        if act.wrong:
            return _MISTAKES[act.wrong](self, event)
        for item in expected:
            number = 1 if item.event is None else item.event["instruction_number"]
            if item.dialogue is request.about and number == act.number:
                item.asked[request.asks] += 1
                event["counterparty"] = item.counterparty
                if item.event is None:  # an answer names what the counterparty calls its trade
                    event["trade_id"] = item.reference
        return event

    def _expect(self, act: Act, happening: dict[str, Any] | Initiative) -> Expected:
        own_bic, counterparty = self._tables.own_bic, self._tables.counterparty(act) or self._counterparty
        if isinstance(happening, Initiative):
            reference, event, dialogue = happening.reference, None, self._tables.begins[act.do].dialogue
            named = self._tables.begins[act.do].named.format_map(self._values(act) | {"reference": reference})
            identity = transaction_id(own_bic, counterparty, named, dialogue, 1)
        else:
            instructed = self._tables.instructs.get(act.do)
            event, dialogue = happening, instructed.dialogue if instructed else _DIALOGUES[act.do]
            reference = identity = transaction_id(own_bic, self._source, self._trade_id, dialogue, act.number)
        alerts, asked = frozenset(act.alerts), Counter(act.asked)
        return Expected(identity, reference, dialogue, counterparty, act.script, act.ends, alerts, event, asked)

    # What the counterparty begins -----------------------------------------------------------------------------------

    def _begin(self, act: Act) -> Initiative:
        match self._tables.begins[act.do].terms:
            case "trade":
                terms = self._terms_of_trade()
            case "settlement":
                terms = self._terms_of_settlement()
            case template:
                terms = _filled(template, self._values(act))
        terms = _DIFFERENCES[act.wrong](terms) if act.wrong else terms
        return Initiative(f"{self._trade_id}-{act.do[0].upper()}", tuple(act.script.split(",")), terms)

    def _terms_of_settlement(self) -> dict[str, str]:
        return (
            self._terms()
            | {
                "movement": "receive" if self._receives else "deliver",
                "payment": self._payment,
                "safekeeping_account": self._account,
                "place_of_settlement": self._market.place,
            }
            | (self._cash() if self._payment == "against" else {})
        )

    def _terms_of_trade(self) -> dict[str, str]:
        price = {"price": str(self._price), "price_currency": self._market.currency}
        parties = [self._tables.own_bic, self._agent]
        buyer, seller = parties if self._receives else reversed(parties)
        return (
            self._terms()
            | ({"price_rate": str(self._price)} if self._security.bond else price)
            | {"side": "SELL" if self._receives else "BUYI", "payment": "against", "buyer": buyer, "seller": seller}
            | self._cash()
        )

    def _cash(self) -> dict[str, str]:
        direction = "DBIT" if self._receives else "CRDT"
        return {"amount": str(self._net()), "currency": self._market.currency, "credit_debit": direction}

    def _terms(self) -> dict[str, str]:
        kind = "face_amount" if self._security.bond else "unit"
        return {"isin": self._security.isin, "quantity": str(self._quantity), "quantity_type": kind, **self._dates}

    # Events -------------------------------------------------------------------------------------------------------

    def _head(self, act: Act, place: int) -> dict[str, Any]:
        return {
            "event_id": f"{self._trade_id}-{place + 1}",
            "source": self._source,
            "trade_id": self._trade_id,
            "instruction_number": act.number,
            "counterparty": self._tables.counterparty(act) or self._counterparty,
        }

    def _values(self, act: Act) -> dict[str, str]:
        """Return what an event of the tables may name of the trade."""
        sold = (self._net() * self._rate).quantize(Decimal(1).scaleb(-DECIMALS[self._other_currency]))
        return {
            "own_bic": self._tables.own_bic,
            "agent": self._agent,
            "source": self._source,
            "trade_id": self._trade_id,
            "first_message_id": self._first_message_id(),
            "isin": self._security.isin,
            "security": self._security.name,
            "quantity": str(self._quantity),
            "quantity_type": "face_amount" if self._security.bond else "unit",
            "account": self._account,
            "place": self._market.place,
            "amount": str(self._net()),
            "currency": self._market.currency,
            "closing_amount": str(self._money(self._net() * _REPO_FACTOR)),
            "other_amount": str(sold),
            "other_currency": self._other_currency,
            "rate": str(self._rate),
            "script": f"SIM:{act.script}",
            **self._dates,
            "day_after": self._later(1),
            "week_after": self._later(5),
            "fortnight_after": self._later(10),
        }

    def _first_message_id(self) -> str:
        """Return the identifier of the message that the first event becomes, if that is a settlement in ISO 20022."""
        names = (self._tables.own_bic, self._source, self._trade_id)
        versions = next(one.versions for one in self._tables.counterparties if one.bic == self._counterparty)
        identity = transaction_id(*names, Dialogue.SETTLEMENT, 1)
        return business_message_id(identity, f"{self._trade_id}-1", versions.get("settlement_instruction", ""))

    def _later(self, days: int) -> str:
        return _business_days_after(date.fromisoformat(self._dates["settlement_date"]), days).isoformat()

    def _instruct(self, act: Act, _: list[dict[str, Any]]) -> dict[str, Any]:
        event: dict[str, Any] = {
            "schema": "instruct_settlement/1",
            "movement": "receive" if self._receives else "deliver",
            "payment": self._payment,
            **self._what(),
            "safekeeping_account": self._account,
            "place_of_settlement": self._market.place,
            "delivering_parties" if self._receives else "receiving_parties": self._chain(),
            "transaction_type": "TRAD",
            "common_reference": f"COM{self._draw.randrange(10**9):09d}",
            "settlement_conditions": ["NOMC"] if self._draw.random() < 0.1 else [],
            "partial_settlement": self._draw.choice(("PART", "NPAR")),
            "priority": self._draw.choice((2, 3, 4)),
        }
        if self._payment == "against":
            event["settlement_amount"] = self._amount(self._net())
        if self._security.bond:
            kind = "PARV" if self._price == 100 else "PREM" if self._price > 100 else "DISC"
            event["price"] = {"rate": str(self._price), "type": kind}
            event["other_amounts"] = {"accrued_interest": self._amount(self._accrued)}
        if act.held:
            event["hold"] = True
        if act.script:
            event["processing_text"] = f"SIM:{act.script}"
        return event

    def _confirm(self, act: Act, _: list[dict[str, Any]]) -> dict[str, Any]:
        us, them = {"bic": self._tables.own_bic}, {"bic": self._agent}
        price = {"amount": {"value": str(self._price), "currency": self._market.currency}, "type": "ACTU"}
        accrued = {"accrued_interest": self._amount(self._accrued)} if self._security.bond else {}
        return accrued | {
            "schema": "confirm_trade/1",
            "side": "buy" if self._receives else "sell",
            "payment": "against",
            **self._what(),
            "price": {"rate": str(self._price)} if self._security.bond else price,
            "gross_amount": self._amount(self._gross),
            "net_amount": self._amount(self._net()),
            "commission": {"type": "BRKR", "amount": self._amount(self._commission)},
            "buyer": us if self._receives else them,
            "seller": them if self._receives else us,
            "processing_text": f"SIM:{act.script}",
        }

    def _repeat(self, _: Act, events: list[dict[str, Any]]) -> dict[str, Any]:
        return dict(events[-1])

    def _conflict(self, _: Act, events: list[dict[str, Any]]) -> dict[str, Any]:
        return events[-1] | {"priority": 9}

    def _bytes(self, _: Act, __: list[dict[str, Any]]) -> dict[str, Any]:
        return {}

    # Parts of events ------------------------------------------------------------------------------------------------

    def _what(self) -> dict[str, Any]:
        kind = "face_amount" if self._security.bond else "unit"
        what: dict[str, Any] = {
            "isin": self._security.isin,
            "security_description": self._security.name,
            "quantity": {"type": kind, "value": str(self._quantity)},
            **self._dates,
        }
        if self._market.mic:
            what["place_of_trade"] = {"type": "EXCH", "market": self._market.mic}
        if self._security.bond:
            what["accrued_days"] = self._days_accrued
        return what

    def _chain(self) -> list[dict[str, Any]]:
        chain: list[dict[str, Any]] = [
            {"bic": self._agent, "safekeeping_account": f"{self._draw.randrange(10**7):07d}"}
        ]
        if self._draw.random() < 0.3:
            chain.append({"name": "Example Asset Management", "address": {"town": "Luxembourg", "country": "LU"}})
        return chain

    def _net(self) -> Decimal:
        """Return what is paid: the buyer pays the commission on top, the seller gets less for it."""
        return self._gross + self._accrued + (self._commission if self._receives else -self._commission)

    def _money(self, value: Decimal) -> Decimal:
        return value.quantize(Decimal(1).scaleb(-DECIMALS[self._market.currency]))

    def _amount(self, value: Decimal) -> dict[str, str]:
        return {"value": str(value), "currency": self._market.currency}

    # Mistakes, made on purpose --------------------------------------------------------------------------------------

    def _wrong_isin(self, event: dict[str, Any]) -> dict[str, Any]:
        isin = event["isin"]
        return event | {"isin": isin[:-1] + str((int(isin[-1]) + 1) % 10)}

    def _wrong_decimals(self, event: dict[str, Any]) -> dict[str, Any]:
        amount = event["settlement_amount"]
        return event | {"settlement_amount": amount | {"value": str(Decimal(amount["value"]) + Decimal("0.005"))}}

    def _other_counterparty(self, event: dict[str, Any]) -> dict[str, Any]:
        others = [item.bic for item in self._tables.counterparties if item.bic != self._counterparty]
        return event | {"counterparty": self._draw.choice(others)}

    def _wrong_version(self, event: dict[str, Any]) -> dict[str, Any]:
        return event | {"unique_transaction_identifier": f"529900T8BM49AURSDO55{self._trade_id.replace('-', '')}"}

    def _wrong_field(self, event: dict[str, Any]) -> dict[str, Any]:
        return {("prioritty" if name == "priority" else name): value for name, value in event.items()}


_WRITERS: Mapping[str, Callable[[_Maker, Act, list[dict[str, Any]]], dict[str, Any]]] = {
    "instruct": _Maker._instruct,
    "confirm": _Maker._confirm,
    "repeat": _Maker._repeat,
    "conflict": _Maker._conflict,
    "bytes": _Maker._bytes,
}
_MISTAKES: Mapping[str, Callable[[_Maker, dict[str, Any]], dict[str, Any]]] = {
    "isin": _Maker._wrong_isin,
    "decimals": _Maker._wrong_decimals,
    "counterparty": lambda _, event: event | {"counterparty": "NOBODEFFXXX"},
    "other counterparty": _Maker._other_counterparty,
    "version": _Maker._wrong_version,
    "field": _Maker._wrong_field,
    "code": lambda _, event: event | {"transaction_type": "ZZZZ"},
}


def _one_more(terms: dict[str, str], name: str = "amount") -> dict[str, str]:
    return terms | {name: str(Decimal(terms[name]) + 1)}


def _unlike_any(terms: dict[str, str]) -> dict[str, str]:
    """Make a trade that nothing of ours is like: no drawn quantity ends so, and no amount is so small."""
    quantity = {"quantity": str(Decimal(terms["quantity"]) + 7)} if "quantity" in terms else {}
    return terms | quantity | {name: "7" for name in ("amount", "bought", "sold") if name in terms}


# What of theirs differs from ours on purpose.
_DIFFERENCES: Mapping[str, Callable[[dict[str, str]], dict[str, str]]] = {
    "amount": _one_more,
    "sold": lambda terms: _one_more(terms, "sold"),
    "everything": _unlike_any,
}


def _filled(template: Any, values: Mapping[str, str]) -> Any:
    """Write the values into the texts of a template."""
    match template:
        case str():
            return template.format_map(values)
        case dict():
            return {name: _filled(item, values) for name, item in template.items()}
        case list():
            return [_filled(item, values) for item in template]
        case _:
            return template


def content_of(event: Mapping[str, Any], now: datetime) -> bytes:
    """Return the bytes of an event that happens now; an empty one becomes bytes that nobody can decode."""
    if not event:
        return b"\xff\xfe{not an event" + str(now.timestamp()).encode()
    return msgspec.json.encode(dict(event) | {"occurred_at": now})


def _business_days_after(day: date, count: int) -> date:
    following = (day + timedelta(days=number) for number in itertools.count(1))
    weekdays = (candidate for candidate in following if candidate.weekday() < 5)
    return next(itertools.islice(weekdays, count - 1, None))
