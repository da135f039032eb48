"""``gateway demo``: a day of trades, end to end, on this machine."""

from __future__ import annotations

import asyncio
import io
import json
import re
import shutil
import signal
import sys
import tempfile
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import structlog
import typer
from rich.console import Console

from gateway.errors import GatewayError

_INTERRUPTED = 130


def demo(
    *,
    trades: Annotated[int, typer.Option(min=1, max=100_000, help="how many trades the day has")] = 300,
    seed: Annotated[int, typer.Option(help="the same seed draws the same day")] = 1,
    keep: Annotated[bool, typer.Option("--keep", help="leave everything running afterwards, to look around")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="one JSON object at the end, and nothing else")] = False,
    folder: Annotated[
        Path | None, typer.Option(help="where ledger, books and logs go (kept); default: a temporary folder")
    ] = None,
    picture: Annotated[Path | None, typer.Option(help="save the last screen as a picture (SVG)")] = None,
) -> None:
    """Play a day of trades end to end: broker, ledger, gateway, counterparties; exit 0 if every trade ended right.

    The broker is embedded unless GATEWAY_KAFKA__BOOTSTRAP_SERVERS names one.
    """
    structlog.configure(
        wrapper_class=structlog.make_filtering_bound_logger("warning"),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
    )
    place = folder or Path(tempfile.mkdtemp(prefix="gateway-demo-"))
    passed = False
    try:
        passed = asyncio.run(_play(trades, seed, place.resolve(), picture, keep=keep, as_json=as_json))
    except (KeyboardInterrupt, asyncio.CancelledError):
        raise typer.Exit(_INTERRUPTED) from None
    except GatewayError as error:
        if not as_json:
            raise
        print(json.dumps({"passed": False, "code": error.code, "text": error.text}))
        raise typer.Exit(2) from error
    finally:
        if folder is None and (passed or not any(place.iterdir())):
            shutil.rmtree(place, ignore_errors=True)
        elif not passed:
            print(f"ledger, books and logs are in {place}", file=sys.stderr)
    raise typer.Exit(0 if passed else 1)


async def _play(trades: int, seed: int, folder: Path, picture: Path | None, *, keep: bool, as_json: bool) -> bool:
    from gateway.demo.board import Board, board, report
    from gateway.demo.course import read_tables
    from gateway.demo.day import make_day
    from gateway.demo.play import Play
    from gateway.demo.stage import Stage
    from gateway.demo.summary import summary

    _end_with_terminal()
    console = Console(stderr=as_json, record=picture is not None)
    tables = read_tables()
    day = make_day(tables, trades, seed, datetime.now(UTC).date())
    with Board(console, live=console.is_terminal and not as_json) as screen:
        screen.announce(f"starting broker, ledger, gateway and {len(tables.counterparties)} counterparties in {folder}")
        async with Stage(tables, folder, seed) as stage:
            play = Play(stage, day, screen.show)
            verdict = await play.run(keep=keep)
            found = summary(play.progress, verdict, stage, seed)
            screen.close()
            last_lines = {} if found["passed"] else {child.name: child.last_lines() for child in stage.children}
            if as_json:
                print(json.dumps(found), flush=True)
            else:
                console.print(report(found, last_lines))
            if picture is not None:
                _save(picture, board(play.progress), report(found, last_lines))
            if keep:
                console.print(_look_around(stage), markup=False, highlight=False, soft_wrap=True)
                await _until_asked(stage)
    return bool(found["passed"])


def _end_with_terminal() -> None:
    """End in order on SIGTERM and when the terminal goes away, as on Ctrl-C."""
    task = asyncio.current_task()
    assert task is not None
    for number in (signal.SIGTERM, signal.SIGHUP):
        asyncio.get_running_loop().add_signal_handler(number, task.cancel)


def _look_around(stage: Any) -> str:
    gateway = f"{sys.executable} -m gateway"
    topics = stage.kafka.topics
    return f"""
Everything goes on running until Ctrl-C. To look around, in another terminal:

  {gateway} instructions list --store {stage.ledger_url}
  {gateway} instructions show ID --store {stage.ledger_url}
  {gateway} parked list --store {stage.ledger_url}
  {gateway} parked show 1 --store {stage.ledger_url} --content
  {gateway} history verify --store {stage.ledger_url}
  {gateway} doctor --config {stage.config}
  curl http://127.0.0.1:{stage.console_port}/ready

broker   {stage.kafka.bootstrap_servers}, topics {topics.trade_events}, {topics.settlement_status}, {topics.exceptions}
folder   {stage.folder}: gateway.toml, ledger.db, gateway.jsonl, books/, logs/, shares/
"""


async def _until_asked(stage: Any) -> None:
    try:
        while True:
            stage.check()
            await asyncio.sleep(0.5)
    except asyncio.CancelledError:
        task = asyncio.current_task()
        assert task is not None
        task.uncancel()


def _save(picture: Path, *parts: Any) -> None:
    from rich._export_format import CONSOLE_SVG_FORMAT

    console = Console(record=True, width=132, file=io.StringIO(), force_terminal=True)
    for part in parts:
        console.print(part)
    # Without the fonts that it would fetch from the network: any monospaced one will do.
    frame = re.sub(r"@font-face \{\{.*?\}\}\s*", "", CONSOLE_SVG_FORMAT, flags=re.DOTALL)
    console.save_svg(str(picture), title="gateway demo", code_format=frame)
