"""How the texts of elements come of those of FIN's components: what FIN writes its own way, in that of XML Schema.

Dates have hyphens and a century, numbers a point and their sign, times colons, instants their offset.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import lru_cache
from typing import Any, Final


class Derive:
    """How a text comes of others. What varies within a shape of message is derived later (``quick``)."""

    def __call__(self, function: Callable[..., str], *texts: str) -> str:
        """Return what a function makes of texts."""
        return function(*texts)

    def decide(self, function: Callable[..., Any], *texts: str) -> Any:
        """Return what a function makes of texts, on which it depends which elements there are and how they are called.

        It is true or not, a word, or a tuple of words.
        """
        return function(*texts)

    def pin(self, text: str) -> str:
        """Return a text that decides what an element is called."""
        self.decide(_itself, text)
        return text

    def each(self, function: Callable[[str], Mapping[str, str]], text: str) -> Iterator[tuple[str, str]]:
        """Yield the names and texts that a function finds in a text."""
        for name in self.decide(lambda text: tuple(function(text)), text):
            yield name, self(lambda text, name=name: function(text).get(name, ""), text)


NOW: Final = Derive()


def _itself(text: str) -> str:
    return text


@lru_cache(256)  # a day's messages speak of a few dates
def iso_date(text: str) -> str:
    """Return YYYYMMDD or YYMMDD with hyphens and its century."""
    if len(text) == len("YYMMDD"):
        text = f"{'19' if text >= '80' else '20'}{text}"
    return f"{text[:4]}-{text[4:6]}-{text[6:]}"


def iso_time(text: str) -> str:
    """Return HHMM or HHMMSS with colons and seconds."""
    return f"{text[:2]}:{text[2:4]}:{text[4:6] or '00'}"


def with_decimals(time: str, decimals: str) -> str:
    """Return a time with the decimals of its second."""
    return f"{time}.{decimals}"


def point(text: str) -> str:
    """Return a number with a decimal point where it has decimals."""
    return text.replace(",", ".").rstrip(".")


def negative(text: str) -> str:
    """Return the number with its sign, where the sign stands in a component before it."""
    return f"-{point(text)}"


def iso_offset(text: str) -> str:
    """Return HH or HHMM, how far a time zone is from UTC, with minutes."""
    return f"{text[:2]}:{text[2:] or '00'}"


def west(offset: str) -> str:
    """Return an offset to the west."""
    return f"-{offset}"


def moment(day: str, time: str, offset: str = "", minus: str = "") -> str:
    """Return an instant in UTC, or at an offset from it: to the west where there is a minus."""
    zone = f"{'-' if minus else '+'}{offset}" if offset else "Z"
    return f"{day}T{time}{zone}"


SAY: Final[Mapping[str, Callable[[str], str]]] = {
    "date": iso_date,
    "date2": iso_date,
    "decimal": point,
    "amount": point,
    "time": iso_time,
    "hour_minute": iso_time,
    "offset": iso_offset,
}
"""How a component is written in the form of XML Schema, by its type."""
