"""Building: every version of every message is valid, carries what the event says, and refuses what it cannot say.

``GATEWAY_TEST_FULL=1`` asks of older versions too whether they leave anything out.
"""

from __future__ import annotations

import copy
import os
import re
from datetime import UTC, datetime
from decimal import Decimal
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from lxml import etree

from gateway.errors import BuildError, ConfigError, EventError, InvalidMessage, UnreadableMessage, Violation
from gateway.messages import Correspondents, Identity, Messages, building, sources_of
from gateway.messages.building import MessageWriter
from gateway.messages.schema_files import load_catalogue
from gateway.model.currencies import DECIMALS
from gateway.model.events import EVENT_KINDS, TradeEvent, parse_event
from gateway.model.facts import SystemEvent, Terms
from gateway.model.strict import described
from tests.examples import (
    EVERY_VERSION,
    HEADERS,
    IDENTITY,
    OWN_BIC,
    TABLES,
    build,
    document,
    encode,
    expressible,
    leaves,
    messages,
    plain,
    profile,
    remove,
    terms_about,
)

GOLDEN = Path(__file__).parent / "golden"
INSTRUCT = "instruct_settlement/1"
FULL = os.environ.get("GATEWAY_TEST_FULL") == "1"
NEWEST = dict(EVERY_VERSION)  # of each kind of event


def text_at(content: bytes, path: str) -> list[str]:
    """Return the texts of the elements at a path of tags below the document's message element."""
    root = etree.fromstring(content)
    found = root.xpath(
        "//*[local-name()='Document']/*" + "".join(f"/*[local-name()='{tag}']" for tag in path.split("/"))
    )
    return [element.text or "" for element in found]


# --- golden messages --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", ["complete", "minimal"])
@pytest.mark.parametrize(("kind", "definition"), EVERY_VERSION)
def test_messages_are_those_that_were_reviewed(kind: str, definition: str, size: str) -> None:
    event = expressible(document(kind, minimal=size == "minimal"), definition)
    content = build(event, definition).content
    first = next(name for name, found in EVERY_VERSION if found == definition)
    other = "" if kind == first else f".{kind.partition('/')[0]}"  # another kind of event becomes the same message
    file = GOLDEN / f"{definition}{other}.{size}.xml"
    pretty = etree.tostring(etree.fromstring(content), pretty_print=True, encoding="UTF-8", xml_declaration=True)
    if os.environ.get("UPDATE_GOLDEN"):
        file.write_bytes(pretty)
    assert pretty == file.read_bytes()


@pytest.mark.parametrize(("kind", "definition"), EVERY_VERSION)
def test_building_again_and_again_gives_the_same_bytes(kind: str, definition: str) -> None:
    event = expressible(document(kind), definition)
    first = build(event, definition)
    assert all(build(dict(reversed(event.items())), definition) == first for _ in range(4))


@pytest.mark.parametrize("header", HEADERS)
def test_headers_of_every_version_say_who_when_and_what(header: str) -> None:
    built = build(document(INSTRUCT), "sese.023.001.12", header)
    parsed = messages().validator.parse(built.content)
    assert parsed.header_definition == header
    assert parsed.header_value("Fr/FIId/FinInstnId/BICFI") == OWN_BIC
    assert parsed.header_value("To/FIId/FinInstnId/BICFI") == "CUSTGB2LXXX"
    assert parsed.header_value("BizMsgIdr") == built.business_message_id == IDENTITY.business_message_id
    assert parsed.header_value("MsgDefIdr") == built.message_definition == "sese.023.001.12"
    assert parsed.header_value("CreDt") == "2026-03-02T08:15:01.500Z"
    assert parsed.header_value("PssblDplct") is None


# --- nothing is dropped -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("kind", "definition"), EVERY_VERSION if FULL else NEWEST.items())
def test_every_field_that_an_event_gives_changes_the_message(kind: str, definition: str) -> None:
    event = expressible(document(kind), definition)
    whole = build(event, definition).content
    internal = {"schema"} | {row.field for row in TABLES[kind].rows if row.conversion == "internal"}
    checked = 0
    for path in leaves(event):
        if path in internal:
            continue
        less = document(kind)
        less = expressible(less, definition)
        remove(less, path)
        try:
            without = build(less, definition).content
        except (EventError, InvalidMessage):
            continue  # required: covered by the valid message itself
        assert without != whole, path
        checked += 1
    assert checked


def test_all_that_a_settlement_instruction_says_is_where_it_belongs() -> None:
    content = build(document(INSTRUCT), "sese.023.001.12").content
    for path, expected in {
        "TxId": ["TX00000000000001"],
        "SttlmTpAndAddtlParams/SctiesMvmntTp": ["DELI"],
        "SttlmTpAndAddtlParams/Pmt": ["APMT"],
        "TradDtls/TradDt/Dt/Dt": ["2026-03-02"],
        "TradDtls/SttlmDt/Dt/Dt": ["2026-03-04"],
        "FinInstrmId/ISIN": ["DE0007164600"],
        "FinInstrmId/Desc": ["SAP SE <ordinary shares>"],
        "QtyAndAcctDtls/SttlmQty/Qty/Unit": ["500"],
        "SttlmParams/Prty/Nmrc": ["0002"],
        "SttlmParams/SttlmTxCond/Cd": ["NOMC"],
        "SttlmParams/SttlmTxCond/Prtry/Id": ["LOCL"],
        "RcvgSttlmPties/Dpstry/Id/AnyBIC": ["DAKVDEFFXXX"],
        "DlvrgSttlmPties/Dpstry/Id/AnyBIC": [],
        "RcvgSttlmPties/Pty1/Id/AnyBIC": ["AGNTDEFFXXX"],
        "RcvgSttlmPties/Pty5/Id/NmAndAdr/Adr/AdrLine": ["1 Market Square", "Floor 2"],
        "CshPties/Dbtr/CshAcct/IBAN": ["DE89370400440532013000"],
        "SttlmAmt/Amt": ["61234.56"],
        "SttlmAmt/CdtDbtInd": ["CRDT"],
        "Lnkgs/Ref/PoolId": ["POOL-4"],
        "OthrAmts/NtwkFee/Amt": ["0.75"],
    }.items():
        assert text_at(content, path) == expected, path


def test_receiving_turns_the_direction_and_the_side_of_the_place_of_settlement() -> None:
    content = build(document(INSTRUCT) | {"movement": "receive"}, "sese.023.001.12").content
    assert text_at(content, "SttlmAmt/CdtDbtInd") == ["DBIT"]
    assert text_at(content, "DlvrgSttlmPties/Dpstry/Id/AnyBIC") == ["DAKVDEFFXXX"]
    assert text_at(content, "RcvgSttlmPties/Dpstry/Id/AnyBIC") == []


@pytest.mark.parametrize(
    ("type_", "tag"), [("unit", "Unit"), ("face_amount", "FaceAmt"), ("amortised_value", "AmtsdVal")]
)
@pytest.mark.parametrize("value", ["500", "0.00001", "1234567890123.12345"])
def test_quantities_of_every_type_keep_every_digit(type_: str, tag: str, value: str) -> None:
    event = document(INSTRUCT, minimal=True) | {"quantity": {"type": type_, "value": value}}
    content = build(event, "sese.023.001.12").content
    assert text_at(content, f"QtyAndAcctDtls/SttlmQty/Qty/{tag}") == [value]


def test_small_numbers_are_not_written_with_an_exponent() -> None:
    event = document(INSTRUCT, minimal=True) | {"quantity": {"type": "unit", "value": "0.000000000000001"}}
    assert text_at(build(event, "sese.023.001.12").content, "QtyAndAcctDtls/SttlmQty/Qty/Unit") == ["0.000000000000001"]


def test_a_cancellation_names_the_instruction_as_it_was_instructed() -> None:
    content = build(document("cancel_settlement/1"), "sese.020.001.08").content
    assert text_at(content, "AcctOwnrTxId/SctiesSttlmTxId/TxId") == [IDENTITY.transaction_id]
    assert text_at(content, "AcctOwnrTxId/SctiesSttlmTxId/SctiesMvmntTp") == ["DELI"]
    assert text_at(content, "AcctOwnrTxId/SctiesSttlmTxId/Pmt") == ["APMT"]
    assert text_at(content, "SfkpgAcct/Id") == ["CUST-4711"]
    assert text_at(content, "TxDtls/SttlmAmt/Amt") == ["61234.56"]
    assert text_at(content, "TxDtls/SttlmAmt/CdtDbtInd") == ["CRDT"]


def test_a_cancellation_without_the_terms_of_its_instruction_is_refused() -> None:
    event = parse_event(encode(document("cancel_settlement/1")))
    with pytest.raises(InvalidMessage):
        messages().build(event, profile("sese.020.001.08"), IDENTITY, Terms())


# --- what a version cannot say ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "definition", "expected"),
    [
        (
            INSTRUCT,
            "sese.023.001.10",
            {"unique_transaction_identifier": "TradDtls/UnqTxIdr", "other_amounts.network_fee": "OthrAmts/NtwkFee/Amt"},
        ),
        (
            INSTRUCT,
            "sese.023.001.11",
            {"unique_transaction_identifier": "TradDtls/UnqTxIdr", "other_amounts.network_fee": "OthrAmts/NtwkFee/Amt"},
        ),
        ("confirm_trade/1", "setr.027.001.04", {"references[].unique_transaction_id": "Refs[]/Ref/UnqTxIdr"}),
    ],
)
def test_every_field_that_a_version_lacks_is_named_with_its_element(
    kind: str, definition: str, expected: dict[str, str]
) -> None:
    with pytest.raises(BuildError) as caught:
        build(document(kind), definition)
    assert {found.path for found in caught.value.violations} == expected.keys()
    for found in caught.value.violations:
        assert found.code == caught.value.code == "element_not_in_version"
        assert expected[found.path] in found.text
        assert definition in found.text


def test_a_party_of_a_confirmation_that_has_an_lei_is_refused_not_cut() -> None:
    event = document("confirm_trade/1", minimal=True)
    event["buyer"]["lei"] = "529900T8BM49AURSDO55"
    with pytest.raises(BuildError) as caught:
        build(event, "setr.027.001.05")
    assert [found.path for found in caught.value.violations] == ["buyer.lei"]


def test_every_code_that_a_version_lacks_is_named_with_those_it_has() -> None:
    event = document(INSTRUCT) | {"transaction_type": "ZZZZ", "settlement_conditions": ["NOMC", "YYYY"]}
    with pytest.raises(BuildError) as caught:
        build(event, "sese.023.001.12")
    found = {violation.path: violation for violation in caught.value.violations}
    assert found.keys() == {"transaction_type", "settlement_conditions[]"}
    assert found["transaction_type"].value == "ZZZZ"
    assert "TRAD" in found["transaction_type"].rule
    assert caught.value.code == "code_not_in_version"


def test_a_code_that_a_version_lacks_is_refused_in_an_event_of_a_known_shape() -> None:
    for _ in range(4):
        build(document(INSTRUCT), "sese.023.001.12")
    with pytest.raises(BuildError) as caught:
        build(document(INSTRUCT) | {"tax_capacity": "ZZZZ"}, "sese.023.001.12")
    assert [(found.path, found.value) for found in caught.value.violations] == [("tax_capacity", "ZZZZ")]


def test_a_value_that_the_schema_refuses_is_named_with_its_element() -> None:
    event = document(INSTRUCT, minimal=True) | {"linkages": [{"pool_id": "P", "message_definition": "xxxx.001.001.01"}]}
    event["place_of_clearing"] = {"bic": "CLRGDEFFXXX"}
    build(event, "sese.023.001.12")
    identity = Identity("T" * 36, "B", IDENTITY.created_at)
    with pytest.raises(InvalidMessage) as caught:
        messages().build(parse_event(encode(event)), profile(), identity)
    assert any("TxId" in found.path for found in caught.value.violations)


@pytest.mark.parametrize(
    ("versions", "value"),
    [("sese.023.001.99", "sese.023.001.99"), ("sese.024.001.13", "sese.024.001.13")],
)
def test_a_profile_with_a_version_that_is_not_there_stops_the_start(versions: str, value: str) -> None:
    wrong = profile().model_copy(update={"versions": {"settlement_instruction": versions}})
    with pytest.raises(ConfigError) as caught:
        Messages(load_catalogue(Path("/nonexistent")), [wrong], OWN_BIC)
    assert value in caught.value.text
    assert "sese.023.001.12" in caught.value.text
    assert "settlement_instruction" in caught.value.text


# --- the possible-duplicate mark --------------------------------------------------------------------------------------


@pytest.mark.parametrize("header", HEADERS)
@pytest.mark.parametrize(
    ("kind", "definition"), [(INSTRUCT, "sese.023.001.12"), ("confirm_trade/1", "setr.027.001.05")]
)
def test_the_mark_changes_the_header_only(kind: str, definition: str, header: str) -> None:
    content = messages().build(parse_event(encode(document(kind))), profile(definition, header), IDENTITY).content
    marked = messages().mark_possible_duplicate(content)
    assert marked.replace(b"<PssblDplct>true</PssblDplct>", b"") == content
    assert messages().validator.parse(marked).header_value("PssblDplct") == "true"
    assert messages().mark_possible_duplicate(marked) == marked


def test_bytes_that_are_no_message_of_ours_are_not_marked() -> None:
    with pytest.raises(UnreadableMessage):
        messages().mark_possible_duplicate(b"<nothing/>")


# --- whatever upstream says -------------------------------------------------------------------------------------------

_TEXT = st.text(st.characters(exclude_categories=["Cs", "Cc"], exclude_characters="￾\uffff"), min_size=1, max_size=16)


@given(_TEXT)
@settings(max_examples=150)
def test_texts_arrive_as_they_were_given(text: str) -> None:
    event = document(INSTRUCT, minimal=True) | {"safekeeping_account": text, "security_description": text}
    content = build(event, "sese.023.001.12").content
    assert text_at(content, "QtyAndAcctDtls/SfkpgAcct/Id") == [text]
    assert text_at(content, "FinInstrmId/Desc") == [text]


def test_markup_in_a_text_stays_text() -> None:
    text = "</Desc><ISIN>&lt;%s%%{0}]]><!--"
    event = document(INSTRUCT, minimal=True) | {"security_description": text}
    assert text_at(build(event, "sese.023.001.12").content, "FinInstrmId/Desc") == [text]


def test_line_feeds_of_a_narrative_are_kept() -> None:
    event = document(INSTRUCT, minimal=True) | {"processing_text": "one\n\ttwo"}
    assert text_at(build(event, "sese.023.001.12").content, "TradDtls/SttlmInstrPrcgAddtlDtls") == ["one\n\ttwo"]


@st.composite
def exchanges(draw: st.DrawFn) -> dict[str, Any]:
    """Draw what a foreign exchange trade exchanges, and at which rate."""
    pair = draw(st.lists(st.sampled_from(["EUR", "USD", "JPY", "KWD"]), min_size=2, max_size=2, unique=True))

    def money(currency: str) -> dict[str, str]:
        places = DECIMALS[currency]
        value = draw(st.decimals(min_value=1, max_value=10**12, places=places))
        return {"value": str(value), "currency": currency}

    rate = draw(st.decimals(min_value=Decimal("0.000001"), max_value=Decimal(9999), places=draw(st.integers(6, 7))))
    priced = draw(
        st.sampled_from([{}, {"unit_currency": pair[0]}, {"unit_currency": pair[1], "quoted_currency": pair[0]}])
    )
    return {"bought_amount": money(pair[0]), "sold_amount": money(pair[1]), "rate": {"value": str(rate), **priced}}


@st.composite
def events(draw: st.DrawFn) -> dict[str, Any]:
    """Draw an event: an example with some of its fields left out and others changed."""
    kind = draw(st.sampled_from(sorted(EVENT_KINDS)))
    event = copy.deepcopy(draw(st.sampled_from([EVENT_KINDS[kind].example, *EVENT_KINDS[kind].others])))
    paths = sorted({re.sub(r"\[\d+\]$", "", path) for path in leaves(event)} | event.keys())
    for path in draw(st.lists(st.sampled_from(paths), max_size=25, unique=True)):
        remove(event, path)
    for name in draw(
        st.lists(st.sampled_from(["delivering_parties", "receiving_parties", "investors", "linkages"]), max_size=4)
    ):
        if name in event:
            del event[name][draw(st.integers(0, len(event[name]))) :]
    if "quantity" in event and draw(st.booleans()):
        event["quantity"] = {
            "type": draw(st.sampled_from(["unit", "face_amount", "amortised_value"])),
            "value": str(draw(st.decimals(min_value=Decimal("0.01"), max_value=Decimal(10) ** 12, places=5))),
        }
    if kind == INSTRUCT:
        event["movement"] = draw(st.sampled_from(["deliver", "receive"]))
        if "settlement_amount" not in event or draw(st.booleans()):
            event["payment"] = "free"
            for name in ("settlement_amount", "value_date", "accrued_interest_included", "stamp_duty_included"):
                event.pop(name, None)
    if "bought_amount" in event:
        event |= draw(exchanges())
    for name in draw(
        st.lists(st.sampled_from(["processing_text", "security_text", "security_description"]), max_size=2)
    ):
        if name in described(EVENT_KINDS[kind].model):
            event[name] = draw(_TEXT)
    return event


@given(events(), st.data())
@settings(max_examples=250, suppress_health_check=[HealthCheck.filter_too_much, HealthCheck.too_slow])
def test_every_event_becomes_a_valid_message_in_every_version_or_names_the_element(
    event: dict[str, Any], data: st.DataObject
) -> None:
    try:
        parsed = parse_event(encode(event))
    except EventError:
        assume(False)
    definition = data.draw(st.sampled_from([name for kind, name in EVERY_VERSION if kind == parsed.kind]))
    header = data.draw(st.sampled_from(HEADERS))
    refused: tuple[Violation, ...] = ()
    content = b""
    try:
        instructed = terms_about(parsed.dialogue)
        content = messages().build(parsed, profile(definition, header), IDENTITY, instructed).content
    except BuildError as error:
        refused = error.violations
    assert messages().validator.check(content).valid != bool(refused)
    stated = [plain(path) for path in leaves(event)]
    assert all(any(path.startswith(found.path) for path in stated) for found in refused)
    assert all(found.code in ("element_not_in_version", "code_not_in_version") for found in refused)


@given(exchanges(), st.sampled_from([pair for pair in EVERY_VERSION if pair[1].startswith(("fxtr.014", "fxtr.015"))]))
@settings(max_examples=60)
def test_amounts_and_rates_of_foreign_exchange_keep_every_digit(
    exchange: dict[str, Any], version: tuple[str, str]
) -> None:
    kind, definition = version
    content = build(document(kind, minimal=True) | exchange, definition).content
    below = "" if definition.endswith("04") else "/Amt"
    for name, tag in (("bought_amount", "TradgSdBuyAmt"), ("sold_amount", "TradgSdSellAmt")):
        assert text_at(content, f"TradAmts/{tag}{below}") == [exchange[name]["value"]]
    assert Decimal(text_at(content, "AgrdRate/XchgRate")[0]) == Decimal(exchange["rate"]["value"])


@given(
    st.from_regex(r"[a-zA-Z0-9]{1,4}", fullmatch=True),
    st.lists(_TEXT, max_size=5),
    st.none() | _TEXT,
    st.none() | st.datetimes(timezones=st.just(UTC)),
)
@settings(max_examples=100)
def test_what_a_system_event_says_is_read_back(
    code: str, parameters: list[str], description: str | None, at: datetime | None
) -> None:
    when = None if at is None else at.replace(microsecond=at.microsecond // 1000 * 1000)
    event = document("notify_system_event/1", minimal=True) | {"code": code, "parameters": parameters}
    if description is not None:
        event["description"] = description
    if when is not None:
        event["event_time"] = when.isoformat()
    [(_, fact)] = messages().read(build(event, "admi.004.001.02").content).facts
    assert fact == SystemEvent(code, parameters=tuple(parameters), description=description, at=when)


@given(events(), st.data())
@settings(max_examples=40, suppress_health_check=[HealthCheck.filter_too_much, HealthCheck.too_slow])
def test_shapes_that_are_known_change_nothing(event: dict[str, Any], data: st.DataObject) -> None:
    try:
        parsed = parse_event(encode(event))
    except EventError:
        assume(False)
    definition = data.draw(st.sampled_from([name for kind, name in EVERY_VERSION if kind == parsed.kind]))
    outcomes = [written(new_writer(definition, parsed.kind), parsed)]
    outcomes += [written(known_writer(definition, parsed.kind), parsed) for _ in range(4)]
    assert outcomes == outcomes[:1] * 5


def new_writer(definition: str, kind: str = INSTRUCT) -> MessageWriter:
    """Make a writer that has seen no event."""
    table = TABLES[kind]
    return MessageWriter(table, load_catalogue().message(definition), sources_of(table))


known_writer = cache(new_writer)


def written(writer: MessageWriter, event: TradeEvent) -> object:
    """Return what a writer writes, or what it refuses."""
    try:
        instructed = terms_about(event.dialogue)
        asked = event.terms_asked(instructed) or instructed
        return writer.write(event, IDENTITY, instructed, asked, Correspondents(OWN_BIC, "CUSTGB2LXXX"))[0]
    except BuildError as error:
        return error.violations


def test_ever_new_shapes_are_written_and_few_are_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    for limit in ("_SHAPES_KEPT", "_SHAPES_ALIKE", "_SHAPES_SEEN"):
        monkeypatch.setattr(building, limit, 4)
    writer = new_writer("sese.023.001.12")
    for number in [*range(1, 20), *range(1, 20)] * 2:
        conditions = [{"identification": f"AB{item:02d}", "issuer": "US"} for item in range(number)]
        event = document(INSTRUCT, minimal=True) | {"trade_conditions": conditions}
        if number % 2:
            event["security_description"] = f"Security {number}"
        for _ in range(number % 4 + 1):
            text = str(written(writer, parse_event(encode(event))))
            assert re.findall("<Id>(AB..)</Id>", text) == [item["identification"] for item in conditions]
            assert re.findall("<Desc>(.*)</Desc>", text) == ([f"Security {number}"] if number % 2 else [])
    assert sum(map(len, writer._shapes.values())) <= 4
    assert len(writer._seen) <= 4


def test_creation_time_is_written_in_utc_whatever_its_offset() -> None:
    moment = datetime.fromisoformat("2026-03-02T23:59:59.9994+05:30")
    identity = Identity("T", "B", moment)
    event = parse_event(encode(document(INSTRUCT, minimal=True)))
    content = messages().build(event, profile(), identity).content
    assert b"<CreDt>2026-03-02T18:29:59.999Z</CreDt>" in content
    assert moment.astimezone(UTC).hour == 18
