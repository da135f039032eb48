"""The cash leg with a counterparty that speaks FIN: payments, notices, requests, and what comes back."""

from __future__ import annotations

import os
from dataclasses import replace
from datetime import UTC, date, datetime
from decimal import Decimal
from functools import cache
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.errors import BuildError, InvalidMessage, MessageError
from gateway.messages import BuiltMessage, Messages
from gateway.messages.fin import split
from gateway.messages.fin.narratives import said as parts_of
from gateway.messages.mapping import parse_tables
from gateway.messages.schema_files import load_catalogue
from gateway.model.events import parse_event
from gateway.model.facts import AccountEntry, Amount
from gateway.model.profile import Profile
from gateway.model.references import uetr
from gateway.model.transitions import Dialogue
from tests.examples import IDENTITY, encode
from tests.fin_counterparty import fields, heading, said
from tests.loops import CHANNEL, OTHER, OWN_BIC, Loops, party
from tests.reference import needs_reference, shared
from tests.test_payments import NOTICE, PAY, alerts, axis, entry, event, notification, pay, story

GOLDEN = Path(__file__).parent / "golden" / "fin"
ACCOUNT = "DE89370400440532013000"
E2E = "E2E-2026-000123"
UETR = "3f0f6a2e-9a51-4c7e-8b1d-5e0c2a7d9b44"

# --- what is written --------------------------------------------------------------------------------------------------

_IBAN = {"iban": ACCOUNT}
_NUMBER = {"other": {"identification": "40053201"}}
_ADDRESS = {"street": "Marktplatz", "building_number": "1", "post_code": "60311", "town": "Frankfurt", "country": "DE"}
_BANK = {"bic": "AGNTDEFFXXX"}
_TRUST = {
    "name": "Example Trust",
    "address": {"country": "US", "town": "New York", "lines": ["1 Wall Street"]},
    "account": _NUMBER,
}
_MEMBER = {"clearing_member": {"system": "USABA", "member": "021000089"}}
_INVESTOR = {"name": "Example Asset Management", "address": _ADDRESS, "account": _IBAN}
_PERSON = {
    "name": "Erika Mustermann",
    "address": {"country": "DE", "town": "Frankfurt"},
    "person": {"birth": {"born_on": "1964-08-12", "city": "Muenchen", "country": "DE"}},
    "account": _NUMBER,
}
_TRANSFER: dict[str, Any] = {
    "settlement_times": {"cls": "11:00:00+01:00"},
    "debited_at": "2026-03-04T10:00:00Z",
    "credited_at": "2026-03-04T11:05:00+01:00",
    "end_to_end_id": E2E,
    "uetr": UETR,
    "previous_instructing_agents": [_BANK],
    "intermediary_agents": [_BANK | {"account": _NUMBER}],
    "creditor_agent": _TRUST,
    "instructions_for_next_agent": [{"text": "Cover follows"}],
    "remittance": ["Settlement of T-2026-000123"],
}
_BETWEEN_INSTITUTIONS = _TRANSFER | {
    "settlement_account": _IBAN,
    "debtor": {"bic": OWN_BIC, "account": _IBAN},
    "creditor": {"bic": "BRKRGB2LXXX", "account": _NUMBER},
    "instructions_for_creditor_agent": [{"text": "Value of the day, and more of it in a second line"}],
}
_UNDERLYING = {
    "debtor": _INVESTOR,
    "debtor_agent": _BANK,
    "intermediary_agents": [_BANK],
    "creditor_agent": _MEMBER,
    "creditor": _PERSON,
    "instructions_for_next_agent": [{"text": "Cover follows"}],
    "remittance": ["Invoice 1"],
    "instructed_amount": {"value": "61240.00", "currency": "EUR"},
}
_FOR_CUSTOMER = _TRANSFER | {
    "settlement_method": "cover",
    "debtor": _INVESTOR,
    "debtor_agent": _BANK,
    "creditor_agent": _MEMBER,
    "creditor": _PERSON,
    "instructing_reimbursement_agent": _BANK | {"account": _NUMBER},
    "instructed_reimbursement_agent": _TRUST,
    "third_reimbursement_agent": {"bic": "BRKRGB2LXXX"},
    "instructed_amount": {"value": "66000.00", "currency": "USD"},
    "exchange_rate": "0.9278",
    "instructions_for_creditor_agent": [
        {"code": "PHOB", "text": "Ring before crediting"},
        {"text": "Value of the day"},
    ],
}
_NOTICE = {
    "debtor": _TRUST | {"account": None},
    "intermediary_agent": _BANK,
    "end_to_end_id": "THEIR-E2E-1",
    "uetr": UETR,
}

BUILT: dict[str, tuple[str, dict[str, Any], str | None]] = {
    "MT202.minimal": ("transfer_between_institutions", {}, None),
    "MT202.complete": ("transfer_between_institutions", _BETWEEN_INSTITUTIONS, None),
    "MT202COV.complete": ("transfer_between_institutions", _BETWEEN_INSTITUTIONS | {"underlying": _UNDERLYING}, None),
    "MT103.minimal": ("transfer_for_customer", {}, None),
    "MT103.complete": ("transfer_for_customer", _FOR_CUSTOMER, None),
    "MT103.organisation": (
        "transfer_for_customer",
        {
            "debtor": {"organisation": {"bic": "CLNTUS33"}, "account": _NUMBER},
            "creditor": {"organisation": {"bic": "CLNTUS33"}},
            "charge_bearer": "debtor",
        },
        None,
    ),
    "MT210.minimal": ("notify_to_receive", {"debtor": _BANK}, None),
    "MT210.complete": ("notify_to_receive", _NOTICE, None),
    "MT210.customer": ("notify_to_receive", {"customer_debtor": _INVESTOR | {"account": None}}, None),
    "MT192.minimal": ("cancel_payment", {}, "MT103"),
    "MT292.complete": (
        "cancel_payment",
        {"reason": {"proprietary": "Trade cancelled"}, "texts": ["The trade was cancelled", "before the cut-off"]},
        "MT202COV",
    ),
    "MT292.notice": ("cancel_notice", {"reason": "DUPL", "texts": ["Announced twice"]}, "MT210"),
    "MT292.minimal": ("cancel_notice", {}, "MT210"),
    "MT195.minimal": ("query_payment_status", {}, "MT103"),
    "MT295.minimal": ("query_payment_status", {}, "MT202"),
}


def _given(value: Any) -> Any:
    """Leave out what is None, at any depth."""
    if isinstance(value, dict):
        return {name: _given(inner) for name, inner in value.items() if inner is not None}
    return [_given(inner) for inner in value] if isinstance(value, list) else value


def profile(**changes: Any) -> Profile:
    return Profile.model_validate(party(CHANNEL, language="fin", **changes))


@cache
def messages() -> Messages:
    return Messages(load_catalogue(), [profile()], OWN_BIC)


def build(kind: str, changes: dict[str, Any], original: str | None = None, **drops: Any) -> BuiltMessage:
    """Build the message of an event to a counterparty that speaks FIN."""
    identity = replace(
        IDENTITY, original_definition=original, original_created_at=datetime(2026, 3, 2, 9, 30, tzinfo=UTC)
    )
    spoken = profile(**drops)
    made = messages() if not drops else Messages(load_catalogue(), [spoken], OWN_BIC)
    return made.build(parse_event(encode(_given(event(kind, **changes)))), spoken, identity)


@pytest.mark.parametrize("name", BUILT)
def test_every_message_is_written_as_the_golden_one(name: str) -> None:
    kind, changes, original = BUILT[name]
    built = build(kind, changes, original)
    assert built.message_definition == name.partition(".")[0]
    path = GOLDEN / f"built.{name}.txt"
    if os.environ.get("UPDATE_GOLDEN"):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(built.content)
    assert built.content == path.read_bytes()


@pytest.mark.parametrize(
    ("kind", "changes", "path"),
    [
        ("transfer_between_institutions", {"purpose": "SECU"}, "purpose"),
        ("transfer_between_institutions", {"creditor": {"bic": "BRKRGB2LXXX", "name": "A"}}, "creditor.name"),
        ("transfer_between_institutions", {"debtor_agent": {"bic": "BRKRGB2LXXX"}}, "debtor_agent.bic"),
        (
            "transfer_between_institutions",
            {"creditor": {"clearing_member": {"system": "XXYYZ", "member": "1"}, "name": "A"}},
            "creditor.clearing_member.system",
        ),
        (
            "transfer_between_institutions",
            {"previous_instructing_agents": [{"name": "A bank"}]},
            "previous_instructing_agents[].name",
        ),
        (
            "transfer_between_institutions",
            {"intermediary_agents": [_BANK, _BANK], "creditor_agent": _BANK},
            "intermediary_agents[1].bic",
        ),
        ("transfer_between_institutions", {"settlement_times": {"cls": "11:00:30Z"}}, "settlement_times.cls"),
        ("transfer_between_institutions", {"debited_at": "2026-03-05T10:00:00Z"}, "debited_at"),
        ("transfer_for_customer", {"debtor": _PERSON | {"address": None}}, "debtor.person.birth"),
        ("transfer_for_customer", {"creditor": {"organisation": {"lei": "529900T8BM49AURSDO55"}}}, "creditor"),
        (
            "transfer_for_customer",
            {"instructions_for_creditor_agent": [{"code": "XXXX"}]},
            "instructions_for_creditor_agent[].code",
        ),
        ("notify_to_receive", {"debtor": _BANK, "debtor_agent": _BANK}, "debtor_agent.bic"),
    ],
)
def test_what_fin_has_no_place_for_is_refused_by_its_field(kind: str, changes: dict[str, Any], path: str) -> None:
    with pytest.raises(BuildError) as refused:
        build(kind, changes)
    assert path in [violation.path for violation in refused.value.violations]
    assert refused.value.code in ("element_not_in_version", "code_not_in_version")


@pytest.mark.parametrize(
    ("kind", "changes", "code"),
    [
        ("notify_to_receive", {}, "fin_C06"),  # who pays is to be named
        ("transfer_between_institutions", {"intermediary_agents": [_BANK]}, "fin_C81"),
        ("transfer_for_customer", {"charge_bearer": "creditor"}, "fin_E15"),
        (
            "transfer_for_customer",
            {
                "creditor": _INVESTOR
                | {"name": "A name of quite some length that takes three lines and more, to be sure"}
            },
            "fin_format_invalid",
        ),
    ],
)
def test_what_the_network_would_refuse_is_refused_before(kind: str, changes: dict[str, Any], code: str) -> None:
    with pytest.raises(InvalidMessage) as refused:
        build(kind, changes)
    assert code in [violation.code for violation in refused.value.violations]


def test_what_a_profile_drops_is_left_out_and_said() -> None:
    built = build(
        "transfer_for_customer",
        {"purpose": "SECU", "debtor_agent": _BANK | {"lei": "529900T8BM49AURSDO55"}},
        drops={"transfer_for_customer/1": ["purpose", "debtor_agent.lei"]},
    )
    assert set(built.dropped) == {"purpose", "debtor_agent.lei"}
    assert b"SECU" not in built.content


def test_charges_are_stated_by_who_bears_them() -> None:
    charge = {"amount": {"value": "5.00", "currency": "EUR"}, "agent": _BANK}
    changes = {"charges": [charge], "instructed_amount": {"value": "61239.56", "currency": "EUR"}}
    drops = {"transfer_for_customer/1": ["charges[].agent"]}
    shared_ = fields(build("transfer_for_customer", changes, drops=drops).content)
    ours = fields(build("transfer_for_customer", changes | {"charge_bearer": "debtor"}, drops=drops).content)
    theirs = fields(build("transfer_for_customer", changes | {"charge_bearer": "creditor"}, drops=drops).content)
    assert {"71A:SHA", "71F:EUR5,00"} <= set(shared_)
    assert {"71A:OUR", "71G:EUR5,00"} <= set(ours)
    assert {"71A:BEN", "71F:EUR5,00"} <= set(theirs)


def test_a_table_is_for_what_is_given_and_for_what_carried_the_instruction() -> None:
    text = "event one/1\nversion one\ndefault MT202\n- | a | internal |"
    cases = "message MT202 when no cover\nmessage MT205 when cover, side = own\nmessage MT292 when original = MT202\n"
    without, with_, request = parse_tables(cases + text, "any.map")
    plain, covered = SimpleNamespace(cover=None), SimpleNamespace(cover="x", side="own")
    assert (without.is_for(plain), without.is_for(covered)) == (True, False)
    assert (with_.is_for(plain), with_.is_for(covered)) == (False, True)
    assert not with_.is_for(SimpleNamespace(cover="x", side="other"))
    assert (request.is_for(plain, "MT202"), request.is_for(plain, "MT103"), request.is_for(plain)) == (
        True,
        False,
        False,
    )


def test_a_request_about_a_message_in_another_language_is_refused() -> None:
    with pytest.raises(BuildError) as refused:
        build("cancel_payment", {}, "pacs.009.001.08")
    assert refused.value.code == "not_in_language"


_WORDS = st.text("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789 ?().,'+", min_size=1, max_size=60)
_WORD = _WORDS.map(str.strip).filter(bool)


@settings(max_examples=60)
@given(
    amount=st.decimals(min_value="0.01", max_value="999999999.99", places=2),
    day=st.dates(date(2000, 1, 1), date(2079, 12, 31)),
    name=_WORD,
    remittance=st.lists(_WORD, max_size=2),
    account=st.from_regex(r"[A-Z0-9]{1,34}", fullmatch=True),
)
def test_what_is_written_is_read_back(
    amount: Decimal, day: date, name: str, remittance: list[str], account: str
) -> None:
    changes = {
        "settlement_amount": {"value": str(amount), "currency": "EUR"},
        "settlement_date": day.isoformat(),
        "creditor": {"name": name, "account": {"other": {"identification": account}}},
        "remittance": remittance,
    }
    content = build("transfer_for_customer", {key: value for key, value in changes.items() if value != []}).content
    told = dict(field.split(":", 1) for field in fields(content))
    assert told["32A"] == f"{day:%y%m%d}EUR{str(amount).replace('.', ',')}"
    first, *lines = told["59"].split("\n")
    assert first == f"/{account}"
    assert "".join("".join(lines).split()) == "".join(name.split())  # a word longer than a line is broken
    said_ = "".join(told.get("70", "").split())
    assert said_ == "".join("".join(remittance).split())


# --- dialogues --------------------------------------------------------------------------------------------------------


async def for_customer(loops: Loops, **changes: Any) -> None:
    await loops.take_in(event("transfer_for_customer", **changes))
    await loops.send()


def debited(amount: str = "EUR61234,56", *, named: str = PAY, reference: str = "DEBIT1", **heading: Any) -> bytes:
    """Return a confirmation of debit."""
    own = (f"20:{reference}", f"21:{named}", f"25:{ACCOUNT}", f"32A:260304{amount}")
    return said("900", *own, **heading)


def credited(
    amount: str = "EUR61234,56", *, named: str = "NONREF", reference: str = "CREDIT1", **heading: Any
) -> bytes:
    """Return a confirmation of credit."""
    own = (f"20:{reference}", f"21:{named}", f"25:{ACCOUNT}", f"32A:260304{amount}", "52A:BRKRGB2LXXX")
    return said("910", *own, **heading)


async def test_a_payment_leaves_with_its_references_and_is_booked_by_the_confirmation_of_debit(
    fin_loops: Loops,
) -> None:
    await pay(fin_loops)
    [sent] = fin_loops.arrived()
    told = fields(sent.content)
    assert told[:2] == [f"20:{PAY}", f"21:{PAY}"]
    assert f"{{121:{uetr(PAY)}}}" in heading(sent.content)
    await fin_loops.hear(debited())
    found = await story(fin_loops)
    assert (found.instruction.headline, alerts(found)) == ("booked", [])
    await fin_loops.prove()


async def test_a_confirmation_of_debit_finds_its_payment_by_the_uetr_alone(fin_loops: Loops) -> None:
    await pay(fin_loops)
    await fin_loops.hear(debited(named="NONREF", uetr=uetr(PAY)))
    assert (await story(fin_loops)).instruction.headline == "booked"


async def test_a_debit_of_another_amount_is_a_break_and_its_repetition_is_not_counted(fin_loops: Loops) -> None:
    await pay(fin_loops)
    await fin_loops.hear(debited("EUR1,00"), debited("EUR1,00"))
    found = await story(fin_loops)
    assert (found.instruction.headline, alerts(found)) == ("partially_booked", ["payment_break"])


async def test_a_debit_that_names_nothing_of_ours_is_parked(fin_loops: Loops) -> None:
    await pay(fin_loops)
    await fin_loops.hear(debited(named="SOMEBODYELSE"))
    assert (await fin_loops.only_parked()).summary.code == "reply_unknown_transaction"


async def test_a_debit_from_another_bank_is_never_accepted(fin_loops: Loops) -> None:
    await pay(fin_loops)
    await fin_loops.hear(debited(sender=OTHER), channel=OTHER)
    assert (await fin_loops.only_parked()).summary.code == "reply_wrong_counterparty"


@pytest.mark.parametrize("how", ["reference", "uetr"])
async def test_a_notice_is_credited_by_the_reference_or_uetr_of_the_payment(fin_loops: Loops, how: str) -> None:
    await fin_loops.take_in(event("notify_to_receive", debtor=_BANK, end_to_end_id="THEIR-E2E-1", uetr=UETR))
    await fin_loops.send()
    assert "21:THEIR-E2E-1" in fields(fin_loops.arrived()[0].content)
    await fin_loops.hear(credited(named="THEIR-E2E-1") if how == "reference" else credited(uetr=UETR))
    found = await story(fin_loops, Dialogue.NOTICE)
    assert (found.instruction.headline, alerts(found)) == ("credited", [])


async def test_a_notice_is_taken_back_by_an_mt292_that_names_it(fin_loops: Loops) -> None:
    await fin_loops.take_in(event("notify_to_receive", debtor=_BANK))
    await fin_loops.send()
    await fin_loops.take_in(event("cancel_notice", reason="DUPL"))
    await fin_loops.send()
    request = fin_loops.arrived()[1].content
    assert heading(request).split("{2:I")[1][:3] == "292"
    assert fields(request)[1:] == [f"21:{NOTICE}", "11S:210\n260302", "79:/DUPL/"]
    assert (await story(fin_loops, Dialogue.NOTICE)).instruction.headline == "cancelled"


async def cancel(loops: Loops) -> str:
    """Ask for the cancellation of the payment; returns the request's reference."""
    await loops.take_in(event("cancel_payment"))
    await loops.send()
    request = fields(loops.arrived()[-1].content)
    return request[0].removeprefix("20:")


@pytest.mark.parametrize(
    ("answer", "value", "headline"),
    [
        ("/CNCL/", "cancelled", "cancelled"),
        ("/PDCR/INDM", "pending", "cancellation_pending"),
        ("/RJCR/LEGL", "rejected", "sent"),
    ],
)
async def test_a_cancellation_is_answered_by_coded_words(
    fin_loops: Loops, answer: str, value: str, headline: str
) -> None:
    await pay(fin_loops)
    reference = await cancel(fin_loops)
    await fin_loops.hear(said("296", "20:ANSWER1", f"21:{reference}", f"76:{answer}"))
    found = await story(fin_loops)
    assert (axis(found, "cancellation"), found.instruction.headline) == (value, headline)
    assert alerts(found) == []


async def test_an_answer_that_no_table_has_is_kept_as_it_came_and_alerted(fin_loops: Loops) -> None:
    await for_customer(fin_loops)
    reference = await cancel(fin_loops)
    assert heading(fin_loops.arrived()[1].content).split("{2:I")[1][:3] == "192"
    await fin_loops.hear(said("196", "20:ANSWER1", f"21:{reference}", "76:/ZZZZ/"))
    found = await story(fin_loops)
    assert axis(found, "cancellation") == "proprietary"
    assert alerts(found) == ["payment_status_unknown"]


async def test_a_query_is_answered_in_words_that_operators_see(fin_loops: Loops) -> None:
    await for_customer(fin_loops)
    await fin_loops.take_in(event("query_payment_status"))
    await fin_loops.send()
    query = fields(fin_loops.arrived()[1].content)
    assert query[1:] == [f"21:{PAY}", "75:PLEASE ADVISE THE STATUS", "11S:103\n260302"]
    reference = query[0].removeprefix("20:")
    await fin_loops.hear(said("196", "20:ANSWER1", f"21:{reference}", "76:PAID ON 260304\nTO BENEFICIARY"))
    found = await story(fin_loops)
    assert (axis(found, "status_query"), axis(found, "investigation")) == ("answered", "answered")
    assert found.state.axes is not None
    [reason] = found.state.axes["investigation"].status.reasons
    assert reason.text == "PAID ON 260304\nTO BENEFICIARY"


@pytest.mark.parametrize(
    ("status", "headline"),
    [
        ("ACSP/G002", "settlement_in_process"),
        ("ACCC", "credited"),
        ("RJCT/AC04", "rejected"),
        ("ACSC", "settled_on_debtor_account"),
        ("PDNG/G004", "pending"),
        ("BLCK", "blocked"),
    ],
)
async def test_a_status_confirmation_in_a_free_format_message_is_read(
    fin_loops: Loops, status: str, headline: str
) -> None:
    await for_customer(fin_loops)
    await fin_loops.hear(
        said("199", "20:GPI1", f"21:{PAY}", f"79://2603041515+0100\n//{status}\n//AGNTDEFFXXX\n//EUR61234,56")
    )
    found = await story(fin_loops)
    assert (found.instruction.headline, alerts(found)) == (headline, [])


async def test_a_status_that_no_table_has_is_kept_and_alerted(fin_loops: Loops) -> None:
    await for_customer(fin_loops)
    await fin_loops.hear(said("199", "20:GPI1", f"21:{PAY}", "79://2603041515+0100\n//ZZZZ/G009"))
    found = await story(fin_loops)
    assert (found.instruction.headline, alerts(found)) == ("proprietary", ["payment_status_unknown"])


async def test_a_rejection_by_the_guidelines_rejects_the_payment_with_its_reason(fin_loops: Loops) -> None:
    await pay(fin_loops)
    narrative = f"/REJT/58\n/AC01/NO SUCH ACCOUNT\n/MREF/{PAY}\n/TEXT/SEE OUR LETTER"
    await fin_loops.hear(said("299", "20:REJECT1", f"21:{PAY}", f"79:{narrative}"))
    found = await story(fin_loops)
    assert found.instruction.headline == "rejected"
    assert found.state.axes is not None
    [reason] = found.state.axes["processing"].status.reasons
    assert (reason.code, reason.text) == ("AC01", "NO SUCH ACCOUNT SEE OUR LETTER")


@pytest.mark.parametrize("number", ["199", "295"])
async def test_free_words_and_queries_are_shown_to_operators(fin_loops: Loops, number: str) -> None:
    await pay(fin_loops)
    words = "79" if number == "199" else "75"
    await fin_loops.hear(said(number, "20:WORDS1", f"21:{PAY}", f"{words}:WHO IS THE BENEFICIARY"))
    found = await story(fin_loops)
    assert (axis(found, "investigation"), alerts(found)) == ("opened", ["investigation_opened"])
    assert "WHO IS THE BENEFICIARY" in found.history[-1].alerts[0].text


async def test_a_return_by_the_guidelines_brings_the_payment_back(fin_loops: Loops) -> None:
    await pay(fin_loops)
    narrative = f"/RETN/58\n/AC04/ACCOUNT CLOSED\n/MREF/{PAY}"
    transfer = ("20:RETURN1", f"21:{PAY}", "32A:260305EUR61234,56", f"58A:{OWN_BIC}", f"72:{narrative}")
    await fin_loops.hear(said("202", *transfer))
    found = await story(fin_loops)
    assert (found.instruction.headline, alerts(found)) == ("returned", ["payment_returned"])
    assert found.state.axes is not None
    [reason] = found.state.axes["return"].status.reasons
    assert (reason.code, reason.text) == ("AC04", "ACCOUNT CLOSED")


async def test_free_words_about_nothing_of_ours_are_parked(fin_loops: Loops) -> None:
    await fin_loops.hear(said("199", "20:WORDS1", "79:HAPPY NEW YEAR"))
    assert (await fin_loops.only_parked()).summary.code == "reply_unknown_transaction"


# --- what is read -----------------------------------------------------------------------------------------------------


def test_a_confirmation_of_credit_has_every_field_of_an_entry() -> None:
    content = said(
        "910",
        "20:CREDIT1",
        "21:THEIRS",
        "25P:40053201\nCUSTDEFFXXX",
        "13D:2603041130+0100",
        "32A:260305JPY1000,",
        "50K:/1\nA PAYER",
    )
    [(references, fact)] = messages().read(content).facts
    assert (references.original_transaction_id, references.end_to_end_id) == ("THEIRS", "THEIRS")
    assert isinstance(fact, AccountEntry)
    assert fact.status is not None
    assert (fact.status.value, fact.credit_debit, fact.account) == ("booked", "CRDT", "40053201")
    assert fact.amount == fact.entry_amount == Amount(Decimal(1000), "JPY")
    assert (fact.value_date, fact.booking_date) == (date(2026, 3, 5), date(2026, 3, 4))


@pytest.mark.parametrize(
    ("tag", "narrative", "parts"),
    [
        ("76", "/CNCL/", {"code": "CNCL"}),
        ("76", "/RJCR/LEGL/BY ORDER", {"code": "RJCR", "reason_code": "LEGL", "text": "BY ORDER"}),
        ("76", "/1/WE HAVE NOT", {}),
        ("76", "WE CANCELLED IT", {}),
        ("79", "/REJT/99\n/XT99/MD01/\n/MREF/A", {"code": "REJT", "reason_code": "MD01", "original_reference": "A"}),
        ("79", "/REJT/72", {}),
        ("79", "/RETN/99\n/AC04/", {"code": "RETN", "reason_code": "AC04"}),
        ("79", "//2603041515+0100\n//ACCC", {"code": "ACCC"}),
        ("79", "PLEASE CALL", {}),
        ("72", "/RETN/99\n/AC04/", {"code": "RETN", "reason_code": "AC04"}),
        ("72", "/INS/AGNTDEFFXXX", {}),
        ("77A", "/REJT/99\n/AC04/", {}),
    ],
)
def test_the_parts_of_a_narrative(tag: str, narrative: str, parts: dict[str, str]) -> None:
    assert parts_of(tag, narrative) == parts


def test_a_confirmation_of_debit_says_the_same_in_both_languages() -> None:
    [(ours, fact)] = messages().read(debited(named="OURS1", uetr=UETR)).facts
    references = f"<AcctSvcrRef>DEBIT1</AcctSvcrRef><InstrId>OURS1</InstrId><UETR>{UETR}</UETR>"
    [(theirs, other)] = messages().read(notification(entry("61234.56", references))).facts
    assert isinstance(fact, AccountEntry)
    assert isinstance(other, AccountEntry)
    assert fact == replace(other, entry_reference=None, amount=fact.amount)
    assert (ours.original_transaction_id, ours.uetr) == (theirs.original_instruction_id, theirs.uetr)


# Why samples of other people are refused, by their code; none of them is anything that the gateway reads a fact from.
_REASONS = {
    "definition_not_read": "a payment to us, which is not a return of one of ours",
    "message_invalid": "it breaks the definition of its message or a rule of the network",
    "fin_code_artefact": "it was copied out of a program, with the program's quotes",
    "fin_several_messages": "a file of several messages, which the carrier parts",
}
_INVALID = {
    "900": {"GoPlasmatic__SwiftMTMessage__mt900_with_time_1.txt"},  # 25P without its BIC
    "910": {"WDibble__OpenPurse__MT910-sample.html_1.txt"},  # a line of field 72 is too long
}


@needs_reference
@pytest.mark.parametrize("number", ["103", "202", "900", "910"])
def test_messages_of_other_people_are_read_or_refused_for_a_reason(number: str) -> None:
    refused: dict[str, str] = {}
    for path in sorted((shared() / "samples" / f"MT{number}").iterdir()):
        try:
            reply = messages().read(split(path.read_bytes()).messages[-1])
        except MessageError as error:
            refused[path.name] = error.code
            continue
        assert [type(fact) for _, fact in reply.facts] == [AccountEntry], path.name
        assert reply.facts[0][0].original_transaction_id, path.name
    assert set(refused.values()) <= _REASONS.keys()
    if number in _INVALID:
        assert refused.keys() == _INVALID[number]
