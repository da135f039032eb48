"""Check digits and structures of identifiers, on published examples and single mutations."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.model import identifiers
from gateway.model.currencies import DECIMALS

ISINS = ["US0378331005", "DE0007164600", "GB0002634946", "AU0000XVGZA3", "XS1234567890"]
LEIS = ["529900T8BM49AURSDO55", "5493001KJTIIGC8Y1R12"]
IBANS = ["DE89370400440532013000", "GB29NWBK60161331926819", "NO9386011117947", "MT84MALT011000012345MTLCAST001S"]


@pytest.mark.parametrize("isin", ISINS[:4])
def test_published_isins_hold(isin: str) -> None:
    assert identifiers.isin_holds(isin)


@pytest.mark.parametrize("lei", LEIS)
def test_published_leis_hold(lei: str) -> None:
    assert identifiers.lei_holds(lei)


@pytest.mark.parametrize("iban", IBANS)
def test_published_ibans_hold(iban: str) -> None:
    assert identifiers.iban_holds(iban)


@given(st.sampled_from(ISINS[:4]), st.integers(0, 9))
def test_another_check_digit_of_an_isin_does_not_hold(isin: str, digit: int) -> None:
    assert identifiers.isin_holds(isin[:-1] + str(digit)) == (str(digit) == isin[-1])


@given(st.data())
def test_one_changed_character_breaks_lei_and_iban(data: st.DataObject) -> None:
    value = data.draw(st.sampled_from(LEIS + IBANS))
    position = data.draw(st.integers(0, len(value) - 1))
    alphabet = "0123456789" if value[position].isdigit() else "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
    other = data.draw(st.sampled_from(alphabet).filter(lambda character: character != value[position]))
    changed = value[:position] + other + value[position + 1 :]
    assert not (identifiers.lei_holds if value in LEIS else identifiers.iban_holds)(changed)


@pytest.mark.parametrize("bic", ["DEUTDEFF", "DEUTDEFF500", "AGNTXKFF", "1234US33XXX"])
def test_structures_that_are_bics(bic: str) -> None:
    assert re.search(identifiers.BIC_PATTERN, bic)


@pytest.mark.parametrize("bic", ["DEUTZZFF", "DEUTDEF", "DEUTDEFFXX", "deutdeff", "DEUTDEFF500 ", "DEUTDEFFXXXX"])
def test_structures_that_are_no_bics(bic: str) -> None:
    assert not re.search(identifiers.BIC_PATTERN, bic)


@pytest.mark.parametrize(("currency", "decimals"), [("EUR", 2), ("JPY", 0), ("KWD", 3), ("CLF", 4), ("HUF", 2)])
def test_decimals_of_currencies(currency: str, decimals: int) -> None:
    assert DECIMALS[currency] == decimals


def test_withdrawn_currencies_are_unknown() -> None:
    assert not {"DEM", "FRF", "HRK", "EEK", "XXX"} & DECIMALS.keys()


def test_every_pattern_is_explained_in_words() -> None:
    patterns = {value for name, value in vars(identifiers).items() if name.endswith("_PATTERN")}
    assert patterns == identifiers.RULES.keys()
