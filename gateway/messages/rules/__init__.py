"""Rules beyond the schema: packs of rule files, compiled for each version of a message, and what they find.

``language`` is what a rule file may say, ``rule_files`` reads it, ``compiling`` makes XPath of it, ``checks`` are what
XPath cannot state, ``applying`` asks messages. The standard pack applies to every message; a counterparty's profile
names the others.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import date
from typing import TYPE_CHECKING, Final

from gateway.calendar import Calendar, Calendars
from gateway.errors import ConfigError, Violation
from gateway.messages.catalogue import Catalogue
from gateway.messages.rules.alike import Alike
from gateway.messages.rules.applying import VersionRules
from gateway.messages.rules.checks import CHECKS, Check
from gateway.messages.rules.compiling import CompiledRule, compile_rule, inside, paths_of
from gateway.messages.rules.language import (
    DIRECTIONS,
    PLACES,
    Checked,
    Clause,
    Direction,
    MessageRule,
    Pack,
    Path,
    Words,
)
from gateway.messages.rules.paths import Place, Version
from gateway.messages.rules.rule_files import mistaken, parse_pack

if TYPE_CHECKING:
    from lxml import etree

    from gateway.messages.parsing import ParsedMessage

__all__ = ["DIRECTIONS", "STANDARD", "Direction", "MessageRule", "Pack", "Rulebook", "VersionRules", "parse_codes"]

STANDARD: Final = "standard"
_BUSINESS_DAY = "business day"
_DATE_LENGTH = 10


def parse_codes(text: str, file: str) -> tuple[str, frozenset[str]]:
    """Read a file of codes: ``set NAME``, ``source WORDS``, then a code and its name a line; returns name and codes."""
    name, codes = "", set()
    for number, line in enumerate(text.splitlines(), 1):
        word, _, rest = line.strip().partition(" ")
        if not word or word.startswith("#") or word == "source":
            continue
        if word == "set":
            name = rest.strip()
        elif name and rest:
            codes.add(word)
        else:
            raise mistaken(iter([(file, number, "a code and its name, after the line `set NAME`")]))
    return name, frozenset(codes)


class Rulebook:
    """Packs of rules by name, compiled for a version of a message when it first comes.

    ``own`` are the packs that are checked whole: a path that no version has, or a code that none allows, is a mistake.
    The gateway's own files are checked by its tests. Raises ``ConfigError`` (``rule_file_invalid``) with every mistake.
    """

    def __init__(
        self,
        catalogue: Catalogue,
        packs: Mapping[str, str],
        own: Mapping[str, str],
        codes: Mapping[str, str],
        calendars: Calendars,
    ) -> None:
        self._catalogue = catalogue
        self._versions: dict[str, Version] = {}
        self._compiled: dict[tuple[str, Direction, tuple[str, ...]], VersionRules | None] = {}
        self._alike: dict[tuple[tuple[str, ...], Direction], Alike] = {}
        self._checks = {**CHECKS, **_business_days(calendars)}
        for file, text in codes.items():
            name, allowed = parse_codes(text, file)
            self._checks[f"external code {name}"] = Check(lambda value, _, allowed=allowed: value in allowed)  # type: ignore[misc]  # the stubs of lambdas know no defaults
        self.packs: dict[str, Pack] = {}
        read: list[Pack] = []
        mistakes: list[Violation] = []
        for file, text in {**packs, **own}.items():
            try:
                pack = parse_pack(text, file)
            except ConfigError as error:
                mistakes += error.violations
                continue
            read.append(pack)
            mistakes += self._mistakes(pack, read, whole=file in own)
            self.packs.setdefault(pack.name, pack)
        if mistakes:
            raise mistaken((violation.path, violation.line or 1, violation.rule) for violation in mistakes)

    def check_names(self, names: Sequence[str], who: str = "") -> None:
        """Raise ``ConfigError`` for the name of a pack that is not there; ``who`` names it."""
        for name in names:
            if name in self.packs:
                continue
            near = difflib.get_close_matches(name, self.packs, n=1)
            rule = f"did you mean {near[0]}?" if near else f"packs are {', '.join(sorted(self.packs))}"
            text = f"{who}rules: no pack {name!r}; {rule}"
            raise ConfigError(text, violations=[Violation("configuration_invalid", "rules", rule, name, text)])

    def rules(self, names: Sequence[str] | None = None) -> Iterator[MessageRule]:
        """Yield the rules of some packs, the standard one first; of all packs without names."""
        for name in dict.fromkeys([STANDARD, *(self.packs if names is None else names)]):
            if name in self.packs:
                yield from self.packs[name].rules

    def judge(
        self, parsed: ParsedMessage, names: tuple[str, ...], direction: Direction, content: bytes = b""
    ) -> tuple[Violation, ...]:
        """Return what a valid message breaks: errors first, then warnings; empty for nearly every message.

        ``content``, the bytes that were parsed, spares a message that is like a good one from being asked at length.
        """
        alike = self._alike.get((names, direction)) if content else None
        if alike is not None and alike.is_good(content):
            return ()
        asked = self._asked(parsed, names, direction)
        broken = [(rules, element) for rules, element in asked if rules.broken(element)]
        if not broken:
            if content and asked:
                self._remember(alike or self._alike.setdefault((names, direction), Alike()), content, asked)
            return ()
        found = [violation for rules, element in broken for violation in rules.violations(element, parsed.line)]
        return tuple(sorted(found, key=lambda violation: violation.severity != "error"))

    def _asked(
        self, parsed: ParsedMessage, names: tuple[str, ...], direction: Direction
    ) -> list[tuple[VersionRules, etree._Element]]:
        """List the rules that are asked of a message, each with the element that they begin at."""
        asked = []
        for definition, part in parsed.parts:
            try:
                rules = self._compiled[definition, direction, names]
            except KeyError:
                rules = self.compiled(definition, names, direction)
            if rules is not None:
                asked.append((rules, _element(definition, part, parsed)))
        return asked

    def _remember(self, alike: Alike, content: bytes, asked: Sequence[tuple[VersionRules, etree._Element]]) -> None:
        """Remember a message that broke nothing, by what the rules look at in it."""
        outside = [one for rules, _ in asked for one in rules.outside]
        root = asked[0][1].getroottree().getroot()
        alike.found_good(
            content, root, outside, lambda: dict(look for rules, part in asked for look in rules.looks(part).items())
        )

    def is_about(self, rule: MessageRule, parsed: ParsedMessage, names: tuple[str, ...], direction: Direction) -> bool:
        """Tell whether a rule says something of a message: it has what the rule is about, and the condition holds."""
        for definition, part in parsed.parts:
            rules = self.compiled(definition, names, direction)
            if rules is not None and rules.applies(rule.code, _element(definition, part, parsed)):
                return True
        return False

    def compiled(self, definition: str, names: tuple[str, ...], direction: Direction) -> VersionRules | None:
        """Return the rules of some packs for a message definition, or None where there are none."""
        key = definition, direction, names
        if key not in self._compiled:
            rules = [rule for rule in self.rules(names) if rule.applies_to(definition)]
            rules = [rule for rule in rules if rule.severity[direction] != "no"]
            version = self.version(definition) if rules else None
            self._compiled[key] = None if version is None else VersionRules(rules, version, direction, self._checks)
        return self._compiled[key]

    def version(self, definition: str) -> Version:
        """Return a message definition as rules see it."""
        if definition not in self._versions:
            self._versions[definition] = Version(self._catalogue.message(definition))
        return self._versions[definition]

    def in_versions(self, rule: MessageRule) -> dict[str, CompiledRule]:
        """Return a rule in every version that it is about; one that is about any message, in none of them."""
        if "any" in rule.messages:
            return {}
        return {name: compile_rule(rule, self.version(name)) for name in self._about(rule)}

    def _about(self, rule: MessageRule) -> list[str]:
        return [name for name in self._catalogue.definitions() if rule.applies_to(name)]

    def mistakes(self, pack: Pack) -> Iterator[Violation]:
        """Yield what is wrong with a pack that only the schemas tell: paths and codes that no version has."""
        for rule in pack.rules:
            for what in self._mistakes_of(rule):
                yield Violation("rule_file_invalid", rule.file, what, None, what, rule.line)

    def _mistakes(self, pack: Pack, before: Sequence[Pack], *, whole: bool) -> Iterator[Violation]:
        others = {rule.code: rule for other in before if other is not pack for rule in other.rules}
        for other in before:
            if other is not pack and other.name == pack.name:
                what = f"pack {pack.name} is there already: {other.rules[0].file}"
                yield Violation("rule_file_invalid", pack.rules[0].file, what, None, what, 1)
        for rule in pack.rules:
            if rule.code in others:
                there = others[rule.code]
                what = f"rule {rule.code} is there already: {there.file}, line {there.line}"
                yield Violation("rule_file_invalid", rule.file, what, None, what, rule.line)
        if whole:
            yield from self.mistakes(pack)

    def _mistakes_of(self, rule: MessageRule) -> Iterator[str]:
        for checked in _checks_of(rule):
            if checked.check not in self._checks and checked.check != "external code":
                known = ", ".join([*CHECKS, "external code", f"{_BUSINESS_DAY} of NAME"])
                yield f"rule {rule.code}: there is no check '{checked.check}'; they are {known}"
            elif checked.check == _BUSINESS_DAY:
                try:
                    self._checks[_BUSINESS_DAY].holds("2026-03-02", checked.word)
                except ConfigError as error:
                    yield f"rule {rule.code}: {error.text}"
        if "any" in rule.messages:
            return
        unknown: set[str] = set()
        wrong: set[str] = set()
        for number, name in enumerate(reversed(versions := self._about(rule))):
            compiled = compile_rule(rule, self.version(name))
            codes = {*_unknown_codes(rule, self.version(name)), *_unknown_alternatives(rule, self.version(name))}
            unknown, wrong = (
                (set(compiled.lacks), codes) if number == 0 else (unknown & set(compiled.lacks), wrong & codes)
            )
            if not unknown and not wrong:
                return
        if not versions:
            yield f"rule {rule.code}: there is no message {', '.join(rule.messages)}"
        said_of = {f"no version of {', '.join(rule.messages)} has {path}" for path in unknown}
        wrong |= said_of
        yield from (f"rule {rule.code}: {said}" for said in sorted(wrong))


def _element(definition: str, part: etree._Element, parsed: ParsedMessage) -> etree._Element:
    """Return the element that paths begin below: the message in a document, and a header itself."""
    return part[0] if definition == parsed.message_definition and len(part) == 1 else part


def _checks_of(rule: MessageRule) -> Iterator[Checked]:
    for assertion in rule.assertions:
        yield from (clause for clause in assertion.condition.clauses if isinstance(clause, Checked))


def _clauses(rule: MessageRule) -> Iterator[Clause]:
    for condition in (*rule.when, *(assertion.condition for assertion in rule.assertions)):
        yield from condition.clauses


def _start(rule: MessageRule, version: Version) -> Place | None:
    """Return what a rule's paths begin at in a version; None where that is nowhere, or any element of a kind."""
    if rule.each is None:
        return version.top
    places = version.find(rule.each, version.top) if isinstance(rule.each, Path) else []
    return inside(places) if places else None


def _unknown_alternatives(rule: MessageRule, version: Version) -> Iterator[str]:
    """Yield the alternatives of paths that a version lacks, whose other alternatives may hide that."""
    start = _start(rule, version)
    of_each = [(rule.each, version.top)] if isinstance(rule.each, Path) else []
    of_clauses = [(path, start) for clause in _clauses(rule) for path in paths_of(clause)] if start is not None else []
    for path, place in [*of_each, *of_clauses]:
        for alternative in path.alternatives:
            if place is not None and not version.find(Path((alternative,)), place):
                yield f"no version of {', '.join(rule.messages)} has {alternative}"


def _unknown_codes(rule: MessageRule, version: Version) -> Iterator[str]:
    """Yield what a rule says of codes that the elements of a version cannot have."""
    start = _start(rule, version)
    if start is not None:
        for clause in _clauses(rule):
            if isinstance(clause, Words):
                sets = [codes for place in version.find(clause.path, start) if (codes := version.codes(place))]
                for word in clause.words:
                    if sets and not any(word in codes for codes in sets):
                        yield f"{clause.path} is never {word}; codes are {', '.join(sorted(set().union(*sets)))}"


def _business_days(calendars: Calendars) -> dict[str, Check]:
    def holds(text: str, calendar: Calendar) -> bool:
        return calendar.is_business_day(date.fromisoformat(text.strip()[:_DATE_LENGTH]))

    def of(whose: str) -> Check:
        return Check(lambda text, key: not key or holds(text, calendars.of(**{whose: key})))

    named = Check(lambda text, name: holds(text, calendars.named(name)))
    return {_BUSINESS_DAY: named, **{f"{_BUSINESS_DAY} of the {whose}": of(whose) for whose in PLACES}}


def vacuous_in(compiled: Iterable[tuple[str, CompiledRule]]) -> dict[str, str]:
    """Return the versions in which a rule says nothing, and the path that each lacks."""
    return {name: ", ".join(one.lacks) for name, one in compiled if not one.assertions}
