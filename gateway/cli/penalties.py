"""``gateway penalties``: an estimate of the cash penalties of what has not settled, with all that it is made of."""

from __future__ import annotations

import sys
from dataclasses import asdict, replace
from datetime import UTC, date, datetime
from typing import Annotated, Any

import typer

from gateway.cli import story
from gateway.cli.asking import ask, console, print_json
from gateway.cli.store import AsJson, ConfigFile, StoreUrl, ledger_url
from gateway.penalties import Estimator, Fail
from gateway.store import timing

penalties = typer.Typer(
    help="Cash penalties (CSDR) of what has not settled: an estimate, with its inputs and assumptions.",
    no_args_is_help=True,
)

On = Annotated[
    datetime | None,
    typer.Option("--on", formats=["%Y-%m-%d"], help="Up to this day, which is included; today if absent."),
]


@penalties.command("list")
def list_penalties(
    config: ConfigFile = None,
    url: StoreUrl = None,
    on: On = None,
    counterparty: Annotated[str | None, typer.Option("--counterparty", help="BIC, or how it begins.")] = None,
    as_json: AsJson = False,
) -> None:
    """List what was failing on a day: what each has cost so far, and costs on that day, by failing side.

    Beside it stands what was reported of each, with the difference from the estimate; also of one that has settled
    since, where the report came on that day or later.
    """
    until = (on or datetime.now(UTC)).date()
    fails = ask(
        ledger_url(config, url),
        lambda connection: timing.list_fails(connection, until, counterparty=counterparty),
    )
    estimator = _estimator(config)
    rows = [_estimated(row, until, estimator) for row in fails]
    rows = [row for row in rows if row["penalties"] or row["reported"]]
    if as_json:
        print_json(rows)
    else:
        console().print(story.penalty_table(rows, until) if rows else "nothing was failing")


@penalties.command("show")
def show_penalties(
    identifier: Annotated[str, typer.Argument(metavar="ID", help="Transaction identification.")],
    config: ConfigFile = None,
    url: StoreUrl = None,
    on: On = None,
    as_json: AsJson = False,
) -> None:
    """Show the penalties of one instruction day by day: rate, price, quantity, amount, and what was assumed."""
    until = (on or datetime.now(UTC)).date()
    fails = ask(ledger_url(config, url), lambda connection: timing.list_fails(connection, until, identifier=identifier))
    if not fails:
        print(f"gateway: the ledger knows no instruction {identifier} that settles", file=sys.stderr)
        raise typer.Exit(1)
    estimator = _estimator(config)
    rows = [_estimated(row, until, estimator) for row in fails]
    if as_json:
        print_json(rows)
    else:
        for row in rows:
            nothing = (
                f"no penalty up to {until}" if row["in_scope"] else "no penalty: the depository is outside the EEA"
            )
            console().print(story.penalty_days(row) if row["penalties"] else nothing)
            if row["reported"]:
                console().print(story.reported_penalties(row["reported"]))


def _estimator(config: Any) -> Estimator:
    """Return what estimates, by rates, instruments and calendars of the configuration before those that are shipped."""
    from gateway.config import PenaltySettings, load_settings
    from gateway.messages.schema_files import load_calendars, load_penalty_rates

    if config is None:
        return PenaltySettings().estimator(load_penalty_rates(), load_calendars())
    settings = load_settings(config)
    return settings.penalties.estimator(load_penalty_rates(), load_calendars(settings.own_calendars()))


def _estimated(row: tuple[str, str, Fail], until: date, estimator: Estimator) -> dict[str, Any]:
    trade, counterparty, fail = row
    reckoned = [estimator.reckon(fail, one.report) for one in fail.reported]
    return {
        "trade": trade,
        "counterparty": counterparty,
        **asdict(replace(fail, reported=())),
        "in_scope": fail.in_scope,
        "calendar": estimator.calendar(fail).name,
        "penalties": estimator.estimate(fail, until),
        "reported": [{**asdict(one), "difference": one.difference} for one in reckoned],
    }
