"""``gateway store``: bring a ledger up to date. Also how every command finds the ledger."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Annotated

import typer

ConfigFile = Annotated[
    Path | None, typer.Option("--config", "-c", help="Configuration file (TOML).", envvar="GATEWAY_CONFIG")
]
StoreUrl = Annotated[
    str | None,
    typer.Option(
        "--store", help="The ledger: sqlite:///PATH or postgresql://HOST/DATABASE.", envvar="GATEWAY_STORE__URL"
    ),
]
AsJson = Annotated[bool, typer.Option("--json", help="One JSON object a line.")]

store = typer.Typer(help="The ledger: bring it up to date.", no_args_is_help=True)


@store.callback()
def _room() -> None:
    """Keep ``upgrade`` a command of its own: one command alone would become the group."""


def ledger_url(config: Path | None, url: str | None) -> str:
    """Return the ledger's address: as given, else the configuration's."""
    from gateway.config import load_settings

    if url is not None:
        return url
    if config is None:
        raise typer.BadParameter("name the ledger: --config FILE, or --store sqlite:///PATH")
    return load_settings(config).store.url.get_secret_value()


@store.command()
def upgrade(config: ConfigFile = None, url: StoreUrl = None, as_json: AsJson = False) -> None:
    """Make the ledger, or bring an older one up to date. Safe to repeat; the gateway must not run on SQLite."""
    from gateway.store import migration

    before, after = asyncio.run(migration.upgrade(ledger_url(config, url)))
    if as_json:
        print(json.dumps({"before": before, "after": after}))
    elif before == after:
        print(f"the ledger is up to date (revision {after})")
    else:
        print(f"the ledger was at revision {before or 'none'} and is at {after} now")
