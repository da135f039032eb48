"""Reading the bytes of one FIN message: hardened, in linear time, with every violation that can be told at once.

What is right is read by a few splits; only what is not is looked at line by line. Departures that lose nothing are read
and kept (line ends of LF alone, white space between blocks), so that writing the message gives the same bytes. What is
wrong and can be told apart all the same becomes a fault of the message: it can be shown, and whoever acts refuses it.
"""

from __future__ import annotations

import re
from itertools import accumulate, repeat
from operator import add

from gateway.messages.fin import headers
from gateway.messages.fin.characters import PRINTABLE, X, Z
from gateway.messages.fin.explaining import MAX_BYTES, MAX_FIELD_LENGTH, TAGS, Findings
from gateway.messages.fin.message import (
    ACKNOWLEDGEMENT_SERVICE,
    FIN_SERVICE,
    STANDARD_LAYOUT,
    BasicHeader,
    Field,
    FinMessage,
    InputHeader,
    Layout,
    MalformedHeader,
    OutputHeader,
    TagBlock,
)
from gateway.messages.fin.violations import shown, too_large, unreadable, violation

_START = re.compile(rb"[\x01 \r\n\t]*\{1:")
_WHITE_SPACE = re.compile(r"[ \r\n\t]*")
_BRACES = re.compile(r"[{}]")
_FLAT = re.compile(r"\{([0-9]{3}):([^}]*)\}")
_USER_HEADER = X.strip("\r\n") + "{}"
_PRINTABLE, _Z, _X = PRINTABLE.encode(), Z.encode(), _USER_HEADER.encode()
_UNPRINTABLE = re.compile(f"[^{re.escape(PRINTABLE)}]")
_FOREIGN_TO_USER_HEADER = re.compile(f"[{re.escape(''.join(sorted(set(PRINTABLE) - set(_USER_HEADER))))}]")
_FOREIGN = re.compile(f"[{re.escape(''.join(sorted(set(PRINTABLE) - set(Z) - {'}'})))}]")
_UETR = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")
_REFERENCE = "[0-9]{6}[A-Z0-9]{12}[0-9]{10}"
_TRAILERS = {
    "CHK": (re.compile("[0-9A-F]{12}"), "12 hexadecimal digits"),
    "TNG": (re.compile(""), "no value"),
    "DLM": (re.compile(""), "no value"),
    "PDE": (re.compile(f"([0-9]{{4}}{_REFERENCE})?"), "nothing, or time HHMM and message input reference"),
    "PDM": (re.compile(f"([0-9]{{4}}{_REFERENCE})?"), "nothing, or time HHMM and message output reference"),
    "SYS": (re.compile(f"([0-9]{{4}}{_REFERENCE})?"), "nothing, or time HHMM and message input reference"),
    "MRF": (re.compile(f"([0-9]{{10}}{_REFERENCE})?"), "nothing, or date, time and message input reference"),
}
_JOINED = '" + "'  # the artefact whose characters are all of set Z


def is_fin(content: bytes) -> bool:
    """Say whether bytes begin as a FIN message or a file of them does; cheap, promises nothing of the rest."""
    return _START.match(content, 0, 1_000) is not None


def parse(content: bytes, *, first_line: int = 1) -> FinMessage:
    """Read one message; ``first_line`` is the line on which it begins in the file that it came in.

    The message's faults are what is wrong with it, at most 100 errors: ``fin_header_malformed``,
    ``fin_character_invalid``, ``fin_block_missing``; ``fin_block_malformed`` for a tag or value of a block,
    ``fin_tag_malformed`` for what is meant as a tag, ``fin_text_malformed`` for a text whose first field or end is on
    no line of its own. Whoever acts on a message refuses one that has any.

    Raises ``UnreadableMessage`` with everything that is wrong where the parts cannot be told apart: these codes, and
    ``fin_too_large``, ``fin_not_a_message``, ``fin_several_messages``, ``fin_line_ends_mixed``, ``fin_code_artefact``.
    The message's warnings have ``fin_line_forbidden``, and ``fin_block_malformed`` for an acknowledgement one block of
    which is not closed.
    """
    if len(content) > MAX_BYTES:
        raise unreadable([too_large("the message", "bytes", len(content), MAX_BYTES)])
    return _Reading(content, first_line).message()


def parse_strictly(content: bytes) -> FinMessage:
    """Read one message to act on it; raises ``UnreadableMessage`` as ``parse`` does, and for faults."""
    message = parse(content)
    if message.faults:
        raise unreadable(message.faults)
    return message


def tag_blocks(text: str) -> tuple[TagBlock, ...] | None:
    """Read the blocks that a value holds (``{177:1104180901}{451:0}``), or return None where it holds anything else."""
    found = []
    place = 0
    while place < len(text):
        end = _matching(text, place) if text[place] == "{" else -1
        tag, colon, value = text[place + 1 : end].partition(":")
        if end < 0 or not colon or not tag.isalnum():
            return None
        found.append(TagBlock(tag, value))
        place = end + 1
    return tuple(found)


class _Reading(Findings):
    """One message being read."""

    def __init__(self, content: bytes, first_line: int) -> None:
        super().__init__(content, first_line)
        self.line_end = STANDARD_LAYOUT.line_end
        self.opening, self.closing = STANDARD_LAYOUT.opening, STANDARD_LAYOUT.closing
        self.basic: BasicHeader | None = None
        self.application: InputHeader | OutputHeader | MalformedHeader | None = None
        self.user_header: tuple[TagBlock, ...] | None = None
        self.body: tuple[Field, ...] | tuple[TagBlock, ...] | None = None
        self.trailers: tuple[TagBlock, ...] | None = None
        self.user_blocks: list[TagBlock] = []

    def message(self) -> FinMessage:
        text = self.text
        place = _skip(text, 0)
        gaps = [text[:place]]
        seen = ""
        if not text.startswith("{1:", place):
            self.not_a_message(place)
            place = len(text)
        while place < len(text):
            identifier = text[place + 1 : place + 2]
            end = self._block(identifier, place, seen)
            if end < 0:
                break
            seen += identifier
            place = _skip(text, end)
            gaps.append(text[end:place])
        self._whole(seen)
        if self.content.translate(None, _PRINTABLE):
            self.characters(_UNPRINTABLE, 0, len(text))
        if self.errors or self.basic is None:
            raise unreadable(self.told())
        layout = Layout(self.line_end, tuple(gaps) if any(gaps) else (), self.opening, self.closing)
        if layout == STANDARD_LAYOUT:
            layout = STANDARD_LAYOUT
        return FinMessage(
            self.basic,
            self.application,
            self.user_header,
            self.body,
            self.trailers,
            tuple(self.user_blocks),
            layout,
            self.content,
            tuple(self.told()) if self.faults else (),
            tuple(self.warnings),
        )

    def _block(self, identifier: str, start: int, seen: str) -> int:
        """Read the block that starts at a place and return where it ends; -1 where the rest cannot be read."""
        text = self.text
        known = "1" <= identifier <= "5" or "A" <= identifier <= "Z"
        if not known or text[start] != "{" or text[start + 2 : start + 3] != ":":
            self.stray(start, seen)
            return -1
        if seen and identifier <= "5" and identifier <= seen[-1]:
            self.misplaced(identifier, start, seen)
            if identifier == "1":
                return -1
        inside = start + 3
        if identifier == "4" and not text.startswith("{", inside):
            return self._text(inside)
        end = text.find("}", inside) if identifier in "12" else _matching(text, start)
        if end < 0 and identifier == "4" and self.basic and self.basic.service_id == ACKNOWLEDGEMENT_SERVICE:
            return self._unclosed_reason(inside)
        if end < 0:
            self.unclosed(identifier, start)
            return -1
        value = text[inside:end]
        match identifier:
            case "1":
                self.basic = headers.read_basic(value)
                if self.basic is None:
                    self.header(headers.BASIC, "1", value, inside)
                    self.basic = headers.cut_basic(value)
            case "2":
                self.application = headers.read_application(value)
                if self.application is None:
                    self.header(headers.application(value), "2", value, inside)
                    self.application = headers.cut_application(value)
            case "3":
                self.user_header = self._tag_blocks("3", value, inside)
                if self.content[inside:end].translate(None, _X):
                    self.characters(_FOREIGN_TO_USER_HEADER, inside, end)
            case "4":
                self.body = self._tag_blocks("4", value, inside)
            case "5":
                self.trailers = self._tag_blocks("5", value, inside)
            case _:
                self.user_blocks.append(TagBlock(identifier, value))
        return end + 1

    def _text(self, start: int) -> int:
        """Read block 4 as fields and return where it ends."""
        text = self.text
        end = text.find("}", start)
        if end < 0 or not text.endswith("\n-", start, end):
            end = self.open_text(start, end)
            if end < 0:
                return -1
        body = text[start : end - 1]
        if self.content[start:end].translate(None, _Z):
            self.characters(_FOREIGN, start, end)
        if "\r\n" in body:
            count = body.count("\n")
            if body.count("\r\n") != count or body.count("\r") != count:
                self.mixed_line_ends(start, body)
            body = body.replace("\r\n", "\n")
        else:
            self.line_end = "\n"
            if "\r" in body:
                self.mixed_line_ends(start, body)
        if not body.endswith("\n"):
            lines = body.rstrip(" \t").removesuffix("\n")
            body, self.closing = f"{lines}\n", f"{body[len(lines) :]}-}}"
        usual = body[:2] == "\n:" or body == "\n"
        suspect = not usual or _JOINED in body or "\\" in body
        if not (suspect and self.artefacts(start, body)):
            if not usual:
                body = self._opened(start, body)
            if "\n-" in body or "\n\n" in body:
                self.forbidden_lines(self.line(start) + self.opening.count("\n"), body)
        self.body = self._fields(start, body[:-1])
        return end + 1

    def _opened(self, start: int, body: str) -> str:
        """Take from a text what stands before its first field, where that is white space; else it is no message."""
        self.before_first_field(start, body)
        fields = body.lstrip(" \t\n")
        if not fields:
            self.closing = body[:-1] + self.closing
            return "\n"
        if not fields.startswith(":"):
            return body
        self.opening = body[: -len(fields)]
        return f"\n{fields}"

    def _fields(self, start: int, body: str) -> tuple[Field, ...]:
        """Split the lines of the text into fields; ``body`` begins with a line end and has none after its last line."""
        chunks = body.split("\n:")[1:]
        if not chunks:
            return ()
        first = self.line(start) + self.opening.count("\n")
        if body[1:2] != ":":
            first += body.count("\n", 0, body.find("\n:"))
        if len(body) > MAX_FIELD_LENGTH and not self.within_limits(first, body, chunks):
            return ()
        tags, colons, values = zip(*map(str.partition, chunks, repeat(":")), strict=True)
        if not TAGS.issuperset(tags) or colons.count(":") != len(colons):
            self.tags(first, chunks)
        counts = accumulate(map(str.count, chunks, repeat("\n")), initial=first)
        return tuple(map(Field, tags, values, map(add, counts, range(len(chunks)))))

    def _tag_blocks(self, identifier: str, value: str, start: int) -> tuple[TagBlock, ...] | None:
        """Read the blocks inside block 3, 4 or 5 and check what is known of their tags and values."""
        blocks = tag_blocks(value)
        if blocks is None:
            self.error(
                "fin_block_malformed",
                identifier,
                start,
                "blocks in braces, each with a tag and a colon, and nothing else",
                value,
                f"block {identifier} holds something other than blocks in braces: {shown(value)}",
            )
            return None
        for block in blocks:
            if identifier == "5":
                if len(block.tag) != 3 or not block.tag.isupper() or not block.tag.isalpha():
                    self.tag_of_block(identifier, block, start, "three capital letters")
                elif (known := _TRAILERS.get(block.tag)) and not known[0].fullmatch(block.value):
                    self.value_of_block(identifier, block, start, known[1])
            elif len(block.tag) != 3 or not block.tag.isdecimal():
                self.tag_of_block(identifier, block, start, "three digits")
            elif block.tag == "121" and identifier == "3" and not _UETR.fullmatch(block.value):
                self.value_of_block(identifier, block, start, "a UUID of version 4 in small letters")
        return blocks

    def _whole(self, seen: str) -> None:
        """Ask for the blocks that a message cannot be without."""
        if self.basic is not None and self.basic.service_id == FIN_SERVICE and "2" not in seen and not self.errors:
            self.fault(
                "fin_block_missing",
                "2",
                0,
                "a message of service 01 has an application header",
                None,
                "block 2, the application header, is missing",
            )

    def _unclosed_reason(self, start: int) -> int:
        """Read an acknowledgement one block of which is not closed before the next, as interfaces have sent them.

        The block's value takes in the next one, brace and all, so that it is written as it came.
        """
        end = self.text.find("}}", start)
        blocks = _FLAT.findall(self.text, start, end + 1)
        if end < 0 or sum(len(tag) + len(value) + 3 for tag, value in blocks) != end + 1 - start:
            self.unclosed("4", start - 3)
            return -1
        self.body = tuple(TagBlock(tag, value) for tag, value in blocks)
        text = f"a block of the acknowledgement is not closed: {shown(self.text[start:end])}"
        rule = "every block is closed by a brace of its own"
        self.warnings.append(
            violation("fin_block_malformed", "4", rule, self.text[start:end], text, self.line(start), "warning")
        )
        return end + 2


def _skip(text: str, place: int) -> int:
    """Return the first place from here on that is no white space."""
    if text.startswith("{", place):
        return place
    found = _WHITE_SPACE.match(text, place)
    return place if found is None else found.end()


def _matching(text: str, start: int) -> int:
    """Return the place of the brace that closes the one at ``start``, or -1."""
    depth = 0
    for found in _BRACES.finditer(text, start):
        depth += 1 if found[0] == "{" else -1
        if depth == 0:
            return found.start()
    return -1
