"""``gateway validate``: judge message files, whatever they hold."""

from __future__ import annotations

import json
import multiprocessing
import os
import sys
import threading
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from gateway.errors import Violation

if TYPE_CHECKING:
    from gateway.messages.validation import Validator, Verdict

_MANY: Final = 400  # files from which on starting a process for each core pays
_CHUNK: Final = 50  # files a process takes at a time
_MAX_BYTES: Final = 1_000_000

_Judged = tuple[str, "Verdict"]


def validate(
    paths: Annotated[list[Path], typer.Argument(metavar="FILE...", help="message files; folders: every .xml in them")],
    as_json: Annotated[bool, typer.Option("--json", help="one JSON object a line")] = False,
    max_bytes: Annotated[int, typer.Option(min=1, help="the largest message accepted")] = _MAX_BYTES,
    user_directory: Annotated[
        Path | None,
        typer.Option(envvar="GATEWAY_SCHEMAS__DIRECTORY", help="the folder of your own schemas"),
    ] = None,
) -> None:
    """Validate message files against their schemas; exit 0 only if all are valid."""
    files = [file for path in paths for file in _files(path)]
    invalid = 0
    for number, (file, verdict) in enumerate(_judge_all(files, max_bytes, user_directory), 1):
        invalid += not verdict.valid
        _show_json(file, verdict) if as_json else _show(file, verdict)
        _progress(number, len(files), invalid)
    if not as_json:
        print(f"{len(files)} files, {len(files) - invalid} valid, {invalid} not valid")
    if invalid:
        raise typer.Exit(1)


def _files(path: Path) -> Iterable[Path]:
    """Return the files a path stands for; one that is not there is returned too, to be reported like the others."""
    if not path.is_dir():
        return [path]
    found = sorted(file for file in path.rglob("*") if file.suffix.lower() == ".xml" and file.is_file())
    return found or [path]


def _judge_all(files: Sequence[Path], max_bytes: int, user_directory: Path | None) -> Iterator[_Judged]:
    """Judge files in their order, in this process or, when there are many, in one for each core."""
    cores = os.cpu_count() or 1
    if len(files) < _MANY or cores == 1:
        validator = _validator(max_bytes, user_directory)
        for file in files:
            yield _judge(validator, file, max_bytes)
        return
    _validator(max_bytes, user_directory)  # what is imported now is there after the fork
    chunks = [files[start : start + _CHUNK] for start in range(0, len(files), _CHUNK)]
    context = multiprocessing.get_context(_start_method())
    with ProcessPoolExecutor(cores, context, _start, (max_bytes, user_directory)) as pool:
        for judged in pool.map(_judge_chunk, chunks):
            yield from judged


def _start_method() -> str:
    """Return how to start processes: fork spares a second of imports, and is safe while there is but one thread."""
    can_fork = "fork" in multiprocessing.get_all_start_methods() and sys.platform != "darwin"
    return "fork" if can_fork and threading.active_count() == 1 else "spawn"


_process: dict[str, tuple[Validator, int]] = {}  # the validator of a process of the pool


def _start(max_bytes: int, user_directory: Path | None) -> None:
    _process["validator"] = _validator(max_bytes, user_directory), max_bytes


def _judge_chunk(files: Sequence[Path]) -> list[_Judged]:
    validator, max_bytes = _process["validator"]
    return [_judge(validator, file, max_bytes) for file in files]


def _validator(max_bytes: int, user_directory: Path | None) -> Validator:
    from gateway.messages.schema_files import load_catalogue
    from gateway.messages.validation import Validator

    return Validator(load_catalogue(user_directory), max_bytes=max_bytes)


def _judge(validator: Validator, file: Path, max_bytes: int) -> _Judged:
    from gateway.messages.validation import Verdict

    try:
        if file.is_dir():
            violation = _unreadable("no .xml file in this folder", "a folder with .xml files")
            return str(file), Verdict(None, None, (violation,))
        with file.open("rb") as opened:
            content = opened.read(max_bytes + 1)  # one more shows that it is too large, without reading the rest
        return str(file), validator.check(content)
    except OSError as error:
        violation = _unreadable(error.strerror or str(error), "a file that can be read")
        return str(file), Verdict(None, None, (violation,))


def _unreadable(reason: str, rule: str) -> Violation:
    return Violation("file_unreadable", "/", rule, None, f"cannot be read: {reason}")


def _show_json(file: str, verdict: Verdict) -> None:
    violations = [asdict(violation) for violation in verdict.violations]
    print(
        json.dumps(
            {
                "file": file,
                "message_definition": verdict.message_definition or verdict.header_definition,
                "valid": verdict.valid,
                "violations": violations,
            },
            ensure_ascii=False,
        )
    )


def _show(file: str, verdict: Verdict) -> None:
    definition = verdict.message_definition or verdict.header_definition or "no message"
    print(f"{file}: {'valid' if verdict.valid else 'NOT VALID'} ({definition})")
    for violation in verdict.violations:
        line = f"line {violation.line}, " if violation.line is not None else ""
        print(f"    {line}{violation.code}: {violation.text}")


def _progress(done: int, total: int, invalid: int) -> None:
    if total < _CHUNK or not sys.stderr.isatty() or (done % _CHUNK and done != total):
        return
    end = "\n" if done == total else ""
    sys.stderr.write(f"\r{done} of {total} files, {invalid} not valid{end}")
    sys.stderr.flush()
