"""Content: everything that a message says as plain values, and written back without loss."""

from __future__ import annotations

import json
from pathlib import Path
from random import Random

import pytest
import typer
from lxml import etree
from typer.testing import CliRunner

from gateway.cli.read import read
from gateway.errors import BuildError, InvalidMessage
from gateway.messages.catalogue import Catalogue
from gateway.messages.content import content_of, write_content
from gateway.messages.schema_files import open_dictionary
from gateway.messages.validation import Validator
from tests.documents import Unsatisfiable, random_document
from tests.reference import needs_reference
from tests.test_samples import content as bytes_of
from tests.test_samples import samples

CATALOGUE = Catalogue([open_dictionary()])
VALIDATOR = Validator(CATALOGUE)
GOLDEN = sorted((Path(__file__).parent / "golden").glob("*.xml"))
_HINTS = "{http://www.w3.org/2001/XMLSchema-instance}"


def canonical(element: etree._Element, namespace: str) -> object:
    """Return what counts in an element: names, attributes, texts of values, and what is foreign as it stands."""
    if not str(element.tag).startswith(f"{{{namespace}}}"):
        return etree.tostring(element, method="c14n", exclusive=True, with_tail=False)
    attributes = sorted((name, value) for name, value in element.attrib.items() if not str(name).startswith(_HINTS))
    if len(element):
        return element.tag, attributes, [canonical(child, namespace) for child in element]
    return element.tag, attributes, element.text or ""


def assert_nothing_is_lost(definition: str, root: etree._Element) -> None:
    message = CATALOGUE.message(definition)
    written = etree.fromstring(write_content(message, content_of(message, root)))
    assert canonical(written, message.namespace) == canonical(root, message.namespace)


@pytest.mark.parametrize("definition", CATALOGUE.definitions()[::7])
def test_random_documents_of_any_definition_come_back_whole(definition: str) -> None:
    for number, richness in enumerate((0.2, 0.6)):
        try:
            document = random_document(
                CATALOGUE, definition, Random(f"{definition}/{number}"), richness=richness, most_elements=150
            )
        except Unsatisfiable:
            return
        assert_nothing_is_lost(definition, etree.fromstring(document))


@pytest.mark.parametrize("file", GOLDEN, ids=lambda file: file.stem)
def test_our_own_messages_come_back_whole(file: Path) -> None:
    parsed = VALIDATOR.parse(file.read_bytes())
    assert len(parsed.parts) == 2
    for definition, root in parsed.parts:
        assert_nothing_is_lost(definition, root)


@needs_reference
def test_every_valid_sample_comes_back_whole() -> None:
    read = 0
    for sample in samples():
        if not sample.get("validates") or VALIDATOR.check(bytes_of(sample)).violations:
            continue
        for definition, root in VALIDATOR.parse(bytes_of(sample)).parts:
            assert_nothing_is_lost(definition, root)
            read += 1
    assert read > 150


def test_an_element_that_the_definition_lacks_is_named_with_those_that_it_has() -> None:
    message = CATALOGUE.message("sese.020.001.08")
    with pytest.raises(BuildError) as caught:
        write_content(message, {"SctiesTxCxlReq": {"AcctOwnrTxId": {"Wrong": "1"}, "TxId": "2"}})
    assert {violation.path for violation in caught.value.violations} == {
        "/Document/SctiesTxCxlReq/AcctOwnrTxId/Wrong",
        "/Document/SctiesTxCxlReq/TxId",
    }
    assert "AcctOwnrTxId" in caught.value.violations[1].rule


def test_what_repeats_is_a_list_and_an_amount_has_its_currency() -> None:
    file = next(file for file in GOLDEN if file.stem.startswith("sese.023.001.12.complete"))
    parsed = VALIDATOR.parse(file.read_bytes())
    assert parsed.document is not None
    said = content_of(CATALOGUE.message("sese.023.001.12"), parsed.document)["SctiesSttlmTxInstr"]
    assert said["SttlmAmt"]["Amt"] == {"value": said["SttlmAmt"]["Amt"]["value"], "@Ccy": "EUR"}
    assert isinstance(said["Lnkgs"], list)
    assert said["TxId"] == "TX00000000000001"


def test_read_shows_all_that_a_message_says_and_the_facts_taken_from_it(tmp_path: Path) -> None:
    file = Path(__file__).parent / "messages" / "replies" / "sese.024.001.13_pending.xml"
    shown = _runner().invoke(_app(), [str(file)])
    assert shown.exit_code == 0, shown.output
    assert "SctiesSttlmTxStsAdvc" in shown.output
    assert "read as StatusAdvice" in shown.output
    record = json.loads(_runner().invoke(_app(), [str(file), "--json"]).output)
    assert record["facts"][0]["settlement"]["value"] == "pending"
    assert "sese.024.001.13" in record["content"]
    broken = tmp_path / "broken.xml"
    broken.write_bytes(file.read_bytes().replace(b"AcctOwnrTxId>", b"Wrong>"))
    refused = _runner().invoke(_app(), [str(broken)])
    assert isinstance(refused.exception, InvalidMessage)


def _app() -> typer.Typer:
    app = typer.Typer()
    app.command("read")(read)
    return app


def _runner() -> CliRunner:
    return CliRunner()
