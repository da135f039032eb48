"""``gateway validate``: judge message files, whatever they hold."""

from __future__ import annotations

import json
import multiprocessing
import os
import sys
import threading
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from gateway.errors import Violation

if TYPE_CHECKING:
    from gateway.messages.judging import Judge, Standard
    from gateway.messages.rules import Direction
    from gateway.messages.validation import Verdict

_MANY: Final = 400  # files from which on starting a process for each core pays
_CHUNK: Final = 50  # files a process takes at a time
_MAX_BYTES: Final = 1_000_000
_SUFFIXES: Final = (".xml", ".fin", ".rje")

_Judged = tuple[str, "Verdict"]


def validate(
    paths: Annotated[
        list[Path], typer.Argument(metavar="FILE...", help="message files; folders: every .xml, .fin and .rje in them")
    ],
    as_json: Annotated[bool, typer.Option("--json", help="one JSON object a line")] = False,
    max_bytes: Annotated[int, typer.Option(min=1, help="the largest message accepted")] = _MAX_BYTES,
    profile: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME",
            help="judge by rules too: a pack (gateway rules list), or the BIC of a counterparty of --config; "
            "may be repeated",
        ),
    ] = None,
    direction: Annotated[
        str, typer.Option(help="whose messages they are, for the rules: outgoing (ours) or incoming (theirs)")
    ] = "outgoing",
    config: Annotated[Path | None, typer.Option(envvar="GATEWAY_CONFIG", help="the configuration file")] = None,
    user_directory: Annotated[
        Path | None,
        typer.Option(envvar="GATEWAY_SCHEMAS__DIRECTORY", help="the folder of your own schemas"),
    ] = None,
) -> None:
    """Validate message files against their schemas, and against rules where asked; exit 0 only if all are valid.

    A file may hold several FIN messages: each is judged by itself, and named FILE#NUMBER.
    """
    files = [file for path in paths for file in _files(path)]
    court = _court(profile or [], direction, config, user_directory, max_bytes)
    invalid = number = 0
    for number, (file, verdict) in enumerate(_judge_all(files, court), 1):
        invalid += not verdict.valid
        _show_json(file, verdict) if as_json else _show(file, verdict)
        _progress(number, len(files), invalid)
    if not as_json:
        counted = f"{len(files)} files" if number == len(files) else f"{number} messages of {len(files)} files"
        print(f"{counted}, {number - invalid} valid, {invalid} not valid")
    if invalid:
        raise typer.Exit(1)


def _files(path: Path) -> Iterable[Path]:
    """Return the files a path stands for; one that is not there is returned too, to be reported like the others."""
    if not path.is_dir():
        return [path]
    found = sorted(file for file in path.rglob("*") if file.suffix.lower() in _SUFFIXES and file.is_file())
    return found or [path]


@dataclass(frozen=True)
class _Court:
    """What the files are judged by, as a process of the pool can be told."""

    max_bytes: int
    user_directory: Path | None
    rules_directory: Path | None
    standard: Standard | None

    def open(self) -> Judge:
        from gateway.messages.judging import Judge
        from gateway.messages.schema_files import load_catalogue, load_rulebook
        from gateway.messages.validation import Validator

        catalogue = load_catalogue(self.user_directory)
        validator = Validator(catalogue, max_bytes=self.max_bytes)
        judge = Judge(catalogue, load_rulebook(catalogue, self.rules_directory), validator)
        if self.standard is not None:
            judge.require(self.standard, "--profile: ")
        return judge


def _court(
    names: list[str], direction: str, config: Path | None, user_directory: Path | None, max_bytes: int
) -> _Court:
    """Say what is asked of the files: a name is a counterparty of the configuration, or a pack of rules."""
    whose: Direction = "incoming" if direction == "incoming" else "outgoing"
    if direction != whose:
        raise typer.BadParameter(f"--direction is outgoing or incoming, not {direction}")
    if not names:
        return _Court(max_bytes, user_directory, None, None)
    from gateway.config import load_settings
    from gateway.messages.judging import Standard, standard

    settings = load_settings(config) if config is not None else None
    packs: list[str] = []
    guideline = None
    for name in names:
        profile = settings.profile(name) if settings is not None else None
        if profile is None:
            packs.append(name)
            continue
        asked = standard(profile, whose)
        packs += asked.packs
        guideline = asked.guideline
    directory = settings.rules.directory if settings is not None else os.environ.get("GATEWAY_RULES__DIRECTORY")
    schemas = user_directory or (settings.schemas.directory if settings is not None else None)
    by = Standard(tuple(dict.fromkeys(packs)), guideline, whose)
    return _Court(max_bytes, schemas, Path(directory) if directory else None, by)


def _judge_all(files: Sequence[Path], court: _Court) -> Iterator[_Judged]:
    """Judge files in their order, in this process or, when there are many, in one for each core."""
    cores = os.cpu_count() or 1
    if len(files) < _MANY or cores == 1:
        judge = court.open()
        for file in files:
            yield from _judge(judge, file, court)
        return
    court.open()  # what is imported now is there after the fork
    chunks = [files[start : start + _CHUNK] for start in range(0, len(files), _CHUNK)]
    context = multiprocessing.get_context(_start_method())
    with ProcessPoolExecutor(cores, context, _start, (court,)) as pool:
        for judged in pool.map(_judge_chunk, chunks):
            yield from judged


def _start_method() -> str:
    """Return how to start processes: fork spares a second of imports, and is safe while there is but one thread."""
    can_fork = "fork" in multiprocessing.get_all_start_methods() and sys.platform != "darwin"
    return "fork" if can_fork and threading.active_count() == 1 else "spawn"


_process: dict[str, tuple[Judge, _Court]] = {}  # the judge of a process of the pool


def _start(court: _Court) -> None:
    _process["judge"] = court.open(), court


def _judge_chunk(files: Sequence[Path]) -> list[_Judged]:
    judge, court = _process["judge"]
    return [judged for file in files for judged in _judge(judge, file, court)]


def _judge(judge: Judge, file: Path, court: _Court) -> Iterator[_Judged]:
    from gateway.messages.fin import messages_in
    from gateway.messages.validation import Verdict

    try:
        if file.is_dir():
            violation = _unreadable("no .xml, .fin or .rje file in this folder", "a folder with such files")
            yield str(file), Verdict(None, None, (violation,))
            return
        with file.open("rb") as opened:
            content = opened.read(court.max_bytes + 1)  # one more shows that it is too large, without reading the rest
    except OSError as error:
        violation = _unreadable(error.strerror or str(error), "a file that can be read")
        yield str(file), Verdict(None, None, (violation,))
        return
    pieces = messages_in(content)
    if len(pieces) == 1:
        yield str(file), judge.check(content, court.standard)
        return
    place = 0
    for number, piece in enumerate(pieces, 1):
        start = content.index(piece, place)
        verdict = judge.check(piece, court.standard)
        above = content.count(b"\n", 0, start)  # lines are those of the file
        violations = tuple(replace(one, line=one.line and one.line + above) for one in verdict.violations)
        yield f"{file}#{number}", replace(verdict, violations=violations)
        place = start + len(piece)


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
        warning = "warning, " if violation.severity == "warning" else ""
        print(f"    {line}{warning}{violation.code}: {violation.text}")


def _progress(done: int, total: int, invalid: int) -> None:
    if total < _CHUNK or not sys.stderr.isatty() or (done % _CHUNK and done != total):
        return
    end = "\n" if done == total else ""
    sys.stderr.write(f"\r{done} of {total} files, {invalid} not valid{end}")
    sys.stderr.flush()
