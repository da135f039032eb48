"""Which instruction a reply is about, and what it confirms differently."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.matching import (
    BUSINESS_MESSAGE_ID,
    KEY_KINDS,
    TRANSACTION_ID,
    Ambiguous,
    Candidate,
    Correlated,
    Correlation,
    Key,
    Unknown,
    WrongCounterparty,
    compare,
    correlate,
    correlation_keys,
    same_party,
)
from gateway.model.facts import (
    Amount,
    Difference,
    Fact,
    MessageRejection,
    MessageWithdrawal,
    Quantity,
    References,
    Reply,
    RequestAdvice,
    SettlementConfirmation,
    StatusAdvice,
    StatusValue,
    Terms,
)

BANK, OTHER_BANK = "BANKDEFF", "OTHRFRPP"
ONE = Candidate(1, "TX1", BANK, "SRV1", {"MSG1": "instruction", "CXL1": "cancellation"}, "COMMON")
TWO = Candidate(2, "TX2", BANK, "SRV2", {"MSG2": "instruction"}, "COMMON")
FOREIGN = Candidate(3, "TX3", OTHER_BANK, "SRV1", {"MSG3": "instruction"}, "SHARED")
EVERYONE = (ONE, TWO, FOREIGN)
ADVICE = StatusAdvice(processing=StatusValue("accepted"))


def correlated(
    references: References, fact: Fact = ADVICE, *, sender: str | None = BANK, channel: str = BANK
) -> Correlation:
    reply = Reply(
        "sese.024.001.13", ((references, fact),), created_at=datetime(2026, 1, 5, tzinfo=UTC), sender_bic=sender
    )
    return correlate(references, reply, EVERYONE, channel)


@pytest.mark.parametrize(
    ("references", "kind", "about"),
    [
        (References(account_owner_transaction_id="TX1"), "account_owner_transaction_id", None),
        (References(confirmation_reference="TX1"), "confirmation_reference", None),
        (References(request_reference="CXL1"), "request_reference", "cancellation"),
        (References(related_business_message_id="MSG1"), "related_business_message_id", "instruction"),
        (References(account_servicer_transaction_id="SRV1"), "account_servicer_transaction_id", None),
    ],
)
def test_a_reply_is_correlated_by_each_reference(references: References, kind: str, about: str | None) -> None:
    found = correlated(references)
    assert isinstance(found, Correlated)
    assert (found.candidate, found.by.kind, found.about) == (ONE, kind, about)


def test_agreeing_references_correlate_by_the_strongest_and_say_which_message_is_meant() -> None:
    found = correlated(
        References(
            account_owner_transaction_id="TX1",
            account_servicer_transaction_id="SRV1",
            request_reference="CXL1",
            common_id="COMMON",
        ),
        RequestAdvice("cancellation", StatusValue("accepted")),
    )
    assert isinstance(found, Correlated)
    assert (found.candidate, found.by, found.about) == (ONE, Key("account_owner_transaction_id", "TX1"), "cancellation")


def test_conflicting_strong_references_are_ambiguous_and_both_are_named() -> None:
    found = correlated(References(account_owner_transaction_id="TX1", related_business_message_id="MSG2"))
    assert isinstance(found, Ambiguous)
    assert found.instruction_ids == (1, 2)
    assert found.text == (
        "account_owner_transaction_id TX1 names instruction 1; related_business_message_id MSG2 names instruction 2"
    )


def test_a_strong_reference_outweighs_a_weak_one() -> None:
    found = correlated(References(account_owner_transaction_id="TX2", account_servicer_transaction_id="SRV1"))
    assert isinstance(found, Correlated)
    assert found.candidate is TWO


def test_an_unknown_transaction_is_unknown_whatever_weaker_references_say() -> None:
    found = correlated(References(account_owner_transaction_id="TX9", account_servicer_transaction_id="SRV1"))
    assert found == Unknown("no instruction has account_owner_transaction_id TX9")


def test_an_unknown_transaction_with_a_known_message_is_ambiguous() -> None:
    found = correlated(References(account_owner_transaction_id="TX9", related_business_message_id="MSG1"))
    assert isinstance(found, Ambiguous)
    assert "TX9 names no instruction" in found.text


def test_a_related_message_that_is_not_ours_does_not_matter() -> None:
    found = correlated(References(account_owner_transaction_id="TX1", related_business_message_id="THEIRS"))
    assert isinstance(found, Correlated)
    assert found.about is None


def test_no_reference_is_written_nonref_and_means_none() -> None:
    found = correlated(References(account_owner_transaction_id="NONREF", account_servicer_transaction_id="SRV2"))
    assert isinstance(found, Correlated)
    assert found.candidate is TWO
    assert correlated(References(account_owner_transaction_id="NONREF")) == Unknown(
        "the reply carries no reference that could be ours"
    )


def test_a_common_reference_decides_only_when_it_fits_one_instruction_of_that_counterparty() -> None:
    assert isinstance(correlated(References(common_id="COMMON")), Ambiguous)
    found = correlated(References(common_id="SHARED"), sender=OTHER_BANK, channel=OTHER_BANK)
    assert isinstance(found, Correlated)
    assert found.candidate is FOREIGN


def test_a_servicers_reference_is_unique_within_that_servicer_only() -> None:
    found = correlated(References(account_servicer_transaction_id="SRV1"), sender=OTHER_BANK, channel=OTHER_BANK)
    assert isinstance(found, Correlated)
    assert found.candidate is FOREIGN


@pytest.mark.parametrize(
    ("sender", "channel"), [(OTHER_BANK, OTHER_BANK), (BANK, OTHER_BANK), (OTHER_BANK, BANK), (None, OTHER_BANK)]
)
def test_a_reply_from_another_counterparty_is_never_accepted(sender: str | None, channel: str) -> None:
    for references in (
        References(account_owner_transaction_id="TX1"),
        References(related_business_message_id="MSG1"),
        References(account_owner_transaction_id="TX1", related_business_message_id="MSG1"),
    ):
        found = correlated(references, sender=sender, channel=channel)
        assert isinstance(found, WrongCounterparty)
        assert (found.instruction_id, found.expected) == (1, BANK)
        assert BANK in found.text
        assert OTHER_BANK in found.text


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("BANKDEFF", "BANKDEFF", True),
        ("BANKDEFFXXX", "BANKDEFF", True),
        ("BANKDEFF", "BANKDEFFXXX", True),
        ("BANKDEFF123", "BANKDEFF", False),
        ("BANKDEFF123", "BANKDEFF123", True),
        ("BANKMXXX", "BANKM", False),
        ("BANKMXXX", "BANKMXXXXXX", True),
    ],
)
def test_a_head_office_is_the_same_in_8_and_11_characters_and_a_branch_is_not(one: str, other: str, same: bool) -> None:
    assert same_party(one, other) is same


def test_a_reply_without_a_header_is_judged_by_its_channel() -> None:
    assert isinstance(correlated(References(account_owner_transaction_id="TX1"), sender=None), Correlated)


@pytest.mark.parametrize(("reference", "about"), [("MSG1", "instruction"), ("CXL1", "cancellation"), ("TX1", None)])
def test_a_technical_rejection_names_a_message_or_its_transaction(reference: str, about: str | None) -> None:
    found = correlated(References(), MessageRejection(reference, "SCHEMA"))
    assert isinstance(found, Correlated)
    assert (found.candidate, found.about) == (ONE, about)


def test_keys_come_by_strength_and_name_what_they_are_looked_up_by() -> None:
    references = References(
        account_owner_transaction_id="A",
        account_servicer_transaction_id="B",
        market_infrastructure_transaction_id="P",
        common_id="C",
        request_reference="D",
        related_business_message_id="E",
        confirmation_reference="F",
        originator_reference="H",
        message_reference="I",
        original_transaction_id="J",
        original_instruction_id="K",
        original_message_id="L",
        uetr="M",
        end_to_end_id="N",
        related_reference="O",
    )
    withdrawn = References(account_owner_transaction_id="Z"), MessageWithdrawal("H")
    reply = Reply("admi.002.001.01", ((references, MessageRejection("G", None)), withdrawn))
    keys = correlation_keys(references, reply)
    assert [key.kind for key in keys] == [kind.name for kind in KEY_KINDS]
    assert keys[5].names == (BUSINESS_MESSAGE_ID, TRANSACTION_ID)
    assert correlation_keys(References(), Reply("sese.024.001.14", ())) == ()


_ids = st.sampled_from([None, "TX1", "TX2", "TX3", "TX9", "MSG1", "MSG3", "CXL1", "SRV1", "SRV2", "COMMON", "SHARED"])


@settings(max_examples=300)
@given(
    st.builds(
        References,
        account_owner_transaction_id=_ids,
        request_reference=_ids,
        related_business_message_id=_ids,
        account_servicer_transaction_id=_ids,
        common_id=_ids,
    ),
    st.sampled_from([BANK, "BANKDEFFXXX", OTHER_BANK, None]),
    st.sampled_from([BANK, OTHER_BANK]),
    st.permutations(EVERYONE),
)
def test_whatever_is_referred_to_only_its_own_counterparty_is_accepted_and_the_order_of_candidates_does_not_matter(
    references: References, sender: str | None, channel: str, candidates: list[Candidate]
) -> None:
    reply = Reply("sese.024.001.13", ((references, ADVICE),), sender_bic=sender)
    found = correlate(references, reply, candidates, channel)
    assert found == correlate(references, reply, EVERYONE, channel)
    if isinstance(found, Correlated):
        assert found.candidate.counterparty == channel
        assert sender is None or same_party(sender, channel)


TERMS = Terms(
    movement="deliver",
    payment="against",
    isin="DE0001102580",
    quantity=Quantity(Decimal(100), "unit"),
    amount=Amount(Decimal("1000.00"), "EUR"),
    trade_date=date(2026, 1, 5),
    settlement_date=date(2026, 1, 7),
    safekeeping_account="ACC1",
)
AGREED = SettlementConfirmation(
    settled_quantity=Quantity(Decimal("100.0"), "unit"),
    settled_amount=Amount(Decimal(1000), "EUR"),
    settlement_date=date(2026, 1, 7),
    effective_settlement_date=date(2026, 1, 9),
    trade_date=date(2026, 1, 5),
    safekeeping_account="ACC1",
    isin="DE0001102580",
    movement="deliver",
    payment="against",
)


def test_equal_terms_are_no_difference_however_the_numbers_are_written_and_however_late_it_settled() -> None:
    assert compare(TERMS, AGREED) == ()


def test_what_either_side_does_not_state_is_no_difference() -> None:
    assert compare(TERMS, SettlementConfirmation()) == ()
    assert compare(Terms(), AGREED) == ()


@pytest.mark.parametrize(
    ("changed", "difference"),
    [
        ({"settled_quantity": Quantity(Decimal(99), "unit")}, Difference("quantity", "100", "99")),
        (
            {"settled_quantity": Quantity(Decimal(100), "face_amount")},
            Difference("quantity_type", "unit", "face_amount"),
        ),
        ({"settled_amount": Amount(Decimal("1000.01"), "EUR")}, Difference("amount", "1000.00", "1000.01")),
        ({"settled_amount": Amount(Decimal("999.99"), "EUR")}, Difference("amount", "1000.00", "999.99")),
        ({"settled_amount": Amount(Decimal(1000), "USD")}, Difference("currency", "EUR", "USD")),
        ({"settlement_date": date(2026, 1, 8)}, Difference("settlement_date", "2026-01-07", "2026-01-08")),
        (
            {"effective_settlement_date": date(2026, 1, 6)},
            Difference("effective_settlement_date", "2026-01-07", "2026-01-06"),
        ),
        ({"trade_date": date(2026, 1, 4)}, Difference("trade_date", "2026-01-05", "2026-01-04")),
        ({"safekeeping_account": "ACC2"}, Difference("safekeeping_account", "ACC1", "ACC2")),
        ({"isin": "FR0000131104"}, Difference("isin", "DE0001102580", "FR0000131104")),
        ({"movement": "receive"}, Difference("movement", "deliver", "receive")),
        ({"payment": "free"}, Difference("payment", "against", "free")),
    ],
    ids=lambda case: case.field if isinstance(case, Difference) else "",
)
def test_each_field_that_differs_is_named(changed: dict[str, object], difference: Difference) -> None:
    assert compare(TERMS, replace(AGREED, **changed)) == (difference,)


def test_all_differences_are_named_in_order() -> None:
    fields = [d.field for d in compare(TERMS, replace(AGREED, isin="X", movement="receive", safekeeping_account="Y"))]
    assert fields == ["isin", "movement", "safekeeping_account"]


@pytest.mark.parametrize("partial", ["PAIN", "PARC"])
def test_a_part_may_be_less_but_not_more_than_instructed(partial: str) -> None:
    def part(quantity: int, amount: int) -> list[str]:
        stated = replace(
            AGREED,
            partial=partial,
            settled_quantity=Quantity(Decimal(quantity), "unit"),
            settled_amount=Amount(Decimal(amount), "EUR"),
        )
        return [difference.field for difference in compare(TERMS, stated)]

    assert part(40, 400) == []
    assert part(101, 1001) == ["amount", "quantity"]


def test_an_amount_within_the_tolerance_is_no_difference() -> None:
    terms = replace(TERMS, amount_tolerance=Decimal(2))
    assert compare(terms, replace(AGREED, settled_amount=Amount(Decimal(998), "EUR"))) == ()
    assert compare(terms, replace(AGREED, settled_amount=Amount(Decimal("1002.01"), "EUR"))) != ()
