"""Compile rules for one version of a message: to XPath where XPath can state them, to named checks where it cannot.

Everything that XPath can state becomes one expression, true when some rule is broken: a valid message costs one call.
Rules with the same ``each`` and ``when`` share them. Checks of a kind of element are done in one walk. Only a message
that breaks something is asked rule by rule.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Literal, cast

from lxml import etree

from gateway.errors import Violation
from gateway.messages.parsing import element_path
from gateway.messages.rules.checks import Check
from gateway.messages.rules.language import (
    CHARACTERS,
    INVERSE,
    Assertion,
    Checked,
    Clause,
    Comparison,
    Condition,
    Direction,
    InCharacters,
    Operator,
    Path,
    Present,
    Rule,
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
_TRUE, _FALSE = ("true", "1"), ("false", "0")
_QUOTED: Final = {'"': "'\"'", "'": '"\'"'}


class Lacking(Exception):  # noqa: N818  # no error: what a version lacks makes a rule vacuous
    """A path that a version of the message has no element for."""


@dataclass(frozen=True, slots=True)
class Compiled:
    """One assertion of a rule in one version: where it is looked at, when, and what breaks it.

    ``context`` leads from the message element to what the rule is about ('' for the message element itself);
    ``breaks`` and ``culprits`` are seen from there. ``expected`` is the path of what is missing, where something is.
    """

    rule: Rule
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

    rule: Rule
    assertions: list[Compiled] = field(default_factory=list)
    lacks: list[str] = field(default_factory=list)


def compile_rule(rule: Rule, version: Version) -> CompiledRule:
    """Compile a rule for a version."""
    compiled = CompiledRule(rule)
    compiler = _Compiler(version)
    try:
        start, context = compiler.start(rule)
        conditions = [
            text for condition in rule.when if (text := compiler.holds(condition.clauses, start)) is not None
        ]
    except Lacking as lacking:
        compiled.lacks.append(str(lacking))
        return compiled
    for assertion in rule.assertions:
        try:
            compiled.assertions.append(compiler.assertion(rule, assertion, start, context, tuple(conditions)))
        except Lacking as lacking:
            compiled.lacks.append(str(lacking))
    return compiled


class _Compiler:
    def __init__(self, version: Version) -> None:
        self._version = version

    def start(self, rule: Rule) -> tuple[Place, str]:
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
        elements = tuple(element for place in places for element in place.elements)
        return Place(".", elements, places[0].chain), _union(places)

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
        self, rule: Rule, assertion: Assertion, start: Place, context: str, conditions: tuple[str, ...]
    ) -> Compiled:
        clauses = assertion.condition.clauses
        first = clauses[0]
        checked = None
        if isinstance(first, Checked):
            places = self._places(first.path, start)
            if first.argument is not None:
                self._places(first.argument, Place(".", tuple(e for place in places for e in place.elements)))
            breaks, culprits, checked = "false()", _union(places), first
        elif assertion.required and len(clauses) == 1:
            breaks = self._broken(first, start)
            culprits = self._culprits(first, start, required=True)
        else:
            said = self.holds(clauses, start, strictly=assertion.required)
            if said is None or (not assertion.required and any(isinstance(c, Present) and c.absent for c in clauses)):
                lacking = [c for c in clauses if isinstance(c, Present) and c.absent and not self._has(c.path, start)]
                if lacking:
                    raise Lacking(str(lacking[0].path))
            assert said is not None
            breaks = f"not({said})" if assertion.required else said
            culprits = "|".join(
                text for clause in clauses if (text := self._culprits(clause, start, required=assertion.required))
            )
        paths = [path for clause in clauses for path in _paths(clause) if self._has(path, start)]
        expected = str(paths[0]) if paths else ""
        suggestion = None
        match assertion:
            case Assertion(required=True, condition=Condition(clauses=(Words(words=(word,), negated=False),))):
                suggestion = word
        return Compiled(
            rule, assertion, context, conditions, breaks, culprits, expected, checked, suggestion
        )

    def _has(self, path: Path, start: Place) -> bool:
        return bool(self._version.find(path, start))

    # A clause that some element fulfils, that every one there fulfils, and that one there breaks ---------------------

    def _some(self, clause: Clause, start: Place) -> str:
        match clause:
            case Present(path, absent):
                found = _union(self._places(path, start))
                return f"not({found})" if absent else _boolean(found)
            case Several(how, paths):
                return self._several(how, paths, start)
            case Comparison():
                return self._comparison(clause, clause.operator, start)
            case Checked():
                raise TypeError("a check stands alone in a require line")  # refused when the file is read
            case _:
                return self._filtered(clause, start, fulfilled=True)

    def _strict(self, clause: Clause, start: Place) -> str:
        match clause:
            case Words(path) | TextTest(path) | InCharacters(path):
                there = _union(self._places(path, start))
                return f"({_boolean(there)} and not({self._filtered(clause, start, fulfilled=False)}))"
            case _:
                return self._some(clause, start)

    def _broken(self, clause: Clause, start: Place) -> str:
        match clause:
            case Words() | TextTest() | InCharacters():
                return self._filtered(clause, start, fulfilled=False)
            case Comparison():
                return self._comparison(clause, INVERSE[clause.operator], start)
            case Present(absent=True):
                return _union(self._places(clause.path, start))
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
            texts.append(f"{place.xpath}[{said if wanted else f'not({said})'}]")
        return "|".join(texts)

    def _several(self, how: str, paths: Sequence[Path], start: Place) -> str:
        there = [_union(found) for path in paths if (found := self._version.find(path, start))]
        if not there or (how == "all" and len(there) < len(paths)):
            raise Lacking(", ".join(str(path) for path in paths))
        if how in ("any", "all"):
            return f"({(' or ' if how == 'any' else ' and ').join(map(_boolean, there))})"
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
        there = [_boolean(_union(found)) for value, found in places.items() if value.function != "count"]
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
            return f"number(translate(substring({found},1,10),'-',''))"
        return f"number({found})" if numeric else f"string({found})"


def _union(places: Iterable[Place]) -> str:
    return "|".join(dict.fromkeys(place.xpath for place in places))


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


def _paths(clause: Clause) -> Iterator[Path]:
    match clause:
        case Several(_, paths):
            yield from paths
        case Comparison():
            yield from (value.path for value in clause.values() if value.path is not None)
        case _:
            yield clause.path


# --- all rules of a version at once -----------------------------------------------------------------------------------

_Walked = tuple[Check, Compiled, str, bool]  # check, rule, attribute or word, whether the tag says the kind for sure


class VersionRules:
    """The rules of some packs for one message definition and one direction."""

    def __init__(
        self, rules: Iterable[Rule], version: Version, direction: Direction, checks: Mapping[str, Check]
    ) -> None:
        self._version, self._direction, self._checks = version, direction, checks
        self._namespaces = {PREFIX: version.message.namespace}
        self._root = f"{{{version.message.namespace}}}{version.message.root}"
        self._expressions: dict[str, etree.XPath] = {}
        self.rules = [compile_rule(rule, version) for rule in rules]
        stated: list[Compiled] = []
        self._walk: dict[str, list[_Walked]] = defaultdict(list)
        self._selected: list[tuple[etree.XPath, Compiled]] = []
        self._texts: list[tuple[Callable[[str], object], Compiled]] = []
        for compiled in (one for rule in self.rules for one in rule.assertions):
            if compiled.checked is not None:
                self._add_check(compiled, compiled.checked)
            elif (characters := _of_whole_text(compiled)) is not None:
                outside = re.compile(f"[^{re.escape(CHARACTERS[characters])}]").search
                self._texts.append((outside, compiled))
            else:
                stated.append(compiled)
        self._combined = self._xpath(f"boolean({_combined(stated)})") if stated else None
        self._tags = tuple(self._walk)
        self._stated = stated

    def _xpath(self, text: str) -> etree.XPath:
        found = self._expressions.get(text)
        if found is None:
            found = self._expressions[text] = etree.XPath(text, namespaces=self._namespaces, smart_strings=False)
        return found

    def _add_check(self, compiled: Compiled, checked: Checked) -> None:
        kind = compiled.rule.each
        attribute = str(checked.argument or "")
        if isinstance(kind, str) and str(checked.path) == "itself" and not compiled.conditions:
            namespace = self._version.message.namespace
            elements = list(self._version.of_kind(kind))
            if checked.check == "external code":
                self._add_codes(compiled, elements)
                return
            if not attribute or attribute.startswith("@"):
                for tag in dict.fromkeys(element.name for element in elements):
                    sure = all(
                        self._version.is_kind(kind, element.type)
                        for element in self._version.named(tag)
                    )
                    check = self._checks[checked.check]
                    self._walk[f"{{{namespace}}}{tag}"].append((check, compiled, attribute[1:] or checked.word, sure))
                return
        context = f"({compiled.context})" if compiled.context else ""
        where = "".join(f"[{condition}]" for condition in compiled.conditions)
        start = f"{context or 'self::*'}{where}"
        select = "|".join(f"{start}/{step}" for step in compiled.culprits.split("|"))
        self._selected.append((self._xpath(select), compiled))

    def _add_codes(self, compiled: Compiled, elements: Sequence[object]) -> None:
        """Look only at the elements whose code set is known, by the tag around them."""
        tests = []
        for element in self._version.of_kind("external code"):
            if f"external code {element.type}" in self._checks:
                around = " or ".join(f"parent::{PREFIX}:{tag}" for tag in sorted(self._version.parents(element)))
                tests.append(f".//{PREFIX}:{element.name}[{around}]")
        del elements
        if tests:
            self._selected.append((self._xpath("|".join(dict.fromkeys(tests))), compiled))

    def broken(self, element: _Element) -> bool:
        """Tell whether a message may break a rule; fast, and all that a message costs that breaks none."""
        if self._combined is not None and self._combined(element):
            return True
        if self._tags:
            walk = self._walk
            for found in element.iter(*self._tags):
                for check, compiled, argument, sure in walk[found.tag]:
                    text = found.text
                    if text is None:
                        continue
                    of = found.get(argument, argument) if argument else ""
                    if not check.holds(text, of) and (sure or self._is_kind(compiled, found)):
                        return True
        for select, compiled in self._selected:
            for found in cast("list[_Element]", select(element)):
                if not self._check_holds(compiled, found):
                    return True
        if self._texts:
            text = etree.tostring(element, method="text", encoding="unicode")
            return any(outside(text) for outside, _ in self._texts)
        return False

    def violations(self, element: _Element, line_of: LineOf) -> list[Violation]:
        """Return what is broken, rule by rule in the order of the packs; empty when nothing is."""
        found: list[tuple[Compiled, _Element, str, str | None]] = []  # rule, where, what is missing there, suggestion
        for compiled in self._stated:
            found += self._stated_breaks(compiled, element)
        for where in element.iter(*self._tags) if self._tags else ():
            for check, compiled, argument, _ in self._walk[where.tag]:
                of = where.get(argument, argument) if argument else ""
                if where.text and self._is_kind(compiled, where) and not check.holds(where.text, of):
                    found.append((compiled, where, "", check.suggest(where.text, of)))
        for select, compiled in self._selected:
            for where in cast("list[_Element]", select(element)):
                if not self._check_holds(compiled, where):
                    check, argument = self._check_of(compiled, where)
                    found.append((compiled, where, "", check.suggest(where.text or "", argument)))
        for outside, compiled in self._texts:
            for where in element.iter():
                if len(where) == 0 and where.text and outside(where.text):
                    found.append((compiled, where, "", None))
        order = {id(rule.rule): number for number, rule in enumerate(self.rules)}
        found.sort(key=lambda one: order[id(one[0].rule)])
        part = element if element.tag == self._root else element.getparent()
        around = None if part is None else part.getparent()
        envelope = "" if around is None else element_path(around)
        return [self._violation(*one, envelope, line_of) for one in found]

    def applies(self, code: str, element: _Element) -> bool:
        """Tell whether a message has what a rule is about, so that it says something of this message."""
        for compiled in (one for rule in self.rules if rule.rule.code == code for one in rule.assertions):
            where = "".join(f"[{condition}]" for condition in compiled.conditions)
            if self._xpath(f"boolean(({compiled.context or 'self::*'}){where})")(element):
                return True
        return False

    def _stated_breaks(
        self, compiled: Compiled, element: _Element
    ) -> Iterator[tuple[Compiled, _Element, str, str | None]]:
        where = "".join(f"[{condition}]" for condition in (*compiled.conditions, compiled.breaks))
        contexts = cast("list[_Element]", self._xpath(f"({compiled.context or 'self::*'}){where}")(element))
        for context in contexts:
            if isinstance(compiled.rule.each, str) and not self._is_kind(compiled, context):
                continue
            culprits = self._xpath(compiled.culprits)(context) if compiled.culprits else []
            culprits = [node for node in cast("list[_Element]", culprits) if isinstance(node, etree._Element)]
            if culprits:
                yield from ((compiled, culprit, "", compiled.suggestion) for culprit in culprits)
            else:
                yield compiled, context, compiled.expected, compiled.suggestion

    def _is_kind(self, compiled: Compiled, element: _Element) -> bool:
        name = self._version.type_of(element)
        kind = compiled.rule.each
        return name is not None and isinstance(kind, str) and self._version.is_kind(kind, name)

    def _check_of(self, compiled: Compiled, element: _Element) -> tuple[Check, str]:
        checked = compiled.checked
        assert checked is not None
        if checked.check == "external code":
            name = self._version.type_of(element)
            return self._checks.get(f"external code {name}") or _ANYTHING, name or ""
        argument = checked.word
        if checked.argument is not None:
            path = "|".join(
                place.xpath for place in self._version.find(checked.argument, self._start_of(compiled, checked))
            )
            argument = str(self._xpath(f"string({path})")(element))
        return self._checks[checked.check], argument

    def _start_of(self, compiled: Compiled, checked: Checked) -> Place:
        start, _ = _Compiler(self._version).start(compiled.rule)
        places = self._version.find(checked.path, start)
        return Place(".", tuple(element for place in places for element in place.elements), places[0].chain)

    def _check_holds(self, compiled: Compiled, element: _Element) -> bool:
        check, argument = self._check_of(compiled, element)
        return check.holds(element.text or "", argument)

    def _violation(
        self, compiled: Compiled, where: _Element, missing: str, suggestion: str | None, envelope: str, line_of: LineOf
    ) -> Violation:
        rule = compiled.rule
        path = element_path(where).removeprefix(envelope)
        if missing and not missing.startswith(("/", "..", "itself")):
            path = f"{path}/{missing}"
        value = (where.text or "").strip()[:_VALUE_LIMIT] or None if len(where) == 0 and not missing else None
        shown = f" '{value}'" if value is not None else ""
        better = f" (right would be: {suggestion})" if suggestion is not None else ""
        stated = " when ".join([str(compiled.assertion), *(condition.text for condition in rule.when)])
        text = f"{path}:{shown} {rule.because}{better} [{rule.pack}]"
        severity: Literal["error", "warning"] = "error" if rule.severity[self._direction] == "error" else "warning"
        return Violation(rule.code, path, stated, value, text, line_of(where), severity, suggestion)


_ANYTHING: Final = Check(lambda text, argument: True)


def _of_whole_text(compiled: Compiled) -> str | None:
    """Return the characters that a rule asks of every text of a message; None for any other rule."""
    match compiled.assertion:
        case Assertion(required=True, condition=Condition(clauses=(InCharacters(Path(("itself",)), characters),))):
            if compiled.rule.each == "text" and not compiled.conditions:
                return characters
    return None


def _combined(stated: Sequence[Compiled]) -> str:
    """Write one expression that is true when an assertion is broken; what several have in common is asked once."""
    by_context: dict[str, list[tuple[tuple[str, ...], str]]] = defaultdict(list)
    for compiled in stated:
        by_context[compiled.context].append((compiled.conditions, compiled.breaks))
    texts = []
    for context, items in by_context.items():
        said = _shared(items)
        texts.append(f"({context})[{said}]" if context else said)
    return " or ".join(texts)


def _shared(items: Sequence[tuple[tuple[str, ...], str]]) -> str:
    alone = [breaks for conditions, breaks in items if not conditions]
    below: dict[str, list[tuple[tuple[str, ...], str]]] = defaultdict(list)
    for conditions, breaks in items:
        if conditions:
            below[conditions[0]].append((conditions[1:], breaks))
    nested = [f"({first}) and ({_shared(rest)})" for first, rest in below.items()]
    return " or ".join(f"({text})" for text in [*alone, *nested])
