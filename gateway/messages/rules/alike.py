"""Recognise messages that rules cannot tell from one they found good: the same markup, the same values looked at.

What rules see of a message is which elements are there, and the texts at the paths that they name. Most messages to a
counterparty have the markup of an earlier one, and differ where no rule looks, or in numbers that are judged by
themselves. So the markup is looked up whole; then what rules look at must be what was found good before, and each such
number must hold. Nothing is concluded of a message that is unlike: it is asked at length.

Why bytes will do: in a well-formed message without comments, sections and references, ``<`` begins a tag and stands
nowhere else. A markup is learned only where the texts between its tags are those that libxml2 found.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from operator import itemgetter
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from lxml.etree import _Element

Holds = Callable[[str], bool]
Looks = Mapping["_Element", "Sequence[Holds] | None"]
"""The elements whose text rules look at; with what it must fulfil where nothing else of it matters, None elsewhere."""

_LONGEST: Final = 16_000  # bytes of a message
_SHAPES: Final = 256  # kept at once
_GOOD: Final = 1_024  # values of a shape that are remembered
_PATIENCE: Final = 8  # messages of a markup before it is learned, which takes as long as to ask some hundred
_COUNTED: Final = 10_000

_split = re.compile(rb">([^<]+)<").split


class _Shape:
    """One markup: the places of the texts that decide together, what each other one must hold, what was good."""

    __slots__ = ("alone", "good", "outside", "together")

    def __init__(
        self, together: Sequence[int], alone: Sequence[tuple[int, Holds]], outside: Sequence[Callable[[str], object]]
    ) -> None:
        self.outside = outside
        self.together: Callable[[list[bytes]], object] = itemgetter(*together) if together else len
        self.alone = alone
        self.good: set[object] = set()

    def holds(self, parts: list[bytes]) -> bool:
        """Tell whether each text that is judged by itself is as it must be, and no character is outside of a set."""
        try:
            if self.outside:
                text = b"".join(parts[1::2]).decode()
                if any(outside(text) for outside in self.outside):
                    return False
            return all(holds(parts[place].decode()) for place, holds in self.alone)
        except ValueError:
            return False


class Alike:
    """What is known of the messages that the same rules are asked about; bounded, whatever comes."""

    def __init__(self) -> None:
        self._shapes: dict[bytes, _Shape | None] = {}  # None: not to be learned
        self._seen: Counter[int] = Counter()
        self._last: tuple[bytes, list[bytes], bytes] = b"", [], b""  # asked about twice when it is not like a good one

    def is_good(self, content: bytes) -> bool:
        """Tell whether the rules can find nothing in a valid message, since they found nothing in one like it."""
        parts, markup = self._divided(content)
        shape = self._shapes.get(markup)
        return shape is not None and shape.together(parts) in shape.good and shape.holds(parts)

    def found_good(
        self,
        content: bytes,
        root: _Element,
        outside: Sequence[Callable[[str], object]],
        looks: Callable[[], Looks],
    ) -> None:
        """Remember a valid message in which the rules found nothing.

        ``looks`` tells what they look at in it; ``outside`` finds characters that they allow in no text.
        """
        parts, markup = self._divided(content)
        if markup not in self._shapes:
            if not markup or not self._is_due(markup):
                return
            if len(self._shapes) >= _SHAPES:
                self._shapes.clear()
            self._shapes[markup] = None if b"<!" in markup else _learned(parts, root, outside, looks)
        shape = self._shapes[markup]
        if shape is not None and shape.holds(parts):
            if len(shape.good) >= _GOOD:
                shape.good.clear()
            shape.good.add(shape.together(parts))

    def _divided(self, content: bytes) -> tuple[list[bytes], bytes]:
        """Return the texts of a message between what is around them, and all that is; nothing where it is not plain."""
        if content is not self._last[0]:
            plain = len(content) <= _LONGEST and b"&" not in content
            parts = _split(content) if plain else []
            self._last = content, parts, b"\0".join(parts[::2])
        return self._last[1:]

    def _is_due(self, markup: bytes) -> bool:
        if len(self._seen) >= _COUNTED:
            self._seen.clear()
        key = hash(markup)
        self._seen[key] += 1
        return self._seen[key] > _PATIENCE


def _learned(
    parts: list[bytes], root: _Element, outside: Sequence[Callable[[str], object]], looks: Callable[[], Looks]
) -> _Shape | None:
    """Find the places of what is looked at; None where the bytes do not show the texts that libxml2 found."""
    runs = list(_runs(root))
    places = range(1, len(parts), 2)
    if len(places) == len(runs) + 1 and parts[1].isspace():  # behind the declaration
        places = places[1:]
    if [text.encode() for _, text in runs] != [parts[place] for place in places]:
        return None
    at = {element: place for place, (element, _) in zip(places, runs, strict=True) if element is not None}
    together: list[int] = []
    alone: list[tuple[int, Holds]] = []
    for element, must in looks().items():
        if len(element):
            return None  # its text is that of all that is in it
        if element not in at:
            continue  # empty, as the markup says
        if must is None:
            together.append(at[element])
        else:
            alone += ((at[element], holds) for holds in must)
    return _Shape(together, alone, outside)


def _runs(element: _Element) -> Iterator[tuple[_Element | None, str]]:
    """Yield the texts in the order of the message, with the element that each is the first in."""
    if element.text:
        yield element, element.text
    for child in element:
        yield from _runs(child)
        if child.tail:
            yield None, child.tail
