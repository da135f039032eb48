"""Files of several FIN messages: which of the three usual kinds, cut into messages and put together again.

RJE separates messages by a dollar sign, which no character set has. DOS-PCC puts each between the bytes 0x01 and 0x03
and fills up with spaces to sectors of 512 bytes. Otherwise messages follow each other, with or without white space; an
acknowledgement followed by the message that it is of is such a file.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import Enum
from typing import Final

from gateway.errors import Violation
from gateway.messages.fin.violations import MAX_VIOLATIONS, VALUE_LIMIT, violation

SECTOR: Final = 512
_START, _END, _SEPARATOR = b"\x01", b"\x03", b"$"
_FILLER = b" \r\n\t\x00\x01\x03\x1a$"  # 0x1A: the end of a file under DOS
_BEGINNING = b"{1:"
_BRACES = re.compile(rb"[{}]")
_WHITE_SPACE = re.compile(rb"[ \r\n\t]*")


class FileKind(Enum):
    """How messages are separated in a file."""

    PLAIN = "plain"
    RJE = "rje"
    DOS_PCC = "dos-pcc"


@dataclass(frozen=True, slots=True)
class FinFile:
    """A file cut into messages.

    ``messages`` are bytes to parse one by one, so that one that cannot be read does not take others with it; ``lines``
    are those on which they begin. ``between`` is what stands before each message and after the last one.
    ``violations`` (``fin_file_stray``, at most 100) name what is there besides filler: perhaps a message that lost its
    beginning.
    """

    kind: FileKind
    messages: tuple[bytes, ...]
    lines: tuple[int, ...]
    between: tuple[bytes, ...]
    violations: tuple[Violation, ...] = ()

    @property
    def content(self) -> bytes:
        """Return the bytes of the file."""
        pieces = [self.between[0]]
        for message, after in zip(self.messages, self.between[1:], strict=True):
            pieces += (message, after)
        return b"".join(pieces)


def split(content: bytes) -> FinFile:
    """Cut a file into its messages, whatever they are; never fails, loses nothing, in linear time."""
    kind = _kind(content)
    messages, lines, between = [], [], []
    violations: list[Violation] = []
    done, line = 0, 1
    for start, end in _places(content, kind):
        gap = content[done:start]
        violations += _stray(gap, line)
        line += gap.count(b"\n")
        messages.append(content[start:end])
        lines.append(line)
        between.append(gap)
        line += messages[-1].count(b"\n")
        done = end
    between.append(content[done:])
    violations += _stray(between[-1], line)
    return FinFile(kind, tuple(messages), tuple(lines), tuple(between), tuple(violations[:MAX_VIOLATIONS]))


def join(messages: Iterable[bytes], kind: FileKind) -> bytes:
    """Put messages together to a file."""
    match kind:
        case FileKind.PLAIN:
            return b"".join(messages)
        case FileKind.RJE:
            return b"\r\n$\r\n".join(messages)
        case FileKind.DOS_PCC:
            return b"".join(_sectors(message) for message in messages)


def _sectors(message: bytes) -> bytes:
    framed = _START + message + _END
    return framed.ljust(-(-len(framed) // SECTOR) * SECTOR)


def _kind(content: bytes) -> FileKind:
    if content.lstrip(_FILLER.replace(_START, b"")).startswith(_START):
        return FileKind.DOS_PCC
    return FileKind.RJE if _SEPARATOR in content else FileKind.PLAIN


def _places(content: bytes, kind: FileKind) -> Iterator[tuple[int, int]]:
    """Give where each message begins and ends."""
    for start, end in _parts(content, kind):
        beginning = _beginning(content, start, end)
        while beginning < end:
            following = _beginning(content, beginning + 1, end)
            yield beginning, _end(content, beginning, following)
            beginning = following


def _beginning(content: bytes, start: int, end: int) -> int:
    """Return where the next message begins; after a colon it would be one inside another one's block."""
    while (found := content.find(_BEGINNING, start, end)) > 0 and content[found - 1 : found] == b":":
        start = found + 1
    return found if found >= 0 else end


def _end(content: bytes, start: int, end: int) -> int:
    """Return where the blocks of a message end; with one that is not closed, all that follows is the message's."""
    place = start
    while content.startswith(b"{", place, end):
        closed = _closed(content, place, end)
        if closed < 0:
            return start + len(content[start:end].rstrip(_FILLER))
        last = closed
        place = _WHITE_SPACE.match(content, closed, end).end()  # type: ignore[union-attr]  # it matches nothing, too
    return last


def _closed(content: bytes, start: int, end: int) -> int:
    """Return the place after the brace that closes a block, or -1."""
    if content.startswith(b"{4:", start, end) and not content.startswith(b"{4:{", start, end):
        text = content.find(b"\n-}", start, end)  # a brace in a field is the parser's to tell
        return -1 if text < 0 else text + 3
    depth = 0
    for brace in _BRACES.finditer(content, start, end):
        depth += 1 if brace[0] == b"{" else -1
        if depth == 0:
            return brace.end()
    return -1


def _parts(content: bytes, kind: FileKind) -> Iterator[tuple[int, int]]:
    """Give the parts of a file that separators make."""
    separator = {FileKind.RJE: _SEPARATOR, FileKind.DOS_PCC: _START}.get(kind)
    start = 0
    while separator is not None and (end := content.find(separator, start)) >= 0:
        yield start, end
        start = end + 1
    yield start, len(content)


def _stray(gap: bytes, line: int) -> Iterator[Violation]:
    inside = gap.strip(_FILLER)
    if inside:
        line += gap.count(b"\n", 0, gap.find(inside))
        stray = inside[:VALUE_LIMIT].decode("latin-1")
        text = f"line {line} of the file belongs to no message: it begins with {stray[:30]!r}"
        rule = "messages, and between them nothing but separators and white space"
        yield violation("fin_file_stray", "", rule, stray, text, line)
