"""Formats of FIN fields: what fits, what does not and how it is said, values read and written."""

from __future__ import annotations

import time as clock
from datetime import date, time
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.errors import ConfigError
from gateway.messages.fin.fields import FieldFormat, Value, written
from tests.fin_documents import MESSAGE_TYPES, definitions, made_messages

VALUES: list[tuple[str, str, dict[str, Value]]] = [
    ("20C", ":SEME//2007", {"qualifier": "SEME", "reference": "2007"}),
    ("19A", ":SETT//NEUR1234,5", {"qualifier": "SETT", "sign": "N", "currency": "EUR", "amount": Decimal("1234.5")}),
    ("32A", "260304EUR995,", {"date": date(2026, 3, 4), "currency": "EUR", "amount": Decimal(995)}),
    ("32A", "991231EUR0,5", {"date": date(1999, 12, 31), "currency": "EUR", "amount": Decimal("0.5")}),
    ("35B", "ISIN XS0000001239\nCORP\n2,5", {"isin": "XS0000001239", "description": "CORP\n2,5"}),
    ("35B", "ISIN XS0000001239", {"isin": "XS0000001239"}),
    ("35B", "/US/912827", {"description": "/US/912827"}),
    ("50F", "/12345\n1/SOMEONE\n3/FR/PARIS", {"identifier": "/12345", "name_and_address": "1/SOMEONE\n3/FR/PARIS"}),
    ("59", "/123\nSOMEONE\nPARIS", {"account": "123", "name_and_address": "SOMEONE\nPARIS"}),
    ("59", "SOMEONE\nPARIS", {"name_and_address": "SOMEONE\nPARIS"}),
    ("53B", "/D/123\nPARIS", {"mark": "D", "account": "123", "location": "PARIS"}),
    ("53B", "/12345", {"account": "12345"}),
    ("53B", "PARIS", {"location": "PARIS"}),
    ("52A", "/C/99\nAAAAFRPPXXX", {"mark": "C", "account": "99", "bic": "AAAAFRPPXXX"}),
    ("98A", ":SETT//20260304", {"qualifier": "SETT", "date": date(2026, 3, 4)}),
    (
        "98E",
        ":PREP//20260304120001,120/N0130",
        {
            "qualifier": "PREP",
            "date": date(2026, 3, 4),
            "time": time(12, 0, 1),
            "decimals": "120",
            "sign": "N",
            "offset": "0130",
        },
    ),
    ("13C", "/SNDTIME/1015+0100", {"code": "SNDTIME", "time": time(10, 15), "sign": "+", "offset": "0100"}),
    ("99A", ":DAAC//N007", {"qualifier": "DAAC", "sign": "N", "number": 7}),
    ("23G", "NEWM", {"function": "NEWM"}),
    ("23G", "NEWM/CODU", {"function": "NEWM", "subfunction": "CODU"}),
    ("22F", ":SETR/SCHEME/TRAD", {"qualifier": "SETR", "data_source_scheme": "SCHEME", "indicator": "TRAD"}),
    ("95L", ":ALTE//INVENTEDENTITYONE065", {"qualifier": "ALTE", "lei": "INVENTEDENTITYONE065"}),
    ("77H", "ISDA/20020108//2002", {"type_of_agreement": "ISDA", "date": date(2002, 1, 8), "version": "2002"}),
    (
        "61",
        "2603040304RC12,5NTRFBANK/1//SVC-1\nMORE",
        {
            "value_date": date(2026, 3, 4),
            "entry_date": "0304",
            "mark": "RC",
            "amount": Decimal("12.5"),
            "type": "N",
            "code": "TRF",
            "reference": "BANK/1",
            "servicer_reference": "SVC-1",
            "details": "MORE",
        },
    ),
    (
        "61",
        "260304CD12,NTRFNONREF",
        {
            "value_date": date(2026, 3, 4),
            "mark": "C",
            "funds_code": "D",
            "amount": Decimal(12),
            "type": "N",
            "code": "TRF",
            "reference": "NONREF",
        },
    ),
    ("15A", "", {}),
]

WRONG: list[tuple[str, str, str, str]] = [
    ("19A", ":SETT//EUR1234", "fin_format_invalid", "digits with one comma"),
    ("19A", ":SETT//EUR,5", "fin_format_invalid", "digits with one comma"),
    ("19A", ":SETT//EUR1,2,3", "fin_format_invalid", "the end of the field"),
    ("19A", ":SETT//EUR123456789012345,", "fin_format_invalid", "up to 15"),
    ("19A", ":SETT//EUR1,234", "fin_value_invalid", "at most 2 decimals in EUR (C03)"),
    ("19A", ":SETT//JPY1,5", "fin_value_invalid", "at most 0 decimals in JPY (C03)"),
    ("19A", ":SETT//XXQ1,5", "fin_value_invalid", "ISO 4217 (T52)"),
    ("19A", ":SETT//NEUR0,00", "fin_value_invalid", "no minus sign before zero (T14)"),
    ("98A", ":SETT//20260230", "fin_value_invalid", "a real date, YYYYMMDD (T50)"),
    ("98A", ":SETT//2026-02-03", "fin_format_invalid", "date, 8 digits"),
    ("98C", ":SETT//20260203246000", "fin_value_invalid", "a time, HHMMSS (T38)"),
    ("98E", ":SETT//20260203120000/2500", "fin_value_invalid", "offset from UTC"),
    ("20C", ":SEME//A//B", "fin_value_invalid", "no slash at the beginning or the end"),
    ("20C", ":SEME///AB", "fin_value_invalid", "(T26)"),
    ("20C", ":SEME//12345678901234567", "fin_format_invalid", "up to 16 characters of set X"),
    ("20C", ":SEME//ABC_D", "fin_format_invalid", "the end of the field"),
    ("95P", ":PSET//ABCDZZPP", "fin_check_digit", "a BIC"),
    ("95P", ":PSET//ABCDFRPPX", "fin_format_invalid", "the end of the field"),
    ("94C", ":SAFE//ZZ", "fin_value_invalid", "(T73)"),
    ("35B", "ISIN XS123\nTEXT", "fin_check_digit", "the word ISIN, a space and twelve characters"),
    ("35B", "ISIN XS0000001230", "fin_check_digit", "an ISIN with its check digit"),
    ("35B", "", "fin_format_invalid", "isin"),
    ("70E", ":SPRO//" + "\n".join("X" * 11), "fin_format_invalid", "up to 10 lines"),
    ("59", "1\n2\n3\n4\n5", "fin_format_invalid", "up to 4 lines"),
    ("60F", "X260304EUR1,", "fin_format_invalid", "mark, C or D"),
    ("59", "SOMEONE\n:20:REF", "fin_format_invalid", "the end of the field"),
    ("15A", "X", "fin_format_invalid", "empty"),
]


@pytest.mark.parametrize(("tag", "value", "components"), VALUES)
def test_a_value_is_read_into_its_components_and_written_back(
    tag: str, value: str, components: dict[str, Value]
) -> None:
    format_ = definitions().formats[tag]
    assert format_.read(value) == components
    assert format_.write(components) == value
    assert list(format_.violations(value, tag, 1)) == []


@pytest.mark.parametrize(("tag", "value", "code", "rule"), WRONG)
def test_a_wrong_value_is_refused_with_its_component_and_what_would_be_right(
    tag: str, value: str, code: str, rule: str
) -> None:
    found = list(definitions().formats[tag].violations(value, f"/4/{tag}", 7))
    assert [(one.code, one.line) for one in found] == [(code, 7)]
    assert rule in found[0].rule
    assert found[0].severity == ("warning" if code == "fin_check_digit" else "error")
    assert found[0].path.startswith(f"/4/{tag}")


def test_every_value_that_is_made_is_read_and_written_back_as_it_was() -> None:
    for message_type in MESSAGE_TYPES:
        for made in made_messages(message_type, range(3), 0.7):
            for one in made:
                format_ = definitions().formats[one.field.tag]
                texts = format_.texts(one.field.value)
                assert texts is not None
                assert format_.write(texts) == one.field.value


@given(st.decimals(min_value=0, max_value=10**13, places=5))
def test_a_number_is_written_with_a_comma_and_read_back(number: Decimal) -> None:
    format_ = definitions().formats["36B"]
    text = written(number)
    assert text.count(",") == 1
    if len(text) <= 15:
        values = format_.read(f":SETT//UNIT/{text}")
        assert values is not None
        assert values["quantity"] == number


@pytest.mark.parametrize("tag", sorted(definitions().formats))
def test_formats_are_linear(tag: str) -> None:
    """Long runs of what nearly fits take no longer than their length."""
    format_ = definitions().formats[tag]
    start = ":AAAA//" if format_.generic else ""
    for piece in ("A", "1", "/", "1,", "A\n", "/A\n", "1/A\n", " ", "N"):
        value = start + piece * 20_000
        before = clock.process_time()
        format_.texts(value + "\x00")
        assert clock.process_time() - before < 0.25


def test_a_format_with_a_component_too_few_is_a_mistake() -> None:
    with pytest.raises(ConfigError, match="2 names for the 3 components"):
        FieldFormat("32A", "6!n3!a15d", "date:date2 currency")
