"""``gateway read``: show what a message says, all of it, and the facts that the gateway takes from it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import msgspec
import typer

if TYPE_CHECKING:
    from gateway.model.facts import Reply


def read(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="a message file")],
    as_json: Annotated[bool, typer.Option("--json", help="one JSON object")] = False,
    user_directory: Annotated[
        Path | None,
        typer.Option(envvar="GATEWAY_SCHEMAS__DIRECTORY", help="the folder of your own schemas"),
    ] = None,
) -> None:
    """Show everything that a valid message says, and the facts that are read from it.

    Exit 2 with the reason for one that is not valid.
    """
    from gateway.errors import GatewayError, UnreadableMessage
    from gateway.messages.content import content_of
    from gateway.messages.data_files import read_tables
    from gateway.messages.reading import Reader, invalid, parse_table
    from gateway.messages.schema_files import load_catalogue
    from gateway.messages.validation import Validator

    try:
        given = file.read_bytes()
    except OSError as error:
        raise GatewayError(f"{file}: {error.strerror or error}", code="file_unreadable") from error
    catalogue = load_catalogue(user_directory)
    validator = Validator(catalogue)
    parsed = validator.parse(given)
    if not validator.is_valid(parsed):
        raise invalid(parsed, validator)
    said = {name: content_of(catalogue.message(name), element) for name, element in parsed.parts}
    tables = [parse_table(text, name) for name, text in read_tables("reading", ".read").items()]
    reply: Reply | None = None
    try:
        reply = Reader(validator, catalogue, tables).extract(parsed)
    except UnreadableMessage as error:
        why = error.text
    if as_json:
        facts = [] if reply is None else [_record(references, fact) for references, fact in reply.facts]
        print(json.dumps({"file": str(file), "content": said, "facts": facts}, ensure_ascii=False))
        return
    for name, content in said.items():
        print(name)
        for line in _outline(content, 1):
            print(line)
    if reply is None:
        print(f"no facts: {why}")
        return
    for references, fact in reply.facts:
        record = _record(references, fact)
        print(f"read as {record.pop('fact')}")
        for line in _outline(record, 1):
            print(line)


def _record(references: Any, fact: Any) -> dict[str, Any]:
    return {"fact": type(fact).__name__, **_given(fact), "references": _given(references)}


def _given(value: Any) -> Any:
    """Return a fact as JSON can carry it, without the fields that the message does not give."""
    if is_dataclass(value) and not isinstance(value, type):
        pairs = ((each.name, getattr(value, each.name)) for each in fields(value))
        return {name: _given(inner) for name, inner in pairs if inner not in (None, (), False)}
    if isinstance(value, tuple | list):
        return [_given(inner) for inner in value]
    return msgspec.to_builtins(value)


def _outline(value: Any, depth: int) -> Iterator[str]:
    """Write nested values a line each, two blanks a level; what repeats comes again under its name."""
    for name, inner in value.items():
        for one in inner if isinstance(inner, list) else (inner,):
            if isinstance(one, dict) and set(one) - {"value", "@Ccy"}:
                yield f"{'  ' * depth}{name}"
                yield from _outline(one, depth + 1)
            else:
                shown = " ".join(str(part) for part in one.values()) if isinstance(one, dict) else str(one)
                yield f"{'  ' * depth}{name}  {shown}"
