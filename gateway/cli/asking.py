"""How commands ask the ledger, and print what it says."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Awaitable, Callable, Iterable
from typing import Any, TypeVar

from rich.console import Console

from gateway.model.reports import encode
from gateway.store import Ledger
from gateway.store.queries import Snapshot

T = TypeVar("T")


def ask(url: str, work: Callable[[Snapshot], T]) -> T:
    """Run a query on one snapshot of the ledger."""
    return asyncio.run(_run(url, lambda ledger: ledger.query(work)))


def tell(url: str, work: Callable[[Snapshot], T]) -> T:
    """Run an operator's small write."""
    return asyncio.run(_run(url, lambda ledger: ledger.execute(work)))


async def _run(url: str, work: Callable[[Ledger], Awaitable[T]]) -> T:
    ledger = await Ledger.open(url, exclusive=False)
    try:
        return await work(ledger)
    finally:
        await ledger.close()


def console() -> Console:
    """Return where tables go: as wide as the terminal, or wide enough for a file."""
    return Console(width=None if sys.stdout.isatty() else 180, highlight=False, markup=False)


def print_json(values: Iterable[Any]) -> None:
    """Print one JSON object a line."""
    for value in values:
        print(encode(value).decode())
