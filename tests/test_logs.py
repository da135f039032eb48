"""Logs: every event name is documented, lines carry identifiers, and never payloads, accounts or secrets."""

from __future__ import annotations

import ast
import json
import logging
import re
import traceback
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import structlog

from gateway.config import LoggingSettings
from gateway.errors import EventError, StoreUnavailable
from gateway.logs import configure_logging
from tests.loops import (
    ACCOUNT,
    CHANNEL,
    MATCHED,
    Loops,
    cancel,
    instruct,
    lost,
    not_sent,
    refuse_rows,
    refused,
    settled,
    status,
    transaction,
)

REPOSITORY = Path(__file__).resolve().parents[1]
# The demo and the simulator play other parties; the command line prints.
ROOMS = [
    path
    for path in sorted((REPOSITORY / "gateway").rglob("*.py"))
    if not {"simulator", "demo", "cli"} & set(path.relative_to(REPOSITORY).parts)
]


# The names ------------------------------------------------------------------------------------------------------------


def _pattern(node: ast.expr) -> Iterator[str]:
    match node:
        case ast.Constant(value=str(name)):
            yield re.escape(name)
        case ast.IfExp(body=body, orelse=orelse):
            yield from _pattern(body)
            yield from _pattern(orelse)
        case ast.JoinedStr(values=parts):
            yield "".join(re.escape(p.value) if isinstance(p, ast.Constant) else r"[A-Za-z_]+" for p in parts)


@cache
def stated() -> set[str]:
    """Return every event name that the gateway logs, as patterns."""
    found: set[str] = set()
    for path in ROOMS:
        tree = ast.parse(path.read_text(encoding="utf-8"))
        if "structlog" not in path.read_text(encoding="utf-8"):
            continue
        for node in ast.walk(tree):
            match node:
                case ast.Call(func=ast.Attribute(value=ast.Name(id="log")), args=[name, *_]):
                    found.update(_pattern(name))
                case ast.Call(func=ast.Name(id="write"), args=[name]):
                    found.update(_pattern(name))
                case ast.Call(func=ast.Name(id="write"), args=[_, name]):
                    found.update(_pattern(name))
    return found


def documented() -> list[str]:
    page = (REPOSITORY / "docs" / "logs.md").read_text(encoding="utf-8")
    return re.findall(r"^\| `([A-Za-z_.]+)` \|", page, re.MULTILINE)


def test_every_event_that_is_logged_is_documented() -> None:
    missing = [name for name in stated() if not any(re.fullmatch(name, known) for known in documented())]
    assert not missing, f"add to docs/logs.md: {missing}"
    assert len(stated()) > 35


def test_every_documented_event_is_logged_and_listed_once() -> None:
    assert [known for known in documented() if not any(re.fullmatch(name, known) for name in stated())] == []
    assert len(documented()) == len(set(documented()))


# What lines hold ------------------------------------------------------------------------------------------------------


@pytest.fixture
def lines(tmp_path: Path) -> Iterator[Any]:
    """Log as in production, and give a way to read what was written."""
    root = logging.getLogger()
    before, level = list(root.handlers), root.level
    path = tmp_path / "logs" / "gateway.jsonl"
    configure_logging(LoggingSettings(format="json", file=path, level="debug"))

    def read() -> list[dict[str, Any]]:
        stream.flush()
        return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]

    stream = structlog.get_config()["logger_factory"]._file
    yield read
    stream.close()
    structlog.reset_defaults()
    root.handlers[:] = before
    root.setLevel(level)


@pytest.fixture
def told(lines: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Let the loops' loggers, which may be bound to an earlier test's output, write here."""
    for room in ("intake", "dispatch", "replies", "publication", "commands", "app"):
        monkeypatch.setattr(f"gateway.{room}.log", structlog.get_logger(f"gateway.{room}"))
    return lines


async def test_no_line_of_a_whole_path_with_every_kind_of_failure_tells_a_payload_or_an_account(
    told: Any, loops: Loops
) -> None:
    secret_texts = (ACCOUNT, "61234.56", "DAKVDEFFXXX", "<Document", "instruct_settlement/1", "SAFE-")
    await refuse_rows(loops.ledger, "instruction", "NEW.trade_id = 'T13'")
    await loops.take_in(
        instruct("T1"),
        instruct("T2"),
        instruct("T3"),
        instruct("T13"),
        instruct("T4", isin="DE0007164601"),
        instruct("T5", safekeeping_account=f"{ACCOUNT}-far-too-long-for-any-account-number"),
        b'{"safekeeping_account": "CUST-4711"',
    )
    loops.wires[CHANNEL].fates = [not_sent, lost, refused]
    await loops.send()
    await loops.hear(
        settled(transaction_id=transaction("T1")),
        status(MATCHED, "NOBODY0000000000"),
        settled(transaction_id=transaction("T2"), identifier="BAD").replace(b"<Unit>", b"<Units>"),
        b"\xff<Document>",
    )
    await loops.take_in(cancel("T2"))
    for item in await loops.parked():
        await loops.command("release", item.summary.id)
    written = told()
    names = {line["event"] for line in written}
    assert {"event.instructed", "event.parked", "event.not_recorded", "message.sent", "reply.parked"} <= names
    for line in written:
        for text_ in secret_texts:
            assert text_ not in json.dumps(line), line
    assert all({"timestamp", "level", "event"} <= set(line) for line in written)


async def test_lines_carry_what_a_trade_is_followed_by(told: Any, loops: Loops) -> None:
    await loops.take_in(instruct())
    await loops.send()
    await loops.hear(status(MATCHED))
    by_name = {line["event"]: line for line in told()}
    assert {"event_id", "source", "trade_id", "instruction", "counterparty", "origin"} <= set(
        by_name["event.instructed"]
    )
    assert {"instruction", "message_id", "message_definition", "channel", "attempt"} <= set(by_name["message.sent"])
    assert {"archive", "channel", "message_id", "instruction", "headline"} <= set(by_name["reply.applied"])
    assert "code" not in by_name["reply.applied"]  # what is absent is left out


# Exceptions -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("style", ["json", "console"])
def test_an_exception_is_told_by_type_and_place_without_what_it_says_or_held(
    style: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = logging.getLogger()
    before, level = list(root.handlers), root.level
    path = tmp_path / "gateway.jsonl"
    settings = LoggingSettings.model_validate({"format": style, "file": path if style == "json" else None})
    configure_logging(settings)
    stream = structlog.get_config()["logger_factory"]._file
    held = "CUST-4711 in a local variable"
    try:
        try:
            try:
                raise ValueError(f"cannot read {held}")
            except ValueError as inner:
                raise EventError("account CUST-4711 is wrong") from inner
        except EventError:
            structlog.get_logger("test").exception("loop.failed", loop="intake")
        structlog.get_logger("test").error("loop.failed", exc_info=StoreUnavailable("the ledger is away"))
        stream.flush()
        written = path.read_text() if style == "json" else capsys.readouterr().err
    finally:
        if style == "json":
            stream.close()
        structlog.reset_defaults()
        root.handlers[:] = before
        root.setLevel(level)
    assert "CUST-4711" not in written
    assert "EventError" in written
    assert "ValueError" in written
    assert "test_logs.py" in written
    assert "the ledger is away" in written


async def test_an_error_of_the_ledger_holds_no_parameters(loops: Loops) -> None:
    await refuse_rows(loops.ledger, "event", "1")
    with pytest.raises(Exception, match="refused") as caught:
        await loops.ledger.write(
            loops.time(),
            lambda unit: unit.add_event(
                loops.intake.prepare(
                    json.dumps(instruct()).encode(), topic="trade.events", partition=0, offset=0
                ).event,
                "applied",
            ),
        )
    assert ACCOUNT not in "".join(traceback.format_exception(caught.value))


def test_a_library_is_heard_from_warnings_up(lines: Any) -> None:
    logging.getLogger("somebody").warning("disk %s is slow", "sda")
    logging.getLogger("somebody").info("nothing")
    [line] = lines()
    assert (line["event"], line["library"], line["text"], line["level"]) == (
        "library.logged",
        "somebody",
        "disk sda is slow",
        "warning",
    )
