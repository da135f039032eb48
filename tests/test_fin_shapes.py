"""Messages of known shapes are recognised when they are valid, and only then."""

from __future__ import annotations

import random
import re
from collections.abc import Iterator
from functools import cache

import pytest

from gateway.errors import InvalidMessage, UnreadableMessage
from gateway.messages import Messages
from gateway.messages.fin.judging import Judge
from gateway.messages.fin.message import Field
from gateway.messages.fin.shapes import _ALIKE, _OUTLINES, _PATIENCE, Shapes, shape_of
from gateway.messages.fin.structure import qualifier_of
from gateway.messages.schema_files import load_catalogue
from tests.fin_documents import (
    MESSAGE_TYPES,
    Made,
    definitions,
    fields_of,
    judge,
    made_messages,
    mutations,
    text_of,
)
from tests.test_fin_rules import golden

LEARNED = [name for name in MESSAGE_TYPES if not definitions().message(name).open_end]


def learned(text: str, message_type: str) -> Judge:
    own = Judge(definitions())
    for _ in range(_PATIENCE):
        assert own.recognise(text, message_type) is None
        own.learn(text, fields_of(text), message_type)
    return own


def golden_text(message_type: str, kind: str) -> str:
    return golden(f"{message_type}.{kind}").rstrip("\n")


@pytest.mark.parametrize("message_type", LEARNED)
@pytest.mark.parametrize("kind", ["minimal", "typical", "complete"])
def test_a_golden_message_is_valid_and_learned(message_type: str, kind: str) -> None:
    text = golden_text(message_type, kind)
    assert [one.text for one in judge().judge(fields_of(text), message_type)] == []
    found = learned(text, message_type).recognise(text, message_type)
    assert found is not None
    fields = fields_of(text)
    for part, said in zip(found.shape.parts, found.texts, strict=True):
        texts = definitions().formats[fields[part.field].tag].texts(fields[part.field].value)
        assert texts is not None
        assert texts[part.component] == said


def test_other_values_of_the_same_shape_are_recognised_and_read() -> None:
    text = golden_text("MT541", "typical")
    other = text.replace("TRADE5410001", "OTHER/1").replace("1007520,55", "1,").replace("20260304", "20280229")
    found = learned(text, "MT541").recognise(other, "MT541")
    assert found is not None
    assert {"OTHER/1", "1,", "20280229"} <= set(found.texts)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("20260304", "20260230"),
        ("EUR1007520,55", "EUR1007520,555"),
        ("EUR1007520,55", "XXQ1007520,55"),
        ("PSETLULLXXX", "PSETZZLLXXX"),
        ("XS0000001239", "XS0000001230"),
        ("TRADE5410001", "/TRADE"),
        (":22F::SETR//TRAD", ":22F::SETR//NONE"),
        (":23G:NEWM", ":23G:CANC"),  # a rule asks for a reference then
        (":16S:LINK", ":16S:LINX"),
        ("SECOND LINE", "SECOND_LINE"),
    ],
)
def test_a_value_that_cannot_be_is_not_recognised(old: str, new: str) -> None:
    text = golden_text("MT541", "typical")
    assert old in text
    wrong = text.replace(old, new)
    assert learned(text, "MT541").recognise(wrong, "MT541") is None
    assert judge().judge(fields_of(wrong), "MT541") != []


def test_a_currency_that_a_rule_compares_is_part_of_the_shape() -> None:
    text = golden_text("MT950", "typical")
    own = learned(text, "MT950")
    assert own.recognise(text.replace(":64:D260304EUR", ":64:D260304USD"), "MT950") is None


def test_what_rules_ask_to_be_there_is_no_part_of_the_shape() -> None:
    text = golden_text("MT103", "typical")
    assert learned(text, "MT103").recognise(text.replace("NL91ABNA0417164300", "OTHER"), "MT103") is not None


@pytest.mark.parametrize("message_type", LEARNED)
def test_a_message_with_a_mistake_is_never_recognised(message_type: str) -> None:
    """Whatever shape was learned from a valid message, its mutations are judged at length."""
    rules = judge().rules(message_type)
    shapes = []
    every: list[list[Made]] = list(made_messages(message_type, range(8)))
    for made in every:
        fields = [one.field for one in made]
        if judge().judge(fields, message_type):
            continue  # against a rule
        shape = shape_of(fields, message_type, rules, definitions())
        assert shape.read(text_of(fields)) is not None
        shapes.append(shape)
    for seed, made in enumerate(every):
        for mutation in mutations(made, seed):
            text = text_of(mutation.fields)
            assert all(shape.read(text) is None for shape in shapes), mutation.name


@pytest.mark.parametrize("message_type", ["MT541", "MT103", "MT300", "MT548", "MT940"])
def test_what_is_recognised_has_no_violation(message_type: str) -> None:
    """Characters changed at random: a shape and the judgement at length agree, in this direction always."""
    text = golden_text(message_type, "typical")
    own = learned(text, message_type)
    chance = random.Random(7)
    recognised = 0
    for _ in range(1500):
        place = chance.randrange(len(text))
        other = text[:place] + chance.choice("A1N/,:-\n ._") + text[place + chance.randint(0, 1) :]
        if own.recognise(other, message_type) is not None:
            recognised += 1
            assert [one.text for one in judge().judge(fields_of(other), message_type)] == [], other
    assert recognised > 100


def test_shapes_are_bounded() -> None:
    shapes = Shapes()
    fields = fields_of(golden_text("MT199", "minimal"))
    rules = judge().rules("MT199")
    for number in range(_OUTLINES + 10):
        longer = [*fields, *[Field("79", "MORE")] * number]
        for lines in range(_ALIKE + 3):
            of_shape = [Field("20", "A"), *([Field("21", "B")] if lines % 2 else []), *longer[1:]]
            for _ in range(_PATIENCE):
                shapes.learn(text_of(of_shape), "MT199", of_shape, rules, definitions())
    assert len(shapes._known) <= _OUTLINES
    assert all(len(known) <= _ALIKE for known in shapes._known.values())


# Known shapes are read as at length -----------------------------------------------------------------------------------


def in_envelope(text: str, message_type: str) -> bytes:
    number, variant = message_type[2:5], message_type[5:]
    flag = f"{{3:{{119:{variant}}}}}" if variant else ""
    lines = text.replace("\n", "\r\n")
    head = f"{{1:F01BANKBEBBAXXX2222123456}}{{2:O{number}1200261126CUSTDEFFAXXX33331234562611261201N}}{flag}"
    return f"{head}{{4:\r\n{lines}\r\n-}}".encode("ascii")


def otherwise(text: str, chance: random.Random) -> str:
    """Write other letters and digits here and there in the values, so that the shape stays what it is."""
    letters = {"0": "123456789", "A": "BCDEFGHIJ"}
    lines = []
    for line in text.split("\n"):
        head, colon, value = line.rpartition("//") if "//" in line else line.rpartition(":")
        said = "".join(
            chance.choice(letters["0" if one.isdigit() else "A"])
            if one.isalnum() and one.isascii() and chance.random() < 0.3
            else one
            for one in value
        )
        lines.append(head + colon + said)
    return "\n".join(lines)


@cache
def readers() -> tuple[Messages, Messages]:
    """Return one that comes to know shapes, and one that reads everything at length."""
    quick, long = (Messages(load_catalogue(), [], "BANKBEBBXXX") for _ in range(2))
    long._reader.quick = lambda content: None  # type: ignore[method-assign]
    return quick, long


def said_by(messages: Messages, content: bytes) -> object:
    try:
        return messages.read(content)
    except (InvalidMessage, UnreadableMessage) as refused:
        return refused.code


@pytest.mark.parametrize("message_type", LEARNED)
@pytest.mark.parametrize("kind", ["minimal", "typical", "complete"])
def test_messages_of_a_known_shape_say_what_they_say_at_length(message_type: str, kind: str) -> None:
    quick, long = readers()
    text = golden_text(message_type, kind)
    first = in_envelope(text, message_type)
    said = said_by(long, first)
    for _ in range(_PATIENCE + 2):
        assert said_by(quick, first) == said
    chance = random.Random(f"{message_type} {kind}")
    for _ in range(12):
        other = in_envelope(otherwise(text, chance), message_type)
        assert said_by(quick, other) == said_by(long, other)


@pytest.mark.parametrize("end", [b"\n", b"\r", b"\n\r", b"\r\r\n"])
def test_a_line_that_ends_otherwise_is_told_at_length(end: bytes) -> None:
    quick, long = readers()
    usual = in_envelope(golden_text("MT541", "typical"), "MT541")
    for _ in range(_PATIENCE + 2):
        quick.read(usual)
    for place in (1, 2, usual.count(b"\r\n") - 2):
        lines = usual.split(b"\r\n")
        content = b"\r\n".join([*lines[:place], end.join(lines[place : place + 2]), *lines[place + 2 :]])
        assert said_by(quick, content) == said_by(long, content)


def with_other_codes(text: str, message_type: str) -> Iterator[str]:
    """Give the message with each of its codes replaced by others that are allowed there."""
    fields = fields_of(text)
    for place, found in enumerate(fields):
        format_ = definitions().formats[found.tag]
        allowed = definitions().codes(found.tag, qualifier_of(found), message_type) or ()
        texts = format_.texts(found.value) or {}
        if "data_source_scheme" in texts or format_.code not in texts:
            continue
        head, code, rest = found.value.rpartition(texts[format_.code])
        for other in sorted({*allowed} - {code})[:6]:
            yield text_of([*fields[:place], Field(found.tag, head + other + rest), *fields[place + 1 :]])


@pytest.mark.parametrize("message_type", LEARNED)
@pytest.mark.parametrize("kind", ["typical", "complete"])
def test_another_code_in_a_known_shape_says_what_it_says_at_length(message_type: str, kind: str) -> None:
    quick, long = readers()
    text = golden_text(message_type, kind)
    for _ in range(_PATIENCE + 2):
        said_by(quick, in_envelope(text, message_type))
    for other in with_other_codes(text, message_type):
        content = in_envelope(other, message_type)
        assert said_by(quick, content) == said_by(long, content), other


def with_other_numbers(text: str, message_type: str, chance: random.Random) -> str:
    """Write other digits in quantities, amounts, prices and rates, a zero staying what it is."""
    fields = []
    for found in fields_of(text):
        format_ = definitions().formats[found.tag]
        texts = format_.texts(found.value) or {}
        value = found.value
        for part in format_.components:
            if part.type in ("amount", "decimal") and part.name in texts:
                number = re.sub("[1-9]", lambda _: chance.choice("123456789"), texts[part.name])
                value = number.join(value.rpartition(texts[part.name])[::2])
        fields.append(Field(found.tag, value))
    return text_of(fields)


# Rules compare numbers of the others, or no table reads them.
@pytest.mark.parametrize(
    "message_type", [f"MT{n}" for n in (*range(540, 549), 515, 518, 578, 586, 535, 536, 300, 900, 910, 940, 950)]
)
def test_other_numbers_in_a_known_shape_are_read_quickly(message_type: str) -> None:
    quick, long = readers()
    text = golden_text(message_type, "typical")
    for _ in range(_PATIENCE + 2):
        quick.read(in_envelope(text, message_type))
    chance = random.Random(message_type)
    for _ in range(30):
        content = in_envelope(with_other_numbers(text, message_type, chance), message_type)
        reply = quick._reader.quick(content)
        assert reply is not None, content
        assert reply == long.read(content)
