"""The language of rule files (``*.rules``): what a message must say beyond its schema, for a business analyst.

A file is one pack. Its head names it; then come rules, each a block of lines, a keyword and what it says; ``#`` begins
a comment line, and an indented line goes on with the one before::

    pack      csdr
    title     Matching fields of the settlement discipline regime
    outgoing  error                     what a broken rule does to messages of ours: error, warning or no
    incoming  no                        and to those of the counterparty

    rule      csdr_trade_date           its code: small letters, digits, underscores; unique in all packs
    messages  sese.023, sese.033        families, variants (sese.023.002), or any (but headers)
    each      PATH or KIND              the rule is about each of these elements; without it, about the message
    when      CONDITION                 several lines: all of them
    require   CONDITION                 several lines: each is a requirement of its own
    forbid    CONDITION
    outgoing, incoming                  as in the head, for this rule alone
    because   a sentence                what operators read
    source    where it is written

A path is short tags below the message element, or below the element of ``each``: ``TradDtls/SttlmDt/Dt/Dt``. ``A|B``
is either, ``*`` any element, ``#`` a number (``Pty#`` is Pty1, Pty2 ...), ``//Tag`` a tag at any depth, ``..`` the
element around, ``/Path`` is below the message element again, ``@Ccy`` an attribute, ``itself`` the element of ``each``.
A kind is every element of a sort, whatever its tag: those of ``KINDS``. A condition is one of these, or several with
``or`` between them::

    PATH                                it is there             no PATH            it is not
    one of PATH, PATH                   exactly one is there    any of ..., all of ..., at most one of ...
    PATH is CODE, CODE                  one of these words      PATH is not CODE
    VALUE = VALUE                       = <> < <= > >=; numbers by value (15 digits), others as text
    DATE is before DATE                 after, on or before, on or after; dates as written, without their time
    PATH begins with "TEXT"             ends with, contains, and with ``not`` before them
    PATH is in characters X             the sets of ``CHARACTERS``
    PATH is a valid NAME                a check of ``gateway.messages.rules.checks``, ``of PATH`` or a word if it asks
    DATE is a business day of NAME      of a calendar, or ``of the`` currency, market or place (a BIC) at a path

A value is a path, a number, a "text", a date, ``sum of PATH``, ``count of PATH``, ``length of PATH``, and ``+ - *``
between them. ``when`` and ``forbid`` hold when any element at a path does it; ``require`` asks it of every one there,
and nothing of a path with no element (``require PATH`` as well where there must be one); between ``or`` there must be.
A comparison with a value that is not there is never broken.

An element that a version of the message lacks makes the rule vacuous for this version, which is known when the rule is
compiled. A path that no version of any of the rule's messages has is a mistake.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, Literal

Severity = Literal["error", "warning", "no"]
Direction = Literal["outgoing", "incoming"]
DIRECTIONS: Final[tuple[Direction, ...]] = ("outgoing", "incoming")
SEVERITIES: Final[tuple[Severity, ...]] = ("error", "warning", "no")

_LETTERS = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
CHARACTERS: Final = {
    "X": _LETTERS + "/-?:().,'+ \r\n",
    "Z": _LETTERS + ".,-()/='+:?!\"%&*<>;{@#_ \r\n",
    "latin": _LETTERS + "/-?:().,'+ !#$%&*=^_`{|}~\";<>@[\\]\r\n",
}
"""Character sets: X and Z of the FIN network, and what payment messages across borders take in names and texts."""

KINDS: Final = (
    "isin",
    "lei",
    "iban",
    "bic",
    "amount",
    "currency",
    "country",
    "external code",
    "text",
    "address",
)
"""Sorts of elements that ``each`` may name; the dictionary's types say which elements they are."""

PLACES: Final = ("currency", "market", "place")
"""Whose business days a rule may ask for, by the text at a path."""

Operator = Literal["=", "!=", "<", "<=", ">", ">="]
INVERSE: Final[dict[Operator, Operator]] = {"=": "!=", "!=": "=", "<": ">=", "<=": ">", ">": "<=", ">=": "<"}


@dataclass(frozen=True, slots=True)
class Path:
    """Alternatives of short tags, as they are written."""

    alternatives: tuple[str, ...]

    def __str__(self) -> str:
        return "|".join(self.alternatives)


@dataclass(frozen=True, slots=True)
class Present:
    """Something is at a path, or (``absent``) nothing is."""

    path: Path
    absent: bool = False


@dataclass(frozen=True, slots=True)
class Several:
    """How many of some paths are there: ``one``, ``any``, ``all`` or ``at most one``."""

    how: str
    paths: tuple[Path, ...]


@dataclass(frozen=True, slots=True)
class Words:
    """The text at a path is one of some words, or (``negated``) none of them."""

    path: Path
    words: tuple[str, ...]
    negated: bool = False


@dataclass(frozen=True, slots=True)
class Value:
    """A path (``function``: sum, count, length or nothing), or a literal: number, text or date."""

    path: Path | None = None
    function: str = ""
    literal: str = ""
    kind: str = ""  # of a literal: number, text, date


@dataclass(frozen=True, slots=True)
class Sum:
    """Values with ``+``, ``-`` or ``*`` between them, from left to right."""

    first: Value
    rest: tuple[tuple[str, Value], ...]


@dataclass(frozen=True, slots=True)
class Comparison:
    """Two values compared; ``dates`` by their day."""

    left: Sum
    operator: Operator
    right: Sum
    dates: bool = False

    def values(self) -> Iterator[Value]:
        """Yield the values of both sides."""
        for side in (self.left, self.right):
            yield side.first
            yield from (value for _, value in side.rest)


@dataclass(frozen=True, slots=True)
class TextTest:
    """The text at a path begins with, ends with or contains another."""

    path: Path
    test: str
    text: str
    negated: bool = False


@dataclass(frozen=True, slots=True)
class InCharacters:
    """The text at a path has no character outside a set."""

    path: Path
    characters: str


@dataclass(frozen=True, slots=True)
class Checked:
    """A named check of the text at a path, with an argument: a word, or a path from the element that is checked."""

    path: Path
    check: str
    word: str = ""
    argument: Path | None = None


Clause = Present | Several | Words | Comparison | TextTest | InCharacters | Checked


@dataclass(frozen=True, slots=True)
class Condition:
    """Clauses of which one must hold, and the words they were written in."""

    clauses: tuple[Clause, ...]
    text: str


@dataclass(frozen=True, slots=True)
class Assertion:
    """A ``require`` or ``forbid`` line."""

    required: bool
    condition: Condition

    def __str__(self) -> str:
        return f"{'require' if self.required else 'forbid'} {self.condition.text}"


@dataclass(frozen=True, slots=True)
class MessageRule:
    """One rule. ``each`` is a path, a kind or None; ``severity`` by direction; ``line`` is that of its first line."""

    code: str
    pack: str
    messages: tuple[str, ...]
    each: Path | str | None
    when: tuple[Condition, ...]
    assertions: tuple[Assertion, ...]
    severity: dict[Direction, Severity]
    because: str
    source: str
    file: str
    line: int

    def applies_to(self, definition: str) -> bool:
        """Tell whether the rule is about a message definition."""
        header = definition.startswith("head.")
        return any((name == "any" and not header) or f"{definition}.".startswith(f"{name}.") for name in self.messages)


@dataclass(frozen=True, slots=True)
class Pack:
    """The rules of one file."""

    name: str
    title: str
    rules: tuple[MessageRule, ...]
