"""Network validated rules: what the fields of a message say about each other, as data (``schemas/fin/*.rules``).

A rule is a block of lines, a keyword and what it says; an indented line goes on with the one before::

    rule      E62 resulting_amount        the network's error code, and a name
    messages  MT540 MT541 MT542           message types
    each      AMT                         of each such sequence; without it, of the message
    require   19A RESU if 92B EXCH        several lines: each of them
    forbid    19A RESU if no 92B EXCH
    because   what operators read
    source    where it is public, and how sure it is: sure, likely

A place is a field, ``95a PSET`` (any letter, with a qualifier), ``20`` or ``23G``, or a sequence by letter or block,
below the sequence of ``each``: ``SETDET/SETPRTY/95a PSET``; from the message with a slash before it: ``/GENL/23G``.
``.currency`` behind it is a component, ``.currency[2]`` its first two characters. A condition is one of these, or
several with ``or`` between them::

    PLACE                       it is there                       no PLACE           it is not
    one of PLACE, PLACE         exactly one; any of, all of, none of, at most one of
    PLACE is CODE, CODE         one of these codes, not of a data source scheme     PLACE is not CODE
    PLACE = PLACE               all values at both are the same   PLACE <> PLACE     none is
    once PLACE                  each qualifier there (``95a BUYR SELL``), or code, at most once
    count of PLACE = 1          also <= and >=
    PLACE begins with "/"

``if`` is followed by conditions with ``and`` between them. ``require`` asks it of every field at a place; ``forbid``
and ``if`` hold when any does it. The fields of another message that are copied at the end are the sequence ``COPY``.
What is ``likely`` is warned of.
"""

from __future__ import annotations

import operator
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from gateway.errors import ConfigError, Violation
from gateway.messages.fin.fields import FieldFormat
from gateway.messages.fin.message import Field
from gateway.messages.fin.structure import Sequence, field_path, qualifier_of

_PLACE: Final = re.compile(
    r"(?P<root>/)?(?P<steps>(?:[A-Z]\w*/)*)"
    r"(?:(?P<number>\d\d)(?P<letter>[A-Za-z]?)(?P<qualifiers>(?: [A-Z][A-Z0-9]{3})*)|(?P<sequence>[A-Z]\w*))"
    r"(?:\.(?P<component>\w+)(?:\[(?P<start>\d)\])?)?"
)
_SEVERAL: Final[dict[str, Callable[[int, int], bool]]] = {
    "one of": lambda there, _: there == 1,
    "any of": lambda there, _: there > 0,
    "all of": lambda there, count: there == count,
    "none of": lambda there, _: there == 0,
    "at most one of": lambda there, _: there <= 1,
}
_COMPARED: Final = {"=": operator.eq, "<=": operator.le, ">=": operator.ge}
_KEYWORDS: Final = ("rule", "messages", "each", "require", "forbid", "because", "source")

Formats = Mapping[str, FieldFormat]
Test = Callable[["Message", Sequence], bool]


@dataclass(frozen=True, slots=True)
class Place:
    """Fields or sequences at a place. ``letter`` ``a`` is any; no ``number``: the last step is the sequence itself."""

    text: str
    root: bool
    steps: tuple[str, ...]
    number: str = ""
    letter: str = ""
    qualifiers: frozenset[str] = frozenset()
    component: str = ""
    start: int | None = None

    def is_of(self, found: Field) -> bool:
        """Tell whether a field is one of those meant."""
        tag = found.tag
        return (
            tag[:2] == self.number
            and (self.letter == "a" or tag[2:] == self.letter)
            and (not self.qualifiers or qualifier_of(found) in self.qualifiers)
        )


@dataclass(frozen=True, slots=True)
class Assertion:
    """A ``require`` or ``forbid`` line: what, under which conditions, and the place that a violation names."""

    text: str
    required: bool
    test: Test
    conditions: tuple[Test, ...]
    place: Place


@dataclass(frozen=True, slots=True)
class NetworkRule:
    """One rule. ``places`` are all that it is about, ``reads`` those whose values it compares."""

    error: str
    name: str
    messages: frozenset[str]
    each: str
    assertions: tuple[Assertion, ...]
    because: str
    source: str
    likely: bool
    places: tuple[Place, ...]
    reads: tuple[Place, ...]

    @property
    def code(self) -> str:
        """Return the stable code of its violations: ``fin_E62``."""
        return f"fin_{self.error}"

    def violations(self, message: Message) -> Iterator[Violation]:
        """Yield what a message breaks."""
        for sequence in message.sequences(self.each) if self.each else (message.root,):
            for assertion in self.assertions:
                if not all(condition(message, sequence) for condition in assertion.conditions):
                    continue
                if assertion.test(message, sequence) != assertion.required:
                    yield self._violation(message, sequence, assertion)

    def _violation(self, message: Message, sequence: Sequence, assertion: Assertion) -> Violation:
        found = next(iter(message.fields(sequence, assertion.place)), None) if assertion.place.number else None
        if found is not None:
            path, line, value = field_path(*found), found[1].line, found[1].value[:140]
        else:
            around = message.root if assertion.place.root else sequence
            path, line, value = f"{around.path}/{assertion.place.text.lstrip('/')}", sequence.line, None
        text = f"{path}: {self.because} ({self.error})"
        severity = "warning" if self.likely else "error"
        return Violation(self.code, path, f"{self.error}: {assertion.text}", value, text, line, severity)  # type: ignore[arg-type]  # one of two literals


class Message:
    """A message as rules see it: its tree, and the formats that tell components."""

    def __init__(self, root: Sequence, formats: Formats) -> None:
        self.root = root
        self._formats = formats
        self._named: dict[str, list[Sequence]] = {}
        for sequence in root.walk():
            for name in {sequence.id, sequence.block}:
                self._named.setdefault(name, []).append(sequence)

    def sequences(self, name: str) -> list[Sequence]:
        """Return every sequence of a letter or block."""
        return self._named.get(name, [])

    def at(self, sequence: Sequence, place: Place) -> list[Sequence]:
        """Return the sequences at the steps of a place."""
        here = [self.root] if place.root else [sequence]
        for step in place.steps:
            here = [below for one in here for below in one.sequences if step in (below.id, below.block)]
        return here

    def fields(self, sequence: Sequence, place: Place) -> Iterator[tuple[Sequence, Field]]:
        """Yield the fields at a place, and the sequence of each."""
        for one in self.at(sequence, place):
            for found in one.fields:
                if place.is_of(found):
                    yield one, found

    def count(self, sequence: Sequence, place: Place) -> int:
        """Count what is at a place: fields, components or sequences."""
        if not place.number:
            return len(self.at(sequence, place))
        if place.component:
            return sum(text is not None for text in self.texts(sequence, place))
        return sum(1 for _ in self.fields(sequence, place))

    def texts(self, sequence: Sequence, place: Place) -> Iterator[str | None]:
        """Yield the component of each field at a place; None where it is not there, or is of a data source scheme."""
        for _, found in self.fields(sequence, place):
            format_ = self._formats[found.tag]
            texts = format_.texts(found.value) or {}
            if place.component:
                text = texts.get(place.component)
                yield text[: place.start] if text is not None else None
            else:
                yield None if "data_source_scheme" in texts else texts.get(format_.code)


def judge_rules(rules: Iterable[NetworkRule], root: Sequence, formats: Formats) -> list[Violation]:
    """Return what the tree of a message breaks of some rules."""
    message = Message(root, formats)
    return [violation for rule in rules for violation in rule.violations(message)]


def parse_rules(text: str, file: str) -> list[NetworkRule]:
    """Read a file of rules. Raises ``ConfigError`` (``fin_definition_invalid``) with the line."""
    rules: list[NetworkRule] = []
    block: list[tuple[str, str, int]] = []
    for number, line in enumerate([*text.splitlines(), "rule      end"], 1):
        said = line.strip()
        if not said or said.startswith("#"):
            continue
        if line[0] == " " and block:
            keyword, before, at = block[-1]
            block[-1] = keyword, f"{before} {said}", at
            continue
        keyword, _, rest = said.partition(" ")
        if keyword not in _KEYWORDS:
            raise _mistaken(file, number, f"one of {', '.join(_KEYWORDS)}")
        if keyword == "rule" and block:
            rules.append(_rule(block, file))
            block = []
        block.append((keyword, rest.strip(), number))
    return rules


def _rule(block: list[tuple[str, str, int]], file: str) -> NetworkRule:
    said = {keyword: rest for keyword, rest, _ in block}
    reader = _Reader()
    assertions = []
    for keyword, rest, number in block:
        if keyword in {"require", "forbid"}:
            try:
                assertions.append(reader.assertion(rest, required=keyword == "require"))
            except ValueError as mistake:
                raise _mistaken(file, number, str(mistake)) from None
    error, _, name = said["rule"].partition(" ")
    if missing := [keyword for keyword in ("messages", "because", "source") if keyword not in said]:
        raise _mistaken(file, block[0][2], f"a rule with {', '.join(missing)}")
    source, _, certainty = said["source"].rpartition(", ")
    if certainty not in {"sure", "likely"} or not assertions:
        raise _mistaken(
            file, block[0][2], "a rule with a requirement, and a source that ends with `, sure` or `, likely`"
        )
    return NetworkRule(
        error,
        name.strip(),
        frozenset(said["messages"].split()),
        said.get("each", ""),
        tuple(assertions),
        said["because"],
        source,
        certainty == "likely",
        tuple(reader.places),
        tuple(reader.reads),
    )


def _mistaken(file: str, line: int, right: str) -> ConfigError:
    return ConfigError(f"{file}, line {line}: this should be {right}", code="fin_definition_invalid")


class _Reader:
    """Read the conditions of one rule, and keep the places that they are about."""

    def __init__(self) -> None:
        self.places: list[Place] = []
        self.reads: list[Place] = []
        self._first: Place | None = None

    def assertion(self, text: str, *, required: bool) -> Assertion:
        what, _, conditions = text.partition(" if ")
        self._first = None
        test = self.condition(what, every=required)
        place = self._first
        assert place is not None
        tests = tuple(self.condition(one, every=False) for one in conditions.split(" and ")) if conditions else ()
        return Assertion(f"{'require' if required else 'forbid'} {text}", required, test, tests, place)

    def condition(self, text: str, *, every: bool) -> Test:
        tests = [self.clause(clause.strip(), every=every) for clause in text.split(" or ")]
        return tests[0] if len(tests) == 1 else lambda message, at: any(test(message, at) for test in tests)

    def clause(self, text: str, *, every: bool) -> Test:
        for words, holds in _SEVERAL.items():
            if text.startswith(f"{words} "):
                places = [self.place(one) for one in text.removeprefix(words).split(",")]
                return _several(places, holds)
        if found := re.fullmatch(r"count of (.+) (=|<=|>=) (\d+)", text):
            return _count(self.place(found[1]), _COMPARED[found[2]], int(found[3]))
        if text.startswith("once "):
            place = self.place(text.removeprefix("once "))
            if not place.qualifiers:
                self.reads.append(place)
            return _once(place)
        if found := re.fullmatch(r'(.+) begins with "(.+)"', text):
            start = found[2]
            return _texts(self.place(found[1], reads=True), lambda one: (one or "").startswith(start), every=every)
        if found := re.fullmatch(r"(.+?) is (not )?(.+)", text):
            codes, negated = found[3].replace(",", " ").split(), bool(found[2])
            return _texts(self.place(found[1], reads=True), lambda one: (one in codes) != negated, every=every)
        if found := re.fullmatch(r"(.+) (=|<>) (.+)", text):
            left, right = self.place(found[1], reads=True), self.place(found[3], reads=True)
            return _same(left, right, negated=found[2] == "<>")
        if text.startswith("no "):
            absent = self.place(text.removeprefix("no "))
            return lambda message, at: not message.count(at, absent)
        place = self.place(text)
        return lambda message, at: message.count(at, place) > 0

    def place(self, text: str, *, reads: bool = False) -> Place:
        found = _PLACE.fullmatch(text.strip())
        if found is None:
            raise ValueError(f"a place like SETDET/SETPRTY/95a PSET, not {text.strip()!r}")
        steps = tuple(found["steps"].split("/")[:-1])
        if found["sequence"]:
            place = Place(text.strip(), bool(found["root"]), (*steps, found["sequence"]))
        else:
            qualifiers = frozenset(found["qualifiers"].split())
            place = Place(
                text.strip(),
                bool(found["root"]),
                steps,
                found["number"],
                found["letter"],
                qualifiers,
                found["component"] or "",
                int(found["start"]) if found["start"] else None,
            )
        self.places.append(place)
        if reads:
            self.reads.append(place)
        if self._first is None:
            self._first = place
        return place


def _several(places: list[Place], holds: Callable[[int, int], bool]) -> Test:
    return lambda message, at: holds(sum(message.count(at, place) > 0 for place in places), len(places))


def _count(place: Place, compared: Callable[[int, int], bool], number: int) -> Test:
    return lambda message, at: compared(message.count(at, place), number)


def _once(place: Place) -> Test:
    def holds(message: Message, at: Sequence) -> bool:
        qualifiers = (qualifier_of(found) for _, found in message.fields(at, place))
        counted = Counter(qualifiers if place.qualifiers else message.texts(at, place))
        return all(count == 1 for count in counted.values())

    return holds


def _texts(place: Place, holds: Callable[[str | None], bool], *, every: bool) -> Test:
    quantifier = all if every else any

    def test(message: Message, at: Sequence) -> bool:
        texts = list(message.texts(at, place))
        return bool(texts) and quantifier(holds(text) for text in texts)

    return test


def _same(left: Place, right: Place, *, negated: bool) -> Test:
    def holds(message: Message, at: Sequence) -> bool:
        texts, others = set(message.texts(at, left)), set(message.texts(at, right))
        if not texts or not others:
            return True
        return texts.isdisjoint(others) if negated else len(texts | others) == 1

    return holds
