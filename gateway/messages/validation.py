"""Validate messages against their schemas: lxml decides, xmlschema explains a refusal.

Schemas are compiled on first use and kept for the life of the validator, which is one a process.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Final, Protocol, cast

from lxml import etree

from gateway.errors import UnreadableMessage, Violation
from gateway.messages.fin.parsing import is_fin
from gateway.messages.parsing import MAX_BYTES, MAX_DEPTH, EnvelopeReferences, ParsedMessage, Parser

if TYPE_CHECKING:
    from gateway.messages.catalogue import FinSource
    from gateway.messages.explaining import Explainer

MAX_VIOLATIONS: Final = 100
_EXPLAINERS_KEPT = 16  # each takes some ten megabytes and half a second to compile


class SchemaSource(Protocol):
    """What validation needs of a catalogue."""

    def identify(self, namespace: str) -> str | None:
        """Return the definition that an XML namespace stands for, or None."""
        ...

    def xsd(self, definition_id: str) -> bytes:
        """Return the XML Schema of a definition."""
        ...

    def __contains__(self, definition_id: object) -> bool: ...

    @property
    def fin(self) -> FinSource | None:
        """Return where the definitions of FIN messages are, or None where there are none."""
        ...


@dataclass(frozen=True, slots=True)
class Verdict:
    """What was found in some bytes; bytes that are no message have a violation too."""

    message_definition: str | None
    header_definition: str | None
    violations: tuple[Violation, ...] = ()

    @property
    def valid(self) -> bool:
        """Say whether nothing refuses the message; a warning does not."""
        return all(violation.severity != "error" for violation in self.violations)


class Validator:
    """Parse and validate messages of every definition in a catalogue.

    ``max_bytes`` and ``max_depth`` (at most 256) bound what is accepted. Not for use by two threads at once on the same
    parsed message.
    """

    def __init__(self, catalogue: SchemaSource, *, max_bytes: int = MAX_BYTES, max_depth: int = MAX_DEPTH) -> None:
        self._catalogue = catalogue
        self._fin = catalogue.fin
        self._parser = Parser(catalogue.identify, max_bytes=max_bytes, max_depth=max_depth)
        self._schemas: dict[str, etree.XMLSchema] = {}
        self._explainer: Callable[[str], Explainer] = lru_cache(_EXPLAINERS_KEPT)(self._compile_explainer)

    @property
    def catalogue(self) -> SchemaSource:
        """Return the catalogue whose definitions are accepted."""
        return self._catalogue

    def knows(self, definition_id: str) -> bool:
        """Say whether there is a schema for a definition."""
        return definition_id in self._catalogue

    def parse(self, content: bytes) -> ParsedMessage:
        """Parse one message and find its header and document.

        Raises ``UnreadableMessage`` with one violation; codes ``xml_malformed``, ``xml_too_large``, ``xml_too_deep``,
        ``xml_forbidden``, ``envelope_unknown``, ``envelope_ambiguous``, ``definition_unknown``.
        """
        if self._fin is not None and is_fin(content):
            return self._fin.parse(content)
        return self._parser.parse(content)

    def is_valid(self, parsed: ParsedMessage) -> bool:
        """Say whether header and document satisfy their schemas; fast, and all that a valid message costs."""
        for definition, element in parsed.parts:
            schema = self._schemas.get(definition) or self._schema(definition)
            if not schema.validate(element):
                return False
        return not parsed.found or all(violation.severity != "error" for violation in parsed.found)

    def violations(self, parsed: ParsedMessage) -> tuple[Violation, ...]:
        """Return what is wrong with header and document, at most 100 violations; empty when they are valid.

        A refusal is explained by a second validator, which takes milliseconds to a second of processor time: call it
        off the event loop. If that one finds nothing, the message stays refused with code ``validators_disagree``.
        """
        found: list[Violation] = list(parsed.found)
        for definition, element in parsed.parts:
            schema = self._schema(definition)
            if schema.validate(element):
                continue
            log = cast("Iterable[etree._LogEntry]", schema.error_log)
            refusals = [entry.message for entry in log]
            found += self._explainer(definition).explain(element, parsed.line, refusals, MAX_VIOLATIONS - len(found))
            if len(found) >= MAX_VIOLATIONS:
                break
        return tuple(found)

    def check(self, content: bytes) -> Verdict:
        """Parse and validate whatever the bytes are; what cannot be read is a violation too, never an exception."""
        try:
            parsed = self.parse(content)
        except UnreadableMessage as error:
            return Verdict(self.envelope_references(content).message_definition, None, error.violations)
        return Verdict(parsed.message_definition, parsed.header_definition, self.violations(parsed))

    def envelope_references(self, content: bytes) -> EnvelopeReferences:
        """Say what can be had of a message that is to be parked: definition, header identifier, sender, receiver."""
        if self._fin is not None and is_fin(content):
            return self._fin.envelope_references(content)
        return self._parser.envelope_references(content)

    def _schema(self, definition_id: str) -> etree.XMLSchema:
        schema = self._schemas.get(definition_id)
        if schema is None:
            schema = etree.XMLSchema(etree.fromstring(self._catalogue.xsd(definition_id)))
            self._schemas[definition_id] = schema
        return schema

    def _compile_explainer(self, definition_id: str) -> Explainer:
        from gateway.messages.explaining import (
            Explainer,
        )  # xmlschema takes 0.2 s to import: only when something is refused

        return Explainer(self._catalogue.xsd(definition_id))
