"""FIN messages are read into headers, fields and trailers, written back to the byte, and refused with the place."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from gateway.errors import BuildError, InvalidMessage, MessageError, UnreadableMessage, Violation
from gateway.messages.fin import (
    BasicHeader,
    Field,
    FinMessage,
    InputHeader,
    Layout,
    MalformedHeader,
    MessageReference,
    OutputHeader,
    PossibleDuplicate,
    TagBlock,
    bic_of,
    cancellation,
    is_fin,
    logical_terminal,
    mark_possible_duplicate,
    parse,
    parse_strictly,
    split,
    tag_blocks,
    with_trailer,
    without_trailer,
    write,
)
from gateway.messages.fin.explaining import MAX_BYTES, MAX_FIELD_LENGTH, MAX_FIELDS, MAX_LINES

from .examples import messages
from .fin_messages import (
    ACCEPTED,
    BODILESS,
    COPIED,
    EMPTY,
    INSTRUCTION,
    LOOSE,
    MESSAGES,
    PAYMENT,
    REFUSED,
    STATUS,
    UNDELIVERED,
)
from .reference import needs_reference, shared

HEADERS = b"{1:F01BANKBEBBAXXX0000000000}{2:I541CUSTDEFFXXXXN}"


def refusal(content: bytes) -> tuple[Violation, ...]:
    """Return why bytes are no message, or one that nobody may act on."""
    with pytest.raises(UnreadableMessage) as caught:
        parse_strictly(content)
    assert caught.value.code == caught.value.violations[0].code
    assert caught.value.text == caught.value.violations[0].text
    assert {violation.severity for violation in caught.value.violations} == {"error"}
    return caught.value.violations


def faulty(content: bytes) -> FinMessage:
    """Return a message that is wrong and is read all the same, after it was written back and refused."""
    message = parse(content)
    assert message.faults
    assert message.faults == refusal(content)
    assert write(message) == content
    assert write(replace(message, content=b"")) == content
    with pytest.raises(UnreadableMessage) as caught:
        mark_possible_duplicate(content)
    assert caught.value.violations == message.faults
    with pytest.raises(MessageError) as judged:
        messages().read(content)
    assert set(message.faults) <= set(judged.value.violations)
    verdict = messages().validator.check(content)
    assert not verdict.valid
    assert set(message.faults) <= set(verdict.violations)
    return message


def told(violations: Iterable[Violation]) -> list[tuple[str, str, int | None]]:
    return [(violation.code, violation.path, violation.line) for violation in violations]


class TestReading:
    def test_a_message_on_its_way_in(self) -> None:
        message = parse(INSTRUCTION)
        assert message.basic_header == BasicHeader("BANKBEBBAXXX", "1234", "567890", "F", "01")
        assert message.application_header == InputHeader("541", "CUSTDEFFXXXX", "U", "3", "003")
        assert message.user_value("108") == "SETTLE0000000001"
        assert message.user_value("121") == "0b1f6f2e-6f0a-4c1e-9a3b-1d2c3b4a5f60"
        assert message.user_value("119") is None
        assert message.trailers is None
        assert (message.message_type, message.sender, message.receiver) == ("541", "BANKBEBBAXXX", "CUSTDEFFXXXX")
        assert message.content == INSTRUCTION
        assert message.warnings == ()

    def test_the_fields_with_their_values_and_lines(self) -> None:
        fields = parse(INSTRUCTION).fields
        assert fields[:3] == (
            Field("16R", "GENL", 2),
            Field("20C", ":SEME//TRADE00000000001", 3),
            Field("23G", "NEWM", 4),
        )
        assert Field("35B", "ISIN BE0003565737\nINVENTED GROUP\nORDINARY SHARES", 9) in fields
        assert Field("16S", "TRADDET", 12) in fields
        assert Field("95Q", ":SELL//A BROKER OF LONDON\n1 NO STREET (BACK)", 23) in fields
        assert fields[-1] == Field("16S", "SETDET", 29)

    def test_lines_count_from_where_the_message_begins_in_its_file(self) -> None:
        assert parse(INSTRUCTION, first_line=101).fields[0].line == 102
        message = parse(INSTRUCTION.replace(b":23G:", b":23g:"), first_line=101)
        assert [violation.line for violation in message.faults] == [104]
        with pytest.raises(UnreadableMessage) as caught:
            parse(INSTRUCTION.replace(b":23G:", b":23G"), first_line=101)
        assert [violation.line for violation in caught.value.violations] == [104]
        assert write(replace(message, content=b"")) == message.content

    def test_a_message_that_the_network_delivers(self) -> None:
        message = parse(STATUS)
        reference = MessageReference("261126", "CUSTDEFFAXXX", "3333", "123456")
        assert message.application_header == OutputHeader("548", "1200", reference, "261126", "1201", "N")
        assert (message.sender, message.receiver) == ("CUSTDEFFAXXX", "BANKBEBBAXXX")
        assert message.trailer("CHK") == "0123456789AB"
        assert message.possible_duplicate == PossibleDuplicate(
            "PDM", "1159", MessageReference("261126", "BANKBEBBAXXX", "2222", "123455")
        )
        assert message.user_blocks == (TagBlock("S", "{SAC:}{COP:P}"),)
        assert tag_blocks(message.user_blocks[0].value) == (TagBlock("SAC", ""), TagBlock("COP", "P"))

    def test_lines_that_end_with_a_line_feed_alone_give_the_same_fields(self) -> None:
        same = parse(INSTRUCTION.replace(b"\r\n", b"\n"))
        assert same.fields == parse(INSTRUCTION).fields
        assert same.layout.line_end == "\n"

    def test_the_text_of_a_system_message_is_blocks(self) -> None:
        message = parse(UNDELIVERED)
        assert message.fields == ()
        assert message.text == (
            TagBlock("106", "261126BANKBEBBAXXX1234567890"),
            TagBlock("108", "SETTLE0000000001"),
            TagBlock("431", "07"),
        )

    def test_a_message_inside_a_block_is_kept_as_text(self) -> None:
        text = parse(COPIED).text
        assert text is not None
        assert [block.tag for block in text] == ["103", "109"]
        assert parse(text[1].value.encode()).fields == (Field("20", "PAY1", 2),)

    @pytest.mark.parametrize(("content", "text"), [(EMPTY, ()), (BODILESS, None)])
    def test_a_message_without_a_body_is_read_as_far_as_it_goes(self, content: bytes, text: tuple[Field, ...]) -> None:
        message = parse(content)
        assert message.message_type == "999"
        assert message.text == text
        assert message.fields == ()

    def test_a_line_that_begins_with_a_hyphen_or_is_empty_is_read_with_a_warning(self) -> None:
        message = parse(LOOSE)
        assert [(warning.code, warning.severity, warning.line) for warning in message.warnings] == [
            ("fin_line_forbidden", "warning", 8),
            ("fin_line_forbidden", "warning", 9),
        ]
        assert message.fields[-1].value == "-B\n-C\n\nD"

    @pytest.mark.parametrize(
        ("content", "verdict"),
        [
            (INSTRUCTION, True),
            (b"\x01{1:F01", True),
            (b"\r\n {1:F21", True),
            (b"<?xml version='1.0'?><Document/>", False),
            (b"{4:{1:", False),
            (b"", False),
            (b" " * 5_000 + b"{1:", False),
        ],
    )
    def test_fin_is_told_from_other_things_by_its_beginning(self, content: bytes, verdict: bool) -> None:
        assert is_fin(content) is verdict


class TestRefusing:
    @pytest.mark.parametrize(
        ("header", "said"),
        [
            (b"{1:F01BANKBEBBXXX0000000000}", "24 characters where 25 are right"),
            (b"{1:X01BANKBEBBAXXX0000000000}", "application identifier is 'X'; expected F (FIN), A or L"),
            (b"{1:F01bankbebbaxxx0000000000}", "logical terminal is 'bankbebbaxxx'"),
            (b"{1:F01BANKBEBBAXXX00000000000}", "end is '0'; expected nothing after character 25"),
            (b"{1:}", "application identifier is nothing"),
        ],
    )
    def test_a_basic_header_that_does_not_hold_names_the_part(self, header: bytes, said: str) -> None:
        message = faulty(header + b"{2:I541CUSTDEFFXXXXN}{4:\n:20:A\n-}")
        assert f"{{1:{message.basic_header}}}".encode() == header
        assert message.message_type == "541"
        (violation,) = message.faults
        assert (violation.code, violation.path, violation.line) == ("fin_header_malformed", "/1", 1)
        assert said in violation.text

    @pytest.mark.parametrize(
        ("header", "parts"),
        [
            (b"I541CUSTDEFFXXXXX", ["priority"]),
            (b"I54XCUSTDEFFXXXXQ", ["message type", "priority"]),
            (b"I541N", ["receiver"]),
            (b"I541CUSTDEFFXXXXU9003", ["delivery monitoring"]),
            (b"O5481200261126CUSTDEFFAXXX3333123456261126120AN", ["output time"]),
            (b"X541CUSTDEFFXXXXN", ["input or output"]),
        ],
    )
    def test_an_application_header_that_does_not_hold_names_every_part(self, header: bytes, parts: list[str]) -> None:
        message = faulty(b"{1:F01BANKBEBBAXXX0000000000}{2:" + header + b"}{4:\n:20:A\n-}")
        found = message.faults
        assert str(message.application_header).encode() == header
        assert (message.message_type is None) == isinstance(message.application_header, MalformedHeader)
        assert message.message_type in (None, "541", "548")
        assert [violation.rule.partition(":")[0] for violation in found] == parts
        assert {(violation.code, violation.path) for violation in found} == {("fin_header_malformed", "/2")}

    def test_a_message_of_users_needs_its_application_header(self) -> None:
        message = faulty(b"{1:F01BANKBEBBAXXX0000000000}{4:\n:20:A\n-}")
        assert told(message.faults) == [("fin_block_missing", "/2", 1)]
        assert (message.message_type, message.fields) == (None, (Field("20", "A", 2),))

    @pytest.mark.parametrize(
        ("content", "expected"),
        [
            (b"", ("fin_not_a_message", "/1", 1)),
            (b"MT541", ("fin_not_a_message", "/1", 1)),
            (b"\n\n:20:A", ("fin_not_a_message", "/1", 3)),
            (HEADERS + b"\nstray{4:\n:20:A\n-}", ("fin_block_malformed", "/2", 2)),
            (HEADERS + b"{4:\n:20:A\n-}\n.", ("fin_block_malformed", "/4", 4)),
            (HEADERS + b"{9:A}", ("fin_block_malformed", "/2", 1)),
            (HEADERS + b"{3:{108:A}", ("fin_block_malformed", "/3", 1)),
            (HEADERS + b"{3:108:A}", ("fin_block_malformed", "/3", 1)),
            (HEADERS + b"{4:\n:20:A\n-}{3:{108:A}}", ("fin_block_malformed", "/3", 3)),
            (HEADERS + b"{3:{108:A}}{3:{108:A}}", ("fin_block_malformed", "/3", 1)),
            (HEADERS + b"{4:\n:20:A\n-}" + HEADERS, ("fin_several_messages", "/1", 3)),
            (HEADERS + b"{4:\n:20:A\n", ("fin_text_malformed", "/4", 1)),
            (HEADERS + b"{4:\n:20:A\n}", ("fin_text_malformed", "/4", 3)),
            (HEADERS + b"{4:\nOur ref: 1\n:20:A\n-}", ("fin_text_malformed", "/4", 2)),
            (HEADERS + b"{4:\n:20:A\n:a continued line\n-}", ("fin_tag_malformed", "/4", 3)),
            (HEADERS + b"{4:\r\n:20:A\r\n:70:B\nC\r\n-}", ("fin_line_ends_mixed", "/4", 3)),
            (HEADERS + b"{4:\n:20:A\r\n-}", ("fin_line_ends_mixed", "/4", 2)),
            (HEADERS + b"{4:\n:20:A\n:REF:B\n-}", ("fin_tag_malformed", "/4", 3)),
            (HEADERS + b"{4:\n:20:A\n:20B\n-}", ("fin_tag_malformed", "/4", 3)),
        ],
    )
    def test_what_cannot_be_told_apart_is_no_message_and_refused_with_its_place(
        self, content: bytes, expected: tuple[str, str, int | None]
    ) -> None:
        with pytest.raises(UnreadableMessage) as caught:
            parse(content)
        assert caught.value.code == expected[0]
        assert told(caught.value.violations) == [expected]

    @pytest.mark.parametrize(
        ("content", "expected"),
        [
            (HEADERS + b"{3:{MUR:A}}", ("fin_block_malformed", "/3", 1)),
            (HEADERS + b"{3:{121:0B1F6F2E-6F0A-4C1E-9A3B-1D2C3B4A5F60}}", ("fin_block_malformed", "/3/121", 1)),
            (HEADERS + b"{4:\n:20:A\n-}{5:{CHK:12}}", ("fin_block_malformed", "/5/CHK", 3)),
            (HEADERS + b"{4:\n:20:A\n-}{5:{chk:12}}", ("fin_block_malformed", "/5", 3)),
            (HEADERS + b"{4:\n:20:A\n-}{5:{PDE:1200}}", ("fin_block_malformed", "/5/PDE", 3)),
            (HEADERS + b"{4:\n:20:A-}", ("fin_text_malformed", "/4", 2)),
            (HEADERS + b"{4::20:A\n-}", ("fin_text_malformed", "/4", 1)),
            (HEADERS + b"{4:\n:20:A\n:2C:B\n-}", ("fin_tag_malformed", "/4", 3)),
            (HEADERS + b"{4:\n:20:A\n:70:B\tC\n-}", ("fin_character_invalid", "/4", 3)),
            (HEADERS + b"{4:\n:20:A\n:70:{B}\n-}", ("fin_character_invalid", "/4", 3)),
            (HEADERS + b"{4:\n:20:A\n:70:[B\n-}", ("fin_character_invalid", "/4", 3)),
            (HEADERS + b"{3:{108:A_B}}", ("fin_character_invalid", "/3", 1)),
            (HEADERS + b"{S:\x00}", ("fin_character_invalid", "/2", 1)),
            (HEADERS + b"{4:\r\n:20:A\r\n:70:B\r\nC -}{5:{TNG:}}", ("fin_text_malformed", "/4", 4)),
            (HEADERS + b"{4:\r\n:20:A\r\n -}", ("fin_text_malformed", "/4", 3)),
            (HEADERS + b"{4: \n:20:A\n-}", ("fin_text_malformed", "/4", 1)),
            (HEADERS + b"{4:\r\n\r\n:20:A\r\n-}", ("fin_text_malformed", "/4", 1)),
            (HEADERS + b"{4:\n \n-}", ("fin_text_malformed", "/4", 1)),
            (HEADERS + b"{4:-}", ("fin_text_malformed", "/4", 1)),
            (HEADERS + b"{4:\n:20:A\n:121:B\n-}", ("fin_tag_malformed", "/4", 3)),
        ],
    )
    def test_what_is_wrong_and_can_be_told_apart_is_read_written_back_and_refused_with_its_place(
        self, content: bytes, expected: tuple[str, str, int | None]
    ) -> None:
        assert told(faulty(content).faults) == [expected]

    @pytest.mark.parametrize(
        ("text", "layout", "fields"),
        [
            (b":20:A\r\n:70:B\r\nC\r\n-}", Layout(opening=""), [("20", "A", 1), ("70", "B\nC", 2)]),
            (b"\n\n :20:A\n:70:B -}", Layout("\n", (), "\n\n ", " -}"), [("20", "A", 3), ("70", "B", 4)]),
            (b"\r\n:20:A\r\n:70:B \r\n  -}", Layout(closing="\n  -}"), [("20", "A", 2), ("70", "B ", 3)]),
            (b":20:A:70:B  -}", Layout("\n", (), "", "  -}"), [("20", "A:70:B", 1)]),
            (b"  \n-}", Layout("\n", (), "\n", "  \n-}"), []),
        ],
    )
    def test_the_layout_keeps_how_a_text_begins_and_ends(
        self, text: bytes, layout: Layout, fields: list[tuple[str, str, int]]
    ) -> None:
        message = faulty(HEADERS + b"{4:" + text)
        assert message.layout == layout
        assert [(field.tag, field.value, field.line) for field in message.fields] == fields

    def test_faults_do_not_hide_that_the_rest_cannot_be_told_apart(self) -> None:
        content = HEADERS + b"{4:\n:20:A" + b"\n:70:\xff" * 200 + b"\n:a continued line\n-}"
        with pytest.raises(UnreadableMessage) as caught:
            parse(content)
        assert len(caught.value.violations) == 100
        assert ("fin_tag_malformed", "/4", 203) in told(caught.value.violations)

    @pytest.mark.parametrize(
        ("headers", "sender", "receiver"),
        [
            (b"{1:F01BANKBEBBXXX0000000000}{2:I999CUSTDEFFXLUXN}", "BANKBEBB", "CUSTDEFF"),
            (b"{1:F01BANKBEBBAXXX000000000}{2:I999CUSTDEFFXLUXN}", "BANKBEBB", "CUSTDEFF"),
            (b"{1:F01BANKBEBBALUX0000000000}{2:I999CUSTDEFFXLUXQ}", "BANKBEBB", "CUSTDEFF"),
            (b"{1:F1BANKBEBBAXXX0000000000}{2:I999CUSTDEFFXXXXN}", None, "CUSTDEFF"),
            (
                b"{1:F01BANKBEBBAXXX0000000000}{2:O9991200261126CUSTDEFFXXX33331234562611261201N}",
                "CUSTDEFF",
                "BANKBEBB",
            ),
            (b"{1:F01BANKBEBBAXXX0000000000}{2:O999CUSTDEFFXXXXN}", None, "BANKBEBB"),
            (b"{1:F01BANKBEBBAXXX0000000000}{2:X999CUSTDEFFXXXXN}", None, None),
        ],
    )
    def test_of_headers_that_do_not_hold_the_institutions_are_told_where_nothing_before_them_is_wrong(
        self, headers: bytes, sender: str | None, receiver: str | None
    ) -> None:
        content = headers + b"{4:\n:20:REF1\n:79:A\n-}"
        known = messages().validator.envelope_references(content)
        assert (known.business_message_id, known.sender, known.receiver) == ("REF1", sender, receiver)
        faulty(content)

    def test_a_reference_on_a_line_with_a_fault_is_not_told(self) -> None:
        content = HEADERS + b"{4:\n:20:R\xff\n-}"
        assert messages().validator.envelope_references(content).business_message_id is None

    def test_a_refusal_names_type_reference_and_sender(self) -> None:
        with pytest.raises(InvalidMessage) as caught:
            messages().read(STATUS.replace(b"261201N}", b"261201}", 1).replace(b"{1:F01", b"{1:F0"))
        assert caught.value.text.startswith(
            "MT548 STATUS0001 from CUSTDEFF breaks its schema in 1 places; first: block 1"
        )

    def test_of_a_message_whose_type_is_not_known_the_faults_are_told(self) -> None:
        for kind in (b"I000", b"Q"):
            content = b"{1:F01BANKBEBBAXXX0000000000}{2:" + kind + b"CUSTDEFF}{4:\n:20:A\n-}"
            with pytest.raises(UnreadableMessage) as caught:
                messages().read(content)
            assert caught.value.violations == faulty(content).faults

    def test_what_has_faults_is_not_cancelled(self) -> None:
        with pytest.raises(UnreadableMessage) as caught:
            cancellation(
                INSTRUCTION.replace(b"ORDINARY", b"ORD\xc4NARY"), "CANCEL1", datetime(2026, 11, 26, tzinfo=UTC)
            )
        assert [violation.code for violation in caught.value.violations] == ["fin_character_invalid"]

    def test_an_acknowledgement_with_faults_is_refused(self) -> None:
        content = ACCEPTED.replace(b"}{4:", b"0}{4:")
        assert told(faulty(content).faults) == [("fin_header_malformed", "/1", 1)]

    def test_a_message_with_faults_takes_nothing_from_the_acknowledgement_before_it(self) -> None:
        [(_, alone)] = messages().read(REFUSED).facts
        [(_, followed)] = messages().read(REFUSED + INSTRUCTION.replace(b"XXXXU3003", b"XXXXQ3003")).facts
        assert followed == alone

    def test_a_character_is_named_with_line_and_column(self) -> None:
        (violation,) = faulty(HEADERS + "{4:\n:20:A\n:70:CAFÉ\n-}".encode()).faults
        assert violation.text == "character 8 of line 3 is 'É' in UTF-8, which no field of FIN may hold"
        assert violation.value == ":70:CAFÉ".encode().decode("latin-1")

    def test_many_things_wrong_are_told_at_once_in_the_order_of_lines(self) -> None:
        headers = b"{1:F01BANKBEBBAXXX0000000000}{2:I541CUSTDEFFXXXXQ}{3:{108:A#}}"
        content = headers + b"{4:\n:20:A\n:2:B\n:70:\xff\n:7Z:C\n-}{5:{CHK:}}"
        assert told(faulty(content).faults) == [
            ("fin_header_malformed", "/2", 1),
            ("fin_character_invalid", "/3", 1),
            ("fin_tag_malformed", "/4", 3),
            ("fin_character_invalid", "/4", 4),
            ("fin_tag_malformed", "/4", 5),
            ("fin_block_malformed", "/5/CHK", 6),
        ]

    @pytest.mark.parametrize(
        "lines",
        [
            b'" + ":16R:GENL\n" + ":20C::SEME//A\n" + "-}',
            b':16R:GENL\n" + ":20C::SEME//A\n-}',
            b":16R:GENL\\n:20C::SEME//A\\n-}",
            b"// :16R:GENL\n// :20C::SEME//A\n// -}",
            b"   * :16R:GENL\n   * :20C::SEME//A\n   * -}",
        ],
    )
    def test_what_was_cut_out_of_a_program_is_refused_as_that(self, lines: bytes) -> None:
        with pytest.raises(UnreadableMessage) as caught:
            parse(HEADERS + b"{4:\n" + lines)
        artefacts = [violation.line for violation in caught.value.violations if violation.code == "fin_code_artefact"]
        assert artefacts
        assert artefacts[0] in (2, 3)

    def test_a_narrative_may_quote_fields_of_other_messages(self) -> None:
        content = HEADERS + b"{4:\n:20:A\n:79:WE REFER TO\n.:20:REF1\n//:32A:261126EUR1,\n-}"
        assert parse(content).fields[-1].value == "WE REFER TO\n.:20:REF1\n//:32A:261126EUR1,"

    def test_sizes_are_limited(self) -> None:
        def codes(content: bytes) -> set[str]:
            return {violation.code for violation in refusal(content)}

        assert codes(b"{1:" + b"A" * MAX_BYTES) == {"fin_too_large"}
        assert codes(HEADERS + b"{4:" + b"\n:20:A" * (MAX_FIELDS + 1) + b"\n-}") == {"fin_too_large"}
        assert codes(HEADERS + b"{4:\n:20:A" + b"\nB" * (MAX_LINES + 1) + b"\n-}") == {"fin_too_large"}
        (violation,) = refusal(HEADERS + b"{4:\n:20:A\n:70:" + b"B" * MAX_FIELD_LENGTH + b"\n:71:C\n-}")
        assert violation.line == 3

    @pytest.mark.parametrize("piece", [b"{", b"}", b"\n:", b"\n-", b"\xff", b"{1:", b'" + ', b"\\\n", b"\r", b"{108:"])
    def test_however_much_is_wrong_at_most_a_hundred_things_are_told(self, piece: bytes) -> None:
        content = HEADERS + b"{4:\n:20:A" + piece * (300_000 // len(piece)) + b"\n-}"
        assert len(refusal(content)) <= 100


class TestWriting:
    @pytest.mark.parametrize("content", MESSAGES.values(), ids=MESSAGES)
    def test_a_message_read_is_written_back_to_the_byte_from_its_parts(self, content: bytes) -> None:
        message = parse(content)
        assert write(message) == content
        assert write(replace(message, content=b"")) == content

    def test_a_message_made_of_parts(self) -> None:
        message = FinMessage(
            BasicHeader("BANKBEBBAXXX"),
            InputHeader("541", "CUSTDEFFXXXX"),
            (TagBlock("108", "A"),),
            (Field("20C", ":SEME//A"), Field("70E", ":SPRO//ONE\nTWO")),
        )
        assert write(message) == (
            b"{1:F01BANKBEBBAXXX0000000000}{2:I541CUSTDEFFXXXXN}{3:{108:A}}"
            b"{4:\r\n:20C::SEME//A\r\n:70E::SPRO//ONE\r\nTWO\r\n-}"
        )

    @pytest.mark.parametrize("value", ["A}B", "A\n:20:B", "A\n-}{5:{PDE:}}{S:", "A\r\nB", "GÜNTHER", "Ω", "\t", "[A]"])
    def test_a_value_that_would_be_read_as_something_else_is_not_written(self, value: str) -> None:
        message = FinMessage(
            BasicHeader("BANKBEBBAXXX"), InputHeader("541", "CUSTDEFFXXXX"), None, (Field("70", value),)
        )
        with pytest.raises(BuildError) as caught:
            write(message)
        assert caught.value.code == "fin_not_writable"

    def test_a_header_that_does_not_hold_is_not_written(self) -> None:
        with pytest.raises(BuildError) as caught:
            write(FinMessage(BasicHeader("BANKBEBB"), InputHeader("541", "CUSTDEFFXXXX")))
        assert [violation.code for violation in caught.value.violations] == ["fin_header_malformed"]

    def test_what_was_read_with_faults_is_written_with_these_and_no_others(self) -> None:
        message = parse(INSTRUCTION.replace(b"NEWM", b"N\tWM"))
        other = replace(message, content=b"", text=(*message.fields[:-1], Field("16S", "SETD\xc9T")))
        for changed in (other, replace(message, content=b"", text=parse(INSTRUCTION).text)):
            with pytest.raises(BuildError) as caught:
                write(changed)
            assert caught.value.code == "fin_not_writable"
        assert write(with_trailer(message, "TNG")) == message.content + b"{5:{TNG:}}"

    @pytest.mark.parametrize(
        ("content", "marked"),
        [
            (INSTRUCTION, INSTRUCTION + b"{5:{PDE:}}"),
            (STATUS, STATUS.replace(b"123455}}", b"123455}{PDE:}}")),
            (PAYMENT, PAYMENT.replace(b"{TNG:}", b"{TNG:}{PDE:}")),
            (EMPTY, EMPTY + b"{5:{PDE:}}"),
            (BODILESS, BODILESS + b"{5:{PDE:}}"),
            (BODILESS + b"\n{S:{X:}}\n", BODILESS + b"{5:{PDE:}}\n{S:{X:}}\n"),
            (BODILESS + b"{5:}", BODILESS + b"{5:{PDE:}}"),
            (LOOSE, LOOSE),
        ],
    )
    def test_the_mark_of_a_possible_duplicate_changes_nothing_else(self, content: bytes, marked: bytes) -> None:
        assert mark_possible_duplicate(content) == marked
        assert mark_possible_duplicate(marked) == marked
        message = parse(marked)
        assert message.possible_duplicate in (PossibleDuplicate("PDE"), parse(content).possible_duplicate)

    def test_what_cannot_be_read_is_not_marked(self) -> None:
        with pytest.raises(UnreadableMessage):
            mark_possible_duplicate(HEADERS + b"{4:\n:20:A\n")

    def test_trailers_come_and_go(self) -> None:
        message = parse(PAYMENT)
        more = with_trailer(message, "DLM")
        assert more.trailers is not None
        assert [block.tag for block in more.trailers] == ["MAC", "CHK", "TNG", "DLM"]
        assert write(without_trailer(more, "DLM")) == PAYMENT
        assert without_trailer(message, "PDM") is message
        alone = with_trailer(parse(INSTRUCTION), "TNG")
        assert write(without_trailer(alone, "TNG")) == INSTRUCTION


class TestAddresses:
    @pytest.mark.parametrize(
        ("bic", "address", "back"),
        [
            ("BANKBEBB", "BANKBEBBXXXX", "BANKBEBB"),
            ("BANKBEBBXXX", "BANKBEBBXXXX", "BANKBEBB"),
            ("BANKBEBBLUX", "BANKBEBBXLUX", "BANKBEBBLUX"),
        ],
    )
    def test_a_bic_becomes_an_address_and_back(self, bic: str, address: str, back: str) -> None:
        assert logical_terminal(bic) == address
        assert bic_of(address) == back
        assert logical_terminal(bic, "A") == address[:8] + "A" + address[9:]

    @pytest.mark.parametrize("bic", ["", "BANKBEB", "bankbebb", "BANKBEBBXX", "BANKBEBBAXXX", "BANK1EBB"])
    def test_what_is_no_bic_has_no_address(self, bic: str) -> None:
        with pytest.raises(ValueError, match="no BIC"):
            logical_terminal(bic)

    @pytest.mark.parametrize("address", ["", "BANKBEBBXXX", "BANKBEBBAXXXX", "BANKBEBBaXXX"])
    def test_what_is_no_address_has_no_bic(self, address: str) -> None:
        with pytest.raises(ValueError, match="no logical terminal"):
            bic_of(address)


# Samples of others that are read and are wrong, whatever their index says of them, and what is told of each first.
FAULTY = {
    "MT103/GoPlasmatic__Reframe__main.676f6e57_3.txt": ("fin_header_malformed", 1),
    "MT103/prowide__prowide-integrator-sandbox__TestController_2.txt": ("fin_character_invalid", 2),
    "MT202/GoPlasmatic__SwiftMTMessage__parse_mt202_1.txt": ("fin_header_malformed", 1),
    "MT202/arielhernannapoli__ProWide__SwiftMessageTest_6.txt": ("fin_header_malformed", 1),
    "MT202/ballerina-platform__module-ballerinax-financial.iso20022-to-swiftmt__to_swift_message_test_10.txt": (
        "fin_header_malformed",
        1,
    ),
    "MT515/marcusmiris__Miris.SwiftMtReader__SwiftMtMessageOldApiExtensionsTests.txt": ("fin_text_malformed", 1),
    "MT940/Mohamedizzath__mediation-swift-iso20022-module__MT940-Test_1.txt": ("fin_header_malformed", 1),
    "MT940/Mohamedizzath__mediation-swift-iso20022-module__MT940FormatValidatorTestConstants_3.txt": (
        "fin_text_malformed",
        13,
    ),
    "MT940/Query-farm__vgi-iso20022__lines.txt": ("fin_header_malformed", 1),
    "MT940/arielhernannapoli__ProWide__TabInFieldValueTest.txt": ("fin_header_malformed", 1),
    "MT940/maiaimei__swift-mt-spring-boot-starter-example__SwiftTest.txt": ("fin_text_malformed", 17),
}


def samples() -> list[dict[str, Any]]:
    entries = json.loads((shared() / "samples" / "index.json").read_text())
    return [entry for entry in entries if entry["kind"] == "mt"]


def sample_messages(sample: dict[str, Any]) -> tuple[tuple[bytes, int], ...]:
    content = (shared() / "samples" / Path(sample["file"])).read_bytes()
    file = split(content)
    assert file.content == content
    assert file.violations == ()
    return tuple(zip(file.messages, file.lines, strict=True))


@needs_reference
class TestSamplesOfOthers:
    def test_every_sample_is_read_and_written_back_to_the_byte(self) -> None:
        read = 0
        for sample in samples():
            if sample["code_artefacts"]:
                continue
            found = [parse(content, first_line=line) for content, line in sample_messages(sample)]
            assert [write(message) for message in found] == [message.content for message in found]
            assert [write(replace(message, content=b"")) for message in found] == [message.content for message in found]
            assert found[-1].text
            assert (found[-1].message_type is None) == (sample["message_type"] == "ACK_NAK")
            assert any(message.faults for message in found) == (sample["file"] in FAULTY)
            read += 1
        assert read > 100

    def test_what_was_cut_out_of_programs_is_refused_with_its_line(self) -> None:
        refused = 0
        for sample in samples():
            if sample["code_artefacts"]:
                content, line = sample_messages(sample)[-1]
                with pytest.raises(UnreadableMessage) as caught:
                    parse(content, first_line=line)
                places = [violation.line for violation in caught.value.violations if violation.path == "/4"]
                assert places
                assert places[0] in (1, 2, 3), sample["file"]
                refused += 1
        assert refused > 25

    def test_samples_that_are_wrong_are_read_and_refused_for_the_reason_that_they_are(self) -> None:
        found = {}
        for sample in samples():
            if sample["file"] in FAULTY:
                ((content, _),) = sample_messages(sample)
                message = faulty(content)
                assert message.message_type == sample["message_type"].removeprefix("MT")
                with pytest.raises(InvalidMessage) as caught:
                    messages().read(content)
                first = caught.value.violations[0]
                assert first == message.faults[0]
                found[sample["file"]] = first.code, first.line
        assert found == FAULTY
