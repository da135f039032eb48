"""Recognise messages of a shape that was read before, and read their values without walking libxml2's tree.

Making elements known to Python is most of what reading costs, and counterparties write few shapes of message: the same
markup around other values. A shape is one pattern, the markup with a gap for every text, and a recipe that makes the
reply from the texts. Both come from reading one message of the shape at length. Every message is parsed and validated
by libxml2 before, all the same.

Why a well-formed message that fits has the same tree: ``<`` begins a tag, a comment, a CDATA section or an instruction
and stands nowhere else. A shape is only learned from a message with nothing but tags in which every tag ends at its
first ``>``, which shows where each text is the one that libxml2 found. In a message that fits, the bytes of each tag
are the same, so that it ends at the same ``>``; and the text after it goes up to the next ``<``, which begins the next
tag of the pattern, and so on to the end. Names, attributes, namespaces and the declaration with its encoding are in
these bytes. What a text can hide is left to libxml2: references (``&``), carriage returns, encodings but UTF-8.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Hashable, Iterator, Sequence
from dataclasses import fields, is_dataclass, make_dataclass, replace
from functools import cache
from operator import itemgetter
from typing import TYPE_CHECKING, Any, Final, cast

from gateway.messages.conversions import Later

if TYPE_CHECKING:
    from gateway.messages.parsing import ParsedMessage
    from gateway.model.facts import Reply

# What a sender can make the gateway keep and do: a shape takes some ten times the bytes of its message, and 2 µs a byte
# to learn.
_LONGEST: Final = 16_000  # bytes of a message
_ALIKE: Final = 8  # shapes of one outline
_OUTLINES: Final = 32  # outlines with shapes
_PATIENCE: Final = 40  # messages of an outline that are read at length before one of them is learned
_STRANGERS: Final = 1_000  # outlines counted without a shape

_TAG = re.compile("<([^<>]*)>([^<]*)")

Extract = Callable[["ParsedMessage", bool], "Reply"]  # the flag: leave each value as a ``Later``


class Shapes:
    """Read valid messages, by their shapes where these are known and else with a function."""

    def __init__(self, extract: Extract) -> None:
        self._extract = extract
        self._known: dict[_Outline, list[_Shape]] = {}
        self._strangers: Counter[_Outline] = Counter()

    def read(self, content: bytes, parsed: ParsedMessage) -> Reply:
        """Return what a valid message says; raises what the function raises."""
        text = _plain(content)
        document, header = parsed.document, parsed.header
        if text is None or document is None or len(document) == 0:
            return self._extract(parsed, False)
        outline = parsed.message_definition, len(document[0]), 0 if header is None else len(header)
        for shape in self._known.get(outline, ()):
            known = _made(shape, text)
            if known is not None:
                return known
        reply = self._extract(parsed, False)
        self._strangers[outline] += 1
        if self._strangers[outline] >= _PATIENCE:
            del self._strangers[outline]
            self._learn(outline, text, parsed, reply)
        elif len(self._strangers) > _STRANGERS:
            self._strangers.clear()
        return reply

    def _learn(self, outline: _Outline, text: str, parsed: ParsedMessage, reply: Reply) -> None:
        shape = _shape(text, parsed, self._extract)
        if shape is None or _made(shape, text) != reply:
            return
        self._known[outline] = [shape, *self._known.pop(outline, ())][:_ALIKE]
        if len(self._known) > _OUTLINES:
            del self._known[next(iter(self._known))]


_Outline = tuple[str | None, int, int]  # the definition, how many elements the message has, and its header
Recipe = Callable[[tuple[str, ...]], "Reply"]
_Shape = tuple[Callable[[str], "re.Match[str] | None"], Recipe]


def _plain(content: bytes) -> str | None:
    """Return a message as text, or None where a text in it may not be what libxml2 makes of it."""
    if len(content) > _LONGEST:
        return None
    try:
        text = content.decode()
    except UnicodeDecodeError:
        return None
    return None if "&" in text or "\r" in text else text


def _made(shape: _Shape, text: str) -> Reply | None:
    """Return what a message of a shape says, or None where it has another shape or unusual values."""
    fits, make = shape
    found = fits(text)
    if found is None:
        return None
    try:
        return make(found.groups())
    except (ValueError, LookupError, ArithmeticError):  # what may be wrong is told at length, with path and line
        return None


class Gap(str):
    """A text of a message that varies within its shape, with its place among them."""

    place: int


class Watched(list["Watched"]):
    """A copy of an element, as far as readers look at one; ``seen`` gets the place of every text that they look at."""

    def __init__(self, element: Any, text: str | None, seen: set[int]) -> None:
        super().__init__()
        self.tag: str = element.tag
        self.sourceline: int | None = element.sourceline
        self.path: str = getattr(element, "path", "")
        self._attributes: dict[str, str] = dict(element.attrib)
        self._text, self._seen = text, seen

    @property
    def text(self) -> str | None:
        """Return the text, as seen."""
        return self._looked_at(self._text)

    def get(self, name: str) -> str | None:
        """Return an attribute, as seen."""
        return self._looked_at(self._attributes.get(name))

    def _looked_at(self, text: str | None) -> str | None:
        if isinstance(text, Gap):
            self._seen.add(text.place)
        return text


def _shape(text: str, parsed: ParsedMessage, extract: Extract) -> _Shape | None:
    """Return the shape of a message, or None where it has anything but tags and texts, or an encoding but UTF-8."""
    tree = parsed.parts[0][1].getroottree()
    if (tree.docinfo.encoding or "UTF-8").upper() != "UTF-8" or not text.startswith("<"):
        return None
    tags = _TAG.findall(text)
    first = 1 if text.startswith("<?xml") else 0
    if any(tag.startswith(("!", "?")) for tag, _ in tags[first:]):
        return None
    elements = list(tree.getroot().iter())
    openings = [place for place, (tag, _) in enumerate(tags) if place >= first and not tag.startswith("/")]
    if len(openings) != len(elements):
        return None
    gaps = ["[^<]*+"] * len(tags)
    nodes: dict[Any, Watched] = {}
    seen: set[int] = set()
    for place, element in zip(openings, elements, strict=True):
        tag, following = tags[place]
        its_text = Gap("" if tag.endswith("/") else following)
        its_text.place = place
        if (element.text or "") != its_text:
            return None  # the tag goes on after its first >
        if not following:
            gaps[place] = ""  # what is empty stays empty, so that the same fields have a value
        nodes[element] = Watched(element, its_text or None, seen)
        if element.getparent() is not None:
            nodes[element.getparent()].append(nodes[element])
    if not all(element is None or element in nodes for element in (parsed.header, parsed.document)):
        return None  # the document was put back into its element
    header, document = nodes.get(parsed.header), nodes.get(parsed.document)
    copy = replace(parsed, header=header, document=document, parts=())  # type: ignore[arg-type]  # read like elements
    reply = extract(copy, True)
    leaves = list(gaps_in(reply))
    if None in leaves:
        return None
    wanted = sorted({leaf.place for leaf in leaves})
    for place in wanted:
        gaps[place] = "([^<]++)"
    for place in seen.difference(wanted):  # it decided what is said, or something was made of it: it must be the same
        gaps[place] = re.escape(tags[place][1])
    pattern = "".join(f"<{re.escape(tag)}>{gap}" for (tag, _), gap in zip(tags, gaps, strict=True))
    return re.compile(pattern).fullmatch, recipe(reply, {place: number for number, place in enumerate(wanted)})


def _parts(value: Any) -> list[Any]:
    """Return what a fact is made of."""
    return [getattr(value, each.name) for each in fields(value)] if is_dataclass(value) else list(value)


def _is_made(value: Any) -> bool:
    return isinstance(value, tuple) or (is_dataclass(value) and not isinstance(value, Later))


def gaps_in(value: Any) -> Iterator[Gap]:
    """Give the texts of a message that a value is made from."""
    if isinstance(value, Later):
        yield value.element.text
    elif isinstance(value, Gap):
        yield value
    elif _is_made(value):
        for part in _parts(value):
            yield from gaps_in(part)


def recipe(value: Any, numbers: dict[int, int]) -> Recipe:
    """Return a function that makes a value like this one from other texts, ``numbers`` saying which text is which.

    It works on one list: the texts, what is the same in all messages of the shape, what is converted, what is made.
    """
    constants: list[Any] = []
    conversions: list[tuple[Callable[[str], Any], int]] = []
    steps: list[tuple[Callable[..., Any], tuple[Any, ...]]] = []

    def place(part: Any) -> tuple[list[Any] | None, int]:
        """Return where a value will be: in which of the lists (None: the texts), at which place."""
        if isinstance(part, Gap):
            return None, numbers[part.place]
        if isinstance(part, Later):
            conversions.append((part.convert, numbers[part.element.text.place]))
            return conversions, len(conversions) - 1
        if _is_made(part) and any(True for _ in gaps_in(part)):
            make = _tuple if isinstance(part, tuple) else _twin(cast("Hashable", type(part)))
            steps.append((make, tuple([place(one) for one in _parts(part)])))
            return steps, len(steps) - 1
        constants.append(part)
        return constants, len(constants) - 1

    place(value)
    start = {id(None): 0, id(constants): len(numbers)}
    start[id(conversions)] = start[id(constants)] + len(constants)
    start[id(steps)] = start[id(conversions)] + len(conversions)
    made = [(make, getter([start[id(where)] + at for where, at in parts])) for make, parts in steps]

    def follow(texts: tuple[str, ...]) -> Any:
        values: list[Any] = [*texts, *constants]
        for convert, number in conversions:
            values.append(convert(texts[number]))
        for make, take in made:
            values.append(make(*take(values)))
        return values[-1]

    return follow


@cache
def _twin(frozen: Any) -> Any:
    """Return a faster way to make a fact: a frozen class takes five times as long to fill as one of equal slots."""
    if hasattr(frozen, "__post_init__") or not hasattr(frozen, "__slots__"):
        return frozen
    fillable = make_dataclass(frozen.__name__, [each.name for each in fields(frozen)], slots=True)

    def make(*values: Any) -> Any:
        made = fillable(*values)
        made.__class__ = frozen
        return made

    return make


def _tuple(*parts: Any) -> tuple[Any, ...]:
    return parts


def getter(places: Sequence[int]) -> Callable[[Sequence[Any]], tuple[Any, ...]]:
    """Return what takes the values at some places."""
    if len(places) > 1:
        return itemgetter(*places)
    return lambda values: tuple([values[place] for place in places])
