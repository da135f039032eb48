"""Business days: of markets, of payment systems, of places of settlement, and of several of them at once. Pure.

A calendar's name is one of

====================  ==============================================================================================
``WEEKDAYS``          Monday to Friday
``TARGET``            T2, the euro's payment system
``T2S``               days on which T2S settles: those of TARGET, and 1 May (free of payment, in Danish kroner)
``ICSD``              the international depositories: closed on 25 December and 1 January only
a market's MIC        its trading days (``XNYS``, ``XETR``); ``XFED`` is the Federal Reserve
a country             its public holidays: ``CH``, with a region ``GB-ENG``, with more holidays ``DK:optional``
a configured name     a bank's own
====================  ==============================================================================================

or several joined by ``+``: closed when one of them is closed. Which of them a currency, a market or a place of
settlement has is data: ``schemas/calendars/calendars.txt``. Holidays are those of the library `holidays`, which knows
rules rather than announcements: what an authority closes at short notice is a special closing day of the configuration.
Half days are business days; Saturdays and Sundays never are (Fridays and Saturdays where they are the weekend).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import date, timedelta
from functools import cache
from typing import TYPE_CHECKING, Final

from gateway.errors import ConfigError

if TYPE_CHECKING:
    import holidays

_DAY: Final = timedelta(days=1)
_CHRISTMAS, _NEW_YEAR, _LABOUR_DAY = (12, 25), (1, 1), (5, 1)
_ALIASES: Final = {"TARGET": "XECB"}
_SATURDAY_SUNDAY: Final = frozenset({5, 6})
_ELEVEN: Final = 11  # characters of a BIC with its branch

Closings = Callable[[int], frozenset[date]]  # the holidays of a year


class Calendar:
    """Tell business days from others. One object for each name, so what a year's holidays are is found once."""

    def __init__(self, name: str, closings: Closings, weekend: frozenset[int] = _SATURDAY_SUNDAY) -> None:
        self.name = name
        self._weekend = weekend
        self._find = closings
        self._years: dict[int, frozenset[date]] = {}

    def __repr__(self) -> str:
        return f"Calendar({self.name})"

    def is_business_day(self, day: date) -> bool:
        """Tell whether it is neither of the weekend nor a holiday."""
        if day.weekday() in self._weekend:
            return False
        holidays = self._years.get(day.year)
        if holidays is None:
            holidays = self._years[day.year] = self._find(day.year)
        return day not in holidays

    def next_business_day(self, day: date) -> date:
        """Return the first business day after a day."""
        return self._step(day, _DAY)

    def previous_business_day(self, day: date) -> date:
        """Return the last business day before a day."""
        return self._step(day, -_DAY)

    def following(self, day: date) -> date:
        """Return the day itself if it is a business day, else the next one."""
        return day if self.is_business_day(day) else self.next_business_day(day)

    def add_business_days(self, day: date, count: int) -> date:
        """Return the ``count``-th business day after a day (before it when negative); 0 is the day or the next one.

        Counting begins behind the day itself, whether or not it is a business day.
        """
        if count == 0:
            return self.following(day)
        step = _DAY if count > 0 else -_DAY
        for _ in range(abs(count)):
            day = self._step(day, step)
        return day

    def business_days(self, after: date, until: date) -> int:
        """Count the business days after one day up to and including another; 0 when it is not later."""
        count, day = 0, after
        while day < until:
            day += _DAY
            count += self.is_business_day(day)
        return count

    def _step(self, day: date, step: timedelta) -> date:
        day += step
        while not self.is_business_day(day):
            day += step
        return day


@cache
def calendar_named(name: str) -> Calendar:
    """Return the calendar of a name (see the module). Raises ConfigError (``calendar_unknown``) for any other."""
    if "+" in name:
        return join([calendar_named(part) for part in name.split("+")])
    if name == "WEEKDAYS":
        return Calendar(name, lambda year: frozenset())
    if name == "ICSD":
        return Calendar(name, lambda year: frozenset({date(year, *_CHRISTMAS), date(year, *_NEW_YEAR)}))
    if name == "T2S":
        target = _closings("XECB")
        return Calendar(name, lambda year: target(year) - {date(year, *_LABOUR_DAY)})
    known = _ALIASES.get(name, name)
    return Calendar(name, _closings(known), _weekend(known))


def join(calendars: Iterable[Calendar]) -> Calendar:
    """Return the calendar that is closed when one of several is; one alone is itself."""
    distinct = list(dict.fromkeys(calendars))
    if len(distinct) == 1:
        return distinct[0]

    def closings(year: int) -> frozenset[date]:
        days = (date(year, 1, 1) + number * _DAY for number in range((date(year, 12, 31) - date(year, 1, 1)).days + 1))
        return frozenset(day for day in days if not all(one.is_business_day(day) for one in distinct))

    return Calendar("+".join(one.name for one in distinct), closings, frozenset())


class Calendars:
    """Find the calendar of a currency, a market or a place of settlement.

    ``table`` is the text of ``calendars.txt``. ``own`` adds calendars, or closing days to known ones: by name, what it
    is like and the days on which it is closed as well. Raises ConfigError for a line that is no line of the table.
    """

    def __init__(self, table: str, own: Mapping[str, tuple[str, frozenset[date]]] | None = None) -> None:
        self._own = {name: _with_closings(name, like, days) for name, (like, days) in (own or {}).items()}
        self._joined: dict[tuple[tuple[str, ...], str | None, str | None], Calendar] = {}
        self._rows: dict[tuple[str, str], str] = {}
        for number, line in enumerate(table.splitlines(), 1):
            words = line.partition("#")[0].split()
            if not words:
                continue
            if len(words) != 3 or words[0] not in ("currency", "market", "place"):
                text = f"calendars.txt, line {number}: is `currency|market|place KEY CALENDAR`"
                raise ConfigError(text, code="calendar_unknown")
            self._rows[words[0], words[1]] = words[2]

    def named(self, name: str) -> Calendar:
        """Return the calendar of a name, a bank's own first. Raises ConfigError (``calendar_unknown``)."""
        if name in self._own:
            return self._own[name]
        if "+" in name:
            return join([self.named(part) for part in name.split("+")])
        return calendar_named(name)

    def of(
        self, *, currency: str | tuple[str, ...] | None = None, market: str | None = None, place: str | None = None
    ) -> Calendar:
        """Return the calendar of what is given, joined: currencies, a market's MIC, the BIC of a place of settlement.

        What the table does not list adds nothing; where nothing is listed it is ``WEEKDAYS``: a day too many, so that a
        deadline is rather early than late.
        """
        currencies = (currency,) if isinstance(currency, str) else currency or ()
        key = (currencies, market, place)
        found = self._joined.get(key)
        if found is None:
            names = [
                *(self._rows.get(("currency", one)) for one in currencies),
                self._rows.get(("market", market or "")),
                self._place(place) if place else None,
            ]
            found = join([self.named(name) for name in names if name] or [calendar_named("WEEKDAYS")])
            self._joined[key] = found
        return found

    def _place(self, bic: str) -> str | None:
        """Find a place by its whole BIC, else by its eight characters: branches keep the days of their house."""
        return self._rows.get(("place", f"{bic:X<{_ELEVEN}}")) or self._rows.get(("place", bic[:8]))

    def lines(self) -> Mapping[tuple[str, str], str]:
        """Return the table: (``currency``, ``market`` or ``place``, key) and the name of its calendar."""
        return self._rows


def _with_closings(name: str, like: str, days: frozenset[date]) -> Calendar:
    known = calendar_named(like)
    extra = Calendar(name, lambda year: frozenset(day for day in days if day.year == year), frozenset())
    joined = join([known, extra])
    joined.name = name
    return joined


def _closings(name: str) -> Closings:
    _library(name, 2020)  # a name that nobody knows is refused here, not when its first day is asked for

    def closings(year: int) -> frozenset[date]:
        # A holiday of next year may be kept on the last day of this one.
        return frozenset(day for day in _library(name, year) if day.year == year)

    return closings


def _weekend(name: str) -> frozenset[int]:
    return frozenset(_library(name, 2020).weekend)


def _library(name: str, year: int) -> holidays.HolidayBase:
    import holidays  # 50 ms: only those who ask for a calendar wait

    years = range(max(1, year - 1), min(9999, year + 1) + 1)
    try:
        if len(name) == 4 and name.isalpha():
            return holidays.financial_holidays(name, years=years)
        place, _, kind = name.partition(":")
        country, _, region = place.partition("-")
        categories = ("public", kind) if kind else ("public",)
        return holidays.country_holidays(country, subdiv=region or None, years=years, categories=categories)
    except (NotImplementedError, ValueError) as error:
        text = f"calendar {name!r}: is WEEKDAYS, TARGET, T2S, ICSD, a market's MIC, a country or a configured calendar"
        raise ConfigError(text, code="calendar_unknown") from error
