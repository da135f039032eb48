"""Statements in the other language: what is put in other words, what is not carried, and that facts are the same."""

from __future__ import annotations

import re
from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from lxml import etree

from gateway.errors import GatewayError
from gateway.messages.translation import Translation, Untranslatable
from gateway.model.facts import Statement
from tests.examples import messages
from tests.test_translation_pairs import FIN, in_fin, sample, says_why, there_and_back, translate

HERE = Path(__file__).parent / "messages" / "statements"
STATEMENTS = {path.stem: path.read_bytes() for path in sorted(HERE.glob("*.xml"))}


def read(content: bytes) -> Statement:
    ((_, fact),) = messages().read(content).facts
    assert isinstance(fact, Statement)
    return fact


def text(made: Translation) -> str:
    return made.content.decode().replace("\r\n", "\n")


def lost(made: Translation) -> dict[str, str | None]:
    """Return the paths of what is not carried, and why."""
    return {str(entry.source): entry.why for entry in made.report.not_carried}


def cash(*entries: str, opening: str = "60F:C260303EUR1000,", closing: str = "62F:C260304EUR1000,") -> bytes:
    fields = [":20:STATEMENT0001", ":25:CASH-0042", ":28C:64/2", f":{opening}", *entries, f":{closing}"]
    return in_fin("MT940", "\n".join(fields) + "\n")


def changed(name: str, *replacements: tuple[str, str]) -> bytes:
    content = STATEMENTS[name].decode()
    for old, new in replacements:
        assert old in content
        content = content.replace(old, new, 1)
    return content.encode()


# Cash -----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("mark", "direction", "undoes"),
    [("C", "CRDT", False), ("D", "DBIT", False), ("RC", "DBIT", True), ("RD", "CRDT", True)],
)
def test_an_entry_that_undoes_one_goes_the_other_way(mark: str, direction: str, undoes: bool) -> None:
    made = there_and_back(cash(f":61:2603040304{mark}20,NTRFNONREF"))
    entry = text(made).partition("<Ntry>")[2]
    assert f"<CdtDbtInd>{direction}</CdtDbtInd>" in entry
    assert ("<RvslInd>true</RvslInd>" in entry) is undoes
    assert f"{mark}20,NTRFNONREF" in text(translate(made.content))


def test_an_entry_is_booked_in_the_year_nearest_to_its_value_date() -> None:
    made = there_and_back(cash(":61:2601021231C20,NTRFNONREF"))
    assert "<BookgDt><Dt>2025-12-31</Dt></BookgDt>" in text(made)


def test_references_behind_code_words_are_references_in_both_languages() -> None:
    uetr = "8a562c67-ca16-48ba-b074-65581be6f001"
    made = there_and_back(cash(f":61:2603040304C20,NTRFNONREF\n:86:/EREF/E2E-1\n/UETR/{uetr}\nCOUPON"))
    assert "<EndToEndId>E2E-1</EndToEndId>" in text(made)
    assert f"<UETR>{uetr}</UETR>" in text(made)
    assert "<AddtlNtryInf>COUPON</AddtlNtryInf>" in text(made)
    assert f":86:/EREF/E2E-1\n/UETR/{uetr}\nCOUPON\n" in text(translate(made.content))


@pytest.mark.parametrize(
    ("opening", "closing", "types", "last"),
    [
        ("60F:C260303EUR1000,", "62F:C260304EUR1000,", ["OPBD", "CLBD"], "true"),
        ("60F:C260303EUR1000,", "62M:C260304EUR1000,", ["OPBD", "ITBD"], "false"),
        ("60M:D260303EUR1000,", "62M:C260304EUR1000,", ["ITBD", "ITBD"], "false"),
        ("60M:C260303EUR1000,", "62F:D260304EUR1000,", ["ITBD", "CLBD"], "true"),
    ],
)
def test_a_page_ends_with_the_balance_that_it_has_in_fin(
    opening: str, closing: str, types: list[str], last: str
) -> None:
    content = cash(opening=opening, closing=closing)
    made = there_and_back(content)
    assert re.findall("<CdOrPrtry><Cd>([A-Z]+)", text(made)) == types
    assert f"<PgNb>2</PgNb><LastPgInd>{last}</LastPgInd>" in text(made)
    again = text(translate(made.content))
    assert f":{opening}\n:{closing}\n" in again


def test_each_of_several_entries_that_are_alike_is_reported_by_its_own_path() -> None:
    made = there_and_back(cash(*(":61:2603040304C20,NTRFREF-1//SVC-1",) * 3))
    told = {(entry.source, entry.target) for entry in made.report.carried if entry.value == "EUR 20"}
    assert told == {("R[1]/61/amount", "Stmt/Ntry/Amt")} | {
        (f"R[{n}]/61/amount", f"Stmt/Ntry[{n}]/Amt") for n in (2, 3)
    }


def test_what_is_only_pending_is_no_entry_in_fin() -> None:
    made = there_and_back(STATEMENTS["camt.053.001.08_entries"])
    assert text(made).count(":61:") == 3
    assert lost(made)["Stmt/Ntry[3]/Amt"] == "an entry of FIN is booked, and this is PDNG"


def test_a_batch_says_which_transactions_are_not_in_fin() -> None:
    made = there_and_back(STATEMENTS["camt.053.001.08_entries"])
    paths = [f"Stmt/Ntry[4]/NtryDtls/TxDtls[{number}]/Refs/EndToEndId" for number in (1, 2)]
    assert {lost(made)[path] for path in paths} == {"an entry of FIN has one transaction"}


def test_a_code_that_fin_has_no_room_for_stays_out_and_is_named() -> None:
    made = there_and_back(STATEMENTS["camt.053.001.08_entries"])
    assert "Stmt/Ntry[4]/BkTxCd/Prtry/Cd" in lost(made)
    assert "D0,00NMSCNONREF" in text(made)


def test_a_balance_without_a_field_is_named() -> None:
    made = there_and_back(STATEMENTS["camt.053.001.08_entries"])
    assert {"Stmt/Bal[3]/Amt", "Stmt/Bal[4]/Tp/CdOrPrtry/Prtry"} <= lost(made).keys()


def test_an_entry_in_another_currency_than_the_account_is_named() -> None:
    made = there_and_back(changed("camt.053.001.08_entries", ('<Amt Ccy="EUR">0.00', '<Amt Ccy="USD">0.00')))
    assert lost(made)["Stmt/Ntry[4]/Amt"] == "an entry of FIN is in the currency of the account, and this is USD"


def test_of_several_statements_in_one_message_the_others_are_named() -> None:
    content = STATEMENTS["camt.053.001.08_entries"].decode()
    (statement,) = re.findall("(?s)<Stmt>.*</Stmt>", content)
    made = there_and_back(content.replace(statement, statement * 2).encode())
    assert {"Stmt[2]/Id", "Stmt[2]/Ntry[1]/Amt", "Stmt[2]/Bal[2]/Dt/DtTm"} <= lost(made).keys()


def test_a_statement_without_a_number_is_refused_by_fin() -> None:
    with pytest.raises(Untranslatable, match="28C"):
        translate(changed("camt.053.001.08_entries", ("<LglSeqNb>63</LglSeqNb>", "")))


def test_a_statement_becomes_the_type_that_is_asked_for() -> None:
    made = translate(STATEMENTS["camt.053.001.08_entries"], "MT950")
    assert made.definition == "MT950"
    assert ":86:" not in text(made)
    assert lost(made)["Stmt/Ntry[1]/AddtlNtryInf"] == "MT950 has no place for entries[].narrative"


_REFERENCES = st.text("ABCXYZ019", min_size=1, max_size=16)
_AMOUNTS = st.decimals("0.01", "99999.99", places=2).map(lambda value: f"{value}".replace(".", ","))


@st.composite
def entries(draw: st.DrawFn) -> str:
    valued = date(2026, 1, 1) + timedelta(draw(st.integers(0, 364)))
    booked = valued + timedelta(draw(st.integers(-20, 20)))
    own, theirs = draw(_REFERENCES), draw(st.none() | _REFERENCES)
    mark, code = draw(st.sampled_from(["C", "D", "RC", "RD"])), draw(st.sampled_from(["NTRF", "S202", "FCHG", "NMSC"]))
    line = f":61:{valued:%y%m%d}{draw(st.sampled_from(['', f'{booked:%m%d}']))}{mark}{draw(_AMOUNTS)}{code}{own}"
    line += f"//{theirs}" if theirs else ""
    line += draw(st.sampled_from(["", "\nDETAILS"]))
    return line + draw(st.sampled_from(["", "\n:86:ONE LINE", "\n:86:/EREF/E2E-1\nANOTHER\nA THIRD"]))


@settings(max_examples=40, suppress_health_check=list(HealthCheck))
@given(st.lists(entries(), max_size=6), st.sampled_from(["C", "D"]), _AMOUNTS)
def test_any_statement_in_fin_loses_nothing(lines: list[str], mark: str, amount: str) -> None:
    content = cash(*lines, closing=f"62F:{mark}260304EUR{amount}")
    made = there_and_back(content)
    assert lost(made).keys() <= {"header/user_reference"}
    said, again = read(content), read(made.content)
    assert again.entries == said.entries
    assert again.balances == said.balances


# Securities -----------------------------------------------------------------------------------------------------------


def holdings(*fields: str) -> bytes:
    head = FIN["MT535.minimal"].read_text().replace("ACTI//N", "ACTI//Y")
    body = "\n".join([":16R:SUBSAFE", ":16R:FIN", ":35B:ISIN XS0000001239", *fields, ":16S:FIN", ":16S:SUBSAFE"])
    return in_fin("MT535", f"{head}{body}\n")


def test_a_short_holding_is_negative_in_fin() -> None:
    made = there_and_back(holdings(":93B::AGGR//UNIT/N100,"))
    assert "<AggtBal><ShrtLngInd>SHOR</ShrtLngInd><Qty><Qty><Qty><Unit>100</Unit>" in text(made)
    assert ":93B::AGGR//UNIT/N100,\n" in text(translate(made.content))


def test_what_is_not_available_has_no_sign_in_iso_20022() -> None:
    made = there_and_back(holdings(":93B::AGGR//UNIT/100,", ":93B::NAVL//UNIT/N5,"))
    assert "SUBSAFE/FIN/93B_NAVL/UNIT" in lost(made)
    assert "NotAvlblBal" not in text(made)


def test_each_type_of_sub_balance_has_its_field() -> None:
    blocked = (":16R:SUBBAL", ":93B::BLOK//UNIT/30,", ":16S:SUBBAL")
    pending = (":16R:SUBBAL", ":93C::PEND//UNIT/NAVL/10,", ":16S:SUBBAL")
    made = there_and_back(holdings(":93B::AGGR//UNIT/100,", *blocked, *pending))
    assert re.findall("<SubBalTp><Cd>([A-Z]+)", text(made)) == ["BLOK", "PEND"]
    assert "<QtyAndAvlbty><Qty><Unit>10</Unit></Qty><AvlbtyInd>false</AvlbtyInd>" in text(made)
    said, again = (read(content).holdings[0].balances for content in (translate(made.content).content, made.content))
    assert [each.type for each in said] == [each.type for each in again]
    assert [each.quantity for each in said] == [each.quantity for each in again]


def test_a_sub_balance_of_a_type_of_its_own_is_named() -> None:
    made = there_and_back(STATEMENTS["semt.002.001.11_sub_accounts"])
    why = lost(made)["SubAcctDtls/BalForSubAcct/BalBrkdwn[3]/SubBalTp/Prtry/Id"]
    assert why == "no sub-balance of FIN is of this type"


def test_statements_for_accounting_have_the_values_of_the_holdings() -> None:
    made = there_and_back(STATEMENTS["semt.003.001.12_values"])
    assert ":22F::STTY//ACCT\n" in text(made)
    assert ":19A::HOLD//EUR997000,00\n:19A::HOLP//USD1080000,00\n" in text(made)
    assert translate(made.content).definition == "semt.003.001.12"


@pytest.mark.parametrize(
    ("indicator", "page", "last"), [("ONLY", "1", "true"), ("MORE", "1", "false"), ("LAST", "2", "true")]
)
def test_pages_go_on_in_both_languages(indicator: str, page: str, last: str) -> None:
    content = sample("MT535.minimal").replace(b":28E:1/ONLY", f":28E:{page}/{indicator}".encode())
    made = there_and_back(content)
    assert f"<PgNb>{page}</PgNb><LastPgInd>{last}</LastPgInd>" in text(made)
    assert f":28E:{page}/{indicator}\n" in text(translate(made.content))


def test_a_chain_of_parties_keeps_its_order() -> None:
    made = there_and_back(STATEMENTS["semt.017.001.13_postings"])
    parts = re.findall("(?m)^:95[PR]::(REAG|REI1|RECU|BUYR)", text(made))
    assert sorted(parts) == ["BUYR", "REAG", "RECU"]
    again = text(translate(made.content, "semt.017.001.13"))
    assert re.findall("<Pty[123]><Id>(?:<AnyBIC>|<PrtryId><Id>)(\\w+)", again.partition("<RcvgSttlmPties>")[2]) == [
        "AGNTBEBBXXX",
        "4711",
        "OTHRNL2AXXX",
    ]


def test_a_code_whose_scheme_does_not_fit_is_not_taken_for_a_standard_one() -> None:
    made = there_and_back(STATEMENTS["semt.017.001.13_postings"])
    assert "SFRE" not in text(made)
    assert {"StmtGnlDtls/Frqcy/Prtry/Id", "StmtGnlDtls/Frqcy/Prtry/Issr"} <= lost(made).keys()
    assert ":22F::SETR/CUSTO/OWNX\n" in text(made)


def test_statuses_and_reasons_of_pending_transactions_are_the_same_facts() -> None:
    content = STATEMENTS["semt.018.001.14_by_status"]
    made = there_and_back(content)
    axes = ("processing", "matching", "inferred_matching", "settlement")
    said, again = (
        {
            each.account_owner_transaction_id: [getattr(each, axis) for axis in axes]
            for each in read(statement).transactions
        }
        for statement in (content, made.content)
    )
    del said["TRADE0006"]  # of a status of no axis
    assert again.pop("TRADE0004")[0].value == "cancellation_requested"  # type: ignore[union-attr]
    assert said.pop("TRADE0004")[0].reasons[0].proprietary == "CANI"  # type: ignore[union-attr]
    assert again == said
    assert lost(made)["Sts[4]/StsAndRsn/InstrPrcgSts/CxlReqd/Rsn/Id"] == "CPRC has no reason"


def test_a_status_of_fin_that_iso_20022_lacks_is_named_with_its_transactions() -> None:
    content = FIN["MT537.typical"].read_text().replace("25D::SETT//PEND", "25D::SETT//XXXX")
    try:
        made = translate(in_fin("MT537", content.replace("24B::PEND//", "24B::PENF//")))
    except GatewayError as refused:
        says_why(refused)
        return
    assert {"STAT_SETT/25D/status_code", "STAT_SETT/TRAN/LINK_RELA/20C/reference"} <= lost(made).keys()


def test_transactions_with_their_statuses_stay_together() -> None:
    made = there_and_back(STATEMENTS["semt.018.001.15_by_transaction"])
    assert ":22H::STST//TRAN\n" in text(made)
    assert re.findall("(?m)^:25D::(.*)$", text(made)) == ["IPRC//PACK", "MTCH//NMAT"]
    assert not lost(made)


def test_movements_between_balances_of_a_scheme_stay_what_they_are() -> None:
    made = there_and_back(STATEMENTS["semt.016.001.09_movements"])
    assert ":93A::FROM/CUSTO/OWNB\n" in text(made)
    assert "<BalFr><Prtry><Id>OWNB</Id><Issr>CUSTO</Issr></Prtry></BalFr>" in text(translate(made.content))


# Any ------------------------------------------------------------------------------------------------------------------


@st.composite
def statements(draw: st.DrawFn) -> bytes:
    """Draw a sample of ISO 20022 that lacks some elements, or says some of them twice."""
    tree = etree.fromstring(STATEMENTS[draw(st.sampled_from(sorted(STATEMENTS)))])
    for _ in range(draw(st.integers(0, 3))):
        if not len(tree[1]):
            break
        element = draw(st.sampled_from(list(tree[1][0].iter())))
        around: Any = element.getparent()
        if draw(st.booleans()):
            around.remove(element)
        else:
            around.insert(around.index(element), etree.fromstring(etree.tostring(element)))
    return etree.tostring(tree)


@settings(max_examples=60, suppress_health_check=list(HealthCheck))
@given(statements())
def test_any_statement_of_iso_20022_there_and_back(content: bytes) -> None:
    try:
        there_and_back(content)
    except GatewayError as refused:  # not valid, or without what FIN wants
        says_why(refused)


def test_amounts_have_the_decimals_that_they_had() -> None:
    made = there_and_back(cash(":61:2603040304C20,NTRFNONREF", opening="60F:C260303EUR1000,50"))
    assert Decimal(re.findall('<Amt Ccy="EUR">([0-9.]+)', text(made))[0]) == Decimal("1000.50")
