"""What facts say, part by part, and which of these parts an element of a message said."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import fields, is_dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import Any, Final

from gateway.errors import UnreadableMessage
from gateway.messages.conversions import COMPOUND, CONVERSIONS
from gateway.messages.reading import Column, ListLines, ReadingTable
from gateway.messages.translation.leaves import Leaf
from gateway.model.facts import Amount, Quantity, Reason, Reply, StatusValue

Atom = tuple[str, str]
"""A field (``references.common_id``, ``processing.reasons``) and what it says, as a text."""

NO_REASON: Final = ("NORE",)
_STATUS_CODE: Final = "status_code"  # in FIN
_SCHEME: Final = ("Issr", "SchmeNm")  # who gives a proprietary code: facts do not keep it


def atoms(name: str, value: Any) -> Iterator[Atom]:
    """Yield what a value of a field says, part by part."""
    match value:
        case None | () | False:
            return
        case StatusValue():
            yield f"{name}.value", value.proprietary or value.value
            for reason in value.reasons:
                yield from atoms(f"{name}.reasons", reason)
        case Reason():
            yield from ((name, text) for text in (value.code, value.proprietary, value.text) if text is not None)
        case Amount():
            yield name, f"{value.currency} {_number(value.value)}"
        case Quantity():
            yield name, f"{value.type} {_number(value.value)}"
        case tuple():
            for item in value:
                yield from _atoms_of(item, name) if _is_fact(item) else atoms(name, item)
        case Decimal():
            yield name, _number(value)
        case datetime() | date():
            yield name, value.isoformat()
        case True:
            yield name, "yes"
        case _:
            yield name, str(value)


def _atoms_of(item: Any, prefix: str) -> Iterator[Atom]:
    for each in fields(item):
        yield from atoms(f"{prefix}.{each.name}" if prefix else each.name, getattr(item, each.name))


def _is_fact(value: object) -> bool:
    return is_dataclass(value) and not isinstance(value, StatusValue | Reason | Amount | Quantity)


def _number(value: Decimal) -> str:
    return f"{value.normalize():f}"


# --- what a message said -------------------------------------------------------------------------------------------


def said_by(table: ReadingTable, leaf: Leaf, reply: Reply) -> list[Atom]:
    """Return what the facts say that this element said; empty for one that no line of the table is for."""
    found: list[Atom] = []
    for column, path, name in _columns(table):
        if column.conversion == "count":
            continue
        if column.conversion in COMPOUND:
            if leaf.tags[: len(path)] == path and leaf.tags[-1] not in _SCHEME:
                words = table.codes.get(column.argument, {})
                found += _within(name.removesuffix(".reasons"), leaf, words, reply)
        elif leaf.tags == path:
            found += _converted(table, column, name, leaf)
    for said, text in table.cases:
        if leaf.tags == tuple(said.split("/")) and text in ("", leaf.text):
            found.append(("", leaf.text))
    return found


def _converted(table: ReadingTable, column: Column, name: str, leaf: Leaf) -> Iterator[Atom]:
    kind = "open_status" if name.rpartition(".")[2] in ("value", "proprietary") else column.conversion
    kind = "text" if column.conversion == "text" else kind
    plain = name.removesuffix(".value").removesuffix(".proprietary") if kind == "open_status" else name
    try:
        value = CONVERSIONS[kind]("", column.argument, table.codes)(leaf.element)
    except UnreadableMessage:
        return
    part = name.rpartition(".")[2]
    if part in ("proprietary", "reason_code", "reason_proprietary", "reason_text") and isinstance(value, str):
        kept = "value" if part == "proprietary" else "reasons"
        yield f"{name.rpartition('.')[0]}.{kept}", value
        return
    yield from atoms(plain, value)


def _within(name: str, leaf: Leaf, words: Mapping[str, str], reply: Reply) -> Iterator[Atom]:
    """Yield what a status says by an element inside it: its text or code, that there is no reason, that it is there."""
    told = [atom for atom in told_by(reply) if atom[0] in (f"{name}.value", f"{name}.reasons", name)]
    same = [atom for atom in told if atom[1] == leaf.text]
    if same:
        yield same[0]
    elif leaf.tags[-1] == _STATUS_CODE:
        yield from (atom for atom in told if atom == (f"{name}.value", words.get(leaf.text)))
    elif leaf.text in ("", *NO_REASON):
        yield from (atom for atom in told if atom[0] == f"{name}.value")


def told_by(reply: Reply) -> Iterator[Atom]:
    """Yield everything that the facts of a message say."""
    for references, fact in reply.facts:
        yield from _atoms_of(references, "references")
        yield from _atoms_of(fact, "")


def _columns(table: ReadingTable) -> Iterator[tuple[Column, tuple[str, ...], str]]:
    """Yield every line of a table with the whole path of its element and the whole name of its field."""
    for column in table.columns:
        yield column, tuple(column.path.split("/")), column.field
    for lines in table.lists:
        yield from _columns_of(lines, (), "")


def _columns_of(lines: ListLines, above: tuple[str, ...], prefix: str) -> Iterator[tuple[Column, tuple[str, ...], str]]:
    name = f"{prefix}{lines.field}"
    for path in lines.paths:
        around = (*above, *path.split("/"))
        for column in lines.columns:
            own = column.path
            place: tuple[str, ...] = around
            while own.startswith("../"):
                own, place = own.removeprefix("../"), place[:-1]
            yield column, (*place, *own.split("/")), f"{name}.{column.field}"
        for inner in lines.lists:
            yield from _columns_of(inner, around, f"{name}.")
