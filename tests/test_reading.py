"""What replies say arrives as facts, for every version in the dictionary and from nothing but the reading tables."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import fields
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from pathlib import Path
from random import Random
from typing import Any

import pytest

from gateway.errors import ConfigError, InvalidMessage, UnreadableMessage
from gateway.messages.catalogue import Catalogue, ComplexType
from gateway.messages.data_files import data_directory, read_tables
from gateway.messages.reading import ListLines, Reader, ReadingTable, parse_table
from gateway.messages.schema_files import load_catalogue
from gateway.messages.validation import Validator
from gateway.model import facts
from gateway.model.facts import (
    Amount,
    ConfirmationAnswer,
    ConfirmationStatus,
    MessageRejection,
    Quantity,
    Reason,
    References,
    Reply,
    RequestAdvice,
    SettlementConfirmation,
    StatusAdvice,
    StatusValue,
)
from gateway.model.transitions import TRANSITIONS

from .documents import random_document

REPLIES = Path(__file__).parent / "messages" / "replies"
FAMILIES = ("sese.024", "sese.025", "sese.026", "sese.027", "setr.030", "setr.044", "admi.002")


@pytest.fixture(scope="module")
def catalogue(tmp_path_factory: pytest.TempPathFactory) -> Catalogue:
    return load_catalogue(tmp_path_factory.mktemp("schemas"))


@pytest.fixture(scope="module")
def validator(catalogue: Catalogue) -> Validator:
    return Validator(catalogue)


def tables() -> list[ReadingTable]:
    return [parse_table(file.read_text(), file.name) for file in sorted((data_directory() / "reading").glob("*.read"))]


@pytest.fixture(scope="module")
def reader(catalogue: Catalogue, validator: Validator) -> Reader:
    return Reader(validator, catalogue, tables())


def definitions() -> list[str]:
    catalogue = load_catalogue(Path("does-not-exist"))
    return [name for name in catalogue.definitions() if name.startswith(FAMILIES)]


def read(reader: Reader, name: str) -> tuple[Reply, References, Any]:
    reply = reader.read((REPLIES / f"{name}.xml").read_bytes())
    ((references, fact),) = reply.facts
    return reply, references, fact


OURS, THEIRS = "7KQ2M9XW4B1TZ0PD", "CSD2026031200417"


def test_status_advice_keeps_every_axis_reason_and_reference(reader: Reader) -> None:
    reply, references, fact = read(reader, "sese.024.001.13_pending")
    assert reply.message_definition == "sese.024.001.13"
    assert reply.header_definition == "head.001.001.04"
    assert (reply.sender_bic, reply.receiver_bic) == ("CSDXDEFFXXX", "BRKRGB2LXXX")
    assert reply.business_message_id == "RPLSESE02400113PENDING"
    assert reply.created_at == datetime(2026, 3, 12, 8, 15, 30, tzinfo=UTC)
    assert (reply.possible_duplicate, reply.supplementary) == (False, 1)
    assert references == References(
        account_owner_transaction_id=OURS,
        account_servicer_transaction_id=THEIRS,
        market_infrastructure_transaction_id="T2S88120077",
        processor_transaction_id="PRC55",
        common_id="COMMON1",
    )
    assert fact == StatusAdvice(
        processing=StatusValue("accepted"),
        inferred_matching=StatusValue("matched"),
        matching=StatusValue("unmatched", (Reason("DMON", None, "Amount differs by 12.50"), Reason("DDAT"))),
        settlement=StatusValue("pending", (Reason("PREA", None, "Waiting for your release"),)),
    )


def test_proprietary_reasons_and_the_duplicate_mark_are_read(reader: Reader) -> None:
    reply, _, fact = read(reader, "sese.024.001.10_rejected")
    assert reply.possible_duplicate
    assert reply.created_at == datetime(2026, 3, 12, 8, 15, 30, 123456, UTC)
    assert fact.processing == StatusValue("rejected", (Reason("SAFE", None, "Account closed"), Reason(None, "X017")))


def test_reason_stated_beside_the_status_is_one_reason(reader: Reader) -> None:
    reply, _, fact = read(reader, "sese.024.001.12_failing")
    assert reply.created_at == datetime(2026, 3, 12, 8, 15, 30, 123000, timezone(timedelta(hours=1)))
    assert fact.matching == StatusValue("matched", (Reason(None, "MACH", "matched overnight"),))
    assert fact.settlement == StatusValue("failing", (Reason("LACK", None, "No securities"),))


def test_proprietary_status_keeps_its_name(reader: Reader) -> None:
    _, _, fact = read(reader, "sese.024.002.12_proprietary")
    assert fact.processing == StatusValue("proprietary", (Reason(None, "RECY", "Recycled"),), "HOLD")
    _, _, cancelled = read(reader, "sese.024.001.14_cancelled")
    assert cancelled.processing == StatusValue("cancelled", (Reason("CANI", None, "On your request"),))


def test_partial_settlement_confirmation_is_exact(reader: Reader) -> None:
    _, references, fact = read(reader, "sese.025.001.12_partial")
    assert references == References(OURS, THEIRS, common_id="COMMON1")
    assert fact == SettlementConfirmation(
        previous_partial_confirmation_id="CONF0001",
        partial="PAIN",
        settled_quantity=Quantity(Decimal("600"), "unit"),
        settled_amount=Amount(Decimal("70543.20"), "EUR"),
        credit_debit="DBIT",
        previously_settled_quantity=Quantity(Decimal("300"), "unit"),
        previously_settled_amount=Amount(Decimal("35271.60"), "EUR"),
        remaining_quantity=Quantity(Decimal("100.5"), "unit"),
        remaining_amount=Amount(Decimal("11757.2"), "EUR"),
        effective_settlement_date=date(2026, 3, 12),
        settlement_date=date(2026, 3, 12),
        trade_date=date(2026, 3, 10),
        safekeeping_account="40022-917",
        isin="DE0007164600",
        movement="receive",
        payment="against",
    )


def test_other_forms_of_a_confirmation(reader: Reader) -> None:
    _, _, full = read(reader, "sese.025.001.11_full")
    assert (full.partial, full.reversal, full.settled_quantity) == (None, False, Quantity(Decimal(600), "unit"))
    _, _, face = read(reader, "sese.025.001.13_face")
    assert face.settled_quantity == Quantity(Decimal(1_000_000), "face_amount")
    _, _, announced = read(reader, "sese.025.002.11_pre")
    assert announced.pre_confirmation == "PRSE"


@pytest.mark.parametrize("version", ["001.10", "001.11", "001.12", "002.10"])
def test_reversal_names_what_it_undoes(reader: Reader, version: str) -> None:
    _, references, fact = read(reader, f"sese.026.{version}_reversal")
    assert (fact.reversal, fact.confirmation_id) == (True, "CONF0002")
    assert fact.settled_amount == Amount(Decimal("70543.20"), "EUR")
    assert references.account_owner_transaction_id == OURS


@pytest.mark.parametrize(
    ("name", "status", "transaction"),
    [
        (
            "sese.027.001.05_pending",
            StatusValue("pending", (Reason("OTHR", None, "Waiting for the other side"),)),
            OURS,
        ),
        ("sese.027.001.07_denied", StatusValue("denied", (Reason("DCAN", None, "Already settled"),)), None),
        ("sese.027.001.08_cancelled", StatusValue("cancelled"), OURS),
        ("sese.027.001.09_accepted", StatusValue("accepted"), OURS),
        ("sese.027.002.07_rejected", StatusValue("rejected", (Reason("ADEA", None, "Too late"),)), OURS),
    ],
)
def test_cancellation_advice(reader: Reader, name: str, status: StatusValue, transaction: str | None) -> None:
    _, references, fact = read(reader, name)
    assert fact == RequestAdvice("cancellation", status)
    assert references.request_reference == "CXLREQ000001"
    assert references.account_owner_transaction_id == transaction


def test_answer_to_a_confirmation_prefers_the_executing_partys_reference(reader: Reader) -> None:
    _, references, fact = read(reader, "setr.030.001.03_affirmed")
    assert fact == ConfirmationAnswer(StatusValue("affirmed"))
    assert references == References(
        common_id="COMMON1", related_business_message_id="OURCONFMSG01", confirmation_reference=OURS
    )
    _, _, refused = read(reader, "setr.030.001.02_disaffirmed")
    assert refused == ConfirmationAnswer(StatusValue("disaffirmed", (Reason("NAFF", None, "Price differs"),)))


def test_confirmation_status(reader: Reader) -> None:
    _, references, fact = read(reader, "setr.044.001.04_unmatched")
    assert references.confirmation_reference == OURS
    assert fact == ConfirmationStatus(
        processing=StatusValue("received_at_intermediary", (Reason(None, None, "forwarded"),)),
        matching=StatusValue("unmatched"),
    )
    _, _, affirmed = read(reader, "setr.044.001.03_affirmed")
    assert affirmed == ConfirmationStatus(affirmation=StatusValue("affirmed"), cancellation=StatusValue("requested"))


def test_technical_rejection(reader: Reader) -> None:
    reply, _, fact = read(reader, "admi.002.001.01_rejection")
    assert reply.header_definition == "head.001.001.01"
    assert fact == MessageRejection(
        "OURMSG000001", "E001", "Identification was used before", "/Document/SctiesSttlmTxInstr/TxId"
    )


def test_there_is_an_example_of_every_read_definition() -> None:
    examples = {file.name.split("_")[0] for file in REPLIES.glob("*.xml")}
    assert examples == set(definitions())


def changed(name: str, *replacements: tuple[str, str]) -> bytes:
    text = (REPLIES / f"{name}.xml").read_text()
    for old, new in replacements:
        assert old in text
        text = text.replace(old, new)
    return text.encode()


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("2026-03-12T08:15:30Z", datetime(2026, 3, 12, 8, 15, 30, tzinfo=UTC)),
        ("2026-03-12T08:15:30", datetime(2026, 3, 12, 8, 15, 30, tzinfo=UTC)),
        ("2026-03-12T08:15:30.5-05:00", datetime(2026, 3, 12, 13, 15, 30, 500000, UTC)),
        ("2026-03-12T08:15:30.123456789Z", datetime(2026, 3, 12, 8, 15, 30, 123456, UTC)),
        ("2026-03-12T24:00:00+02:00", datetime(2026, 3, 12, 22, tzinfo=UTC)),
    ],
)
def test_times_are_read_as_they_are_written(reader: Reader, written: str, meant: datetime) -> None:
    content = changed("sese.024.001.12_failing", ("2026-03-12T08:15:30.123+01:00", written))
    created = reader.read(content).created_at
    assert created is not None
    assert created.tzinfo is not None
    assert created == meant


@pytest.mark.parametrize("written", ["12026-03-12T08:15:30Z", "-0044-03-15T08:15:30Z", "9999-12-31T23:00:00-05:00"])
def test_time_beyond_the_calendar_is_refused_with_a_code(reader: Reader, written: str) -> None:
    with pytest.raises(UnreadableMessage) as refused:
        reader.read(changed("sese.024.001.12_failing", ("2026-03-12T08:15:30.123+01:00", written)))
    assert refused.value.code == "value_unrepresentable"
    assert refused.value.violations[0].path.endswith("/AppHdr/CreDt")


@pytest.mark.parametrize("written", ["2026-03-10Z", "2026-03-10+01:00", "2026-03-10-14:00"])
def test_dates_with_a_zone_are_the_date_as_written(reader: Reader, written: str) -> None:
    content = changed("sese.025.001.12_partial", (">2026-03-10<", f">{written}<"))
    assert reader.read(content).facts[0][1].trade_date == date(2026, 3, 10)  # type: ignore[union-attr]


def test_all_eighteen_digits_of_an_amount_arrive(reader: Reader) -> None:
    content = changed("sese.025.001.12_partial", ("70543.20", " 1234567890123.45678 "))
    assert reader.read(content).facts[0][1].settled_amount == Amount(Decimal("1234567890123.45678"), "EUR")  # type: ignore[union-attr]


def test_invalid_message_is_refused_with_every_violation(reader: Reader) -> None:
    with pytest.raises(InvalidMessage) as refused:
        reader.read(changed("sese.024.001.13_pending", ("DMON", "NONE"), ("PREA", "NONE")))
    assert [violation.code for violation in refused.value.violations] == ["value_not_in_code_set"] * 2


def test_valid_message_without_a_table_says_so(reader: Reader, catalogue: Catalogue) -> None:
    with pytest.raises(UnreadableMessage) as refused:
        reader.read(random_document(catalogue, "sese.020.001.08", Random(1)))
    assert refused.value.code == "definition_not_read"
    assert not reader.reads("sese.020.001.08")
    assert reader.reads("sese.024.001.13")


def test_header_alone_is_no_reply(reader: Reader) -> None:
    text = (REPLIES / "sese.024.001.13_pending.xml").read_text()
    header = re.search(r"<AppHdr.*</AppHdr>", text, re.DOTALL)
    assert header is not None
    with pytest.raises(UnreadableMessage) as refused:
        reader.read(header[0].encode())
    assert refused.value.code == "definition_not_read"


def test_header_of_the_network_that_holds_the_iso_elements_is_read(reader: Reader) -> None:
    text = (REPLIES / "sese.024.001.12_failing.xml").read_text()
    head = "urn:iso:std:iso:20022:tech:xsd:head.001.001.02"
    inside = re.search(r"<AppHdr[^>]*>(.*)</AppHdr>", text, re.DOTALL)
    assert inside is not None
    prefixed = re.sub(r"<(/?)(\w)", r"<\1h:\2", inside[1])
    own = f'<AppHdr xmlns="urn:net" xmlns:h="{head}">{prefixed}</AppHdr>'
    reply = reader.read(re.sub(r"<AppHdr.*</AppHdr>", own, text, flags=re.DOTALL).encode())
    assert (reply.header_definition, reply.sender_bic) == (None, "CSDXDEFFXXX")


@pytest.mark.parametrize("definition", definitions())
def test_every_random_valid_document_is_read(catalogue: Catalogue, reader: Reader, definition: str) -> None:
    for seed in range(6):
        content = random_document(catalogue, definition, Random(seed), richness=(0.1, 0.5, 0.9)[seed % 3])
        reply = reader.read(content)
        assert reply.message_definition == definition
        assert len(reply.facts) == 1
        assert reply.supplementary == content.count(b"<SplmtryData>")


def test_every_line_of_every_table_reads_an_element_of_some_version(catalogue: Catalogue) -> None:
    for table in tables():
        versions = [catalogue.message(name) for name in catalogue.definitions() if name.startswith(table.family)]
        assert versions, table.name
        for column in table.columns:
            found = False
            for message in versions:
                root = message.types[message.root_type]
                assert isinstance(root, ComplexType)
                below = "" if message.root == "AppHdr" else next(root.content.elements()).name + "/"
                found = found or message.element(below + column.path) is not None
            assert found, f"{table.name}: {column.path}"


def paths_of(lines: ListLines, around: str) -> Iterator[str]:
    for path in (f"{around}{path}" for path in lines.paths):
        yield path
        for inner in lines.lists:
            yield from paths_of(inner, f"{path}/")


def columns_of(lines: ListLines, around: tuple[str, ...] = ("",)) -> Iterator[tuple[str, list[str]]]:
    """Yield the path of each line of a list, and where its element may be: below one of the list's own elements."""
    places = [f"{above}{path}/" for above in around for path in lines.paths]
    for column in lines.columns:
        ups = column.path.count("../")
        steps = [place.split("/")[:-1] for place in places]
        kept = [parts[: len(parts) - ups] for parts in steps if len(parts) >= ups]
        yield column.path, ["/".join((*parts, column.path.removeprefix("../" * ups))) for parts in kept]
    for inner in lines.lists:
        yield from columns_of(inner, tuple(places))


def test_every_line_of_every_fin_table_has_an_element_in_one_of_its_message_types(catalogue: Catalogue) -> None:
    for name, text in read_tables("fin/reading", ".read").items():
        table = parse_table(text, name)
        types = [catalogue.message(family) for family in table.family.split()]
        looked_up = [(path, [path]) for path in (*(c.path for c in table.columns), *(path for path, _ in table.cases))]
        for lines in table.lists:
            looked_up += [(path, [path]) for path in paths_of(lines, "")]
            looked_up += columns_of(lines)
        for path, places in looked_up:
            found = [
                message.element(place if message.root != "Document" else f"{message.identifier}/{place}")
                for message in types
                for place in places
            ]
            assert any(found), f"{name}: {path}"


def test_every_status_of_every_version_has_a_word_that_the_lifecycle_knows(catalogue: Catalogue) -> None:
    known = {
        axis: {value for (_, name), rows in TRANSITIONS.items() if name == axis for row in rows for value in row.after}
        for _, axis in TRANSITIONS
    }
    for table in tables():
        dialogues = {"status": str(table.constants.get("request", "cancellation")), "call": "modification"}
        for column in (line for line in table.columns if line.conversion == "status"):
            words = table.codes[column.argument]
            assert set(words.values()) <= known[dialogues.get(column.field, column.field)], table.name
            for name in (name for name in catalogue.definitions() if name.startswith(table.family)):
                message = catalogue.message(name)
                top = message.types[message.root_type]
                assert isinstance(top, ComplexType)
                element = message.element(f"{next(top.content.elements()).name}/{column.path}")
                if element is not None:
                    choice = message.types[element.type]
                    assert isinstance(choice, ComplexType)
                    assert {child.name for child in choice.content.elements()} <= set(words), f"{name} {column.path}"


def test_one_fact_for_each_transaction_where_a_message_lists_several(
    catalogue: Catalogue, validator: Validator
) -> None:
    lines = parse_table(
        "messages setr.044\nfact ConfirmationStatus\neach Refs\nprocessing PrcgSts status s\n"
        "references.common_id Refs/Ref/CmonId text\nreferences.confirmation_reference Refs/Ref/ExctgPtyTxId text\n"
        "references.trade_id Id/TxId text\ncodes s\n  RcvdAtIntrmy received_at_intermediary\n",
        "own.read",
    )
    reply = Reader(validator, catalogue, [lines]).read((REPLIES / "setr.044.001.04_unmatched.xml").read_bytes())
    assert [references for references, _ in reply.facts] == [
        References(trade_id="ANSWER1"),
        References(confirmation_reference=OURS, trade_id="ANSWER1"),
        References(common_id="COMMON1", trade_id="ANSWER1"),
    ]
    assert {fact.processing.value for _, fact in reply.facts} == {"received_at_intermediary"}  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("messages sese.024\nfact StatusAdvice\nprocessing PrcgSts guess", "line 3"),
        ("messages sese.024\nfact StatusAdvice\nprocessing PrcgSts status none", "code table 'none'"),
        ("messages sese.024\nfact NoFact\n", "NoFact"),
        ("messages sese.024\nfact StatusAdvice\ncolour TxId/AcctOwnrTxId text", "no field 'colour'"),
        ("messages sese.024\nfact StatusAdvice\nreferences.colour TxId/AcctOwnrTxId text", "references.colour"),
    ],
)
def test_wrong_table_is_named(catalogue: Catalogue, validator: Validator, text: str, said: str) -> None:
    with pytest.raises(ConfigError, match=re.escape(said)):
        Reader(validator, catalogue, [parse_table(text, "own.read")]).read(
            (REPLIES / "sese.024.001.13_pending.xml").read_bytes()
        )


def test_code_that_a_table_does_not_know_is_refused(catalogue: Catalogue, validator: Validator) -> None:
    table = parse_table(
        "messages sese.025\nfact SettlementConfirmation\nmovement TxIdDtls/SctiesMvmntTp code m\n"
        "codes m\n  DELI deliver\n",
        "own.read",
    )
    with pytest.raises(UnreadableMessage) as refused:
        Reader(validator, catalogue, [table]).read((REPLIES / "sese.025.001.12_partial.xml").read_bytes())
    assert refused.value.code == "code_unknown"
    assert refused.value.violations[0].value == "RECE"


def test_tables_name_only_facts_that_there_are() -> None:
    for table in tables():
        assert table.fact is None or fields(getattr(facts, table.fact))
