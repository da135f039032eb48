"""Formats of FIN fields: SWIFT's notation made a regular expression, values taken apart, checked and written.

A format is linear to match: every part is a run of characters of fixed classes, possessive where what follows cannot
begin with them. What a pattern cannot say (that a date is real, a currency known) is asked of the components, each with
the error code of the network where it is public.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from datetime import date, time
from decimal import Decimal
from functools import cached_property, lru_cache
from itertools import pairwise
from typing import Final, NamedTuple

from gateway.errors import ConfigError, Violation
from gateway.model.currencies import DECIMALS
from gateway.model.identifiers import BIC_PATTERN, COUNTRIES, isin_holds, lei_holds

Value = str | int | Decimal | date | time

_CLASSES: Final = {
    "n": "0-9",
    "a": "A-Z",
    "c": "A-Z0-9",
    "h": "0-9A-F",
    "x": r"a-zA-Z0-9/\-?:().,'+ ",
    "z": r"a-zA-Z0-9.,\-()/='+:?!\"%&*<>;{@#_ ",
}
_IN_WORDS: Final = {
    "n": "digits",
    "a": "capital letters",
    "c": "capital letters or digits",
    "h": "hexadecimal digits",
    "x": "characters of set X",
    "z": "characters of set Z",
    "d": "digits with one comma",
}
_LINES_FROM: Final = 1000  # characters of a run that may go over lines
_NEXT_LINE: Final = r"\n(?![:\-])"  # a line that begins so is a field, or the end
_LINE_ENDS: Final = rf"(?:{_NEXT_LINE}|(?=\n[:\-]|\Z))"  # an optional first line may be all of the field
_BIC: Final = re.compile(BIC_PATTERN)
_CENTURY: Final = 80  # years of two digits: 80 to 99 are 19xx

# A token of the notation; what is written in several tokens and is one component comes first.
_TOKEN: Final = re.compile(
    r"(?P<bic>4!a2!a2!c\[3!c\])|(?P<lei>18!c2!n)|(?P<minus>\[N\])|(?P<offset>2!n\[2!n\])"
    r"|(?P<group>\d+\*\([^)]*\))|(?P<choice>\([A-Z|]+\))|(?P<space>\d+!e)|(?P<run>(?:\d+\*)?\d+!?[nachxzd])|(?P<open>\[)|(?P<close>\])|(?P<end>\$)|(?P<text>.)"
)
_COMPOSITE: Final = {
    "bic": "[A-Z]{4}[A-Z]{2}[A-Z0-9]{2}(?:[A-Z0-9]{3})?",
    "lei": "[A-Z0-9]{18}[0-9]{2}",
    "minus": "N",
    "offset": "[0-9]{2}(?:[0-9]{2})?",
}


class Component(NamedTuple):
    """A part of a field's value: its name, its type, and its format."""

    name: str
    type: str
    notation: str

    def objection(self, text: str) -> str | None:
        """Say what would be right where a text is no such component."""
        if re.fullmatch(_pattern(_parse(self.notation, [])), text) is None:
            return in_words(self.notation)
        check = CHECKS.get(self.type)
        return None if check is None or check.holds(text) else check.words


class Check(NamedTuple):
    """What is asked of a component beyond its characters: the network's error code, and what would be right.

    What ``holds`` returns is true where the text is right.
    """

    holds: Callable[[str], object]
    error: str
    words: str


@lru_cache(maxsize=4096)
def date_of(text: str) -> date | None:
    """Return the date of YYYYMMDD or YYMMDD, or None where there is no such day."""
    if len(text) == 6:
        text = f"{'19' if int(text[:2]) >= _CENTURY else '20'}{text}"
    try:
        return date(int(text[:4]), int(text[4:6]), int(text[6:8]))
    except ValueError:
        return None


@lru_cache(maxsize=4096)
def time_of(text: str) -> time | None:
    """Return the time of HHMMSS or HHMM, or None where there is none."""
    try:
        return time(int(text[:2]), int(text[2:4]), int(text[4:6] or 0))
    except ValueError:
        return None


@lru_cache(maxsize=4096)
def _bic_holds(text: str) -> bool:
    return _BIC.match(text) is not None


def _offset_holds(text: str) -> bool:
    return int(text[:2]) <= 23 and int(text[2:] or 0) <= 59


def references_hold(lines: str) -> bool:
    """Tell whether each line is a reference: no slash at its beginning or end, and no two together."""
    lines = f"\n{lines}\n"
    return not ("//" in lines or "\n/" in lines or "/\n" in lines)


CHECKS: Final[dict[str, Check]] = {
    "date": Check(date_of, "T50", "a real date, YYYYMMDD"),
    "date2": Check(date_of, "T50", "a real date, YYMMDD"),
    "month_day": Check(lambda text: date_of(f"2000{text}"), "T50", "a real day of the year, MMDD"),
    "time": Check(time_of, "T38", "a time, HHMMSS"),
    "hour_minute": Check(time_of, "T38", "a time, HHMM"),
    "offset": Check(_offset_holds, "T39", "an offset from UTC, HH[MM]"),
    "currency": Check(DECIMALS.__contains__, "T52", "a currency of ISO 4217"),
    "country": Check(COUNTRIES.__contains__, "T73", "a country of ISO 3166"),
    "reference": Check(references_hold, "T26", "no slash at the beginning or the end, and no two together"),
}
"""What components are asked by their type."""

DIGITS: Final[dict[str, Check]] = {
    "bic": Check(_bic_holds, "T27", "a BIC: four letters, a country of ISO 3166, two or five letters or digits"),
    "description": Check(lambda text: not text.startswith("ISIN "), "", "the word ISIN, a space and twelve characters"),
    "isin": Check(isin_holds, "", "an ISIN with its check digit"),
    "lei": Check(lei_holds, "", "an LEI with its check digits"),
}
"""What is warned of: check digits, which the network does not look at, and what came through it all the same."""

QUALIFIER: Final = "\0"
"""Stands for the qualifier in the marks of a field."""

_TYPES: Final = {*CHECKS, *DIGITS, "block", "qualifier", "decimal", "amount", "number", "minus", "text"}


def number_of(text: str) -> Decimal:
    """Return the number of a text with a decimal comma."""
    return Decimal(text.replace(",", "."))


def written(number: Decimal) -> str:
    """Return a number with its decimal comma, without exponent: ``1000,`` and ``0,5``."""
    text = f"{number:f}".replace(".", ",")
    return text if "," in text else f"{text},"


_READ: Final[dict[str, Callable[[str], Value | None]]] = {
    "date": date_of,
    "date2": date_of,
    "time": time_of,
    "hour_minute": time_of,
    "decimal": number_of,
    "amount": number_of,
    "number": int,
}
_MOMENTS: Final = {"date": "%Y%m%d", "date2": "%y%m%d", "time": "%H%M%S", "hour_minute": "%H%M"}


@dataclass(frozen=True, slots=True)
class _Text:
    """Characters that stand for themselves; ``$`` is a line feed."""

    text: str


@dataclass(frozen=True, slots=True)
class _Part:
    """The n-th component."""

    number: int
    pattern: str


@dataclass(frozen=True, slots=True)
class _Optional:
    parts: tuple[_Node, ...]


_Node = _Text | _Part | _Optional


class FieldFormat:
    """The format of one field: what fits it, what its components are, and how they are written.

    Raises ``ConfigError`` (``fin_definition_invalid``) where the components do not count as many as the format has.
    """

    def __init__(self, tag: str, notation: str, components: str) -> None:
        self.tag = tag
        self.notation = notation
        names = [name.partition(":")[::2] for name in components.split()]
        notations: list[str] = []
        self._nodes = _parse(notation, notations)
        if len(names) != len(notations):
            text = f"field {tag}: {len(names)} names for the {len(notations)} components of {notation}"
            raise ConfigError(text, code="fin_definition_invalid")
        self.components = tuple(
            Component(name, kind or (name if name in _TYPES else "text"), said)
            for (name, kind), said in zip(names, notations, strict=True)
        )
        self.generic = notation.startswith(":4!c")
        # What a rule means when it says only the field: the first that is neither qualifier nor scheme.
        own = [part.name for part in self.components if part.name not in {"qualifier", "data_source_scheme"}]
        self.code = own[0] if own else ""

    @cached_property
    def pattern(self) -> str:
        """The regular expression, with a group for each component."""
        return ("(?=[^\n])" if self._nodes else "") + _pattern(self._nodes)

    @cached_property
    def _matches(self) -> Callable[[str], re.Match[str] | None]:
        return re.compile(self.pattern).fullmatch

    def texts(self, value: str) -> dict[str, str] | None:
        """Return the components that are there as texts, by name; None for a value that does not fit."""
        found = self._matches(value)
        if found is None:
            return None
        groups = found.groups()
        return {part.name: text for part, text in zip(self.components, groups, strict=True) if text is not None}

    def read(self, value: str) -> dict[str, Value] | None:
        """Return the components as values: dates, times, numbers, texts; None for a value that does not fit."""
        texts = self.texts(value)
        if texts is None:
            return None
        read: dict[str, Value] = {}
        for part in self.components:
            if part.name in texts:
                value_read = _READ.get(part.type, str)(texts[part.name])
                read[part.name] = texts[part.name] if value_read is None else value_read
        return read

    def write(self, values: Mapping[str, Value]) -> str:
        """Return the value with these components; an optional part is written where one of its components is given."""
        given = ((part, values.get(part.name)) for part in self.components)
        texts = {part.name: _text(part, value) for part, value in given if value is not None}
        return "".join(_written(self._nodes, self.components, texts)).rstrip("\n")

    def shape(
        self, texts: Mapping[str, str], fixed: Collection[str], codes: Collection[str] | None
    ) -> tuple[str, list[str]]:
        """Return a pattern for values with the same components as ``texts``, and the names of its groups.

        ``fixed`` names the components that stay what they are, without a group; ``codes`` are those that ``code`` may
        be (None: any).
        """
        patterns: dict[str, str] = {} if codes is None else {self.code: "|".join(map(re.escape, sorted(codes)))}
        groups: list[str] = []
        return "".join(_shaped(self._nodes, self.components, texts, fixed, patterns, groups)), groups

    def marks(self) -> tuple[str, dict[str, tuple[str, str]], str]:
        """Return what a field begins with, what stands before and after each component, and what ends the field.

        ``QUALIFIER`` has the place of the qualifier. An optional component brings its marks with it.
        """
        opening, pending = "", ""
        around: dict[str, tuple[str, str]] = {}
        last = ""  # the component before, which every message has
        for node in self._nodes:
            match node:
                case _Text(text):
                    pending += text
                case _Part(number) if self.components[number].type == "qualifier":
                    opening, pending = f"{opening}{pending}{QUALIFIER}", ""
                case _Part(number):
                    last = self.components[number].name
                    around[last], pending = (pending, ""), ""
                case _Optional(parts):
                    if last:
                        around[last] = around[last][0], around[last][1] + pending
                    else:
                        opening += pending
                    pending = ""
                    self._optional_marks(parts, around)
        return opening, around, f"{pending}\n"

    def _optional_marks(self, parts: tuple[_Node, ...], around: dict[str, tuple[str, str]]) -> str:
        pending, last = "", ""
        for node in parts:
            match node:
                case _Text(text):
                    pending += text
                case _Part(number):
                    last = self.components[number].name
                    around[last], pending = (pending, ""), ""
                case _Optional(inner):
                    last = self._optional_marks(inner, around)
        if last:
            around[last] = around[last][0], around[last][1] + pending
        return last

    def violations(self, value: str, path: str, line: int) -> Iterator[Violation]:
        """Yield what is wrong with a value: that it does not fit, and where; or components that cannot be so."""
        texts = self.texts(value)
        if texts is None:
            rule, shown = self._misfit(value)
            said = f"{path}: {shown!r} is not {rule}"
            yield Violation("fin_format_invalid", path, f"{self.notation}: {rule}", shown[:140], said, line)
            return
        currency, minus = "", False
        for part in self.components:
            if part.name not in texts:
                continue
            text = texts[part.name]
            at = f"{path}/{part.name}"
            if (check := CHECKS.get(part.type)) is not None and not check.holds(text):
                error = f" ({check.error})" if check.error else ""
                yield _invalid(at, f"{check.words}{error}", text, line)
            elif (check := DIGITS.get(part.type)) is not None and not check.holds(text):
                yield _invalid(at, check.words, text, line, "warning")
            elif part.type == "currency":
                currency = text
            elif part.type == "minus":
                minus = True
            elif part.type == "amount" and not amount_holds(text, currency):
                yield _invalid(at, f"at most {DECIMALS[currency]} decimals in {currency} (C03)", text, line)
            elif minus and part.type in {"amount", "decimal", "number"} and not text.strip("0,"):
                yield _invalid(at, "no minus sign before zero (T14)", text, line)

    def _misfit(self, value: str) -> tuple[str, str]:
        """Say in words where a value stops to fit, and what stands there."""
        if not value and self._nodes:
            return self._words(self._nodes[0]), "(end of the field)"
        place = 0
        for number in range(1, len(self._nodes) + 1):
            found = re.match(_pattern(self._nodes[:number]), value)
            if found is None:
                shown = value[place:].partition("\n")[0]
                return self._words(self._nodes[number - 1]), shown or "(end of the field)"
            place = found.end()
        return f"the end of the field after {self._words(self._nodes[-1])}" if self._nodes else "empty", value[place:]

    def _words(self, node: _Node) -> str:
        match node:
            case _Text(text):
                return "the end of a line" if text == "\n" else f"the text {text!r}"
            case _Part(number):
                part = self.components[number]
                return f"{part.name}, {in_words(part.notation)}"
            case _Optional(parts):
                return self._words(next((part for part in parts if not isinstance(part, _Text)), parts[0]))


def _text(part: Component, value: Value) -> str:
    """Return a component as it is written; texts are taken as they are, whole numbers fill a fixed length."""
    if isinstance(value, str):
        return value
    if isinstance(value, Decimal):
        return written(value)
    if isinstance(value, int):
        length, exact, _ = part.notation.partition("!")
        return f"{value:0{length}d}" if exact else str(value)
    return value.strftime(_MOMENTS[part.type])


def amount_holds(text: str, currency: str) -> bool:
    """Tell whether an amount has no more decimals than its currency."""
    return len(text) - text.index(",") - 1 <= DECIMALS.get(currency, 5)


def _invalid(path: str, rule: str, value: str, line: int, severity: str = "error") -> Violation:
    text = f"{path}: {value[:140]!r} is not right: {rule}"
    if severity == "warning":
        return Violation("fin_check_digit", path, rule, value[:140], text, line, "warning")
    return Violation("fin_value_invalid", path, rule, value[:140], text, line)


def in_words(notation: str) -> str:
    """Say a format of one component in words."""
    found = re.fullmatch(r"(?:(\d+)\*)?(\d+)(!?)([a-z])", notation)
    if found is None and "|" in notation:
        return notation[1:-1].replace("|", " or ")
    if found is None:
        return {"4!a2!a2!c[3!c]": "a BIC", "18!c2!n": "an LEI", "[N]": "N"}.get(notation, notation)
    lines, length, exact, kind = found.groups()
    words = f"{'' if exact else 'up to '}{length} {_IN_WORDS[kind]}"
    return f"up to {lines} lines of {words}" if lines else words


def _parse(notation: str, notations: list[str]) -> tuple[_Node, ...]:
    """Read a notation; the components' own are added to ``notations``."""
    stack: list[list[_Node]] = [[]]
    for token in _TOKEN.finditer(notation if notation != "-" else ""):
        kind, text = token.lastgroup or "", token.group()
        match kind:
            case "open":
                stack.append([])
            case "close":
                inner = tuple(stack.pop())
                stack[-1].append(_Optional(inner))
            case "end":
                stack[-1].append(_Text("\n"))
            case "space":
                stack[-1].append(_Text(" " * int(text[:-2])))
            case "text":
                before = stack[-1][-1] if stack[-1] else None
                if isinstance(before, _Text) and before.text != "\n":
                    stack[-1][-1] = _Text(before.text + text)
                else:
                    stack[-1].append(_Text(text))
            case _:
                part = _Part(len(notations), _component(kind, text))
                notations.append(text)
                stack[-1].append(_Optional((part,)) if kind == "minus" else part)
    return tuple(_bounded(stack[0]))


def _bounded(nodes: list[_Node]) -> Iterator[_Node]:
    """Let no text reach over the two slashes that begin the optional part after it."""
    for node, following in pairwise([*nodes, _Text("")]):
        match node, following:
            case _Part(number, pattern), _Optional((_Text("//"), *_)):
                run, _, times = pattern.rpartition("{")
                yield _Part(number, f"(?:(?!//){run}){{{times}")
            case _:
                yield node


def _component(kind: str, text: str) -> str:
    if kind in _COMPOSITE:
        return _COMPOSITE[kind]
    if kind == "choice":
        return text[1:-1]
    if kind == "group":
        times, _, inner = text.partition("*")
        line = _bare(_parse(inner[1:-1], []))
        return f"{line}(?:{_NEXT_LINE}{line}){{0,{int(times) - 1}}}"
    times, _, run = text.rpartition("*")
    exact, number, letter = "!" in run, int(run.rstrip("nachxzd!")), run[-1]
    if letter == "d":
        return rf"(?=[0-9,]{{2,{number}}}(?![0-9,]))[0-9]++,[0-9]*+"
    line = f"[{_CLASSES[letter]}]{{{number}}}" if exact else f"[{_CLASSES[letter]}]{{1,{number}}}"
    if times:
        return f"{line}+(?:{_NEXT_LINE}{line}+){{0,{int(times) - 1}}}"
    if number >= _LINES_FROM:
        return rf"(?:[{_CLASSES[letter]}]|{_NEXT_LINE}){{1,{number}}}+"
    return line


def _pattern(nodes: tuple[_Node, ...]) -> str:
    written: list[str] = []
    for node in nodes:
        match node:
            case _Text(text):
                written.append(_literal(text))
            case _Part(_, pattern):
                written.append(f"({pattern})")
            case _Optional((*parts, _Text("\n"))) if parts:
                written.append(f"(?:{_pattern(tuple(parts))}{_LINE_ENDS})?")
            case _Optional(parts):
                written.append(f"(?:{_pattern(parts)})?")
    return "".join(written)


def _literal(text: str) -> str:
    return _NEXT_LINE if text == "\n" else re.escape(text)


def _bare(nodes: tuple[_Node, ...]) -> str:
    return _pattern(nodes).replace("(?:", "\0").replace("(", "(?:").replace("\0", "(?:")


def _written(nodes: tuple[_Node, ...], components: tuple[Component, ...], texts: Mapping[str, str]) -> Iterator[str]:
    for node in nodes:
        match node:
            case _Text(text):
                yield text
            case _Part(number):
                yield texts[components[number].name]
            case _Optional(parts):
                if any(components[number].name in texts for number in _numbers(parts)):
                    yield from _written(parts, components, texts)


def _shaped(
    nodes: tuple[_Node, ...],
    components: tuple[Component, ...],
    texts: Mapping[str, str],
    fixed: Collection[str],
    patterns: Mapping[str, str],
    groups: list[str],
) -> Iterator[str]:
    for node in nodes:
        match node:
            case _Text(text):
                yield _literal(text)
            case _Part(number, pattern):
                name = components[number].name
                if name in fixed:
                    yield re.escape(texts[name])
                else:
                    groups.append(name)
                    yield f"({patterns.get(name, pattern)})"
            case _Optional(parts) if any(components[number].name in texts for number in _numbers(parts)):
                ends_line = parts[-1] == _Text("\n")
                yield from _shaped(parts[:-1] if ends_line else parts, components, texts, fixed, patterns, groups)
                if ends_line:
                    yield _LINE_ENDS


def _numbers(nodes: tuple[_Node, ...]) -> Iterator[int]:
    for node in nodes:
        match node:
            case _Part(number):
                yield number
            case _Optional(parts):
                yield from _numbers(parts)
