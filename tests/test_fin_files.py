"""Files of FIN messages lose nothing, one bad message does not take the others, and the network's words are read."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.errors import ConfigError, UnreadableMessage
from gateway.messages.fin import (
    FileKind,
    NetworkWords,
    is_fin,
    is_system_message,
    join,
    parse,
    split,
)
from gateway.messages.schema_files import load_network_words

from .fin_messages import (
    ACCEPTED,
    COPIED,
    INSTRUCTION,
    LOGOUT,
    MESSAGES,
    PAYMENT,
    REFUSED,
    STATUS,
    UNCLOSED,
    UNDELIVERED,
)

WORDS = load_network_words()
MIXED = (INSTRUCTION, STATUS, COPIED, UNDELIVERED)


@pytest.mark.parametrize("kind", FileKind)
@pytest.mark.parametrize("messages", [MIXED[:count] for count in range(2, 5)])
def test_messages_joined_are_split_again(kind: FileKind, messages: tuple[bytes, ...]) -> None:
    content = join(messages, kind)
    file = split(content)
    assert (file.kind, file.messages) == (kind, messages)
    assert file.content == content
    assert file.violations == ()
    assert is_fin(content)


def test_each_message_knows_the_line_on_which_it_begins() -> None:
    file = split(join(MIXED, FileKind.RJE))
    lines = file.content.split(b"\n")
    assert [lines[line - 1][:3] for line in file.lines] == [b"{1:"] * 4
    last = parse(file.messages[1], first_line=file.lines[1]).fields[0]
    assert lines[last.line - 1].startswith(b":16R:GENL")


def test_a_dos_file_is_filled_up_to_sectors() -> None:
    content = join([INSTRUCTION, PAYMENT.strip()], FileKind.DOS_PCC)
    assert len(content) % 512 == 0
    assert content.startswith(b"\x01{1:")
    assert content.endswith(b" ")
    assert content.count(b"\x03") == 2
    exact = INSTRUCTION + b" " * (512 - 2 - len(INSTRUCTION) % 512)
    assert len(join([exact], FileKind.DOS_PCC)) == len(exact) + 2


@pytest.mark.parametrize(
    ("between", "kind"),
    [
        (b"", FileKind.PLAIN),
        (b"\n", FileKind.PLAIN),
        (b"\r\n \r\n", FileKind.PLAIN),
        (b"$", FileKind.RJE),
        (b"\n$\n", FileKind.RJE),
        (b"\r\n$\r\n$\r\n", FileKind.RJE),
    ],
)
def test_separators_of_any_taste_are_kept(between: bytes, kind: FileKind) -> None:
    content = b" " + between.join([INSTRUCTION, STATUS, INSTRUCTION]) + between + b"\x1a"
    file = split(content)
    assert (file.kind, file.messages, file.violations) == (kind, (INSTRUCTION, STATUS, INSTRUCTION), ())
    assert file.content == content


def test_a_message_inside_another_one_is_not_one_of_the_file() -> None:
    assert split(COPIED + COPIED).messages == (COPIED, COPIED)


def test_a_message_that_broke_off_does_not_take_the_others() -> None:
    broken = INSTRUCTION[:200]
    for separator in (b"\r\n", b"\r\n$\r\n"):
        file = split(separator.join([STATUS, broken, STATUS]))
        assert file.messages == (STATUS, broken, STATUS)
        with pytest.raises(UnreadableMessage):
            parse(file.messages[1])
        assert parse(file.messages[2]).fields == parse(STATUS).fields


def test_what_belongs_to_no_message_is_told_with_its_line() -> None:
    content = b"HEADER OF A REPORT\n" + INSTRUCTION + b"\nI541CUSTDEFFXXXXN}{4:\n:20:A\n-}\n" + STATUS
    file = split(content)
    assert file.content == content
    assert [(violation.code, violation.line) for violation in file.violations] == [
        ("fin_file_stray", 1),
        ("fin_file_stray", content[: content.index(b"I541CUSTDEFFXXXXN")].count(b"\n") + 1),
    ]
    assert file.messages == (INSTRUCTION, STATUS)


@pytest.mark.parametrize("content", [b"", b"  \n", b"$$$", b"\x01\x03", b"no message", b"{1:", b"\x01", b":{1:"])
def test_a_file_without_messages_is_split_into_none_or_what_parsing_refuses(content: bytes) -> None:
    file = split(content)
    assert file.content == content
    for message in file.messages:
        with pytest.raises(UnreadableMessage):
            parse(message)


PIECES = (*MESSAGES.values(), b"$", b"\x01", b"\x03", b"\n", b"junk", b"{1:", b"}", b"{", b" " * 9)


@given(st.lists(st.sampled_from(PIECES), max_size=12))
def test_splitting_loses_no_byte(pieces: list[bytes]) -> None:
    content = b"".join(pieces)
    file = split(content)
    assert file.content == content
    place = 0
    for before, message, line in zip(file.between, file.messages, file.lines, strict=False):
        place += len(before)
        assert line == 1 + content.count(b"\n", 0, place)
        place += len(message)


class TestAcknowledgements:
    def test_an_acknowledgement_names_the_message_that_it_is_of(self) -> None:
        said = WORDS.read(parse(ACCEPTED))
        assert said.accepted is True
        assert said.time == "2611261200"
        assert said.user_reference == "SETTLE0000000001"
        assert said.errors == ()
        header = said.message.basic_header
        assert (header.logical_terminal, header.session_number, header.sequence_number) == (
            "BANKBEBBAXXX",
            "1234",
            "567890",
        )

    def test_a_refusal_is_explained(self) -> None:
        said = WORDS.read(parse(REFUSED))
        assert said.accepted is False
        (error,) = said.errors
        assert (error.code, error.line, error.sure) == ("T50", 9, "high")
        assert error.explanation == "a date is not a real date"

    def test_a_refusal_whose_reason_is_not_closed_is_understood(self) -> None:
        said = WORDS.read(parse(UNCLOSED))
        assert [warning.code for warning in said.message.warnings] == ["fin_block_malformed"]
        assert said.accepted is False
        assert said.reason == "T50009"
        assert [(error.code, error.line) for error in said.errors] == [("T50", 9)]
        assert said.user_reference == "SETTLE0000000001"
        assert split(UNCLOSED + INSTRUCTION).messages == (UNCLOSED, INSTRUCTION)
        with pytest.raises(UnreadableMessage):
            parse(UNCLOSED[:-1])

    def test_the_original_that_follows_belongs_to_its_acknowledgement(self) -> None:
        content = ACCEPTED + INSTRUCTION + b"\n" + REFUSED + PAYMENT + ACCEPTED
        first, second, third = WORDS.acknowledgements(map(parse, split(content).messages))
        assert first.original is not None
        assert first.original.content == INSTRUCTION
        assert second.original is None  # the payment has another sequence number
        assert (third.accepted, third.original) == (True, None)

    def test_other_messages_are_no_acknowledgements(self) -> None:
        assert list(WORDS.acknowledgements([parse(INSTRUCTION), parse(LOGOUT)])) == []
        with pytest.raises(ValueError, match="no acknowledgement"):
            WORDS.read(parse(INSTRUCTION))

    @pytest.mark.parametrize(
        ("reason", "codes"),
        [
            ("H50", [("H50", None)]),
            ("T27003", [("T27", 3)]),
            ("[T44] not found[T83] not registered", [("T44", None), ("T83", None)]),
            ("...", []),
            ("", []),
        ],
    )
    def test_reasons_as_they_are_met(self, reason: str, codes: list[tuple[str, int | None]]) -> None:
        content = b"{1:F21BANKBEBBAXXX1234567890}{4:{177:x}{451:1}{405:%s}}" % reason.encode()
        said = WORDS.read(parse(content))
        assert said.accepted is False
        assert said.reason == (reason or None)
        assert [(error.code, error.line) for error in said.errors] == codes

    def test_a_verdict_that_is_neither_is_no_verdict(self) -> None:
        said = WORDS.read(parse(b"{1:F21BANKBEBBAXXX1234567890}{4:{177:x}{451:2}}"))
        assert said.accepted is None


class TestErrorCodes:
    def test_a_code_of_a_known_letter_is_explained_by_its_class(self) -> None:
        error = WORDS.explain("K22", 4)
        assert error.explanation == "a code word that field 22 does not have"
        assert WORDS.explain("T99").explanation.startswith("an error in the format")

    def test_a_code_of_an_unknown_letter_is_said_to_be_unknown(self) -> None:
        assert WORDS.explain("Q01").sure is None

    def test_every_row_of_the_table_can_be_met(self) -> None:
        rows = WORDS.errors
        assert len(rows) > 70
        for code, (text, sure, source) in rows.items():
            assert len(code) == 3
            assert code[0].isupper()
            assert code[1:] == ".." or code[1:].isdecimal()
            assert code[1:] == ".." or f"{code[0]}.." in rows
            assert sure in {"high", "medium", "low"}
            assert source in {"handbook", "product", "practice"}
            assert text
            assert text[0].islower()

    @pytest.mark.parametrize(
        "line", ["H01 | text | high | product | more", "H01 | text", "H01 | a | high | b\nH01 | a | low | b"]
    )
    def test_a_row_that_is_none_is_named(self, line: str) -> None:
        with pytest.raises(ConfigError, match=r"error_codes.txt, line [12]: expected"):
            NetworkWords(line, "")

    @pytest.mark.parametrize("line", ["type 010", "type 010 | a | b", "type 010 | a\ntype 010 | b"])
    def test_a_name_that_is_none_is_named(self, line: str) -> None:
        with pytest.raises(ConfigError, match=r"service_messages.txt, line [12]: expected"):
            NetworkWords("", line)


@pytest.mark.parametrize(
    ("content", "expected", "system"),
    [
        (INSTRUCTION, "MT541", False),
        (UNDELIVERED, "MT010, warning of non-delivery", True),
        (COPIED, "MT096, copy to the server of a copy service", True),
        (ACCEPTED, "service 21, acknowledgement of a message", True),
        (LOGOUT, "service 06, logout", True),
        (b"{1:F77BANKBEBBAXXX0000000000}", "service 77", True),
        (b"{1:F01BANKBEBBAXXX0000000000}{2:I099CUSTDEFFXXXX}", "MT099", True),
    ],
)
def test_messages_are_named(content: bytes, expected: str, system: bool) -> None:
    message = parse(content)
    assert WORDS.name(message) == expected
    assert is_system_message(message) is system
