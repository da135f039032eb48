"""Describe the fields of the JSON Schema of trade events: where each travels in a message, by the mapping tables."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import takewhile
from typing import Any, Final

from gateway.messages.mapping import NUMBERED, Row, Table

_INDEX: Final = re.compile(r"\[[0-9#]*\]")
_POSITION: Final = re.compile(r"\[[0-9]*\]")
_GROUP: Final = "group "

_Schema = dict[str, Any]
_Found = dict[int, tuple[_Schema, list[str]]]  # by the identity of the property: what is said of it


def describe_fields(schema: _Schema, tables: Iterable[Table]) -> None:
    """Give each property of a JSON Schema of trade events the elements that it fills, with their notes, as description.

    The schema is changed in place. A part that several fields share has its paths below the element of the part.
    """
    kinds = {event: table for table in tables for event in table.events}
    definitions: Mapping[str, _Schema] = schema.get("$defs", {})
    found: _Found = {}
    around: _Found = {}
    for part in (schema, *definitions.values()):
        kind = part.get("properties", {}).get("schema", {}).get("const")
        if (table := kinds.get(kind)) is not None:
            _describe(part, table.rows, table, definitions, found, around)
    for described, texts in found.values():
        described["description"] = "; ".join(dict.fromkeys(texts))
    for key, (described, paths) in around.items():
        if key not in found and (path := _above_all(paths)):
            described["description"] = path


def _describe(
    part: _Schema,
    rows: Sequence[Row],
    table: Table,
    definitions: Mapping[str, _Schema],
    found: _Found,
    around: _Found,
) -> None:
    for row in rows:
        *outer, last = ["schema" if name == "event_schema" else name for name in _INDEX.sub("", row.field).split(".")]
        owners = [part]
        for name in outer:
            passed = [owner["properties"][name] for owner in owners if name in owner.get("properties", {})]
            if row.elements != ("-",):
                for described in passed:
                    around.setdefault(id(described), (described, []))[1].append(row.elements[0])
            owners = [inner for described in passed for inner in _inner(described, definitions)]
        for owner in owners:
            described = owner.get("properties", {}).get(last)
            if described is None:
                continue  # ours (identity), or the other of text and object
            if text := _text(row, table):
                found.setdefault(id(described), (described, []))[1].append(text)
            if row.conversion.startswith(_GROUP):
                for inner in _inner(described, definitions):
                    _describe(
                        inner, table.groups[row.conversion.removeprefix(_GROUP)], table, definitions, found, around
                    )


def _above_all(paths: Sequence[str]) -> str:
    """Give the element that has all these in it; of a single one the element above it."""
    steps = [_POSITION.sub("", path).split("/")[:-1] for path in paths]
    shared = takewhile(lambda level: len(set(level)) == 1, zip(*steps, strict=False))
    return "/".join(level[0] for level in shared)


def _inner(described: _Schema, definitions: Mapping[str, _Schema]) -> Iterator[_Schema]:
    """Yield the objects that a property is, refers to, or has as its items."""
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
