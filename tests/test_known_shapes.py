"""What a shape that is known writes is what its rows write at length, whatever came before; it drops nothing.

A fifth of the changes by default; ``GATEWAY_TEST_FULL=1`` makes them all.
"""

from __future__ import annotations

import copy
import os
import re
from collections.abc import Iterator
from dataclasses import fields, replace
from typing import Any

import pytest

from gateway.errors import BuildError, EventError
from gateway.messages import Correspondents, Identity, building, fin, read_fin_mappings, sources_of
from gateway.messages.building import MessageWriter
from gateway.messages.mapping import Table
from gateway.messages.schema_files import load_catalogue
from gateway.messages.writing import made
from gateway.model.events import EVENT_KINDS, TradeEvent, parse_event
from gateway.model.facts import Terms
from tests.examples import IDENTITY, OWN_BIC, TABLES, document, encode, terms_about

_PROPRIETARY = {"identification": "AB01", "issuer": "ACME"}
_OTHER_WORDS = {
    "receive": "deliver",
    "deliver": "receive",
    "debit": "credit",
    "credit": "debit",
    "unit": "face_amount",
    "PRCT": "YIEL",
}
FULL = os.environ.get("GATEWAY_TEST_FULL") == "1"
_CORRESPONDENTS = Correspondents(OWN_BIC, "CUSTGB2LXXX")
_FIN = [(table, kind) for table in read_fin_mappings() for kind in table.events]
_ISO_20022 = [(TABLES[kind], kind) for kind in sorted(EVENT_KINDS) if kind in TABLES]


def variants(value: Any) -> Iterator[Any]:
    """Give a document with one thing different: something left out, another length of a list, another kind of code."""
    if isinstance(value, dict):
        for name, inner in value.items():
            yield {other: said for other, said in value.items() if other != name}
            for changed in variants(inner):
                yield value | {name: changed}
    elif isinstance(value, list):
        yield [*value, copy.deepcopy(value[-1])]
        for number, inner in enumerate(value):
            yield value[:number] + value[number + 1 :]
            for changed in variants(inner):
                yield [*value[:number], changed, *value[number + 1 :]]
    elif isinstance(value, bool):
        yield not value
    elif value in _OTHER_WORDS:
        yield _OTHER_WORDS[value]
    elif isinstance(value, str) and re.fullmatch("[A-Z]{4}", value):
        yield _PROPRIETARY


def parsed(documents: Iterator[Any]) -> Iterator[TradeEvent]:
    """Read the documents that are events."""
    for one in documents:
        try:
            yield parse_event(encode(one))
        except EventError:
            continue


def sources(table: Table, event: TradeEvent, **said: Any) -> list[Any]:
    """Return what an event is written from."""
    instructed = said.get("instructed", terms_about(event.dialogue))
    asked = event.terms_asked(instructed) or instructed
    given = [event, said.get("identity", IDENTITY), instructed, asked, _CORRESPONDENTS]
    return [*given, fin.Derived] if table.is_fin else given


def new_writer(table: Table) -> MessageWriter:
    """Make a writer that has seen nothing."""
    definition = table.message if table.is_fin else table.default
    return MessageWriter(table, load_catalogue().message(definition), sources_of(table))


def outcome(writer: MessageWriter, given: list[Any]) -> object:
    """Return what a writer writes, or what it refuses."""
    try:
        return writer.write(*given)[0]
    except BuildError as error:
        return error.violations


def at_length(writer: MessageWriter, given: list[Any]) -> object:
    """Return what the rows write, or refuse, without any shape."""
    try:
        pieces = writer._pieces(made(given))
    except BuildError as error:
        return error.violations
    return "".join(piece if isinstance(piece, str) else piece.form.render(piece.value) for piece in pieces)


def named(value: object) -> str:
    return value.message if isinstance(value, Table) else str(value)


@pytest.mark.parametrize(("table", "kind"), [*_ISO_20022, *_FIN], ids=named)
def test_every_difference_between_two_events_shows(table: Table, kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whichever shape was known before, and tried first: of an event, or of one that differs in one place."""
    monkeypatch.setattr(building, "_WORTH_A_FUNCTION", 1)
    writer = new_writer(table)
    for example in (EVENT_KINDS[kind].example, EVENT_KINDS[kind].minimal, *EVENT_KINDS[kind].others):
        whole = sources(table, parse_event(encode(example)))
        expected = at_length(writer, whole)
        changed = list(variants(copy.deepcopy(example)))
        for event in parsed(iter(changed[:: 1 if FULL else 5])):
            varied = sources(table, event)
            said = at_length(writer, varied)
            assert [outcome(writer, one) for one in (whole, varied, varied, whole)] == [expected, said, said, expected]
    assert all(seen > 0 for seen in writer._seen.values())  # a function was made for every shape


@pytest.mark.parametrize(("table", "kind"), [*_ISO_20022, *_FIN], ids=named)
def test_what_the_gateway_adds_shows_too(table: Table, kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(building, "_WORTH_A_FUNCTION", 1)
    writer = new_writer(table)
    event = parse_event(encode(document(kind, minimal=True)))
    bare = Identity(IDENTITY.transaction_id, IDENTITY.business_message_id, IDENTITY.created_at)
    in_force = terms_about(event.dialogue)
    ways: list[dict[str, Any]] = [{"instructed": Terms()}, {"identity": bare}, {}]
    nothing: Any = None
    ways += [{"instructed": replace(in_force, **{one.name: nothing})} for one in fields(Terms)]
    ways += [{"instructed": Terms(**{one.name: getattr(in_force, one.name)})} for one in fields(Terms)]
    ways += [{"identity": replace(IDENTITY, **{one.name: nothing})} for one in fields(Identity) if one.default is None]
    for said in [*ways, *ways, *reversed(ways)]:
        given = sources(table, event, **said)
        assert outcome(writer, given) == at_length(writer, given)


def test_a_function_is_made_where_it_is_worth_it() -> None:
    for table in (TABLES["instruct_settlement/1"], next(table for table, _ in _FIN if table.message == "MT541")):
        writer = new_writer(table)
        given = sources(table, next(parsed(iter([document("instruct_settlement/1", minimal=True)]))))
        written = {outcome(writer, given) for _ in range(5)}
        [[(function, _)]] = writer._shapes.values()
        assert {function(*given)} == written
