"""The command line: ``gateway COMMAND``. Commands hold no logic; they call the rooms and show what comes back."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from gateway import __version__
from gateway.errors import GatewayError

app = typer.Typer(
    name="gateway",
    help="A message-driven SWIFT / ISO 20022 gateway.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _version(asked: bool) -> None:
    if asked:
        print(f"gateway {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    del version


# command line name -> module in gateway/cli that has it; a module is imported when its command is asked for.
_ROOMS = {
    "run": ("run", "run"),
    "doctor": ("run", "doctor"),
    "demo": ("demo", "demo"),
    "simulate": ("simulate", "simulate"),
    "validate": ("messages", "validate"),
    "read": ("read", "read"),
    "translate": ("translate", "translate"),
    "events": ("events", "app"),
    "schemas": ("schemas", "app"),
    "rules": ("rules", "app"),
    "instructions": ("operators", "instructions"),
    "parked": ("operators", "parked"),
    "allegements": ("operators", "allegements"),
    "history": ("operators", "history"),
    "deadlines": ("time", "deadlines"),
    "cutoffs": ("time", "cutoffs"),
    "penalties": ("penalties", "penalties"),
    "statements": ("operators", "statements"),
    "store": ("store", "store"),
}


def _mount(names: list[str]) -> None:
    from importlib import import_module

    for name in names:
        module, attribute = _ROOMS[name]
        room = getattr(import_module(f"gateway.cli.{module}"), attribute)
        if isinstance(room, typer.Typer):
            app.add_typer(room, name=name)
        else:
            app.command(name)(room)


def main() -> None:
    """Run the command line; an expected error is one sentence on stderr and exit code 2."""
    asked = next((word for word in sys.argv[1:] if not word.startswith("-")), None)
    if "--version" not in sys.argv[1:2]:
        _mount([asked] if asked in _ROOMS else list(_ROOMS))
    from gateway.config import LoggingSettings
    from gateway.logs import configure_logging

    configure_logging(LoggingSettings(level="warning"))  # to stderr; what a command prints stays clean
    try:
        app()
    except GatewayError as error:
        print(f"gateway: {error.text} [{error.code}]", file=sys.stderr)
        raise SystemExit(2) from error
