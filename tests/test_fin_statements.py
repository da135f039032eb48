"""Statements in FIN: read into the same facts as ISO 20022's, and compared with the ledger like them."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import UTC, date, datetime
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.errors import MessageError, UnreadableMessage
from gateway.messages.fin import split
from gateway.messages.fin.statements import parts
from gateway.model.facts import (
    Amount,
    CashBalance,
    CashEntry,
    CashTransaction,
    Holding,
    Quantity,
    Reason,
    References,
    Statement,
    StatusValue,
    SubBalance,
    TransactionEntry,
)
from gateway.reconciliation import positions_of
from tests import test_statements as iso
from tests.fin_counterparty import said
from tests.fin_documents import made_messages, text_of
from tests.loops import ACCOUNT, OTHER, Loops, instruct, settled, transaction
from tests.reference import needs_reference, shared
from tests.test_fin_payments import messages
from tests.test_payments import PAY, pay
from tests.test_payments import story as payment_story
from tests.test_statements import ISIN, alerts, differences, sent, statement

IBAN = "DE89370400440532013000"
LINK = ("16R:LINK", "20C::RELA//{}", "16S:LINK")


def read(content: bytes) -> Statement:
    """Read a message that is one page of one statement."""
    [(_, fact)] = messages().read(content).facts
    assert isinstance(fact, Statement)
    return fact


# --- cash -------------------------------------------------------------------------------------------------------------


def cash(
    *entries: str,
    opening: str = "C260303EUR100,",
    closing: str = "C260304EUR100,",
    page: str = "7/1",
    more: bool = False,
    reference: str = "STATEMENT1",
    number: str = "940",
) -> bytes:
    """Return a page of a cash statement; a page after the first begins with an intermediate balance."""
    first = page.endswith("/1")
    begins, ends = ("60F" if first else "60M"), ("62M" if more else "62F")
    own = (f"20:{reference}", f"25:{IBAN}", f"28C:{page}", f"{begins}:{opening}", *entries, f"{ends}:{closing}")
    return said(number, *own)


def test_a_cash_statement_is_read_with_all_that_its_lines_say() -> None:
    found = read(
        said(
            "940",
            "20:STATEMENT1",
            "21:ASKED1",
            f"25P:{IBAN}\nCUSTDEFFXXX",
            "28C:00012/002",
            "60M:C260303EUR100,5",
            "61:2603041231RD10,NMSC16CHARACTERS0001//THEIRS1\nDETAILS",
            "86:/EREF/E2E-1/UETR/3f0f6a2e-9a51-4c7e-8b1d-5e0c2a7d9b44\n/REMI/WORDS",
            "61:260101C1,25S103NONREF",
            "62F:D260304EUR9,25",
            "64:D260304EUR9,25",
            "65:C260305EUR1,",
            "86:WORDS TO THE OWNER",
        )
    )
    euro = {text: Amount(Decimal(text), "EUR") for text in ("10", "1.25", "100.5", "9.25", "1")}
    assert found == Statement(
        kind="cash_account",
        number="00012",
        sequence=Decimal(12),
        account=IBAN,
        currency="EUR",
        statement_date=date(2026, 3, 4),
        page="002",
        last_page=True,
        entries=(
            CashEntry(
                amount=euro["10"],
                credit_debit="credit",
                reversal=True,
                status="BOOK",
                booking_date=date(2025, 12, 31),
                value_date=date(2026, 3, 4),
                account_servicer_reference="THEIRS1",
                proprietary_code="NMSC",
                transactions=(
                    CashTransaction(
                        end_to_end_id="E2E-1",
                        unique_end_to_end_reference="3f0f6a2e-9a51-4c7e-8b1d-5e0c2a7d9b44",
                        account_owner_transaction_id="16CHARACTERS0001",
                        account_servicer_reference="THEIRS1",
                    ),
                ),
            ),
            CashEntry(
                amount=euro["1.25"],
                credit_debit="credit",
                status="BOOK",
                value_date=date(2026, 1, 1),
                proprietary_code="S103",
                transactions=(CashTransaction(account_owner_transaction_id="NONREF"),),
            ),
        ),
        balances=(
            CashBalance("ITBD", euro["100.5"], "credit", date(2026, 3, 3)),
            CashBalance("CLBD", euro["9.25"], "debit", date(2026, 3, 4)),
            CashBalance("CLAV", euro["9.25"], "debit", date(2026, 3, 4)),
            CashBalance("FWAV", euro["1"], "credit", date(2026, 3, 5)),
        ),
    )


def test_a_page_that_is_followed_by_others_says_so() -> None:
    assert read(cash(more=True)).last_page is False
    assert read(cash()).last_page is True


@pytest.mark.parametrize("number", ["940", "950"])
async def test_a_cash_statement_that_does_not_add_up_is_alerted(fin_loops: Loops, number: str) -> None:
    await fin_loops.hear(cash("61:2603040304D10,NMSCX", closing="C260304EUR91,", number=number))
    found = await statement(fin_loops, "7/2026-03-04", "cash_account", IBAN)
    assert (found.instruction.headline, alerts(found)) == ("differs", ["statement_balance_differs"])
    assert await differences(fin_loops) == [("statement_balance_differs", "closing_balance", "90 EUR", "91 EUR")]


async def test_a_payment_that_a_cash_statement_books_is_compared_with_it(fin_loops: Loops) -> None:
    await pay(fin_loops)
    entry = f"61:2603040304D61234,50NTRF{PAY}//THEIRS1"
    await fin_loops.hear(cash(entry, closing="D260304EUR61134,50"))
    assert await differences(fin_loops) == [("statement_terms_differ", "amount", "61234.56 EUR", "61234.5 EUR")]
    assert alerts(await payment_story(fin_loops)) == ["statement_terms_differ"]


async def test_pages_of_a_cash_statement_with_one_reference_are_one_statement(fin_loops: Loops) -> None:
    second = cash("61:2603040304C1,NMSCY", page="7/2", opening="C260304EUR90,", closing="C260304EUR91,")
    await fin_loops.hear(second)
    found = await statement(fin_loops, "7/2026-03-04", "cash_account", IBAN)
    assert (found.instruction.headline, alerts(found)) == ("incomplete", ["statement_page_missing"])
    await fin_loops.hear(cash("61:2603040304D10,NMSCX", page="7/1", closing="C260304EUR90,", more=True))
    found = await statement(fin_loops, "7/2026-03-04", "cash_account", IBAN)
    assert (found.instruction.headline, await fin_loops.parked()) == ("agrees", [])


async def test_a_statement_begins_where_the_one_before_it_closed(fin_loops: Loops) -> None:
    await fin_loops.hear(
        cash(),
        cash(opening="C260304EUR101,", closing="C260305EUR101,", page="8/1", reference="STATEMENT2"),
    )
    assert await differences(fin_loops) == [("statement_balance_differs", "opening_balance", "100 EUR", "101 EUR")]


async def test_a_statement_on_the_channel_of_another_is_parked(fin_loops: Loops) -> None:
    await fin_loops.hear(cash(), channel=OTHER)
    assert (await fin_loops.only_parked()).summary.code == "reply_wrong_counterparty"


@settings(max_examples=100)
@given(
    mark=st.sampled_from(["C", "D", "RC", "RD"]),
    amount=st.decimals(min_value="0.01", max_value="9999999.99", places=2),
    value_date=st.dates(date(2000, 3, 1), date(2078, 12, 31)),
    days=st.integers(-150, 150),
)
def test_every_statement_line_is_read_as_it_was_written(
    mark: str, amount: Decimal, value_date: date, days: int
) -> None:
    booked = date.fromordinal(value_date.toordinal() + days)
    written = str(amount).replace(".", ",")
    line = f"61:{value_date:%y%m%d}{booked:%m%d}{mark}{written}NTRFREF"
    [entry] = read(cash(line)).entries
    assert entry.amount == Amount(amount, "EUR")
    assert (entry.credit_debit == "credit") == (mark in ("C", "RD"))
    assert entry.reversal == mark.startswith("R")
    assert (entry.value_date, entry.booking_date) == (value_date, booked)


def test_an_entry_date_that_its_years_do_not_have_is_left_out() -> None:
    assert "booking_date" not in dict(parts("61", {"value_date": "260304", "entry_date": "0231"}))
    assert dict(parts("61", {"value_date": "240304", "entry_date": "0229"}))["booking_date"] == "2024-02-29"


# --- securities -------------------------------------------------------------------------------------------------------


def securities(
    number: str,
    *rest: str,
    general: tuple[str, ...] = ("98A::STAT//20260304", "22F::SFRE//DAIL", "22F::CODE//COMP"),
    more: tuple[str, ...] = (),
    page: str = "1/ONLY",
    reference: str = "STATEMENT1",
    flags: tuple[str, ...] = ("17B::ACTI//Y",),
) -> bytes:
    """Return a page of a statement about the account of every example."""
    head = ("16R:GENL", f"28E:{page}", "13A::STAT//017", f"20C::SEME//{reference}", "23G:NEWM", *general, *more)
    return said(number, *head, f"97A::SAFE//{ACCOUNT}", *flags, "16S:GENL", *rest)


def holdings(quantities: dict[str, str], day: str, **heading: str) -> bytes:
    held = [
        field
        for isin, quantity in quantities.items()
        for field in ("16R:FIN", f"35B:ISIN {isin}", f"93B::AGGR//UNIT/{quantity},", "16S:FIN")
    ]
    general = (f"98A::STAT//{day}", "22F::SFRE//DAIL", "22F::CODE//COMP", "22F::STTY//CUST", "22F::STBA//SETT")
    flags = ("17B::ACTI//Y", "17B::CONS//N")
    return securities("535", "16R:SUBSAFE", *held, "16S:SUBSAFE", general=general, flags=flags, **heading)  # type: ignore[arg-type]  # names of texts


def posted(reference: str, *, quantity: str = "500,", amount: str = "61234,56") -> bytes:
    tran = (
        "16R:TRAN",
        *(field.format(reference) for field in LINK),
        "16R:TRANSDET",
        f"36B::PSTA//UNIT/{quantity}",
        f"19A::PSTA//EUR{amount}",
        "22F::TRAN//SETT",
        "22F::SETR//TRAD",
        "22H::REDE//DELI",
        "22H::PAYM//APMT",
        "98A::ESET//20260304",
        "16S:TRANSDET",
        "16S:TRAN",
    )
    security = (f"35B:ISIN {ISIN}\nINVENTED GROUP", "93B::FIOP//UNIT/1000,", "93B::FICL//UNIT/500,")
    body = ("16R:SUBSAFE", f"97A::SAFE//{ACCOUNT}", "16R:FIN", *security, *tran, "16S:FIN", "16S:SUBSAFE")
    general = ("69A::STAT//20260302/20260304", "22F::SFRE//DAIL", "22F::CODE//COMP", "22F::STBA//SETT")
    return securities("536", *body, general=general, flags=("17B::ACTI//Y", "17B::CONS//N"))


def listed(reference: str, *, quantity: str = "500,", amount: str = "61234,56") -> tuple[str, ...]:
    """Return a pending transaction without its status."""
    return (
        *(field.format(reference) for field in LINK),
        "16R:TRANSDET",
        f"35B:ISIN {ISIN}",
        f"36B::PSTA//UNIT/{quantity}",
        f"19A::PSTA//EUR{amount}",
        "22F::TRAN//SETT",
        "22F::SETR//TRAD",
        "22H::REDE//DELI",
        "22H::PAYM//APMT",
        "98A::SETT//20260304",
        "16S:TRANSDET",
    )


def status(code: str, reason: str = "") -> tuple[str, ...]:
    why = ("16R:REAS", f"24B::{reason}", "16S:REAS") if reason else ()
    return ("16R:STAT", f"25D::{code}", *why)


def pending(*body: str, structure: str = "TRAN", day: str = "20260303", **heading: str) -> bytes:
    general = (f"98C::STAT//{day}180000", "22F::SFRE//DAIL", "22F::CODE//COMP", f"22H::STST//{structure}")
    return securities("537", *body, general=general, **heading)  # type: ignore[arg-type]  # names of texts


def test_pending_transactions_are_read_alike_by_transaction_and_by_status() -> None:
    reasons = (Reason("LACK"),)
    by_status = pending(
        *status("SETT//PEND", "PEND//LACK"), "16R:TRAN", *listed("OURS1"), "16S:TRAN", "16S:STAT", structure="STAT"
    )
    by_transaction = pending(
        "16R:TRANS", *listed("OURS1"), *status("SETT//PEND", "PEND//LACK"), "16S:STAT", "16S:TRANS"
    )
    for content in (by_status, by_transaction):
        found = read(content)
        [entry] = found.transactions
        assert entry.settlement == StatusValue("pending", reasons)
        assert entry.matching is entry.processing is entry.inferred_matching is None
        assert (found.kind, found.number, found.update, found.activity) == ("pending", "017", "complete", True)
        assert (found.statement_date, found.at) == (date(2026, 3, 3), datetime(2026, 3, 3, 18, tzinfo=UTC))


def test_every_status_of_a_transaction_has_its_axis() -> None:
    said_ = (
        *status("IPRC//PACK"),
        "16S:STAT",
        *status("MTCH//NMAT", "NMAT//DQUA"),
        "16S:STAT",
        *status("SETT//PENF", "PENF//CLAC"),
        "16S:STAT",
    )
    [entry] = read(pending("16R:TRANS", *listed("OURS1"), *said_, "16S:TRANS")).transactions
    assert entry.processing == StatusValue("accepted")
    assert entry.matching == StatusValue("unmatched", (Reason("DQUA"),))
    assert entry.settlement == StatusValue("failing", (Reason("CLAC"),))


def test_a_code_of_a_scheme_of_its_own_is_never_the_standard_one() -> None:
    statuses = (*status("IPRC/HOUSE/CAND"), "16S:STAT", *status("SETT//PEND"), "16S:STAT")
    found = read(pending("16R:TRANS", *listed("A"), *statuses, "16S:TRANS"))
    [entry] = found.transactions
    assert (entry.processing, entry.settlement) == (StatusValue("proprietary", (), "CAND"), StatusValue("pending"))
    found = read(
        pending("16R:STAT", "25D::MTCH/HOUSE/MACH", "16R:TRAN", *listed("A"), "16S:TRAN", "16S:STAT", structure="STAT")
    )
    assert found.transactions[0].matching == StatusValue("proprietary", (), "MACH")
    foreign = pending("16R:TRANS", *listed("A"), *statuses, "16S:TRANS").replace(b"CODE//", b"CODE/HOUSE/")
    with pytest.raises(UnreadableMessage) as refused:
        read(foreign)
    assert refused.value.code == "code_unknown"


def test_a_posting_report_is_read_with_balances_and_transactions() -> None:
    found = read(posted("OURS1"))
    assert (found.kind, found.begins, found.statement_date) == ("postings", date(2026, 3, 2), date(2026, 3, 4))
    assert found.basis == "settled"
    assert found.holdings == (
        Holding(
            isin=ISIN,
            description="INVENTED GROUP",
            account=ACCOUNT,
            quantity=Quantity(Decimal(500), "unit"),
            side="long",
            opening=Quantity(Decimal(1000), "unit"),
            opening_side="long",
        ),
    )
    [entry] = found.transactions
    assert (entry.account_owner_transaction_id, entry.account, entry.isin) == ("OURS1", ACCOUNT, ISIN)
    assert (entry.movement, entry.payment, entry.credit_debit) == ("deliver", "against", "credit")
    assert (entry.quantity, entry.effective_settlement_date) == (Quantity(Decimal(500), "unit"), date(2026, 3, 4))
    assert read(posted("OURS1", amount="1,").replace(b"PSTA//EUR", b"PSTA//NEUR")).transactions[0].amount == Amount(
        Decimal(1), "EUR"
    )
    assert read(posted("X").replace(b"PSTA//EUR", b"PSTA//NEUR")).transactions[0].credit_debit == "debit"


def test_holdings_are_read_with_their_parts_and_short_ones_say_so() -> None:
    body = (
        "16R:SUBSAFE",
        "16R:FIN",
        f"35B:ISIN {ISIN}",
        "93B::AGGR//FAMT/N1000,",
        "93B::AVAI//FAMT/600,",
        "93B::NAVL//FAMT/400,",
        "16R:SUBBAL",
        "93C::BLOK//FAMT/NAVL/400,",
        "16S:SUBBAL",
        "16S:FIN",
        "16S:SUBSAFE",
    )
    general = ("98A::STAT//20260304", "22F::SFRE//DAIL", "22F::STTY//ACCT", "22F::STBA//TRAD")
    found = read(securities("535", *body, general=general, page="2/LAST", flags=("17B::ACTI//Y", "17B::CONS//N")))
    assert (found.kind, found.basis, found.page, found.last_page) == ("accounting_holdings", "traded", "2", True)
    quantity = {value: Quantity(Decimal(value), "face_amount") for value in ("1000", "600", "400")}
    assert found.holdings == (
        Holding(
            isin=ISIN,
            account=ACCOUNT,
            quantity=quantity["1000"],
            side="short",
            available=quantity["600"],
            not_available=quantity["400"],
            balances=(SubBalance("BLOK", quantity["400"], "long"),),
        ),
    )


def test_allegements_and_movements_between_balances_are_read() -> None:
    parties = ("16R:SETPRTY", "95P::DEAG//AGNTDEFFXXX", "16S:SETPRTY")
    alleged = (
        "16R:ALLDET",
        "16R:LINK",
        "20C::TRRF//THEIRS1",
        "16S:LINK",
        "98A::SETT//20260304",
        "98A::TRAD//20260302",
        f"35B:ISIN {ISIN}",
        "22H::REDE//RECE",
        "22H::PAYM//APMT",
        "16R:FIAC",
        "36B::SETT//UNIT/500,",
        "16S:FIAC",
        "16R:SETDET",
        "22F::SETR//TRAD",
        *parties,
        "16R:AMT",
        "19A::SETT//EUR61234,56",
        "16S:AMT",
        "16S:SETDET",
        "16S:ALLDET",
    )
    [entry] = read(securities("586", *alleged)).transactions
    assert entry == TransactionEntry(
        account_servicer_transaction_id="THEIRS1",
        account=ACCOUNT,
        movement="receive",
        payment="against",
        isin=ISIN,
        quantity=Quantity(Decimal(500), "unit"),
        amount=Amount(Decimal("61234.56"), "EUR"),
        trade_date=date(2026, 3, 2),
        settlement_date=date(2026, 3, 4),
    )
    moved = (
        "16R:FIN",
        f"35B:ISIN {ISIN}",
        "16R:SUBBAL",
        "93A::FROM//AWAS",
        "16R:INPOS",
        *(field.format("OURS1") for field in LINK),
        "36B::SETT//UNIT/500,",
        "93A::TOBA//BLOK",
        "98A::SETT//20260304",
        "16S:INPOS",
        "16S:SUBBAL",
        "16S:FIN",
    )
    found = read(securities("538", *moved, general=("69A::STAT//20260302/20260304", "22F::CODE//DELT")))
    assert (found.kind, found.update) == ("balance_movements", "delta")
    assert found.transactions == (
        TransactionEntry(
            account_owner_transaction_id="OURS1",
            account=ACCOUNT,
            isin=ISIN,
            quantity=Quantity(Decimal(500), "unit"),
            settlement_date=date(2026, 3, 4),
            balance_from="AWAS",
            balance_to="BLOK",
        ),
    )


def test_pending_transactions_and_postings_say_the_same_in_both_languages() -> None:
    """Equal facts; a statement of FIN has no reference beside its number, which ISO 20022 writes with five digits."""
    theirs = (*status("SETT//PEND", "PEND//LACK"), "16S:STAT")
    ours = read(pending("16R:TRANS", *listed("OURS1"), *theirs, "16S:TRANS"))
    other = read(iso.pending(iso.listed("OURS1")))
    assert replace(ours, number="00017") == replace(other, reference=None)
    assert read(posted("OURS1")).transactions == read(iso.postings(iso.posted("OURS1"))).transactions


def test_holdings_say_the_same_in_both_languages() -> None:
    ours = read(holdings({ISIN: "1000", "US0378331005": "N5"}, "20260304"))
    other = read(iso.holdings({ISIN: "1000", "US0378331005": "-5"}, "2026-03-04", identifier="H1"))
    assert replace(ours, number=None) == replace(other, reference=None)


def test_cash_statements_say_the_same_in_both_languages() -> None:
    ours = read(cash("61:260304D61234,56NTRFX", closing="D260304EUR61134,56"))
    entry = iso.booked("X", side="DBIT")
    other = read(iso.cash(entry))
    assert (ours.kind, ours.account, ours.currency) == (other.kind, other.account, other.currency)
    assert (ours.sequence, ours.statement_date) == (other.sequence, other.statement_date)
    [one], [two] = ours.entries, other.entries
    assert (one.amount, one.credit_debit, one.status, one.reversal) == (
        two.amount,
        two.credit_debit,
        two.status,
        two.reversal,
    )
    assert [balance.type for balance in ours.balances] == [balance.type for balance in other.balances]


# What the servicer says in FIN is compared like what it says in ISO 20022, whatever language we instruct in.


async def test_a_pending_statement_that_agrees_is_complete_and_says_so(loops: Loops) -> None:
    await sent(loops)
    body = ("16R:TRANS", *listed(transaction()), *status("SETT//PEND", "PEND//LACK"), "16S:STAT", "16S:TRANS")
    await loops.hear(pending(*body))
    found = await statement(loops, "017/2026-03-03")
    assert (found.instruction.headline, alerts(found)) == ("agrees", [])
    assert await differences(loops) == []


async def test_a_pending_statement_differs_by_status_and_by_what_it_lacks(loops: Loops) -> None:
    await sent(loops, instruct("T1"), instruct("T2"))
    body = ("16R:TRANS", *listed(transaction()), *status("MTCH//NMAT", "NMAT//DQUA"), "16S:STAT", "16S:TRANS")
    await loops.hear(pending(*body))
    assert await differences(loops) == [
        ("statement_status_differs", "matching", None, "unmatched"),
        ("statement_transaction_missing", "status", "sent", None),
    ]


async def test_pages_of_a_pending_statement_are_joined_by_its_number(loops: Loops) -> None:
    await sent(loops, instruct("T1"), instruct("T2"))
    for page, trade in (("1/MORE", "T1"), ("2/LAST", "T2")):
        body = ("16R:TRANS", *listed(transaction(trade)), *status("SETT//PEND"), "16S:STAT", "16S:TRANS")
        await loops.hear(pending(*body, page=page, reference=f"PAGE{page[0]}"))
    found = await statement(loops, "017/2026-03-03")
    assert (found.instruction.headline, alerts(found)) == ("agrees", [])


async def test_a_posting_report_is_compared_with_what_was_settled(loops: Loops) -> None:
    await sent(loops)
    await loops.hear(posted(transaction()))
    assert [code for code, *_ in await differences(loops)] == ["statement_settled_there"]


async def test_a_posting_of_what_is_settled_here_agrees(loops: Loops) -> None:
    await sent(loops)
    await loops.hear(settled(), posted(transaction()))
    assert await differences(loops) == []


async def test_holdings_that_moved_without_a_settlement_are_alerted(loops: Loops) -> None:
    await loops.hear(
        holdings({ISIN: "1000"}, "20260303", reference="HOLDINGS1"),
        holdings({ISIN: "900"}, "20260304", reference="HOLDINGS2"),
    )
    assert [code for code, *_ in await differences(loops)] == ["statement_holding_differs"]


# --- at random --------------------------------------------------------------------------------------------------------


_BALANCE = re.compile(r"^(6[0245][FM]?:)[A-Z]([0-9]{6})[A-Z]{3}")
_LINE = re.compile(r"^(61:[0-9]{6,10})[A-Z]{1,3}(?=[0-9])")


@pytest.mark.parametrize(
    "number",
    [
        "103",
        "195",
        "196",
        "199",
        "202",
        "295",
        "296",
        "299",
        "535",
        "536",
        "537",
        "538",
        "586",
        "900",
        "910",
        "940",
        "950",
    ],
)
def test_whatever_a_definition_allows_is_read_or_refused_with_a_code(number: str) -> None:
    count, codes = 0, set[str]()
    for made in made_messages(f"MT{number}", range(15)):
        lines = text_of([one.field for one in made])[1:].split("\n:")
        # Marks that there are, and balances of one currency, as the network asks.
        lines = [_LINE.sub(r"\1RD", _BALANCE.sub(r"\1C\2EUR", line)) for line in lines]
        try:
            reply = messages().read(said(number, *lines))
        except MessageError as error:
            codes.add(error.code)
            continue
        count += 1
        for references, fact in reply.facts:
            assert isinstance(references, References)
            if isinstance(fact, Statement):
                assert fact.page_number >= 0
                assert fact.number is None or int(fact.number) >= 0
                assert positions_of(fact) is not None
    assert codes <= {"message_invalid", "definition_not_read", "code_unknown", "value_unrepresentable"}
    assert count or number in ("103", "202")


# --- samples of other people ------------------------------------------------------------------------------------------

_REASONS = {
    "message_invalid": "it breaks the definition of its message or a rule of the network",
    "fin_header_malformed": "a header is wrong, and the text was copied out of a program",
    "fin_code_artefact": "it was copied out of a program, with the program's quotes",
    "fin_several_messages": "a file of several messages, which the carrier parts",
}


@needs_reference
@pytest.mark.parametrize(("number", "least"), [("940", 3), ("950", 4)])
def test_statements_of_other_people_are_read_or_refused_for_a_reason(number: str, least: int) -> None:
    refused: dict[str, str] = {}
    count = 0
    for path in sorted((shared() / "samples" / f"MT{number}").iterdir()):
        try:
            found = read(split(path.read_bytes()).messages[-1])
        except MessageError as error:
            refused[path.name] = error.code
            continue
        count += 1
        assert (found.kind, len(found.balances) >= 2) == ("cash_account", True), path.name
        assert found.account, path.name
        assert all(entry.amount and entry.amount.currency == found.currency for entry in found.entries), path.name
        assert len(found.entries) == path.read_bytes().count(b"\n:61:"), path.name
    assert set(refused.values()) <= _REASONS.keys(), refused
    assert count >= least
