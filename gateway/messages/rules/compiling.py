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
from gateway.messages.catalogue import ElementDefinition
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


class Lacking(Exception):  # no error: what a version lacks makes a rule vacuous
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
        self, rule: Rule, assertion: Assertion, start: Place, context: str, conditions: tuple[str, ...]
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


def inside(places: Sequence[Place]) -> Place:
    """Return the elements at some places as what paths begin at."""
    return Place(".", tuple(element for place in places for element in place.elements), places[0].chain)


def _union(places: Iterable[Place]) -> str:
    return "|".join(dict.fromkeys(place.xpath for place in places))


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


# --- all rules of a version at once -----------------------------------------------------------------------------------

_Found = tuple[Compiled, "_Element", str, "str | None"]  # rule, where, what is missing there, suggestion
_GOOD: Final = 4_096  # values that were found good and are remembered: parties and securities come again and again
_WAYS: Final = 12  # places of an element that are asked one by one; of more, all elements of its tag are
_FIXED: Final[frozenset[object]] = frozenset({"isin", "lei", "bic", "country", "currency"})  # of different lengths
_CURRENCY: Final = "Ccy"  # the one attribute that values have


@dataclass(frozen=True, slots=True)
class _Walked:
    """A check of the elements of a tag: of their text or of an attribute, with an attribute or a word as argument.

    In an element of ``others``, the tag is of another kind; ``sure`` says that it nowhere is.
    """

    check: Check
    compiled: Compiled
    attribute: str
    argument: str
    sure: bool
    others: frozenset[str]

    def texts(self, element: _Element) -> tuple[str | None, str]:
        """Return what is checked, and the argument."""
        text = element.get(self.attribute) if self.attribute else element.text
        return text, element.get(self.argument, self.argument) if self.argument else ""


@dataclass(frozen=True, slots=True)
class _Selected:
    """A check of what an XPath finds; ``argument`` is seen from there."""

    compiled: Compiled
    select: etree.XPath
    check: Check | None = None  # None: by the type of the element
    word: str = ""
    argument: etree.XPath | None = None

    def argument_of(self, element: _Element) -> str:
        """Return the argument of the check of an element."""
        return self.word if self.argument is None else str(self.argument(element))


class VersionRules:
    """The rules of some packs for one message definition and one direction.

    What is good is remembered, since the same parties, securities, codes and days come again and again: values of the
    kinds, and what the checks of single elements look at, written as one text.
    """

    def __init__(
        self, rules: Iterable[Rule], version: Version, direction: Direction, checks: Mapping[str, Check]
    ) -> None:
        self._version, self._direction, self._checks = version, direction, checks
        self._namespaces = {PREFIX: version.message.namespace}
        self._root = f"{{{version.message.namespace}}}{version.message.root}"
        self._expressions: dict[str, etree.XPath] = {}
        self.rules = [compile_rule(rule, version) for rule in rules]
        self._stated: list[Compiled] = []
        self._walk: dict[str, list[_Walked]] = defaultdict(list)
        self._steady: list[_Selected] = []
        self._selected: list[_Selected] = []
        self._texts: list[tuple[Callable[[str], object], Compiled]] = []
        self._inputs: dict[str, None] = {}  # what steady checks look at, as XPath of texts
        for compiled in (one for rule in self.rules for one in rule.assertions):
            if compiled.checked is not None:
                self._add_check(compiled, compiled.checked)
            elif (characters := _of_whole_text(compiled)) is not None:
                outside = re.compile(f"[^{re.escape(CHARACTERS[characters])}]").search
                self._texts.append((outside, compiled))
            else:
                self._stated.append(compiled)
        looks = [f"boolean({_combined(self._stated, version) or 'false()'})", *self._inputs]
        looks += [f"boolean({one.select.path})" for one in self._selected]
        self._look = self._xpath("concat({},'')".format(",'\n',".join(looks)))
        self._known: dict[str, tuple[_Selected, ...]] = {}
        self._tags = tuple(self._walk)
        self._good: set[object] = set()

    def _xpath(self, text: str) -> etree.XPath:
        found = self._expressions.get(text)
        if found is None:
            found = self._expressions[text] = etree.XPath(text, namespaces=self._namespaces, smart_strings=False)
        return found

    def _add_check(self, compiled: Compiled, checked: Checked) -> None:
        """Add a check: of a kind to the walk, of anything else to what is selected."""
        kind, argument, subject = compiled.rule.each, str(checked.argument or ""), str(checked.path)
        if isinstance(kind, str) and not compiled.conditions and (subject == "itself" or subject[0] == "@"):
            elements = list(self._version.of_kind(kind))
            if checked.check == "external code":
                known = [element for element in elements if f"external code {element.type}" in self._checks]
                self._select(compiled, known, None)
                return
            if not argument or argument[0] == "@":
                self._add_to_walk(compiled, kind, elements, subject.removeprefix("itself")[1:], argument[1:])
                return
        where = "".join(f"[{condition}]" for condition in compiled.conditions)
        context = f"({compiled.context}){where}" if compiled.context else f"self::*{where}" if where else ""
        select = "|".join(f"{context}/{step}" if context else step for step in compiled.culprits.split("|"))
        check, places = self._checks[checked.check], self._version.find(checked.path, self._start(compiled))
        of = None
        if checked.argument is not None:
            said = "|".join(place.xpath for place in self._version.find(checked.argument, inside(places)))
            of = f"string({said})"
        selected = _Selected(
            compiled, self._xpath(select), check, checked.word, None if of is None else self._xpath(of)
        )
        if compiled.context or where or any(place.repeats for place in places) or not _is_whole(checked.argument):
            self._selected.append(selected)
            return
        self._steady.append(selected)
        self._inputs[f"string({select})"] = None
        if checked.argument is not None:
            whole = "|".join(place.xpath for place in self._version.find(checked.argument, self._version.top))
            self._inputs[f"string({whole})"] = None

    def _start(self, compiled: Compiled) -> Place:
        return _Compiler(self._version).start(compiled.rule)[0]

    def _add_to_walk(
        self, compiled: Compiled, kind: str, elements: Sequence[ElementDefinition], attribute: str, argument: str
    ) -> None:
        assert compiled.checked is not None
        check = self._checks[compiled.checked.check]
        for element in elements:
            named = list(self._version.named(element.name))
            others = [one for one in named if not self._version.is_kind(kind, one.type)]
            if len(others) > len(named) / 2:  # mostly of another kind: asked where it is one of this kind
                self._select(compiled, [element], check)
                continue
            here = frozenset(tag for one in named if one not in others for tag in self._version.parents(one))
            apart = frozenset(tag for one in others for tag in self._version.parents(one)) - here
            namespace = self._version.message.namespace
            walked = _Walked(
                check,
                compiled,
                attribute,
                argument or compiled.checked.word,
                not others,
                frozenset(f"{{{namespace}}}{tag}" for tag in apart),
            )
            items = self._walk[f"{{{namespace}}}{element.name}"]
            if walked not in items:
                items.append(walked)

    def _select(self, compiled: Compiled, elements: Sequence[ElementDefinition], check: Check | None) -> None:
        """Look at elements of a kind where they are."""
        ways: list[str] = []
        for element in elements:
            few = self._version.ways_to(element, _WAYS)
            around = " or ".join(f"parent::{PREFIX}:{tag}" for tag in sorted(self._version.parents(element)))
            ways += [f".//{PREFIX}:{element.name}[{around}]"] if few is None else few
        if ways:
            ways = list(dict.fromkeys(ways))
            once = not any(way.startswith(".") or self._version.repeats(way) for way in ways)
            (self._steady if once else self._selected).append(_Selected(compiled, self._xpath("|".join(ways)), check))
            self._inputs.update(dict.fromkeys(f"string({way})" for way in ways) if once else {})

    def broken(self, element: _Element) -> bool:
        """Tell whether a message may break a rule; fast, and all that a message costs that breaks none."""
        said = cast("str", self._look(element))
        there = self._known.get(said)
        if there is None:
            there = self._look_closely(element, said)
            if there is None:
                return True
        good = self._good
        for found in element.iter(*self._tags) if self._tags else ():
            text = found.text
            if text in good:
                continue
            key = found.tag, text, found.get(_CURRENCY)
            if key not in good and not self._is_good(found, key):
                return True
        for selected in there:
            for where in _elements(selected.select(element)):
                if not self._holds(selected, where):
                    return True
        if self._texts:
            text = etree.tostring(element, method="text", encoding="unicode")
            return any(outside(text) for outside, _ in self._texts)
        return False

    def _look_closely(self, element: _Element, said: str) -> tuple[_Selected, ...] | None:
        """Check what was seen for the first time; returns what is there to be looked at each time, None when broken."""
        if said.startswith("true"):
            return None
        if any(not self._holds(one, where) for one in self._steady for where in _elements(one.select(element))):
            return None
        there = tuple(one for one in self._selected if _elements(one.select(element)))
        if len(self._known) >= _GOOD:
            self._known.clear()
        self._known[said] = there
        return there

    def _remember(self, key: object) -> None:
        if len(self._good) >= _GOOD:
            self._good.clear()
        self._good.add(key)

    def _is_good(self, element: _Element, key: object) -> bool:
        """Check what is not known to be good. A value that is good only where it is now is not remembered."""
        here_only = False
        for walked in self._walk[element.tag]:
            text, argument = walked.texts(element)
            if text is None or walked.check.holds(text, argument):
                continue
            if walked.sure:
                return False
            parent = element.getparent()
            if (parent is None or parent.tag not in walked.others) and self._is_kind(walked.compiled, element):
                return False
            here_only = True
        if not here_only:
            kinds = {walked.compiled.rule.each for walked in self._walk[element.tag]}
            self._remember(element.text if kinds <= _FIXED else key)
        return True

    def _holds(self, selected: _Selected, element: _Element) -> bool:
        check = selected.check or self._checks.get(f"external code {self._version.type_of(element)}")
        return check is None or check.holds(element.text or "", selected.argument_of(element))

    def violations(self, element: _Element, line_of: LineOf) -> list[Violation]:
        """Return what is broken, rule by rule in the order of the packs; empty when nothing is."""
        found: list[_Found] = []
        for compiled in self._stated:
            found += self._stated_breaks(compiled, element)
        for where in element.iter(*self._tags) if self._tags else ():
            for walked in self._walk[where.tag]:
                text, of = walked.texts(where)
                if text is not None and self._is_kind(walked.compiled, where) and not walked.check.holds(text, of):
                    found.append((walked.compiled, where, "", walked.check.suggest(text, of)))
        for selected in (*self._steady, *self._selected):
            for where in _elements(selected.select(element)):
                if not self._holds(selected, where):
                    check = selected.check
                    better = check.suggest(where.text or "", selected.argument_of(where)) if check is not None else None
                    found.append((selected.compiled, where, "", better))
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

    def _stated_breaks(self, compiled: Compiled, element: _Element) -> Iterator[_Found]:
        where = "".join(f"[{condition}]" for condition in (*compiled.conditions, compiled.breaks))
        for context in _elements(self._xpath(f"({compiled.context or 'self::*'}){where}")(element)):
            if isinstance(compiled.rule.each, str) and not self._is_kind(compiled, context):
                continue
            culprits = _elements(self._xpath(compiled.culprits)(context)) if compiled.culprits else []
            if culprits:
                yield from ((compiled, culprit, "", compiled.suggestion) for culprit in culprits)
            else:
                yield compiled, context, compiled.expected, compiled.suggestion

    def _is_kind(self, compiled: Compiled, element: _Element) -> bool:
        name = self._version.type_of(element)
        kind = compiled.rule.each
        return name is not None and isinstance(kind, str) and self._version.is_kind(kind, name)

    def _violation(
        self, compiled: Compiled, where: _Element, missing: str, suggestion: str | None, envelope: str, line_of: LineOf
    ) -> Violation:
        rule = compiled.rule
        path = element_path(where).removeprefix(envelope)
        if missing and not missing.startswith(("/", "..", "itself")):
            path = f"{path}/{missing}"
        value = (where.text or "").strip()[:_VALUE_LIMIT] or None if len(where) == 0 and not missing else None
        shown = f" '{value}':" if value is not None else ""
        better = f" (right would be: {suggestion})" if suggestion is not None else ""
        stated = " when ".join([str(compiled.assertion), *(condition.text for condition in rule.when)])
        text = f"{path}:{shown} {rule.because}{better} [{rule.pack}: {rule.code}]"
        severity: Literal["error", "warning"] = "error" if rule.severity[self._direction] == "error" else "warning"
        return Violation(rule.code, path, stated, value, text, line_of(where), severity, suggestion)


def _elements(found: object) -> list[_Element]:
    """Return the elements of what an XPath found; attributes are texts and left out."""
    return [one for one in found if isinstance(one, etree._Element)] if isinstance(found, list) else []


def _is_whole(argument: Path | None) -> bool:
    """Tell whether an argument is a path from the message element, or none."""
    return argument is None or all(one.startswith("/") for one in argument.alternatives)


def _of_whole_text(compiled: Compiled) -> str | None:
    """Return the characters that a rule asks of every text of a message; None for any other rule."""
    match compiled.assertion:
        case Assertion(required=True, condition=Condition(clauses=(InCharacters(Path(("itself",)), characters),))):
            if compiled.rule.each == "text" and not compiled.conditions:
                return characters
    return None


_BEGINS = re.compile(rf"(?<![\w/:@.\]*]){PREFIX}:(\w+)(/(?!/))?")


def _combined(stated: Sequence[Compiled], version: Version) -> str:
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
        said = _shared(items)
        texts.append(f"({context})[{said}]" if context else said)
    return " or ".join(texts)


def _shared(items: Sequence[tuple[tuple[str, ...], str]]) -> str:
    alone = list(dict.fromkeys(breaks for conditions, breaks in items if not conditions))
    below: dict[str, list[tuple[tuple[str, ...], str]]] = defaultdict(list)
    for conditions, breaks in items:
        if conditions:
            below[conditions[0]].append((conditions[1:], breaks))
    nested = [f"({first}) and ({_shared(rest)})" for first, rest in below.items()]
    return " or ".join(f"({text})" for text in [*alone, *nested])
