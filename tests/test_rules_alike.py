"""Messages that are like a good one: passed without being asked at length, and never a message that breaks a rule.

A quarter of the values are changed by default; ``GATEWAY_TEST_FULL=1`` changes them all.
"""

from __future__ import annotations

import os
import re
from functools import cache

import pytest

from gateway.messages.rules import DIRECTIONS, Direction
from gateway.messages.rules.alike import Alike
from tests.rule_cases import Case, cases, message, names, rulebook, validator

FULL = os.environ.get("GATEWAY_TEST_FULL") == "1"
CASES = cases()
ENOUGH = 10  # times that a message comes until its markup is known
OTHER = ("0", "-1", "0.000", "1.23456", "2026-04-03", "2019-01-01", "true", "XXXX", "DE0007164601", "SELLXXFFXXX", "ä")


@cache
def packs() -> tuple[str, ...]:
    return tuple(rulebook().packs)


def agree(content: bytes, direction: Direction) -> bool:
    """Compare the answer with the one at length; returns whether nothing was found."""
    parsed = validator().parse(content)
    at_length = rulebook().judge(parsed, packs(), direction)
    assert rulebook().judge(parsed, packs(), direction, content) == at_length, content.decode()
    return not at_length


def learn(content: bytes, direction: Direction) -> bool:
    """Ask a message until it is known; returns whether there is something to know."""
    found = [agree(content, direction) for _ in range(ENOUGH)]
    return found[0]


@pytest.mark.parametrize("case", CASES, ids=[f"{case.code}-{number}" for number, case in enumerate(CASES)])
def test_what_breaks_a_rule_is_found_beside_a_good_message_that_is_known(case: Case) -> None:
    for direction in DIRECTIONS:
        learn(message(case.message, case.holds), direction)
        agree(message(case.message, (*case.holds, *case.breaks)), direction)


@pytest.mark.parametrize("name", names())
def test_whatever_value_changes_the_answer_is_that_at_length(name: str) -> None:
    content = message(name)
    learn(content, "outgoing")
    places = [found.span(1) for found in re.finditer(rb">([^<]+)<", content)]
    for place in places[:: 1 if FULL else 4]:
        value = content[slice(*place)].decode()
        for other in (*OTHER, value[:-1] + ("A" if value[-1] != "A" else "B"), f"{value}0", value.lower()):
            changed = content[: place[0]] + other.encode() + content[place[1] :]
            if validator().check(changed).valid:
                agree(changed, "outgoing")


def alike() -> Alike:
    parsed, content = validator().parse(message("instruction")), message("instruction")
    for _ in range(ENOUGH):
        rulebook().judge(parsed, ("csdr", "smpg"), "outgoing", content)
    return rulebook()._alike[("csdr", "smpg"), "outgoing"]  # what is passed by is not to be seen from outside


def test_a_message_that_differs_where_no_rule_looks_is_known() -> None:
    assert alike().is_good(message("instruction"))
    assert alike().is_good(message("instruction", ["TxId = ANOTHER"]))
    assert alike().is_good(message("instruction", ["SttlmAmt/Amt = 17.25"]))  # judged by itself
    assert alike().is_good(message("instruction", ["QtyAndAcctDtls/SttlmQty/Qty/Unit = 3"]))


@pytest.mark.parametrize(
    "change",
    [
        "SttlmAmt/Amt = 17.253",
        "SttlmAmt/Amt/@Ccy = JPY",
        "QtyAndAcctDtls/SttlmQty/Qty/Unit = 0",
        "FinInstrmId/ISIN = DE0007164601",
        "SttlmTpAndAddtlParams/Pmt = FREE",
        "TradDtls/SttlmDt/Dt/Dt = 2019-01-01",
        "- TradDtls/TradDt",
    ],
)
def test_a_message_that_differs_where_a_rule_looks_is_not(change: str) -> None:
    assert not alike().is_good(message("instruction", [change]))


def test_what_can_hide_a_text_is_asked_at_length() -> None:
    known = alike()
    for hidden in (b"<TxId><!--x-->", b"<TxId><![CDATA[A]]>", b"<TxId>&#65;"):
        assert not known.is_good(message("instruction").replace(b"<TxId>", hidden))


def test_what_is_remembered_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gateway.messages.rules.alike._SHAPES", 3)
    monkeypatch.setattr("gateway.messages.rules.alike._GOOD", 3)
    monkeypatch.setattr("gateway.messages.rules.alike._COUNTED", 3)
    known = Alike()
    root = validator().parse(message("instruction")).parts[-1][1].getroottree().getroot()
    for number in range(20):
        content = (
            message("instruction").replace(b"<RequestPayload", b"<R%d" % number).replace(b"</RequestPayload", b"</R")
        )
        for _ in range(ENOUGH):
            known.found_good(content, root, (), dict)
    assert len(known._shapes) <= 3
    assert len(known._seen) <= 3
