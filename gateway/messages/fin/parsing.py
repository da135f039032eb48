"""Reading the bytes of one FIN message: hardened, in linear time, with every violation that can be told at once.

What is right is read by a few splits; only what is not is looked at line by line. Departures that lose nothing are read
and kept (line ends of LF alone, white space between blocks), so that writing the message gives the same bytes.
"""

from __future__ import annotations

import re
from itertools import accumulate, repeat
from operator import add
from typing import Final

from gateway.errors import UnreadableMessage, Violation
from gateway.messages.fin import headers
from gateway.messages.fin.characters import PRINTABLE, X, Z
from gateway.messages.fin.message import (
    ACKNOWLEDGEMENT_SERVICE,
    FIN_SERVICE,
    STANDARD_LAYOUT,
    BasicHeader,
    Field,
    FinMessage,
    InputHeader,
    Layout,
    OutputHeader,
    TagBlock,
)
from gateway.messages.fin.violations import MAX_VIOLATIONS, VALUE_LIMIT, shown, too_large, violation

MAX_BYTES: Final = 1_000_000  # a hundred times what the network carries: statements are met in one piece
MAX_FIELDS: Final = 20_000
MAX_LINES: Final = 50_000
MAX_FIELD_LENGTH: Final = 10_000  # the longest message of the network

_START = re.compile(rb"[\x01 \r\n\t]*\{1:")
_WHITE_SPACE = re.compile(r"[ \r\n\t]*")
_BRACES = re.compile(r"[{}]")
_FLAT = re.compile(r"\{([0-9]{3}):([^}]*)\}")
_USER_HEADER = X.strip("\r\n") + "{}"
_PRINTABLE, _Z, _X = PRINTABLE.encode(), Z.encode(), _USER_HEADER.encode()
_UNPRINTABLE = re.compile(f"[^{re.escape(PRINTABLE)}]")
_FOREIGN_TO_USER_HEADER = re.compile(f"[{re.escape(''.join(sorted(set(PRINTABLE) - set(_USER_HEADER))))}]")
_FOREIGN = re.compile(f"[{re.escape(''.join(sorted(set(PRINTABLE) - set(Z) - {'}'})))}]")
_TAGS = frozenset(f"{number:02}{option}" for number in range(100) for option in ("", *"ABCDEFGHIJKLMNOPQRSTUVWXYZ"))
_TAG_RULE = "a tag is two digits and perhaps a capital letter, between colons; no other line begins with a colon"
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
_ARTEFACTS = (
    (re.compile(r'^" *\+|\+ *"|" *\+ *$'), "the quotes and plus signs that join texts in a programming language"),
    (re.compile(r"\\[nr]"), "a line end written as backslash and letter"),
    (re.compile(r"^\s*(//|\*|#)+\s*:[0-9]{2}[A-Z]?:"), "the mark of a comment before a tag"),
)
_JOINED = '" + "'  # the artefact whose characters are all of set Z


def is_fin(content: bytes) -> bool:
    """Say whether bytes begin as a FIN message or a file of them does; cheap, promises nothing of the rest."""
    return _START.match(content, 0, 1_000) is not None


def parse(content: bytes, *, first_line: int = 1) -> FinMessage:
    """Read one message; ``first_line`` is the line on which it begins in the file that it came in.

    Raises ``UnreadableMessage`` with every violation that could be told apart, at most 100; codes ``fin_too_large``,
    ``fin_not_a_message``, ``fin_several_messages``, ``fin_block_malformed``, ``fin_block_missing``,
    ``fin_header_malformed``, ``fin_text_malformed``, ``fin_tag_malformed``, ``fin_character_invalid``,
    ``fin_line_ends_mixed``, ``fin_code_artefact``. The message's warnings have ``fin_line_forbidden``, and
    ``fin_block_malformed`` for an acknowledgement that can be read all the same.
    """
    if len(content) > MAX_BYTES:
        found = too_large("the message", "bytes", len(content), MAX_BYTES)
        raise UnreadableMessage(found.text, code=found.code, violations=[found])
    return _Reading(content, first_line).message()


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


class _Reading:
    """One message being read: its text, one character a byte, and what was found wrong so far."""

    def __init__(self, content: bytes, first_line: int) -> None:
        self.content, self.text, self.first_line = content, content.decode("latin-1"), first_line
        self.errors: list[Violation] = []
        self.warnings: list[Violation] = []
        self.line_end = STANDARD_LAYOUT.line_end
        self.basic: BasicHeader | None = None
        self.application: InputHeader | OutputHeader | None = None
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
            self._not_a_message(place)
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
            self._characters(_UNPRINTABLE, 0, len(text))
        if self.errors or self.basic is None:
            self.errors.sort(key=lambda violation: violation.line or 0)
            first = self.errors[0]
            raise UnreadableMessage(first.text, code=first.code, violations=self.errors)
        layout = STANDARD_LAYOUT
        if self.line_end != layout.line_end or any(gaps):
            layout = Layout(self.line_end, tuple(gaps) if any(gaps) else ())
        return FinMessage(
            self.basic,
            self.application,
            self.user_header,
            self.body,
            self.trailers,
            tuple(self.user_blocks),
            layout,
            self.content,
            tuple(self.warnings),
        )

    def _block(self, identifier: str, start: int, seen: str) -> int:
        """Read the block that starts at a place and return where it ends; -1 where the rest cannot be read."""
        text = self.text
        known = "1" <= identifier <= "5" or "A" <= identifier <= "Z"
        if not known or text[start] != "{" or text[start + 2 : start + 3] != ":":
            self._stray(start, seen)
            return -1
        if seen and identifier <= "5" and identifier <= seen[-1]:
            self._misplaced(identifier, start, seen)
            if identifier == "1":
                return -1
        inside = start + 3
        if identifier == "4" and not text.startswith("{", inside):
            return self._text(inside)
        end = text.find("}", inside) if identifier in "12" else _matching(text, start)
        if end < 0 and identifier == "4" and self.basic and self.basic.service_id == ACKNOWLEDGEMENT_SERVICE:
            return self._unclosed_reason(inside)
        if end < 0:
            self._unclosed(identifier, start)
            return -1
        value = text[inside:end]
        match identifier:
            case "1":
                self.basic = headers.read_basic(value)
                if self.basic is None:
                    self._header(headers.BASIC, "1", value, inside)
            case "2":
                self.application = headers.read_application(value)
                if self.application is None:
                    self._header(headers.application(value), "2", value, inside)
            case "3":
                self.user_header = self._tag_blocks("3", value, inside)
                if self.content[inside:end].translate(None, _X):
                    self._characters(_FOREIGN_TO_USER_HEADER, inside, end)
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
            end = self._open_text(start, end)
            if end < 0:
                return -1
        body = text[start : end - 1]
        if self.content[start:end].translate(None, _Z):
            self._characters(_FOREIGN, start, end)
        if body.startswith("\r\n"):
            count = body.count("\n")
            if body.count("\r\n") != count or body.count("\r") != count:
                self._mixed_line_ends(start, body)
            body = body.replace("\r\n", "\n")
        else:
            self.line_end = "\n"
            if "\r" in body:
                self._mixed_line_ends(start, body)
                body = body.replace("\r\n", "\n")
        if body[:2] != "\n:" and body != "\n":
            self._before_first_field(start, body)
        if _JOINED in body or "\\" in body:
            self._artefacts(start, body)
        elif "\n-" in body or "\n\n" in body:
            self._forbidden_lines(start, body)
        self.body = self._fields(start, body[:-1])
        return end + 1

    def _fields(self, start: int, body: str) -> tuple[Field, ...]:
        """Split the lines of the text into fields; ``body`` begins with a line end and has none after its last line."""
        chunks = body.split("\n:")[1:]
        if not chunks:
            return ()
        first = self._line(start) + 1 + (body.count("\n", 0, body.find("\n:")) if body[1:2] != ":" else 0)
        if len(body) > MAX_FIELD_LENGTH and not self._within_limits(first, body, chunks):
            return ()
        tags, colons, values = zip(*map(str.partition, chunks, repeat(":")), strict=True)
        if not _TAGS.issuperset(tags) or colons.count(":") != len(colons):
            self._tags(first, chunks)
        counts = accumulate(map(str.count, chunks, repeat("\n")), initial=first)
        return tuple(map(Field, tags, values, map(add, counts, range(len(chunks)))))

    def _tag_blocks(self, identifier: str, value: str, start: int) -> tuple[TagBlock, ...] | None:
        """Read the blocks inside block 3, 4 or 5 and check what is known of their tags and values."""
        blocks = tag_blocks(value)
        if blocks is None:
            self._error(
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
                    self._tag_of_block(identifier, block, start, "three capital letters")
                elif (known := _TRAILERS.get(block.tag)) and not known[0].fullmatch(block.value):
                    self._value_of_block(identifier, block, start, known[1])
            elif len(block.tag) != 3 or not block.tag.isdecimal():
                self._tag_of_block(identifier, block, start, "three digits")
            elif block.tag == "121" and identifier == "3" and not _UETR.fullmatch(block.value):
                self._value_of_block(identifier, block, start, "a UUID of version 4 in small letters")
        return blocks

    # What follows is reached only where something is wrong, and may take its time.

    def _error(self, code: str, path: str, place: int, rule: str, value: str | None, text: str) -> None:
        if not self._full():
            self.errors.append(violation(code, path, rule, value, text, self._line(place)))

    def _add(self, violation: Violation) -> None:
        if not self._full():
            self.errors.append(violation)

    def _full(self) -> bool:
        return len(self.errors) >= MAX_VIOLATIONS

    def _line(self, place: int) -> int:
        return self.first_line + self.text.count("\n", 0, place)

    def _line_at(self, place: int) -> str:
        """Return the line that a place is on, or the part of a long one around it."""
        start = max(self.text.rfind("\n", 0, place) + 1, place - VALUE_LIMIT // 2)
        return self.text[start : start + VALUE_LIMIT].partition("\n")[0].rstrip("\r")

    def _whole(self, seen: str) -> None:
        """Ask for the blocks that a message cannot be without."""
        if self.basic is not None and self.basic.service_id == FIN_SERVICE and "2" not in seen and not self.errors:
            self._error(
                "fin_block_missing",
                "2",
                0,
                "a message of service 01 has an application header",
                None,
                "block 2, the application header, is missing",
            )

    def _characters(self, foreign: re.Pattern[str], start: int, end: int) -> None:
        """Name the first character of each line that is foreign to it."""
        told = start
        for found in foreign.finditer(self.text, start, end):
            if self._full():
                return
            if found.start() >= told:
                self._character(found.start())
                told = self.text.find("\n", found.start()) + 1 or end

    def _character(self, place: int) -> None:
        column = place - self.text.rfind("\n", 0, place)
        text = self.text
        block = max("12345", key=lambda identifier: text.rfind(f"{{{identifier}:", 0, place))
        what, rule = "no field of FIN may", "characters of sets X, Y and Z, and no closing brace"
        if block == "3":
            what, rule = "the user header may not", "characters of set X, and no line ends"
        self._error(
            "fin_character_invalid",
            block,
            place,
            rule,
            self._line_at(place),
            f"character {column} of line {self._line(place)} is {self._name(place)}, which {what} hold",
        )

    def _name(self, place: int) -> str:
        character = self.text[place]
        if " " < character < "\x7f":
            return repr(character)
        for length in (2, 3, 4):
            encoded = self.content[place : place + length]
            if not encoded.isascii() and (decoded := encoded.decode(errors="ignore")) and decoded.isprintable():
                return f"{decoded[0]!r} in UTF-8"
        return f"byte 0x{self.content[place]:02X}"

    def _not_a_message(self, place: int) -> None:
        beginning = self.text[place : place + 30]
        self._error(
            "fin_not_a_message",
            "1",
            place,
            "a FIN message begins with its basic header, {1:",
            beginning,
            f"the message begins with {shown(beginning)} and not with {{1:",
        )

    def _stray(self, place: int, seen: str) -> None:
        if self.errors and not seen:
            return
        after = f"after block {seen[-1]}" if seen else "at the start"
        self._error(
            "fin_block_malformed",
            seen[-1:] or "1",
            place,
            "a block begins with a brace, its identifier (1 to 5, or a letter) and a colon; nothing is between blocks",
            self.text[place : place + VALUE_LIMIT],
            f"{after} stands {shown(self.text[place : place + 30])}, which begins no block",
        )

    def _misplaced(self, identifier: str, place: int, seen: str) -> None:
        if identifier == "1":
            self._error(
                "fin_several_messages",
                "1",
                place,
                "one message; a file of several is split first",
                self.text[place : place + VALUE_LIMIT],
                f"a second message begins on line {self._line(place)}",
            )
            return
        self._error(
            "fin_block_malformed",
            identifier,
            place,
            "blocks 1 to 5 stand in order, each once, before blocks with a letter",
            identifier,
            f"block {identifier} stands after block {seen[-1]}",
        )

    def _unclosed(self, identifier: str, place: int) -> None:
        self._error(
            "fin_block_malformed",
            identifier,
            place,
            "every block is closed by a brace of its own",
            self.text[place : place + VALUE_LIMIT],
            f"block {identifier}, which begins on line {self._line(place)}, is not closed",
        )

    def _header(self, header: headers.Header, identifier: str, value: str, place: int) -> None:
        lengths = " or ".join(map(str, header.lengths))
        length = "" if len(value) in header.lengths else f", {len(value)} characters where {lengths} are right"
        for name, rule, part in header.explain(value):
            self._error(
                "fin_header_malformed",
                identifier,
                place,
                f"{name}: {rule}; the {header.name} has {lengths} characters",
                part,
                f"block {identifier} ({header.name}{length}): {name} is {shown(part)}; expected {rule}",
            )

    def _unclosed_reason(self, start: int) -> int:
        """Read an acknowledgement one block of which is not closed before the next, as interfaces have sent them.

        The block's value takes in the next one, brace and all, so that it is written as it came.
        """
        end = self.text.find("}}", start)
        blocks = _FLAT.findall(self.text, start, end + 1)
        if end < 0 or sum(len(tag) + len(value) + 3 for tag, value in blocks) != end + 1 - start:
            self._unclosed("4", start - 3)
            return -1
        self.body = tuple(TagBlock(tag, value) for tag, value in blocks)
        text = f"a block of the acknowledgement is not closed: {shown(self.text[start:end])}"
        rule = "every block is closed by a brace of its own"
        self.warnings.append(
            violation("fin_block_malformed", "4", rule, self.text[start:end], text, self._line(start), "warning")
        )
        return end + 2

    def _tag_of_block(self, identifier: str, block: TagBlock, place: int, rule: str) -> None:
        text = f"block {identifier} has a block with the tag {shown(block.tag)}; expected {rule}"
        self._error("fin_block_malformed", identifier, place, f"tags are {rule}", block.tag, text)

    def _value_of_block(self, identifier: str, block: TagBlock, place: int, rule: str) -> None:
        path = f"{identifier}/{block.tag}"
        text = f"{{{block.tag}:}} of block {identifier} holds {shown(block.value)}; expected {rule}"
        self._error("fin_block_malformed", path, place, rule, block.value, text)

    def _open_text(self, start: int, end: int) -> int:
        """Explain a text that its first closing brace does not end as it should; return its real end, or -1."""
        text = self.text
        real = text.find("\n-}", start)
        if real >= 0:
            while 0 <= end < real and not self._full():
                self._character(end)
                end = text.find("}", end + 1)
            return real + 2
        rule = "the text ends with a line of its own that is -}"
        lines = text[start : end if end >= 0 else len(text)]
        if self._artefacts(start, lines):
            return -1
        if end < 0:
            found = "block 4, the text, is not closed"
        else:
            found = f"the text is closed by {shown(self._line_at(end)[-30:])} on line {self._line(end)}"
        self._error("fin_text_malformed", "4", max(end, start), rule, self._line_at(max(end, start)), found)
        return -1

    def _mixed_line_ends(self, start: int, body: str) -> None:
        expected = "CR LF" if body.startswith("\r\n") else "LF"
        wrong = re.search(r"(?<!\r)\n|\r(?!\n)" if expected == "CR LF" else r"\r", body)
        place = start if wrong is None else start + wrong.start()
        self._error(
            "fin_line_ends_mixed",
            "4",
            place,
            "all lines of a text end alike: CR LF, as the network has it, or LF alone",
            self._line_at(place),
            f"line {self._line(place)} does not end with {expected}, as the lines before it do",
        )

    def _artefacts(self, start: int, body: str) -> bool:
        """Name the lines that hold what belongs to a program's source and not to a message; say whether any does."""
        line = self._line(start)
        before = len(self.errors)
        for number, content in enumerate(body.split("\n"), line):
            found = next((what for pattern, what in _ARTEFACTS if pattern.search(content)), None)
            if found is not None:
                rule = "a message as it travels, not as it stands in the source of a program"
                text = f"line {number} holds {found}"
                self._add(violation("fin_code_artefact", "4", rule, content, text, number))
        return len(self.errors) > before

    def _before_first_field(self, start: int, body: str) -> None:
        if self._artefacts(start, body):
            return
        stray = body[: body.find("\n:") if "\n:" in body else len(body)].strip("\n")
        place = start + len(body) - len(body.lstrip("\n\r ")) if stray.strip() else start
        self._error(
            "fin_text_malformed",
            "4",
            place,
            "the line after {4: begins with the first tag",
            stray,
            f"the text begins with {shown(stray[:30])} and not with a tag on a line of its own",
        )

    def _tags(self, first: int, chunks: list[str]) -> None:
        line = first
        for chunk in chunks:
            tag, colon, _ = chunk.partition(":")
            if not colon or tag not in _TAGS:
                content = ":" + chunk.partition("\n")[0]
                text = f"line {line} begins with {shown(content[:30])}, which is no tag"
                self._add(violation("fin_tag_malformed", "4", _TAG_RULE, content, text, line))
            line += chunk.count("\n") + 1

    def _forbidden_lines(self, start: int, body: str) -> None:
        first = self._line(start)
        for number, content in enumerate(body.split("\n")[1:-1], first + 1):
            if len(self.warnings) < MAX_VIOLATIONS and (not content or content.startswith("-")):
                what = f"begins with a hyphen: {shown(content[:30])}" if content else "is empty"
                rule = "no line of a field is empty or begins with a hyphen or colon"
                text = f"line {number} {what}"
                self.warnings.append(violation("fin_line_forbidden", "4", rule, content, text, number, "warning"))

    def _within_limits(self, first: int, body: str, chunks: list[str]) -> bool:
        before = len(self.errors)
        for what, count, limit in (("fields", len(chunks), MAX_FIELDS), ("lines", body.count("\n"), MAX_LINES)):
            if count > limit:
                self._add(too_large("the text", what, count, limit, first))
        line = first
        for chunk in chunks[:MAX_FIELDS]:
            if len(chunk) > MAX_FIELD_LENGTH:
                tag = chunk.partition(":")[0][:3]
                self._add(too_large(f"field {tag}", "characters", len(chunk), MAX_FIELD_LENGTH, line))
            line += chunk.count("\n") + 1
        return len(self.errors) == before


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
