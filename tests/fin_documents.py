"""FIN messages made from their definitions: valid ones at random, and single mutations that must be refused."""

from __future__ import annotations

import random
import string
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from functools import cache

from gateway.messages.fin.definitions import (
    Definitions,
    FieldDefinition,
    MessageDefinition,
    QualifierRow,
    SequenceDefinition,
)
from gateway.messages.fin.fields import Component, FieldFormat
from gateway.messages.fin.judging import Judge
from gateway.messages.fin.message import Field
from gateway.messages.schema_files import load_fin_definitions

BICS = ("AAAAFRPPXXX", "BBBBDEFF", "CCCCGB2LXXX", "DDDDUS33")
ISINS = ("XS0000001239", "FR00INVENT02", "DE000SAMPL00", "US00EXAMPL05")
LEIS = ("INVENTEDENTITYONE065", "INVENTEDENTITYTWO030")
CURRENCIES = ("EUR", "USD", "GBP", "CHF")


@cache
def definitions() -> Definitions:
    return load_fin_definitions()


@cache
def judge() -> Judge:
    return Judge(definitions())


MESSAGE_TYPES = load_fin_definitions().message_types()


def text_of(fields: list[Field]) -> str:
    """Write block 4 from its first colon, without its end."""
    return "\n".join(f":{one.tag}:{one.value}" for one in fields)


def fields_of(text: str) -> list[Field]:
    """Read block 4 as ``text_of`` writes it, line by line."""
    fields: list[Field] = []
    for number, line in enumerate(text.strip("\n").split("\n"), 1):
        if line.startswith(":"):
            tag, _, value = line[1:].partition(":")
            fields.append(Field(tag, value, number))
        else:
            last = fields[-1]
            fields[-1] = Field(last.tag, f"{last.value}\n{line}", last.line)
    return fields


@dataclass(frozen=True)
class Made:
    """A field that was made: the item it was made for, and the sequence it is in (letters, then a number for each)."""

    field: Field
    item: FieldDefinition | None  # None: 16R and 16S
    sequence: SequenceDefinition
    instance: int


class Maker:
    """Make valid messages: ``fullness`` is how likely what is optional is there, ``repeats`` how often at most."""

    def __init__(self, seed: int, fullness: float = 0.4, repeats: int = 2) -> None:
        self._random = random.Random(seed)
        self._fullness = fullness
        self._repeats = repeats
        self._instances = 0
        self._made: list[Made] = []
        self._message_type = ""

    def message(self, definition: MessageDefinition) -> list[Made]:
        self._made = []
        self._message_type = definition.message_type
        self._sequence(definition.root)
        lines = 1
        numbered: list[Made] = []
        for made in self._made:
            field = Field(made.field.tag, made.field.value, lines)
            numbered.append(Made(field, made.item, made.sequence, made.instance))
            lines += field.value.count("\n") + 1
        return numbered

    def _times(self, minimum: int, maximum: int | None) -> int:
        if minimum == 0 and self._random.random() > self._fullness:
            return 0
        return self._random.randint(1, self._repeats) if maximum is None else 1

    def _sequence(self, definition: SequenceDefinition) -> None:
        self._instances += 1
        instance = self._instances
        if definition.block:
            self._made.append(Made(Field("16R", definition.block), None, definition, instance))
        for item in definition.items:
            if isinstance(item, SequenceDefinition):
                for _ in range(self._times(item.minimum, item.maximum)):
                    self._sequence(item)
            else:
                fields = self._rows(item) if item.rows else self._plain(item)
                self._made += [Made(one, item, definition, instance) for one in fields]
        if definition.block:
            self._made.append(Made(Field("16S", definition.block), None, definition, instance))

    def _plain(self, item: FieldDefinition) -> list[Field]:
        opens = item.number == "15" or item.name == "New Sequence"
        times = 1 if opens else self._times(item.minimum, item.maximum)
        return [self._field(self._random.choice(item.tags), "") for _ in range(times)]

    def _rows(self, item: FieldDefinition) -> list[Field]:
        fields: list[Field] = []
        used: set[str] = set()
        for row in item.rows:
            for _ in range(row.count):
                for _ in range(self._times(row.minimum, row.maximum)):
                    qualifier, letter = self._qualifier(item, row, used)
                    used.add(qualifier)
                    fields.append(self._field(f"{item.number}{letter}", qualifier))
        if item.minimum and not fields:
            qualifier, letter = self._qualifier(item, item.rows[0], used)
            fields.append(self._field(f"{item.number}{letter}", qualifier))
        return fields

    def _qualifier(self, item: FieldDefinition, row: QualifierRow, used: set[str]) -> tuple[str, str]:
        if row.qualifiers:
            qualifier = self._random.choice(sorted(row.qualifiers))
            return qualifier, self._random.choice(sorted(row.qualifiers[qualifier]))
        known = {name for other in item.rows for name in other.qualifiers}
        names = sorted(name for number, name in definitions().names if number == item.number)
        free = [name for name in names if name not in used | known] or sorted({*names} - known)
        return self._random.choice(free), self._random.choice(sorted(row.letters))

    def _field(self, tag: str, qualifier: str) -> Field:
        format_ = definitions().formats[tag]
        texts = {part.name: self._text(part) for part in format_.components}
        if qualifier:
            texts["qualifier"] = qualifier
        if format_.notation == "-":
            return Field(tag, "")
        if "sign" in texts and format_.components[[p.name for p in format_.components].index("sign")].type == "text":
            texts["sign"] = "+"
        for part in format_.components:
            if part.name in {"data_source_scheme", "funds_code"} or self._random.random() > self._fullness:
                self._leave_out(format_, texts, part.name)
        value = format_.write(texts)
        if format_.texts(value) is None:
            value = format_.write({part.name: self._text(part) for part in format_.components} | texts)
        codes = definitions().codes(tag, qualifier, self._message_type)
        if codes and "data_source_scheme" not in texts:
            value = format_.write(texts | {format_.code: self._random.choice(sorted(codes))})
        return Field(tag, value)

    def _leave_out(self, format_: FieldFormat, texts: dict[str, str], name: str) -> None:
        without = {key: text for key, text in texts.items() if key != name}
        try:
            fits = format_.texts(format_.write(without)) == without
        except KeyError:
            fits = False
        if fits and without:
            del texts[name]

    def _text(self, part: Component) -> str:
        choose, digits = self._random.choice, self._random.randint
        match part.type:
            case "qualifier":
                return "".join(self._random.choices(string.ascii_uppercase, k=4))
            case "bic":
                return choose(BICS)
            case "isin":
                return choose(ISINS)
            case "lei":
                return choose(LEIS)
            case "currency":
                return choose(CURRENCIES)
            case "country":
                return choose(("FR", "DE", "GB"))
            case "minus":
                return "N"
            case "date":
                return f"{date(2026, 1, 1) + timedelta(days=digits(0, 700)):%Y%m%d}"
            case "date2":
                return f"{date(2026, 1, 1) + timedelta(days=digits(0, 700)):%y%m%d}"
            case "month_day":
                return f"{date(2026, 1, 1) + timedelta(days=digits(0, 300)):%m%d}"
            case "time":
                return f"{digits(0, 23):02}{digits(0, 59):02}{digits(0, 59):02}"
            case "hour_minute":
                return f"{digits(0, 23):02}{digits(0, 59):02}"
            case "offset":
                return "0100"
            case "amount" | "decimal":
                return f"{digits(1, 10**7)},{choose(('', '5', '25'))}"
        return self._characters(part.notation)

    def _characters(self, notation: str) -> str:
        if "|" in notation:
            return self._random.choice(notation[1:-1].split("|"))
        if notation.endswith(")"):  # lines that begin with their number
            return "1/NAME OF SOMEONE\n2/STREET 1\n3/FR/PARIS"
        times, _, run = notation.rpartition("*")
        exact, number, kind = "!" in run, int(run.rstrip("nacxzhd!")), run[-1]
        alphabet = {
            "n": string.digits,
            "a": string.ascii_uppercase,
            "c": string.ascii_uppercase + string.digits,
        }.get(kind, string.ascii_uppercase + string.digits + " .,")
        lines = self._random.randint(1, int(times)) if times else 1
        made = []
        for _ in range(lines):
            length = number if exact else self._random.randint(1, min(number, 60))
            line = "".join(self._random.choices(alphabet, k=length))
            made.append(line.replace(" ", "X", 1) if line.startswith(" ") else line)
        return "\n".join(made)


def made_messages(message_type: str, seeds: range, fullness: float = 0.4) -> Iterator[list[Made]]:
    """Yield valid messages of a type."""
    for seed in seeds:
        yield Maker(seed, fullness).message(definitions().message(message_type))


@dataclass(frozen=True)
class Mutation:
    """A message with one mistake: how it was made, what must be said of it, and a part of the path that is named."""

    name: str
    fields: list[Field]
    codes: frozenset[str]
    where: str


def mutations(made: list[Made], seed: int) -> Iterator[Mutation]:
    """Yield a message's mutations, each with one mistake at a place chosen at random."""
    chance = random.Random(seed)
    fields = [one.field for one in made]

    def without(number: int) -> list[Field]:
        return [*fields[:number], *fields[number + 1 :]]

    def changed(number: int, tag: str, value: str) -> list[Field]:
        return [*fields[:number], Field(tag, value, fields[number].line), *fields[number + 1 :]]

    def any_of(numbers: list[int]) -> Iterator[int]:
        if numbers:
            yield chance.choice(numbers)

    of_items = [(n, one) for n, one in enumerate(made) if one.item is not None]

    def alone(one: Made) -> bool:
        return sum(other.item is one.item and other.instance == one.instance for other in made) == 1

    formats = definitions().formats
    blocks = {one.sequence.id for one in made if one.sequence.block or not one.sequence.id}
    mandatory = [n for n, one in of_items if one.item and one.item.minimum and alone(one) and one.sequence.id in blocks]
    for number in any_of([n for n in mandatory if made[n].sequence.id or n]):
        item = made[number].item
        assert item is not None
        yield Mutation("mandatory field dropped", without(number), frozenset({"fin_field_missing"}), item.label)
    closed = [
        n
        for n, one in of_items
        if one.item and one.item.rows and all(row.qualifiers and not row.likely for row in one.item.rows)
    ]
    for number in any_of(closed):
        value = f":ZZZZ{fields[number].value[5:]}"
        codes = frozenset({"fin_qualifier_unknown"})
        yield Mutation("unknown qualifier", changed(number, fields[number].tag, value), codes, "ZZZZ")
    for number in any_of([n for n, one in of_items if fields[n].value]):
        codes = frozenset({"fin_format_invalid"})
        yield Mutation(
            "foreign character",
            changed(number, fields[number].tag, f"{fields[number].value}é"),
            codes,
            fields[number].tag,
        )
    with_comma = [
        n for n, one in of_items if {"amount", "decimal"} & {p.type for p in formats[fields[n].tag].components}
    ]
    for number in any_of([n for n in with_comma if fields[n].value.count(",") == 1]):
        value = fields[number].value.replace(",", "")
        yield Mutation(
            "comma missing",
            changed(number, fields[number].tag, value),
            frozenset({"fin_format_invalid"}),
            fields[number].tag,
        )
    short = [n for n, one in of_items if fields[n].value and not formats[fields[n].tag].notation.endswith("00z")]
    for number in any_of(short):
        value = f"{fields[number].value}{'X' * 400}"
        codes = frozenset({"fin_format_invalid"})
        yield Mutation("line too long", changed(number, fields[number].tag, value), codes, fields[number].tag)
    for number in any_of([n for n, one in enumerate(made) if fields[n].tag == "16S"]):
        codes = frozenset({"fin_sequence_end"})
        yield Mutation("16S of another name", changed(number, "16S", "NOBLOCK"), codes, "16S")
        yield Mutation("16S dropped", without(number), frozenset({"fin_sequence_open"}), made[number].sequence.id)
    for number in any_of([n for n, one in enumerate(made) if fields[n].tag == "16R"]):
        codes = frozenset({"fin_sequence_unexpected"})
        yield Mutation("16R of another name", changed(number, "16R", "NOBLOCK"), codes, "NOBLOCK")
        codes = frozenset({"fin_sequence_unopened"})
        yield Mutation("16R dropped", without(number), codes, made[number].sequence.block)
    swapped = [
        n
        for n in range(len(made) - 1)
        if made[n].item
        and made[n + 1].item
        and made[n].instance == made[n + 1].instance
        and made[n].sequence.id in blocks
        and set(made[n].item.tags).isdisjoint(made[n + 1].item.tags)
        and made[n].item.number != made[n + 1].item.number
    ]
    for number in any_of(swapped):
        first, second = fields[number], fields[number + 1]
        codes = frozenset({"fin_field_order"})
        order = [*fields[:number], second, first, *fields[number + 2 :]]
        yield Mutation("two fields swapped", order, codes, first.tag)
    for number in any_of([n for n, one in of_items if one.sequence.block or not one.sequence.id]):
        codes = frozenset({"fin_option_invalid", "fin_field_unexpected"})
        yield Mutation(
            "unknown letter", changed(number, f"{fields[number].tag[:2]}Y", fields[number].value), codes, "Y"
        )
