"""Read messages of known shapes into facts: one match of a pattern, and a recipe that fills the facts from its texts.

What a message of a shape says at length, it says with a gap in the place of every text that varies; from this the
recipe is made, once. A text that decides which table reads, or what an element is called, must be the same again.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, fields, is_dataclass, replace
from typing import TYPE_CHECKING, Any, Final, NamedTuple, cast

from gateway.messages.conversions import Later
from gateway.messages.fin.addresses import bic_of
from gateway.messages.fin.elements import Derive, Element, elements_of
from gateway.messages.fin.judging import Judge, definition_name
from gateway.messages.fin.structure import read_structure
from gateway.messages.parsing import ParsedMessage
from gateway.messages.shapes import Gap, Watched, gaps_in, recipe

if TYPE_CHECKING:
    from gateway.messages.fin.fields import FieldFormat
    from gateway.messages.fin.message import Field
    from gateway.messages.fin.shapes import Shape
    from gateway.model.facts import Reply

_KEPT: Final = 512  # recipes; of more shapes, those of all begin again
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
    if not content.isascii():
        return None
    headers, begins, rest = content.decode("ascii").partition("{4:\r\n")
    text, ends, trailers = rest.rpartition("\r\n-}")
    found = _HEADERS.fullmatch(headers)
    if not begins or not ends or found is None or _TRAILERS.fullmatch(trailers) is None:
        return None
    own, sent, receiver, delivered, sender, reference, flag, uetr = found.groups()
    between = (own, receiver) if sent is not None else (sender, own)
    values = (*map(bic_of, between), reference, uetr)
    return Blocks(definition_name(sent or delivered, flag or ""), values, text.replace("\r\n", "\n"))


class _Varying(Derive):
    """Texts that vary, each with how it comes of the texts of a message of the shape."""

    def __init__(self, count: int) -> None:
        self.sources: list[tuple[Callable[..., str] | None, tuple[int, ...]]] = [(None, (n,)) for n in range(count)]
        self.pinned: dict[int, str] = {}
        self._made: dict[int, Gap] = {}

    def gap(self, text: str, place: int) -> Gap:
        """Return a text that varies."""
        made = self._made[place] = Gap(text)
        made.place = place
        return made

    def __call__(self, function: Callable[..., str], *texts: str) -> str:
        if not any(isinstance(text, Gap) for text in texts):
            return function(*texts)
        places = []
        for text in texts:
            if isinstance(text, Gap):
                places.append(text.place)
            else:
                self.sources.append((_always(text), ()))
                places.append(len(self.sources) - 1)
        self.sources.append((function, tuple(places)))
        return self.gap(function(*texts), len(self.sources) - 1)

    def pin(self, text: str) -> str:
        if isinstance(text, Gap):
            self.pinned[text.place] = str(text)
        return text

    def pin_all(self, places: Iterable[int]) -> None:
        """Ask for the same texts again where one was looked at that is no value: something was made of it."""
        self.pinned.update({place: str(self._made[place]) for place in places})


def _watched(element: Element, seen: set[int]) -> Watched:
    copy = Watched(element, element.text, seen)
    copy.extend(_watched(part, seen) for part in element)
    return copy


def _always(text: str) -> Callable[..., str]:
    return lambda: text


@dataclass(frozen=True, slots=True)
class _Recipe:
    shape: Shape
    pinned: tuple[tuple[int, str], ...]
    steps: tuple[tuple[Callable[..., str], tuple[int, ...]], ...]
    wanted: tuple[int, ...]
    make: Callable[[tuple[str, ...]], Reply]


class QuickReader:
    """Read messages of known shapes; ``read`` returns None for any other, and for what is to be told at length."""

    def __init__(self, judge: Judge, extract: Extract, header_of: HeaderOf, decided_by: DecidedBy) -> None:
        self._judge, self._extract, self._header_of, self._decided_by = judge, extract, header_of, decided_by
        self._recipes: dict[tuple[int, tuple[bool, ...]], _Recipe] = {}

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
        if key not in self._recipes:
            if len(self._recipes) >= _KEPT:
                self._recipes.clear()
            self._recipes[key] = self._made(known.shape, blocks, present)
        return _followed(self._recipes[key], [*known.texts, *(value for value in blocks.values if value is not None)])

    def _made(self, shape: Shape, blocks: Blocks, present: tuple[bool, ...]) -> _Recipe:
        definitions = self._judge.definitions
        given = [name for name, there in zip(HEADER_TEXTS, present, strict=True) if there]
        varying = _Varying(len(shape.parts) + len(given))
        places = {(part.field, part.component): number for number, part in enumerate(shape.parts)}
        numbers = {id(field): number for number, field in enumerate(shape.fields)}

        def texts_of(field: Field, format_: FieldFormat) -> dict[str, str]:
            texts = format_.texts(field.value) or {}
            number = numbers[id(field)]
            return {
                name: varying.gap(text, places[number, name]) if (number, name) in places else text
                for name, text in texts.items()
            }

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
        wanted = sorted({gap.place for gap in gaps_in(reply)})
        varying.pin_all(seen.difference(wanted))
        make = recipe(reply, {place: number for number, place in enumerate(wanted)})
        first = len(shape.parts) + len(given)
        steps = tuple((function, of) for function, of in varying.sources[first:] if function is not None)
        return _Recipe(shape, tuple(varying.pinned.items()), steps, tuple(wanted), make)


def _followed(made: _Recipe, texts: list[str]) -> Reply | None:
    for function, places in made.steps:
        texts.append(function(*[texts[place] for place in places]))
    for place, text in made.pinned:
        if texts[place] != text:
            return None
    try:
        return made.make(tuple([texts[place] for place in made.wanted]))
    except (ValueError, LookupError, ArithmeticError):  # what may be wrong is told at length
        return None


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
