"""Rules: each holds of one message and is broken by another; what is found says where, why and what is right."""

from __future__ import annotations

import pytest

from gateway.errors import Violation
from gateway.messages.rules import DIRECTIONS
from tests.rule_cases import Case, cases, message, names, rulebook, validator

CASES = cases()
RULES = {rule.code: rule for rule in rulebook().rules()}


def judge(content: bytes, *packs: str, direction: str = "outgoing") -> dict[str, list[str]]:
    """Return the paths at which each rule is broken."""
    parsed = validator().parse(content)
    found: dict[str, list[str]] = {}
    for violation in rulebook().judge(parsed, packs, direction):  # type: ignore[arg-type]
        found.setdefault(violation.code, []).append(violation.path)
    return found


@pytest.mark.parametrize("name", names())
def test_messages_of_the_cases_are_valid_and_break_no_rule(name: str) -> None:
    content = message(name)
    assert validator().check(content).violations == ()
    for direction in DIRECTIONS:
        assert judge(content, *rulebook().packs, direction=direction) == {}


@pytest.mark.parametrize("case", CASES, ids=[f"{case.code}-{number}" for number, case in enumerate(CASES)])
def test_a_rule_holds_of_one_message_and_is_broken_by_another(case: Case) -> None:
    rule = RULES[case.code]
    direction = next(direction for direction in DIRECTIONS if rule.severity[direction] != "no")
    for changes, broken in ((case.holds, False), ((*case.holds, *case.breaks), True)):
        content = message(case.message, changes)
        assert validator().check(content).violations == (), content.decode()
        assert (case.code in judge(content, rule.pack, direction=direction)) is broken, content.decode()
    parsed = validator().parse(message(case.message, case.holds))
    definition, part = parsed.parts[-1]
    compiled = rulebook().compiled(definition, (rule.pack,), direction)
    assert compiled is not None
    assert compiled.applies(case.code, part[0] if parsed.document is not None else part)


def test_every_rule_has_a_case_and_every_case_a_rule() -> None:
    assert {case.code for case in CASES} == set(RULES)


def test_the_packs_name_no_path_and_no_code_that_no_version_has() -> None:
    mistakes = [violation.rule for pack in rulebook().packs.values() for violation in rulebook().mistakes(pack)]
    assert mistakes == []


# --- what is found ---------------------------------------------------------------------------------------------------


def found(content: bytes, *packs: str, direction: str = "outgoing") -> list[Violation]:
    return list(rulebook().judge(validator().parse(content), packs, direction))  # type: ignore[arg-type]


def test_a_violation_says_where_what_which_rule_and_what_would_be_right() -> None:
    [violation] = found(message("instruction", ["FinInstrmId/ISIN = DE0007164601"]))
    assert violation == Violation(
        code="isin_check_digit",
        path="/Document/SctiesSttlmTxInstr/FinInstrmId/ISIN",
        rule="require itself is a valid isin",
        value="DE0007164601",
        text="/Document/SctiesSttlmTxInstr/FinInstrmId/ISIN: 'DE0007164601': the check digit of the ISIN does not fit "
        "(right would be: DE0007164600) [standard: isin_check_digit]",
        line=47,
        severity="error",
        suggestion="DE0007164600",
    )


@pytest.mark.parametrize(
    ("name", "change", "code", "suggestion"),
    [
        ("instruction", "DlvrgSttlmPties/Pty1/LEI = 529900T8BM49AURSDO99", "lei_check_digits", "529900T8BM49AURSDO55"),
        (
            "instruction",
            "QtyAndAcctDtls/CshAcct/IBAN = DE00370400440532013000",
            "iban_check_digits",
            "DE89370400440532013000",
        ),
        ("instruction", "SttlmAmt/Amt = 306141.755", "amount_decimals", "306141.76"),
        ("instruction", "SttlmAmt/Amt/@Ccy = JPY", "amount_decimals", "306142"),
        ("institution", "GrpHdr/NbOfTxs = 7", "cbpr_one_transaction", "1"),
        ("instruction", "SttlmAmt/CdtDbtInd = CRDT", "smpg_debit_of_receipt", "DBIT"),
        ("instruction", "TxId = X/", "fin_reference_slashes", None),
    ],
)
def test_the_value_that_would_be_right_is_suggested_where_it_is_certain(
    name: str, change: str, code: str, suggestion: str | None
) -> None:
    violations = found(message(name, [change]), *rulebook().packs)
    assert {violation.suggestion for violation in violations if violation.code == code} == {suggestion}


def test_everything_is_told_at_once_errors_before_warnings() -> None:
    changes = [
        "FinInstrmId/ISIN = DE0007164601",
        "FinInstrmId/OthrId/Tp/Cd = QQQQ",
        "SttlmAmt/CdtDbtInd = CRDT",
        "- TradDtls/TradDt",
        "- DlvrgSttlmPties/Dpstry",
        "SttlmAmt/Amt/@Ccy = EUX",
    ]
    violations = found(message("instruction", changes), "smpg", "csdr")
    assert [(violation.severity, violation.code) for violation in violations] == [
        ("error", "isin_check_digit"),
        ("error", "currency_of_list_one"),
        ("error", "smpg_trade_date"),
        ("error", "smpg_place_of_settlement_of_receipt"),
        ("error", "csdr_trade_date"),
        ("error", "csdr_counterparty_depository_of_receipt"),
        ("warning", "external_code_unknown"),
        ("warning", "smpg_debit_of_receipt"),
    ]


def test_what_is_missing_is_named_with_the_line_of_what_it_is_missing_in() -> None:
    [violation] = found(message("instruction", ["- SttlmAmt"]))
    assert (violation.path, violation.value) == ("/Document/SctiesSttlmTxInstr/SttlmAmt", None)
    assert violation.line == 2


def test_repeated_elements_are_told_apart() -> None:
    changes = ["TxInfAndSts[2]/TxSts = RJCT", "TxInfAndSts[2]/OrgnlUETR = 8a562c67-ca16-48ba-b074-65581be6f001"]
    [violation] = [one for one in found(message("report", changes), "cbpr") if one.code == "cbpr_rejection_reason"]
    assert violation.path == "/Document/FIToFIPmtStsRpt/TxInfAndSts[2]/StsRsnInf/Rsn"


def test_paths_do_not_begin_with_the_envelope() -> None:
    document = message("instruction", ["FinInstrmId/ISIN = DE0007164601"])
    enveloped = b"<Envelope>" + message("header") + document + b"</Envelope>"
    [violation] = found(enveloped)
    assert violation.path == "/Document/SctiesSttlmTxInstr/FinInstrmId/ISIN"


def test_a_price_may_have_more_decimals_than_an_amount() -> None:
    priced = ["TradDtls/DealPric/Val/Amt = 122.456789", "TradDtls/DealPric/Val/Amt/@Ccy = EUR"]
    assert found(message("trade", priced)) == []


def test_what_was_good_once_is_not_good_everywhere() -> None:
    for _ in range(2):  # what is remembered of the first message does not let the second pass
        assert found(message("instruction")) == []
        assert [one.code for one in found(message("instruction", ["SttlmAmt/Amt/@Ccy = JPY"]))] == ["amount_decimals"]
        wrong = message("instruction", ["DlvrgSttlmPties/Pty1/Id/AnyBIC = SELLXXFFXXX"])
        assert [one.code for one in found(wrong)] == ["bic_country"]
        closed = message("instruction", ["TradDtls/SttlmDt/Dt/Dt = 2026-04-03", "- TradDtls/LateDlvryDt"])
        assert {one.code for one in found(closed, "smpg")} == {"smpg_settlement_currency_day", "smpg_depository_day"}


@pytest.mark.parametrize("case", CASES, ids=[f"{case.code}-{number}" for number, case in enumerate(CASES)])
def test_the_quick_answer_agrees_with_the_long_one(case: Case) -> None:
    for changes in ((), case.holds, (*case.holds, *case.breaks)):
        parsed = validator().parse(message(case.message, changes))
        definition, part = parsed.parts[-1]
        compiled = rulebook().compiled(definition, tuple(rulebook().packs), "outgoing")
        if compiled is not None:
            element = part[0] if parsed.document is not None else part
            assert compiled.broken(element) is bool(compiled.violations(element, parsed.line))


def test_what_is_asked_at_once_is_asked_of_each_that_repeats() -> None:
    """Two things may be missing in two places: that one of both has each is not enough."""
    second = [
        "GrpHdr/NbOfTxs = 2",
        "CdtTrfTxInf[2]/PmtId/EndToEndId = E2",
        "CdtTrfTxInf[2]/PmtId/UETR = 8a562c67-ca16-48ba-b074-65581be6f002",
        "CdtTrfTxInf[2]/IntrBkSttlmAmt = 5",
        "CdtTrfTxInf[2]/IntrBkSttlmAmt/@Ccy = EUR",
        "CdtTrfTxInf[2]/IntrBkSttlmDt = 2026-12-02",
        "CdtTrfTxInf[2]/Dbtr/FinInstnId/BICFI = OWNRDEFFXXX",
        "CdtTrfTxInf[2]/Cdtr/FinInstnId/BICFI = BANKUS33XXX",
        "- CdtTrfTxInf/InstdAgt",
        "CdtTrfTxInf[2]/InstdAgt/FinInstnId/BICFI = BANKUS33XXX",
    ]
    broken = [one.path for one in found(message("institution", second), "cbpr") if one.code == "cbpr_instructing_agent"]
    assert broken == [
        "/Document/FICdtTrf/CdtTrfTxInf[2]/InstgAgt/FinInstnId/BICFI",
        "/Document/FICdtTrf/CdtTrfTxInf[1]/InstdAgt/FinInstnId/BICFI",
    ]


def test_a_day_is_read_whatever_white_space_is_around_it() -> None:
    spaced = message("instruction").replace(b"<Dt>2026-03-04</Dt>", b"<Dt>\n  2026-03-01 </Dt>")
    assert [one.code for one in found(spaced)] == ["settlement_not_before_trade"]
