"""``gateway translate``: what a message is in the other language, and what became of every value of it."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TextIO

import typer

if TYPE_CHECKING:
    from gateway.messages.translation import Report

_HEADINGS = {
    "carried": "carried",
    "derived": "derived: the target states it, the source does not",
    "truncated": "truncated",
    "not_carried": "not carried",
}
_WIDEST = 60


def translate(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="a message file, FIN or ISO 20022")],
    to: Annotated[
        str | None,
        typer.Option(
            metavar="MESSAGE",
            help="what it is to become: sese.023.001.12, sese.023, MT541; without it, what it is in the other language",
        ),
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="one JSON object: the message and its coverage, all of it")
    ] = False,
    report: Annotated[
        bool, typer.Option("--report", help="show the whole coverage instead of the message, and what was carried too")
    ] = False,
    output: Annotated[Path | None, typer.Option("--output", "-o", help="write the message to this file")] = None,
    original: Annotated[
        Path | None,
        typer.Option(help="the instruction that a cancellation is about, which FIN repeats", metavar="FILE"),
    ] = None,
    truncate: Annotated[bool, typer.Option("--truncate", help="cut texts that are too long, and report them")] = False,
    sender: Annotated[str | None, typer.Option(metavar="BIC", help="who sends it, where it does not say")] = None,
    receiver: Annotated[str | None, typer.Option(metavar="BIC", help="who receives it, where it does not say")] = None,
    user_directory: Annotated[
        Path | None,
        typer.Option(envvar="GATEWAY_SCHEMAS__DIRECTORY", help="the folder of your own schemas"),
    ] = None,
) -> None:
    """Translate a message between FIN and ISO 20022, or to another version, and say what became of every value.

    The message goes to standard output, and what is lost of it to standard error. Exit 0 when everything was carried;
    1 when the message is there, but something of the source is truncated or not carried; 2 with the reason where there
    is no valid message to be had.
    """
    from gateway.errors import GatewayError
    from gateway.messages.schema_files import load_catalogue
    from gateway.messages.translation import Translator, Untranslatable

    translator = Translator(load_catalogue(user_directory))
    try:
        made = translator.translate(
            _read(file),
            to,
            now=datetime.now(UTC),
            truncate=truncate,
            original=None if original is None else _read(original),
            sender=sender,
            receiver=receiver,
        )
    except Untranslatable as error:
        if as_json:
            violations = [violation.text for violation in error.violations]
            print(_json({"file": str(file), "error": error.text, "violations": violations, **error.report.as_json()}))
        else:
            _show(error.report, ("truncated", "not_carried"), sys.stderr)
            for violation in error.violations:
                print(f"{violation.code}: {violation.text}", file=sys.stderr)
        raise
    if output is not None:
        try:
            output.write_bytes(made.content)
        except OSError as error:
            raise GatewayError(f"{output}: {error.strerror or error}", code="file_unwritable") from error
    if as_json:
        said = {"file": str(file), "from": made.source, "to": made.definition, "message": made.content.decode()}
        warnings = [violation.text for violation in made.warnings]
        print(_json({**said, "complete": made.report.complete, "warnings": warnings, **made.report.as_json()}))
    elif report:
        print(f"{made.source} to {made.definition}")
        _show(made.report, tuple(_HEADINGS), sys.stdout)
    else:
        if output is None:
            sys.stdout.write(made.content.decode())
            sys.stdout.write("\n")
        _show(made.report, ("truncated", "not_carried"), sys.stderr)
    if not as_json:
        for violation in made.warnings:
            print(f"warning, {violation.code}: {violation.text}", file=sys.stderr)
    if not made.report.complete:
        raise typer.Exit(1)


def _read(file: Path) -> bytes:
    from gateway.errors import GatewayError

    try:
        return file.read_bytes()
    except OSError as error:
        raise GatewayError(f"{file}: {error.strerror or error}", code="file_unreadable") from error


def _json(value: object) -> str:
    return json.dumps(value, ensure_ascii=False)


def _show(report: Report, kinds: tuple[str, ...], stream: TextIO) -> None:
    """Write a table for each kind of entry that there is."""
    for kind in kinds:
        rows = [
            (entry.source or "-", entry.target or "-", entry.value.replace("\n", " / "), entry.why or "")
            for entry in getattr(report, kind)
        ]
        if rows:
            print(f"{_HEADINGS[kind]} ({len(rows)})", file=stream)
            for line in _table(rows):
                print(f"  {line}", file=stream)


def _table(rows: list[tuple[str, str, str, str]]) -> Iterator[str]:
    """Align columns; one that says nothing in any row is left out, and a long value does not push the others away."""
    shown = [number for number in range(4) if any(row[number] not in ("", "-") for row in rows)]
    widths = {number: min(_WIDEST, max(len(row[number]) for row in rows)) for number in shown}
    for row in rows:
        yield "  ".join(row[number].ljust(widths[number]) for number in shown).rstrip()
