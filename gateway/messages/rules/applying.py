"""Apply the rules of some packs to messages of one version: whether anything is broken, at little cost, and then what.

Everything that XPath can state is one expression, true when some rule is broken. Checks of a kind of element are done
in one walk. Only a message that breaks something is asked rule by rule.
"""

from __future__ import annotations

import operator
import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Final, Literal, cast

from lxml import etree

from gateway.errors import Violation
from gateway.messages.catalogue import ElementDefinition
from gateway.messages.parsing import element_path
from gateway.messages.rules.alike import Holds
from gateway.messages.rules.checks import Check
from gateway.messages.rules.compiling import (
    Compiled,
    combined,
    compile_rule,
    day,
    inside,
    paths_of,
    start_of,
)
from gateway.messages.rules.language import (
    CHARACTERS,
    Assertion,
    Checked,
    Clause,
    Comparison,
    Condition,
    Direction,
    InCharacters,
    MessageRule,
    Path,
    Present,
    Several,
    Sum,
    Value,
)
from gateway.messages.rules.paths import PREFIX, Place, Version

if TYPE_CHECKING:
    from lxml.etree import _Element

LineOf = Callable[["_Element"], "int | None"]
_VALUE_LIMIT: Final = 140
_Found = tuple[Compiled, "_Element", str, "str | None"]  # rule, where, what is missing there, suggestion
_GOOD: Final = 4_096  # values that were found good and are remembered: parties and securities come again and again
_WAYS: Final = 12  # places of an element that are asked one by one; of more, all elements of its tag are
_FIXED: Final[frozenset[object]] = frozenset({"isin", "lei", "bic", "country", "currency"})  # of different lengths
_COMPARE: Final[dict[str, Callable[[float, float], bool]]] = {
    "=": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
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
        self, rules: Iterable[MessageRule], version: Version, direction: Direction, checks: Mapping[str, Check]
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
        days = [one for one in self._stated if self._add_days(one)]
        self._days = self._xpath(f"boolean({combined(days, version)})") if days else None
        looks = [
            f"boolean({combined([one for one in self._stated if one not in days], version) or 'false()'})",
            *self._inputs,
        ]
        looks += [f"boolean({one.select.path})" for one in self._selected]
        self._look = self._xpath("concat({},'')".format(",'\n',".join(looks)))
        self._known: dict[str, tuple[_Selected, ...]] = {}
        self._tags = tuple(self._walk)
        self._good: set[object] = set()

    def _add_days(self, compiled: Compiled) -> bool:
        """Have the days looked at that a rule compares, where it does nothing else: many trades have the same."""
        match compiled:
            case Compiled(
                rule=MessageRule(each=None), assertion=Assertion(condition=Condition((Comparison(dates=True) as days,)))
            ):
                values = list(days.values())
                places = [
                    place for one in values if one.path for place in self._version.find(one.path, self._version.top)
                ]
                if compiled.conditions or len(places) != len(values) or any(place.repeats for place in places):
                    return False
                self._inputs.update(dict.fromkeys(day(place.xpath) for place in places))
                return True
        return False

    def _xpath(self, text: str) -> etree.XPath:
        found = self._expressions.get(text)
        if found is None:
            found = self._expressions[text] = etree.XPath(
                text, namespaces=self._namespaces, regexp=False, smart_strings=False
            )
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
        looked_at = [*places, *(self._version.find(checked.argument, inside(places)) if checked.argument else ())]
        steady = all(self._version.is_plain(place) for place in looked_at) and not any(one.repeats for one in places)
        if compiled.context or where or not steady or not _is_whole(checked.argument):
            self._selected.append(selected)
            return
        self._steady.append(selected)
        self._inputs[day(select) if checked.check.startswith("business day") else f"string({select})"] = None
        if checked.argument is not None:
            whole = "|".join(place.xpath for place in self._version.find(checked.argument, self._version.top))
            self._inputs[f"string({whole})"] = None

    def _start(self, compiled: Compiled) -> Place:
        return start_of(compiled.rule, self._version)

    def _add_to_walk(
        self, compiled: Compiled, kind: str, elements: Sequence[ElementDefinition], attribute: str, argument: str
    ) -> None:
        assert compiled.checked is not None
        check = self._checks[compiled.checked.check]
        for element in elements:
            named = list(self._version.named(element.name))
            others = [one for one in named if not self._version.is_kind(kind, one.type)]
            shared = any(one.compiled.rule.each != kind for one in self._walk.get(self._tag(element), ()))
            # Mostly of another kind, or of two that are both checked: asked where it is one of this kind.
            if len(others) > len(named) / 2 or (shared and not attribute and not argument):
                self._select(compiled, [element], check)
                continue
            here = frozenset(tag for one in named if one not in others for tag in self._version.parents(one))
            apart = frozenset(tag for one in others for tag in self._version.parents(one)) - here
            walked = _Walked(
                check,
                compiled,
                attribute,
                argument or compiled.checked.word,
                not others,
                frozenset(f"{{{self._version.message.namespace}}}{tag}" for tag in apart),
            )
            items = self._walk[self._tag(element)]
            if walked not in items:
                items.append(walked)

    def _tag(self, element: ElementDefinition) -> str:
        return f"{{{self._version.message.namespace}}}{element.name}"

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
            once = once and all(self._version.is_plain(Place("", (element,))) for element in elements)
            (self._steady if once else self._selected).append(_Selected(compiled, self._xpath("|".join(ways)), check))
            self._inputs.update(dict.fromkeys(f"string({way})" for way in ways) if once else {})

    @property
    def outside(self) -> list[Callable[[str], object]]:
        """Return what finds a character in the whole text of a message that the rules do not allow in any text."""
        return [outside for outside, _ in self._texts]

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
            key = text, found.get(_CURRENCY), found.tag
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

    def looks(self, element: _Element) -> dict[_Element, list[Holds] | None]:
        """Say whose text the rules look at in a message, and what it must hold where that is all that they ask of it.

        Rules about the characters of every text are not among them: see ``outside``.
        """
        found: dict[_Element, list[Holds] | None] = {}
        of_text = [compiled for _, compiled in self._texts]
        for compiled in (one for rule in self.rules for one in rule.assertions if one not in of_text):
            start = self._start(compiled)
            clauses = [clause for one in compiled.rule.when for clause in one.clauses]
            clauses += compiled.assertion.condition.clauses
            for context in _elements(self._xpath(compiled.context or "self::*")(element)):
                if isinstance(compiled.rule.each, str) and not self._is_kind(compiled, context):
                    continue
                for clause in clauses:
                    for where, holds in self._looks_of(clause, context, start):
                        must = found.setdefault(where, [])
                        if holds is None or must is None or not holds(where.text or ""):
                            found[where] = None
                        else:
                            must.append(holds)
        return found

    def _looks_of(self, clause: Clause, context: _Element, start: Place) -> Iterator[tuple[_Element, Holds | None]]:
        """Yield what one clause looks at from one element."""
        if isinstance(clause, Present | Several):
            return
        for path in paths_of(clause):
            places = self._version.find(path, start)
            for where in (one for place in places for one in _elements(self._xpath(place.xpath)(context))):
                match clause:
                    case Checked(check=check, argument=Path() as argument):
                        said = "|".join(place.xpath for place in self._version.find(argument, inside(places)))
                        others = _elements(self._xpath(said)(where)) if said else []
                        yield from ((other, None) for other in others)
                        word = str(self._xpath(f"string({said})")(where)) if said else ""
                        yield where, None if others else partial(_holds_of, self._checks[check], word)
                    case Comparison(Sum(Value(Path(), ""), ()), sign, Sum(Value(None, "", number, "number"), ())):
                        compare = _COMPARE[sign]
                        outcome = compare(float(where.text or "nan"), float(number))  # as XPath does
                        yield where, partial(_compares, compare, float(number), outcome)
                    case _:
                        yield where, None

    def _look_closely(self, element: _Element, said: str) -> tuple[_Selected, ...] | None:
        """Check what was seen for the first time; returns what is there to be looked at each time, None when broken."""
        if said.startswith("true") or (self._days is not None and self._days(element)):
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
        """Check what is not known to be good. What is good because of where it is, is remembered with that."""
        parent = element.getparent()
        around = None if parent is None else parent.tag
        if (key, around) in self._good:
            return True
        everywhere = known = True
        for walked in self._walk[element.tag]:
            text, argument = walked.texts(element)
            if text is None or walked.check.holds(text, argument):
                continue
            if walked.sure:
                return False
            everywhere = False
            if around not in walked.others:
                known = False
                if self._is_kind(walked.compiled, element):
                    return False
        if everywhere:
            kinds = {walked.compiled.rule.each for walked in self._walk[element.tag]}
            self._remember(element.text if kinds <= _FIXED else key)
        elif known:
            self._remember((key, around))
        return True

    def _holds(self, selected: _Selected, element: _Element) -> bool:
        check = selected.check or self._checks.get(f"external code {self._version.type_of(element)}")
        if check is None or check.holds(element.text or "", selected.argument_of(element)):
            return True
        itself = selected.compiled.checked is not None and str(selected.compiled.checked.path) == "itself"
        of_kind = isinstance(selected.compiled.rule.each, str) and itself
        return of_kind and not self._is_kind(selected.compiled, element)  # its tag is that of another kind too

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


def _holds_of(check: Check, argument: str, text: str) -> bool:
    return check.holds(text, argument)


def _compares(compare: Callable[[float, float], bool], number: float, outcome: bool, text: str) -> bool:
    return compare(float(text), number) == outcome


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
