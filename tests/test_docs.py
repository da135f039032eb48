"""What the documents say is true: their commands are run, their examples are valid, their pages are found."""

from __future__ import annotations

import asyncio
import dataclasses
import hashlib
import json
import re
import shlex
import subprocess
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import msgspec
import pytest
import typer.main
from typer.testing import CliRunner

from gateway import cli
from gateway.checkpoints import POINTS
from gateway.commands import Commands
from gateway.config import Settings, load_settings
from gateway.errors import GatewayError
from gateway.intake import Intake
from gateway.messages import Messages
from gateway.messages.rules.rule_files import parse_pack
from gateway.messages.schema_files import load_calendars, load_catalogue, load_penalty_rates, load_rulebook
from gateway.model.events import EVENT_KINDS, parse_event
from gateway.model.reports import (
    EXCEPTION_CLOSED_SCHEMA,
    EXCEPTION_SCHEMA,
    STATUS_SCHEMA,
    ExceptionClosed,
    ExceptionEvent,
    StatusEvent,
)
from gateway.pace import Signals, system_clock
from gateway.replies import Replies
from gateway.simulator.counterparty import read_scenarios
from gateway.simulator.initiative import InitiativeFile
from gateway.store import Ledger
from gateway.store.migration import upgrade
from tests.test_allegements import alleged

ROOT = Path(__file__).resolve().parents[1]
DOCS = ROOT / "docs"
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted(DOCS.rglob("*.md"))]
REPLY = ROOT / "tests" / "messages" / "replies" / "sese.024.001.13_pending.xml"

# The pages whose commands are run, in their order, in one folder a page; the others' are parsed.
RUN = sorted([*DOCS.glob("howto-*.md"), DOCS / "quickstart.md"])
# What needs a broker, a screen or the internet is parsed and not run.
NEEDS_MORE = {"run", "demo", "doctor", "simulate"}
PLAIN = {"sed", "mkdir", "tr", "grep"}  # what the pages use around our own commands

CONFIGURATION = """
[gateway]
bic = "OURSGB2LXXX"
[store]
url = "sqlite:///ledger.db"
[[counterparties]]
bic = "CUSTGB2LXXX"
name = "Custodian"
channel = { carrier = "folder", outbound = "out", inbound = "in" }
"""
UNKNOWN = "NOBAGB2LXXX"  # the counterparty of a parked event; one page adds its profile
ADDED = (
    CONFIGURATION
    + f"""
[[counterparties]]
bic = "{UNKNOWN}"
name = "Broker London"
channel = {{ carrier = "folder", outbound = "out2", inbound = "in2" }}
"""
)


def _name(path: Path) -> str:
    return str(path.relative_to(ROOT))


@dataclass(frozen=True)
class Block:
    """A fenced block: its language, its text without the page's indentation, and its line."""

    language: str
    text: str
    line: int


@cache
def blocks(path: Path) -> list[Block]:
    text = path.read_text(encoding="utf-8")
    found = re.finditer(r"^(?P<indent> *)```(?P<language>\w*)\n(?P<body>.*?)^(?P=indent)```$", text, re.M | re.S)
    return [
        Block(
            match["language"],
            re.sub(rf"^{match['indent']}", "", match["body"], flags=re.M),
            text.count("\n", 0, match.start()) + 2,
        )
        for match in found
    ]


def _of(language: str) -> list[Any]:
    return [
        pytest.param(block.text, id=f"{_name(path)}:{block.line}")
        for path in PAGES
        for block in blocks(path)
        if block.language == language
    ]


# --- commands ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Line:
    """A line of shell: the commands of its pipe, the file it is redirected to, and the exit code that is announced."""

    shell: str
    exit_code: int
    pipe: tuple[tuple[str, ...], ...]
    target: str | None


def lines(block: Block) -> Iterator[Line]:
    for line in block.text.replace("\\\n", " ").splitlines():
        shell, _, comment = line.partition("  #")
        if not shell.strip() or shell.startswith("#"):
            continue
        announced = re.search(r"\bexit (\d)", comment)
        pipe, target = _split(shell)
        for commands in pipe:
            yield Line(shell.strip(), int(announced[1]) if announced else 0, commands, target)


def _split(shell: str) -> tuple[list[tuple[tuple[str, ...], ...]], str | None]:
    """Split a line at ``;`` and ``|``, and return the file that it writes to; no command of ours reads from one."""
    sequence: list[list[list[str]]] = [[[]]]
    target, redirected = None, ""
    lexer = shlex.shlex(shell, posix=True, punctuation_chars="|<>;")
    lexer.whitespace_split = True
    for word in lexer:
        if redirected:
            target, redirected = (word if redirected == ">" else target), ""
        elif word in ("<", ">"):
            redirected = word
        elif word == "|":
            sequence[-1].append([])
        elif word == ";":
            sequence.append([[]])
        else:
            sequence[-1][-1].append(word)
    return [tuple(tuple(command) for command in pipe) for pipe in sequence], target


@cache
def _command_line() -> Any:
    cli._mount(list(cli._ROOMS))
    return typer.main.get_command(cli.app)


def parse(arguments: Sequence[str]) -> tuple[str, ...]:
    """Parse a command line of ours without running it; returns the command's path. Raises what click raises."""
    command, path, rest = _command_line(), [], list(arguments)
    while getattr(command, "commands", None):
        path.append(rest[0])
        command, rest = command.commands[rest[0]], rest[1:]
    if "--help" not in rest and "-h" not in rest:
        command.make_context(" ".join(path), list(rest), resilient_parsing=False)
    return tuple(path)


def _ours() -> list[Any]:
    return [
        pytest.param(command[1:], id=f"{_name(path)}:{block.line}:{' '.join(command[1:4])}")
        for path in PAGES
        for block in blocks(path)
        if block.language == "sh"
        for line in lines(block)
        for command in line.pipe
        if command[:1] == ("gateway",)
    ]


@pytest.mark.parametrize("arguments", _ours())
def test_every_command_named_exists_with_its_options(
    arguments: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for word in arguments:  # files that a command wants to exist; folders are made where one is wanted
        if word.endswith((".json", ".xml")):
            Path(word).touch()
    parse([word if word != "FOLDER" else "." for word in arguments])


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (["parked", "list", "--colour"], "No such option"),
        (["schemas", "show"], "Missing"),
        (["parked", "release", "one", "--reason", "x"], "valid integer"),
    ],
)
def test_the_parser_of_commands_refuses_what_does_not_exist(arguments: list[str], why: str) -> None:
    with pytest.raises(Exception, match=why):
        parse(arguments)


def _is_run(line: Line) -> bool:
    if any(word.startswith("/") for command in line.pipe for word in command):
        return False  # a file of somebody's machine
    names = {command[0] for command in line.pipe if command}
    asked = {command[1] for command in line.pipe if command[:1] == ("gateway",)}
    return names <= PLAIN | {"gateway"} and (not asked & NEEDS_MORE or "--list" in line.shell)


def _event(kind: str, **changes: Any) -> bytes:
    return json.dumps({**EVENT_KINDS[kind].minimal, **changes}).encode()


async def _fill(settings: Settings) -> None:
    """Give the ledger a trade that was recorded, one whose counterparty is unknown, a bad one, and an allegement."""
    url = settings.store.url.get_secret_value()
    await upgrade(url)
    ledger = await Ledger.open(url)
    try:
        intake = _intake(ledger, settings)
        contents = [
            _event("instruct_settlement/1"),
            _event("instruct_settlement/1", event_id="E2", trade_id="T-2", counterparty=UNKNOWN),
            _event("instruct_settlement/1", event_id="E3", trade_id="T-3", isin="DE0007164601"),
            b"no event",
        ]
        items = [
            intake.prepare(content, topic="trade.events", partition=0, offset=offset)
            for offset, content in enumerate(contents)
        ]
        outcomes = [result.outcome for result in await intake.record(items)]
        assert outcomes == ["instructed", "parked", "parked", "parked"]
        content, [profile] = alleged("ALLEGED-1", sender="CUSTGB2LXXX"), settings.counterparties
        row = ("in/1", content, hashlib.sha256(content).digest())
        await ledger.write(system_clock(), lambda unit: unit.archive(profile.bic, [row]))
        messages = Messages(load_catalogue(), [profile], settings.gateway.bic)
        estimator = settings.penalties.estimator(load_penalty_rates(), load_calendars())
        replies = Replies(ledger, messages, profile, estimator, settings.loops, Signals(), system_clock)
        await replies.apply_waiting()
    finally:
        await ledger.close()


def _intake(ledger: Ledger, settings: Settings) -> Intake:
    messages = Messages(load_catalogue(settings.schemas.directory), settings.counterparties, settings.gateway.bic)
    return Intake(ledger, messages, settings, system_clock)


def _call(line: Line) -> tuple[int, bytes]:
    """Run the commands of a pipe, ours in this process; returns the last one's exit code and what it said."""
    content, code, said = b"", 0, b""
    for command in line.pipe:
        if command[0] == "gateway":
            _command_line()
            result = CliRunner().invoke(cli.app, list(command[1:]), input=content)
            if result.exception and not isinstance(result.exception, SystemExit | GatewayError):
                raise result.exception
            code = 2 if isinstance(result.exception, GatewayError) else result.exit_code
            content, said = result.stdout_bytes, result.stderr_bytes
        else:
            done = subprocess.run(command, input=content, capture_output=True, check=False, timeout=60)
            content, code, said = done.stdout, done.returncode, done.stderr
    if line.target is not None:
        Path(line.target).write_bytes(content)
    return code, content + said


async def _run(shell: list[Line], settings: Settings) -> list[str]:
    """Run lines of shell beside a gateway that carries out operators' commands; returns what went wrong."""
    ledger = await Ledger.open(settings.store.url.get_secret_value(), exclusive=False)
    signals = Signals()
    loop = Commands(
        ledger,
        _intake(ledger, settings),
        signals,
        system_clock,
        poll_seconds=0.05,
        instruction_wait_seconds=settings.loops.instruction_wait_seconds,
    )
    commands = asyncio.create_task(loop.run())
    wrong = []
    try:
        for line in shell:
            code, said = await asyncio.to_thread(_call, line)
            if code != line.exit_code:
                text = said[-1500:].decode(errors="replace")
                wrong.append(f"$ {line.shell}\nexit {code}, announced {line.exit_code}\n{text}")
    finally:
        signals.stop()
        await commands
        await ledger.close()
    return wrong


@pytest.mark.slow
@pytest.mark.parametrize("path", RUN, ids=_name)
def test_commands_of_a_page_work_one_after_the_other(
    path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    shell = [line for block in blocks(path) if block.language == "sh" for line in lines(block) if _is_run(line)]
    (tmp_path / "gateway.toml").write_text(CONFIGURATION)
    (tmp_path / "reply.xml").write_bytes(REPLY.read_bytes().replace(b"<TxId>", b"<TxIdx>", 1))
    asyncio.run(_fill(load_settings(None, tomllib.loads(CONFIGURATION))))
    for block in blocks(path):
        if block.language == "fin":
            (tmp_path / "instruction.fin").write_text(block.text)
        if block.language == "rules":
            (tmp_path / "rules").mkdir(exist_ok=True)
            (tmp_path / "rules" / f"{parse_pack(block.text, _name(path)).name}.rules").write_text(block.text)
    (tmp_path / "backup.db").write_bytes((tmp_path / "ledger.db").read_bytes())
    started_again = ADDED if path.name == "howto-add-a-counterparty.md" else CONFIGURATION
    wrong = asyncio.run(_run(shell, load_settings(None, tomllib.loads(started_again))))
    assert not wrong, "\n\n".join(wrong)


@pytest.mark.parametrize(
    ("shell", "exit_code", "run"),
    [
        ("gateway events check wrong.json  # exit 1: a check digit", 1, True),
        ("gateway run --config gateway.toml", 0, False),
        ("gateway schemas list | grep sese", 0, True),
        ("kafka-topics.sh --create", 0, False),
        ("mkdir -p out in", 0, True),
    ],
)
def test_lines_of_a_page_are_read_as_a_reader_would(shell: str, exit_code: int, run: bool) -> None:
    [line] = lines(Block("sh", shell + "\n", 1))
    assert (line.exit_code, _is_run(line)) == (exit_code, run)


# --- examples ---------------------------------------------------------------------------------------------------------

_REPORTS: Mapping[str, type] = {
    STATUS_SCHEMA: StatusEvent,
    EXCEPTION_SCHEMA: ExceptionEvent,
    EXCEPTION_CLOSED_SCHEMA: ExceptionClosed,
}


@pytest.mark.parametrize("text", _of("json"))
def test_json_examples_are_valid(text: str) -> None:
    document = json.loads(text)
    report = _REPORTS.get(document["schema"])
    if report is None:
        parse_event(text.encode())
        return
    msgspec.json.decode(text, type=report)
    assert set(document) == {field.name for field in dataclasses.fields(report)}


@pytest.mark.parametrize("text", _of("jsonl"))
def test_examples_of_initiatives_begin_something(text: str, tmp_path: Path) -> None:
    path = tmp_path / "initiatives.jsonl"
    path.write_text(text)
    found = InitiativeFile(path).read()
    assert len(found) == len(text.splitlines())
    assert all(read_scenarios().begun(initiative.play) for initiative in found)


@pytest.mark.parametrize("text", _of("toml"))
def test_toml_examples_load(text: str, tmp_path: Path) -> None:
    values = tomllib.loads(text)
    if set(values) <= {"settlement", "confirmation", "cancellation"}:  # the simulator's scenarios
        path = tmp_path / "scenarios.toml"
        path.write_text(text)
        assert read_scenarios(path)
        return
    load_settings(None, {**tomllib.loads(CONFIGURATION), **values})


@pytest.mark.parametrize("text", _of("rules"))
def test_rule_files_have_no_mistakes(text: str, tmp_path: Path) -> None:
    path = tmp_path / "example.rules"
    path.write_text(text)
    assert parse_pack(text, "example").name in load_rulebook(load_catalogue(), path).packs


# --- pages ------------------------------------------------------------------------------------------------------------


def test_every_page_is_in_the_index() -> None:
    linked = set(re.findall(r"\]\(([^)#\s]+)", (DOCS / "README.md").read_text()))
    assert {str(path.relative_to(DOCS)) for path in DOCS.rglob("*.md") if path.name != "README.md"} <= linked


def test_decisions_are_numbered_without_a_gap_and_state_their_status() -> None:
    pages = sorted((DOCS / "decisions").glob("*.md"))
    for number, page in enumerate(pages, 1):
        text = page.read_text()
        assert page.name.startswith(f"{number:04d}-")
        assert text.startswith(f"# {number}. ")
        assert re.search(r"^Status: (accepted|superseded by .+), \d{4}-\d{2}\.", text, re.M), page.name


def test_what_survives_a_crash_is_said_for_every_labelled_point() -> None:
    rows = re.findall(r"^\| `([a-z]+\.[a-z]+)` \|", (DOCS / "explanation-data-path.md").read_text(), re.M)
    assert tuple(rows) == POINTS
