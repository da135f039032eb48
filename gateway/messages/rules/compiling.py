"""Compile rules for one version of a message to XPath; what XPath cannot state is left to named checks."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from gateway.messages.rules.language import (
    CHARACTERS,
    INVERSE,
    Assertion,
    Checked,
    Clause,
    Comparison,
    Condition,
    InCharacters,
    MessageRule,
    Operator,
    Path,
    Present,
    Several,
    Sum,
    TextTest,
    Value,
    Words,
)
from gateway.messages.rules.paths import PREFIX, Place, Version

if TYPE_CHECKING:
    from lxml.etree import _Element

LineOf = Callable[["_Element"], "int | None"]
_VALUE_LIMIT: Final = 140
_NUMBERS: Final = ("xs:decimal", "xs:integer", "xs:float", "xs:double")
_ORDERED: Final = ("<", "<=", ">", ">=")
_TRUE, _FALSE = ("true", "1"), ("false", "0")
_QUOTED: Final = {'"': "'\"'", "'": '"\'"'}


class Lacking(Exception):  # no error: what a version lacks makes a rule vacuous
    """A path that a version of the message has no element for."""


@dataclass(frozen=True, slots=True)
class Compiled:
    """One assertion of a rule in one version: where it is looked at, when, and what breaks it.

    ``context`` leads from the message element to what the rule is about ('' for the message element itself);
    ``breaks`` and ``culprits`` are seen from there. ``expected`` is the path of what is missing, where something is.
    """

    rule: MessageRule
    assertion: Assertion
    context: str
    conditions: tuple[str, ...]
    breaks: str
    culprits: str = ""
    expected: str = ""
    checked: Checked | None = None
    suggestion: str | None = None


@dataclass(slots=True)
class CompiledRule:
    """A rule in one version: its assertions, and what the version lacks; vacuous when no assertion is left."""

    rule: MessageRule
    assertions: list[Compiled] = field(default_factory=list)
    lacks: list[str] = field(default_factory=list)


def compile_rule(rule: MessageRule, version: Version) -> CompiledRule:
    """Compile a rule for a version."""
    compiled = CompiledRule(rule)
    compiler = _Compiler(version)
    try:
        start, context = compiler.start(rule)
        conditions = [text for condition in rule.when if (text := compiler.holds(condition.clauses, start)) is not None]
    except Lacking as lacking:
        compiled.lacks.append(str(lacking))
        return compiled
    for assertion in rule.assertions:
        try:
            compiled.assertions.append(compiler.assertion(rule, assertion, start, context, tuple(conditions)))
        except Lacking as lacking:
            compiled.lacks.append(str(lacking))
    return compiled


def start_of(rule: MessageRule, version: Version) -> Place:
    """Return what the paths of a rule begin at; raises ``Lacking`` where a version has nothing of it."""
    return _Compiler(version).start(rule)[0]


class _Compiler:
    def __init__(self, version: Version) -> None:
        self._version = version

    def start(self, rule: MessageRule) -> tuple[Place, str]:
        """Return what a rule is about, and the XPath of it from the message element."""
        if rule.each is None:
            return self._version.top, ""
        if isinstance(rule.each, str):
            elements = tuple(self._version.of_kind(rule.each))
            if not elements:
                raise Lacking(rule.each)
            tags = sorted({element.name for element in elements})
            return Place(".", elements), "|".join(f".//{PREFIX}:{tag}" for tag in tags)
        places = self._places(rule.each, self._version.top)
        return inside(places), _union(places)

    def _places(self, path: Path, start: Place) -> list[Place]:
        places = self._version.find(path, start)
        if not places:
            raise Lacking(str(path))
        return places

    def holds(self, clauses: Sequence[Clause], start: Place, *, strictly: bool = False) -> str | None:
        """Return the XPath of one of some clauses holding; None where it always does."""
        texts, lacking = [], ""
        for clause in clauses:
            try:
                texts.append(self._strict(clause, start) if strictly else self._some(clause, start))
            except Lacking as lacks:
                if isinstance(clause, Present) and clause.absent:
                    return None
                lacking = str(lacks)
        if not texts:
            raise Lacking(lacking)
        return " or ".join(texts) if len(texts) > 1 else texts[0]

    def assertion(
        self, rule: MessageRule, assertion: Assertion, start: Place, context: str, conditions: tuple[str, ...]
    ) -> Compiled:
        clauses = assertion.condition.clauses
        first = clauses[0]
        checked = None
        if isinstance(first, Checked):
            places = self._places(first.path, start)
            if first.argument is not None:
                self._places(first.argument, inside(places))
            breaks, culprits, checked = "false()", _union(places), first
        elif assertion.required and len(clauses) == 1:
            breaks = self._broken(first, start)
            culprits = _holders(self._culprits(first, start, required=True))
        else:
            said = self.holds(clauses, start, strictly=assertion.required)
            if said is None or (not assertion.required and any(isinstance(c, Present) and c.absent for c in clauses)):
                lacking = [c for c in clauses if isinstance(c, Present) and c.absent and not self._has(c.path, start)]
                if lacking:
                    raise Lacking(str(lacking[0].path))
            assert said is not None
            breaks = f"not({said})" if assertion.required else said
            culprits = "|".join(
                _holders(text)
                for clause in clauses
                if (text := self._culprits(clause, start, required=assertion.required))
            )
        paths = [path for clause in clauses for path in paths_of(clause) if self._has(path, start)]
        expected = str(paths[0]) if paths else ""
        suggestion = None
        match assertion:
            case Assertion(required=True, condition=Condition(clauses=(Words(words=(word,), negated=False),))):
                suggestion = word
        return Compiled(rule, assertion, context, conditions, breaks, culprits, expected, checked, suggestion)

    def _has(self, path: Path, start: Place) -> bool:
        return bool(self._version.find(path, start))

    # A clause that some element fulfils, that every one there fulfils, and that one there breaks ---------------------

    def _some(self, clause: Clause, start: Place) -> str:
        match clause:
            case Present(path, absent):
                found = _there(self._places(path, start))
                return f"not({found})" if absent else found
            case Several(how, paths):
                return self._several(how, paths, start)
            case Comparison():
                return self._comparison(clause, clause.operator, start)
            case Checked():
                raise TypeError("a check stands alone in a require line")  # refused when the file is read
            case Words(path, (word,)) if said := self._equal(path, word, start):
                return " or ".join(f"{one}{'!=' if clause.negated else '='}{_quote(word)}" for one in said)
            case _:
                return self._filtered(clause, start, fulfilled=True)

    def _equal(self, path: Path, word: str, start: Place) -> list[str]:
        """Return the XPath of what may be compared with a word as it is; nothing where that is no text."""
        places = self._places(path, start)
        return [] if any(self._version.base(one) == "xs:boolean" for one in places) else [one.xpath for one in places]

    def _strict(self, clause: Clause, start: Place) -> str:
        match clause:
            case Words(path) | TextTest(path) | InCharacters(path):
                there = _there(self._places(path, start))
                return f"({there} and not({self._filtered(clause, start, fulfilled=False)}))"
            case _:
                return self._some(clause, start)

    def _broken(self, clause: Clause, start: Place) -> str:
        match clause:
            case Words(path, (word,)) if said := self._equal(path, word, start):
                return " or ".join(f"{one}{'=' if clause.negated else '!='}{_quote(word)}" for one in said)
            case Words() | TextTest() | InCharacters():
                return self._filtered(clause, start, fulfilled=False)
            case Comparison():
                return self._comparison(clause, INVERSE[clause.operator], start)
            case Present(absent=True):
                return _there(self._places(clause.path, start))
            case _:
                return f"not({self._some(clause, start)})"

    def _culprits(self, clause: Clause, start: Place, *, required: bool) -> str:
        try:
            match clause:
                case Words() | TextTest() | InCharacters():
                    return self._filtered(clause, start, fulfilled=not required)
                case Present(path, absent) if absent == required:
                    return _union(self._places(path, start))
                case Comparison(left=Sum(first=Value(path=Path() as path))):
                    return _union(self._places(path, start))
                case Several(_, paths):
                    return "|".join(_union(self._version.find(path, start)) for path in paths if self._has(path, start))
                case _:
                    return ""
        except Lacking:
            return ""

    def _filtered(self, clause: Clause, start: Place, *, fulfilled: bool) -> str:
        """Return the elements at a clause's path that fulfil it, or those that do not."""
        assert isinstance(clause, Words | TextTest | InCharacters)
        texts = []
        for place in self._places(clause.path, start):
            match clause:
                case Words(_, words, negated):
                    if self._version.base(place) == "xs:boolean":
                        words = tuple(w for word in words for w in (_TRUE if word in _TRUE else _FALSE))
                    said, wanted = " or ".join(f".={_quote(word)}" for word in words), fulfilled != negated
                case TextTest(_, test, text, negated):
                    said, wanted = _text_test(test, text), fulfilled != negated
                case InCharacters(_, characters):
                    said, wanted = f"translate(.,{_quote(CHARACTERS[characters])},'')=''", fulfilled
            here = "self::*" if place.xpath == "." else place.xpath
            texts.append(f"{here}[{said if wanted else f'not({said})'}]")
        return "|".join(texts)

    def _several(self, how: str, paths: Sequence[Path], start: Place) -> str:
        there = [_there(found) for path in paths if (found := self._version.find(path, start))]
        if not there or (how == "all" and len(there) < len(paths)):
            raise Lacking(", ".join(str(path) for path in paths))
        if how in ("any", "all"):
            return f"({(' or ' if how == 'any' else ' and ').join(there)})"
        count = "+".join(f"number({_boolean(found)})" for found in there)
        return f"({count}=1)" if how == "one" else f"({count}<=1)"

    def _comparison(self, clause: Comparison, operator: Operator, start: Place) -> str:
        sides = []
        numeric = clause.dates or any(value.function or value.kind == "number" for value in clause.values())
        places = {value: self._places(value.path, start) for value in clause.values() if value.path is not None}
        numeric = numeric or bool(clause.left.rest or clause.right.rest)
        numeric = numeric or any(self._version.base(place) in _NUMBERS for found in places.values() for place in found)
        for side in (clause.left, clause.right):
            text = self._value(side.first, places, numeric=numeric, dates=clause.dates)
            for sign, value in side.rest:
                text += f" {sign} {self._value(value, places, numeric=numeric, dates=clause.dates)}"
            sides.append(text)
        left, right = sides
        there = [
            _there(found)
            for value, found in places.items()
            if value.function != "count" and not all(place.certain for place in found)
        ]
        match clause:
            case Comparison(Sum(Value(Path() as path, ""), ()), _, Sum(Value(None, "", number, "number"), ())):
                return f"({' or '.join(f'{one.xpath}{operator}{number}' for one in self._places(path, start))})"
        if numeric and operator in _ORDERED and not any(value.function for value in places):
            there = there[:1]  # what is not there is no number, and compares with none; the first spares the rest
        if not numeric:
            return "(" + " and ".join([*there, f"{left}{operator}{right}"]) + ")"
        if operator in ("=", "!=") and not clause.dates:  # what differs in the seventh decimal is rounding
            test = f"round((({left})-({right}))*1000000){operator}0"
        else:
            test = f"{left}{operator}{right}"
        return "(" + " and ".join([*there, test]) + ")"

    def _value(self, value: Value, places: Mapping[Value, list[Place]], *, numeric: bool, dates: bool) -> str:
        if value.path is None:
            if value.kind == "date" or dates:
                return value.literal.replace("-", "")
            return value.literal if value.kind == "number" else _quote(value.literal)
        found = _union(places[value])
        match value.function:
            case "sum" | "count":
                return f"{value.function}({found})"
            case "length":
                return f"string-length({found})"
        if dates:
            return f"translate({day(found)},'-','')"  # compared as numbers, whatever the operator
        return f"number({found})" if numeric else f"string({found})"


def inside(places: Sequence[Place]) -> Place:
    """Return the elements at some places as what paths begin at."""
    return Place(".", tuple(element for place in places for element in place.elements), places[0].chain)


def _union(places: Iterable[Place]) -> str:
    return "|".join(dict.fromkeys(place.xpath for place in places))


def day(path: str) -> str:
    """Write the date at a path, without its time."""
    return f"substring(normalize-space({path}),1,10)"


def _there(places: Iterable[Place]) -> str:
    """Write that there is something at one of some places."""
    said = list(dict.fromkeys(place.xpath for place in places))
    return said[0] if len(said) == 1 else f"({' or '.join(said)})"


def _boolean(nodes: str) -> str:
    return f"boolean({nodes})"


def _quote(text: str) -> str:
    """Write a text as XPath does, which has no escapes."""
    if "'" not in text:
        return f"'{text}'"
    if '"' not in text:
        return f'"{text}"'
    parts = [_QUOTED.get(part, f"'{part}'") for part in re.split("(['\"])", text) if part]
    return f"concat({','.join(parts)})"


def _text_test(test: str, text: str) -> str:
    if test == "ends-with":
        return f"substring(.,string-length(.)-{len(text) - 1})={_quote(text)}"
    return f"{test}(.,{_quote(text)})"


def _holders(nodes: str) -> str:
    """Write the elements that have the attributes which are found."""
    nodes = re.sub(r"/(@\w+(?:\[[^|]*\])?)", r"[\1]", nodes)
    return re.sub(r"(^|\|)(@\w+(?:\[[^|]*\])?)", r"\1self::*[\2]", nodes)


def paths_of(clause: Clause) -> Iterator[Path]:
    """Yield the paths of a clause."""
    match clause:
        case Several(_, paths):
            yield from paths
        case Comparison():
            yield from (value.path for value in clause.values() if value.path is not None)
        case _:
            yield clause.path


_LACKS = re.compile(rf"not\(({PREFIX}:\w+)/({PREFIX}:\w+(?:/{PREFIX}:\w+)*)\)")
_BEGINS = re.compile(rf"(?<![\w/:@.\]*]){PREFIX}:(\w+)(/(?!/))?")


def combined(stated: Sequence[Compiled], version: Version) -> str:
    """Write one expression that is true when an assertion is broken; what several have in common is asked once."""
    by_context: dict[str, list[tuple[tuple[str, ...], str]]] = defaultdict(list)
    for compiled in stated:
        context, conditions, breaks = compiled.context, compiled.conditions, compiled.breaks
        paths = [(one[1], one[2]) for text in (*conditions, breaks) for one in _BEGINS.finditer(text)]
        firsts = {name for name, _ in paths}
        if not context and len(firsts) == 1 and all(below for _, below in paths):
            (first,) = firsts  # all of it is inside of one element: begin there
            quoted = "".join(re.findall(r"'[^']*'|\"[^\"]*\"", " ".join((*conditions, breaks))))
            if f"{PREFIX}:" not in quoted and version.is_certain(first):
                context = f"{PREFIX}:{first}"
                conditions = tuple(text.replace(f"{context}/", "") for text in conditions)
                breaks = breaks.replace(f"{context}/", "")
        by_context[context].append((conditions, breaks))
    texts = []
    for context, items in by_context.items():
        inner = version.element if not context else version.only(context)
        said = _shared(items, frozenset() if inner is None else version.singles(inner))
        texts.append(f"({context})[{said}]" if context else said)
    return " or ".join(texts)


def _shared(items: Sequence[tuple[tuple[str, ...], str]], singles: frozenset[str]) -> str:
    alone = list(dict.fromkeys(breaks for conditions, breaks in items if not conditions))
    below: dict[str, list[tuple[tuple[str, ...], str]]] = defaultdict(list)
    for conditions, breaks in items:
        if conditions:
            below[conditions[0]].append((conditions[1:], breaks))
    missing: dict[str, list[str]] = {}  # what one element lacks is asked of it at once
    for test in list(alone):
        lacks = _LACKS.fullmatch(test)
        if lacks is not None and lacks[1] in singles:
            alone.remove(test)
            missing.setdefault(lacks[1], []).append(lacks[2])
    for parent, paths in missing.items():
        needed = [path for path in paths if not any(other.startswith(f"{path}/") for other in paths)]
        alone.append(f"not({parent}[{' and '.join(dict.fromkeys(needed))}])")
    nested = [f"({first}) and ({_shared(rest, singles)})" for first, rest in below.items()]
    return " or ".join(f"({text})" for text in [*alone, *nested])
