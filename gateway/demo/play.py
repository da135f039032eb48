"""The director of the demo: publish the day, listen, publish what follows upon what was heard, judge the end."""

from __future__ import annotations

import asyncio
import time
from collections import Counter, deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from gateway.bus import Bus, Message
from gateway.demo.audit import Finding, audit, by_reference, expected_exceptions, has_ended, is_over
from gateway.demo.day import Day, Trade, content_of
from gateway.demo.stage import Stage
from gateway.demo.upstream import Upstream
from gateway.errors import BusUnavailable, GatewayError
from gateway.simulator import BookEntry, Initiative, read_book
from gateway.store import Ledger
from gateway.store.verification import verify_history, verify_witness
from gateway.store.views import Verification

MOVING = ("publishing", "settling")

_TICK_SECONDS = 0.05
_USUAL_RATE, _HIGHEST_RATE, _USUAL_SECONDS = 40.0, 150.0, 8.0
_MOUNT_SECONDS = 5.0
_STALLED_SECONDS = 30.0
_QUIET_SECONDS = 0.5


@dataclass(slots=True)
class Progress:
    """How far the day is; what the board shows."""

    day: Day
    upstream: Upstream
    started: float = field(default_factory=time.monotonic)
    published: Counter[str] = field(default_factory=Counter)  # trade -> events
    first_event_at: dict[str, datetime] = field(default_factory=dict)  # trade/event -> when it was published
    mounted_at: datetime | None = None
    phase: str = "starting"
    rates: deque[tuple[float, int, int, int]] = field(default_factory=lambda: deque(maxlen=20_000))

    @property
    def seconds(self) -> float:
        """Return the time since the first event."""
        return time.monotonic() - self.started

    @property
    def events(self) -> int:
        """Count the events published."""
        return sum(self.published.values())

    @property
    def sent(self) -> int:
        """Count the instructions and confirmations that were sent."""
        return sum(heard.sent_at is not None for heard in self.upstream.instructions.values())

    @property
    def ended(self) -> int:
        """Count the instructions and confirmations that stand where they have to end."""
        heard = self.upstream.instructions
        return sum(has_ended(item, heard.get(item.transaction_id)) for item in self.day.expected.values())

    def note(self) -> None:
        """Keep the counts of this moment, for the rates."""
        self.rates.append((self.seconds, self.events, self.sent, self.upstream.events))


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the day came to; empty ``findings`` mean that every trade ended where it should."""

    findings: tuple[Finding, ...]
    history: Verification | None
    books: Mapping[str, Sequence[BookEntry]]
    seconds: float
    gateway_exit_code: int | None


class Play:
    """One performance of a day on a stage."""

    def __init__(self, stage: Stage, day: Day, show: Callable[[Progress], None]) -> None:
        topics = stage.kafka.topics
        self._stage = stage
        self._day = day
        self._show = show
        self._topics = topics
        self.progress = Progress(day, Upstream(topics.settlement_status, topics.exceptions))
        self._waiting: list[
            tuple[Trade, int, float]
        ] = []  # trades, their next act, and when it may come at the earliest
        self._contents: dict[str, bytes] = {}  # event identifier -> content, for an event that comes again

    async def run(self, *, keep: bool) -> Verdict:
        """Play the day to its end and judge it; without ``keep`` the gateway is stopped before the judgement."""
        progress = self.progress
        progress.started = time.monotonic()
        async with Bus(self._stage.kafka) as bus:
            names = [self._topics.settlement_status, self._topics.exceptions]
            async with bus.consumer(names, f"{self._stage.kafka.group}.demo", assigned=True) as consumer:
                listening = asyncio.create_task(self._listen(consumer))
                try:
                    progress.phase = MOVING[0]
                    await self._publish_all(bus, listening)
                    progress.phase = MOVING[1]
                    stalled = await self._until_ended(bus, listening)
                    seconds = progress.seconds
                    progress.phase = "checking the books"
                    self._show(progress)
                    code = None if keep else await self._stage.stop_gateway()
                    await self._until_quiet()
                finally:
                    listening.cancel()
                    await asyncio.wait({listening})
        books = self._books()
        history, findings = await self._verify()
        findings += [*stalled, *audit(self._day, progress.published, progress.upstream, books)]
        if code:
            findings.append(Finding(None, f"the gateway stopped with exit code {code}, not 0"))
        progress.phase = "done"
        self._show(progress)
        return Verdict(tuple(findings), history, books, seconds, code)

    # Publish --------------------------------------------------------------------------------------------------------

    async def _publish_all(self, bus: Bus, listening: asyncio.Task[None]) -> None:
        """Publish at the day's pace; trades that are early are done with before the shares are mounted."""
        early = [trade for trade in self._day.trades if trade.course.early]
        others = [trade for trade in self._day.trades if not trade.course.early]
        await self._begin(bus, early)
        mounted = False
        seconds = max(min(len(others) / _USUAL_RATE, _USUAL_SECONDS), len(others) / _HIGHEST_RATE)
        begun = self.progress.seconds
        place = 0
        while place < len(others) or not mounted:
            elapsed = self.progress.seconds - begun
            if not mounted and (elapsed > _MOUNT_SECONDS or all(self._was_told(trade) for trade in early)):
                self._stage.mount_shares()
                self.progress.mounted_at = datetime.now(UTC)
                mounted = True
            until = min(len(others), 1 + int(len(others) * elapsed / seconds)) if seconds else len(others)
            if until > place:
                await self._begin(bus, others[place:until])
                place = until
            await self._turn(bus, listening)

    def _was_told(self, trade: Trade) -> bool:
        heard = self.progress.upstream.instructions
        return all(item.transaction_id in heard for item in trade.expected)

    async def _begin(self, bus: Bus, trades: Sequence[Trade]) -> None:
        """Publish the acts of trades up to the first one that waits."""
        await self._publish(bus, [(trade, 0) for trade in trades])

    async def _publish(self, bus: Bus, acts: Sequence[tuple[Trade, int]]) -> None:
        """Publish these acts, and those after them that wait for nothing."""
        messages: list[tuple[Trade, bytes]] = []
        for trade, first in acts:
            for place in range(first, len(trade.happenings)):
                act = trade.course.acts[place]
                if place > first and (act.when or act.after):
                    self._waiting.append((trade, place, time.monotonic() + act.after))
                    break
                happening = trade.happenings[place]
                if isinstance(happening, Initiative):
                    self._stage.begin(self._day.tables.counterparty(act) or trade.counterparty, happening)
                else:
                    messages.append((trade, self._content(trade, place, happening)))
        self.progress.published.update(trade.trade_id for trade, _ in messages)
        if not messages:
            return
        outcomes = await bus.send(self._topics.trade_events, [Message(trade.key, body) for trade, body in messages])
        for outcome in outcomes:
            if isinstance(outcome, GatewayError):
                raise BusUnavailable(f"a trade event could not be published: {outcome.text}", code=outcome.code)

    def _content(self, trade: Trade, place: int, event: Mapping[str, Any]) -> bytes:
        now = datetime.now(UTC)
        identifier = event.get("event_id", "")
        if trade.course.acts[place].do == "repeat":
            return self._contents[identifier]
        content = content_of(event, now)
        self._contents[identifier] = content
        self.progress.first_event_at.setdefault(f"{trade.trade_id}/{identifier}", now)
        return content

    # Listen ---------------------------------------------------------------------------------------------------------

    async def _listen(self, consumer: Any) -> None:
        while True:
            for record in await consumer.poll(500):
                self.progress.upstream.take(record)

    async def _turn(self, bus: Bus, listening: asyncio.Task[None]) -> None:
        """Let time pass; publish what has waited for what was heard meanwhile; show where we are."""
        await asyncio.sleep(_TICK_SECONDS)
        if listening.done():
            listening.result()
        self._stage.check()
        headlines = self.progress.upstream.headlines
        now = time.monotonic()
        due = []
        for item in self._waiting.copy():
            trade, place, earliest = item
            when = trade.course.acts[place].when
            if now >= earliest and (not when or any(when in headlines.get(name, ()) for name in trade.names)):
                self._waiting.remove(item)
                due.append((trade, place))
        if due:
            await self._publish(bus, due)
        self.progress.note()
        self._show(self.progress)

    # The end --------------------------------------------------------------------------------------------------------

    async def _until_ended(self, bus: Bus, listening: asyncio.Task[None]) -> list[Finding]:
        """Wait until everything is where it has to be; give up when nothing moves any more."""
        moved, state = time.monotonic(), (-1, -1)
        while True:
            await self._turn(bus, listening)
            now = (self.progress.events, self.progress.upstream.events)
            if now != state:
                moved, state = time.monotonic(), now
            elif self._is_complete():
                return []
            elif time.monotonic() - moved > _STALLED_SECONDS:
                return [Finding(None, f"nothing moved for {_STALLED_SECONDS:g} s before everything had ended")]

    def _is_complete(self) -> bool:
        upstream = self.progress.upstream
        if self._waiting or self.progress.ended < len(self._day.expected):
            return False
        if upstream.parked != expected_exceptions(self._day):
            return False
        arrived = by_reference(self._books())
        return all(
            is_over(item, upstream.instructions[item.transaction_id], arrived.get(item.reference, ()))
            for item in self._day.expected.values()
        )

    async def _until_quiet(self) -> None:
        """Wait until nothing is heard any more: what would be one too many has time to come."""
        count = -1
        while count != self.progress.upstream.events:
            count = self.progress.upstream.events
            await asyncio.sleep(_QUIET_SECONDS)
            self._show(self.progress)

    def _books(self) -> dict[str, list[BookEntry]]:
        return {item.bic: read_book(self._stage.book(item.bic)) for item in self._day.tables.counterparties}

    async def _verify(self) -> tuple[Verification, list[Finding]]:
        """Prove every chain of history, alone and against the hashes that upstream was told."""
        ledger = await Ledger.open(self._stage.ledger_url, exclusive=False)
        try:
            history = await ledger.query(verify_history)
            witness = await ledger.query(lambda connection: verify_witness(connection, self.progress.upstream.witness))
        finally:
            await ledger.close()
        faults = [*history.faults, *witness.faults]
        return history, [Finding(fault.transaction_id, f"{fault.code}: {fault.text}") for fault in faults]
