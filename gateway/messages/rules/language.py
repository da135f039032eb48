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

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Final, Literal, TypeVar

from gateway.errors import ConfigError, Violation

Item = TypeVar("Item")

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
_DATES: Final[dict[str, Operator]] = {"before": "<", "after": ">", "on or before": "<=", "on or after": ">="}
_TESTS: Final = {"begins with": "starts-with", "ends with": "ends-with", "contains": "contains"}


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


@dataclass(slots=True)
class _Lines:
    """The lines of a block, by keyword, each with its number; mistakes are gathered."""

    file: str
    start: int
    said: dict[str, list[tuple[int, str]]] = field(default_factory=dict)

    def one(self, key: str) -> str:
        return self.said[key][0][1] if key in self.said else ""

    def all(self, key: str) -> list[tuple[int, str]]:
        return self.said.get(key, [])


_HEAD = ("pack", "title", *DIRECTIONS)
_KEYS = ("rule", "messages", "each", "when", "require", "forbid", *DIRECTIONS, "because", "source")
_OFTEN = ("when", "require", "forbid")
_CODE = re.compile(r"[a-z][a-z0-9]*(_[a-z0-9]+)*")
_FAMILY = re.compile(r"any|[a-z]{4}\.\d{3}(\.\d{3}(\.\d{2})?)?")


class _Mistake(ValueError):
    """Something in a line that cannot be understood."""


def parse_pack(text: str, file: str) -> Pack:
    """Read a rule file. Raises ``ConfigError`` with every mistake: file, line, and what is wrong."""
    mistakes: list[tuple[int, str]] = []
    blocks = _blocks(text, file, mistakes)
    head, *bodies = blocks
    name, title = head.one("pack"), head.one("title")
    if not _CODE.fullmatch(name):
        mistakes.append((1, "the file begins with a head: pack NAME (small letters, digits, underscores), title WORDS"))
    default = {direction: _severity(head, direction, mistakes) or "no" for direction in DIRECTIONS}
    rules = [rule for lines in bodies if (rule := _rule(lines, name, default, mistakes)) is not None]
    codes: dict[str, int] = {}
    for rule in rules:
        if rule.code in codes:
            mistakes.append((rule.line, f"rule {rule.code} is there already, on line {codes[rule.code]}"))
        codes.setdefault(rule.code, rule.line)
    if not mistakes and not rules:
        mistakes.append((1, "the pack has no rule"))
    if mistakes:
        raise mistaken((file, line, what) for line, what in mistakes)
    return Pack(name, title, tuple(rules))


def mistaken(mistakes: Iterator[tuple[str, int, str]]) -> ConfigError:
    """Make the error of mistakes in rule files: file, line, and what is wrong."""
    violations = [
        Violation("rule_file_invalid", file, what, None, f"{file}, line {line}: {what}", line)
        for file, line, what in sorted(mistakes)
    ]
    listed = "\n".join(f"  {violation.text}" for violation in violations)
    return ConfigError(
        f"rules: {len(violations)} mistake(s)\n{listed}", code="rule_file_invalid", violations=violations
    )


def _blocks(text: str, file: str, mistakes: list[tuple[int, str]]) -> list[_Lines]:
    blocks = [_Lines(file, 1)]
    key = ""
    for number, raw in enumerate(text.splitlines(), 1):
        line = raw.strip()
        if not line or line.startswith("#"):
            continue
        said = blocks[-1].said
        if raw[0].isspace() and key:
            before, words = said[key][-1]
            said[key][-1] = before, f"{words} {line}"
            continue
        key, _, words = line.partition(" ")
        if key == "rule":
            blocks.append(_Lines(file, number))
            said = blocks[-1].said
        known = _HEAD if len(blocks) == 1 else _KEYS
        if key not in known:
            mistakes.append((number, f"'{key}' is no keyword here; they are {', '.join(known)}"))
        elif key in said and key not in _OFTEN:
            mistakes.append((number, f"'{key}' is said twice"))
        said.setdefault(key, []).append((number, words.strip()))
    return blocks


def _severity(lines: _Lines, direction: Direction, mistakes: list[tuple[int, str]]) -> Severity | None:
    for number, word in lines.all(direction):
        for severity in SEVERITIES:
            if word == severity:
                return severity
        mistakes.append((number, f"{direction} is one of {', '.join(SEVERITIES)}, not '{word}'"))
    return None


def _rule(
    lines: _Lines, pack: str, default: dict[Direction, Severity], mistakes: list[tuple[int, str]]
) -> MessageRule | None:
    code, found = lines.one("rule"), len(mistakes)
    if not _CODE.fullmatch(code):
        mistakes.append((lines.start, f"a rule has a code of small letters, digits and underscores, not '{code}'"))
    mistakes += [(lines.start, f"rule {code} lacks {key}") for key in ("messages", "because") if not lines.one(key)]
    messages = tuple(name.strip() for name in lines.one("messages").split(","))
    mistakes += [
        (lines.all("messages")[0][0], f"'{name}' is no message: sese.023, sese.023.002 or any")
        for name in messages
        if lines.one("messages") and not _FAMILY.fullmatch(name)
    ]
    each: Path | str | None = None
    for number, text in lines.all("each"):
        try:
            each = text if text in KINDS else _Words(text).whole_path()
        except _Mistake as mistake:
            mistakes.append((number, f"{mistake}; or a kind: {', '.join(KINDS)}"))
    conditions: dict[str, list[Condition]] = {key: [] for key in _OFTEN}
    for key, conditions_of_key in conditions.items():
        for number, text in lines.all(key):
            try:
                conditions_of_key.append(Condition(_checks_alone(_Words(text).clauses(), key), text))
            except _Mistake as mistake:
                mistakes.append((number, f"{key} {text}: {mistake}"))
    if not lines.all("require") and not lines.all("forbid"):
        mistakes.append((lines.start, f"rule {code} has neither require nor forbid"))
    severity = {direction: _severity(lines, direction, mistakes) or default[direction] for direction in DIRECTIONS}
    if len(mistakes) > found:
        return None
    assertions = [Assertion(key == "require", condition) for key in _OFTEN[1:] for condition in conditions[key]]
    when, because, source = tuple(conditions["when"]), lines.one("because"), lines.one("source")
    return MessageRule(
        code, pack, messages, each, when, tuple(assertions), severity, because, source, lines.file, lines.start
    )


def _checks_alone(clauses: tuple[Clause, ...], key: str) -> tuple[Clause, ...]:
    if any(isinstance(clause, Checked) for clause in clauses) and (len(clauses) > 1 or key != "require"):
        raise _Mistake("what `is a ...` checks stands alone in a require line")
    return clauses


_TOKEN = re.compile(
    r"""\s*(?:
    (?P<date>\d{4}-\d{2}-\d{2}) |
    (?P<number>-?\d+(?:\.\d+)?) |
    "(?P<text>[^"]*)" |
    (?P<operator><>|<=|>=|[=<>+*-](?!/)) |
    (?P<comma>,) |
    (?P<path>(?:/|//|\.\./|\.\.$|@|\*)?[A-Za-z@*][\w/#*|@.]*|\.\.) |
    (?P<wrong>\S+)
    )""",
    re.VERBOSE,
)
_WORDS = re.compile(
    r"no|one|any|all|at|most|least|of|is|not|a|an|valid|in|characters|before|after|on|or|begins|ends|with|contains"
    r"|sum|count|length|business|day|the|currency|market|place"
)


class _Words:
    """The words of a condition, read from left to right."""

    def __init__(self, text: str) -> None:
        self._tokens: list[tuple[str, str]] = []
        for found in _TOKEN.finditer(text.strip()):
            kind = found.lastgroup or "wrong"
            if kind == "wrong":
                raise _Mistake(f"'{found[kind]}' is not understood")
            word = found[kind]
            self._tokens.append(("word" if kind == "path" and _WORDS.fullmatch(word) else kind, word))
        self._at = 0

    def whole_path(self) -> Path:
        path = self._path()
        self._end()
        return path

    def clauses(self) -> tuple[Clause, ...]:
        clauses = [self._clause()]
        while self._take("or"):
            clauses.append(self._clause())
        self._end()
        return tuple(clauses)

    def _end(self) -> None:
        if self._at < len(self._tokens):
            raise _Mistake(f"'{self._tokens[self._at][1]}' is not understood where it stands")

    def _take(self, words: str) -> bool:
        wanted = words.split()
        here = self._tokens[self._at : self._at + len(wanted)]
        if here != [("word", word) for word in wanted]:
            return False
        self._at += len(wanted)
        return True

    def _next(self, *kinds: str) -> str | None:
        if self._at < len(self._tokens) and self._tokens[self._at][0] in kinds:
            self._at += 1
            return self._tokens[self._at - 1][1]
        return None

    def _path(self) -> Path:
        word = self._next("path")
        if word is None:
            here = self._tokens[self._at][1] if self._at < len(self._tokens) else "the end"
            raise _Mistake(f"a path is expected, not '{here}'")
        return Path(tuple(word.split("|")))

    def _clause(self) -> Clause:
        if self._take("no"):
            return Present(self._path(), absent=True)
        for how in ("one", "any", "all", "at most one"):
            if self._take(f"{how} of"):
                return Several(how, self._list(self._path))
        start = self._at
        left = self._sum()
        if not left.rest and left.first.path is not None and not left.first.function:
            clause = self._of_path(left.first.path)
            if clause is not None:
                return clause
        operator = self._next("operator")
        if operator is not None and operator not in "+-*":
            return Comparison(left, _operator(operator), self._sum())
        if self._take("is"):
            for words in ("on or before", "on or after", "before", "after"):
                if self._take(words):
                    return Comparison(left, _DATES[words], self._sum(), dates=True)
            raise _Mistake("a code, or before, after and a date, is expected after 'is'")
        if not left.rest and left.first.path is not None and not left.first.function:
            return Present(left.first.path)
        said = " ".join(word for _, word in self._tokens[start : self._at])
        raise _Mistake(f"'{said}' is no condition; a comparison (=, <, is before ...) is expected after it")

    def _of_path(self, path: Path) -> Clause | None:
        """Read what is said of one path; None when it is a comparison, or that the path is there."""
        negated = self._tokens[self._at : self._at + 1] == [("word", "not")]
        for words, test in _TESTS.items():
            if self._take(f"not {words}" if negated else words):
                text = self._next("text")
                if text is None:
                    raise _Mistake(f'a text in quotation marks is expected after "{words}"')
                return TextTest(path, test, text, negated)
        if self._take("is in characters"):
            name = self._next("path", "word") or ""
            if name not in CHARACTERS:
                raise _Mistake(f"'{name}' is no character set; they are {', '.join(CHARACTERS)}")
            return InCharacters(path, name)
        if self._take("is a valid") or self._take("is an valid"):
            name = self._next("path", "word") or ""
            if name == "external":
                name = f"external {self._next('path')}"
            return self._checked(path, name)
        if self._take("is a business day"):
            return self._checked(path, "business day")
        after = self._tokens[self._at + 1 : self._at + 3]
        if self._tokens[self._at : self._at + 1] != [("word", "is")] or not after:
            return None
        if after[0][0] == "word" and after[0][1] not in ("not", "true", "false"):
            return None
        self._take("is")
        negated = self._take("not")
        return Words(path, self._list(self._word), negated)

    def _checked(self, path: Path, name: str) -> Checked:
        if not self._take("of"):
            return Checked(path, name)
        for whose in PLACES:
            if self._take(f"the {whose}"):
                return Checked(path, f"{name} of the {whose}", "", self._path())
        word = self._next("path", "word") or ""
        if word.startswith(("@", "/", "..")) or "/" in word:
            return Checked(path, name, "", Path((word,)))
        return Checked(path, name, word)

    def _list(self, item: Callable[[], Item]) -> tuple[Item, ...]:
        items = [item()]
        while self._next("comma"):
            items.append(item())
        return tuple(items)

    def _word(self) -> str:
        word = self._next("path", "text", "number", "word")
        if word is None:
            raise _Mistake("a code is expected")
        return word

    def _sum(self) -> Sum:
        first, rest = self._value(), []
        while self._at < len(self._tokens) and self._tokens[self._at][1] in "+-*" and self._next("operator"):
            rest.append((self._tokens[self._at - 1][1], self._value()))
        return Sum(first, tuple(rest))

    def _value(self) -> Value:
        for function in ("sum", "count", "length"):
            if self._take(f"{function} of"):
                return Value(self._path(), function)
        for kind in ("number", "text", "date"):
            literal = self._next(kind)
            if literal is not None:
                return Value(literal=literal, kind=kind)
        return Value(self._path())


def _operator(text: str) -> Operator:
    return next(operator for operator in INVERSE if operator == text.replace("<>", "!="))
