"""Trade events for tests: the examples of every kind, changed in one place, and what builds messages out of them."""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Iterator
from datetime import UTC, datetime
from functools import cache
from typing import Any

from gateway.errors import BuildError
from gateway.messages import BuiltMessage, Identity, Messages
from gateway.messages.data_files import read_tables
from gateway.messages.mapping import Table, parse_table
from gateway.messages.schema_files import load_catalogue
from gateway.model.events import EVENT_KINDS, TradeEvent, parse_event
from gateway.model.events.settlement import InstructSettlement
from gateway.model.facts import Terms
from gateway.model.profile import KafkaCarrier, Profile
from gateway.model.references import uetr
from gateway.model.transitions import Dialogue

OWN_BIC = "OWNRDEFFXXX"
IDENTITY = Identity(
    "TX00000000000001",
    "BM00000000000001",
    datetime(2026, 3, 2, 8, 15, 1, 500_000, tzinfo=UTC),
    uetr=uetr("TX00000000000001"),
    end_to_end_id="E2E-1",
    original_message_id="OM00000000000001",
    original_definition="pacs.009.001.08",
)

TABLES = {
    event: table
    for table in (parse_table(text, name) for name, text in read_tables("mapping", ".map").items())
    for event in table.events
}


def _versions(table: Table) -> tuple[str, ...]:
    """Return every version of a message that is offered; the variants for FIN carry less, and have other tests."""
    core = f"{table.message}.001."
    return tuple(name for name in load_catalogue().definitions() if name.startswith(core) and table.offers(name))


def _for_fin(family: str) -> tuple[str, ...]:
    """Return the variants that fit ISO 15022: the same message, with shorter references and fewer characters."""
    return tuple(name for name in load_catalogue().definitions() if name.startswith(f"{family}.002."))


VERSIONS = {kind: (table.version, _versions(table)) for kind, table in TABLES.items() if kind in EVENT_KINDS}
EVERY_VARIANT = [(kind, name) for kind in VERSIONS for name in _for_fin(TABLES[kind].message)]
HEADERS = tuple(f"head.001.001.0{number}" for number in (1, 2, 3, 4))
EVERY_VERSION = [(kind, definition) for kind, (_, definitions) in VERSIONS.items() for definition in definitions]


def profile(definition: str = "sese.023.001.12", header: str = "head.001.001.04") -> Profile:
    """Make a counterparty that speaks one message version."""
    key = next(table.version for table in TABLES.values() if definition.startswith(f"{table.message}."))
    versions = {key: definition, "header": header}
    channel = KafkaCarrier(outbound_topic="out", inbound_topic="in")
    return Profile(bic="CUSTGB2LXXX", name="Custodian", channel=channel, versions=versions)


@cache
def messages() -> Messages:
    """Return the messages room for every version and header."""
    profiles = [profile(definition) for _, definition in (*EVERY_VERSION, *EVERY_VARIANT)]
    profiles += [profile(header=header) for header in HEADERS]
    return Messages(load_catalogue(), profiles, OWN_BIC)


def document(kind: str, *, minimal: bool = False) -> dict[str, Any]:
    """Return a fresh copy of a kind's example."""
    found = EVENT_KINDS[kind]
    return copy.deepcopy(found.minimal if minimal else found.example)


def encode(event: object) -> bytes:
    """Write an event as upstream does."""
    return json.dumps(event, ensure_ascii=False).encode()


def terms(movement: str = "deliver") -> Terms:
    """Return the terms of the complete settlement example."""
    event = document("instruct_settlement/1") | {"movement": movement}
    parsed = parse_event(encode(event))
    assert isinstance(parsed, InstructSettlement)
    return parsed.terms()


@cache
def terms_about(dialogue: Dialogue) -> Terms:
    """Return the terms of the complete example that begins a dialogue; of a settlement, where they do not matter."""
    kind = next(
        (name for name, kind in EVENT_KINDS.items() if kind.model.dialogue == dialogue and _begins(kind.model)),
        "instruct_settlement/1",
    )
    return parse_event(encode(document(kind))).terms()


def _begins(model: type[TradeEvent]) -> bool:
    return model.role == "instruction"


def build(event: dict[str, Any] | TradeEvent, definition: str, header: str = "head.001.001.04") -> BuiltMessage:
    """Build the message of an event in one version."""
    parsed = parse_event(encode(event)) if isinstance(event, dict) else event
    return messages().build(parsed, profile(definition, header), IDENTITY, terms_about(parsed.dialogue))


def expressible(event: dict[str, Any], definition: str) -> dict[str, Any]:
    """Leave out of an event what the version has no element for."""
    try:
        build(event, definition)
    except BuildError as error:
        for violation in error.violations:
            remove(event, violation.path)
        return expressible(event, definition)
    return event


def remove(event: Any, path: str) -> None:
    """Take the field at a path out of an event; an item of a list that loses its last field goes too."""
    name, _, rest = path.partition(".")
    name, bracket, index = name.partition("[")
    if name not in event:
        return
    if not rest and not bracket:
        del event[name]
    elif not bracket:
        remove(event[name], rest)
    else:
        chosen = range(len(event[name])) if index == "]" else [int(index[:-1])]
        for item in [event[name][number] for number in chosen if number < len(event[name])]:
            if rest:
                remove(item, rest)
            if not rest or not item:
                event[name].remove(item)


def leaves(value: Any, path: str = "") -> Iterator[str]:
    """Yield the path of every value in an event."""
    if isinstance(value, dict):
        for name, inner in value.items():
            yield from leaves(inner, f"{path}.{name}" if path else name)
    elif isinstance(value, list):
        for number, inner in enumerate(value):
            yield from leaves(inner, f"{path}[{number}]")
    else:
        yield path


def plain(path: str) -> str:
    """Write a path as the mapping tables do: list items without their number."""
    return re.sub(r"\[\d*\]", "[]", path)
