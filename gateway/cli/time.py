"""``gateway deadlines`` and ``gateway cutoffs``: what comes next, and until when things have to have happened."""

from __future__ import annotations

import getpass
import sys
from datetime import UTC, datetime
from typing import Annotated, Any

import typer
from pydantic import ValidationError

from gateway.calendar.deadlines import Cutoff
from gateway.cli import story
from gateway.cli.asking import ask, console, print_json, tell
from gateway.cli.store import AsJson, ConfigFile, StoreUrl, ledger_url
from gateway.errors import ConfigError
from gateway.store import cutoffs_in_force, timing
from gateway.store.views import CommandRefused

deadlines = typer.Typer(help="Deadlines of open instructions: what comes next.", no_args_is_help=True)
cutoffs = typer.Typer(
    help="Cut-offs: list those in force, set and clear them while the gateway runs.", no_args_is_help=True
)

User = Annotated[str, typer.Option("--user", help="Who asks.", default_factory=getpass.getuser, show_default="you")]
Why = Annotated[str, typer.Option("--reason", help="Why; it is kept for ever.")]


@deadlines.callback()
def _room() -> None:
    """Keep ``list`` a command of its own: one command alone would become the group."""


@deadlines.command("list")
def list_deadlines(
    config: ConfigFile = None,
    url: StoreUrl = None,
    counterparty: Annotated[str | None, typer.Option("--counterparty", help="BIC, or how it begins.")] = None,
    kind: Annotated[
        str | None,
        typer.Option("--kind", help="Only where this comes next: send, match, release, settle, reply, overdue."),
    ] = None,
    limit: Annotated[int, typer.Option("--limit", "-n", min=0, help="How many; 0 for all.")] = 50,
    as_json: AsJson = False,
) -> None:
    """List open instructions by what comes next, the nearest first."""
    found = ask(
        ledger_url(config, url),
        lambda connection: timing.list_deadlines(connection, counterparty=counterparty, kind=kind, limit=limit or None),
    )
    if as_json:
        print_json(found)
    else:
        console().print(story.deadlines_table(found) if found else "nothing is due")


@cutoffs.command("list")
def list_cutoffs(
    config: ConfigFile = None,
    url: StoreUrl = None,
    history: Annotated[bool, typer.Option("--history", help="Every change that operators made, in order.")] = False,
    as_json: AsJson = False,
) -> None:
    """List the cut-offs in force: configured ones (with --config), and what operators have set since."""
    changes = ask(ledger_url(config, url), timing.cutoff_changes)
    if history:
        if as_json:
            print_json(_said(change.cutoff, change) for change in changes)
        else:
            for change in changes:
                print(f"{change.action} {change.id}:")
                console().print(story.cutoff_table([(change.cutoff, change)]))
        return
    configured: tuple[Cutoff, ...] = ()
    if config is not None:
        from gateway.config import load_settings

        configured = load_settings(config).cutoffs
    setting = {change.cutoff.key: change for change in timing.standing_changes(changes)}
    rows = [(cutoff, setting.get(cutoff.key)) for cutoff in cutoffs_in_force(configured, changes)]
    if as_json:
        print_json(_said(cutoff, change) for cutoff, change in rows)
    else:
        console().print(story.cutoff_table(rows) if rows else "no cut-off is in force")


@cutoffs.command("set")
def set_cutoff(
    kind: Annotated[str, typer.Option("--kind", help="send, match, release or settle.")],
    at: Annotated[str, typer.Option("--at", help="Time of day, such as 16:00.")],
    zone: Annotated[str, typer.Option("--zone", help="Its time zone, such as Europe/Berlin.")],
    reason: Why,
    user: User,
    days_before: Annotated[
        int, typer.Option("--days-before", help="Business days before the intended settlement date.")
    ] = 0,
    warn_minutes: Annotated[int, typer.Option("--warn-minutes", help="How long before to warn; 0: not at all.")] = 30,
    dialogue: Annotated[str, typer.Option("--dialogue", help="the dialogue that the cut-off is of")] = "settlement",
    counterparty: Annotated[str | None, typer.Option("--counterparty", help="Only for this BIC.")] = None,
    place: Annotated[str | None, typer.Option("--place", help="Only at this place of settlement (BIC).")] = None,
    currency: Annotated[str | None, typer.Option("--currency", help="Only in this currency.")] = None,
    payment: Annotated[str | None, typer.Option("--payment", help="Only against, or only free.")] = None,
    on: Annotated[str | None, typer.Option("--on", help="Only for this intended settlement date (YYYY-MM-DD).")] = None,
    config: ConfigFile = None,
    url: StoreUrl = None,
    as_json: AsJson = False,
) -> None:
    """Set a cut-off, in the place of one with the same criteria; it holds at once, for open instructions too."""
    given = {
        "kind": kind,
        "at": at,
        "zone": zone,
        "days_before": days_before,
        "warn_minutes": warn_minutes,
        "dialogue": dialogue,
        "counterparty": counterparty,
        "place_of_settlement": place,
        "currency": currency,
        "payment": payment,
        "on": on,
    }
    try:
        cutoff = Cutoff.model_validate(given)
    except ValidationError as error:
        wrong = "; ".join(
            f"{'.'.join(map(str, one['loc']))}: {one['msg'].removeprefix('Value error, ')}" for one in error.errors()
        )
        raise ConfigError(f"the cut-off makes no sense: {wrong}", code="cutoff_invalid") from error
    _change(ledger_url(config, url), "set", cutoff, user, reason, as_json=as_json)


@cutoffs.command()
def clear(
    number: Annotated[int, typer.Argument(help="The number of the change that set it (gateway cutoffs list).")],
    reason: Why,
    user: User,
    config: ConfigFile = None,
    url: StoreUrl = None,
    as_json: AsJson = False,
) -> None:
    """Clear a cut-off that was set; a configured one with the same criteria holds again."""
    _change(ledger_url(config, url), "clear", number, user, reason, as_json=as_json)


def _change(url: str, action: str, cutoff: Cutoff | int, user: str, reason: str, *, as_json: bool) -> None:
    now = datetime.now(UTC)
    done = tell(url, lambda connection: timing.change_cutoff(connection, action, cutoff, user, reason, now))
    if isinstance(done, CommandRefused):
        print(f"gateway: {done.text} [{done.code}]", file=sys.stderr)
        raise typer.Exit(1)
    if as_json:
        print_json([_said(done.cutoff, done)])
    else:
        print(f"change {done.id}: {action}; the running gateway looks at open instructions again")


def _said(cutoff: Cutoff, change: Any) -> dict[str, Any]:
    told = {"cutoff": cutoff.model_dump(mode="json")}
    if change is None:
        return told | {"set_by": "configuration"}
    return told | {
        "change": change.id,
        "action": change.action,
        "set_by": change.actor,
        "reason": change.reason,
        "at": change.created_at,
    }
