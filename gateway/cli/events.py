"""``gateway events``: the JSON Schema of trade events, examples, and a check of files of events."""

from __future__ import annotations

import difflib
import json
import re
import sys
from collections.abc import Iterator
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from gateway.errors import EventError, Violation

if TYPE_CHECKING:
    from gateway.model.events import EventKind

app = typer.Typer(no_args_is_help=True, help="Trade events: their JSON Schema, examples, and a check of files.")

_KindName = Annotated[str, typer.Argument(metavar="KIND", help="a kind of event, such as instruct_settlement/1")]


@app.command()
def schema(kind: Annotated[str | None, typer.Argument(help="a kind of event  [default: all]")] = None) -> None:
    """Print the JSON Schema of one kind of event, or of all that the topic carries.

    A field's description says which element of the message it fills.
    """
    from pydantic import TypeAdapter

    from gateway.messages.data_files import read_tables
    from gateway.messages.describing import describe_fields
    from gateway.messages.mapping import parse_table
    from gateway.model.events import TRADE_EVENT

    described = (TRADE_EVENT if kind is None else TypeAdapter(_kind(kind).model)).json_schema()
    describe_fields(described, [parse_table(text, name) for name, text in read_tables("mapping", "map").items()])
    print(json.dumps(described, indent=2, ensure_ascii=False))


@app.command()
def example(
    kind: _KindName, minimal: Annotated[bool, typer.Option(help="only the fields that are required")] = False
) -> None:
    """Print a valid event of a kind, with every field that the kind has."""
    found = _kind(kind)
    print(json.dumps(found.minimal if minimal else found.example, indent=2, ensure_ascii=False))


@app.command()
def check(
    file: Annotated[Path, typer.Argument(help="JSON (one event or a list) or JSON lines; - is standard input")],
    as_json: Annotated[bool, typer.Option("--json", help="one JSON object an event")] = False,
) -> None:
    """Check every event of a file: line, path, rule and value of every violation. Exit 0 only if all are valid."""
    from gateway.model.events import parse_event

    try:
        content = sys.stdin.buffer.read() if str(file) == "-" else file.read_bytes()
    except OSError as error:
        raise typer.BadParameter(f"{file}: {error.strerror}") from error
    count = refused = 0
    for line, event in split_events(content):
        count += 1
        violations: list[Violation] = []
        try:
            parse_event(event)
        except EventError as error:
            violations = [replace(found, line=line + (found.line or 1) - 1) for found in error.violations]
            refused += 1
        if as_json:
            record = {"file": str(file), "line": line, "valid": not violations}
            print(json.dumps(record | {"violations": [asdict(found) for found in violations]}, ensure_ascii=False))
        for found in () if as_json else violations:
            print(f"{file}:{found.line}: {found.text} [{found.code}]")
            print(f"    path {found.path or '-'} | rule {found.rule} | value {found.value if found.value else '-'}")
    if not as_json:
        print(f"{count} events, {refused} refused" if count else f"{file}: no event in it")
    if refused or not count:
        raise typer.Exit(1)


_BETWEEN = re.compile(r"[\s,\[\]]*")


def split_events(content: bytes) -> Iterator[tuple[int, bytes]]:
    """Yield the events of a file, each with the line on which it begins.

    They may stand one a line, one after the other over several lines, or in a list. What is no JSON reaches to the end
    of its line, so that the events after it are looked at too.
    """
    text = content.decode("utf-8", "surrogateescape")
    decoder = json.JSONDecoder()
    position, line, counted = 0, 1, 0
    while True:
        position = _skip(text, position)
        if position == len(text):
            return
        try:
            _, end = decoder.raw_decode(text, position)
        except (ValueError, RecursionError):
            end = text.find("\n", position)
            end = len(text) if end < 0 else end
        line += text.count("\n", counted, position)
        counted = position
        yield line, text[position:end].encode("utf-8", "surrogateescape")
        position = end


def _skip(text: str, position: int) -> int:
    between = _BETWEEN.match(text, position)
    return between.end() if between else position


def _kind(name: str) -> EventKind:
    from gateway.model.events import EVENT_KINDS

    if "/" not in name:  # the newest major version
        name = max((known for known in EVENT_KINDS if known.startswith(f"{name}/")), default=name)
    if name not in EVENT_KINDS:
        close = difflib.get_close_matches(name, EVENT_KINDS, n=1)
        hint = f"; did you mean {close[0]}?" if close else ""
        raise typer.BadParameter(f"{name} is no kind of event; there are {', '.join(EVENT_KINDS)}{hint}")
    return EVENT_KINDS[name]
