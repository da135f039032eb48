"""Messages: everything that knows XML. ``Messages`` builds, judges, marks and reads whole messages.

The rest of the gateway sees trade events, facts and exact bytes.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import TYPE_CHECKING, Final, NamedTuple

from gateway import lifecycle
from gateway.errors import BuildError, ConfigError, Violation
from gateway.messages import fin, header
from gateway.messages.building import MessageWriter, containing
from gateway.messages.catalogue import Catalogue, ElementDefinition, MessageDefinition
from gateway.messages.data_files import read_tables
from gateway.messages.judging import Judge, standard
from gateway.messages.mapping import Choice, Table, elements_below, parse_tables
from gateway.messages.mapping import parse_table as parse_mapping
from gateway.messages.reading import Reader
from gateway.messages.reading import parse_table as parse_reading
from gateway.messages.rules import Direction, Rulebook
from gateway.messages.schema_files import load_rulebook
from gateway.messages.validation import Validator
from gateway.messages.writing import instant, offset_instant
from gateway.model.events import EVENT_KINDS, TradeEvent
from gateway.model.facts import Reply, Terms
from gateway.model.profile import Profile
from gateway.model.strict import described, given

if TYPE_CHECKING:
    from gateway.messages.parsing import ParsedMessage

_HEADER = "header"
_NO_TERMS = Terms()
_NO_DROPS: frozenset[str] = frozenset()
_PLANS_KEPT: Final = 1_000
_IDENTIFIER, _MOMENT = "IDENTIFIER", "MOMENT"  # stand for the values that differ between messages


_TIMES: Final[Mapping[str, Callable[[datetime], str]]] = {"zulu": instant, "offset": offset_instant}


@dataclass(frozen=True, slots=True)
class Identity:
    """What the gateway gives a message: its derived identifiers and its creation time (aware).

    ``transaction_id`` is the instruction's; a cancellation carries that of the instruction it cancels. ``uetr`` and
    ``end_to_end_id`` are a payment's (``Event.names``). The original ones are of the message that a request is about.
    """

    transaction_id: str
    business_message_id: str
    created_at: datetime
    uetr: str | None = None
    end_to_end_id: str | None = None
    original_message_id: str | None = None
    original_definition: str | None = None
    original_created_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Correspondents:
    """Who sends a message and who receives it."""

    sender_bic: str
    receiver_bic: str


class BuiltMessage(NamedTuple):  # a frozen dataclass takes five times as long to make
    """A valid message: the exact bytes to send, and what they are.

    ``dropped`` are the fields of the event that it leaves out, since the version has no element and the profile agrees.
    ``warnings`` are the rules that it goes against and that refuse nothing.
    """

    content: bytes
    message_definition: str
    business_message_id: str
    dropped: tuple[str, ...] = ()
    warnings: tuple[Violation, ...] = ()


class _Plan(NamedTuple):
    """What the messages by one table to one counterparty share."""

    profile: Profile
    definition: str
    is_fin: bool
    writer: MessageWriter
    opening: str
    closing: str
    correspondents: Correspondents
    heading: str | None  # None: its business service depends on the event


class Messages:
    """Build, validate, mark and read messages in the versions that the profiles name.

    Compiles the mapping tables for these versions. Raises ``ConfigError`` where a profile names a version that the
    dictionary lacks or of another message, a pack of rules that is not there, or a guideline that was not imported.
    """

    def __init__(
        self, catalogue: Catalogue, profiles: Iterable[Profile], own_bic: str, rulebook: Rulebook | None = None
    ) -> None:
        profiles = tuple(profiles)
        self._catalogue, self._own_bic = catalogue, own_bic
        self._validator = Validator(catalogue)
        self._judge = Judge(catalogue, load_rulebook(catalogue) if rulebook is None else rulebook, self._validator)
        readings = {**read_tables("reading", ".read"), **read_tables("fin/reading", ".read")}
        self._reader = Reader(
            self._validator, catalogue, [parse_reading(text, name) for name, text in readings.items()]
        )
        mappings = [parse_mapping(text, name) for name, text in read_tables("mapping", ".map").items()]
        self._tables = {event: table for table in mappings for event in table.events}
        in_fin = read_fin_mappings()
        kinds = sorted({event for table in in_fin for event in table.events})
        self._fin_tables = {kind: Choice([table for table in in_fin if kind in table.events]) for kind in kinds}
        self._correspondents = {profile.bic: Correspondents(own_bic, profile.bic) for profile in profiles}
        self._plans: dict[tuple[str, str, int], _Plan] = {}
        self._headings: dict[tuple[str, str, str, str | None], str] = {}
        # by table, definition and what the profile drops
        self._writers: dict[tuple[str, str, frozenset[str]], tuple[MessageWriter, str, str]] = {}
        for profile in profiles:
            self._check_keys(profile)
            self._check_drops(profile)
            self._judge.prepare(profile)
            for table in mappings if profile.language == "iso20022" else in_fin:
                self._writer(table, profile)

    @property
    def own_bic(self) -> str:
        """Return our BIC."""
        return self._own_bic

    @property
    def validator(self) -> Validator:
        """Return the validator, whose compiled schemas are shared."""
        return self._validator

    def definition_for(self, event: TradeEvent, profile: Profile, original: str | None = None) -> str:
        """Return the message definition that an event becomes for this counterparty.

        ``original`` is that of the message that it is about. Raises ``BuildError`` (``not_in_language``).
        """
        table = self._table(event, profile, original)
        return original if table.copies and original is not None else _version(profile, table)

    def _table(self, event: TradeEvent, profile: Profile, original: str | None) -> Table:
        """Return the table by which an event is written in the language of a counterparty; see ``definition_for``."""
        if profile.language == "iso20022":
            return self._tables[event.kind]
        if (choice := self._fin_tables.get(event.kind)) and (table := choice.table(event, original)):
            return table
        text = f"FIN has no message for {event.kind}; counterparty {profile.bic} speaks FIN"
        rule = f"an event of {', '.join(self._fin_tables)}, or a counterparty that speaks ISO 20022"
        raise BuildError(
            text, code="not_in_language", violations=[Violation("not_in_language", "schema", rule, event.kind, text)]
        )

    def build(
        self,
        event: TradeEvent,
        profile: Profile,
        identity: Identity,
        instructed: Terms | None = None,
        original: bytes | None = None,
    ) -> BuiltMessage:
        """Write, parse and validate the message of an event.

        ``instructed`` are the terms of what it cancels, ``original`` the bytes of the message that instructed them,
        which FIN repeats in a cancellation. Raises ``BuildError`` with every field that the counterparty's version
        cannot carry, or ``InvalidMessage`` with every violation of its schema, of the counterparty's guideline, or of
        the rules that refuse a message.
        """
        table = self._table(event, profile, identity.original_definition)
        key = table.name, table.message, id(profile)
        plan = self._plans.get(key) or self._plan(key, table, profile)
        _, definition, is_fin, writer, opening, closing, correspondents, heading = plan
        in_force = instructed or _NO_TERMS
        asked = event.terms_asked(in_force) or in_force
        if is_fin:
            text, dropped = writer.write(event, identity, in_force, asked, correspondents, fin.Derived)
            if table.copies:
                definition = self.definition_for(event, profile, identity.original_definition)
                text = fin.cancellation(original or b"", identity.business_message_id, identity.created_at)
            message_id = identity.business_message_id
            content = fin.envelope(self._own_bic, profile.bic, definition, message_id, identity.uetr, text)
            _, warnings = self._accept(content, profile, "outgoing")
            return BuiltMessage(content, definition, message_id, dropped, warnings)
        document, dropped = writer.write(event, identity, in_force, asked, correspondents)
        if heading is None:
            service = _business_service(profile, table, event)
            heading = self._heading(profile, definition, service)
        heading %= identity.business_message_id, _TIMES[profile.header_times](identity.created_at)
        content = header.envelope(heading, opening, document, closing)
        _, warnings = self._accept(content, profile, "outgoing")
        return BuiltMessage(content, definition, identity.business_message_id, dropped, warnings)

    def mark_possible_duplicate(self, content: bytes) -> bytes:
        """Return a message of ours with the possible-duplicate mark in its header, validated again.

        The document's bytes and the business message identifier stay as they are.
        """
        if fin.is_fin(content):
            marked = fin.mark_possible_duplicate(content)
            self._judge.accept(marked, None)
            return marked
        parsed = self._validator.parse(content)
        fields = header.fields_of_header(parsed, possible_duplicate=True)
        marked = header.replace_header(content, self._write_header(fields, parsed.header_definition or ""))
        self._judge.accept(marked, None)
        return marked

    def read(self, content: bytes, profile: Profile | None = None) -> Reply:
        """Parse, validate, judge and extract an incoming message; without a profile, by the standard rules.

        Raises ``UnreadableMessage`` or ``InvalidMessage``. What rules only warn of is in the reply.
        """
        if (known := self._reader.quick(content)) is not None:
            return known
        parsed, warnings = self._accept(content, profile, "incoming")
        reply = self._reader.say(content, parsed)
        return replace(reply, warnings=warnings) if warnings else reply

    def _accept(
        self, content: bytes, profile: Profile | None, direction: Direction
    ) -> tuple[ParsedMessage, tuple[Violation, ...]]:
        return self._judge.accept(content, standard(profile, direction))

    def belonging(self, dialogue: str) -> list[str]:
        """List the message families that belong in a dialogue."""
        return sorted(
            family for family, kind, request in self._reader.families() if lifecycle.takes(dialogue, kind, request)
        )

    def _plan(self, key: tuple[str, str, int], table: Table, profile: Profile) -> _Plan:
        """Remember a plan; it holds its profile, so that the identity in the key stays this profile's."""
        definition = _version(profile, table)
        correspondents = self._correspondents.get(profile.bic) or Correspondents(self._own_bic, profile.bic)
        heading = (
            None if profile.business_service or profile.language == "fin" else self._heading(profile, definition, None)
        )
        if len(self._plans) >= _PLANS_KEPT:
            self._plans.clear()
        plan = _Plan(profile, definition, table.is_fin, *self._writer(table, profile), correspondents, heading)
        self._plans[key] = plan
        return plan

    def _heading(self, profile: Profile, definition: str, service: str | None) -> str:
        """Return the header that messages of one definition and service to one counterparty share, as a template."""
        spoken = _version(profile, self._tables[_HEADER])
        key = profile.bic, spoken, definition, service
        template = self._headings.get(key)
        if template is None:
            fields = header.HeaderFields(self._own_bic, profile.bic, _IDENTIFIER, definition, _MOMENT, service)
            text = self._write_header(fields, spoken).replace("%", "%%")
            text = text.replace(f">{_IDENTIFIER}<", ">%s<").replace(f">{_MOMENT}<", ">%s<")
            template = self._headings[key] = text
        return template

    def _write_header(self, fields: header.HeaderFields, definition: str) -> str:
        table = self._tables[_HEADER]
        made = self._writers.get((table.name, definition, _NO_DROPS)) or self._compile(table, definition)
        writer, opening, closing = made
        return f"{opening}{writer.write(fields)[0]}{closing}"

    def _writer(self, table: Table, profile: Profile) -> tuple[MessageWriter, str, str]:
        definition = _version(profile, table)
        key = table.name, definition, _drops(profile, table)
        return self._writers.get(key) or self._compile(table, definition, profile)

    def _check_keys(self, profile: Profile) -> None:
        known = sorted({table.version for table in self._tables.values()})
        for key in profile.versions:
            if key in known:
                continue
            raise _unknown(profile, f"versions.{key}", key, known, "message")
        if unknown := sorted(set(profile.business_service) - (served := self._served())):
            raise _unknown(profile, f"business_service.{unknown[0]}", unknown[0], served, "message")

    def _served(self) -> set[str]:
        """List what a profile may name a business service for."""
        messages = {table.message for table in self._tables.values()} - {"head.001"}
        given = {
            f"{table.message} with {field}"
            for event, table in self._tables.items()
            if event != _HEADER
            for field in described(EVENT_KINDS[event].model)
        }
        return given | messages | {message[:4] for message in messages}

    def _check_drops(self, profile: Profile) -> None:
        """Refuse a drop list of no message, or that names no field of its event."""
        for key, paths in profile.drops.items():
            tables = [table for table in self._tables.values() if key in (*table.events, table.message)]
            if not tables or key == _HEADER:
                keys = {name for table in self._tables.values() for name in (*table.events, table.message)} - {_HEADER}
                raise _unknown(profile, f"drops.{key}", key, keys, "kind of event, nor message")
            rows = [row for table in tables for row in table.leaves() if row.conversion != "internal"]
            fields = {name for row in rows for name in containing(row.field)}
            for path in paths:
                if path not in fields:
                    raise _unknown(profile, f"drops.{key}", path, fields, "field")

    def _compile(self, table: Table, definition: str, profile: Profile | None = None) -> tuple[MessageWriter, str, str]:
        where = f"counterparty {profile.bic}: versions.{table.version}" if profile else "the message's header"
        if definition not in self._catalogue or not table.offers(definition):
            known = ", ".join(name for name in self._catalogue.definitions() if table.offers(name))
            rule = f"a version of {table.message}: {known}"
            violation = Violation(
                "definition_unknown", where, rule, definition, f"{where} = {definition!r}; expected {rule}"
            )
            raise ConfigError(violation.text, violations=[violation])
        message = self._catalogue.message(definition)
        drops = _NO_DROPS if profile is None else _drops(profile, table)
        made = (MessageWriter(table, message, sources_of(table), drops), *around(message))
        self._writers[table.name, definition, drops] = made
        return made


def sources_of(table: Table, model: type | None = None) -> dict[str, type]:
    """Name what the rows of a table can speak of, and its types: the event first, then what the gateway adds.

    ``model`` is for a table whose first event is no kind of event of upstream's.
    """
    if table.events == (_HEADER,):
        return {"header": header.HeaderFields}
    sources = {
        "event": model or EVENT_KINDS[table.events[0]].model,
        "identity": Identity,
        "instructed": Terms,
        "asked": Terms,
        "correspondents": Correspondents,
    }
    return {**sources, "fin": fin.Derived} if table.is_fin else sources


def read_fin_mappings() -> list[Table]:
    """Read the mapping tables of FIN, one for each message type and kind of event."""
    return [table for name, text in read_tables("fin/mapping", ".map").items() for table in parse_tables(text, name)]


def _version(profile: Profile, table: Table) -> str:
    if table.is_fin:
        return table.message
    return profile.versions.get(table.version, table.default)


def _business_service(profile: Profile, table: Table, event: TradeEvent) -> str | None:
    services = profile.business_service
    if not services:
        return None
    with_field = (f"{table.message} with {field}" for field in sorted(given(event)))
    return next((services[key] for key in (*with_field, table.message, table.message[:4]) if key in services), None)


def _drops(profile: Profile, table: Table) -> frozenset[str]:
    """Return the fields of an event that a profile is willing to drop."""
    if not profile.drops:
        return _NO_DROPS
    return frozenset(path for key in (*table.events, table.message) for path in profile.drops.get(key, ()))


def _unknown(profile: Profile, key: str, value: str, known: Iterable[str], what: str) -> ConfigError:
    near = difflib.get_close_matches(value, known, n=1)
    meant = f"did you mean {near[0]}?" if near else f"known are: {', '.join(sorted(known))}"
    shown = "" if key.endswith(f".{value}") else f" {value!r}"
    text = f"counterparty {profile.bic}: {key}:{shown} no such {what}; {meant}"
    return ConfigError(text, violations=[Violation("configuration_invalid", key, meant, value, text)])


def around(message: MessageDefinition) -> tuple[str, str]:
    """Write the tags around what a writer writes: the root with its namespace and, in a document, the message."""
    opening, closing = f'<{message.root} xmlns="{message.namespace}">', f"</{message.root}>"
    if message.root == "Document":
        (inner,) = elements_below(message, ElementDefinition(message.root, message.root_type))
        return f"{opening}<{inner.name}>", f"</{inner.name}>{closing}"
    return opening, closing
