"""The composition root: open ledger, bus and channels; start the loops in order; stop them in order.

A loop that fails for a reason that may pass is started again with growing waits; what it had in hand is found again in
the ledger. ``/ready`` tells the truth from what is kept here.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import structlog

from gateway import console
from gateway.bus import Bus
from gateway.bus.consumer import Consumer
from gateway.commands import LEASE as COMMANDS
from gateway.commands import Commands
from gateway.config import Settings
from gateway.deadlines import LEASE as DEADLINES
from gateway.deadlines import Deadlines
from gateway.dispatch import Dispatch, LeaseLost, LeaseView
from gateway.errors import BusUnavailable, GatewayError, StoreUnavailable
from gateway.intake import Intake, IntakeLoop
from gateway.messages import Messages
from gateway.messages.schema_files import load_calendars, load_catalogue, load_penalty_rates, load_rulebook
from gateway.model.profile import Profile
from gateway.pace import Backoff, Clock, Signals, system_clock
from gateway.publication import LEASE as PUBLICATION
from gateway.publication import Publication
from gateway.replies import Replies
from gateway.store import Lease, Ledger, overload
from gateway.transports import open_transport

log = structlog.get_logger("gateway.app")


@dataclass(slots=True)
class Condition:
    """What the running gateway knows of itself, for ``/ready`` and ``gateway doctor``."""

    ledger: str = "opening"
    intake: str = "starting"
    kafka: str = "connecting"
    overload: str | None = None  # why the intake waits for the ledger
    backlog: int = 0  # messages that wait to be sent
    loops: dict[str, str] = field(default_factory=dict)  # name -> holding | waiting | failed: why

    @property
    def ready(self) -> bool:
        """Tell whether trade events are being taken in. A counterparty that is away does not change that."""
        return self.ledger == "open" and self.intake == "running" and self.kafka == "connected" and not self.overload

    def report(self) -> dict[str, Any]:
        """Return it as JSON can carry it."""
        return {
            "ready": self.ready,
            "ledger": self.ledger,
            "kafka": self.kafka,
            "intake": self.intake if self.overload is None else f"paused: {self.overload}",
            "backlog": self.backlog,
            "loops": dict(sorted(self.loops.items())),
        }


class Gateway:
    """One gateway process."""

    def __init__(self, settings: Settings, clock: Clock = system_clock) -> None:
        self._settings = settings
        self._clock = clock
        self._signals = Signals()
        self._holder = f"{socket.gethostname()}/{os.getpid()}"
        self._turns = 0
        self._consumer: Consumer | None = None
        self.condition = Condition()

    def stop(self) -> None:
        """Stop reading, finish or record what is in flight, then let ``run`` return."""
        if not self._signals.stopping.is_set():
            log.info("gateway.stopping")
            self._signals.stop()

    async def run(self) -> None:
        """Run until ``stop`` or SIGTERM. Raises ConfigError for what only an operator can mend."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            with contextlib.suppress(NotImplementedError, ValueError):
                loop.add_signal_handler(number, self.stop)
        server = await console.serve(self._settings.console, self.condition)
        try:
            await self._run(server.port)
        finally:
            await server.close()
            log.info("gateway.stopped")

    async def _run(self, port: int) -> None:
        settings = self._settings
        catalogue = load_catalogue(settings.schemas.directory)
        rulebook = load_rulebook(catalogue, settings.rules.directory, load_calendars(settings.own_calendars()))
        messages = Messages(catalogue, settings.counterparties, settings.gateway.bic, rulebook)
        ledger = await self._open_ledger()
        if ledger is None:
            return
        try:
            async with Bus(settings.kafka) as bus:
                if not await self._await_topics(bus):
                    return
                log.info(
                    "gateway.started",
                    bic=settings.gateway.bic,
                    counterparties=len(settings.counterparties),
                    console_port=port,
                    holder=self._holder,
                )
                await self._run_loops(ledger, bus, messages)
        finally:
            await ledger.close()
            self.condition.ledger = "closed"

    async def _open_ledger(self) -> Ledger | None:
        backoff = self._new_backoff()
        while not self._signals.stopping.is_set():
            try:
                store = self._settings.store
                ledger = await Ledger.open(store.url.get_secret_value(), pool=store.pool)
            except StoreUnavailable as error:
                self.condition.ledger = f"unavailable: {error.text}"
                log.error("ledger.unavailable", code=error.code, error=error.text)
                await self._signals.pause(backoff.next())
            else:
                self.condition.ledger = "open"
                return ledger
        return None

    async def _await_topics(self, bus: Bus) -> bool:
        topics = self._settings.kafka.topics
        backoff = self._new_backoff()
        while not self._signals.stopping.is_set():
            try:
                await bus.check_topics([topics.trade_events, topics.settlement_status, topics.exceptions])
            except BusUnavailable as error:
                self.condition.kafka = error.text
                log.error("kafka.unavailable", code=error.code, error=error.text)
                await self._signals.pause(backoff.next())
            else:
                self.condition.kafka = "connected"
                return True
        return False

    def _new_backoff(self) -> Backoff:
        return Backoff(self._settings.loops.retry_initial_seconds, self._settings.loops.retry_maximum_seconds)

    async def _run_loops(self, ledger: Ledger, bus: Bus, messages: Messages) -> None:
        settings, clock, signals = self._settings, self._clock, self._signals
        intake = Intake(ledger, messages, settings, clock)
        publication = Publication(ledger, bus, settings, signals, clock)
        loops = settings.loops
        commands = Commands(
            ledger,
            intake,
            signals,
            clock,
            poll_seconds=max(1.0, loops.poll_seconds),
            instruction_wait_seconds=loops.instruction_wait_seconds,
        )
        calendars = load_calendars(settings.own_calendars())
        deadlines = Deadlines(ledger, messages, settings, calendars, signals, clock)
        tasks = [
            asyncio.create_task(self._intake(bus, intake), name="intake"),
            asyncio.create_task(self._leased(ledger, PUBLICATION, lambda _: publication.run()), name=PUBLICATION),
            asyncio.create_task(self._leased(ledger, COMMANDS, lambda _: commands.run()), name=COMMANDS),
            asyncio.create_task(self._leased(ledger, DEADLINES, lambda _: deadlines.run()), name=DEADLINES),
            asyncio.create_task(self._watch(ledger, bus), name="watch"),
        ]
        for profile in settings.counterparties:
            serve = self._channel(ledger, bus, messages, profile)
            tasks.append(asyncio.create_task(self._leased(ledger, profile.bic, serve), name=profile.bic))
        await self._signals.stopping.wait()
        _, late = await asyncio.wait(tasks, timeout=settings.gateway.shutdown_seconds)
        for task in late:
            log.warning("gateway.loop_cut_short", loop=task.get_name())
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _intake(self, bus: Bus, intake: Intake) -> None:
        backoff = self._new_backoff()
        while not self._signals.stopping.is_set():
            consumer = bus.consumer([self._settings.kafka.topics.trade_events])
            try:
                async with consumer:
                    self._consumer = consumer
                    await consumer.start()  # joined the group: from here on events are taken in
                    self.condition.intake = "running"
                    loop = IntakeLoop(
                        intake, consumer, self._signals, self._settings, self._clock, lambda: self.condition.overload
                    )
                    await loop.run()
            except Exception as error:
                self._failed("intake", error)
                self.condition.intake = f"failed: {type(error).__name__}"
                await self._signals.pause(backoff.next())
        self.condition.intake = "stopped"

    async def _watch(self, ledger: Ledger, bus: Bus) -> None:
        """Keep the condition true: ask the ledger, and look at what the bus last saw."""
        above = False
        while not self._signals.stopping.is_set():
            try:
                load = await ledger.load(self._clock())
                self.condition.ledger = "open"
                paused = self.condition.overload is not None
                self.condition.overload = overload(load, self._settings.store, paused=paused)
            except GatewayError as error:
                self.condition.ledger = f"unavailable: {error.text}"
            self.condition.kafka = "away" if bus.available is False else "connected"
            above = await self._report_backlog(ledger, above)
            if self.condition.intake in ("running", "partly stopped") and self._consumer is not None:
                self.condition.intake = "partly stopped" if self._consumer.stopped else "running"
            await self._signals.pause(1.0)

    async def _report_backlog(self, ledger: Ledger, above: bool) -> bool:
        """Warn once when more messages wait to be sent than they should, and say when it is over."""
        with contextlib.suppress(GatewayError):
            self.condition.backlog = await ledger.read(self._clock(), lambda unit: unit.backlog())
        now_above = self.condition.backlog > self._settings.loops.backlog_limit
        if now_above and not above:
            log.warning("backlog.high", messages=self.condition.backlog, limit=self._settings.loops.backlog_limit)
        elif above and not now_above:
            log.info("backlog.normal", messages=self.condition.backlog)
        return now_above

    def _channel(
        self, ledger: Ledger, bus: Bus, messages: Messages, profile: Profile
    ) -> Callable[[LeaseView], Awaitable[None]]:
        loops, signals, clock = self._settings.loops, self._signals, self._clock
        estimator = self._settings.penalties.estimator(
            load_penalty_rates(), load_calendars(self._settings.own_calendars())
        )

        async def serve(lease: LeaseView) -> None:
            dispatch = Dispatch(ledger, messages, profile, loops, signals, clock)
            replies = Replies(ledger, messages, profile, estimator, loops, signals, clock)
            async with open_transport(profile, bus) as transport, asyncio.TaskGroup() as group:
                group.create_task(dispatch.run(transport, lease))
                group.create_task(replies.receive(transport))
                group.create_task(replies.apply())

        return serve

    async def _leased(self, ledger: Ledger, name: str, work: Callable[[LeaseView], Awaitable[None]]) -> None:
        """Do work whenever this process holds the lease of that name; another process takes over when it ends."""
        backoff = self._new_backoff()
        seconds = self._settings.loops.lease_seconds
        while not self._signals.stopping.is_set():
            self._turns += 1
            holder = f"{self._holder}/{self._turns}"  # a new turn is a new holder: what the last one left is in doubt
            try:
                lease = await ledger.acquire(name, holder, self._clock(), seconds)
                if lease is None:
                    self.condition.loops[name] = "waiting"
                    await self._signals.pause(seconds / 4)
                    continue
                log.info("lease.taken", name=name, holder=holder, epoch=lease.epoch)
                self.condition.loops[name] = "holding"
                view = LeaseView(lease)
                try:
                    async with asyncio.TaskGroup() as group:
                        renewal = group.create_task(self._renew(ledger, view, seconds))
                        await work(view)
                        renewal.cancel()
                finally:
                    await self._release(ledger, view.lease)
                backoff.reset()
            except* Exception as failures:
                self._failed(name, failures)
                self.condition.loops[name] = "failed"
            if not self._signals.stopping.is_set() and self.condition.loops[name] == "failed":
                await self._signals.pause(backoff.next())

    async def _renew(self, ledger: Ledger, view: LeaseView, seconds: float) -> None:
        while True:
            await asyncio.sleep(seconds / 3)
            lease = view.lease
            try:
                renewed = await ledger.acquire(lease.channel, lease.holder, self._clock(), seconds)
            except StoreUnavailable:
                if self._clock() > lease.expires_at - timedelta(seconds=seconds / 6):
                    raise
                continue
            if renewed is None or renewed.epoch != lease.epoch:
                raise LeaseLost(f"{lease.channel}: another process took the lease")
            view.lease = renewed

    async def _release(self, ledger: Ledger, lease: Lease) -> None:
        try:
            await ledger.release(lease, self._clock())
        except GatewayError as error:
            log.warning("lease.not_released", name=lease.channel, error=error.text)

    def _failed(self, name: str, error: BaseException) -> None:
        causes = _leaves(error)
        expected = all(isinstance(cause, GatewayError) and cause.retriable for cause in causes)
        if expected:
            log.warning("loop.interrupted", loop=name, errors=[str(cause) for cause in causes])
        else:
            log.error("loop.failed", loop=name, exc_info=error)


def _leaves(error: BaseException) -> list[BaseException]:
    if isinstance(error, BaseExceptionGroup):
        return [leaf for inner in error.exceptions for leaf in _leaves(inner)]
    return [error]
