"""How the loops wait: for work, for a retry, for the end. Nothing here sleeps longer than it was told."""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections import defaultdict
from collections.abc import Callable
from datetime import UTC, datetime

Clock = Callable[[], datetime]


def system_clock() -> datetime:
    """Return the time now, in UTC."""
    return datetime.now(UTC)


class Signals:
    """Wake a loop of this process when another has work for it; what other processes do is found by polling."""

    def __init__(self) -> None:
        self._events: dict[str, asyncio.Event] = defaultdict(asyncio.Event)
        self.stopping = asyncio.Event()

    def notify(self, name: str) -> None:
        """Say that there is work of this name."""
        self._events[name].set()

    def stop(self) -> None:
        """Ask every loop to finish what it has in hand and return."""
        self.stopping.set()
        for event in self._events.values():
            event.set()

    async def wait(self, name: str, seconds: float) -> None:
        """Return at once if there was a signal since the last wait, else when one comes, at the stop, or in time."""
        event = self._events[name]
        if not self.stopping.is_set():
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(event.wait(), seconds)
        event.clear()

    async def pause(self, seconds: float) -> None:
        """Wait, but not beyond the stop."""
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self.stopping.wait(), seconds)


class Backoff:
    """Give growing waits with jitter: between half and the whole of a doubling bound, up to a maximum (seconds)."""

    def __init__(self, initial: float, maximum: float) -> None:
        self._initial = initial
        self._maximum = maximum
        self.failures = 0

    def next(self) -> float:
        """Return the wait after one more failure."""
        bound = min(self._maximum, self._initial * 2.0 ** min(self.failures, 16))
        self.failures += 1
        return bound * random.uniform(0.5, 1.0)

    def reset(self) -> None:
        """Begin again after a success."""
        self.failures = 0
