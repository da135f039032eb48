"""Carry what stands around a message: sender and receiver, identifiers, the time, the mark of a possible duplicate."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from gateway.errors import BuildError
from gateway.messages import fin, header
from gateway.messages.building import MessageWriter
from gateway.messages.catalogue import MessageDefinition
from gateway.messages.conversions import CONVERSIONS
from gateway.messages.reading import ReadingTable
from gateway.messages.translation.leaves import Leaf
from gateway.messages.translation.report import Entry, Report
from gateway.messages.translation.stating import Stated, Statement
from gateway.messages.writing import instant
from gateway.model.references import business_message_id

_X: Final = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789/-?:().,'+ ")
_USER_REFERENCE: Final = 16  # characters of a FIN reference, and of the user's reference in its header
_IN_TEXT: Final = ("reference", "created_at", "message_type")  # of a FIN header: its text says it, or its type
_IDENTIFIER: Final = "reply.business_message_id"
_USER: Final = "user_reference"
_DEFINITION: Final = "reply.stated_definition"
_IN_FIN: Final = {
    "reply.sender_bic": "sender",
    "reply.receiver_bic": "receiver",
    "reply.business_message_id": "user_reference",
    "reply.possible_duplicate": "possible_duplicate",
    "references.uetr": "uetr",
}
_IN_XML: Final = {
    "reply.sender_bic": "Fr/FIId/FinInstnId/BICFI",
    "reply.receiver_bic": "To/FIId/FinInstnId/BICFI",
    "reply.business_message_id": "BizMsgIdr",
    "reply.created_at": "CreDt",
    "reply.possible_duplicate": "PssblDplct",
}


_SAID_IN_TEXT: Final = {
    ("identity", "uetr"): "uetr",
    ("identity", "business_message_id"): "user_reference",
    ("correspondents", "sender_bic"): "sender",
    ("correspondents", "receiver_bic"): "receiver",
}
_OF_HEADING: Final = {"user_reference": "business_message_id"}
_PLACES_IN_XML: Final = {place: _IN_XML[field] for field, place in _IN_FIN.items() if field in _IN_XML}


def is_reference(text: str) -> bool:
    """Tell whether a text may be a reference in FIN: 16 characters of set X, no slash at an end, no two together."""
    return (
        0 < len(text) <= _USER_REFERENCE
        and _X.issuperset(text)
        and not text.startswith("/")
        and not text.endswith("/")
        and "//" not in text
    )


@dataclass(frozen=True, slots=True)
class Heading:
    """What stands around the translated message; ``created_at`` is aware."""

    sender: str
    receiver: str
    business_message_id: str
    created_at: datetime
    uetr: str | None = None
    possible_duplicate: bool = False


def read(leaves: Iterable[Leaf], table: ReadingTable) -> dict[str, tuple[Any, Leaf]]:
    """Return what a header says, by the fields of its reading table, each with its element."""
    told = list(leaves)
    found: dict[str, tuple[Any, Leaf]] = {}
    for column in table.columns:
        for leaf in told:
            if "/".join(leaf.tags) == column.path and column.field not in found:
                convert = CONVERSIONS[column.conversion]("", column.argument, table.codes)
                found[column.field] = convert(leaf.element), leaf
    for leaf in told:
        if leaf.tags == ("user_reference",):
            found[_USER] = leaf.text, leaf
    return found


def heading_of(
    said: Mapping[str, tuple[Any, Leaf]],
    definition: str,
    reference: str | None,
    now: datetime,
    asked: Mapping[str, str],
) -> Heading:
    """Return the heading of what a message becomes; ``asked`` are BICs that the user gives.

    ``reference`` is what the transaction goes by in the message. Where FIN says no other reference, the user's names
    the message. An identifier that FIN has no room for is replaced by one that is derived from it.

    Raises ``BuildError`` (``translation_needs_parties``).
    """
    values = {field: value for field, (value, _) in said.items()}
    sender = asked.get("sender") or values.get("reply.sender_bic")
    receiver = asked.get("receiver") or values.get("reply.receiver_bic")
    if not sender or not receiver:
        text = "the message does not say who sends it to whom; give the BICs of sender and receiver"
        raise BuildError(text, code="translation_needs_parties")
    identifier = values.get(_IDENTIFIER) or reference or ""
    if identifier == reference:
        identifier = values.get(_USER) or identifier
    if definition.startswith("MT") and not is_reference(identifier):
        identifier = business_message_id(identifier, "translation", definition)
    created: datetime = values.get("reply.created_at") or now
    repeat = bool(values.get("reply.possible_duplicate"))
    return Heading(sender, receiver, identifier, created, values.get("references.uetr"), repeat)


def in_header(
    said: Statement, heading: Heading, definition: str, report: Report, carried: Iterable[Leaf]
) -> list[Leaf]:
    """Return the elements of a text that say what the header of the other language does; reports them."""
    in_fin = definition.startswith("MT")
    kept = {id(leaf) for leaf in carried}
    found = []
    for (source, field), place in _SAID_IN_TEXT.items():
        stated = said.fields.get(source, {}).get(field)
        now = getattr(heading, _OF_HEADING.get(place, place))
        if not isinstance(stated, Stated) or stated.leaf is None or id(stated.leaf) in kept:
            continue
        where = f"header/{place}" if in_fin else f"AppHdr/{_PLACES_IN_XML.get(place, place)}"
        if (in_fin or place in _PLACES_IN_XML) and (stated.value == now or _same_bank(stated.value, now)):
            found.append(stated.leaf)
            report.carried.append(Entry(stated.leaf.shown, where, stated.leaf.value))
    return found


def _same_bank(one: Any, other: Any) -> bool:
    """Tell whether two BICs are of one bank: XXX is its head office, as is a BIC of eight."""
    return isinstance(one, str) and isinstance(other, str) and one.removesuffix("XXX") == other.removesuffix("XXX")


def in_fin(heading: Heading, definition: str, text: str) -> bytes:
    """Put FIN's blocks around the text of a message."""
    reference = heading.business_message_id
    content = fin.envelope(heading.sender, heading.receiver, definition, reference, heading.uetr, text)
    return fin.mark_possible_duplicate(content) if heading.possible_duplicate else content


def around(
    heading: Heading,
    definition: str,
    text: str,
    message: tuple[str, str],
    spoken: MessageDefinition,
    writer: MessageWriter,
) -> bytes:
    """Put the heading around the text of a message: FIN's blocks, or ``message``'s tags and a ``spoken`` header."""
    if definition.startswith("MT"):
        return in_fin(heading, definition, text)
    given = header.HeaderFields(
        heading.sender,
        heading.receiver,
        heading.business_message_id,
        definition,
        instant(heading.created_at.astimezone(UTC)),
        None,
        heading.possible_duplicate or None,
    )
    written, _ = writer.write(given)
    opening, closing = f'<{spoken.root} xmlns="{spoken.namespace}">', f"</{spoken.root}>"
    return header.envelope(f"{opening}{written}{closing}", message[0], text, message[1])


def tell(
    said: Mapping[str, tuple[Any, Leaf]],
    leaves: Iterable[Leaf],
    heading: Heading,
    definition: str,
    report: Report,
    carried: Iterable[Leaf],
) -> None:
    """Report what became of the header; what of it the text of the message says is ``carried``, and told already."""
    in_fin = definition.startswith("MT")
    places = _IN_FIN if in_fin else _IN_XML
    now = {
        "reply.sender_bic": heading.sender,
        "reply.receiver_bic": heading.receiver,
        "reply.business_message_id": heading.business_message_id,
        "reply.created_at": heading.created_at,
        "reply.possible_duplicate": heading.possible_duplicate or None,
        "references.uetr": heading.uetr,
    }
    by_leaf = {id(leaf): (_IDENTIFIER if field == _USER else field, value) for field, (value, leaf) in said.items()}
    kept = {id(leaf) for leaf in carried}
    into = "header" if in_fin else "AppHdr"
    targets = {entry.target for entry in report.carried}
    told = {field for field, place in places.items() if f"{into}/{place}" in targets}
    for leaf in leaves:
        field, value = by_leaf.get(id(leaf), ("", None))
        same = field in places and (value == now[field] or not value or _same_bank(value, now[field]))
        if same:
            told.add(field)
        if leaf.tags[0] in _IN_TEXT:
            continue
        if same:
            report.carried.append(Entry(leaf.shown, f"{into}/{places[field]}", leaf.value))
        elif not (id(leaf) in kept or field == _DEFINITION):
            why = f"FIN has room for {_USER_REFERENCE} characters of set X" if in_fin and field == _IDENTIFIER else None
            report.not_carried.append(Entry(leaf.shown, None, leaf.value, why))
    for field, place in places.items():
        value = now[field]
        if value is not None and field not in told:
            shown = instant(value) if isinstance(value, datetime) else str(value)
            report.derived.append(Entry(None, f"{into}/{place}", shown))
