"""Judge messages: by their schemas, then by the counterparty's usage guideline, then by rules."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

from gateway.errors import ConfigError, InvalidMessage, UnreadableMessage, Violation
from gateway.messages.catalogue import Catalogue
from gateway.messages.parsing import ParsedMessage
from gateway.messages.rules import DIRECTIONS, Direction, Rulebook
from gateway.messages.validation import Validator, Verdict
from gateway.model.profile import Profile


@dataclass(frozen=True, slots=True)
class Standard:
    """What messages are judged by besides schemas and the standard rules: packs, guideline, whose they are."""

    packs: tuple[str, ...] = ()
    guideline: str | None = None
    direction: Direction = "outgoing"


def standard(profile: Profile | None, direction: Direction) -> Standard:
    """Return what the messages of one direction are judged by; without a profile, by the standard rules alone."""
    if profile is None:
        return Standard((), None, direction)
    guidelines = profile.guidelines
    return Standard(profile.rules, guidelines.outgoing if direction == "outgoing" else guidelines.incoming, direction)


class Judge:
    """Parse and judge messages. Compiles what a standard asks for when it is first met."""

    def __init__(self, catalogue: Catalogue, rulebook: Rulebook, validator: Validator) -> None:
        self._catalogue, self._rulebook, self._validator = catalogue, rulebook, validator
        self._guidelines: dict[str, Validator] = {}

    def prepare(self, profile: Profile) -> None:
        """Raise ``ConfigError`` where a profile names a pack or a guideline that is not there."""
        for direction in DIRECTIONS:
            self.require(standard(profile, direction), f"counterparty {profile.bic}: ")

    def require(self, standard: Standard, who: str = "") -> None:
        """Raise ``ConfigError`` where a pack or a guideline is not there."""
        self._rulebook.check_names(standard.packs, who)
        name = standard.guideline
        if name is None or name in self._guidelines:
            return
        guideline = self._catalogue.guideline(name)
        if guideline is None:
            known = ", ".join(self._catalogue.guidelines()) or "none"
            rule = (
                f"a guideline that was imported (there: {known}); import one: gateway schemas import --guideline NAME"
            )
            text = f"{who}guidelines: no guideline {name!r}; expected {rule}"
            raise ConfigError(text, violations=[Violation("configuration_invalid", "guidelines", rule, name, text)])
        self._guidelines[name] = Validator(guideline)

    def accept(self, content: bytes, standard: Standard | None) -> tuple[ParsedMessage, tuple[Violation, ...]]:
        """Return a message that nothing refuses, with what rules warn of; without a standard, no rules are asked.

        Raises ``UnreadableMessage``, or ``InvalidMessage`` with everything that is broken: ``message_invalid`` where it
        is the schema, ``message_breaks_guideline``, ``message_breaks_rules``. An explanation takes its time.
        """
        parsed = self._validator.parse(content)
        if not self._validator.is_valid(parsed):
            raise _refused(parsed, self._validator.violations(parsed), "its schema")
        if standard is None:
            return parsed, parsed.found
        if standard.guideline is not None:
            validator, narrowed = self._narrowed(parsed, standard.guideline)
            if not validator.is_valid(narrowed):
                by = f"the guideline {standard.guideline}"
                raise _refused(parsed, validator.violations(narrowed), by, "message_breaks_guideline")
        found = self._rulebook.judge(parsed, standard.packs, standard.direction, content)
        if found and found[0].severity == "error":
            raise _refused(parsed, found, "rules", "message_breaks_rules")
        return parsed, (*parsed.found, *found)

    def check(self, content: bytes, standard: Standard | None) -> Verdict:
        """Judge whatever the bytes are; what cannot be read is a violation too, never an exception."""
        try:
            parsed, warnings = self.accept(content, standard)
        except UnreadableMessage as error:
            return Verdict(self._validator.envelope_references(content).message_definition, None, error.violations)
        except InvalidMessage as error:
            parsed, warnings = self._validator.parse(content), error.violations
        return Verdict(parsed.message_definition, parsed.header_definition, warnings)

    def _narrowed(self, parsed: ParsedMessage, guideline: str) -> tuple[Validator, ParsedMessage]:
        """Return the parts of a message that a guideline is about."""
        validator = self._guidelines[guideline]
        return validator, replace(parsed, parts=tuple(part for part in parsed.parts if validator.knows(part[0])))


def _refused(
    parsed: ParsedMessage, violations: Iterable[Violation], by: str, code: str | None = None
) -> InvalidMessage:
    found = tuple(violations)
    errors = sum(violation.severity == "error" for violation in found)
    first = f"; first: {found[0].text}" if found else ""
    return InvalidMessage(f"{parsed.named} breaks {by} in {errors} places{first}", code=code, violations=found)
