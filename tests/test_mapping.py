"""Mapping tables: read, checked against events and dictionary, and written to the documentation."""

from __future__ import annotations

from pathlib import Path

import pytest

from gateway.errors import ConfigError
from gateway.messages import Identity
from gateway.messages.building import MessageWriter
from gateway.messages.data_files import read_tables
from gateway.messages.mapping import mapping_page, parse_table, place
from gateway.messages.schema_files import load_catalogue
from gateway.model.events import EVENT_KINDS, parse_event
from gateway.model.events.settlement import CancelSettlement
from gateway.model.facts import Terms
from tests.examples import EVERY_VERSION, HEADERS, TABLES, VERSIONS, document, encode

CATALOGUE = load_catalogue(Path("/nonexistent"))
SOURCES = {"event": CancelSettlement, "identity": Identity, "instructed": Terms, "asked": Terms}

CANCEL = read_tables("mapping", ".map")["sese.020.map"]


def compile_cancel(text: str) -> MessageWriter:
    return MessageWriter(parse_table(text, "sese.020.map"), CATALOGUE.message("sese.020.001.08"), SOURCES)


def test_there_is_a_table_for_every_kind_of_event_and_the_header() -> None:
    assert TABLES.keys() == {*EVENT_KINDS, "header"}


def test_every_message_has_a_key_of_its_own_in_the_profile_and_a_default_that_is_there() -> None:
    keys = {(table.version, table.message) for table in TABLES.values()}
    assert len({version for version, _ in keys}) == len({message for _, message in keys}) == len(keys)
    assert [table.default for table in TABLES.values() if table.default not in CATALOGUE] == []


@pytest.mark.parametrize(("kind", "definition"), EVERY_VERSION + [("header", header) for header in HEADERS])
def test_every_row_of_a_table_is_placed_in_some_version(kind: str, definition: str) -> None:
    family = definition.rsplit(".", 1)[0]
    placed = {
        (row.line, row.field)
        for name in CATALOGUE.definitions()
        if name.startswith(f"{family}.")
        for row, steps in place(TABLES[kind], CATALOGUE.message(name))
        if steps is not None
    }
    # A party of a trade confirmation has less than one of a settlement; these rows say so in their refusal.
    lacking = ("lei", "processing_reference", "contact_text", "safekeeping_account", "nationality", "address.lines[]")
    unplaced = {
        row.field
        for row in TABLES[kind].leaves()
        if row.conversion != "internal"
        and row.elements != ("-",)
        and (row.line, row.field) not in placed
        and not row.field.endswith(lacking)
    }
    assert unplaced == set()


def test_a_table_that_leaves_out_a_field_of_the_event_stops_the_start() -> None:
    text = "\n".join(line for line in CANCEL.splitlines() if "processor_transaction_id" not in line)
    with pytest.raises(ConfigError, match="no row for processor_transaction_id"):
        compile_cancel(text)


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("processor_transaction_id", "procesor_transaction_id", "procesor_transaction_id"),
        ("instructed.isin ", "instructed.isim ", "instructed.isim"),
        ("| group code ", "| group cod ", "is no conversion"),
        ("deliver=DELI, receive=RECE", "capitals", "is no conversion"),
        ("FxCxl/Ind ", "PrcrTxId ", "two rows claim the element PrcrTxId"),
        ("message  sese.020", "", "the head lacks message"),
        ("message  sese.020", "mesage  sese.020", "line 2"),
        ("| group quantity ", "", "line"),
        ("instructed.quantity ", "instructed.quantity[] ", "names no field"),
    ],
)
def test_a_mistake_in_a_table_stops_the_start_and_is_named(old: str, new: str, said: str) -> None:
    assert old in CANCEL
    with pytest.raises(ConfigError) as caught:
        compile_cancel(CANCEL.replace(old, new, 1))
    assert said in caught.value.text


def test_the_first_alternative_that_a_version_has_is_used() -> None:
    text = CANCEL.replace("PrcrTxId ", "Nothing/At/All or PrcrTxId ", 1)
    writer = compile_cancel(text)
    event = parse_event(encode(document("cancel_settlement/1")))
    assert "<PrcrTxId>PROC-1</PrcrTxId>" in writer.write(event, Identity("a", "b", event.occurred_at), Terms())[0]


def test_the_page_in_the_documentation_is_current() -> None:
    from docs.generate import message_mapping_page

    page = Path(__file__).parents[1] / "docs" / "mapping.md"
    assert page.read_text(encoding="utf-8") == message_mapping_page(), "run: make docs"


def test_the_page_says_what_a_version_lacks() -> None:
    table = TABLES["instruct_settlement/1"]
    page = mapping_page([table], {"sese.023": [CATALOGUE.message(name) for name in VERSIONS[table.events[0]][1]]})
    assert "- `sese.023.001.12`: nothing" in page
    assert "- `sese.023.001.11`: `other_amounts.network_fee`" in page
    assert "`unique_transaction_identifier`" in page
