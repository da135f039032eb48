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
    from gateway.messages.catalogue import Catalogue
    from gateway.messages.reading import Reader
    from gateway.messages.validation import Validator
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

    Of a file of several FIN messages, each in turn. Exit 2 with the reason for one that is not valid.
    """
    from gateway.errors import GatewayError
    from gateway.messages.data_files import read_tables
    from gateway.messages.fin import messages_in
    from gateway.messages.reading import Reader, parse_table
    from gateway.messages.schema_files import load_catalogue
    from gateway.messages.validation import Validator

    try:
        given = file.read_bytes()
    except OSError as error:
        raise GatewayError(f"{file}: {error.strerror or error}", code="file_unreadable") from error
    catalogue = load_catalogue(user_directory)
    validator = Validator(catalogue)
    texts = {**read_tables("reading", ".read"), **read_tables("fin/reading", ".read")}
    reader = Reader(validator, catalogue, [parse_table(text, name) for name, text in texts.items()])
    for piece in messages_in(given):
        _show(str(file), piece, catalogue, validator, reader, as_json=as_json)


def _show(
    file: str, content: bytes, catalogue: Catalogue, validator: Validator, reader: Reader, *, as_json: bool
) -> None:
    from gateway.errors import UnreadableMessage
    from gateway.messages.content import content_of
    from gateway.messages.reading import invalid

    parsed = validator.parse(content)
    if not validator.is_valid(parsed):
        raise invalid(parsed, validator)
    said = {name: content_of(catalogue.message(name), element) for name, element in parsed.parts}
    if parsed.message_definition and parsed.document is not None and not said:  # a FIN message
        said = {parsed.message_definition: _elements(parsed.document[0])}
    reply: Reply | None = None
    try:
        reply = reader.extract(parsed)
    except UnreadableMessage as error:
        why = error.text
    if as_json:
        facts = [] if reply is None else [_record(references, fact) for references, fact in reply.facts]
        print(json.dumps({"file": file, "content": said, "facts": facts}, ensure_ascii=False))
        return
    for name, elements in said.items():
        print(name)
        for line in _outline(elements, 1):
            print(line)
    if reply is None:
        print(f"no facts: {why}")
        return
    for references, fact in reply.facts:
        record = _record(references, fact)
        print(f"read as {record.pop('fact')}")
        for line in _outline(record, 1):
            print(line)


def _elements(element: Any) -> dict[str, Any]:
    """Return the elements of a FIN message as nested values; one that is there several times is a list."""
    found: dict[str, Any] = {}
    for child in element:
        name, currency = child.tag.rpartition("}")[2], child.get("Ccy")
        value = _elements(child) if len(child) else child.text
        value = value if currency is None else {"value": value, "@Ccy": currency}
        if name in found:
            earlier = found[name]
            value = [*earlier, value] if isinstance(earlier, list) else [earlier, value]
        found[name] = value
    return found


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
