"""The status board: live on a terminal, plain lines elsewhere; and the summary at the end."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any, Self

from rich import box
from rich.columns import Columns
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.panel import Panel
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from gateway.demo import summary
from gateway.demo.play import MOVING, Progress
from gateway.model.reports import StatusEvent

_EVERY_SECONDS = 0.1
_LINE_EVERY_SECONDS = 1.0
_LATEST = 9
_RATE_SECONDS = 3.0
_SHOWN_PARKED = 12
_SHOWN_FINDINGS = 40

_COLOURS = {
    "settled": "green",
    "booked": "green",
    "credited": "green",
    "opened": "cyan",
    "closed": "green",
    "affirmed": "green",
    "matched": "cyan",
    "sent": "blue",
    "accepted": "blue",
    "partially_settled": "yellow",
    "unmatched": "yellow",
    "pending": "yellow",
    "failing": "red",
    "rejected": "red",
    "disaffirmed": "red",
    "reversed": "magenta",
    "cancelled": "magenta",
    "withdrawn": "magenta",
    "alleged": "yellow",
    "generated": "yellow",
    "agrees": "cyan",
    "differs": "yellow",
    "answered": "green",
    "returned": "magenta",
    "expected": "blue",
    "notified": "yellow",
    "removed": "magenta",
    "cancellation_requested": "magenta",
    "cancellation_pending": "magenta",
}
_COLUMN_COLOURS = {"settled": "green", "affirmed": "green", "partial": "yellow", "rejected": "red", "alerted": "yellow"}


class Board:
    """Show progress; a context manager. ``live`` moves in place, otherwise a line a second is printed."""

    def __init__(self, console: Console, *, live: bool) -> None:
        self._console = console
        self._live = Live(console=console, auto_refresh=False, transient=False) if live else None
        self._shown_at = 0.0
        self._phase = ""

    def __enter__(self) -> Self:
        if self._live is not None:
            self._live.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def close(self) -> None:
        """Leave what is shown where it is."""
        if self._live is not None:
            self._live.stop()

    def announce(self, text: str) -> None:
        """Say what is happening before there is anything to show."""
        if self._live is not None:
            self._live.update(Text(text, style="dim"), refresh=True)
        else:
            self._console.print(text, markup=False, highlight=False)

    def show(self, progress: Progress) -> None:
        """Show where the day is, at most a few times a second."""
        now = time.monotonic()
        changed = progress.phase != self._phase
        if not changed and now - self._shown_at < (_EVERY_SECONDS if self._live else _LINE_EVERY_SECONDS):
            return
        self._shown_at, self._phase = now, progress.phase
        if self._live is not None:
            self._live.update(board(progress), refresh=True)
        else:
            self._console.print(line(progress), markup=False, highlight=False)


def line(progress: Progress) -> str:
    """Return one line of progress."""
    return (
        f"{progress.seconds:6.1f} s  {progress.phase:<18} {progress.events} events, {progress.sent} sent, "
        f"{progress.ended}/{len(progress.day.expected)} ended, {sum(progress.upstream.parked.values())} parked"
    )


def board(progress: Progress) -> RenderableType:
    """Draw the whole board."""
    lower = Table.grid(expand=True, padding=(0, 1))
    lower.add_column(ratio=3)
    lower.add_column(ratio=2)
    lower.add_row(_latest(progress), _parked(summary.parked(progress)))
    return Group(_head(progress), _counterparties(progress), lower)


def _head(progress: Progress) -> RenderableType:
    trades = len(progress.day.trades)
    expected = len(progress.day.expected)
    ours = sum(item.event is not None for item in progress.day.expected.values())
    events = sum(len(trade.events) for trade in progress.day.trades)
    grid = Table.grid(expand=True, padding=(0, 2))
    for ratio in (3, 4, 3):
        grid.add_column(ratio=ratio)
    rates = _rates(progress)
    for name, done, whole, rate in (
        ("published", progress.events, events, f"{rates[0]:.0f} events a second"),
        ("sent", progress.sent, ours, f"{rates[1]:.0f} messages a second"),
        ("at their end", progress.ended, expected, f"{rates[2]:.0f} status events a second"),
    ):
        grid.add_row(f"{name} [bold]{done:,}[/] of {whole:,}", ProgressBar(whole, min(done, whole)), f"[dim]{rate}[/]")
    spoken = _spread({_words(name): count for name, count in summary.dialogues(progress).items()})
    title = f"[bold]gateway demo[/]  {trades:,} trades  {progress.seconds:.0f} s  [cyan]{progress.phase}[/]"
    return Panel(Group(grid, spoken), title=title, title_align="left", box=box.ROUNDED)


def _rates(progress: Progress) -> tuple[float, float, float]:
    """Return the rates of the last seconds, and of the whole day once it is over."""
    points = progress.rates
    if len(points) < 2:
        return (0.0, 0.0, 0.0)
    over = progress.phase not in MOVING
    last = points[-1]
    first = points[0] if over else next(point for point in points if last[0] - point[0] <= _RATE_SECONDS)
    elapsed = max(last[0] - first[0], 0.05)
    return ((last[1] - first[1]) / elapsed, (last[2] - first[2]) / elapsed, (last[3] - first[3]) / elapsed)


def _counterparties(progress: Progress) -> RenderableType:
    table = Table(box=box.SIMPLE_HEAD, expand=True, show_footer=True, padding=0)
    known = {item.bic: item for item in progress.day.tables.counterparties}
    found = summary.by_counterparty(progress)
    table.add_column("counterparty", "all", footer_style="bold", no_wrap=True, min_width=12)
    table.add_column("over", style="dim", no_wrap=True)
    for name in summary.COLUMNS:
        total = sum(row[name] for row in found.values())
        colour = _COLUMN_COLOURS.get(name)
        table.add_column(
            name, f"{total:,}", justify="right", footer_style="bold", style=colour, no_wrap=True, min_width=len(name)
        )
    for bic, row in found.items():
        table.add_row(
            known[bic].name, known[bic].carrier, *(f"{count:,}" if count else "[dim]·[/]" for count in row.values())
        )
    return table


def _latest(progress: Progress) -> RenderableType:
    table = Table(box=box.SIMPLE_HEAD, expand=True, title="latest", title_justify="left", show_header=False)
    table.add_column("at", no_wrap=True, style="dim")
    table.add_column("trade", no_wrap=True)
    table.add_column("status", no_wrap=True)
    table.add_column("why", ratio=1, no_wrap=True, overflow="ellipsis", style="dim")
    for event in reversed(list(progress.upstream.latest)[-_LATEST:]):
        at = f"{event.occurred_at.astimezone():%H:%M:%S}"
        if isinstance(event, StatusEvent):
            changes = ", ".join(f"{change.axis} {change.after}" for change in event.changes)
            reasons = [reason.code or reason.proprietary or "" for change in event.changes for reason in change.reasons]
            why = f"{event.cause.message_definition or event.cause.kind}  {changes} {' '.join(filter(None, reasons))}"
            style = _COLOURS.get(event.headline, "white")
            table.add_row(at, event.trade_id, Text(_words(event.headline), style=style), Text(why))
        else:
            table.add_row(
                at, event.trade_id or "-", Text("parked", style="bold red"), Text(f"{event.code}  {event.text}")
            )
    return table


def _parked(found: Mapping[str, int]) -> RenderableType:
    table = Table(box=box.SIMPLE_HEAD, expand=True, title="parked", title_justify="left", show_header=False)
    table.add_column("count", justify="right", no_wrap=True)
    table.add_column("code", ratio=1, no_wrap=True, overflow="ellipsis")
    for name, count in list(found.items())[:_SHOWN_PARKED]:
        table.add_row(str(count), Text(name, style="red"))
    if len(found) > _SHOWN_PARKED:
        table.add_row("", f"[dim]and {len(found) - _SHOWN_PARKED} codes more[/]")
    return table


def report(found: Mapping[str, Any], last_lines: Mapping[str, list[str]]) -> RenderableType:
    """Draw the summary of a finished day; after a failure with what is wrong and the logs."""
    grid = Table.grid(padding=(0, 2))
    grid.add_column(style="dim")
    grid.add_column()
    grid.add_row("trades", f"{found['trades']:,} in {found['seconds']:g} s, seed {found['seed']}")
    grid.add_row("became", _spread({name: found[name] for name in summary.COLUMNS}))
    for title, key in (("dialogues", "dialogues"), ("asked about them", "requests"), ("stand at", "headlines")):
        grid.add_row(title, _spread({_words(name): count for name, count in found[key].items()}) or "nothing")
    grid.add_row("parked", _spread(found["parked"]) or "nothing")
    for name, values in found["latency_milliseconds"].items():
        shown = "  ".join(f"{key} {value:,.0f} ms" for key, value in values.items())
        scripted = "  (with the delays of the simulated counterparties)" if "final" in name else ""
        grid.add_row(name.replace("_", " "), shown + scripted)
    books = found["books"]
    ours, theirs, upstream = books["publisher"], books["counterparties"], books["upstream"]
    grid.add_row("publisher's book", f"{ours['events']:,} events, {ours['expected']:,} transactions expected")
    grid.add_row(
        "counterparties' books",
        f"{theirs['arrived']:,} messages arrived, {theirs['repeated']:,} of them again; {theirs['answers']:,} answers",
    )
    grid.add_row("upstream's book", f"{upstream['events']:,} events about {upstream['instructions']:,} instructions")
    if found["history"]:
        proven = "proven" if found["history"]["proven"] else "NOT proven"
        history = found["history"]
        grid.add_row("history", f"{history['entries']:,} entries of {history['instructions']:,} instructions {proven}")
    if found["passed"]:
        end = Text("Every trade ended where it should; nothing was lost, nothing doubled.", style="bold green")
        return Panel(Group(grid, Text(), end), title="the day", title_align="left", box=box.ROUNDED)
    wrong = Table.grid(padding=(0, 2))
    for finding in found["findings"][:_SHOWN_FINDINGS]:
        wrong.add_row(Text(finding["trade_id"] or "", style="bold"), Text(finding["text"]))
    if len(found["findings"]) > _SHOWN_FINDINGS:
        wrong.add_row("", f"and {len(found['findings']) - _SHOWN_FINDINGS} more")
    parts: list[RenderableType] = [grid, Text(), Text("Not as it should be:", style="bold red"), wrong]
    for name, lines in last_lines.items():
        said = Text("\n".join(lines), style="dim", no_wrap=True, overflow="ellipsis")
        parts += [Text(), Text(f"{name}: {', '.join(found['logs'][name])}", style="bold"), said]
    return Panel(Group(*parts), title="the day", title_align="left", box=box.ROUNDED, border_style="red")


def _words(name: str) -> str:
    return name.replace("_", " ")


def _spread(found: Mapping[str, int]) -> RenderableType:
    """Write counts side by side; no line break comes between a count and its name."""
    return Columns([Text(f"{count:,} {name}", no_wrap=True) for name, count in found.items()], padding=(0, 2))
