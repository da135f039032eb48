"""Whatever bytes come, FIN is read and written back to the byte, or refused with violations.

A few hundred inputs by default, drawn by hypothesis; ``GATEWAY_TEST_FULL=1`` adds a million, drawn by a seed.
"""

from __future__ import annotations

import os
import random
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.errors import MessageError, UnreadableMessage, Violation
from gateway.messages.fin import mark_possible_duplicate, parse, split, without_trailer, write

from .examples import messages
from .fin_messages import MESSAGES

FULL = os.environ.get("GATEWAY_TEST_FULL") == "1"
INPUTS = 1_000_000
SEED = 20261125

GOLDEN = tuple(MESSAGES.values())
PIECES = (
    *(b"{1:", b"{2:", b"{3:", b"{4:", b"{5:", b"{S:", b"{", b"}", b"-}", b"{4:\r\n", b"\r\n-}", b"\n-}", b"{108:A}"),
    *(b"\r\n", b"\n", b"\r", b":", b"-", b" ", b"\x01", b"\x03", b"$", b"\x00", b"\t", b"\\n", b'" + "', b"\xc3\xa9"),
    *(b":20C:", b"\r\n:20C::SEME//A", b"\n:16R:GENL", b"\n::", b"\n:2:", b"{PDE:}", b"{CHK:0}", b"{121:x}", b"{177:}"),
    *(
        b"F01BANKBEBBAXXX0000000000",
        b"I541CUSTDEFFXXXXN",
        b"O541",
        b"{1:F21BANKBEBBAXXX0000000000}",
        b"// :20:",
        b"\xff",
    ),
)


def judge(content: bytes) -> bool:
    """Hold what is promised of any bytes; say whether they were a message, be it one with faults."""
    file = split(content)
    assert file.content == content
    assert len(file.lines) == len(file.messages)
    refusal = None
    try:
        message = parse(content)
    except UnreadableMessage as error:
        refusal = error
    if refusal is not None:
        assert refusal.violations
        assert refusal.code == refusal.violations[0].code
        for violation in refusal.violations:
            assert violation.code.startswith("fin_")
            assert violation.text
            assert violation.rule
            assert violation.line is None or 1 <= violation.line <= content.count(b"\n") + 1
        return False
    assert write(message) == content
    assert write(replace(message, content=b"")) == content  # and read back while it is written
    if message.faults:
        assert {fault.severity for fault in message.faults} == {"error"}
        with pytest.raises(UnreadableMessage) as caught:
            mark_possible_duplicate(content)
        assert caught.value.violations == message.faults
    lines = content.decode("latin-1").split("\n")
    for field in message.fields:
        line, first = lines[field.line - 1], f":{field.tag}:{field.value.partition(chr(10))[0]}"
        if field is message.fields[0] and message.layout.opening != "\n":
            assert first in line
        else:
            assert line.startswith(first)
    if message.faults:
        return True
    marked = mark_possible_duplicate(content)
    if message.trailer("PDE") is None:
        again = parse(marked)
        assert again.trailer("PDE") == ""
        if message.trailers != ():
            assert write(without_trailer(again, "PDE")) == content
        assert len(marked) == len(content) + len("{PDE:}" if message.trailers is not None else "{5:{PDE:}}")
    else:
        assert marked == content
    return True


@st.composite
def fin_like(draw: st.DrawFn) -> bytes:
    """Draw a message of ours, with a few pieces taken out, put in, doubled or replaced."""
    content = draw(st.sampled_from(GOLDEN))
    for _ in range(draw(st.integers(0, 5))):
        start = draw(st.integers(0, len(content)))
        end = min(len(content), start + draw(st.integers(0, 40)))
        piece = draw(st.one_of(st.sampled_from(PIECES), st.binary(max_size=8), st.just(content[start:end] * 2)))
        content = content[:start] + piece + content[end:]
    return content


@settings(max_examples=300)
@given(fin_like())
def test_a_message_changed_at_random_is_read_to_the_byte_or_refused(content: bytes) -> None:
    judge(content)


@settings(max_examples=200)
@given(st.lists(st.sampled_from(PIECES), max_size=30).map(b"".join))
def test_pieces_in_any_order_are_read_to_the_byte_or_refused(content: bytes) -> None:
    judge(content)


@settings(max_examples=200)
@given(fin_like())
def test_a_message_with_faults_is_never_valid_and_says_nothing(content: bytes) -> None:
    faults = faults_of(content)
    verdict = messages().validator.check(content)
    messages().validator.envelope_references(content)
    refusal = None
    try:
        messages().read(content)
    except MessageError as error:
        refusal = error
    if refusal is None:
        assert verdict.valid
        assert not faults
        return
    assert not (faults and verdict.valid)
    if not content.lstrip().startswith(b"{1:F21"):  # which is cut first: the message that it is of may follow
        assert set(faults) <= set(refusal.violations)
        assert set(faults) <= set(verdict.violations)


def faults_of(content: bytes) -> tuple[Violation, ...]:
    """Return the faults of a message; none of what is no message."""
    try:
        return parse(content).faults
    except UnreadableMessage:
        return ()


@settings(max_examples=100)
@given(st.binary(max_size=200))
def test_any_bytes_are_refused_and_nothing_else(content: bytes) -> None:
    judge(content)


def changed(source: random.Random) -> bytes:
    """Draw as ``fin_like`` does, at the speed that a million asks for."""
    content = source.choice(GOLDEN)
    for _ in range(source.choice((0, 1, 1, 1, 2, 2, 3, 5))):
        start = int(source.random() * (len(content) + 1))
        end = start + int(source.random() * source.choice((1, 4, 40)))
        kind = source.random()
        if kind < 0.5:
            piece = source.choice(PIECES)
        elif kind < 0.7:
            piece = bytes((int(source.random() * 256),))
        elif kind < 0.85:
            piece = content[start:end] * 2
        else:
            other = source.choice(GOLDEN)
            piece = other[int(source.random() * len(other)) :]
        content = content[:start] + piece + content[end:]
    return content


@pytest.mark.slow
@pytest.mark.skipif(not FULL, reason="takes minutes; GATEWAY_TEST_FULL=1")
def test_a_million_changed_messages() -> None:
    source = random.Random(SEED)
    read = 0
    for number in range(INPUTS):
        content = changed(source)
        try:
            read += judge(content)
        except Exception as error:
            pytest.fail(f"input {number} of seed {SEED}: {error!r} on {content!r}")
    assert INPUTS // 10 < read < INPUTS * 9 // 10  # both kinds are met often
