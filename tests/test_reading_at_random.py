"""Whatever a valid message holds, it is read; whatever is wrong with one, it is refused with violations.

Documents of every definition that a reading table is for are made at random from the schema dictionary, and changed in
one place by each kind of mutation. ``GATEWAY_TEST_FULL=1`` makes fifteen times as many of them.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from functools import cache
from random import Random

import pytest
from lxml import etree

from gateway.errors import InvalidMessage, MessageError
from gateway.messages.catalogue import Catalogue
from gateway.messages.data_files import read_tables
from gateway.messages.reading import HEADER, Reader, parse_table
from gateway.messages.schema_files import open_dictionary
from gateway.messages.validation import Validator
from gateway.messages.xsd_text import compile_schema
from tests.documents import mutations, random_document

FULL = os.environ.get("GATEWAY_TEST_FULL") == "1"
DOCUMENTS = 30 if FULL else 2
CATALOGUE = Catalogue([open_dictionary()])
TABLES = [parse_table(text, name) for name, text in read_tables("reading", ".read").items()]
FAMILIES = tuple(f"{table.family}." for table in TABLES if table.family != HEADER)
DEFINITIONS = [name for name in CATALOGUE.definitions() if name.startswith(FAMILIES)]
NEWEST = {name.rpartition(".")[0]: name for name in DEFINITIONS}  # of each family and variant
_HEAD = (
    '<AppHdr xmlns="urn:iso:std:iso:20022:tech:xsd:head.001.001.02"><Fr><FIId><FinInstnId><BICFI>CUSTDEFFXXX</BICFI>'
    "</FinInstnId></FIId></Fr><To><FIId><FinInstnId><BICFI>OURSGB2LXXX</BICFI></FinInstnId></FIId></To>"
    "<BizMsgIdr>RANDOM1</BizMsgIdr><MsgDefIdr>{definition}</MsgDefIdr><CreDt>2026-03-02T10:00:00Z</CreDt></AppHdr>"
)


@cache
def reader() -> Reader:
    return Reader(Validator(CATALOGUE), CATALOGUE, TABLES)


def with_header(definition: str, document: bytes) -> bytes:
    body = etree.tostring(etree.fromstring(document), encoding="unicode")
    return f"<Envelope>{_HEAD.format(definition=definition)}{body}</Envelope>".encode()


def documents(definition: str) -> Iterator[tuple[bytes, Random]]:
    for number in range(DOCUMENTS):
        rng = Random(f"{definition}/read/{number}")
        richness = (0.4, 0.0, 0.7)[number % 3]
        yield random_document(CATALOGUE, definition, rng, richness=richness, most_elements=200), rng


def refusal(content: bytes) -> MessageError | None:
    """Return why a message is refused; None for one that is read."""
    try:
        reader().read(content)
    except MessageError as error:
        return error
    return None


@pytest.mark.parametrize("definition", DEFINITIONS)
def test_any_valid_document_is_read_into_facts(definition: str) -> None:
    for document, _ in documents(definition):
        alone = reader().read(document)
        assert alone.message_definition == definition
        enveloped = reader().read(with_header(definition, document))
        assert enveloped.business_message_id == "RANDOM1"
        assert enveloped.sender_bic == "CUSTDEFFXXX"
        assert [fact for _, fact in enveloped.facts] == [fact for _, fact in alone.facts]


@pytest.mark.parametrize("definition", DEFINITIONS if FULL else NEWEST.values())
def test_a_changed_document_is_refused_with_violations_or_was_still_valid(definition: str) -> None:
    schema = compile_schema(CATALOGUE.xsd(definition))
    document, rng = next(documents(definition))
    refused = 0
    for description, changed in mutations(document, rng):
        if etree.fromstring(changed).tag != f"{{{CATALOGUE.namespace(definition)}}}Document":
            continue  # a root of another name is an envelope; tests of envelopes are elsewhere
        allowed = schema.validate(etree.fromstring(changed))
        error = refusal(changed)
        if error is None:
            assert allowed, description
            continue
        refused += 1
        assert error.violations, description
        assert not (allowed and isinstance(error, InvalidMessage)), description
    assert refused
