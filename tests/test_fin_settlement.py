"""Settlement in FIN: the same event means the same in both languages; what FIN cannot carry is refused by its field."""

from __future__ import annotations

import copy
import os
import re
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gateway.errors import BuildError, GatewayError, Violation
from gateway.messages import Identity, Messages
from gateway.messages.fin import parse
from gateway.messages.schema_files import load_catalogue
from gateway.model.events import EVENT_KINDS, parse_event
from gateway.model.facts import Amount, Quantity, SettlementInstruction
from gateway.model.profile import KafkaCarrier, Profile
from tests.examples import encode, leaves, remove, terms_about

GOLDEN = Path(__file__).parent / "golden" / "fin"
OWN_BIC, BIC = "OURSGB2LXXX", "CUSTDEFFXXX"
INSTRUCT, CANCEL = "instruct_settlement/1", "cancel_settlement/1"
IDENTITY = Identity("0A1B2C3D4E5F6G7H", "MSG0000000000001", datetime(2026, 3, 2, 9, 15, 30, tzinfo=UTC))
# What no field of MT540 to 543 says.
NOT_IN_FIN = {
    "unique_transaction_identifier",
    "hold_reasons",
    "modification_cancellation_allowed",
    "eligible_as_collateral",
    "return_leg",
}


def profile(language: str) -> Profile:
    carrier = KafkaCarrier(outbound_topic="out", inbound_topic="in")
    return Profile(bic=BIC, name="Custodian", language=language, channel=carrier)  # type: ignore[arg-type]  # one of two


@cache
def messages() -> Messages:
    return Messages(load_catalogue(), [profile("fin"), profile("iso20022")], OWN_BIC)


FIN, ISO = profile("fin"), profile("iso20022")


def built(event: dict[str, Any], language: Profile = FIN) -> bytes:
    return messages().build(parse_event(encode(event)), language, IDENTITY).content


def complete() -> dict[str, Any]:
    """Return an event with everything that FIN says of a settlement."""
    event = {name: value for name, value in EVENT_KINDS[INSTRUCT].example.items() if name not in NOT_IN_FIN}
    event["linkages"] = [{"position": "WITH", "settlement_transaction_id": "OTHER-1"}, {"pool_id": "POOL-7"}]
    event["other_amounts"] = {name: amount for name, amount in event["other_amounts"].items() if name != "network_fee"}
    return _in_set_x(_without_schemes(event))


def _in_set_x(value: Any) -> Any:
    """Leave out of texts what FIN has no character for."""
    if isinstance(value, list):
        return [_in_set_x(one) for one in value]
    if isinstance(value, dict):
        return {name: _in_set_x(one) for name, one in value.items()}
    return re.sub(r"[<>&]", "", value).strip() if isinstance(value, str) else value


def _without_schemes(value: Any) -> Any:
    """Name proprietary codes as FIN does: by an issuer of eight characters and no scheme."""
    if isinstance(value, list):
        return [_without_schemes(one) for one in value]
    if not isinstance(value, dict):
        return value
    inner = {name: _without_schemes(one) for name, one in value.items() if name != "scheme"}
    return inner | {"issuer": "HOUSE"} if "issuer" in inner else inner


@pytest.mark.parametrize("name", ["minimal", "complete"])
@pytest.mark.parametrize("movement", ["deliver", "receive"])
@pytest.mark.parametrize("payment", ["against", "free"])
def test_messages_of_examples_are_the_golden_ones(name: str, movement: str, payment: str) -> None:
    event = complete() if name == "complete" else dict(EVENT_KINDS[INSTRUCT].minimal)
    chain = event.get("receiving_parties") or event.get("delivering_parties")
    event |= {"movement": movement, "payment": payment}
    event.setdefault("delivering_parties" if movement == "receive" else "receiving_parties", chain)
    if payment == "against":
        event.setdefault("settlement_amount", {"value": "61234.56", "currency": "EUR"})
    else:
        for field in ("settlement_amount", "value_date", "accrued_interest_included", "stamp_duty_included"):
            event.pop(field, None)
    content = built(event)
    file = GOLDEN / f"{movement}_{payment}.{name}.txt"
    if os.environ.get("UPDATE_GOLDEN"):
        file.write_bytes(content)
    assert content == file.read_bytes()


REQUESTS = {
    "MT530": "change_settlement_conditions/1",
    "MT549": "query_settlement_status/1",
    "MT524": "instruct_intra_position_movement/1",
}
_OF_A_SCHEME = ("code.identification", "code.issuer")
# What their examples say and FIN has no place for.
NOT_IN_REQUESTS = {
    "MT530": {"return_leg", *(f"hold_reasons[].{part}" for part in ("code", "text", *_OF_A_SCHEME))},
    "MT549": set[str](),
    "MT524": {"priority", "sub_balance"},
}


@pytest.mark.parametrize("size", ["minimal", "complete"])
@pytest.mark.parametrize("message_type", sorted(REQUESTS))
def test_requests_and_movements_of_examples_are_the_golden_ones(message_type: str, size: str) -> None:
    kind = EVENT_KINDS[REQUESTS[message_type]]
    example = kind.minimal if size == "minimal" else kind.example
    event: dict[str, Any] = _in_set_x(_without_schemes(copy.deepcopy(dict(example))))
    terms = terms_about(parse_event(encode(event)).dialogue)
    refused = set[str]()
    if size == "complete" and NOT_IN_REQUESTS[message_type]:
        with pytest.raises(BuildError) as error:
            messages().build(parse_event(encode(event)), FIN, IDENTITY, terms)
        refused = {violation.path for violation in error.value.violations}
        for path in sorted(refused, reverse=True):
            remove(event, path)
    assert refused == (NOT_IN_REQUESTS[message_type] if size == "complete" else set())
    content = messages().build(parse_event(encode(event)), FIN, IDENTITY, terms).content
    file = GOLDEN / f"built.{message_type}.{size}.txt"
    if os.environ.get("UPDATE_GOLDEN"):
        file.write_bytes(content)
    assert content == file.read_bytes()


def test_the_movement_and_the_payment_say_the_message_type() -> None:
    event = EVENT_KINDS[INSTRUCT].minimal
    types = {
        (movement, payment): messages().definition_for(
            parse_event(
                encode(
                    dict(event)
                    | {"movement": movement, "payment": payment, "delivering_parties": event["receiving_parties"]}
                    | ({"settlement_amount": {"value": "1", "currency": "EUR"}} if payment == "against" else {})
                )
            ),
            FIN,
        )
        for movement in ("receive", "deliver")
        for payment in ("free", "against")
    }
    assert types == {
        ("receive", "free"): "MT540",
        ("receive", "against"): "MT541",
        ("deliver", "free"): "MT542",
        ("deliver", "against"): "MT543",
    }


def test_a_held_instruction_is_one_of_function_prea() -> None:
    fields = {
        field.tag: field.value for field in parse(built(dict(EVENT_KINDS[INSTRUCT].minimal) | {"hold": True})).fields
    }
    assert fields["23G"] == "PREA"


@st.composite
def instructions(draw: st.DrawFn) -> dict[str, Any]:
    """Draw an instruction: everything there is, or what FIN has a place for, with some of it left out or changed."""
    event = copy.deepcopy(draw(st.sampled_from([complete(), EVENT_KINDS[INSTRUCT].example])))
    paths = sorted({re.sub(r"\[\d+\]$", "", path) for path in leaves(event)} | event.keys())
    for path in draw(st.lists(st.sampled_from(paths), max_size=25, unique=True)):
        remove(event, path)
    for name in ("delivering_parties", "receiving_parties", "investors", "linkages"):
        if name in event:
            del event[name][draw(st.integers(0, len(event[name]))) :]
    event["quantity"] = {
        "type": draw(st.sampled_from(["unit", "face_amount", "amortised_value"])),
        "value": str(draw(st.decimals(min_value=Decimal("0.01"), max_value=Decimal(10) ** 9, places=4))),
    }
    event["movement"] = draw(st.sampled_from(["deliver", "receive"]))
    if "settlement_amount" not in event or draw(st.booleans()):
        event["payment"] = "free"
        for name in ("settlement_amount", "value_date", "accrued_interest_included", "stamp_duty_included"):
            event.pop(name, None)
    for name in draw(st.lists(st.sampled_from(["processing_text", "security_text", "common_reference"]), max_size=2)):
        event[name] = draw(st.text("abcXYZ019/-?:().,'+ ", min_size=1, max_size=40).filter(str.strip)).strip()
    return event


@given(event=instructions())
@settings(max_examples=150, suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much])
def test_an_event_means_the_same_in_both_languages(event: dict[str, Any]) -> None:
    """What FIN carries is read back into the facts that ISO 20022 gives; what it cannot, it names."""
    try:
        iso = built(event, ISO)
    except GatewayError:
        return
    refused: tuple[Violation, ...] = ()
    try:
        fin = built(event)
    except GatewayError as error:
        refused = error.violations
    if refused:
        assert all(violation.path and violation.rule for violation in refused)
        return
    assert messages().read(fin).facts == messages().read(iso).facts


@pytest.mark.parametrize("field", sorted(NOT_IN_FIN))
def test_a_field_without_a_place_in_fin_is_refused_by_name(field: str) -> None:
    event = complete() | {field: EVENT_KINDS[INSTRUCT].example[field], "hold": True}
    with pytest.raises(BuildError) as refused:
        built(event)
    assert {violation.code for violation in refused.value.violations} == {"element_not_in_version"}
    assert all(violation.path.startswith(field) for violation in refused.value.violations)


@pytest.mark.parametrize(
    ("change", "path"),
    [
        ({"trade_id": "T-2026-000123-AND-MORE"}, "/4/A/A1[1]/20C/TRRF"),
        ({"common_reference": "/BEGINS-WRONG"}, "/4/A/A1[1]/20C/COMM"),
        ({"security_description": "Straße"}, "/4/B/35B"),
        ({"processing_text": "x" * 350}, None),
    ],
)
def test_a_value_that_fin_cannot_write_is_refused_with_its_field(change: dict[str, Any], path: str | None) -> None:
    event = dict(EVENT_KINDS[INSTRUCT].minimal) | change
    if path is None:
        built(event)  # ten lines of thirty-five
        return
    with pytest.raises(GatewayError) as refused:
        built(event)
    assert refused.value.violations


def test_a_cancellation_is_the_instruction_again_with_a_link_to_it() -> None:
    event = parse_event(encode(dict(EVENT_KINDS[INSTRUCT].minimal)))
    instructed = messages().build(event, FIN, IDENTITY)
    again = Identity(
        IDENTITY.transaction_id,
        "MSG0000000000002",
        datetime(2026, 3, 2, 10, 0, tzinfo=UTC),
        original_definition=instructed.message_definition,
    )
    cancel = parse_event(encode(dict(EVENT_KINDS[CANCEL].minimal)))
    content = messages().build(cancel, FIN, again, event.terms(), instructed.content).content
    before = [(field.tag, field.value) for field in parse(instructed.content).fields]
    after = [(field.tag, field.value) for field in parse(content).fields]
    assert after[:4] == [
        ("16R", "GENL"),
        ("20C", ":SEME//MSG0000000000002"),
        ("23G", "CANC"),
        ("98C", ":PREP//20260302100000"),
    ]
    link = [("16R", "LINK"), ("20C", f":PREV//{IDENTITY.transaction_id}"), ("16S", "LINK")]
    start = before.index(("16S", "GENL"))
    assert after[4:] == [*before[4:start], *link, *before[start:]]
    (_, fact), *_ = messages().read(content).facts
    assert isinstance(fact, SettlementInstruction)
    assert fact.standing == "cancelled"


def test_a_cancellation_names_nothing_before_it_but_what_it_cancels() -> None:
    linkages = [{"position": "WITH", "settlement_transaction_id": "OTHER-1"}, {"pool_id": "POOL-7"}]
    event = parse_event(encode(dict(EVENT_KINDS[INSTRUCT].minimal) | {"linkages": linkages}))
    instructed = messages().build(event, FIN, IDENTITY)
    cancel = parse_event(encode(dict(EVENT_KINDS[CANCEL].minimal)))
    about = replace(IDENTITY, original_definition=instructed.message_definition)
    content = messages().build(cancel, FIN, about, event.terms(), instructed.content).content
    said = [field.value for field in parse(content).fields if field.tag == "20C"]
    assert [value for value in said if value.startswith(":PREV")] == [f":PREV//{IDENTITY.transaction_id}"]
    assert ":POOL//POOL-7" in said


def test_a_cancellation_of_what_was_no_message_in_fin_is_refused() -> None:
    iso = messages().build(parse_event(encode(dict(EVENT_KINDS[INSTRUCT].minimal))), ISO, IDENTITY)
    cancel = parse_event(encode(dict(EVENT_KINDS[CANCEL].minimal)))
    with pytest.raises(GatewayError):
        messages().build(cancel, FIN, IDENTITY, original=iso.content)


def test_an_instruction_is_read_into_its_terms() -> None:
    (references, fact), *_ = messages().read(built(complete())).facts
    assert references.account_owner_transaction_id == IDENTITY.transaction_id
    assert isinstance(fact, SettlementInstruction)
    example = EVENT_KINDS[INSTRUCT].example
    assert fact.isin == example["isin"]
    assert isinstance(fact.amount, Amount)
    assert isinstance(fact.quantity, Quantity)
    assert str(fact.amount.value) == example["settlement_amount"]["value"]
    assert fact.settlement_date is not None
    assert fact.settlement_date.isoformat() == example["settlement_date"]


def test_known_shapes_are_read_as_unknown_ones_are() -> None:
    unknown = Messages(load_catalogue(), [FIN], OWN_BIC)
    first = unknown.read(built(complete()))
    for number in range(60):  # long enough for the shape to be learned
        event = complete() | {"trade_id": f"T-{number:06}"}
        assert unknown.read(built(event)).facts[0][0].trade_id == f"T-{number:06}"
    assert unknown.read(built(complete())) == first


def test_what_fin_has_no_message_for_is_refused_by_its_kind() -> None:
    with pytest.raises(BuildError) as refused:
        built(dict(EVENT_KINDS["modify_settlement/1"].minimal))
    assert refused.value.code == "not_in_language"
