"""The definitions of FIN messages: every valid message is accepted, every single mistake is found and named."""

from __future__ import annotations

import time
from collections import Counter
from pathlib import Path

import pytest

from gateway.errors import ConfigError
from gateway.messages.fin.definitions import FieldDefinition, SequenceDefinition, parse_message
from gateway.messages.fin.judging import definition_name
from gateway.messages.fin.message import Field
from gateway.messages.fin.structure import read_structure
from tests.fin_documents import MESSAGE_TYPES, definitions, fields_of, judge, made_messages, mutations

GOLDEN = Path(__file__).parent / "golden" / "fin"


@pytest.mark.parametrize("message_type", MESSAGE_TYPES)
@pytest.mark.parametrize("fullness", [0.0, 0.4, 1.0])
def test_what_is_made_from_a_definition_has_its_structure(message_type: str, fullness: float) -> None:
    definition = definitions().message(message_type)
    for made in made_messages(message_type, range(4), fullness):
        root, violations = read_structure([one.field for one in made], definition, definitions())
        assert [one.text for one in violations if one.severity == "error"] == []
        assert [one.code for one in violations if one.severity == "warning"] == []
        assert sum(len(one.fields) for one in root.walk()) == sum(one.item is not None for one in made)


@pytest.mark.parametrize("message_type", MESSAGE_TYPES)
def test_a_single_mistake_is_found_and_named(message_type: str) -> None:
    definition = definitions().message(message_type)
    for seed, made in enumerate(made_messages(message_type, range(6))):
        for mutation in mutations(made, seed):
            if definition.open_end and mutation.name in {"two fields swapped", "unknown letter"}:
                continue  # what comes at the end may be another message's
            _, violations = read_structure(mutation.fields, definition, definitions())
            found = {(one.code, one.path) for one in violations if one.severity == "error"}
            named = {code for code, path in found if mutation.where in path}
            assert named & mutation.codes, (mutation.name, mutation.where, found)


# What the rules let stand with nothing else: the other half of an alternative, which other tests hold.
EXCLUDED = {
    "MT103": {("", "71F")},
    "MT103STP": {("", "71F")},
    "MT210": {("R", "50a")},
    "MT509": {("B", "19A")},
    "MT537": {(one, "*") for one in ("C", "C1", "C2", "C2a", "C3", "C3a")},
    "MT549": {("A", "69a"), ("B", "*")},
}


@pytest.mark.parametrize("message_type", MESSAGE_TYPES)
def test_the_complete_message_has_every_field_and_no_violation(message_type: str) -> None:
    text = (GOLDEN / f"{message_type}.complete.txt").read_text(encoding="utf-8")
    root, violations = judge().read(fields_of(text), message_type)
    assert [one.text for one in violations] == []
    there = {(sequence.id, one.tag) for sequence in root.walk() for one in sequence.fields}
    definition = definitions().message(message_type).root
    every = [definition, *(one for one in definition.walk() if isinstance(one, SequenceDefinition))]
    excluded = EXCLUDED.get(message_type, set())
    lacking = {
        (sequence.id, item.label)
        for sequence in every
        for item in sequence.items
        if isinstance(item, FieldDefinition)
        and there.isdisjoint((sequence.id, tag) for tag in item.tags)
        and (sequence.id, "*") not in excluded
    }
    assert lacking == {one for one in excluded if one[1] != "*"}


def test_every_mutation_is_tried_often() -> None:
    tried = Counter(
        mutation.name
        for message_type in MESSAGE_TYPES
        for seed, made in enumerate(made_messages(message_type, range(6)))
        for mutation in mutations(made, seed)
    )
    assert len(tried) == 11
    assert min(tried.values()) >= 60, tried


HOSTILE = {
    "blocks in blocks": [Field("16R", "NOBLOCK", n) for n in range(20_000)],
    "blocks in blocks, ended": [Field("16R", "A", n) for n in range(10_000)]
    + [Field("16S", "A", n) for n in range(10_000)],
    "ends of blocks": [Field("16S", "GENL", n) for n in range(20_000)],
    "known blocks that do not end": [Field("16R", name, n) for n in range(5_000) for name in ("SETDET", "AMT", "GENL")],
    "fields from nowhere": [Field("95P", ":PSET//AAAAFRPP", n) for n in range(20_000)],
    "one field again and again": [Field("16R", "GENL"), *[Field("20C", ":SEME//A", n) for n in range(20_000)]],
    "one qualifier again and again": [
        *[Field("16R", "SETDET"), Field("22F", ":SETR//TRAD")],
        *[Field("22F", ":ZZZZ//TRAD", n) for n in range(20_000)],
    ],
}


@pytest.mark.parametrize("name", sorted(HOSTILE))
@pytest.mark.parametrize("message_type", ["MT541", "MT300", "MT192"])
def test_time_grows_with_the_length_whatever_is_in_a_message(name: str, message_type: str) -> None:
    before = time.process_time()
    violations = judge().judge(HOSTILE[name], message_type)
    assert time.process_time() - before < 5
    assert 0 < len(violations) <= 100


@pytest.mark.parametrize(
    ("message_type", "flag", "name"),
    [("202", "COV", "MT202COV"), ("103", "STP", "MT103STP"), ("541", "", "MT541"), ("103", "RFDD", "MT103")],
)
def test_a_validation_flag_chooses_the_variant(message_type: str, flag: str, name: str) -> None:
    assert definition_name(message_type, flag) == name


def test_fields_that_were_not_parsed_have_no_lines() -> None:
    violations = judge().judge([Field("20", "A"), Field("21", "B")], "MT202")
    assert {one.line for one in violations} == {None}


def test_a_message_type_without_definition_is_said() -> None:
    (violation,) = judge().judge([], "MT999")
    assert violation.code == "fin_message_unknown"
    assert "MT541" in violation.rule


def test_all_mistakes_are_told_at_once_with_line_path_and_what_is_right() -> None:
    text = """
:16R:GENL
:20C::SEME//TOO/LONG/A/REFERENCE
:23G:NEWM
:16S:GENL
:16R:TRADDET
:98A::SETT//20260230
:35B:ISIN XS0000001239
:16S:TRADDET
:16R:FIAC
:97A::SAFE//1
:36B::SETT//UNIT/100
:16S:FIAC
:16R:SETDET
:22F::SETR//TRAD
:16R:SETPRTY
:95S::PSET//ARNU/FR/1
:16S:SETPRTYX
:16S:SETDET
"""
    found = {(one.code, one.path): one for one in judge().judge(fields_of(text), "MT541")}
    assert found.keys() == {
        ("fin_format_invalid", "/4/A/20C/SEME"),
        ("fin_value_invalid", "/4/B/98A/SETT/date"),
        ("fin_field_order", "/4/C/36B/SETT"),
        ("fin_format_invalid", "/4/C/36B/SETT"),
        ("fin_option_invalid", "/4/E/E1[1]/95S/PSET"),
        ("fin_sequence_end", "/4/E/E1[1]/16S"),
        ("fin_sequence_missing", "/4/E/E3"),
    }
    assert found["fin_value_invalid", "/4/B/98A/SETT/date"].line == 6
    assert found["fin_sequence_end", "/4/E/E1[1]/16S"].suggestion == "SETPRTY"
    assert "E3 (AMT)" in found["fin_sequence_missing", "/4/E/E3"].rule


@pytest.mark.parametrize(
    ("text", "line", "right"),
    [
        ("message  MT1  Name\nA  GENL  [1..1]  Title\n    20C  [1..1]  Reference", 3, "one level deeper"),
        ("message  MT1  Name\n20Q  [1..1]  Reference", 2, "fields that are in fields.txt; 20Q is not"),
        ("message  MT1  Name\n20C  [1..1]  Reference\n  SEME A  [1..1]", 3, "letters of the field: C"),
        ("message  MT1  Name\n20C  [1..1]  Reference\n  SEME C", 3, "a row"),
        ("message  MT1  Name\n20C  1  Reference", 2, "a field"),
    ],
)
def test_a_mistake_in_a_definition_is_named_with_its_line(text: str, line: int, right: str) -> None:
    with pytest.raises(ConfigError, match=rf"MT1, line {line}: .*{right}") as raised:
        parse_message(text, "MT1", definitions().formats)
    assert raised.value.code == "fin_definition_invalid"


def test_definitions_say_what_the_standard_counts() -> None:
    root = definitions().message("MT541").root
    sequences = {one.id: one.block for one in root.walk() if isinstance(one, SequenceDefinition)}
    assert sequences["E1"] == "SETPRTY"
    assert [one.block for one in root.items if isinstance(one, SequenceDefinition)] == [
        "GENL",
        "TRADDET",
        "FIAC",
        "REPO",
        "SETDET",
        "OTHRPRTY",
    ]
    assert len(MESSAGE_TYPES) == 42
