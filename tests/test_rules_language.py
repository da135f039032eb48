"""The language of rule files: what may be said, in which versions it says nothing, and how mistakes are told."""

from __future__ import annotations

from pathlib import Path

import pytest
from lxml import etree

from gateway.errors import ConfigError
from gateway.messages.rules import DIRECTIONS, parse_codes, vacuous_in
from gateway.messages.rules.rule_files import parse_pack
from gateway.messages.schema_files import load_rulebook
from tests.rule_cases import catalogue, message, rulebook, validator

HEAD = "pack own\ntitle Own rules\noutgoing error\n"


def pack(rule: str) -> str:
    return f"{HEAD}\nrule own_rule\nmessages sese.023\n{rule}\nbecause it is so\n"


def judge(tmp_path: Path, rule: str, name: str = "instruction", *changes: str) -> list[tuple[str, str | None]]:
    """Return path and value of what a rule finds in a message of the cases."""
    file = tmp_path / "own.rules"
    file.write_text(pack(rule))
    parsed = validator().parse(message(name, changes))
    found = load_rulebook(catalogue(), tmp_path).judge(parsed, ("own",), "outgoing")
    return [(violation.path.removeprefix("/Document/SctiesSttlmTxInstr/"), violation.value) for violation in found]


@pytest.mark.parametrize(
    ("rule", "found"),
    [
        ("require TradDtls/TradId", [("TradDtls/TradId", None)]),
        ("require no TradDtls/TradDt", [("TradDtls/TradDt", None)]),
        ("forbid TxId", [("TxId", "TX00000000000001")]),
        ("require TxId is A, B", [("TxId", "TX00000000000001")]),
        ("require TxId is TX00000000000001", []),
        ("require TxId is not TX00000000000001", [("TxId", "TX00000000000001")]),
        ("require TradDtls/TradId is A", []),
        ("require TradDtls/TradId is A or TxId is B", [("TxId", "TX00000000000001")]),
        ("require TradDtls/TradId is A or TxId", []),
        ("forbid TradDtls/TradId or TxId is TX00000000000001", [("TxId", "TX00000000000001")]),
        ("require one of TxId, TradDtls/TradId", []),
        ("require one of TxId, TradDtls/TradDt", [("TxId", "TX00000000000001"), ("TradDtls/TradDt", None)]),
        ("require at most one of TradDtls/TradId, TradDtls/UnqTxIdr", []),
        ("require any of TradDtls/TradId, TradDtls/UnqTxIdr", [("TradDtls/TradId", None)]),
        ("require all of TxId, TradDtls/TradId", [("TxId", "TX00000000000001")]),
        ("require SttlmAmt/Amt <= 306141.75", []),
        ("require SttlmAmt/Amt < 306141.75", [("SttlmAmt/Amt", "306141.75")]),
        ("require QtyAndAcctDtls/SttlmQty/Qty/* = 500.00", []),
        ("require SttlmAmt/Amt = QtyAndAcctDtls/SttlmQty/Qty/Unit * 612.2835", []),
        ("require SttlmAmt/Amt = QtyAndAcctDtls/SttlmQty/Qty/Unit * 612.2836", [("SttlmAmt/Amt", "306141.75")]),
        ("require count of RcvgSttlmPties/Pty# = 3", []),
        (
            "require count of RcvgSttlmPties/Pty# < 3",
            [("RcvgSttlmPties/Pty1", None), ("RcvgSttlmPties/Pty2", None), ("RcvgSttlmPties/Pty3", None)],
        ),
        ("require length of TxId <= 15", [("TxId", "TX00000000000001")]),
        ("require TradDtls/SttlmDt/Dt/Dt is after TradDtls/TradDt/Dt/Dt", []),
        ("require TradDtls/SttlmDt/Dt/Dt is before 2026-03-04", [("TradDtls/SttlmDt/Dt/Dt", "2026-03-04")]),
        ("require TradDtls/SttlmDt/Dt/Dt is on or before 2026-03-04", []),
        ('require TxId begins with "TX"', []),
        ('require TxId ends with "01"', []),
        ('require TxId contains "99"', [("TxId", "TX00000000000001")]),
        ('require TxId not begins with "TX"', [("TxId", "TX00000000000001")]),
        ("require TradDtls/SttlmDt/Dt/Dt is a business day of TARGET", []),
        (
            "require TradDtls/SttlmDt/Dt/Dt is a business day of the market TradDtls/PlcOfTrad/MktTpAndId/Id/MktIdrCd",
            None,
        ),
        ("require SttlmParams/HldInd/Ind is true", [("SttlmParams/HldInd/Ind", "false")]),
        ("when SttlmParams/HldInd/Ind is true\nforbid TxId", []),
        (
            "when SttlmTpAndAddtlParams/Pmt is APMT\nwhen no TradDtls/TradId\nforbid TxId",
            [("TxId", "TX00000000000001")],
        ),
        (
            "each RcvgSttlmPties/Pty#\nrequire LEI",
            [("RcvgSttlmPties/Pty1/LEI", None), ("RcvgSttlmPties/Pty2/LEI", None), ("RcvgSttlmPties/Pty3/LEI", None)],
        ),
        ("each //Pty2\nwhen ../Pty3\nforbid Id", [("RcvgSttlmPties/Pty2/Id", None)]),
        ("each lei\nrequire ../Id/AnyBIC is SELLDEFFXXX", []),
        ("each amount\nrequire itself < 100", [("SttlmAmt/Amt", "306141.75")]),
        ("each amount\nrequire @Ccy is EUR", []),
        ("each amount\nrequire @Ccy is GBP", [("SttlmAmt/Amt", "306141.75")]),
        (
            "each country\nwhen /SttlmTpAndAddtlParams/Pmt is APMT\nrequire itself is DE",
            [("DlvrgSttlmPties/Pty2/Id/NmAndAdr/Adr/Ctry", "FR")],
        ),
        ("each DlvrgSttlmPties/Pty1/Id\nrequire AnyBIC is in characters Z", []),
        ("require SttlmAmt/Amt/@Ccy = /SttlmAmt/Amt/@Ccy", []),
    ],
)
def test_what_a_rule_may_say(tmp_path: Path, rule: str, found: list[tuple[str, str | None]] | None) -> None:
    if found is None:  # the argument of a check is seen from what is checked
        with pytest.raises(ConfigError, match=r"no version of sese\.023 has"):
            judge(tmp_path, rule)
        return
    assert judge(tmp_path, rule) == found


def test_an_indented_line_goes_on_with_the_one_before(tmp_path: Path) -> None:
    assert judge(tmp_path, "forbid TradDtls/TradId\n   or TxId is TX00000000000001\n   # no comment inside") == [
        ("TxId", "TX00000000000001")
    ]


# --- versions --------------------------------------------------------------------------------------------------------


def test_what_a_version_lacks_makes_a_rule_vacuous_there(tmp_path: Path) -> None:
    file = tmp_path / "own.rules"
    file.write_text(pack("require QtyAndAcctDtls/SttlmQty/Qty/DgtlTknUnit > 0"))
    book = load_rulebook(catalogue(), file)
    [rule] = book.packs["own"].rules
    versions = book.in_versions(rule)
    vacuous = vacuous_in(versions.items())
    has = {name for name in versions if book.version(name).message.types.get("Max30DecimalNumber")}
    assert set(versions) - set(vacuous) == has
    assert set(vacuous.values()) == {"QtyAndAcctDtls/SttlmQty/Qty/DgtlTknUnit"}
    assert has
    assert vacuous


def test_a_version_that_lacks_what_must_be_absent_is_asked_all_the_same() -> None:
    book = rulebook()
    rule = next(rule for rule in book.rules() if rule.code == "payment_third_intermediary")
    lacking = {name: compiled.lacks for name, compiled in book.in_versions(rule).items() if compiled.lacks}
    assert lacking == {}
    never = parse_pack(pack("when no QtyAndAcctDtls/SttlmQty/Qty/DgtlTknUnit\nforbid TxId"), "own.rules").rules[0]
    assert vacuous_in(book.in_versions(never).items()) == {}


def test_every_rule_says_something_in_some_version() -> None:
    book = rulebook()
    for rule in book.rules():
        versions = book.in_versions(rule)
        assert "any" in rule.messages or len(vacuous_in(versions.items())) < len(versions), rule.code


# --- mistakes --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "line", "what"),
    [
        ("title nothing", 1, "the file begins with a head"),
        (HEAD, 1, "the pack has no rule"),
        (pack("require TxId is"), 7, "a code, or before, after and a date, is expected"),
        (pack("require TxId is a valid unicorn"), 5, "there is no check 'unicorn'"),
        (pack("require TxId is a business day of ATLANTIS"), 5, "ATLANTIS"),
        (pack("require TxId in characters Q"), 7, "'in' is not understood"),
        (pack("require TxId is in characters Q"), 7, "'Q' is no character set; they are X, Z, latin"),
        (pack("require TxId begins with X"), 7, "a text in quotation marks is expected"),
        (pack("require 5"), 7, "is no condition"),
        (pack("require TxId ~ 5"), 7, "'~' is not understood"),
        (pack("require TxId TxId"), 7, "'TxId' is not understood where it stands"),
        (pack("require TxId\ndemand TxId"), 8, "'demand' is no keyword here"),
        (pack("each unicorn\nrequire TxId"), 5, "no version of sese.023 has unicorn"),
        (pack("require TxId\noutgoing fatal"), 8, "outgoing is one of error, warning, no"),
        (pack("when TxId"), 5, "has neither require nor forbid"),
        (pack("require TxId is a valid isin or TradDtls"), 7, "stands alone in a require line"),
        (pack("require TxIdent"), 5, "no version of sese.023 has TxIdent"),
        (pack("require TxId|TxIdent"), 5, "no version of sese.023 has TxIdent"),
        (pack("when SttlmTpAndAddtlParams/Pmt is PAID\nrequire TxId"), 5, "is never PAID; codes are APMT, FREE"),
        (pack("require TxId").replace("sese.023", "sese.999"), 5, "there is no message sese.999"),
        (pack("require TxId").replace("sese.023", "settlement"), 6, "'settlement' is no message"),
        (pack("require TxId").replace("own_rule", "Own-Rule"), 5, "a rule has a code of small letters"),
        (pack("require TxId").replace("own_rule", "isin_check_digit"), 5, "is there already: standard.rules, line"),
        (pack("require TxId").replace("pack own", "pack csdr"), 1, "pack csdr is there already"),
        (pack("require TxId").replace("because it is so", ""), 5, "lacks because"),
    ],
)
def test_a_mistake_stops_the_start_with_file_line_and_what_is_wrong(
    tmp_path: Path, text: str, line: int, what: str
) -> None:
    file = tmp_path / "own.rules"
    file.write_text(text)
    with pytest.raises(ConfigError) as refused:
        load_rulebook(catalogue(), tmp_path)
    assert refused.value.code == "rule_file_invalid"
    assert [(violation.path, violation.line) for violation in refused.value.violations] == [(str(file), line)]
    assert what in refused.value.violations[0].text


def test_all_mistakes_are_told_at_once(tmp_path: Path) -> None:
    (tmp_path / "a.rules").write_text(pack("require TxId is\nwhen ~").replace("pack own", "pack own_a"))
    (tmp_path / "b.rules").write_text(pack("require TxIdent").replace("pack own", "pack own_b"))
    (tmp_path / "notes.txt").write_text("no rules")
    with pytest.raises(ConfigError) as refused:
        load_rulebook(catalogue(), tmp_path)
    assert [Path(violation.path).name for violation in refused.value.violations] == ["a.rules", "a.rules", "b.rules"]


def test_a_directory_that_is_not_there_stops_the_start(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be read") as refused:
        load_rulebook(catalogue(), tmp_path / "absent")
    assert refused.value.code == "rules_unreadable"


def test_codes_are_lines_of_a_code_and_its_name() -> None:
    assert parse_codes("set A1Code\nsource here\n\nABCD a name\n", "a.txt") == ("A1Code", frozenset({"ABCD"}))
    with pytest.raises(ConfigError, match=r"a\.txt, line 2: a code and its name"):
        parse_codes("set A1Code\nABCD\n", "a.txt")


def test_a_pack_without_directions_does_nothing() -> None:
    parsed = parse_pack("pack own\ntitle Own\nrule own_rule\nmessages any\nrequire A\nbecause so\n", "own.rules")
    assert parsed.rules[0].severity == {"outgoing": "no", "incoming": "no"}


def test_every_rule_compiles_for_every_version_of_its_messages() -> None:
    book = rulebook()
    families = {name for rule in book.rules() for name in rule.messages if name != "any"}
    definitions = [name for name in catalogue().definitions() if name.startswith(tuple(families))]
    assert len(definitions) > 100
    for definition in definitions:
        for direction in DIRECTIONS:
            compiled = book.compiled(definition, tuple(book.packs), direction)
            for rule in compiled.rules if compiled is not None else ():
                for assertion in rule.assertions:
                    for text in (assertion.context, assertion.culprits, *assertion.conditions, assertion.breaks):
                        assert not text or etree.XPath(text, namespaces={"n": "n"})
