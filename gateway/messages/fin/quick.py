"""Read messages of known shapes into facts: one match of a pattern, and a recipe that fills the facts from its texts.

What a message of a shape says at length, it says with a gap in the place of every text that varies; from this the
recipe is made, once. A text that decides which table reads, or what an element is called, must be the same again.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, fields, is_dataclass, replace
from itertools import count
from typing import TYPE_CHECKING, Any, Final, NamedTuple, cast

from gateway.errors import MessageError
from gateway.messages.conversions import Later
from gateway.messages.fin.addresses import bic_of
from gateway.messages.fin.deriving import Derive
from gateway.messages.fin.elements import Element, elements_of
from gateway.messages.fin.judging import Judge, definition_name
from gateway.messages.fin.structure import read_structure
from gateway.messages.parsing import ParsedMessage
from gateway.messages.shapes import Gap, Watched, gaps_in, getter, recipe

if TYPE_CHECKING:
    from gateway.messages.fin.fields import FieldFormat
    from gateway.messages.fin.message import Field
    from gateway.messages.fin.shapes import Recognised, Shape, Take
    from gateway.model.facts import Reply

_KEPT: Final = 256  # shapes with recipes; of more, those of all begin again
_WAYS: Final = 8  # recipes of one shape: texts that decide, such as a status, are the same in each
_ADDRESS: Final = "([A-Z0-9]{12})"
_HEADERS: Final = re.compile(
    rf"\{{1:F01{_ADDRESS}[0-9]{{10}}\}}"
    rf"\{{2:(?:I([0-9]{{3}}){_ADDRESS}[UN]?|O([0-9]{{3}})[0-9]{{10}}{_ADDRESS}[0-9]{{20}}[UN])\}}"
    r"(?:\{3:(?:\{108:([A-Za-z0-9]{1,16})\})?(?:\{119:([A-Z]{3,5})\})?(?:\{121:([0-9a-f-]{36})\})?\})?"
)
_TRAILERS: Final = re.compile(r"(?:\{5:(?:\{MAC:[0-9A-F]{8}\})?(?:\{CHK:[0-9A-F]{12}\})?\})?")
HEADER_TEXTS: Final = ("sender", "receiver", "user_reference", "uetr")

HeaderOf = Callable[[str, Mapping[str, str | None], Element], Element]
Extract = Callable[[ParsedMessage, bool], "Reply"]
DecidedBy = Callable[[str, Element], Iterable[Element]]
"""Gives the elements whose text decides which table reads a message."""


class Blocks(NamedTuple):
    """The usual blocks of a message: definition, values of the header, and the text with lines ended by line feeds."""

    definition: str
    values: tuple[str | None, ...]
    text: str


def usual_blocks(content: bytes) -> Blocks | None:
    """Cut a message that is laid out as the network does it; None for any other, which says nothing against it."""
    lines = content.translate(None, b"\r")
    if not content.isascii() or not len(content) - len(lines) == content.count(b"\r\n") == lines.count(b"\n"):
        return None  # a line that ends otherwise
    headers, begins, rest = lines.decode("ascii").partition("{4:\n")
    text, ends, trailers = rest.rpartition("\n-}")
    found = _HEADERS.fullmatch(headers)
    if not begins or not ends or found is None or _TRAILERS.fullmatch(trailers) is None:
        return None
    own, sent, receiver, delivered, sender, reference, flag, uetr = found.groups()
    between = (own, receiver) if sent is not None else (sender, own)
    values = (*map(bic_of, between), reference, uetr)
    return Blocks(definition_name(sent or delivered, flag or ""), values, text)


class _Varying(Derive):
    """Texts that vary, each with how it comes of the texts of a message of the shape.

    A place is that of a text of the message, of one that is the same in all of them, or of what a function made.
    """

    def __init__(self, given: int) -> None:
        self.given = given
        self.pinned: dict[int, Any] = {}
        self._constants: dict[int, str] = {}
        self._steps: dict[int, tuple[Callable[..., Any], tuple[int, ...]]] = {}
        self._made: dict[int, Gap] = {}

    def gap(self, text: str, place: int) -> Gap:
        """Return a text that varies."""
        made = self._made[place] = Gap(text)
        made.place = place
        return made

    def __call__(self, function: Callable[..., str], *texts: str) -> str:
        if not any(isinstance(text, Gap) for text in texts):
            return function(*texts)
        return self.gap(function(*texts), self._step(function, texts))

    def decide(self, function: Callable[..., Any], *texts: str) -> Any:
        decided = function(*texts)
        if any(isinstance(text, Gap) for text in texts):
            self.pinned[self._step(function, texts)] = decided
        return decided

    def pin(self, text: str) -> str:
        if isinstance(text, Gap):
            self.pinned[text.place] = str(text)
        return text

    def pin_all(self, places: Iterable[int]) -> None:
        """Ask for the same texts again where one was looked at that is no value: something was made of it."""
        self.pinned.update({place: str(self._made[place]) for place in places})

    def path(self, shape: Shape, reply: Reply) -> _Recipe:
        """Return the recipe for a reply: only the steps on the way to it, with their places in the order taken."""
        wanted = sorted({gap.place for gap in gaps_in(reply)})
        needed = {*wanted, *self.pinned}
        for place in sorted(self._steps, reverse=True):
            if place in needed:
                needed.update(self._steps[place][1])
        constants = [place for place in self._constants if place in needed]
        steps = [place for place in self._steps if place in needed]
        at = dict(zip([*range(self.given), *constants, *steps], count(), strict=False))
        return _Recipe(
            shape,
            tuple([(at[place], text) for place, text in self.pinned.items() if place < self.given]),
            tuple([self._constants[place] for place in constants]),
            tuple(
                [(function, getter([at[one] for one in of])) for function, of in map(self._steps.__getitem__, steps)]
            ),
            tuple([(at[place], said) for place, said in self.pinned.items() if place >= self.given]),
            getter([at[place] for place in wanted]),
            recipe(reply, {place: number for number, place in enumerate(wanted)}),
        )

    def _step(self, function: Callable[..., Any], texts: Iterable[str]) -> int:
        places = []
        for text in texts:
            if isinstance(text, Gap):
                places.append(text.place)
            else:
                places.append(self._next())
                self._constants[places[-1]] = text
        place = self._next()
        self._steps[place] = function, tuple(places)
        return place

    def _next(self) -> int:
        return self.given + len(self._constants) + len(self._steps)


def _watched(element: Element, seen: set[int]) -> Watched:
    copy = Watched(element, element.text, seen)
    copy.extend(_watched(part, seen) for part in element)
    return copy


@dataclass(frozen=True, slots=True)
class _Recipe:
    """How a reply comes of texts: what must be the same, what is added to them, which of them it is made of, and how.

    Texts are those of the message, the constants, and what each step makes of those before.
    """

    shape: Shape
    pinned: tuple[tuple[int, str], ...]
    constants: tuple[str, ...]
    steps: tuple[tuple[Callable[..., Any], Take], ...]
    decided: tuple[tuple[int, Any], ...]
    wanted: Take
    make: Callable[[tuple[str, ...]], Reply]


class QuickReader:
    """Read messages of known shapes; ``read`` returns None for any other, and for what is to be told at length."""

    def __init__(self, judge: Judge, extract: Extract, header_of: HeaderOf, decided_by: DecidedBy) -> None:
        self._judge, self._extract, self._header_of, self._decided_by = judge, extract, header_of, decided_by
        self._recipes: dict[tuple[int, tuple[bool, ...]], list[_Recipe]] = {}

    def read(self, content: bytes) -> Reply | None:
        """Return what a message says, where its shape is known and it is valid."""
        blocks = usual_blocks(content)
        if blocks is None:
            return None
        known = self._judge.recognise(blocks.text, blocks.definition)
        if known is None:
            return None
        present = tuple([value is not None for value in blocks.values])
        key = id(known.shape), present  # the recipe holds its shape, so that this stays its identity
        recipes = self._recipes.get(key)
        if recipes is None:
            if len(self._recipes) >= _KEPT:
                self._recipes.clear()
            recipes = self._recipes[key] = []
        texts = [*known.texts, *[value for value in blocks.values if value is not None]]
        try:
            for number in range(_WAYS):
                if number == len(recipes):
                    recipes.append(self._made(known, blocks, present))
                if (derived := _derived(recipes[number], texts)) is not None:
                    return recipes[number].make(derived)
        except (MessageError, ValueError, LookupError, ArithmeticError):  # what may be wrong is told at length
            pass
        return None

    def _made(self, known: Recognised, blocks: Blocks, present: tuple[bool, ...]) -> _Recipe:
        definitions, (shape, its_texts) = self._judge.definitions, known
        given = [name for name, there in zip(HEADER_TEXTS, present, strict=True) if there]
        varying = _Varying(len(shape.parts) + len(given))
        places = {(part.field, part.component): number for number, part in enumerate(shape.parts)}
        numbers = {id(field): number for number, field in enumerate(shape.fields)}

        def texts_of(field: Field, format_: FieldFormat) -> dict[str, str]:
            texts = dict(format_.texts(field.value) or {})
            for name in texts:
                if (place := places.get((numbers[id(field)], name))) is not None:
                    texts[name] = varying.gap(its_texts[place], place)
            return texts

        root, _ = read_structure(shape.fields, definitions.message(blocks.definition), definitions)
        document = elements_of(root, blocks.definition, definitions, texts_of, varying)
        said = dict(zip(HEADER_TEXTS, blocks.values, strict=True))
        values = {
            name: None if text is None else varying.gap(text, len(shape.parts) + given.index(name))
            for name, text in said.items()
        }
        header = self._header_of(blocks.definition, values, document)
        for element in self._decided_by(blocks.definition, document):
            varying.pin(element.text or "")
        seen: set[int] = set()
        said_by, text = (cast("Any", _watched(element, seen)) for element in (header, document))
        reply = _settled(self._extract(ParsedMessage(blocks.definition, "FIN", said_by, text, ()), True))
        varying.pin_all(seen.difference(gap.place for gap in gaps_in(reply)))
        return varying.path(shape, reply)


def _derived(one: _Recipe, given: list[str]) -> tuple[str, ...] | None:
    """Return the texts that a reply is made of, or None where one decides otherwise than the recipe's did."""
    for place, text in one.pinned:
        if given[place] != text:
            return None
    texts = [*given, *one.constants]
    for function, take in one.steps:
        texts.append(function(*take(texts)))
    for place, decided in one.decided:
        if texts[place] != decided:
            return None
    return one.wanted(texts)


def _settled(value: Any) -> Any:
    """Convert what does not vary."""
    if isinstance(value, Later):
        return value if isinstance(value.element.text, Gap) else value.convert(value.element.text)
    if isinstance(value, tuple):
        return tuple([_settled(one) for one in value])
    if is_dataclass(value) and not isinstance(value, type):
        changed = {each.name: _settled(getattr(value, each.name)) for each in fields(value)}
        return replace(value, **changed)
    return value
