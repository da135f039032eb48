"""Explaining what is wrong with bytes that should be one FIN message: reached only then, and in no hurry.

Every place is named by its line; all that can be told apart is told, at most a hundred things.
"""

from __future__ import annotations

import re
import string
from typing import Final

from gateway.errors import Violation
from gateway.messages.fin.headers import Header
from gateway.messages.fin.message import TagBlock
from gateway.messages.fin.violations import MAX_VIOLATIONS, VALUE_LIMIT, shown, too_large, violation

MAX_BYTES: Final = 1_000_000  # a hundred times what the network carries: statements are met in one piece
MAX_FIELDS: Final = 20_000
MAX_LINES: Final = 50_000
MAX_FIELD_LENGTH: Final = 10_000  # the longest message of the network

TAGS: Final = frozenset(f"{number:02}{option}" for number in range(100) for option in ("", *string.ascii_uppercase))
_MEANT_AS_TAG = re.compile("[0-9]{1,3}[A-Za-z]?")
_TAG_RULE = "a tag is two digits and perhaps a capital letter, between colons; no other line begins with a colon"
_ARTEFACTS = (
    (re.compile(r'^" *\+|\+ *"|" *\+ *$'), "the quotes and plus signs that join texts in a programming language"),
    (re.compile(r"\\[nr]"), "a line end written as backslash and letter"),
    (re.compile(r"^\s*(//|\*|#)+\s*:[0-9]{2}[A-Z]?:"), "the mark of a comment before a tag"),
)


class Findings:
    """What was found wrong with a message so far; ``text`` is its content, one character a byte.

    ``errors`` are what cannot be told apart, so that there is no message; ``faults`` are what can, and is wrong.
    """

    def __init__(self, content: bytes, first_line: int) -> None:
        self.content, self.text, self.first_line = content, content.decode("latin-1"), first_line
        self.errors: list[Violation] = []
        self.faults: list[Violation] = []
        self.warnings: list[Violation] = []

    def error(
        self, code: str, path: str, place: int, rule: str, value: str | None, text: str, *, apart: bool = False
    ) -> None:
        """Add what is wrong at a place of the text, while there is room; ``apart``: its parts can be told apart."""
        if not (self.full() if apart else self._refused()):
            self.add(violation(code, path, rule, value, text, self.line(place)), apart=apart)

    def fault(self, code: str, path: str, place: int, rule: str, value: str | None, text: str) -> None:
        """Add what is wrong at a place of the text and can be told apart, while there is room."""
        self.error(code, path, place, rule, value, text, apart=True)

    def add(self, found: Violation, *, apart: bool = False) -> None:
        """Add an error, or a fault where it can be told apart, while there is room; faults never take an error's."""
        if apart and not self.full():
            self.faults.append(found)
        elif not apart and not self._refused():
            self.errors.append(found)

    def _refused(self) -> bool:
        return len(self.errors) >= MAX_VIOLATIONS

    def full(self) -> bool:
        """Say whether no more faults can be told."""
        return len(self.errors) + len(self.faults) >= MAX_VIOLATIONS

    def told(self) -> list[Violation]:
        """Return all that is wrong in the order of lines; where there is too much, errors before faults."""
        return sorted((self.errors + self.faults)[:MAX_VIOLATIONS], key=lambda found: found.line or 0)

    def line(self, place: int) -> int:
        """Return the line of the file that a place is on."""
        return self.first_line + self.text.count("\n", 0, place)

    def line_at(self, place: int) -> str:
        """Return the line that a place is on, or the part of a long one around it."""
        start = max(self.text.rfind("\n", 0, place) + 1, place - VALUE_LIMIT // 2)
        return self.text[start : start + VALUE_LIMIT].partition("\n")[0].rstrip("\r")

    def characters(self, foreign: re.Pattern[str], start: int, end: int) -> None:
        """Name the first character of each line that is foreign to it."""
        told = start
        for found in foreign.finditer(self.text, start, end):
            if self.full():
                return
            if found.start() >= told:
                self.character(found.start())
                told = self.text.find("\n", found.start()) + 1 or end

    def character(self, place: int) -> None:
        """Tell of a character that may not stand where it does."""
        column = place - self.text.rfind("\n", 0, place)
        text = self.text
        block = max("12345", key=lambda identifier: text.rfind(f"{{{identifier}:", 0, place))
        what, rule = "no field of FIN may", "characters of sets X, Y and Z, and no closing brace"
        if block == "3":
            what, rule = "the user header may not", "characters of set X, and no line ends"
        self.fault(
            "fin_character_invalid",
            block,
            place,
            rule,
            self.line_at(place),
            f"character {column} of line {self.line(place)} is {self._character_name(place)}, which {what} hold",
        )

    def _character_name(self, place: int) -> str:
        character = self.text[place]
        if " " < character < "\x7f":
            return repr(character)
        for length in (2, 3, 4):
            encoded = self.content[place : place + length]
            if not encoded.isascii() and (decoded := encoded.decode(errors="ignore")) and decoded.isprintable():
                return f"{decoded[0]!r} in UTF-8"
        return f"byte 0x{self.content[place]:02X}"

    def not_a_message(self, place: int) -> None:
        """Tell of bytes that do not begin as a message."""
        beginning = self.text[place : place + 30]
        self.error(
            "fin_not_a_message",
            "1",
            place,
            "a FIN message begins with its basic header, {1:",
            beginning,
            f"the message begins with {shown(beginning)} and not with {{1:",
        )

    def stray(self, place: int, seen: str) -> None:
        """Tell of what stands where a block or the end should; ``seen`` are the blocks before it."""
        self.error(
            "fin_block_malformed",
            seen[-1],
            place,
            "a block begins with a brace, its identifier (1 to 5, or a letter) and a colon; nothing is between blocks",
            self.text[place : place + VALUE_LIMIT],
            f"after block {seen[-1]} stands {shown(self.text[place : place + 30])}, which begins no block",
        )

    def misplaced(self, identifier: str, place: int, seen: str) -> None:
        """Tell of a block that is repeated or out of order, or begins another message."""
        if identifier == "1":
            self.error(
                "fin_several_messages",
                "1",
                place,
                "one message; a file of several is split first",
                self.text[place : place + VALUE_LIMIT],
                f"a second message begins on line {self.line(place)}",
            )
            return
        self.error(
            "fin_block_malformed",
            identifier,
            place,
            "blocks 1 to 5 stand in order, each once, before blocks with a letter",
            identifier,
            f"block {identifier} stands after block {seen[-1]}",
        )

    def unclosed(self, identifier: str, place: int) -> None:
        """Tell of a block without an end."""
        self.error(
            "fin_block_malformed",
            identifier,
            place,
            "every block is closed by a brace of its own",
            self.text[place : place + VALUE_LIMIT],
            f"block {identifier}, which begins on line {self.line(place)}, is not closed",
        )

    def header(self, header: Header, identifier: str, value: str, place: int) -> None:
        """Tell of each part of a header that does not hold."""
        lengths = " or ".join(map(str, header.lengths))
        length = "" if len(value) in header.lengths else f", {len(value)} characters where {lengths} are right"
        for name, rule, part in header.explain(value):
            self.fault(
                "fin_header_malformed",
                identifier,
                place,
                f"{name}: {rule}; the {header.name} has {lengths} characters",
                part,
                f"block {identifier} ({header.name}{length}): {name} is {shown(part)}; expected {rule}",
            )

    def tag_of_block(self, identifier: str, block: TagBlock, place: int, rule: str) -> None:
        """Tell of a tag that no block of its kind has."""
        text = f"block {identifier} has a block with the tag {shown(block.tag)}; expected {rule}"
        self.fault("fin_block_malformed", identifier, place, f"tags are {rule}", block.tag, text)

    def value_of_block(self, identifier: str, block: TagBlock, place: int, rule: str) -> None:
        """Tell of a value that the block of this tag does not have."""
        path = f"{identifier}/{block.tag}"
        text = f"{{{block.tag}:}} of block {identifier} holds {shown(block.value)}; expected {rule}"
        self.fault("fin_block_malformed", path, place, rule, block.value, text)

    def open_text(self, start: int, end: int) -> int:
        """Explain a text that its first closing brace does not end as it should; return its real end, or -1.

        Where no line is its end, a hyphen and brace on another line are; any other brace may belong to a field.
        """
        text = self.text
        real = text.find("\n-}", start)
        if real >= 0:
            while 0 <= end < real and not self.full():
                self.character(end)
                end = text.find("}", end + 1)
            return real + 2
        rule = "the text ends with a line of its own that is -}"
        lines = text[start : end if end >= 0 else len(text)]
        if self.artefacts(start, lines):
            return -1
        if end < 0:
            found = "block 4, the text, is not closed"
        else:
            found = f"the text is closed by {shown(self.line_at(end)[-30:])} on line {self.line(end)}"
        closed = text.endswith("-", start, max(end, start))
        place = max(end, start)
        self.error("fin_text_malformed", "4", place, rule, self.line_at(place), found, apart=closed)
        return end if closed else -1

    def mixed_line_ends(self, start: int, body: str) -> None:
        """Tell of the first line that ends otherwise than those before it."""
        expected = "CR LF" if body[: body.find("\n")].endswith("\r") else "LF"
        wrong = re.search(r"(?<!\r)\n|\r(?!\n)" if expected == "CR LF" else r"\r", body)
        place = start if wrong is None else start + wrong.start()
        self.error(
            "fin_line_ends_mixed",
            "4",
            place,
            "all lines of a text end alike: CR LF, as the network has it, or LF alone",
            self.line_at(place),
            f"line {self.line(place)} does not end with {expected}, as the lines before it do",
        )

    def artefacts(self, start: int, body: str) -> bool:
        """Name the lines that hold what belongs to a program's source and not to a message; say whether any does."""
        line = self.line(start)
        before = len(self.errors)
        for number, content in enumerate(body.split("\n"), line):
            found = next((what for pattern, what in _ARTEFACTS if pattern.search(content)), None)
            if found is not None:
                rule = "a message as it travels, not as it stands in the source of a program"
                text = f"line {number} holds {found}"
                self.add(violation("fin_code_artefact", "4", rule, content, text, number))
        return len(self.errors) > before

    def before_first_field(self, start: int, body: str) -> None:
        """Tell of what stands between the start of the text and its first field: words may belong to a field."""
        stray = body[: body.find("\n:") if "\n:" in body else len(body)].strip("\n")
        place = start + len(body) - len(body.lstrip("\n\r ")) if stray.strip() else start
        self.error(
            "fin_text_malformed",
            "4",
            place,
            "the line after {4: begins with the first tag",
            stray,
            f"the text begins with {shown(stray[:30])} and not with a tag on a line of its own",
            apart=body.strip(" \t\n")[:1] in ("", ":"),
        )

    def tags(self, first: int, chunks: list[str]) -> None:
        """Tell of each line that begins with a colon and no tag; ``first`` is the line of the first one.

        What is meant as a tag is taken for one; any other line may continue the field before it.
        """
        line = first
        for chunk in chunks:
            tag, colon, _ = chunk.partition(":")
            if not colon or tag not in TAGS:
                content = ":" + chunk.partition("\n")[0]
                text = f"line {line} begins with {shown(content[:30])}, which is no tag"
                found = violation("fin_tag_malformed", "4", _TAG_RULE, content, text, line)
                self.add(found, apart=bool(colon and _MEANT_AS_TAG.fullmatch(tag)))
            line += chunk.count("\n") + 1

    def forbidden_lines(self, first: int, body: str) -> None:
        """Warn of lines that the network refuses; ``first`` is the line of the first field."""
        for number, content in enumerate(body.split("\n")[1:-1], first):
            if len(self.warnings) < MAX_VIOLATIONS and (not content or content.startswith("-")):
                what = f"begins with a hyphen: {shown(content[:30])}" if content else "is empty"
                rule = "no line of a field is empty or begins with a hyphen or colon"
                text = f"line {number} {what}"
                self.warnings.append(violation("fin_line_forbidden", "4", rule, content, text, number, "warning"))

    def within_limits(self, first: int, body: str, chunks: list[str]) -> bool:
        """Say whether fields, lines and lengths are within their limits, and tell of those that are not."""
        before = len(self.errors)
        for what, count, limit in (("fields", len(chunks), MAX_FIELDS), ("lines", body.count("\n"), MAX_LINES)):
            if count > limit:
                self.add(too_large("the text", what, count, limit, first))
        line = first
        for chunk in chunks[:MAX_FIELDS]:
            if len(chunk) > MAX_FIELD_LENGTH:
                tag = chunk.partition(":")[0][:3]
                self.add(too_large(f"field {tag}", "characters", len(chunk), MAX_FIELD_LENGTH, line))
            line += chunk.count("\n") + 1
        return len(self.errors) == before
