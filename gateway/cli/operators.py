"""``gateway instructions``, ``parked``, ``allegements``, ``history``, ``statements``: look at the ledger, and act.

A command is a row in the ledger; the gateway executes it on its normal path and writes its answer beside it.
"""

from __future__ import annotations

import asyncio
import getpass
import json
import sys
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, TypeVar

import typer
from rich.console import Console

from gateway.cli import story
from gateway.cli.asking import ask as _ask
from gateway.cli.asking import console as _console
from gateway.cli.asking import print_json as _print_json
from gateway.cli.store import AsJson, ConfigFile, StoreUrl, ledger_url
from gateway.errors import ConfigError
from gateway.model.transitions import Dialogue
from gateway.store import Ledger, alleged, queries, statement_queries
from gateway.store.queries import Snapshot
from gateway.store.verification import verify_history, verify_witness
from gateway.store.views import CommandRefused, CommandView

T = TypeVar("T")

_PAGE = 200
_WIDE = 120  # columns of a terminal on which a list shows everything
_LOOK_AGAIN_SECONDS = 0.1
_REFUSED = 1
_NO_ANSWER = 3

instructions = typer.Typer(
    help="Instructions and confirmations: list them, show the whole story.", no_args_is_help=True
)
parked = typer.Typer(help="Parked items: list, show, repair, release, discard.", no_args_is_help=True)
allegements = typer.Typer(help="What the other side began: list it, answer it.", no_args_is_help=True)
history = typer.Typer(help="The history of every instruction: prove it.", no_args_is_help=True)
statements = typer.Typer(
    help="Statements of the counterparties: list, show, and where they differ from the ledger.", no_args_is_help=True
)

Limit = Annotated[int, typer.Option("--limit", "-n", min=0, help="How many, newest first; 0 for all.")]
Before = Annotated[int | None, typer.Option("--before", help="Only those before this row number (the last one seen).")]
Trade = Annotated[str | None, typer.Option("--trade", help="A trade: TRADE or SOURCE/TRADE.")]
Counterparty = Annotated[str | None, typer.Option("--counterparty", help="BIC, or how it begins.")]
WithContent = Annotated[bool, typer.Option("--content", help="Show payloads too.")]
ParkedId = Annotated[int, typer.Argument(help="The parked item's number.")]
User = Annotated[str, typer.Option("--user", help="Who asks.", default_factory=getpass.getuser, show_default="you")]
Why = Annotated[str, typer.Option("--reason", help="Why; it is kept for ever.")]
Wait = Annotated[float, typer.Option("--wait", min=0, help="Seconds to wait for the gateway's answer; 0: do not wait.")]


# Instructions ---------------------------------------------------------------------------------------------------------


@instructions.command("list")
def list_instructions(
    config: ConfigFile = None,
    url: StoreUrl = None,
    headline: Annotated[str | None, typer.Option("--headline", help="Only these, such as unmatched.")] = None,
    dialogue: Annotated[str | None, typer.Option("--dialogue", help=f"One of {', '.join(Dialogue)}.")] = None,
    counterparty: Counterparty = None,
    trade: Trade = None,
    since: Annotated[datetime | None, typer.Option("--since", help="Changed since then (UTC).")] = None,
    limit: Limit = 50,
    before: Before = None,
    as_json: AsJson = False,
) -> None:
    """List instructions and confirmations, newest first."""
    changed = None if since is None else since.replace(tzinfo=since.tzinfo or UTC)

    def page(connection: Snapshot, start: int | None, size: int) -> list[Any]:
        return queries.list_instructions(
            connection,
            headline=headline,
            counterparty=counterparty,
            dialogue=dialogue,
            trade=trade,
            changed_since=changed,
            before=start,
            limit=size,
        )

    _list(ledger_url(config, url), page, before, limit, story.instruction_table, as_json, "no instruction")


@instructions.command("show")
def show_instruction(
    identifier: Annotated[
        str,
        typer.Argument(
            metavar="ID",
            help="Transaction identification, trade (TRADE or SOURCE/TRADE), business message identifier (ours or "
            "theirs), the servicer's identification, or row number.",
        ),
    ],
    config: ConfigFile = None,
    url: StoreUrl = None,
    content: WithContent = False,
    as_json: AsJson = False,
) -> None:
    """Show the whole story: event, messages, attempts, replies, status over time, what was parked."""

    def work(connection: Snapshot) -> tuple[list[Any], list[Any]]:
        stories = queries.show_instruction(connection, identifier, content=content)
        return stories, [] if stories else queries.list_parked(connection, state=None, trade=identifier)

    stories, waiting = _ask(ledger_url(config, url), work)
    if as_json:
        _print_json(stories)
    elif stories:
        for found in stories:
            _console().print(story.whole(found))
    elif waiting:
        _console().print(f"{identifier} has no instruction yet; this was parked:")
        _console().print(story.parked_table(waiting))
    if not stories and not waiting:
        print(f"gateway: the ledger knows no {identifier}", file=sys.stderr)
    if not stories:
        raise typer.Exit(1)


# Parked items ---------------------------------------------------------------------------------------------------------


@parked.command("list")
def list_parked(
    config: ConfigFile = None,
    url: StoreUrl = None,
    code: Annotated[str | None, typer.Option("--code", help="Only this code.")] = None,
    stage: Annotated[str | None, typer.Option("--stage", help="event, send or reply.")] = None,
    closed: Annotated[bool, typer.Option("--all", help="Released, discarded and cancelled ones too.")] = False,
    counterparty: Counterparty = None,
    trade: Trade = None,
    limit: Limit = 50,
    before: Before = None,
    as_json: AsJson = False,
) -> None:
    """List what is parked, newest first."""

    def page(connection: Snapshot, start: int | None, size: int) -> list[Any]:
        return queries.list_parked(
            connection,
            state=None if closed else "open",
            code=code,
            stage=stage,
            trade=trade,
            counterparty=counterparty,
            before=start,
            limit=size,
        )

    _list(ledger_url(config, url), page, before, limit, story.parked_table, as_json, "nothing is parked")


@parked.command("show")
def show_parked(
    parked_id: ParkedId,
    config: ConfigFile = None,
    url: StoreUrl = None,
    content: WithContent = False,
    save: Annotated[
        Path | None, typer.Option("--save", help="Write the original, byte for byte, to this file: to repair it.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Show a parked item: every violation, what it holds, what was done about it."""

    def work(connection: Snapshot) -> tuple[Any, bytes | None]:
        original = queries.original_content(connection, parked_id) if save is not None else None
        return queries.show_parked(connection, parked_id, content=content), original

    item, original = _ask(ledger_url(config, url), work)
    if item is None:
        print(f"gateway: there is no parked item {parked_id}", file=sys.stderr)
        raise typer.Exit(1)
    if save is not None:
        save.write_bytes(original or b"")
    if as_json:
        _print_json([item])
    else:
        _console().print(story.parked_item(item))


@parked.command()
def repair(
    parked_id: ParkedId,
    file: Annotated[
        Path, typer.Argument(help="The corrected event or reply.", exists=True, dir_okay=False, readable=True)
    ],
    reason: Why,
    user: User,
    config: ConfigFile = None,
    url: StoreUrl = None,
    wait: Wait = 10.0,
    as_json: AsJson = False,
) -> None:
    """Replace a parked event or reply by a corrected one and let it go on; the original is kept."""
    _command(ledger_url(config, url), "repair", parked_id, file.read_bytes(), user, reason, wait, as_json=as_json)


@parked.command()
def release(
    parked_id: ParkedId,
    reason: Why,
    user: User,
    config: ConfigFile = None,
    url: StoreUrl = None,
    wait: Wait = 10.0,
    as_json: AsJson = False,
) -> None:
    """Let a parked item go on as it is: its cause was elsewhere and is mended."""
    _command(ledger_url(config, url), "release", parked_id, None, user, reason, wait, as_json=as_json)


@parked.command()
def discard(
    parked_id: ParkedId,
    reason: Why,
    user: User,
    config: ConfigFile = None,
    url: StoreUrl = None,
    wait: Wait = 10.0,
    as_json: AsJson = False,
) -> None:
    """Give a parked item up; it stays on record, and later items of its trade go on."""
    _command(ledger_url(config, url), "discard", parked_id, None, user, reason, wait, as_json=as_json)


def _command(
    url: str, kind: str, parked_id: int, content: bytes | None, user: str, reason: str, wait: float, *, as_json: bool
) -> None:
    now = datetime.now(UTC)
    _submit(
        url,
        lambda connection: queries.submit_command(connection, kind, parked_id, content, user, reason, now),
        wait,
        as_json=as_json,
    )


def _submit(url: str, submit: Callable[[Snapshot], int | CommandRefused], wait: float, *, as_json: bool) -> None:
    """Write a command and wait for the gateway's answer."""

    async def go() -> CommandRefused | CommandView | None:
        ledger = await Ledger.open(url, exclusive=False)
        try:
            number = await ledger.execute(submit)
            if isinstance(number, CommandRefused):
                return number
            until = time.monotonic() + wait
            while True:
                view = await ledger.query(lambda connection: queries.await_command(connection, number))
                if view is None or view.state != "waiting" or time.monotonic() >= until:
                    return view
                await asyncio.sleep(_LOOK_AGAIN_SECONDS)
        finally:
            await ledger.close()

    outcome = asyncio.run(go())
    if as_json:
        _print_json([outcome])
    elif isinstance(outcome, CommandView) and outcome.state == "waiting":
        tail = "" if not wait else f" after {wait:g} s; is the gateway running?"
        print(f"command {outcome.id} waits for the gateway{tail}")
    elif isinstance(outcome, CommandView):
        print(f"{outcome.state}: {outcome.answer}")
    elif outcome is not None:
        print(f"gateway: {outcome.text} [{outcome.code}]", file=sys.stderr)
    if isinstance(outcome, CommandRefused) or (outcome is not None and outcome.state == "refused"):
        raise typer.Exit(_REFUSED)
    if wait and outcome is not None and outcome.state == "waiting":
        raise typer.Exit(_NO_ANSWER)


# What the other side began --------------------------------------------------------------------------------------------


@allegements.command("list")
def list_allegements(
    config: ConfigFile = None,
    url: StoreUrl = None,
    closed: Annotated[bool, typer.Option("--all", help="Answered, removed and cancelled ones too.")] = False,
    counterparty: Counterparty = None,
    limit: Limit = 50,
    before: Before = None,
    as_json: AsJson = False,
) -> None:
    """List what the other side began and nobody has answered, with what of ours is most like it."""

    def page(connection: Snapshot, start: int | None, size: int) -> list[Any]:
        return alleged.list_allegements(connection, counterparty=counterparty, closed=closed, before=start, limit=size)

    _list(ledger_url(config, url), page, before, limit, story.allegement_table, as_json, "nothing waits for an answer")


@allegements.command("answer")
def answer_allegement(
    identifier: Annotated[
        str, typer.Argument(metavar="ID", help="Transaction identification, their reference, or row number.")
    ],
    answer: Annotated[str, typer.Argument(help=f"One of {', '.join(alleged.ANSWERS)}.")],
    user: User,
    code: Annotated[str | None, typer.Option("--reason", help="The reason code, such as CPTR or NAFF.")] = None,
    text: Annotated[str | None, typer.Option("--text", help="In words, for the other side.")] = None,
    config: ConfigFile = None,
    url: StoreUrl = None,
    wait: Wait = 10.0,
    as_json: AsJson = False,
) -> None:
    """Answer an allegement (consent, reject, pending, forwarded) or their trade confirmation (affirm, disaffirm)."""
    now = datetime.now(UTC)
    _submit(
        ledger_url(config, url),
        lambda connection: alleged.submit_answer(connection, identifier, answer, code, text, user, now),
        wait,
        as_json=as_json,
    )


# History --------------------------------------------------------------------------------------------------------------


@history.callback()
def _room() -> None:
    """Keep ``verify`` a command of its own: one command alone would become the group."""


@history.command()
def verify(
    config: ConfigFile = None,
    url: StoreUrl = None,
    witness: Annotated[
        Path | None,
        typer.Option(
            "--witness",
            help="Status events as upstream kept them (JSON lines): compare their head hashes too.",
            exists=True,
            dir_okay=False,
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Prove every chain from its first entry to its head. Exit code 1 when one does not hold."""
    address = ledger_url(config, url)
    with Console(stderr=True).status("verifying") as status:
        found = _ask(
            address, lambda c: verify_history(c, lambda done: status.update(f"verifying: {done} instructions"))
        )
        results = [found]
        if witness is not None:
            results.append(_ask(address, lambda connection: verify_witness(connection, _told(witness))))
    if as_json:
        _print_json(results)
    else:
        for result, what in zip(results, ("history", "witness"), strict=False):
            _console().print(story.verification(result, what))
    if not all(result.proven for result in results):
        raise typer.Exit(1)


def _told(path: Path) -> Iterator[tuple[str, int, str]]:
    with path.open(encoding="utf-8") as lines:
        for number, line in enumerate(lines, 1):
            if not line.strip():
                continue
            try:
                event = json.loads(line)
                yield event["transaction_id"], int(event["sequence"]), event["head_hash"]
            except (ValueError, KeyError, TypeError) as error:
                text = f"{path}: line {number} is no status event with transaction_id, sequence and head_hash"
                raise ConfigError(text, code="witness_unreadable") from error


# Statements -----------------------------------------------------------------------------------------------------------


@statements.command("list")
def list_statements(
    config: ConfigFile = None,
    url: StoreUrl = None,
    counterparty: Counterparty = None,
    kind: Annotated[
        str | None, typer.Option("--kind", help="custody_holdings, postings, pending, cash_account and so on.")
    ] = None,
    day: Annotated[datetime | None, typer.Option("--date", formats=["%Y-%m-%d"], help="Of this day.")] = None,
    differing: Annotated[bool, typer.Option("--differing", help="Only those that differ from the ledger.")] = False,
    limit: Limit = 50,
    before: Before = None,
    as_json: AsJson = False,
) -> None:
    """List statements, newest first."""

    def page(connection: Snapshot, start: int | None, size: int) -> list[Any]:
        return statement_queries.list_statements(
            connection,
            counterparty=counterparty,
            kind=kind,
            day=day and day.date(),
            differing=differing,
            before=start,
            limit=size,
        )

    _list(ledger_url(config, url), page, before, limit, story.statement_table, as_json, "no statement")


@statements.command("show")
def show_statement(
    identifier: Annotated[
        str, typer.Argument(metavar="ID", help="The statement's reference, transaction identification or row number.")
    ],
    config: ConfigFile = None,
    url: StoreUrl = None,
    as_json: AsJson = False,
) -> None:
    """Show a statement: its pages, holdings or balances, and differences with both sides."""
    found = _ask(ledger_url(config, url), lambda connection: statement_queries.show_statement(connection, identifier))
    if as_json:
        _print_json(found)
    else:
        for one in found:
            _console().print(story.statement(one))
    if not found:
        print(f"gateway: the ledger knows no statement {identifier}", file=sys.stderr)
        raise typer.Exit(1)


@statements.command("differences")
def list_differences(
    config: ConfigFile = None,
    url: StoreUrl = None,
    counterparty: Counterparty = None,
    code: Annotated[str | None, typer.Option("--code", help="Only this code.")] = None,
    transaction: Annotated[
        str | None, typer.Option("--transaction", help="Only about this transaction identification of ours.")
    ] = None,
    limit: Limit = 200,
    as_json: AsJson = False,
) -> None:
    """List where statements and the ledger differ, with both sides; the newest statement's first."""

    def work(connection: Snapshot) -> list[Any]:
        return statement_queries.list_differences(
            connection, counterparty=counterparty, code=code, transaction=transaction, limit=limit
        )

    found = _ask(ledger_url(config, url), work)
    if as_json:
        _print_json(found)
    else:
        _console().print(story.difference_table(found) if found else "no difference")


# Ledger and output ----------------------------------------------------------------------------------------------------


def _list(
    url: str,
    page: Callable[[Snapshot, int | None, int], list[Any]],
    before: int | None,
    limit: int,
    table: Callable[..., Any],
    as_json: bool,
    nothing: str,
) -> None:
    """Read page by page, each on a snapshot of its own; as JSON nothing is gathered."""

    async def go() -> None:
        ledger = await Ledger.open(url, exclusive=False)
        try:
            start, left, gathered = before, limit or None, []
            while left is None or left > 0:
                size = _PAGE if left is None else min(_PAGE, left)
                rows = await ledger.query(lambda connection, at=start, n=size: page(connection, at, n))  # type: ignore[misc]
                if as_json:
                    _print_json(rows)
                else:
                    gathered += rows
                if len(rows) < size:
                    break
                start = rows[-1].id
                left = None if left is None else left - len(rows)
        finally:
            await ledger.close()
        if not as_json:
            console = _console()
            console.print(table(gathered, wide=console.width >= _WIDE) if gathered else nothing)

    asyncio.run(go())
