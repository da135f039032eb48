"""Read rule files: lines into blocks, blocks into rules, conditions into clauses; every mistake with its line."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Final, TypeVar

from gateway.errors import ConfigError, Violation
from gateway.messages.rules.language import (
    CHARACTERS,
    DIRECTIONS,
    INVERSE,
    KINDS,
    PLACES,
    SEVERITIES,
    Assertion,
    Checked,
    Clause,
    Comparison,
    Condition,
    Direction,
    InCharacters,
    MessageRule,
    Operator,
    Pack,
    Path,
    Present,
    Several,
    Severity,
    Sum,
    TextTest,
    Value,
    Words,
)

Item = TypeVar("Item")
_DATES: Final[dict[str, Operator]] = {"before": "<", "after": ">", "on or before": "<=", "on or after": ">="}
_TESTS: Final = {"begins with": "starts-with", "ends with": "ends-with", "contains": "contains"}


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
