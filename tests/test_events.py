"""Trade events: what is accepted, and that a refusal names every violation with path, line, rule and value."""

from __future__ import annotations

import json
from collections.abc import Iterator
from decimal import Decimal
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from gateway.cli.events import app
from gateway.errors import EventError, Violation
from gateway.messages.sources import fields_of, kind_of
from gateway.model.events import EVENT_KINDS, event_digest, parse_event
from gateway.model.events.confirmation import ConfirmTrade
from gateway.model.events.settlement import InstructSettlement
from gateway.model.facts import Amount, Quantity
from gateway.model.strict import described
from gateway.model.strict import given as stated
from gateway.model.transitions import Dialogue
from tests.examples import document, encode

INSTRUCT = "instruct_settlement/1"


def refused(content: bytes | dict[str, Any]) -> dict[str, Violation]:
    with pytest.raises(EventError) as caught:
        parse_event(content if isinstance(content, bytes) else encode(content))
    return {violation.path: violation for violation in caught.value.violations}


def changed(**fields: Any) -> dict[str, Any]:
    return document(INSTRUCT, minimal=True) | fields


@pytest.mark.parametrize("kind", EVENT_KINDS)
@pytest.mark.parametrize("minimal", [True, False])
@pytest.mark.parametrize("ensure_ascii", [True, False])
def test_examples_are_valid_however_they_are_written(kind: str, minimal: bool, ensure_ascii: bool) -> None:
    example = document(kind, minimal=minimal)
    plain = parse_event(json.dumps(example, ensure_ascii=ensure_ascii).encode())
    assert plain == parse_event(json.dumps(example, ensure_ascii=not ensure_ascii, indent=3).encode())
    assert plain.kind == kind


@pytest.mark.parametrize("kind", EVENT_KINDS)
def test_complete_examples_use_every_field_of_their_kind(kind: str) -> None:
    model = EVENT_KINDS[kind].model
    fields = {field.alias or name for name, field in described(model).items()}
    given = {
        name
        for example in (document(kind), document(kind, minimal=True), *EVENT_KINDS[kind].others)
        for name in example
    }
    assert fields == given
    for example in EVENT_KINDS[kind].others:
        assert parse_event(encode(example)).kind == kind
    required = {field.alias or name for name, field in described(model).items() if field.is_required()}
    assert required <= document(kind, minimal=True).keys()


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"settlement_method": "clearing"}, "clearing_system"),
        ({"clearing_system": "TGT"}, "clearing_system"),
        (
            {
                "settlement_method": "clearing",
                "clearing_system": "TGT",
                "settlement_account": {"iban": "DE89370400440532013000"},
            },
            "settlement_account",
        ),
        ({"instructed_amount": {"value": "66000.00", "currency": "USD"}}, "exchange_rate"),
        ({"instructed_amount": {"value": "61234.56", "currency": "EUR"}, "exchange_rate": "1"}, "exchange_rate"),
        ({"exchange_rate": "0.9"}, "exchange_rate"),
    ],
)
def test_a_payment_that_its_message_could_not_carry_is_refused_as_an_event(changes: dict[str, Any], field: str) -> None:
    with pytest.raises(EventError) as refused:
        parse_event(encode(document("transfer_for_customer/1", minimal=True) | changes))
    assert [violation.path for violation in refused.value.violations] == [field]


def test_settlement_terms_are_what_confirmations_are_compared_with() -> None:
    event = parse_event(encode(document(INSTRUCT)))
    assert isinstance(event, InstructSettlement)
    terms = event.terms()
    assert (terms.movement, terms.payment, terms.isin) == ("deliver", "against", "DE0007164600")
    assert terms.quantity == Quantity(Decimal(500), "unit")
    assert terms.amount == Amount(Decimal("61234.56"), "EUR")
    assert event.dialogue is Dialogue.SETTLEMENT


@pytest.mark.parametrize(("side", "movement"), [("buy", "receive"), ("sell", "deliver")])
def test_terms_of_a_confirmed_trade_are_seen_from_our_side(side: str, movement: str) -> None:
    event = parse_event(encode(document("confirm_trade/1") | {"side": side}))
    assert isinstance(event, ConfirmTrade)
    assert event.terms().movement == movement
    assert event.dialogue is Dialogue.CONFIRMATION


def test_every_violation_is_named_at_once_with_line_path_rule_and_value() -> None:
    event = changed(
        isin="DE0007164601",
        quantity={"type": "unit", "valeu": "5"},
        settlement_date="2026-03-01",
        place_of_settlement="DAKVZZFF",
        receiving_parties=[],
    )
    violations = refused(json.dumps(event, indent=1).encode())
    assert {path: violation.code for path, violation in violations.items()} == {
        "isin": "identifier_check_digit",
        "quantity.value": "event_field_missing",
        "quantity.valeu": "event_field_unknown",
        "settlement_date": "event_rule_broken",
        "place_of_settlement": "event_field_invalid",
        "receiving_parties": "event_rule_broken",
    }
    lines = json.dumps(event, indent=1).splitlines()
    for path in ("isin", "quantity.valeu", "settlement_date", "place_of_settlement"):
        assert path.rpartition(".")[2] in lines[(violations[path].line or 0) - 1]
    assert "did you mean value?" in violations["quantity.valeu"].text
    assert violations["place_of_settlement"].value == "DAKVZZFF"
    assert "ISO 9362" in violations["place_of_settlement"].rule


@pytest.mark.parametrize(
    ("fields", "path", "code"),
    [
        ({"payment": "against"}, "settlement_amount", "event_rule_broken"),
        ({"settlement_amount": {"value": "1", "currency": "EUR"}}, "settlement_amount", "event_rule_broken"),
        ({"movement": "receive"}, "delivering_parties", "event_rule_broken"),
        ({"hold_reasons": [{"code": "PTYH"}]}, "hold", "event_rule_broken"),
        ({"price": {"rate": "99.5"}}, "price.type", "event_rule_broken"),
        ({"price": {"rate": "99.5", "amount": {"value": "1", "currency": "EUR"}}}, "price", "event_field_invalid"),
        ({"value_date": "2026-03-04"}, "settlement_amount", "event_rule_broken"),
        ({"receiving_parties": [{}]}, "receiving_parties[0]", "event_field_invalid"),
        (
            {"receiving_parties": [{"bic": "AGNTDEFF", "address": {"country": "DE"}}]},
            "receiving_parties[0]",
            "event_field_invalid",
        ),
        ({"receiving_parties": [{"bic": "AGNTDEFF"}] * 6}, "receiving_parties", "event_field_invalid"),
        (
            {"receiving_parties": [{"bic": "AGNTDEFF", "lei": "529900T8BM49AURSDO56"}]},
            "receiving_parties[0].lei",
            "identifier_check_digit",
        ),
        ({"cash_account": {"iban": "DE88370400440532013000"}}, "cash_account.iban", "identifier_check_digit"),
        ({"transaction_type": "trad"}, "transaction_type", "event_field_invalid"),
        ({"transaction_type": {"identification": "ABCD"}}, "transaction_type.issuer", "event_field_missing"),
        ({"instruction_number": "1"}, "instruction_number", "event_field_invalid"),
        ({"instruction_number": True}, "instruction_number", "event_field_invalid"),
        ({"instruction_number": 0}, "instruction_number", "event_field_invalid"),
        ({"occurred_at": "2026-03-02T09:15:00"}, "occurred_at", "event_field_invalid"),
        ({"occurred_at": "1772442900"}, "occurred_at", "event_field_invalid"),
        ({"trade_date": "02.03.2026"}, "trade_date", "event_field_invalid"),
        ({"trade_date": 20260302}, "trade_date", "event_field_invalid"),
        ({"safekeeping_account": "A\x00B"}, "safekeeping_account", "event_field_invalid"),
        ({"safekeeping_account": "A\nB"}, "safekeeping_account", "event_field_invalid"),
        ({"processing_text": "A\rB"}, "processing_text", "event_field_invalid"),
        ({"processing_text": "A\uffffB"}, "processing_text", "event_field_invalid"),
        ({"safekeeping_account": 4711}, "safekeeping_account", "event_field_invalid"),
        ({"safekeeping_account": None}, "safekeeping_account", "event_field_missing"),
        ({"trade_id": "T" * 36}, "trade_id", "event_field_invalid"),
    ],
)
def test_a_field_that_breaks_its_rule_is_named(fields: dict[str, Any], path: str, code: str) -> None:
    violations = refused(changed(**fields))
    assert violations[path].code == code
    assert len(violations) == 1
    assert "\x00" not in (violations[path].value or "")


@pytest.mark.parametrize(
    ("kind", "fields", "path"),
    [
        (INSTRUCT, {"linkages": ["text"]}, "linkages[0]"),
        ("confirm_trade/1", {"order_ids": [{}]}, "order_ids[0]"),
        (INSTRUCT, {"trade_conditions": [12]}, "trade_conditions[0]"),
        (INSTRUCT, {"instruction_number": 10**30}, "instruction_number"),
    ],
)
def test_what_is_of_another_kind_is_named(kind: str, fields: dict[str, Any], path: str) -> None:
    assert path in refused(document(kind, minimal=True) | fields)
    assert event_digest(encode(document(kind, minimal=True) | fields))


@pytest.mark.parametrize(
    ("value", "currency", "code"),
    [
        ("1.5", "JPY", "currency_decimals"),
        ("1.234", "EUR", "currency_decimals"),
        ("1.2345", "KWD", "currency_decimals"),
        ("1", "DEM", "currency_unknown"),
        ("-1", "EUR", "event_field_invalid"),
        ("1e3", "EUR", "event_field_invalid"),
        ("NaN", "EUR", "event_field_invalid"),
        ("1_0", "EUR", "event_field_invalid"),
        (" 1", "EUR", "event_field_invalid"),
        ("١", "EUR", "event_field_invalid"),
        ("1" * 19, "EUR", "event_field_invalid"),
        (True, "EUR", "event_field_invalid"),
    ],
)
def test_amounts_that_are_none(value: Any, currency: str, code: str) -> None:
    amount = {"value": value, "currency": currency}
    violations = refused(changed(payment="against", settlement_amount=amount))
    assert [violation.code for violation in violations.values()] == [code]
    assert next(iter(violations)).startswith("settlement_amount")


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ('"100.00"', "100.00"),
        ("100", "100"),
        ("0.1", "0.1"),
        ("1e3", "1000"),
        ("1234567890123456.78", "1234567890123456.78"),
        ("123456789012345678", "123456789012345678"),
        ('"0.00000"', "0.00000"),
    ],
)
def test_amounts_are_read_exactly_as_text_and_as_number(written: str, read: str) -> None:
    event = changed(payment="against", settlement_amount={"value": "VALUE", "currency": "EUR"})
    parsed = parse_event(json.dumps(event).replace('"VALUE"', written).encode())
    assert isinstance(parsed, InstructSettlement)
    assert parsed.settlement_amount is not None
    assert parsed.settlement_amount.value == Decimal(read)


def test_a_quantity_of_zero_is_refused() -> None:
    assert refused(changed(quantity={"type": "unit", "value": "0.00"}))["quantity.value"].code == "event_field_invalid"


@given(st.decimals(min_value=0, max_value=Decimal("9999999999999.99"), places=2), st.booleans())
def test_no_digit_of_an_amount_is_lost(amount: Decimal, as_number: bool) -> None:
    event = changed(payment="against", settlement_amount={"value": "VALUE", "currency": "EUR"})
    text = format(amount, "f") if as_number else f'"{amount:f}"'
    parsed = parse_event(json.dumps(event).replace('"VALUE"', text).encode())
    assert isinstance(parsed, InstructSettlement)
    assert parsed.settlement_amount is not None
    assert parsed.settlement_amount.value == amount


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (b"", "event_undecodable"),
        (b"nonsense", "event_undecodable"),
        (b'{"schema": "instruct_settlement/1"', "event_undecodable"),
        (b'{"schema": "instruct_settlement/1", "x": "\xff"}', "event_undecodable"),
        (b'{"schema": "instruct_settlement/1", "x": "\\ud800"}', "event_undecodable"),
        (b'{"schema": "instruct_settlement/1", "x": NaN}', "event_undecodable"),
        (b'{"schema": "instruct_settlement/1", "x": 1e999999999}', "event_undecodable"),
        (b'{"schema": "instruct_settlement/1", "x": ' + b"[" * 100_000, "event_undecodable"),
        (b"[]", "event_undecodable"),
        (b"12", "event_undecodable"),
        (b"{}", "event_field_missing"),
        (b'{"schema": "instruct_setlement/1"}', "event_schema_unknown"),
        (b'{"schema": ["instruct_settlement/1"]}', "event_schema_unknown"),
        (b'{"schema": "cancel_settlement/1", "x": "' + b"x" * 1_000_001 + b'"}', "event_too_large"),
    ],
)
def test_bytes_that_are_no_event(content: bytes, code: str) -> None:
    with pytest.raises(EventError) as caught:
        parse_event(content)
    assert [violation.code for violation in caught.value.violations] == [code]
    assert caught.value.text


def test_an_unknown_schema_suggests_the_nearest() -> None:
    assert "did you mean instruct_settlement/1?" in refused(changed(schema="instruct_setlement/1"))["schema"].text


@pytest.mark.parametrize("nested", [False, True])
@pytest.mark.parametrize("space", ["", " ", "\n"])
def test_a_repeated_key_is_refused_not_silently_overwritten(nested: bool, space: str) -> None:
    text = json.dumps(changed())
    text = (
        text.replace('"type": "unit"', f'"type": "unit", "type"{space}: "unit"')
        if nested
        else text.replace("{", f'{{"trade_id"{space}: "other", ', 1)
    )
    violations = refused(text.encode())
    assert violations["type" if nested else "trade_id"].code == "event_field_repeated"


def test_null_and_an_empty_list_are_the_same_as_a_field_left_out() -> None:
    event = parse_event(encode(changed(common_reference=None, linkages=[], price=None)))
    assert event == parse_event(encode(changed()))
    assert set(stated(event)) == set(stated(parse_event(encode(changed()))))


def test_digest_does_not_depend_on_white_space_order_or_escapes_but_on_every_value() -> None:
    event = document(INSTRUCT) | {"safekeeping_account": "Zürich"}
    reordered = dict(reversed(event.items()))
    same = {event_digest(encode(event)), event_digest(json.dumps(reordered, indent=2).encode())}
    assert len(same) == 1
    assert len(same.pop()) == 32
    assert event_digest(encode(event)) != event_digest(encode(event | {"instruction_number": 2}))


def test_digest_tells_numbers_apart_that_a_binary_float_does_not() -> None:
    assert event_digest(b'{"a": 1234567890123456.781}') != event_digest(b'{"a": 1234567890123456.782}')


def test_undecodable_bytes_have_a_digest() -> None:
    assert event_digest(b"\xff") != event_digest(b"\xfe")


@settings(max_examples=200)
@given(st.data())
def test_any_change_is_either_an_event_or_refused_with_violations(data: st.DataObject) -> None:
    kind = data.draw(st.sampled_from(sorted(EVENT_KINDS)))
    event = document(kind)
    junk = (
        st.none()
        | st.booleans()
        | st.integers()
        | st.floats()
        | st.text(max_size=5)
        | st.just([{}])
        | st.just({"a": 1})
    )
    for name in data.draw(st.lists(st.sampled_from(sorted(event)), max_size=4)):
        event[name] = data.draw(junk)
    content = json.dumps(event).encode()
    violations: tuple[Violation, ...] = ()
    try:
        accepted = bool(parse_event(content))
    except EventError as error:
        accepted, violations = False, error.violations
    assert accepted != bool(violations)
    assert all(found.line and found.text and found.code for found in violations)


# --- gateway events ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", EVENT_KINDS)
def test_events_example_passes_events_check(kind: str, tmp_path: Path) -> None:
    runner = CliRunner()
    file = tmp_path / "events.json"
    for options in ([], ["--minimal"]):
        file.write_text(runner.invoke(app, ["example", kind, *options]).stdout)
        assert runner.invoke(app, ["check", str(file)]).exit_code == 0


def test_events_schema_describes_all_kinds_or_one() -> None:
    runner = CliRunner()
    everything = json.loads(runner.invoke(app, ["schema"]).stdout)
    assert len(everything["oneOf"]) == len(EVENT_KINDS)
    one = json.loads(runner.invoke(app, ["schema", INSTRUCT]).stdout)
    assert one["properties"]["schema"]["const"] == INSTRUCT
    assert one["additionalProperties"] is False


def test_events_schema_says_where_each_field_travels() -> None:
    described = json.loads(CliRunner().invoke(app, ["schema", INSTRUCT]).stdout)
    fields, party = described["properties"], described["$defs"]["Party"]["properties"]
    assert fields["event_id"]["description"] == "makes the event unique together with its source"
    assert fields["trade_date"]["description"] == "TradDtls/TradDt/Dt/Dt"
    assert "DlvrgSttlmPties/Pty1 to 5" in fields["delivering_parties"]["description"]
    assert fields["place_of_settlement"]["description"] == (
        "DlvrgSttlmPties/Dpstry/Id/AnyBIC; RcvgSttlmPties/Dpstry/Id/AnyBIC"
    )
    assert party["bic"]["description"] == "Id/AnyBIC"
    assert fields["linkages"]["description"] == "Lnkgs"
    assert fields["other_amounts"]["description"] == "OthrAmts"


@cache
def schema_of(*kind: str) -> dict[str, Any]:
    described: dict[str, Any] = json.loads(CliRunner().invoke(app, ["schema", *kind]).stdout)
    return described


@pytest.mark.parametrize("kind", EVENT_KINDS)
def test_events_schema_describes_every_field_of_a_kind(kind: str) -> None:
    described = schema_of(kind)
    [definition] = [
        part for part in schema_of()["$defs"].values() if part["properties"].get("schema", {}).get("const") == kind
    ]
    for fields in (described["properties"], definition["properties"]):
        bare = {name for name, field in fields.items() if "description" not in field}
        assert bare <= {"settlement_of", "quantity", "opening_amount"}  # their own fields say it


def test_an_unknown_kind_is_refused_with_the_nearest() -> None:
    result = CliRunner().invoke(app, ["example", "cancel_setlement/1"])
    assert result.exit_code != 0
    assert "cancel_settlement/1" in result.output


def test_events_check_names_the_line_of_every_violation_and_goes_on(tmp_path: Path) -> None:
    good, bad = encode(changed()), encode(changed(isin="DE0007164601", nonsense=1))
    file = tmp_path / "events.jsonl"
    file.write_bytes(b"\n".join([good, bad, b"{broken", good, b'{"a": "\xff"}']) + b"\n")
    result = CliRunner().invoke(app, ["check", str(file), "--json"])
    records = [json.loads(line) for line in result.stdout.splitlines()]
    assert result.exit_code == 1
    assert [record["valid"] for record in records] == [True, False, False, True, False]
    assert {(found["line"], found["path"]) for found in records[1]["violations"]} == {(2, "isin"), (2, "nonsense")}
    assert records[2]["violations"][0]["line"] == 3
    assert "2 events" not in CliRunner().invoke(app, ["check", str(file)]).stdout


def test_events_check_reads_a_list_written_over_many_lines(tmp_path: Path) -> None:
    file = tmp_path / "events.json"
    file.write_text(json.dumps([changed(), changed(isin="DE0007164601")], indent=2))
    result = CliRunner().invoke(app, ["check", str(file), "--json"])
    first, second = [json.loads(line) for line in result.stdout.splitlines()]
    assert first["valid"]
    line = second["violations"][0]["line"]
    assert "DE0007164601" in file.read_text().splitlines()[line - 1]


def test_events_check_of_an_empty_file_is_no_success(tmp_path: Path) -> None:
    file = tmp_path / "events.json"
    file.write_text("\n")
    assert CliRunner().invoke(app, ["check", str(file)]).exit_code == 1


def types_of(model: type) -> Iterator[type]:
    """Yield a type and all that its fields are made of."""
    yield model
    for kind in fields_of(model).values():
        for inner in (*kind.models, *(kind_of(kind.items).models if kind.items is not None else ())):
            yield from types_of(inner)


@pytest.mark.parametrize("kind", EVENT_KINDS)
def test_every_type_of_an_event_is_strict(kind: str) -> None:
    types = set(types_of(EVENT_KINDS[kind].model))
    assert {one for one in types if one.__dictoffset__} == set()  # its class has no @strict
    assert {one for one in types if not described(one)} == set()
