"""Documents made at random from a message definition, and single mutations of them.

``random_document`` makes a valid document of any definition of the catalogue; ``mutations`` changes one thing of it.
Both draw from the ``random.Random`` that is passed, so that a seed names a document.
"""

from __future__ import annotations

import base64
import calendar
import copy
import math
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from random import Random

from lxml import etree

from gateway.messages.catalogue import (
    Catalogue,
    ComplexType,
    ElementDefinition,
    Group,
    MessageDefinition,
    SimpleContentType,
    SimpleType,
    Wildcard,
)
from gateway.messages.schema_tree import simple_type

_LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
_TEXT = _LETTERS + " .,-/?:()+'&<>\"éüßÆ€漢字Жא😀"
_ZONES = ("", "Z", "+01:00", "-05:30", "+14:00", "-14:00")


class Unsatisfiable(ValueError):
    """No document of the definition can be made: a strict wildcard demands an element that no schema declares."""


def random_document(
    catalogue: Catalogue, definition_id: str, rng: Random, *, richness: float = 0.5, most_elements: int = 250
) -> bytes:
    """Return a valid document of a definition: UTF-8, its namespace as default namespace.

    ``richness`` is the chance of an optional element (0: the smallest documents). After about ``most_elements`` only
    what is required is added. Raises ``Unsatisfiable`` where a strict wildcard cannot be avoided.
    """
    message = catalogue.message(definition_id)
    for _ in range(20):
        writer = _Writer(message, rng, richness, most_elements)
        root = writer.document()
        if writer.link_references():
            return etree.tostring(root, xml_declaration=True, encoding="UTF-8")
    raise Unsatisfiable(f"{definition_id}: an IDREF without an ID in 20 attempts")


class _Writer:
    def __init__(self, message: MessageDefinition, rng: Random, richness: float, most_elements: int) -> None:
        self._message = message
        self._rng = rng
        self._richness = richness
        self._left = most_elements
        self._heights = _heights(message)
        self._identifiers: list[str] = []
        self._references: list[etree._Element] = []

    def document(self) -> etree._Element:
        top = ElementDefinition(self._message.root, self._message.root_type)
        if math.isinf(self._height(top.type)):
            raise Unsatisfiable(f"{self._message.identifier}: a required wildcard is strict")
        root = etree.fromstring(f'<{top.name} xmlns="{self._message.namespace}"/>')
        self._fill(root, top.type, 0)
        return root

    def link_references(self) -> bool:
        """Point every IDREF at an ID of the document; False when there is none to point at."""
        for element in self._references:
            if not self._identifiers:
                return False
            element.text = self._rng.choice(self._identifiers)
        return True

    def _tag(self, name: str) -> str:
        return f"{{{self._message.namespace}}}{name}"

    def _height(self, type_name: str) -> float:
        return self._heights.get(type_name, 0)

    def _fill(self, element: etree._Element, type_name: str, depth: int) -> None:
        self._left -= 1
        definition = self._message.types.get(type_name)
        if isinstance(definition, ComplexType):
            self._fill_group(element, definition.content, depth)
            return
        if isinstance(definition, SimpleContentType):
            for attribute in definition.attributes:
                if attribute.required or self._rng.random() < self._richness:
                    element.set(attribute.name, self._value(attribute.type))
        if type_name == "xs:IDREF":
            self._references.append(element)
        else:
            element.text = self._value(type_name)

    def _value(self, type_name: str) -> str:
        simple = simple_type(self._message, type_name)
        assert simple is not None
        if simple.base == "xs:ID":
            self._identifiers.append(f"id{len(self._identifiers)}")
            return self._identifiers[-1]
        return random_value(simple, self._rng)

    def _fill_group(self, parent: etree._Element, group: Group, depth: int) -> None:
        items = group.items
        if group.kind == "choice":
            possible = [item for item in items if not math.isinf(_item_height(item, self._heights))]
            if self._exhausted(depth):
                least = min(_item_height(item, self._heights) for item in possible)
                possible = [item for item in possible if _item_height(item, self._heights) == least]
            items = (self._rng.choice(possible),)
        for item in items:
            if isinstance(item, Group):
                self._fill_group(parent, item, depth)
                continue
            for _ in range(self._count(item, depth)):
                if isinstance(item, Wildcard):
                    self._add_any(parent, item)
                else:
                    self._fill(etree.SubElement(parent, self._tag(item.name)), item.type, depth + 1)

    def _exhausted(self, depth: int) -> bool:
        return self._left <= 0 or depth > 14

    def _count(self, item: ElementDefinition | Wildcard, depth: int) -> int:
        if self._exhausted(depth) or math.isinf(_item_height(item, self._heights, occurring=True)):
            return item.minimum
        count = item.minimum
        most = item.minimum + 3 if item.maximum is None else item.maximum
        while count < most and self._rng.random() < self._richness ** (1 + count - item.minimum):
            count += 1
        return count

    def _add_any(self, parent: etree._Element, wildcard: Wildcard) -> None:
        namespace = "urn:example:supplement" if wildcard.namespace == "##any" else wildcard.namespace
        child = etree.SubElement(parent, f"{{{namespace}}}Extension", nsmap={"x": namespace})
        etree.SubElement(child, f"{{{namespace}}}Note", {"kind": "free"}).text = _text(self._rng, 1, 30)


def _heights(message: MessageDefinition) -> dict[str, float]:
    """Return the least number of levels below each complex type; infinite where it cannot be filled."""
    heights = {name: math.inf for name, kind in message.types.items() if isinstance(kind, ComplexType)}
    changed = True
    while changed:
        changed = False
        for name, known in list(heights.items()):
            definition = message.types[name]
            assert isinstance(definition, ComplexType)
            height = 1 + _group_height(definition.content, heights)
            if height < known:
                heights[name], changed = height, True
    return heights


def _group_height(group: Group, heights: dict[str, float]) -> float:
    each = [_item_height(item, heights) for item in group.items]
    return min(each) if group.kind == "choice" else max(each, default=0)


def _item_height(
    item: ElementDefinition | Group | Wildcard, heights: dict[str, float], *, occurring: bool = False
) -> float:
    """Return the least height of what an item requires, or of one occurrence of it."""
    if isinstance(item, Group):
        return _group_height(item, heights)
    if item.minimum == 0 and not occurring:
        return 0
    if isinstance(item, Wildcard):
        return math.inf if item.process == "strict" else 1
    return heights.get(item.type, 0)


def random_value(simple: SimpleType, rng: Random) -> str:
    """Return a value that honours every facet of a simple type."""
    for _ in range(1000):
        value = _draw(simple, rng)
        if _honours(simple, value):
            return value
    raise Unsatisfiable(f"no value of {simple} in 1000 attempts")


def _draw(simple: SimpleType, rng: Random) -> str:
    if simple.codes:
        return rng.choice(simple.codes)
    patterns = simple.values("pattern")
    if patterns and simple.base in {"xs:string", "xs:decimal"}:
        return _Pattern(rng.choice(patterns), rng).draw()
    least, most = _lengths(simple)
    if simple.base == "xs:string":
        return _text(rng, least, most)
    if simple.base == "xs:base64Binary":
        return base64.b64encode(rng.randbytes(_length(rng, least, most))).decode()
    if simple.base == "xs:decimal":
        return _decimal(simple, rng)
    return _BUILT_IN[simple.base](rng)


def _honours(simple: SimpleType, value: str) -> bool:
    """Check what drawing does not ensure by itself: lengths of patterns and codes, bounds, zones."""
    least, most = _lengths(simple)
    if simple.base == "xs:string" and not least <= len(value) <= most:
        return False
    if simple.base == "xs:dateTime" and ".*Z" in simple.values("pattern"):
        return value.endswith("Z")
    if simple.base == "xs:decimal":
        number = Decimal(value)
        return all(number >= Decimal(low) for low in simple.values("minInclusive")) and all(
            number <= Decimal(high) for high in simple.values("maxInclusive")
        )
    return True


def _lengths(simple: SimpleType) -> tuple[int, int]:
    exact = [int(value) for value in simple.values("length")]
    least = max([int(value) for value in simple.values("minLength")] + exact, default=0)
    return least, min([int(value) for value in simple.values("maxLength")] + exact, default=100_000)


def _length(rng: Random, least: int, most: int) -> int:
    """Prefer short values, and reach both ends."""
    short = min(most, least + 12)
    return rng.choice((least, rng.randint(least, short), rng.randint(least, short), min(most, 400)))


def _text(rng: Random, least: int, most: int) -> str:
    return "".join(rng.choice(_TEXT) for _ in range(_length(rng, least, most)))


def _decimal(simple: SimpleType, rng: Random) -> str:
    digits = min((int(value) for value in simple.values("totalDigits")), default=18)
    fraction = min((int(value) for value in simple.values("fractionDigits")), default=digits)
    after = rng.choice((0, rng.randint(0, fraction), fraction))
    before = rng.choice((0, rng.randint(0, digits - after), digits - after))
    low = [Decimal(value) for value in simple.values("minInclusive")]
    high = [Decimal(value) for value in simple.values("maxInclusive")]
    if high:
        number = rng.choice(
            (*low, *high, (min(high) * rng.randint(0, 100) / 100).quantize(Decimal(10) ** -min(after, fraction)))
        )
        return f"{number:f}"
    number = Decimal(rng.randint(0, 10 ** (before + after) - 1)).scaleb(-after)
    sign = "-" if not low and rng.random() < 0.3 else rng.choice(("", "", "", "+", "00"))
    return f"{sign}{number:f}"


def _instant(rng: Random) -> datetime:
    return datetime(1999, 12, 31, tzinfo=UTC) + timedelta(seconds=rng.randint(0, 40 * 365 * 86_400))


def _date(rng: Random) -> str:
    if rng.random() < 0.1:
        leap = rng.choice([year for year in range(2000, 2041) if calendar.isleap(year)])
        return f"{leap}-02-29"
    return f"{_instant(rng):%Y-%m-%d}"


def _time(rng: Random) -> str:
    return f"{_instant(rng):%H:%M:%S}" + rng.choice(("", "", ".1", ".123", ".999999"))


_BUILT_IN: dict[str, Callable[[Random], str]] = {
    "xs:boolean": lambda rng: rng.choice(("true", "false", "1", "0")),
    "xs:date": lambda rng: _date(rng) + rng.choice(("", *_ZONES)),
    "xs:dateTime": lambda rng: f"{_date(rng)}T{_time(rng)}{rng.choice(_ZONES)}",
    "xs:time": lambda rng: _time(rng) + rng.choice(_ZONES),
    "xs:gYear": lambda rng: f"{_instant(rng):%Y}",
    "xs:gYearMonth": lambda rng: f"{_instant(rng):%Y-%m}",
    "xs:gMonth": lambda rng: f"--{_instant(rng):%m}",
    "xs:positiveInteger": lambda rng: str(rng.randint(1, 10**6)),
}


class _Pattern:
    """Draws texts that match a pattern of XML Schema: alternatives, groups, classes, escapes and quantifiers."""

    _CLASSES = {"d": "0123456789", "s": " ", "w": _LETTERS, "n": "\n", "r": " ", "t": " "}

    def __init__(self, pattern: str, rng: Random) -> None:
        self._pattern = pattern
        self._rng = rng
        self._at = 0

    def draw(self) -> str:
        """Return a matching text."""
        text = self._alternatives()()
        assert self._at == len(self._pattern), self._pattern
        return text

    def _peek(self) -> str:
        return self._pattern[self._at : self._at + 1]

    def _next(self) -> str:
        self._at += 1
        return self._pattern[self._at - 1]

    def _alternatives(self) -> Callable[[], str]:
        branches = [self._branch()]
        while self._peek() == "|":
            self._next()
            branches.append(self._branch())
        return lambda: self._rng.choice(branches)()  # noqa: PLW0108 - another choice at every repetition

    def _branch(self) -> Callable[[], str]:
        pieces = []
        while self._peek() not in {"", "|", ")"}:
            pieces.append(self._piece())
        return lambda: "".join(piece() for piece in pieces)

    def _piece(self) -> Callable[[], str]:
        atom = self._atom()
        least, most = self._quantifier()
        return lambda: "".join(atom() for _ in range(_length(self._rng, least, most) if most > least else least))

    def _atom(self) -> Callable[[], str]:
        character = self._next()
        if character == "(":
            inside = self._alternatives()
            self._next()
            return inside
        if character == "[":
            return self._one_of(self._class())
        if character == "\\":
            return self._one_of(self._escape())
        return self._one_of(_LETTERS if character == "." else character)

    def _one_of(self, characters: str) -> Callable[[], str]:
        return lambda: self._rng.choice(characters)

    def _escape(self) -> str:
        character = self._next()
        return self._CLASSES.get(character, character)

    def _class(self) -> str:
        negated = self._peek() == "^"
        if negated:
            self._next()
        members = ""
        while (character := self._next()) != "]":
            if character == "\\":
                members += self._escape()
            elif self._peek() == "-" and self._pattern[self._at + 1] != "]":
                self._next()
                members += "".join(map(chr, range(ord(character), ord(self._next()) + 1)))
            else:
                members += character
        return "".join(sorted(set(_TEXT) - set(members))) if negated else members

    def _quantifier(self) -> tuple[int, int]:
        character = self._peek()
        if character in {"?", "*", "+"} and character:
            self._next()
            return (1 if character == "+" else 0), (1 if character == "?" else 30)
        if character != "{":
            return 1, 1
        self._next()
        bounds = ""
        while (character := self._next()) != "}":
            bounds += character
        low, comma, high = bounds.partition(",")
        return int(low), int(high) if high else (int(low) + 30 if comma else int(low))


Mutation = Callable[[etree._Element, Random], str | None]


def mutations(document: bytes, rng: Random) -> Iterator[tuple[str, bytes]]:
    """Yield (description, document) for each kind of mutation, each applied once to the document, at a random place.

    A mutation may leave the document valid. A kind that finds no place in the document is left out.
    """
    original = etree.fromstring(document)
    for kind in _MUTATIONS:
        root = copy.deepcopy(original)
        place = kind(root, rng)
        if place is not None:
            yield f"{kind.__name__.strip('_')}: {place}", etree.tostring(root, xml_declaration=True, encoding="UTF-8")


def _path(element: etree._Element) -> str:
    names = [etree.QName(ancestor).localname for ancestor in element.iterancestors()]
    return "/".join([*reversed(names), etree.QName(element).localname])


def _some(candidates: list[etree._Element], rng: Random) -> etree._Element | None:
    return rng.choice(candidates) if candidates else None


def _below(root: etree._Element) -> list[etree._Element]:
    return list(root.iterdescendants("*"))


def _leaves(root: etree._Element) -> list[etree._Element]:
    return [element for element in root.iter("*") if not len(element)]


def _holders(root: etree._Element) -> list[etree._Element]:
    return [element for element in root.iter("*") if len(element)]


def _parent(element: etree._Element) -> etree._Element:
    parent = element.getparent()
    assert parent is not None
    return parent


def _remove(root: etree._Element, rng: Random) -> str | None:
    element = _some(_below(root), rng)
    if element is None:
        return None
    place = _path(element)
    _parent(element).remove(element)
    return place


def _duplicate(root: etree._Element, rng: Random) -> str | None:
    element = _some(_below(root), rng)
    if element is None:
        return None
    element.addnext(copy.deepcopy(element))
    return _path(element)


def _swap(root: etree._Element, rng: Random) -> str | None:
    element = _some([element for element in _below(root) if element.getnext() is not None], rng)
    if element is None:
        return None
    following = element.getnext()
    assert following is not None
    element.addprevious(following)
    return _path(element)


def _move(root: etree._Element, rng: Random) -> str | None:
    element = _some(_leaves(root), rng)
    target = _some(_holders(root), rng)
    if element is None or target is None or element is root:
        return None
    place = f"{_path(element)} to {_path(target)}"
    target.append(element)
    return place


def _rename(root: etree._Element, rng: Random) -> str | None:
    element = rng.choice(list(root.iter("*")))
    place = _path(element)
    element.tag = f"{element.tag}X"
    return place


def _change_namespace(root: etree._Element, rng: Random) -> str | None:
    element = rng.choice(list(root.iter("*")))
    element.tag = "{urn:example:other}" + etree.QName(element).localname
    return _path(element)


def _drop_namespace(root: etree._Element, rng: Random) -> str | None:
    element = _some(_leaves(root), rng)
    if element is None:
        return None
    element.tag = etree.QName(element).localname
    return _path(element)


def _add_attribute(root: etree._Element, rng: Random) -> str | None:
    element = rng.choice(list(root.iter("*")))
    element.set(rng.choice(("Ccy", "id", "{urn:example:other}note")), "EUR")
    return _path(element)


def _remove_attribute(root: etree._Element, rng: Random) -> str | None:
    element = _some([element for element in root.iter("*") if element.attrib], rng)
    if element is None:
        return None
    element.attrib.clear()
    return _path(element)


def _change_attribute(root: etree._Element, rng: Random) -> str | None:
    element = _some([element for element in root.iter("*") if element.attrib], rng)
    if element is None:
        return None
    element.set(str(next(iter(element.attrib))), value := rng.choice(("eur", "", "EURO", "E R", "€€€", "USD")))
    return f"{_path(element)} = {value!r}"


def _add_child(root: etree._Element, rng: Random) -> str | None:
    element = rng.choice(list(root.iter("*")))
    child = etree.Element(f"{{{etree.QName(root).namespace}}}Unknown")
    element.insert(rng.randint(0, len(element)), child)
    return _path(element)


def _add_text(root: etree._Element, rng: Random) -> str | None:
    element = _some(_holders(root), rng)
    if element is None:
        return None
    element.text = rng.choice(("stray", " \n\t ", "0"))
    return f"{_path(element)} = {element.text!r}"


def _add_comment(root: etree._Element, rng: Random) -> str | None:
    element = rng.choice(list(root.iter("*")))
    element.append(etree.Comment("a remark") if rng.random() < 0.5 else etree.ProcessingInstruction("note", "aside"))
    return _path(element)


def _empty(root: etree._Element, rng: Random) -> str | None:
    element = rng.choice(list(root.iter("*")))
    for child in list(element):
        element.remove(child)
    element.text = None
    return _path(element)


def _lengthen(root: etree._Element, rng: Random) -> str | None:
    return _set_text(root, rng, lambda text: (text or "A") * rng.choice((2, 100)) + "A")


def _pad(root: etree._Element, rng: Random) -> str | None:
    return _set_text(root, rng, lambda text: rng.choice((f" {text}", f"{text} ", f"\n{text}\n", f"{text}\u00a0")))


def _cut(root: etree._Element, rng: Random) -> str | None:
    return _set_text(root, rng, lambda text: text[:-1])


def _change_case(root: etree._Element, rng: Random) -> str | None:
    return _set_text(root, rng, str.swapcase)


def _change_character(root: etree._Element, rng: Random) -> str | None:
    def changed(text: str) -> str:
        at = rng.randrange(len(text)) if text else 0
        return text[:at] + rng.choice("0A9z-+.:é #") + text[at + 1 :]

    return _set_text(root, rng, changed)


def _replace_value(root: etree._Element, rng: Random) -> str | None:
    return _set_text(root, rng, lambda _: rng.choice(_ODD_VALUES))


_ODD_VALUES = (
    *("ZZZZ", "@@@", "0", "-0", "-1", "1e3", "NaN", "INF", "0.000001", "123456789012345678901", "1234567890123.123456"),
    *("2023-02-29", "2024-02-29", "2024-13-01", "2024-1-1", "24-01-01", "2024-01-01T25:00:00", "2024-01-01T10:00"),
    *("2024-06-30T10:00:00+15:00", "2024-06-30T10:00:00.", "TRUE", "yes", "true", "=", "AAAA====", "QUJD", "é", "😀"),
)


def _set_text(root: etree._Element, rng: Random, change: Callable[[str], str]) -> str | None:
    element = _some(_leaves(root), rng)
    if element is None:
        return None
    before = element.text or ""
    element.text = change(before)
    return f"{_path(element)}: {before[:40]!r} to {element.text[:40]!r}"


_MUTATIONS: tuple[Mutation, ...] = (
    *(_remove, _duplicate, _swap, _move, _rename, _change_namespace, _drop_namespace, _add_child, _add_text),
    *(_add_attribute, _remove_attribute, _change_attribute, _add_comment, _empty),
    *(_lengthen, _pad, _cut, _change_case, _change_character, _replace_value),
)
