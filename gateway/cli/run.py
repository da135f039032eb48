"""``gateway run`` and ``gateway doctor``."""

from __future__ import annotations

import asyncio
import gc
import json
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from gateway.config import load_settings

ConfigFile = Annotated[
    Path | None, typer.Option("--config", "-c", help="Configuration file (TOML).", envvar="GATEWAY_CONFIG")
]


def run(config: ConfigFile = None) -> None:
    """Run the gateway until SIGTERM: take in trade events, send, match replies, publish."""
    from gateway.app import Gateway
    from gateway.logs import configure_logging

    settings = load_settings(config)
    configure_logging(settings.logging)
    # What the start has made stays: the collector need not walk it again with every few hundred facts (a seventh of the
    # processor time, measured; memory stays flat).
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 20, 20)
    asyncio.run(Gateway(settings).run())


def doctor(
    config: ConfigFile = None, as_json: Annotated[bool, typer.Option("--json", help="One JSON object a check.")] = False
) -> None:
    """Check configuration, clock, schemas, ledger, Kafka and channels; say what to do about each."""
    from gateway.doctor import examine

    findings = asyncio.run(examine(config))
    if as_json:
        for finding in findings:
            print(json.dumps(finding.as_dict()))
    else:
        table = Table("check", "", "what was found", "what to do", show_lines=False)
        for finding in findings:
            mark = "[green]ok[/]" if finding.ok else "[red]fails[/]"
            table.add_row(finding.check, mark, finding.found, finding.advice)
        Console().print(table)
    raise typer.Exit(0 if all(finding.ok for finding in findings) else 1)
