"""Make a tree of the fields of block 4, and say all that does not fit the message's definition.

Fields are taken in order, each once: it belongs to the sequence that is open, or to one around it that is known by its
fields only. What has no place is said and left where it stands, so that one mistake hides no other.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from collections.abc import Sequence as Items
from dataclasses import dataclass, field
from typing import Final

from gateway.errors import Violation
from gateway.messages.fin.definitions import (
    BLOCK_END,
    BLOCK_START,
    Definitions,
    FieldDefinition,
    MessageDefinition,
    QualifierRow,
    SequenceDefinition,
)
from gateway.messages.fin.fields import FieldFormat
from gateway.messages.fin.message import Field

ROOT: Final = "/4"  # the path of block 4
_DEEPEST: Final = 16  # sequences in each other; no definition has more than seven
COPY: Final = "COPY"  # the sequence of another message's fields, where they are copied at the end


@dataclass(slots=True)
class Sequence:
    """A sequence of a message: its letter and block, where it is (``/4/E/E1[2]``), its fields and the sequences in it.

    The message itself is one without letter. ``line`` is that of its first field.
    """

    id: str
    block: str
    path: str = ROOT
    line: int = 1
    fields: list[Field] = field(default_factory=list)
    sequences: list[Sequence] = field(default_factory=list)

    def walk(self) -> Iterator[Sequence]:
        """Yield this sequence and all below it."""
        yield self
        for sequence in self.sequences:
            yield from sequence.walk()


def qualifier_of(found: Field) -> str:
    """Return the qualifier of a generic field, empty for others."""
    value = found.value
    return value[1:5] if value[:1] == ":" and value[5:6] == "/" else ""


def read_structure(
    fields: Iterable[Field], message: MessageDefinition, definitions: Definitions
) -> tuple[Sequence, list[Violation]]:
    """Return the tree of a message's fields, and what is wrong: order, presence, letters, qualifiers, formats."""
    reader = _Reader(message, definitions)
    for found in fields:
        reader.take(found)
    return reader.finish()


@dataclass(slots=True)
class _Open:
    """A sequence that is being read: the item it has come to, and how often each was there."""

    definition: SequenceDefinition | None  # None: a block that has no place here
    sequence: Sequence
    position: int = 0
    counts: dict[int, int] = field(default_factory=dict)
    found: dict[int, list[Field]] = field(default_factory=dict)

    def place(self, key: str) -> int | None:
        """Return the item that a tag (or a block, with a colon) belongs to from here on; None where there is none."""
        if self.definition is None:
            return None
        for number in self.definition.entries.get(key, ()):
            if number > self.position or (number == self.position and self._has_room(number)):
                return number
        return None

    def _has_room(self, number: int) -> bool:
        assert self.definition is not None
        maximum = self.definition.items[number].maximum
        return maximum is None or self.counts.get(number, 0) < maximum


class _Reader:
    def __init__(self, message: MessageDefinition, definitions: Definitions) -> None:
        self._message = message
        self._definitions = definitions
        self._violations: list[Violation] = []
        self._stack = [_Open(message.root, Sequence("", "", ROOT))]
        self._copied = False  # the fields of another message have begun
        self._last_line = 1

    def take(self, found: Field) -> None:
        self._last_line = found.line
        if self._copied:
            self._stack[0].sequence.sequences[-1].fields.append(found)
        elif found.tag == BLOCK_START:
            self._open_block(found)
        elif found.tag == BLOCK_END:
            self._close_block(found)
        else:
            self._take_field(found)

    def finish(self) -> tuple[Sequence, list[Violation]]:
        while len(self._stack) > 1:
            self._leave(unclosed=True)
        self._check(self._stack[0])
        return self._stack[0].sequence, sorted(
            self._violations, key=lambda one: (one.severity != "error", one.line or 0)
        )

    # --- blocks

    def _open_block(self, found: Field) -> None:
        key = f":{found.value}"
        for depth in range(len(self._stack) - 1, -1, -1):
            if (number := self._stack[depth].place(key)) is not None:
                while len(self._stack) > depth + 1:
                    self._leave(unclosed=True, line=found.line)
                self._enter(number, found.line)
                return
        top = self._stack[-1]
        known = top.definition.entries.get(key, ()) if top.definition is not None else ()
        if known:
            assert top.definition is not None
            number = known[0]
            label = top.definition.items[number].label
            if number == top.position:
                self._say("fin_sequence_repeated", top, found.value, f"sequence {label} once here", found)
            else:
                before = top.definition.items[top.position].label
                self._say("fin_sequence_order", top, found.value, f"sequence {label} before {before}", found)
            self._enter(number, found.line)
            return
        if top.definition is not None:
            self._say("fin_sequence_unexpected", top, found.value, self._expected(top, blocks=True), found)
        if len(self._stack) >= _DEEPEST:
            return
        sequence = Sequence("", found.value, _below(top.sequence.path, found.value), found.line)
        top.sequence.sequences.append(sequence)
        self._stack.append(_Open(None, sequence))

    def _close_block(self, found: Field) -> None:
        depths = [depth for depth, one in enumerate(self._stack) if depth and one.sequence.block == found.value]
        if depths:
            while len(self._stack) > depths[-1] + 1:
                self._leave(unclosed=True, line=found.line)
            self._leave()
            return
        while len(self._stack) > 1 and not self._stack[-1].sequence.block:
            self._leave()
        top = self._stack[-1]
        if len(self._stack) == 1 or found.value in self._message.root.blocks:
            self._say("fin_sequence_unopened", top, found.value, "a 16R of this name before", found)
            return
        block = top.sequence.block
        self._say("fin_sequence_end", top, BLOCK_END, f"16S:{block}, which ends 16R:{block}", found, suggestion=block)
        self._leave()

    def _enter(self, number: int, line: int) -> None:
        top = self._stack[-1]
        assert top.definition is not None
        definition = top.definition.items[number]
        assert isinstance(definition, SequenceDefinition)
        count = top.counts[number] = top.counts.get(number, 0) + 1
        top.position = max(top.position, number)
        step = definition.id if definition.maximum == 1 else f"{definition.id}[{count}]"
        sequence = Sequence(definition.id, definition.block, _below(top.sequence.path, step), line)
        top.sequence.sequences.append(sequence)
        self._stack.append(_Open(definition, sequence))

    def _leave(self, *, unclosed: bool = False, line: int | None = None) -> None:
        closed = self._stack.pop()
        if unclosed and closed.sequence.block:
            block = closed.sequence.block
            text = f"{closed.sequence.path}: 16R:{block} in line {closed.sequence.line} is not ended by 16S:{block}"
            self._violations.append(
                Violation(
                    "fin_sequence_open", closed.sequence.path, f"16S:{block}", None, text, line or self._last_line
                )
            )
        self._check(closed)

    # --- fields

    def _take_field(self, found: Field) -> None:
        for depth in range(len(self._stack) - 1, -1, -1):
            if (number := self._stack[depth].place(found.tag)) is not None:
                while len(self._stack) > depth + 1:
                    self._leave()
                self._put(number, found)
                return
            if self._stack[depth].sequence.block:
                break
        top = self._stack[-1]
        if top.definition is None:  # said when its block began
            top.sequence.fields.append(found)
            return
        if self._message.open_end and len(self._stack) == 1 and self._is_complete(top):
            self._copied = True
            top.sequence.sequences.append(Sequence(COPY, "", f"{ROOT}/{COPY}", found.line, [found]))
            return
        if not self._misplaced(top, found):
            self._say("fin_field_unexpected", top, found.tag, self._expected(top, blocks=False), found)
        if top is self._stack[-1]:
            top.sequence.fields.append(found)
            self._judge_value(top, found)

    def _is_complete(self, top: _Open) -> bool:
        assert top.definition is not None
        return all(top.counts.get(number) for number, item in enumerate(top.definition.items) if item.minimum)

    def _misplaced(self, top: _Open, found: Field) -> bool:
        """Say where a field of this sequence should have been; False where the sequence does not have it."""
        assert top.definition is not None
        for number in top.definition.inside.get(found.tag, ()):
            if number >= top.position:
                self._enter(number, found.line)
                self._take_field(found)
                return True
        if known := top.definition.entries.get(found.tag):
            number = known[0]
            label = top.definition.items[number].label
            if number == top.position:
                self._say("fin_field_repeated", top, found.tag, f"field {label} once in {top.definition.label}", found)
            else:
                before = top.definition.items[top.position].label
                self._say("fin_field_order", top, found.tag, f"field {label} before {before}", found)
                top.counts[number] = top.counts.get(number, 0) + 1
                top.found.setdefault(number, []).append(found)
            return True
        for number, item in enumerate(top.definition.items):
            if isinstance(item, FieldDefinition) and item.number == found.tag[:2] and number >= top.position:
                options = ", ".join(item.tags)
                self._say("fin_option_invalid", top, found.tag, f"{options} in {top.definition.label}", found)
                top.counts[number] = top.counts.get(number, 0) + 1
                return True
        return False

    def _put(self, number: int, found: Field) -> None:
        top = self._stack[-1]
        assert top.definition is not None
        item = top.definition.items[number]
        if isinstance(item, SequenceDefinition):
            self._enter(number, found.line)
            self._take_field(found)
            return
        top.position = number
        top.counts[number] = top.counts.get(number, 0) + 1
        top.sequence.fields.append(found)
        if item.rows:
            top.found.setdefault(number, []).append(found)
        if found.tag[2:] in item.former:
            right = f"{', '.join(item.tags)} since an older release"
            self._say("fin_option_former", top, found.tag, right, found, warning=True)
        self._judge_value(top, found)

    def _judge_value(self, at: _Open, found: Field) -> None:
        format_ = self._definitions.formats.get(found.tag)
        if format_ is None:  # a tag that no message here has: said where it stands
            return
        path = field_path(at.sequence, found)
        self._violations += format_.violations(found.value, path, found.line)
        allowed = self._definitions.codes(found.tag, qualifier_of(found), self._message.message_type)
        if allowed is not None:
            self._violations += _unknown_code(found, format_, path, allowed)

    # --- what is checked of a sequence when it ends

    def _check(self, closed: _Open) -> None:
        if closed.definition is None:
            return
        for number, item in enumerate(closed.definition.items):
            if item.minimum and not closed.counts.get(number):
                path, line = _below(closed.sequence.path, _name(item)), closed.sequence.line
                label, where = item.label, closed.definition.label
                if isinstance(item, FieldDefinition):
                    rule = f"field {label} ({item.name}) is mandatory in {where}"
                    code = "fin_field_missing"
                else:
                    rule = f"sequence {label} ({item.name}) is mandatory in {where}"
                    code = "fin_sequence_missing"
                self._violations.append(Violation(code, path, rule, None, f"{path}: {rule}", line))
            elif isinstance(item, FieldDefinition) and item.rows and closed.counts.get(number):
                self._violations += _check_rows(item, closed, closed.found.get(number, []), self._definitions.names)

    def _expected(self, top: _Open, *, blocks: bool) -> str:
        assert top.definition is not None
        items = top.definition.items[top.position :]
        labels = [item.label for item in items if isinstance(item, SequenceDefinition) == blocks]
        return f"one of {', '.join(labels)}" if labels else f"no more {'sequences' if blocks else 'fields'} here"

    def _say(
        self,
        code: str,
        at: _Open,
        name: str,
        right: str,
        found: Field,
        suggestion: str | None = None,
        *,
        warning: bool = False,
    ) -> None:
        path = field_path(at.sequence, found) if found.tag == name else _below(at.sequence.path, name)
        text = f"{path}: {found.tag}:{found.value[:40]} should be {right}"
        value = found.value[:140]
        severity = "warning" if warning else "error"
        self._violations.append(Violation(code, path, right, value, text, found.line, severity, suggestion))  # type: ignore[arg-type]  # one of two literals


def _below(path: str, step: str) -> str:
    return f"{path}/{step}"


def _name(item: FieldDefinition | SequenceDefinition) -> str:
    return item.label if isinstance(item, FieldDefinition) else item.id


def field_path(sequence: Sequence, found: Field) -> str:
    """Return where a field is: ``/4/E/E1[2]/95P/PSET``."""
    path = _below(sequence.path, found.tag)
    return f"{path}/{qualifier}" if (qualifier := qualifier_of(found)) else path


def _unknown_code(found: Field, format_: FieldFormat, path: str, allowed: frozenset[str]) -> Iterator[Violation]:
    """Warn of a code that its list does not have, where no data source scheme is given."""
    texts = format_.texts(found.value)
    if not texts or "data_source_scheme" in texts:
        return
    code = texts.get(format_.code, "")
    if code not in allowed:
        rule = f"one of {', '.join(sorted(allowed))}"
        text = f"{path}: {code} is not {rule}"
        yield Violation("fin_code_unknown", path, rule, code, text, found.line, "warning")


def _check_rows(
    item: FieldDefinition, closed: _Open, found: Items[Field], names: Mapping[tuple[str, str], str]
) -> Iterator[Violation]:
    """Yield what the qualifiers of a field in one sequence are against: unknown, missing, too often, a wrong letter."""
    open_rows = [row for row in item.rows if not row.qualifiers]
    of_rows: dict[int, list[Field]] = {}
    for one in found:
        qualifier = qualifier_of(one)
        number = next((n for n, row in enumerate(item.rows) if qualifier in row.qualifiers), None)
        if number is not None:
            of_rows.setdefault(number, []).append(one)
            row = item.rows[number]
            if one.tag[2:] not in row.qualifiers[qualifier]:
                right = " or ".join(f"{item.number}{letter}" for letter in sorted(row.qualifiers[qualifier]))
                yield _wrong("fin_option_invalid", closed, one, f"{right} for {qualifier}", row)
        elif open_rows:
            if (item.number, qualifier) not in names:
                yield _wrong("fin_qualifier_unknown", closed, one, f"a qualifier of {item.label}", None, warning=True)
        else:
            known = sorted({name for row in item.rows for name in row.qualifiers})
            right = f"one of {', '.join(known)}"
            likely = any(row.likely for row in item.rows)
            yield _wrong("fin_qualifier_unknown", closed, one, right, None, warning=likely)
    for number, row in enumerate(item.rows):
        there = of_rows.get(number, [])
        if row.maximum is not None and len(there) > row.maximum and row.qualifiers:
            right = f"{' or '.join(row.qualifiers)} once in {closed.sequence.id}"
            yield _wrong("fin_qualifier_repeated", closed, there[row.maximum], right, row)
        if row.minimum and row.qualifiers and not there:
            path = _below(closed.sequence.path, f"{item.label}/{next(iter(row.qualifiers))}")
            alternatives = ", ".join(row.qualifiers)
            right = f"{item.label} with {'one of ' if len(row.qualifiers) > 1 else ''}{alternatives} is mandatory"
            severity = "warning" if row.likely else "error"
            line = found[0].line if found else closed.sequence.line
            yield Violation("fin_qualifier_missing", path, right, None, f"{path}: {right}", line, severity)  # type: ignore[arg-type]  # one of two literals
    if open_rows and all(row.maximum is not None for row in open_rows):
        seen: set[str] = set()
        for one in found:
            qualifier = qualifier_of(one)
            if qualifier in seen and not any(qualifier in row.qualifiers for row in item.rows):
                yield _wrong("fin_qualifier_repeated", closed, one, f"{qualifier} once in {closed.sequence.id}", None)
            seen.add(qualifier)


def _wrong(
    code: str, closed: _Open, one: Field, right: str, row: QualifierRow | None, *, warning: bool = False
) -> Violation:
    path = field_path(closed.sequence, one)
    text = f"{path}: {one.tag}:{one.value[:40]} should be {right}"
    severity = "warning" if warning or (row is not None and row.likely) else "error"
    return Violation(code, path, right, one.value[:140], text, one.line, severity)  # type: ignore[arg-type]  # one of two literals
