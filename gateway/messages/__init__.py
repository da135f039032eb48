"""Messages: everything that knows XML. ``Messages`` builds, judges, marks and reads whole messages.

The rest of the gateway sees trade events, facts and exact bytes.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING
from xml.sax.saxutils import escape

from gateway.errors import ConfigError, Violation
from gateway.messages import header
from gateway.messages.building import MessageWriter
from gateway.messages.catalogue import Catalogue, ElementDefinition, MessageDefinition
from gateway.messages.judging import Judge, standard
from gateway.messages.mapping import Table, elements_below
from gateway.messages.mapping import parse_table as parse_mapping
from gateway.messages.reading import Reader
from gateway.messages.reading import parse_table as parse_reading
from gateway.messages.rules import Direction, Rulebook
from gateway.messages.schema_files import load_rulebook, read_tables
from gateway.messages.validation import Validator
from gateway.messages.writing import instant
from gateway.model.events import EVENT_KINDS, TradeEvent
from gateway.model.facts import Reply, Terms
from gateway.model.profile import Profile

if TYPE_CHECKING:
    from gateway.messages.parsing import ParsedMessage

_HEADER = "header"
_NO_TERMS = Terms()
_IDENTIFIER, _MOMENT = "IDENTIFIER", datetime.fromtimestamp(0, UTC)  # stand for the values that differ between messages


@dataclass(frozen=True, slots=True)
class Identity:
    """What the gateway gives a message: its derived identifiers and its creation time (aware).

    ``transaction_id`` is the instruction's; a cancellation carries that of the instruction it cancels.
    """

    transaction_id: str
    business_message_id: str
    created_at: datetime


@dataclass(frozen=True, slots=True)
class BuiltMessage:
    """A valid message: the exact bytes to send, what they are, and the terms that replies are compared with.

    ``warnings`` are the rules that it goes against and that refuse nothing.
    """

    content: bytes
    message_definition: str
    business_message_id: str
    terms: Terms
    warnings: tuple[Violation, ...] = ()


def terms_of(event: TradeEvent) -> Terms:
    """State the terms of an event: what is instructed or confirmed."""
    return event.terms()


class Messages:
    """Build, validate, mark and read messages in the versions that the profiles name.

    Compiles the mapping tables for these versions. Raises ``ConfigError`` where a profile names a version that the
    dictionary lacks or of another message, a pack of rules that is not there, or a guideline that was not imported.
    """

    def __init__(
        self, catalogue: Catalogue, profiles: Iterable[Profile], own_bic: str, rulebook: Rulebook | None = None
    ) -> None:
        self._catalogue, self._own_bic = catalogue, own_bic
        self._validator = Validator(catalogue)
        self._judge = Judge(catalogue, load_rulebook(catalogue) if rulebook is None else rulebook, self._validator)
        readings = [parse_reading(text, name) for name, text in read_tables("reading", ".read").items()]
        self._reader = Reader(self._validator, catalogue, readings)
        mappings = [parse_mapping(text, name) for name, text in read_tables("mapping", ".map").items()]
        self._tables = {table.event: table for table in mappings}
        self._headings: dict[tuple[str, str, str], str] = {}
        self._writers: dict[str, tuple[MessageWriter, str, str]] = {}
        for profile in profiles:
            self._check_keys(profile)
            self._judge.prepare(profile)
            for table in mappings:
                self._writer(table, profile)

    @property
    def own_bic(self) -> str:
        """Return our BIC."""
        return self._own_bic

    @property
    def validator(self) -> Validator:
        """Return the validator, whose compiled schemas are shared."""
        return self._validator

    def definition_for(self, event: TradeEvent, profile: Profile) -> str:
        """Return the message definition that an event becomes for this counterparty."""
        return _version(profile, self._tables[event.kind])

    def build(
        self, event: TradeEvent, profile: Profile, identity: Identity, instructed: Terms | None = None
    ) -> BuiltMessage:
        """Write, parse and validate the message of an event; ``instructed`` are the terms of what it cancels.

        Raises ``BuildError`` with every field that the counterparty's version cannot carry, or ``InvalidMessage`` with
        every violation of its schema, of the counterparty's guideline, or of the rules that refuse a message.
        """
        table = self._tables[event.kind]
        definition = _version(profile, table)
        writer, opening, closing = self._writer(table, profile)
        document = writer.write(event, identity, instructed or _NO_TERMS)
        heading = self._heading(profile, definition) % (
            escape(identity.business_message_id),
            instant(identity.created_at),
        )
        content = header.envelope(heading, f"{opening}{document}{closing}")
        _, warnings = self._accept(content, profile, "outgoing")
        return BuiltMessage(content, definition, identity.business_message_id, event.terms(), warnings)

    def mark_possible_duplicate(self, content: bytes) -> bytes:
        """Return a message of ours with the possible-duplicate mark in its header, validated again.

        The document's bytes and the business message identifier stay as they are.
        """
        parsed = self._validator.parse(content)
        fields = header.fields_of_header(parsed, possible_duplicate=True)
        marked = header.replace_header(content, self._write_header(fields, parsed.header_definition or ""))
        self._judge.accept(marked, None)
        return marked

    def read(self, content: bytes, profile: Profile | None = None) -> Reply:
        """Parse, validate, judge and extract an incoming message; without a profile, by the standard rules.

        Raises ``UnreadableMessage`` or ``InvalidMessage``. What rules only warn of is in the reply.
        """
        parsed, warnings = self._accept(content, profile, "incoming")
        reply = self._reader.say(content, parsed)
        return replace(reply, warnings=warnings) if warnings else reply

    def _accept(
        self, content: bytes, profile: Profile | None, direction: Direction
    ) -> tuple[ParsedMessage, tuple[Violation, ...]]:
        return self._judge.accept(content, standard(profile, direction))

    def _heading(self, profile: Profile, definition: str) -> str:
        """Return the header that all messages of one definition to one counterparty share, as a text template."""
        spoken = _version(profile, self._tables[_HEADER])
        key = profile.bic, spoken, definition
        template = self._headings.get(key)
        if template is None:
            fields = header.HeaderFields(self._own_bic, profile.bic, _IDENTIFIER, definition, _MOMENT)
            text = self._write_header(fields, spoken).replace("%", "%%")
            text = text.replace(f">{_IDENTIFIER}<", ">%s<").replace(f">{instant(_MOMENT)}<", ">%s<")
            template = self._headings[key] = text
        return template

    def _write_header(self, fields: header.HeaderFields, definition: str) -> str:
        writer, opening, closing = self._writers.get(definition) or self._compile(self._tables[_HEADER], definition)
        return f"{opening}{writer.write(fields)}{closing}"

    def _writer(self, table: Table, profile: Profile) -> tuple[MessageWriter, str, str]:
        definition = _version(profile, table)
        return self._writers.get(definition) or self._compile(table, definition, profile)

    def _check_keys(self, profile: Profile) -> None:
        known = sorted(table.version for table in self._tables.values())
        for key in profile.versions:
            if key in known:
                continue
            near = difflib.get_close_matches(key, known, n=1)
            meant = f"did you mean {near[0]}?" if near else f"known keys: {', '.join(known)}"
            text = f"counterparty {profile.bic}: versions.{key}: no such message; {meant}"
            violation = Violation("configuration_invalid", f"versions.{key}", meant, key, text)
            raise ConfigError(text, violations=[violation])

    def _compile(self, table: Table, definition: str, profile: Profile | None = None) -> tuple[MessageWriter, str, str]:
        where = f"counterparty {profile.bic}: versions.{table.version}" if profile else "the message's header"
        if definition not in self._catalogue or not definition.startswith(f"{table.message}."):
            known = ", ".join(name for name in self._catalogue.definitions() if name.startswith(f"{table.message}."))
            rule = f"a version of {table.message}: {known}"
            violation = Violation(
                "definition_unknown", where, rule, definition, f"{where} = {definition!r}; expected {rule}"
            )
            raise ConfigError(violation.text, violations=[violation])
        message = self._catalogue.message(definition)
        if table.event == _HEADER:
            sources: dict[str, type] = {"header": header.HeaderFields}
        else:
            sources = {"event": EVENT_KINDS[table.event].model, "identity": Identity, "instructed": Terms}
        writer = MessageWriter(table, message, sources)
        self._writers[definition] = (writer, *_around(message))
        return self._writers[definition]


def _version(profile: Profile, table: Table) -> str:
    return profile.versions.get(table.version, table.default)


def _around(message: MessageDefinition) -> tuple[str, str]:
    """Write the tags around what a writer writes: the root with its namespace and, in a document, the message."""
    opening, closing = f'<{message.root} xmlns="{message.namespace}">', f"</{message.root}>"
    if message.root == "Document":
        (inner,) = elements_below(message, ElementDefinition(message.root, message.root_type))
        return f"{opening}<{inner.name}>", f"</{inner.name}>{closing}"
    return opening, closing
