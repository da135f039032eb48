"""Translate messages between FIN and ISO 20022, or between versions, and say of every value what became of it.

Nothing here knows a pair of messages: a message of ours is read into its event by one mapping table and written by
another (``by_event``); a message to us is read into facts by one reading table and written from them by another
(``by_fact``). What neither table has a row for is lost, and the report names it with its path and value. What a value
is truncated to, or that it cannot be carried, is never left unsaid.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any, Final

from gateway.errors import BuildError, InvalidMessage, Violation
from gateway.messages import Correspondents, fin, read_fin_mappings
from gateway.messages import around as tags_around
from gateway.messages.building import MessageWriter
from gateway.messages.catalogue import Catalogue, MessageDefinition
from gateway.messages.data_files import read_tables
from gateway.messages.judging import Judge, standard
from gateway.messages.mapping import Table, parse_tables
from gateway.messages.parsing import ParsedMessage
from gateway.messages.reading import FIN_HEADER, HEADER, Reader, ReadingTable
from gateway.messages.reading import parse_table as parse_reading
from gateway.messages.rules import Rulebook
from gateway.messages.schema_files import load_rulebook
from gateway.messages.translation import by_event, by_fact, payments, statements, trades
from gateway.messages.translation import heading as headings
from gateway.messages.translation.additions import parse_additions
from gateway.messages.translation.answers import read_answer_tables, sources
from gateway.messages.translation.cancelling import FUNCTIONS, cancelled
from gateway.messages.translation.leaves import Leaf, leaves_of, lost
from gateway.messages.translation.placing import written
from gateway.messages.translation.report import KINDS, Entry, Kind, Report, Untranslatable
from gateway.messages.translation.stating import EVENT, Claims, Stated, Statement, state
from gateway.messages.validation import Validator

__all__ = ["KINDS", "Entry", "Kind", "Report", "Translation", "Translator", "Untranslatable"]

_CANCEL: Final = "CANC"
_CODED_WORDS: Final = ("72", "code")
_GIVEN_BACK: Final = ("RETN", "REJT")
_OWN_REFERENCE: Final = ("20C_SEME", "20")
_PREPARED: Final = ("98C_PREP", "moment")
_CREATED: Final = "AppHdr/CreDt"
_TRANSACTION: Final = ("TxId", "RltdRef")  # by which a cancellation names what it is about
_HEADER: Final = "header"
_FIN: Final = "MT"
_FLAG: Final = "no element is for what the flag of the message type says"
_ORIGINAL: Final = "original"
_SIDES: Final = ("sender", "receiver")
_NEVER: Final = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Translation:
    """A translated message: its bytes, what it was, what it is, the coverage, and the rules that it only bends."""

    content: bytes
    source: str
    definition: str
    report: Report
    warnings: tuple[Violation, ...] = ()


@dataclass(frozen=True, slots=True)
class _Source:
    """A message to translate: what it is, its values, and what its header says."""

    parsed: ParsedMessage
    content: bytes
    definition: str
    leaves: list[Leaf]
    heading: list[Leaf]
    said: dict[str, tuple[Any, Leaf]]

    @property
    def is_fin(self) -> bool:
        return self.definition.startswith(_FIN)

    def stated(self, field: str, value: Any) -> Stated:
        """Return a value of the new heading, and the element of the header if that says the same."""
        said, leaf = self.said.get(field, (None, None))
        return Stated(value, leaf) if said == value and leaf is not None else Stated(value, None, told=False)

    def in_header(self, heading: headings.Heading, definition: str, report: Report) -> list[Leaf]:
        """Return the elements of FIN's text that say what the header of the other language does; reports them."""
        if not self.is_fin or definition.startswith(_FIN):
            return []
        instants = f"{heading.created_at.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"
        found = []
        for leaf in self.leaves:
            place = ""
            if leaf.tags[-2:-1] and leaf.tags[-2] in _OWN_REFERENCE and leaf.text == heading.business_message_id:
                place = "BizMsgIdr"
            elif leaf.tags[-2:] == _PREPARED and leaf.text == instants:
                place = "CreDt"
            if place and leaf.numbers[-2] == 0:
                found.append(leaf)
                report.carried.append(Entry(leaf.shown, f"AppHdr/{place}", leaf.value))
        return found

    @property
    def function(self) -> str | None:
        """Return the function of a message of FIN: what it asks to be done with what it says."""
        return next((text for path in FUNCTIONS if (text := self.text(path)) is not None), None)

    def text(self, tags: tuple[str, ...]) -> str | None:
        """Return the text of the first element at a path."""
        return next((leaf.text for leaf in self.leaves if leaf.tags == tags), None)


@dataclass(frozen=True, slots=True)
class _Asked:
    """What the user wants: the target (None: whatever it is in the other language) and what helps to make it."""

    to: str | None
    now: datetime
    truncate: bool
    original: bytes | None
    parties: dict[str, str]

    def between(self, source: _Source) -> tuple[str, str]:
        """Return the BICs of sender and receiver; empty where neither the user nor the message names one."""
        sender, receiver = (self.parties[side] or source.said.get(f"reply.{side}_bic", ("",))[0] for side in _SIDES)
        return sender, receiver

    def wants(self, message: str, source: _Source, offers: Callable[[str], bool]) -> bool:
        """Tell whether a message family, or type, is wanted; ``offers`` says which versions there are of it."""
        if self.to is None:
            return message.startswith(_FIN) != source.is_fin
        if message == _FIN:
            return self.to.startswith(_FIN)
        return self.to == message or (self.to == _FIN and message.startswith(_FIN)) or offers(self.to)

    def definition(self, message: str, default: str) -> str:
        """Return the version that is wanted."""
        return default if message.startswith(_FIN) or self.to in (None, message) else str(self.to)


@dataclass(frozen=True, slots=True)
class _Draft:
    """A message without what stands around it, and its coverage."""

    definition: str
    text: str
    report: Report
    heading: headings.Heading
    carried: list[Leaf]
    wanting: Sequence[Violation] = ()  # what the target has to state, and the source does not say


class Translator:
    """Translate by the tables of the gateway. Raises ``ConfigError`` where a table is wrong."""

    def __init__(self, catalogue: Catalogue, rulebook: Rulebook | None = None) -> None:
        self._catalogue = catalogue
        validator = Validator(catalogue)
        self._judge = Judge(catalogue, load_rulebook(catalogue) if rulebook is None else rulebook, validator)
        readings = {**read_tables("reading", ".read"), **read_tables("fin/reading", ".read")}
        tables = [parse_reading(text, name) for name, text in readings.items()]
        self._reader = Reader(validator, catalogue, tables)
        self._readings = [table for table in tables if table.family not in (FIN_HEADER, HEADER)]
        ((name, text),) = read_tables("translation", ".add").items()
        self._additions = parse_additions(text, name)
        self._headers = {table.family: table for table in tables if table.family in (FIN_HEADER, HEADER)}
        mappings = [
            table for name, text in read_tables("mapping", ".map").items() for table in parse_tables(text, name)
        ]
        self._header = next(table for table in mappings if table.events == (_HEADER,))
        self._tables = [
            table for table in (*mappings, *read_fin_mappings(), *read_answer_tables()) if table is not self._header
        ]
        # What is made of a table and a version, once; the tables stay, so that they are known by their identity.
        self._known: dict[tuple[int, str], Claims] = {}
        self._writers: dict[tuple[int, str], MessageWriter] = {}

    def translate(
        self,
        content: bytes,
        to: str | None = None,
        *,
        now: datetime,
        truncate: bool = False,
        original: bytes | None = None,
        sender: str | None = None,
        receiver: str | None = None,
    ) -> Translation:
        """Translate one message to a message definition, or to what it is in the other language.

        ``original`` is the instruction that a cancellation is about, ``now`` the time for a header that the source has
        none for; ``sender`` and ``receiver`` are BICs for one that does not name them. With ``truncate``, texts that
        are too long are cut, and reported.

        Raises ``UnreadableMessage`` or ``InvalidMessage`` for a source that is not valid, ``BuildError``
        (``translation_unknown``, ``translation_needs_original``, ``translation_needs_parties``), or ``InvalidMessage``
        where the target wants what the source does not say.
        """
        source = self._open(content)
        parties = {"sender": sender or "", "receiver": receiver or ""}
        asked = _Asked(to, now, truncate, original, parties)
        drafts = [*self._by_event(source, asked), *self._by_fact(source, asked)]
        if not drafts:
            raise self._unknown(source, to)
        drafts.sort(key=lambda draft: len(draft.report.not_carried) + len(draft.report.truncated))
        first: Untranslatable | None = None
        for draft in drafts:  # the one that loses least, of those that can be said at all
            try:
                return self._finish(draft, source)
            except Untranslatable as error:
                first = first or error
        assert first is not None
        raise first

    def _open(self, content: bytes) -> _Source:
        parsed, _ = self._judge.accept(content, None)
        definition = parsed.message_definition
        if definition is None or parsed.document is None:
            raise BuildError("a header without a document cannot be translated", code="translation_unknown")
        family = FIN_HEADER if parsed.header_definition == FIN_HEADER else HEADER
        around = "header" if family == FIN_HEADER else "AppHdr"
        heading = [] if parsed.header is None else leaves_of(parsed.header, around)
        said = headings.read(heading, self._headers[family])
        return _Source(parsed, content, definition, leaves_of(parsed.document[0]), heading, said)

    def _finish(self, draft: _Draft, source: _Source) -> Translation:
        """Put the heading around a draft, and judge it."""
        tags = ("", "") if draft.definition.startswith(_FIN) else tags_around(self._catalogue.message(draft.definition))
        spoken = source.parsed.header_definition
        if spoken is None or spoken == FIN_HEADER:
            spoken = self._header.default
        content = headings.around(
            draft.heading,
            draft.definition,
            draft.text,
            tags,
            self._catalogue.message(spoken),
            self._writer(self._header, self._catalogue.message(spoken)),
        )
        headings.tell(source.said, source.heading, draft.heading, draft.definition, draft.report, draft.carried)
        wants = f"{source.definition} does not say all that {draft.definition} wants"
        if draft.wanting:
            raise Untranslatable(f"{wants}: {draft.wanting[0].text}", draft.wanting, draft.report)
        try:
            _, warnings = self._judge.accept(content, standard(None, "outgoing"))
        except InvalidMessage as error:
            if error.code == "message_breaks_rules":  # so did the source, if in another language
                return Translation(content, source.definition, draft.definition, draft.report, error.violations)
            raise Untranslatable(f"{wants}: {error.text}", error.violations, draft.report) from error
        return Translation(content, source.definition, draft.definition, draft.report, warnings)

    def _unknown(self, source: _Source, to: str | None) -> BuildError:
        """Say what a message can become."""
        anything = _Asked(None, _NEVER, truncate=False, original=None, parties={})
        others = sorted(
            {
                *(table.message for _, table, _ in self._pairs(source, anything)),
                *(family for family, _ in self._readers(source, anything)),
            }
        )
        rule = f"one of {', '.join(others)}" if others else "a message that there are tables for in both languages"
        text = f"there are no tables to translate {source.definition} to {to or 'the other language'}; expected {rule}"
        violation = Violation("translation_unknown", "/", rule, to, text)
        return BuildError(text, code="translation_unknown", violations=[violation])

    # --- by events ------------------------------------------------------------------------------------------------

    def _pairs(self, source: _Source, asked: _Asked) -> Iterator[tuple[Table, Table, bool]]:
        """Yield the pairs of tables of one kind of event, and whether the message cancels what its table is about."""
        tables = [table for table in self._tables if _is_of(table, source.definition)]
        cancels = source.is_fin and source.function == _CANCEL
        if source.text(_CODED_WORDS) in _GIVEN_BACK:
            return  # no payment, but one that comes back
        for table in (table for table in tables if not table.copies):
            said = table.events if _says(table, source.function) else ()
            for kind in (self._cancelling(table) if cancels else ()) or said:
                for target in self._tables:
                    message = _FIN if target.copies else target.message  # of what type, the original says
                    if kind in target.events and asked.wants(message, source, _offers(target)):
                        yield table, target, cancels

    def _cancelling(self, table: Table) -> list[str]:
        """Return the kinds of event that are said by repeating a message of a table with another function."""
        alike = {each.message for each in self._tables if each.events == table.events}
        return [kind for each in self._tables if each.copies and each.message in alike for kind in each.events]

    def _by_event(self, source: _Source, asked: _Asked) -> Iterator[_Draft]:
        """Yield what becomes of a message by each pair of mapping tables."""
        message = self._catalogue.message(source.definition)
        for table, target, cancels in self._pairs(source, asked):
            said = state(self._claims(table, message), source.leaves)
            original = next((word for name, word in table.case if name == _ORIGINAL), None)
            if original not in (None, said.value("identity", "original_definition") or original):
                continue
            if any(word and name != _ORIGINAL and said.value(EVENT, name) != word for name, word in table.case):
                continue  # it says another thing than the messages of this table
            if source.definition not in (table.message, _plain(source.definition)) and table.is_fin:
                said.left.append(Entry("header/message_type", None, source.definition, _FLAG))
            parts = by_event.imply(said) if table.is_fin else {}
            if table.is_fin and not target.is_fin:
                sender, receiver = asked.between(source)
                payments.take_apart(said, table.events[0], sender, receiver)
                statements.take_apart(said, table.events[0])
                trades.take_apart(said, sender, receiver)
            elif target.is_fin and not table.is_fin:
                payments.put_together(said, table.events[0])
                statements.put_together(said, table.events[0])
                trades.put_together(said, table.events[0], *asked.between(source))
            if cancels:
                said = cancelled(said, source.leaves, sources(target)[EVENT])
                parts = {}
            if target.copies:
                draft = self._copy(target, source, asked)
            elif not all(self._is_case(said, name, word) for name, word in target.case):
                continue
            else:
                draft = self._write(said, parts, target, source, asked)
            yield draft

    def _claims(self, table: Table, message: MessageDefinition) -> Claims:
        key = id(table), message.identifier
        if key not in self._known:
            self._known[key] = Claims(table, message, sources(table))
        return self._known[key]

    def _writer(self, table: Table, message: MessageDefinition) -> MessageWriter:
        key = id(table), message.identifier
        if key not in self._writers:
            self._writers[key] = MessageWriter(table, message, sources(table))
        return self._writers[key]

    def _is_case(self, said: Statement, name: str, word: str) -> bool:
        """Tell whether a statement is of a case of a table: a field with a word, that is given, or that is not."""
        if name == _ORIGINAL:
            return self._is_about(said, word)
        if word:
            return bool(said.value(EVENT, name) == word)
        field = name.removeprefix("no ")
        return (field in said.fields[EVENT]) == (field == name)

    def _is_about(self, said: Statement, message: str) -> bool:
        """Tell whether a request is about what this message of FIN says; it is then named by that."""
        named = said.fields["identity"].get("original_definition")
        if not isinstance(named, Stated):
            return False
        kinds = {kind for table in self._tables if _is_of(table, named.value) for kind in table.events}
        alike = {table.message for table in self._tables if table.is_fin and kinds & set(table.events)}
        if message not in alike | {named.value}:
            return False
        if named.value != message and named.leaf is not None:
            said.why[id(named.leaf)] = f"what {named.value} is in FIN"
        said.fields["identity"]["original_definition"] = replace(named, value=message)
        if message.startswith(_FIN) and "original_created_at" not in said.fields["identity"]:
            del said.fields["identity"]["original_definition"]
            said.why[id(named.leaf)] = "FIN names the original with the day on which it was sent"
        return True

    def _write(self, said: Statement, parts: by_event.Parts, target: Table, source: _Source, asked: _Asked) -> _Draft:
        known = target.default in self._catalogue
        default = target.default if known else self._newest(target.message)
        definition = asked.definition(target.message, default)
        reference = said.value("identity", "transaction_id")
        heading = headings.heading_of(source.said, definition, reference, asked.now, asked.parties)
        if heading.uetr is None:
            heading = replace(heading, uetr=said.value("identity", "uetr"))
        given: dict[str, Any] = {
            "identity": {
                "transaction_id": source.stated("reply.business_message_id", heading.business_message_id),
                "business_message_id": source.stated("reply.business_message_id", heading.business_message_id),
                "created_at": source.stated("reply.created_at", heading.created_at),
                "uetr": source.stated("references.uetr", heading.uetr),
            },
            "correspondents": Correspondents(heading.sender, heading.receiver),
        }
        report = Report()
        message = self._catalogue.message(definition)
        writer = self._writer(target, message)
        result = by_event.write(said, target, message, writer, given, report, parts, truncate=asked.truncate)
        result.carried += source.in_header(heading, definition, report)
        result.carried += headings.in_header(said, heading, definition, report, result.carried)
        for leaf in lost(source.leaves, result.carried):
            why = result.why.get(id(leaf)) or said.why.get(id(leaf))
            lines = [entry for entry in said.left if entry.source == leaf.shown]  # nothing of it is carried
            report.not_carried = [entry for entry in report.not_carried if entry not in lines]
            why = why or next((entry.why for entry in lines), None)
            report.not_carried.append(Entry(leaf.shown, None, leaf.value, why))
        return _Draft(definition, written(result.placed), report, heading, result.carried, result.wanting)

    # --- by facts -------------------------------------------------------------------------------------------------

    def _readers(self, source: _Source, asked: _Asked) -> Iterator[tuple[str, ReadingTable]]:
        """Yield the families, and the tables, of what a message that is read may become."""
        family, table = self._reading(source)
        if table is None or table.fact is None:
            return
        others = self._additions.becomes.get(family, ())
        same = family.startswith(_FIN) or asked.to is None or not asked.to.startswith(f"{family}.")
        for target in self._readings:
            for name in target.family.split():
                if name not in others and same:
                    continue
                if target.fact == table.fact and asked.wants(name, source, _versions(name)):
                    yield name, target

    def _reading(self, source: _Source) -> tuple[str, ReadingTable | None]:
        """Return the family of a message, and the table that reads it: the one that is most particular."""
        document = source.parsed.document
        assert document is not None
        family = source.definition
        while family:
            of_family = [table for table in self._readings if family in table.family.split()]
            if of_family:
                fit = [table for table in of_family if table.is_for(document[0])]
                return family, max(fit, key=lambda table: len(table.cases), default=None)
            family = family.rpartition(".")[0]
        return "", None

    def _by_fact(self, source: _Source, asked: _Asked) -> Iterator[_Draft]:
        """Yield what becomes of a message by each reading table that can say its facts."""
        targets = list(self._readers(source, asked))
        own, table = self._reading(source)
        if not targets or table is None:
            return
        reply = self._reader.extract(source.parsed)
        kinds = sorted({type(fact).__name__ for _, fact in reply.facts})
        if len(kinds) > 1:
            text = f"{source.definition} says {' and '.join(kinds)} at once, as no message of the other language does"
            raise BuildError(text, code="translation_unknown")
        for family, target in targets:
            if not by_fact.says(target, family, reply):
                continue
            definition = asked.definition(family, self._newest(family))
            heading = headings.heading_of(source.said, definition, None, asked.now, asked.parties)
            message = self._catalogue.message(definition)
            additions = self._additions.needs.get(family, ())
            writer = by_fact.FactWriter(target, message, additions, truncate=asked.truncate)
            report = Report()
            identity = {
                "business_message_id": source.stated("reply.business_message_id", heading.business_message_id),
                "created_at": source.stated("reply.created_at", heading.created_at),
                "sender_bic": source.stated("reply.sender_bic", heading.sender),
                "receiver_bic": source.stated("reply.receiver_bic", heading.receiver),
            }
            result = writer.write(reply, identity, report)
            carried = by_fact.tell(source.leaves, table, self._additions.needs.get(own, ()), reply, result, report)
            carried += source.in_header(heading, definition, report)
            for leaf in lost(source.leaves, carried):
                why = by_fact.reason(leaf, table, reply, result)
                report.not_carried.append(Entry(leaf.shown, None, leaf.value, why))
            yield _Draft(definition, written(result.placed), report, heading, carried)

    def _newest(self, family: str) -> str:
        if family.startswith(_FIN):
            return family
        return max(name for name in self._catalogue.definitions() if name.startswith(f"{family}.001."))

    def _copy(self, target: Table, source: _Source, asked: _Asked) -> _Draft:
        """Write a cancellation that repeats the original."""
        if asked.original is None:
            text = f"{target.message} repeats the instruction that it cancels; give that too"
            raise BuildError(text, code="translation_needs_original")
        content = asked.original
        of_original: list[Entry] = []
        if not fin.is_fin(content):
            translated = self.translate(content, _FIN, now=asked.now, truncate=asked.truncate)
            content = translated.content
            of_original = [replace(entry, why="of the original") for entry in translated.report.not_carried]
        original = self._open(content)
        heading = headings.heading_of(source.said, original.definition, None, asked.now, asked.parties)
        text = fin.cancellation(content, heading.business_message_id, heading.created_at)
        report = Report(not_carried=of_original)
        carried = self._told_again(source, headings.in_fin(heading, original.definition, text), asked, report)
        return _Draft(original.definition, text, report, heading, carried)

    def _told_again(self, source: _Source, content: bytes, asked: _Asked, report: Report) -> list[Leaf]:
        """Report what a cancellation says of its source, by reading it back; what else it says is the original's.

        Raises ``BuildError`` (``translation_needs_original``) where it cancels another instruction.
        """
        again = self.translate(content, source.definition, now=asked.now)
        said = {leaf.shown: leaf.value for leaf in self._open(again.content).leaves}
        places = {entry.target: entry.source for entry in again.report.carried}
        carried = []
        for leaf in source.leaves:
            if said.get(leaf.shown) == leaf.value:
                target = places.get(leaf.shown) or again.source
                report.carried.append(Entry(leaf.shown, target, leaf.value))
                carried.append(leaf)
            elif leaf.shown in said:
                why = f"the original says {said[leaf.shown]}"
                if leaf.tags[-1] in _TRANSACTION:
                    text = f"the original is another instruction: {said[leaf.shown]}, where {leaf.value} is cancelled"
                    raise BuildError(text, code="translation_needs_original")
                report.not_carried.append(Entry(leaf.shown, None, leaf.value, why))
            else:
                report.not_carried.append(Entry(leaf.shown, None, leaf.value))
        prepared = next((entry for entry in again.report.carried if entry.target == _CREATED), None)
        for leaf in (leaf for leaf in source.heading if leaf.shown == _CREATED and prepared is not None):
            report.carried.append(Entry(leaf.shown, "/".join(_PREPARED), leaf.value))
            carried.append(leaf)
        told = {entry.target for entry in report.carried}
        for entry in (*again.report.carried, *again.report.not_carried):
            if entry.source is not None and entry.source not in told and not entry.source.startswith("header/"):
                report.derived.append(Entry(None, entry.source, entry.value, "the original, cancelled"))
        return carried


def _is_of(table: Table, definition: str) -> bool:
    return table.message in (definition, _plain(definition)) if table.is_fin else table.offers(definition)


def _says(table: Table, function: str | None) -> bool:
    """Tell whether the messages of a table may have this function; most tables leave it to the event."""
    paths = [("/".join(path),) for path in FUNCTIONS]
    of_function = [row for row in table.rows if row.elements in paths]
    always = {word for row in of_function for word in row.codes.values()}
    always |= {row.conversion.removeprefix("always ") for row in of_function if row.conversion.startswith("always ")}
    return function is None or not always or function in always


def _plain(definition: str) -> str:
    """Return a message type of FIN without the flags that say what a payment is fit for."""
    return definition.removesuffix("STP").removesuffix("REMIT")


def _offers(table: Table) -> Callable[[str], bool]:
    return (lambda definition: False) if table.is_fin else table.offers


def _versions(family: str) -> Callable[[str], bool]:
    return lambda definition: definition.startswith(f"{family}.")
