"""Statements are read: holdings, transactions, cash entries and balances, in every version and from other people's."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from datetime import date
from decimal import Decimal
from pathlib import Path
from random import Random
from typing import Any

import pytest
from lxml import etree

from gateway.errors import ConfigError
from gateway.messages import shapes
from gateway.messages.catalogue import Catalogue, ComplexType
from gateway.messages.data_files import data_directory
from gateway.messages.reading import ListLines, Reader, parse_table
from gateway.messages.schema_files import load_catalogue
from gateway.messages.validation import Validator
from gateway.model.facts import Amount, Quantity, Statement, TransactionEntry
from gateway.model.transitions import TRANSITIONS

from .documents import random_document
from .reference import needs_reference, shared

FAMILIES = ("semt.002", "semt.003", "semt.016", "semt.017", "semt.018", "semt.019", "semt.022", "camt.053")


@pytest.fixture(scope="module")
def catalogue(tmp_path_factory: pytest.TempPathFactory) -> Catalogue:
    return load_catalogue(tmp_path_factory.mktemp("schemas"))


@pytest.fixture(scope="module")
def validator(catalogue: Catalogue) -> Validator:
    return Validator(catalogue)


@pytest.fixture(scope="module")
def reader(catalogue: Catalogue, validator: Validator) -> Reader:
    files = sorted((data_directory() / "reading").glob("*.read"))
    return Reader(validator, catalogue, [parse_table(file.read_text(), file.name) for file in files])


def definitions() -> list[str]:
    return [name for name in load_catalogue(Path("does-not-exist")).definitions() if name.startswith(FAMILIES)]


def statements(reader: Reader, definition: str, body: str) -> list[Statement]:
    """Read a document given by what is inside its message element."""
    root = ROOTS[definition[:8]]
    content = f'<Document xmlns="urn:iso:std:iso:20022:tech:xsd:{definition}"><{root}>{body}</{root}></Document>'
    found = [fact for _, fact in reader.read(content.encode()).facts]
    assert all(isinstance(fact, Statement) for fact in found)
    return found  # type: ignore[return-value]


ROOTS = {
    "semt.002": "SctiesBalCtdyRpt",
    "semt.017": "SctiesTxPstngRpt",
    "semt.018": "SctiesTxPdgRpt",
    "semt.022": "SctiesSttlmTxAudtTrlRpt",
    "camt.053": "BkToCstmrStmt",
}
PAGE = "<Pgntn><PgNb>{page}</PgNb><LastPgInd>{last}</LastPgInd></Pgntn>"


@pytest.mark.parametrize("definition", definitions())
def test_every_random_valid_statement_is_read(catalogue: Catalogue, reader: Reader, definition: str) -> None:
    for seed in range(4):
        content = random_document(catalogue, definition, Random(seed), richness=(0.1, 0.5, 0.9)[seed % 3])
        reply = reader.read(content)
        assert reply.facts
        assert all(isinstance(fact, Statement) for _, fact in reply.facts)


ENTRIES = {  # field of a statement -> the elements that are its items
    "semt.002": {"holdings": ("BalForAcct", "BalForSubAcct")},
    "semt.003": {"holdings": ("BalForAcct", "BalForSubAcct")},
    "semt.016": {"transactions": ("IntraPosMvmnt",)},
    "semt.017": {"holdings": ("FinInstrmDtls",), "transactions": ("Tx",)},
    "semt.018": {"transactions": ("Tx", "Txs")},
    "semt.019": {"transactions": ("AllgmtDtls",)},
    "semt.022": {"transactions": ("StsTrl",)},
    "camt.053": {"entries": ("Ntry",), "balances": ("Bal",)},
}


@pytest.mark.parametrize("definition", definitions())
def test_no_entry_of_a_random_statement_is_lost(catalogue: Catalogue, reader: Reader, definition: str) -> None:
    for seed in range(3):
        content = random_document(catalogue, definition, Random(seed + 10), richness=0.5)
        message = etree.fromstring(content)[0]
        found = [fact for _, fact in reader.read(content).facts if isinstance(fact, Statement)]
        for field, tags in ENTRIES[definition[:8]].items():
            there = sum(1 for element in message.iter() if _tag(element) in tags and _depth(element) <= 4)
            assert sum(len(getattr(fact, field)) for fact in found) == there, (field, seed)


def _tag(element: Any) -> str:
    return etree.QName(element).localname if isinstance(element.tag, str) else ""


def _depth(element: Any) -> int:
    return sum(1 for _ in element.iterancestors()) - 1


def lines_of(lists: tuple[ListLines, ...], outer: tuple[str, ...] = ("",)) -> Iterator[tuple[ListLines, list[str]]]:
    for lines in lists:
        paths = [f"{above}/{path}".lstrip("/") for above in outer for path in lines.paths]
        yield lines, paths
        yield from lines_of(lines.lists, tuple(paths))


@pytest.mark.parametrize("family", FAMILIES)
def test_every_line_of_a_list_reads_an_element_of_some_version(catalogue: Catalogue, family: str) -> None:
    table = parse_table((data_directory() / "reading" / f"{family}.read").read_text(), family)
    messages = [catalogue.message(name) for name in catalogue.definitions() if name.startswith(family)]
    for lines, paths in lines_of(table.lists):
        for column in lines.columns:
            up = column.path.count("../")
            placed = [
                "/".join([*path.split("/")[: len(path.split("/")) - up], column.path.replace("../", "")])
                for path in paths
                if up <= len(path.split("/"))
            ]
            found = []
            for message in messages:
                root = message.types[message.root_type]
                assert isinstance(root, ComplexType)
                below = next(root.content.elements()).name
                found += [element for path in placed if (element := message.element(f"{below}/{path}")) is not None]
            assert found, f"{family}: {lines.field}.{column.field} {column.path}"


@pytest.mark.parametrize("family", ["semt.018", "semt.022"])
def test_every_status_in_a_list_has_a_word_that_the_lifecycle_knows(catalogue: Catalogue, family: str) -> None:
    table = parse_table((data_directory() / "reading" / f"{family}.read").read_text(), family)
    known = {
        axis: {value for row in rows for value in row.after}
        for (dialogue, axis), rows in TRANSITIONS.items()
        if dialogue == "settlement"
    }
    checked = 0
    for lines, paths in lines_of(table.lists):
        for column in (column for column in lines.columns if column.conversion == "status"):
            words = table.codes[column.argument]
            assert set(words.values()) <= known[column.field.removeprefix("inferred_")]
            for message in map(catalogue.message, (n for n in catalogue.definitions() if n.startswith(family))):
                root = message.types[message.root_type]
                assert isinstance(root, ComplexType)
                for path in paths:
                    own = "/".join([*path.split("/")[: -column.path.count("../") or None], column.path.lstrip("./")])
                    element = message.element(f"{next(root.content.elements()).name}/{own}")
                    if element is None:
                        continue
                    choice = message.types[element.type]
                    assert isinstance(choice, ComplexType)
                    assert {child.name for child in choice.content.elements()} <= set(words), (family, own)
                    checked += 1
    assert checked >= 6


# What a statement says ------------------------------------------------------------------------------------------------

PENDING = (
    PAGE.format(page=2, last="true") + "<StmtGnlDtls><RptNb><Lng>00017</Lng></RptNb><QryRef>QUERY1</QryRef>"
    "<StmtId>STMT-7</StmtId><StmtDtTm><DtTm>2026-03-03T18:00:00Z</DtTm></StmtDtTm><UpdTp><Cd>COMP</Cd></UpdTp>"
    "<StmtStr>{structure}</StmtStr><ActvtyInd>true</ActvtyInd></StmtGnlDtls><SfkpgAcct><Id>CUST-4711</Id></SfkpgAcct>"
)
DETAILS = (
    "<TxDtls><TxActvty><Cd>SETT</Cd></TxActvty><SctiesMvmntTp>DELI</SctiesMvmntTp><Pmt>APMT</Pmt>"
    "<FinInstrmId><ISIN>DE0007164600</ISIN></FinInstrmId><PstngQty><Qty><Unit>500</Unit></Qty></PstngQty>"
    '<PstngAmt><Amt Ccy="EUR">61234.56</Amt><CdtDbtInd>CRDT</CdtDbtInd></PstngAmt>'
    "<SttlmDt><Dt><Dt>2026-03-04</Dt></Dt></SttlmDt></TxDtls>"
)
UNMATCHED = "<StsAndRsn><MtchgSts><Umtchd><Rsn><Cd><Cd>DMON</Cd></Cd></Rsn></Umtchd></MtchgSts></StsAndRsn>"
LACKING = "<StsAndRsn><SttlmSts><Pdg><Rsn><Cd><Cd>LACK</Cd></Cd></Rsn></Pdg></SttlmSts></StsAndRsn>"


def test_pending_transactions_listed_by_status_take_it_from_the_element_above(reader: Reader) -> None:
    listed = f"<Sts>{UNMATCHED}<Tx><AcctOwnrTxId>OURS1</AcctOwnrTxId>{DETAILS}</Tx></Sts>"
    listed += (
        f"<Sts>{LACKING}<Tx><AcctOwnrTxId>OURS2</AcctOwnrTxId></Tx><Tx><AcctOwnrTxId>OURS3</AcctOwnrTxId></Tx></Sts>"
    )
    [statement] = statements(reader, "semt.018.001.15", PENDING.format(structure="STAT") + listed)
    assert (statement.kind, statement.reference, statement.number, statement.account) == (
        ("pending", "STMT-7", "00017", "CUST-4711")
    )
    assert (statement.page_number, statement.last_page, statement.update) == (2, True, "complete")
    one, two, three = statement.transactions
    assert one.matching is not None
    assert (one.matching.value, one.matching.reasons[0].code, one.settlement) == ("unmatched", "DMON", None)
    assert (one.movement, one.payment, one.isin, one.account) == ("deliver", "against", "DE0007164600", "CUST-4711")
    assert (one.quantity, one.amount) == (Quantity(Decimal(500), "unit"), Amount(Decimal("61234.56"), "EUR"))
    assert (one.credit_debit, one.settlement_date) == ("credit", date(2026, 3, 4))
    assert [entry.settlement and entry.settlement.value for entry in (two, three)] == ["pending", "pending"]
    assert (two.account_owner_transaction_id, two.matching, two.quantity) == ("OURS2", None, None)


def test_pending_transactions_listed_with_their_statuses_keep_every_axis(reader: Reader) -> None:
    listed = f"<Txs><AcctOwnrTxId>OURS1</AcctOwnrTxId>{DETAILS}{UNMATCHED}{LACKING}</Txs>"
    content = PENDING.format(structure="TRAN") + listed
    [statement] = statements(reader, "semt.018.001.13", content)
    [entry] = statement.transactions
    assert entry.matching is not None
    assert entry.settlement is not None
    assert (entry.matching.value, entry.settlement.value) == ("unmatched", "pending")


def posting(body: str) -> str:
    return (
        PAGE.format(page=1, last="true") + "<StmtGnlDtls><StmtPrd><FrDtToDt><FrDt>2026-03-02</FrDt><ToDt>2026-03-04"
        "</ToDt></FrDtToDt></StmtPrd><StmtBsis><Cd>SETT</Cd></StmtBsis><ActvtyInd>true</ActvtyInd>"
        f"<SubAcctInd>true</SubAcctInd></StmtGnlDtls><SfkpgAcct><Id>MAIN</Id></SfkpgAcct>{body}"
    )


SECURITY = (
    "<FinInstrmDtls><FinInstrmId><ISIN>{isin}</ISIN></FinInstrmId><OpngBal><ShrtLngInd>LONG</ShrtLngInd><OpngBal><Frst>"
    "<Qty><Unit>100</Unit></Qty></Frst></OpngBal></OpngBal><ClsgBal><ShrtLngInd>SHOR</ShrtLngInd><ClsgBal><Fnl><Qty>"
    "<Unit>400</Unit></Qty></Fnl></ClsgBal></ClsgBal>{transactions}</FinInstrmDtls>"
)
POSTED = (
    "<Tx><AcctOwnrTxId>{reference}</AcctOwnrTxId><TxDtls><TxActvty><Cd>SETT</Cd></TxActvty><SctiesMvmntTp>DELI"
    "</SctiesMvmntTp><Pmt>APMT</Pmt><PstngQty><Qty><Unit>{quantity}</Unit></Qty></PstngQty>"
    '<PstngAmt><Amt Ccy="EUR">{amount}</Amt><CdtDbt>CRDT</CdtDbt></PstngAmt>'
    "<FctvSttlmDt><Dt>2026-03-04</Dt></FctvSttlmDt></TxDtls></Tx>"
)


def test_postings_take_security_and_account_from_above_and_balances_stand_beside_them(reader: Reader) -> None:
    def posted(reference: str) -> str:
        return POSTED.format(reference=reference, quantity=500, amount="61234.56")

    main = SECURITY.format(isin="DE0007164600", transactions=posted("OURS1") + posted("OURS2"))
    other = SECURITY.format(isin="FR0000131104", transactions=posted("OURS3"))
    sub = f"<SubAcctDtls><SfkpgAcct><Id>SUB</Id></SfkpgAcct><ActvtyInd>true</ActvtyInd>{other}</SubAcctDtls>"
    [statement] = statements(reader, "semt.017.001.14", posting(main + sub))
    assert [(t.account_owner_transaction_id, t.isin, t.account) for t in statement.transactions] == [
        ("OURS1", "DE0007164600", "MAIN"),
        ("OURS2", "DE0007164600", "MAIN"),
        ("OURS3", "FR0000131104", "SUB"),
    ]
    first, second = statement.holdings
    assert (first.isin, first.opening, first.side) == ("DE0007164600", Quantity(Decimal(100), "unit"), "short")
    assert (second.isin, second.account, second.quantity) == ("FR0000131104", "SUB", Quantity(Decimal(400), "unit"))
    assert (statement.begins, statement.statement_date) == (date(2026, 3, 2), date(2026, 3, 4))


CASH = (
    "<GrpHdr><MsgId>M1</MsgId><CreDtTm>2026-03-04T20:00:00Z</CreDtTm><OrgnlBizQry><MsgId>ASKED1</MsgId></OrgnlBizQry>"
    "</GrpHdr><Stmt><Id>S-9</Id><ElctrncSeqNb>42</ElctrncSeqNb><Acct><Id><IBAN>DE89370400440532013000</IBAN></Id>"
    '<Ccy>EUR</Ccy></Acct><Bal><Tp><CdOrPrtry><Cd>OPBD</Cd></CdOrPrtry></Tp><Amt Ccy="EUR">10</Amt><CdtDbtInd>DBIT'
    "</CdtDbtInd><Dt><Dt>2026-03-04</Dt></Dt></Bal>{entries}</Stmt>"
)
BATCH = (
    '<Ntry><Amt Ccy="EUR">30.5</Amt><CdtDbtInd>CRDT</CdtDbtInd><Sts><Cd>BOOK</Cd></Sts><BookgDt><Dt>2026-03-04</Dt>'
    "</BookgDt><ValDt><Dt>2026-03-05</Dt></ValDt><BkTxCd><Domn><Cd>PMNT</Cd><Fmly><Cd>RCDT</Cd><SubFmlyCd>ESCT"
    "</SubFmlyCd></Fmly></Domn></BkTxCd><NtryDtls><TxDtls><Refs><EndToEndId>E1</EndToEndId></Refs>"
    '<Amt Ccy="EUR">10</Amt></TxDtls><TxDtls><Refs><EndToEndId>E2</EndToEndId></Refs><AmtDtls><TxAmt><Amt Ccy="EUR">'
    "20.5</Amt></TxAmt></AmtDtls></TxDtls></NtryDtls><NtryDtls><TxDtls><Refs><AcctOwnrTxId>OURS1</AcctOwnrTxId></Refs>"
    "</TxDtls></NtryDtls></Ntry>"
)


def test_a_cash_entry_holds_every_transaction_that_it_books_and_each_statement_is_one_fact(reader: Reader) -> None:
    second = CASH[CASH.index("<Stmt>") :].replace("S-9", "S-10").format(entries="")
    content = CASH.format(entries=BATCH) + second
    first, other = statements(reader, "camt.053.001.14", content)
    assert (first.reference, first.sequence, first.account, first.page) == (
        ("S-9", Decimal(42), "DE89370400440532013000", "1")
    )
    assert first.last_page is True
    [entry] = first.entries
    assert (entry.amount, entry.credit_debit, entry.status) == (Amount(Decimal("30.5"), "EUR"), "credit", "BOOK")
    assert (entry.booking_date, entry.value_date) == (date(2026, 3, 4), date(2026, 3, 5))
    assert entry.bank_transaction_code == "PMNT/RCDT/ESCT"
    assert [(t.end_to_end_id, t.amount and str(t.amount.value)) for t in entry.transactions] == [
        ("E1", "10"),
        ("E2", "20.5"),
        (None, None),
    ]
    assert entry.transactions[2].account_owner_transaction_id == "OURS1"
    [balance] = first.balances
    assert (balance.type, balance.credit_debit, balance.balance_date) == ("OPBD", "debit", date(2026, 3, 4))
    assert (other.reference, other.entries, len(other.balances)) == ("S-10", (), 1)


def test_an_audit_trail_names_its_transaction_in_every_status(reader: Reader) -> None:
    trail = (
        PAGE.format(page=1, last="true") + "<TxId><AcctOwnrTxId>OURS1</AcctOwnrTxId></TxId>"
        "<StsTrl><StsDt>2026-03-04T09:00:00Z</StsDt><MtchgSts><Mtchd/></MtchgSts></StsTrl>"
        "<StsTrl><StsDt>2026-03-04T10:00:00Z</StsDt><Sttld/></StsTrl>"
    )
    [statement] = statements(reader, "semt.022.001.07", trail)
    assert [(t.account_owner_transaction_id, t.settlements) for t in statement.transactions] == [
        ("OURS1", 0),
        ("OURS1", 1),
    ]


def test_a_statement_of_a_known_shape_is_read_as_at_length(reader: Reader, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shapes, "_PATIENCE", 2)
    for number in range(6):
        entries = BATCH.replace("E1", f"E{number}").replace("30.5", f"3{number}.5")
        content = CASH.format(entries=entries)
        [statement] = statements(reader, "camt.053.001.13", content)
        assert statement.entries[0].transactions[0].end_to_end_id == f"E{number}"
        assert statement.entries[0].amount == Amount(Decimal(f"3{number}.5"), "EUR")
        more = CASH.format(entries=entries * 2)  # the same outline, another shape
        assert len(statements(reader, "camt.053.001.13", more)[0].entries) == 2


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("list nothing TransactionEntry Txs", "no field 'nothing'"),
        ("list transactions NoFact Txs", "no fact 'NoFact'"),
        ("list transactions TransactionEntry Txs\ntransactions.colour AcctOwnrTxId text", "no field 'colour'"),
    ],
)
def test_a_wrong_line_of_a_list_is_named(catalogue: Catalogue, validator: Validator, line: str, said: str) -> None:
    table = parse_table(f"messages semt.018\nfact Statement\nkind = pending\n{line}", "own.read")
    with pytest.raises(ConfigError, match=re.escape(said)):
        statements(Reader(validator, catalogue, [table]), "semt.018.001.15", PENDING.format(structure="TRAN"))


# Other people's -------------------------------------------------------------------------------------------------------


@needs_reference
def test_every_valid_sample_says_its_balances_and_entries(catalogue: Catalogue, reader: Reader) -> None:
    read = 0
    for sample in json.loads((shared() / "samples" / "index.json").read_text()):
        if not sample.get("validates") or not sample["message_id"].startswith(FAMILIES):
            continue
        if sample["message_id"] not in catalogue:
            continue
        content = (shared() / "samples" / Path(sample["file"])).read_bytes()
        found = [fact for _, fact in reader.read(content).facts if isinstance(fact, Statement)]
        root = etree.fromstring(content)
        for field, tags in ENTRIES[sample["message_id"][:8]].items():
            items = [item for fact in found for item in getattr(fact, field)]
            there = [element for element in root.iter() if _tag(element) in tags]
            assert len(items) == len(there), sample["file"]
            if field in ("entries", "balances"):
                assert [item.amount.value for item in items] == [
                    Decimal(next(child.text for child in element if _tag(child) == "Amt")) for element in there
                ]
                sides = {"credit": "CRDT", "debit": "DBIT"}
                assert [sides[item.credit_debit] for item in items] == [
                    next(child.text for child in element if _tag(child) == "CdtDbtInd") for element in there
                ]
            if field == "holdings" and "transactions" not in ENTRIES[sample["message_id"][:8]]:
                assert all(item.quantity is not None for item in items)
            if field == "transactions":
                assert all(isinstance(item, TransactionEntry) and item.account_owner_transaction_id for item in items)
        read += 1
    assert read >= 8
