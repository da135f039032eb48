"""Business days: of TARGET, of markets, of places of settlement, and of several at once."""

from __future__ import annotations

from datetime import date, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.calendar import Calendars, calendar_named, join
from gateway.errors import ConfigError
from gateway.messages.schema_files import load_calendars

DAY = timedelta(days=1)
NAMES = st.sampled_from(["WEEKDAYS", "TARGET", "T2S", "ICSD", "XNYS", "XFED", "GB-ENG", "DK:optional", "XNYS+XFED"])
DAYS = st.dates(date(2019, 1, 1), date(2060, 12, 31))


def closed_weekdays(name: str, year: int) -> set[str]:
    calendar = calendar_named(name)
    days = (date(year, 1, 1) + number * DAY for number in range(366))
    return {
        f"{day:%m-%d}" for day in days if day.year == year and day.weekday() < 5 and not calendar.is_business_day(day)
    }


def test_target_is_closed_on_its_six_days_and_no_other() -> None:
    assert closed_weekdays("TARGET", 2024) == {"01-01", "03-29", "04-01", "05-01", "12-25", "12-26"}
    assert closed_weekdays("TARGET", 2027) == {"01-01", "03-26", "03-29"}  # the others fall on a weekend


def test_t2s_is_open_on_labour_day_and_the_icsds_at_easter() -> None:
    assert closed_weekdays("T2S", 2024) == {"01-01", "03-29", "04-01", "12-25", "12-26"}
    assert closed_weekdays("ICSD", 2024) == {"01-01", "12-25"}


def test_a_holiday_on_a_weekend_is_kept_as_each_authority_keeps_it() -> None:
    independence_day = date(2026, 7, 3)  # the 4th is a Saturday
    assert not calendar_named("XNYS").is_business_day(independence_day)
    assert calendar_named("XFED").is_business_day(independence_day)
    assert not calendar_named("GB-ENG").is_business_day(date(2026, 12, 28))  # Boxing Day is a Saturday
    assert not calendar_named("XNYS").is_business_day(date(2026, 11, 26))
    assert calendar_named("XNYS").is_business_day(date(2026, 11, 27))  # closes early, and settles


def test_a_joined_calendar_is_closed_when_one_of_them_is() -> None:
    both = calendar_named("XNYS+XFED")
    columbus_day, good_friday = date(2026, 10, 12), date(2026, 4, 3)
    assert calendar_named("XNYS").is_business_day(columbus_day)
    assert calendar_named("XFED").is_business_day(good_friday)
    assert not both.is_business_day(columbus_day)
    assert not both.is_business_day(good_friday)
    assert join([calendar_named("TARGET")]) is calendar_named("TARGET")


@pytest.mark.parametrize("name", ["XXXX", "NOWHERE", "", "GB-NOWHERE", "DK:imaginary", "TARGET+NOWHERE", "target"])
def test_an_unknown_calendar_is_refused_by_name(name: str) -> None:
    with pytest.raises(ConfigError) as refused:
        calendar_named(name)
    assert refused.value.code == "calendar_unknown"


def test_the_table_names_calendars_that_exist() -> None:
    calendars = load_calendars()
    assert len(calendars.lines()) > 80
    for (kind, key), name in calendars.lines().items():
        assert calendars.named(name), f"{kind} {key}"


def test_an_instruction_needs_the_days_of_its_place_and_of_its_currency() -> None:
    calendars = load_calendars()
    labour_day = date(2026, 5, 1)
    assert calendars.of(place="DAKVDEFFXXX").is_business_day(labour_day)
    assert not calendars.of(place="DAKVDEFFXXX", currency="EUR").is_business_day(labour_day)
    assert calendars.of(place="DAKVDEFF", currency="DKK") is calendars.of(place="DAKVDEFF", currency="DKK")
    assert not calendars.of(market="XNAS").is_business_day(date(2026, 11, 26))


def test_what_the_table_does_not_list_has_weekdays() -> None:
    unlisted = load_calendars().of(place="NOWHDEFFXXX", currency="XTS")
    assert unlisted.is_business_day(date(2026, 12, 25))
    assert not unlisted.is_business_day(date(2026, 12, 26))


def test_a_bank_adds_its_own_closing_days_to_a_calendar_or_names_one_of_its_own() -> None:
    system_change, audit = date(2026, 3, 17), date(2026, 6, 30)
    calendars = load_calendars(
        {"T2S": ("T2S", frozenset({system_change})), "HOUSE": ("TARGET+GB-ENG", frozenset({audit}))}
    )
    assert not calendars.of(place="SICVFRPPXXX", currency="EUR").is_business_day(system_change)
    assert calendars.of(currency="EUR").is_business_day(system_change)
    house = calendars.named("HOUSE")
    assert not house.is_business_day(audit)
    assert not house.is_business_day(date(2026, 5, 25))
    assert house.add_business_days(date(2026, 6, 29), 1) == date(2026, 7, 1)
    assert calendar_named("T2S").is_business_day(system_change)  # another configuration is not touched


@pytest.mark.parametrize("line", ["currency EUR", "region DE TARGET", "place A B C"])
def test_a_line_of_the_table_that_says_nothing_is_refused_with_its_number(line: str) -> None:
    with pytest.raises(ConfigError, match="line 2"):
        Calendars(f"currency EUR TARGET\n{line}\n")


def test_the_four_days_of_easter_are_stepped_over() -> None:
    target = calendar_named("TARGET")
    thursday, tuesday = date(2026, 4, 2), date(2026, 4, 7)
    assert target.next_business_day(thursday) == tuesday
    assert target.previous_business_day(tuesday) == thursday
    assert target.add_business_days(date(2026, 4, 4), 1) == tuesday  # counted from the Saturday between
    assert target.add_business_days(date(2026, 4, 4), 0) == tuesday
    assert target.add_business_days(tuesday, -2) == date(2026, 4, 1)
    assert target.business_days(thursday, tuesday) == 1


@given(NAMES, DAYS, st.integers(-30, 30))
def test_adding_business_days_lands_on_one_and_skips_none(name: str, day: date, count: int) -> None:
    calendar = calendar_named(name)
    reached = calendar.add_business_days(day, count)
    assert calendar.is_business_day(reached)
    if count > 0:
        assert calendar.business_days(day, reached) == count
    elif count < 0:
        between = calendar.business_days(reached, day - DAY)
        assert between == -count - 1
    else:
        assert all(not calendar.is_business_day(day + number * DAY) for number in range((reached - day).days))


@given(NAMES, DAYS, st.integers(1, 10), st.integers(1, 10))
def test_business_days_add_up(name: str, day: date, first: int, second: int) -> None:
    calendar = calendar_named(name)
    assert calendar.add_business_days(calendar.add_business_days(day, first), second) == calendar.add_business_days(
        day, first + second
    )


@given(NAMES, DAYS)
def test_the_next_and_the_previous_business_day_are_each_others_inverse(name: str, day: date) -> None:
    calendar = calendar_named(name)
    following = calendar.following(day)
    assert calendar.previous_business_day(calendar.next_business_day(following)) == following
