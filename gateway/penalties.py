"""Cash penalties for settlement fails, estimated day by day, with every input and assumption. Pure.

Settlement fail penalties (SEFP) and late matching fail penalties (LMFP) of Regulation (EU) 909/2014, Article 7, and
Delegated Regulations (EU) 2018/1229, Articles 16 and 17, and 2017/389. A late matching penalty is for each business day
from the intended settlement date up to the day before the match, a settlement fail penalty for each one from then on.
What the failing side had to do decides the rate: who had to pay against delivery fails at the rate for cash, everybody
else at the rate of the security; both are of the reference price times the quantity. The depository's own figures
decide: what is known here is what the counterparty said, and what is configured of instruments and rates.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from decimal import ROUND_CEILING, Decimal
from typing import Final, Literal, NamedTuple

from gateway.calendar import Calendar, Calendars
from gateway.errors import ConfigError
from gateway.model.facts import Difference, PenaltyReport, ReportedPenalty, State, Terms

InstrumentClass = Literal["liquid_share", "illiquid_share", "sme", "sovereign", "debt", "sme_debt", "other"]
CLASSES: Final = ("liquid_share", "illiquid_share", "sme", "sovereign", "debt", "sme_debt", "other")
Side = Literal["us", "counterparty"]

_OF_DEBT: Final = ("face_amount", "amortised_value")
_BASIS_POINT: Final = Decimal("0.0001")
_PERCENT: Final = Decimal("0.01")
_DAYS_OF_A_YEAR: Final = 360
_CENT: Final = Decimal("0.01")
_RATE: Final = Decimal("1e-12")  # a percentage to ten decimals

# Who fails, by the reason of a pending or failing status. LACK and MONY speak of whoever has to deliver or to pay.
_FAILS: Final[Mapping[str, Side]] = {
    "PREA": "us",  # held by us
    "PRCY": "counterparty",  # held by the other side
    "CLAC": "counterparty",  # the other side lacks securities
    "CMON": "counterparty",  # the other side lacks cash
}
# The states of the European Economic Area, by the country of the depository's BIC.
_COUNTRIES: Final = "AT BE BG CY CZ DE DK EE ES FI FR GR HR HU IE IS IT LI LT LU LV MT NL NO PL PT RO SE SI SK"
_EEA: Final = frozenset(_COUNTRIES.split())
_NOT_DUE: Final = ("REMO", "NCOM")  # removed, not computed
_OTHER: Final[Mapping[Side, Side]] = {"us": "counterparty", "counterparty": "us"}


class Rate(NamedTuple):
    """A rate from a day on: basis points a day of a class of instrument, or per cent a year of a currency."""

    kind: str  # security | cash
    key: str
    since: date
    figure: Decimal


@dataclass(frozen=True, slots=True)
class Instrument:
    """What is configured of an instrument; None where it is not known.

    ``price`` is for one unit, or per cent of the face amount where the quantity is one.
    """

    instrument_class: InstrumentClass | None = None
    price: Decimal | None = None
    currency: str | None = None


@dataclass(frozen=True, slots=True)
class Fail:
    """An instruction that did not settle on its date, as far as penalties depend on it.

    ``matched_on`` is the day on which it matched, None while it has not. ``failing`` are the sides that the reasons
    name. ``ended_on`` is the day on which it settled or was cancelled. ``reported`` are the penalties that the
    depository has reported of it.
    """

    transaction_id: str
    movement: str
    payment: str
    isin: str | None
    settlement_date: date
    matched_on: date | None
    instructed_on: date
    quantity: Decimal | None
    quantity_type: str | None
    settled_quantity: Decimal
    amount: Decimal | None
    currency: str | None
    failing: tuple[Side, ...]
    reasons: tuple[str, ...]
    ended_on: date | None = None
    matching_stated: bool = True
    place_of_settlement: str | None = None
    reported: tuple[ReportedPenalty, ...] = ()

    @property
    def in_scope(self) -> bool:
        """Tell whether the Regulation holds where it settles; where that is not known, it is taken to."""
        return self.place_of_settlement is None or self.place_of_settlement[4:6] in _EEA


@dataclass(frozen=True, slots=True)
class Penalty:
    """One day's penalty of one side: what it is computed from, and what had to be assumed.

    ``rate`` is the fraction of ``value`` for one day. ``amount`` is rounded up to cents, and None where something is
    missing that nothing stands in for: the last assumption says what.
    """

    kind: Literal["SEFP", "LMFP"]
    day: date
    failing: Side
    basis: Literal["security", "cash"]
    rate: Decimal | None
    rate_source: str
    price: Decimal | None
    quantity: Decimal | None
    value: Decimal | None
    amount: Decimal | None
    currency: str | None
    assumptions: tuple[str, ...]


class Rates:
    """The rates and what is known of instruments.

    ``table`` is the text of ``rates.txt``; ``own`` goes before it. Raises ConfigError for a line that says nothing.
    """

    def __init__(
        self,
        table: str,
        own: Iterable[Rate] = (),
        instruments: Mapping[str, Instrument] | None = None,
        assumed_class: InstrumentClass = "liquid_share",
    ) -> None:
        self._instruments = instruments or {}
        self._assumed_class = assumed_class
        self._rates = [*_latest_first(own), *_latest_first(_parse(table))]

    def security(self, fail: Fail, day: date, assumptions: list[str]) -> tuple[Decimal | None, str]:
        """Return the rate for one day of a fail's instrument, and where it is from."""
        known = self._instruments.get(fail.isin or "", Instrument()).instrument_class
        chosen = known
        if chosen is None:
            chosen = "debt" if fail.quantity_type in _OF_DEBT else self._assumed_class
            assumptions.append(f"class {chosen}: none is configured for {fail.isin or 'the instrument'}")
        rate = self._find("security", chosen, day)
        if rate is None:
            assumptions.append(f"no rate is known for {chosen} on {day}")
            return None, ""
        return rate.figure * _BASIS_POINT, f"{rate.figure} basis points a day, {chosen}, since {rate.since}"

    def cash(self, fail: Fail, day: date, assumptions: list[str]) -> tuple[Decimal | None, str]:
        """Return the rate for one day of a fail's currency, and where it is from."""
        rate = None if fail.currency is None else self._find("cash", fail.currency, day)
        if rate is None:
            assumptions.append(f"no rate for overnight credit in {fail.currency or 'the currency'} is known on {day}")
            return None, ""
        figure = max(rate.figure, Decimal(0)) * _PERCENT / _DAYS_OF_A_YEAR
        return figure.quantize(_RATE), f"{rate.figure} % a year / 360, {rate.key}, since {rate.since}"

    def value(self, fail: Fail, assumptions: list[str]) -> tuple[Decimal | None, Decimal | None, str | None]:
        """Return reference price, value of the quantity that remains, and currency."""
        if fail.quantity is None or not fail.quantity:
            assumptions.append("no quantity is known")
            return None, None, fail.currency
        remaining = fail.quantity - fail.settled_quantity
        if fail.settled_quantity:
            assumptions.append(f"{fail.settled_quantity} of {fail.quantity} had settled before")
        known = self._instruments.get(fail.isin or "", Instrument())
        if known.price is not None:
            per_unit = known.price * _PERCENT if fail.quantity_type in _OF_DEBT else known.price
            if fail.payment == "against" and known.currency not in (None, fail.currency):
                assumptions.append(f"the reference price is in {known.currency}: the depository converts the penalty")
            return known.price, per_unit * remaining, known.currency or fail.currency
        if fail.amount is None:
            assumptions.append(f"no reference price is configured for {fail.isin or 'the instrument'}")
            return None, None, fail.currency
        assumptions.append("the settlement amount stands in for the reference price: none is configured")
        return None, fail.amount * remaining / fail.quantity, fail.currency

    def _find(self, kind: str, key: str, day: date) -> Rate | None:
        return next((r for r in self._rates if (r.kind, r.key) == (kind, key) and r.since <= day), None)


def _latest_first(rates: Iterable[Rate]) -> list[Rate]:
    return sorted(rates, key=lambda rate: rate.since, reverse=True)


def _parse(table: str) -> Iterator[Rate]:
    for number, line in enumerate(table.splitlines(), 1):
        words = line.partition("#")[0].split()
        if not words:
            continue
        try:
            kind, key, since, figure = words
            if kind not in ("security", "cash") or (kind == "security" and key not in CLASSES):
                raise ValueError(kind)
            yield Rate(kind, key, date.fromisoformat(since), Decimal(figure))
        except (ValueError, ArithmeticError) as error:
            text = f"rates.txt, line {number}: is `security CLASS FROM BASIS-POINTS` or `cash CURRENCY FROM PERCENT`"
            raise ConfigError(text) from error


def fail_of(transaction_id: str, terms: Terms, state: State, instructed_on: date) -> Fail | None:
    """Read a fail out of an instruction's terms in force and its state; None without date and direction.

    Days are those of the header times in UTC.
    """
    if terms.settlement_date is None or terms.movement is None or terms.payment is None:
        return None
    axes = state.axes or {}
    matching = axes.get("matching")
    stated = matching is not None and matching.status.value in ("matched", "unmatched")
    matched_on: date | None = terms.settlement_date  # nothing says that it matched late
    if matching is not None and stated:
        said = matching.asserted_at.date() if matching.asserted_at else terms.settlement_date
        matched_on = said if matching.status.value == "matched" else None
    settlement = axes.get("settlement")
    ends = ((settlement, "settled"), (axes.get("processing"), "cancelled"), (axes.get("cancellation"), "cancelled"))
    ended_on = next(
        (axis.asserted_at.date() for axis, word in ends if axis and axis.status.value == word and axis.asserted_at),
        None,
    )
    said_of = [axis.status.reasons for axis in (state.advised, settlement, axes.get("processing")) if axis is not None]
    codes = tuple(dict.fromkeys(reason.code for reasons in said_of for reason in reasons if reason.code))
    hold = axes.get("hold")
    held = ("PREA",) if hold is not None and hold.status.value == "held" and "PREA" not in codes else ()
    settled = sum(
        (part.quantity.value for part in state.parts if part.quantity is not None and not part.reversed), Decimal(0)
    )
    return Fail(
        transaction_id=transaction_id,
        movement=terms.movement,
        payment=terms.payment,
        isin=terms.isin,
        settlement_date=terms.settlement_date,
        matched_on=matched_on,
        instructed_on=instructed_on,
        quantity=terms.quantity.value if terms.quantity else None,
        quantity_type=terms.quantity.type if terms.quantity else None,
        settled_quantity=Decimal(0) if settlement is not None and settlement.status.value == "settled" else settled,
        amount=terms.amount.value if terms.amount else None,
        currency=terms.amount.currency if terms.amount else None,
        failing=_failing((*held, *codes), terms.movement),
        reasons=(*held, *codes),
        ended_on=ended_on,
        matching_stated=stated,
        place_of_settlement=terms.place_of_settlement,
        reported=state.penalties,
    )


def _failing(codes: Iterable[str], movement: str) -> tuple[Side, ...]:
    """Name the sides that fail, by the reasons; a held side is the failing one whatever else is lacking."""
    sides: dict[Side, None] = {}
    codes = tuple(codes)
    for code in codes:
        if code in _FAILS:
            sides[_FAILS[code]] = None
    if not sides:
        deliverer: Side = "us" if movement == "deliver" else "counterparty"
        if "LACK" in codes:
            sides[deliverer] = None
        elif "MONY" in codes:
            sides[_OTHER[deliverer]] = None
    return tuple(sides)


def estimate(fail: Fail, until: date, calendar: Calendar, rates: Rates) -> tuple[Penalty, ...]:
    """Estimate the penalties of a fail for each business day up to and including ``until``, in order.

    One that has not matched would bear late matching penalties once it does; the estimate says so. On the day on which
    it settled there is none, and none at a depository outside the European Economic Area.
    """
    found: list[Penalty] = []
    if not fail.in_scope:
        return ()
    day = calendar.following(fail.settlement_date)
    while day <= until and (fail.ended_on is None or day < fail.ended_on):
        late = fail.matched_on is None or day < fail.matched_on
        found.extend(_late(fail, day, rates) if late else _unsettled(fail, day, rates))
        day = calendar.next_business_day(day)
    return tuple(found)


def _late(fail: Fail, day: date, rates: Rates) -> Iterator[Penalty]:
    """Give the penalty of whoever instructed last."""
    assumptions = []
    if fail.matched_on is None:
        assumptions.append("not matched: it is due once it matches")
    if fail.instructed_on > fail.settlement_date:
        side: Side = "us"
        assumptions.append(f"we were last: we instructed on {fail.instructed_on}, after the intended settlement date")
    else:
        side = "counterparty"
        assumptions.append("the counterparty was last: we instructed in time, and have not modified since")
    yield _penalty("LMFP", fail, day, side, rates, assumptions)


def _unsettled(fail: Fail, day: date, rates: Rates) -> Iterator[Penalty]:
    sides = fail.failing
    assumptions = [] if fail.matching_stated else ["matched in time: nobody has said when"]
    if not sides:
        sides = ("us" if fail.movement == "deliver" else "counterparty",)
        said = f"the reasons ({', '.join(fail.reasons)}) do not" if fail.reasons else "no reason does"
        assumptions.append(f"lack of securities: {said} say who fails")
    for side in sides:
        yield _penalty("SEFP", fail, day, side, rates, list(assumptions))


def _penalty(
    kind: Literal["SEFP", "LMFP"], fail: Fail, day: date, side: Side, rates: Rates, assumptions: list[str]
) -> Penalty:
    receives = (fail.movement == "receive") == (side == "us")
    basis: Literal["security", "cash"] = "cash" if receives and fail.payment == "against" else "security"
    rate, source = (rates.cash if basis == "cash" else rates.security)(fail, day, assumptions)
    price, value, currency = rates.value(fail, assumptions)
    amount = None
    if rate is not None and value is not None:
        amount = (value * rate).quantize(_CENT, rounding=ROUND_CEILING)
    remaining = None if fail.quantity is None else fail.quantity - fail.settled_quantity
    return Penalty(kind, day, side, basis, rate, source, price, remaining, value, amount, currency, tuple(assumptions))


def totals(penalties: Iterable[Penalty]) -> dict[tuple[Side, str], Decimal]:
    """Add up the amounts that are known, by failing side and currency."""
    sums: dict[tuple[Side, str], Decimal] = {}
    for one in penalties:
        if one.amount is not None:
            key = (one.failing, one.currency or "")
            sums[key] = sums.get(key, Decimal(0)) + one.amount
    return sums


@dataclass(frozen=True, slots=True)
class Reckoned:
    """A reported penalty beside our estimate of it: what we are to receive, or with a minus sign to pay.

    ``estimated`` is None where there is no estimate to compare with: without its days or amount, for one that is
    removed or was not computed, where an input is missing, or in another currency.
    """

    report: PenaltyReport
    reported: Decimal | None
    estimated: Decimal | None
    currency: str | None
    differs: bool = False

    @property
    def difference(self) -> Decimal | None:
        """Return how much more was reported than estimated."""
        return None if self.reported is None or self.estimated is None else self.reported - self.estimated


class Estimator:
    """Estimate penalties by the calendar of each depository, and compare with them what is reported."""

    def __init__(self, rates: Rates, calendars: Calendars, tolerance_percent: Decimal) -> None:
        self._rates, self._calendars, self._tolerance = rates, calendars, tolerance_percent * _PERCENT

    def calendar(self, fail: Fail) -> Calendar:
        """Return the business days of a fail."""
        currency = fail.currency if fail.payment == "against" else None
        return self._calendars.of(place=fail.place_of_settlement, currency=currency)

    def estimate(self, fail: Fail, until: date) -> tuple[Penalty, ...]:
        """Estimate the penalties of a fail for each business day up to and including ``until``, in order."""
        return estimate(fail, until, self.calendar(fail), self._rates)

    def reckon(self, fail: Fail, report: PenaltyReport) -> Reckoned:
        """Put a reported penalty beside the estimate for the same days."""
        if report.amount is None:
            return Reckoned(report, None, None, None)
        currency = report.amount.currency
        reported = _signed(report.amount.value, ours=report.credit_debit == "debit")
        expected = self._expected(fail, report, currency)
        differs = expected is not None and abs(reported - expected) > max(_CENT, abs(reported) * self._tolerance)
        return Reckoned(report, reported, expected, currency, differs)

    def differences(self, fail: Fail | None, report: PenaltyReport) -> tuple[Difference, ...]:
        """Tell where a reported penalty is not what we expect."""
        found = None if fail is None else self.reckon(fail, report)
        if found is None or not found.differs:
            return ()
        said = (f"{amount} {found.currency}" for amount in (found.estimated, found.reported))
        return (Difference("penalty", *said),)

    def _expected(self, fail: Fail, report: PenaltyReport, currency: str) -> Decimal | None:
        days = {one.day for one in report.days}
        if not days or report.status in _NOT_DUE:
            return None
        alike = [one for one in self.estimate(fail, max(days)) if one.kind == report.kind and one.day in days]
        if any(one.amount is None or one.currency != currency for one in alike):
            return None
        return sum((_signed(one.amount or Decimal(0), ours=one.failing == "us") for one in alike), Decimal(0))


def _signed(amount: Decimal, *, ours: bool) -> Decimal:
    return -amount if ours else amount
