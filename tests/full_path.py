"""The whole path as users run it, for tests that kill and join processes: gateways, counterparties, three books.

The books are independent: what the publisher sent, what the simulated counterparties wrote down, what a reader of the
status topic heard. The ledger is asked last, and must agree with all three.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import subprocess
import sys
import time
import urllib.request
import uuid
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
from sqlalchemy import select

from gateway.bus import Bus, Message
from gateway.embedded import free_port
from gateway.model.connections import KafkaSettings
from gateway.model.events import EVENT_KINDS
from gateway.model.facts import State
from gateway.model.references import transaction_id
from gateway.model.reports import settled_sums
from gateway.model.transitions import Dialogue
from gateway.simulator.book import BookEntry, Repeat, outcomes, read_book
from gateway.store import Ledger, tables
from gateway.store.migration import upgrade
from gateway.store.verification import verify_history

OWN_BIC = "OURSGB2LXXX"
COUNTERPARTIES = ("CUSTDEFFXXX", "BROKFRPPXXX")
SOURCE = "test-desk"

# What each trade plays, in turn: the counterparty's scenario, and whether it is a confirmation.
SCENARIOS = (
    "settled",
    "settled-after-pending",
    "partials",
    "duplicates",
    "out-of-order",
    "settled-at-once",
    "rejected",
    "unmatched-then-settled",
    "affirmed",
    "reversed",
)


@dataclass
class Published:
    """One trade in the publisher's list."""

    trade_id: str
    transaction: str
    counterparty: str
    scenario: str


@dataclass
class FullPath:
    """Gateways and counterparties on one broker and one ledger, with everything a test needs to judge them."""

    folder: Path
    kafka: KafkaSettings
    url: str
    partitions: int = 4
    delay: str = "0.0,0.3"
    published: dict[str, Published] = field(default_factory=dict)
    children: list[subprocess.Popen[bytes]] = field(default_factory=list)
    suffix: str = field(default_factory=lambda: uuid.uuid4().hex[:8])

    async def __aenter__(self) -> FullPath:
        self.folder.mkdir(parents=True, exist_ok=True)
        await upgrade(self.url)
        async with Bus(self.kafka) as bus:
            names = ["events", "status", "exceptions"]
            names += [f"{side}.{bic}" for bic in COUNTERPARTIES for side in ("out", "in")]
            await bus.ensure_topics([f"{name}.{self.suffix}" for name in names], self.partitions)
        self.config = self._write_config("gateway.toml", 0)
        for bic in COUNTERPARTIES:
            self._start("simulate", "--bic", bic, "--book", str(self.book(bic)), "--delay", self.delay, "--json")
        return self

    async def __aexit__(self, *exc: object) -> None:
        for child in self.children:
            if child.poll() is None:
                child.send_signal(signal.SIGTERM)
        for child in self.children:
            with contextlib.suppress(subprocess.TimeoutExpired):
                child.wait(timeout=20)
            if child.poll() is None:
                child.kill()
                child.wait()

    def book(self, bic: str) -> Path:
        """Return where a counterparty keeps its book."""
        return self.folder / f"{bic}.db"

    def _write_config(self, name: str, port: int) -> Path:
        s = self.suffix
        parties = "".join(
            f"""
[[counterparties]]
bic = "{bic}"
name = "{bic}"
channel = {{ carrier = "kafka", outbound_topic = "out.{bic}.{s}", inbound_topic = "in.{bic}.{s}" }}
"""
            for bic in COUNTERPARTIES
        )
        path = self.folder / name
        path.write_text(
            f"""
[gateway]
bic = "{OWN_BIC}"
[kafka]
bootstrap_servers = "{self.kafka.bootstrap_servers}"
group = "gateway.{s}"
session_timeout_seconds = 2
heartbeat_seconds = 0.5
topics = {{ trade_events = "events.{s}", settlement_status = "status.{s}", exceptions = "exceptions.{s}" }}
[store]
url = "{self.url}"
[loops]
lease_seconds = 2
retry_maximum_seconds = 2
[deadlines]
poll_seconds = 0.2
[[cutoffs]]
kind = "match"
at = 00:00:00
zone = "UTC"
days_before = 30
[logging]
format = "json"
file = "{self.folder / name}.jsonl"
[console]
port = {port}
{parties}"""
        )
        return path

    def _start(self, *words: str, **environment: str) -> subprocess.Popen[bytes]:
        config = () if "--config" in words else ("--config", str(self.config))
        with (self.folder / f"{words[0]}.out").open("ab") as out:
            child = subprocess.Popen(
                [sys.executable, "-m", "gateway", *words, *config],
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=out,
                env={**os.environ, **environment},
            )
        self.children.append(child)
        return child

    def start_gateway(self, name: str = "a", *, kill_at: str = "") -> Gateway:
        """Start a gateway process; ``kill_at`` arms a labelled point of the path."""
        port = free_port()
        config = self._write_config(f"gateway-{name}.toml", port)
        environment = {"GATEWAY_KILL_AT": kill_at} if kill_at else {}
        return Gateway(self._start("run", "--config", str(config), **environment), port)

    # The publisher ---------------------------------------------------------------------------------------------------

    def trade(self, number: int) -> dict[str, Any]:
        """Make one event and write it into the publisher's list."""
        scenario = SCENARIOS[number % len(SCENARIOS)]
        counterparty = COUNTERPARTIES[number % len(COUNTERPARTIES)]
        kind = "confirm_trade/1" if scenario == "affirmed" else "instruct_settlement/1"
        event: dict[str, Any] = dict(EVENT_KINDS[kind].minimal)
        trade_id = f"T{number:06d}"
        event |= {
            "event_id": f"E{number:06d}",
            "source": SOURCE,
            "trade_id": trade_id,
            "instruction_number": 1,
            "counterparty": counterparty,
            "processing_text": f"SIM:{scenario}",
            "settlement_date": (datetime.now(UTC).date() + timedelta(days=7)).isoformat(),  # nothing is overdue
        }
        dialogue = Dialogue.CONFIRMATION if scenario == "affirmed" else Dialogue.SETTLEMENT
        identifier = transaction_id(OWN_BIC, SOURCE, trade_id, dialogue, 1)
        self.published[identifier] = Published(trade_id, identifier, counterparty, scenario)
        return event

    async def publish(self, numbers: Iterable[int], *, a_second: float = 0) -> None:
        """Publish trades; every twentieth event is sent twice, as upstream's own retries would."""
        async with Bus(self.kafka) as bus:
            started = time.monotonic()
            waiting: list[Message] = []
            for sent, number in enumerate(numbers, 1):
                event = self.trade(number)
                message = Message(event["trade_id"].encode(), json.dumps(event).encode())
                waiting += [message, message] if number % 20 == 0 else [message]
                ahead = sent / a_second - (time.monotonic() - started) if a_second else 0.0
                if len(waiting) >= 100 or ahead > 0.05:
                    await self._send(bus, waiting)
                    waiting = []
                    await asyncio.sleep(max(ahead, 0))
            await self._send(bus, waiting)

    async def _send(self, bus: Bus, messages: Sequence[Message]) -> None:
        left = list(messages)
        while left:
            results = await bus.send(f"events.{self.suffix}", left)
            left = [message for message, result in zip(left, results, strict=True) if not isinstance(result, str)]

    # The judges ------------------------------------------------------------------------------------------------------

    def books(self) -> dict[str, BookEntry]:
        """Return the first arrival of each transaction in the counterparties' books."""
        first: dict[str, BookEntry] = {}
        for bic in COUNTERPARTIES:
            for entry in read_book(self.book(bic)):
                if entry.transaction_id:
                    first.setdefault(entry.transaction_id, entry)
        return first

    async def settle_down(self, seconds: float) -> None:
        """Wait until every published trade stands where its counterparty's book says, and all of it was published."""
        deadline = time.monotonic() + seconds
        wrong: dict[str, str] = {"": "nothing looked at yet"}
        while time.monotonic() < deadline:
            wrong = await self.disagreements()
            if not wrong:
                return
            await asyncio.sleep(0.3)
        shown = "\n".join(f"{key}: {value}" for key, value in list(wrong.items())[:15])
        raise AssertionError(f"{len(wrong)} of {len(self.published)} trades are not where they should be:\n{shown}")

    async def disagreements(self) -> dict[str, str]:
        """Compare the ledger with the counterparties' books: transaction -> what differs."""
        expected: dict[str, Any] = {}
        arrived = self.books()
        for bic in COUNTERPARTIES:
            expected |= outcomes(read_book(self.book(bic)))
        ledger = await self._open()
        try:
            rows = await ledger.query(
                lambda connection: connection.execute(
                    select(tables.instruction.c.transaction_id, tables.instruction.c.state)
                ).fetchall()
            )
            # Deadlines are told behind the path: first everything is dated and what is due told, then it is published.
            timing = await ledger.read(datetime.now(UTC), lambda unit: unit.has_undated() or unit.has_due())
            unpublished = await ledger.query(
                lambda connection: connection.execute(
                    select(tables.publication.c.id).where(tables.publication.c.published_at.is_(None)).limit(1)
                ).first()
            )
        finally:
            await ledger.close()
        states = {row[0]: msgspec.json.decode(row[1], type=State) for row in rows}
        wrong: dict[str, str] = {}
        for identifier, trade in self.published.items():
            state, outcome = states.get(identifier), expected.get(identifier)
            if state is None or outcome is None or identifier not in arrived:
                wrong[identifier] = f"{trade}: recorded {state is not None}, arrived {identifier in arrived}"
                continue
            axes = {name: axis.status.value for name, axis in (state.axes or {}).items()}
            differing = {k: (value, axes.get(k)) for k, value in outcome.axes.items() if axes.get(k) != value}
            quantities, _ = settled_sums(state)
            settled = sum(quantity.value for quantity in quantities)
            if differing or settled != outcome.settled_quantity:
                wrong[identifier] = f"{trade}: {differing}, settled {settled} against {outcome.settled_quantity}"
        if not wrong and timing:
            wrong["deadlines"] = "instructions are to be looked at"
        if not wrong and unpublished is not None:
            wrong["(publication)"] = "not everything is published"
        return wrong

    async def _open(self) -> Ledger:
        return await Ledger.open(self.url, pool=2, exclusive=False)

    async def statuses(self) -> list[dict[str, Any]]:
        """Read the whole status topic, in the order of each partition."""
        async with Bus(self.kafka) as bus:
            consumer = bus.consumer([f"status.{self.suffix}"], f"judge.{uuid.uuid4().hex[:8]}", assigned=True)
            found: list[dict[str, Any]] = []
            async with consumer:
                quiet = 0
                while quiet < 4:
                    records = await consumer.poll(max_records=1000, max_wait_ms=200)
                    quiet = 0 if records else quiet + 1
                    found += [json.loads(record.value) for record in records]
        return found

    async def judge(self) -> dict[str, int]:
        """Hold the three books and the ledger against each other; raises AssertionError naming what disagrees."""
        entries = [entry for bic in COUNTERPARTIES for entry in read_book(self.book(bic))]
        ours = [entry for entry in entries if entry.transaction_id in self.published]
        missing = set(self.published) - {entry.transaction_id for entry in ours}
        assert not missing, f"{len(missing)} trades never reached their counterparty: {sorted(missing)[:5]}"
        strangers = [entry for entry in entries if entry.transaction_id not in self.published]
        assert not strangers, f"messages that nobody asked for: {strangers[:3]}"
        bad = [entry for entry in entries if entry.repeat not in (None, Repeat.MARKED) or not entry.valid]
        assert not bad, f"arrivals that a counterparty would refuse: {bad[:3]}"
        identifiers: dict[str, set[str | None]] = defaultdict(set)
        for entry in ours:
            assert entry.transaction_id
            identifiers[entry.transaction_id].add(entry.business_message_id)
        doubled = {key: value for key, value in identifiers.items() if len(value) > 1}
        assert not doubled, f"a second arrival under another identifier: {list(doubled.items())[:3]}"

        statuses = await self.statuses()
        heard: dict[str, dict[str, dict[str, Any]]] = defaultdict(dict)
        for status in statuses:
            first = heard[status["transaction_id"]].setdefault(status["status_id"], status)
            assert first == status, f"a repeat of {status['status_id']} says something else"
        for identifier, by_status in heard.items():
            sequences = [status["sequence"] for status in by_status.values()]
            assert sequences == sorted(sequences), f"statuses of {identifier} out of order: {sequences}"
            missed = [status for status in by_status.values() if status["action"] == "match_deadline_missed"]
            assert len(missed) <= 1, f"a deadline of {identifier} was told {len(missed)} times"
        ledger = await self._open()
        try:
            told = await ledger.query(
                lambda connection: connection.execute(
                    select(tables.publication.c.status_id).where(tables.publication.c.topic == "status")
                ).fetchall()
            )
            report = await ledger.query(verify_history)
            replies = await ledger.query(
                lambda connection: connection.execute(select(tables.archive.c.state)).scalars().all()
            )
        finally:
            await ledger.close()
        unheard = {row[0] for row in told} - {status_id for one in heard.values() for status_id in one}
        assert not unheard, f"{len(unheard)} statuses were never heard: {sorted(unheard)[:5]}"
        assert report.proven, f"broken chains: {report}"
        assert 0 not in replies, "replies wait in the archive"
        assert set(heard) == set(self.published)
        return {
            "trades": len(self.published),
            "arrivals": len(entries),
            "marked_repeats": sum(entry.repeat is Repeat.MARKED for entry in entries),
            "statuses": len(statuses),
            "status_repeats": len(statuses) - sum(len(one) for one in heard.values()),
        }


@dataclass
class Gateway:
    """One gateway process."""

    process: subprocess.Popen[bytes]
    port: int

    def await_ready(self, seconds: float = 60) -> None:
        """Wait until it takes trade events in; raises when it ends first."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            if self.process.poll() is not None:
                raise AssertionError(f"the gateway ended with {self.process.returncode} before it was ready")
            url = f"http://127.0.0.1:{self.port}/ready"
            with contextlib.suppress(OSError), urllib.request.urlopen(url, timeout=2) as answer:
                if json.load(answer)["ready"]:
                    return
            time.sleep(0.05)
        raise AssertionError("the gateway was not ready in time")

    def kill(self) -> None:
        """End it as a power cut would."""
        self.process.kill()
        self.process.wait()

    def stop(self, seconds: float = 30) -> int:
        """Ask it to stop and return its exit code."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(timeout=seconds)

    def await_death(self, seconds: float) -> bool:
        """Wait until it has killed itself at its labelled point."""
        try:
            self.process.wait(timeout=seconds)
        except subprocess.TimeoutExpired:
            return False
        return self.process.returncode == -signal.SIGKILL


def now() -> datetime:
    """Return the time, for names of things."""
    return datetime.now(UTC)
