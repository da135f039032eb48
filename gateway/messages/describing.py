"""Describe the fields of the JSON Schema of trade events: where each travels in a message, by the mapping tables."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final

from gateway.messages.mapping import NUMBERED, Row, Table

_INDEX: Final = re.compile(r"\[[0-9#]*\]")
_POSITION: Final = re.compile(r"\[[0-9]*\]")
_GROUP: Final = "group "

_Schema = dict[str, Any]


def describe_fields(schema: _Schema, tables: Iterable[Table]) -> None:
    """Give each property of a JSON Schema of trade events the elements that it fills, with their notes, as description.

    The schema is changed in place. A part that several fields share has its paths below the element of the part.
    """
    kinds = {event: table for table in tables for event in table.events}
    definitions: Mapping[str, _Schema] = schema.get("$defs", {})
    found: dict[int, tuple[_Schema, list[str]]] = {}
    for part in (schema, *definitions.values()):
        kind = part.get("properties", {}).get("schema", {}).get("const")
        if (table := kinds.get(kind)) is not None:
            _describe(part, table.rows, table, definitions, found)
    for described, texts in found.values():
        described["description"] = "; ".join(dict.fromkeys(texts))


def _describe(
    part: _Schema,
    rows: Sequence[Row],
    table: Table,
    definitions: Mapping[str, _Schema],
    found: dict[int, tuple[_Schema, list[str]]],
) -> None:
    for row in rows:
        *outer, last = ["schema" if name == "event_schema" else name for name in _INDEX.sub("", row.field).split(".")]
        owners = [part]
        for name in outer:
            owners = [inner for owner in owners for inner in _inner(owner.get("properties", {}).get(name), definitions)]
        for owner in owners:
            described = owner.get("properties", {}).get(last)
            if described is None:
                continue  # ours (identity), or the other of text and object
            if text := _text(row, table):
                found.setdefault(id(described), (described, []))[1].append(text)
            if row.conversion.startswith(_GROUP):
                for inner in _inner(described, definitions):
                    _describe(inner, table.groups[row.conversion.removeprefix(_GROUP)], table, definitions, found)


def _inner(described: _Schema | None, definitions: Mapping[str, _Schema]) -> Iterator[_Schema]:
    """Yield the objects that a property is, refers to, or has as its items."""
    if described is None:
        return
    if (reference := described.get("$ref")) is not None:
        yield definitions[reference.rpartition("/")[2]]
    for inner in (*described.get("anyOf", ()), described.get("items")):
        if inner is not None:
            yield from _inner(inner, definitions)


def _text(row: Row, table: Table) -> str:
    if row.conversion == "internal":
        return row.note
    if row.elements == ("-",):
        where = f"no element of {table.message}"
    else:
        where = " or ".join(_POSITION.sub("", path).replace("#", f"1 to {NUMBERED}") for path in row.elements)
    return f"{where} ({row.note})" if row.note else where
