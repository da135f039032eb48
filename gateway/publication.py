"""From the ledger to upstream: status events and exception events, at least once, in order per trade.

One process publishes at a time, under a lease. A crash between the send and the mark repeats events with the same
``status_id``.
"""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

import structlog

from gateway.bus import Bus, Message
from gateway.checkpoints import passed
from gateway.errors import TransportError
from gateway.pace import Backoff, Clock, Signals
from gateway.store import Ledger

if TYPE_CHECKING:
    from gateway.config import Settings

log = structlog.get_logger("gateway.publication")

LEASE = "publication"


class Publication:
    """Publish what the ledger says is to be published."""

    def __init__(self, ledger: Ledger, bus: Bus, settings: Settings, signals: Signals, clock: Clock) -> None:
        self._ledger = ledger
        self._bus = bus
        topics = settings.kafka.topics
        self._topics = {"status": topics.settlement_status, "exceptions": topics.exceptions}
        self._signals = signals
        self._clock = clock
        self._poll = settings.loops.poll_seconds
        self._backoff = Backoff(settings.loops.retry_initial_seconds, settings.loops.retry_maximum_seconds)

    async def run(self) -> None:
        """Publish until the stop; the caller holds the lease."""
        while not self._signals.stopping.is_set():
            if not await self.publish_waiting():
                await self._signals.wait("publication", self._poll)

    async def publish_waiting(self, limit: int = 500) -> int:
        """Publish one batch; returns how many events are published now. What failed is tried again, in order."""
        waiting = await self._ledger.read(self._clock(), lambda unit: unit.unpublished(limit))
        if not waiting:
            return 0
        passed("publication.read")
        by_topic: dict[str, list[tuple[int, Message]]] = defaultdict(list)
        for number, topic, key, content in waiting:
            by_topic[self._topics[topic]].append((number, Message(key.encode(), content)))
        published: list[int] = []
        failed: TransportError | None = None
        for topic, messages in by_topic.items():
            outcomes = await self._bus.send(topic, [message for _, message in messages])
            for (number, _), outcome in zip(messages, outcomes, strict=True):
                if isinstance(outcome, TransportError):
                    failed = failed or outcome
                else:
                    published.append(number)
        passed("publication.sent")
        await self._ledger.write(self._clock(), lambda unit: unit.mark_published(published))
        passed("publication.marked")
        if failed is not None:
            wait = self._backoff.next()
            log.warning("publication.failing", code=failed.code, error=failed.text, retry_in=round(wait, 2))
            await self._signals.pause(wait)
        elif self._backoff.failures:
            log.info("publication.recovered", failures=self._backoff.failures)
            self._backoff.reset()
        log.debug("publication.published", events=len(published))
        return len(published)
