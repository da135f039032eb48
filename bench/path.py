"""Run the whole path as users run it: a gateway process, a broker, a counterparty, a ledger; and measure it."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
import urllib.request
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import psutil

from gateway.bus import Bus, Message
from gateway.model.connections import KafkaSettings
from gateway.store.migration import upgrade

FIXTURES = Path(__file__).parent / "fixtures"
OWN_BIC, COUNTERPARTY = "OURSGB2LXXX", "CUSTDEFFXXX"


@dataclass
class Run:
    """One run: ``seconds`` from the first event published to the last status published, ``cpu`` of all gateways."""

    instructions: int
    seconds: float
    cpu_seconds: float
    start_seconds: float
    resident_bytes: list[int] = field(default_factory=list)


class Path_:
    """A running path. ``url`` is the ledger's; ``processes`` gateways share it (PostgreSQL only when above 1)."""

    def __init__(self, folder: Path, bootstrap: str, url: str, count: Callable[[], int], processes: int = 1) -> None:
        self.folder = folder
        self.url = url
        self._bootstrap = bootstrap
        self._count = count
        self._processes = processes
        self._suffix = uuid.uuid4().hex[:8]
        self._children: list[subprocess.Popen[bytes]] = []
        self._gateways: list[psutil.Process] = []
        self.start_seconds = 0.0

    def __enter__(self) -> Self:
        self.folder.mkdir(parents=True, exist_ok=True)
        asyncio.run(self._prepare())
        started = time.perf_counter()
        ports = []
        for number in range(self._processes):
            ports.append(self._start_gateway(number))
        for port in ports:
            _await_ready(port)
        self.start_seconds = time.perf_counter() - started
        responder = subprocess.Popen(
            [
                *(sys.executable, "-m", "bench.responder", self._bootstrap),
                *(f"out.{self._suffix}", f"in.{self._suffix}", str(FIXTURES / "sese.025.reply.xml")),
            ],
            stdout=subprocess.PIPE,
        )
        self._children.append(responder)
        assert responder.stdout is not None
        assert responder.stdout.readline() == b"ready\n"
        return self

    async def _prepare(self) -> None:
        await upgrade(self.url)
        async with Bus(KafkaSettings(bootstrap_servers=self._bootstrap)) as bus:
            topics = [f"{name}.{self._suffix}" for name in ("events", "status", "exceptions", "out", "in")]
            await bus.ensure_topics(topics, partitions=4)

    def _start_gateway(self, number: int) -> int:
        port = _free_port()
        s = self._suffix
        config = self.folder / f"gateway{number}.toml"
        config.write_text(
            f"""
[gateway]
bic = "{OWN_BIC}"
[kafka]
bootstrap_servers = "{self._bootstrap}"
group = "gateway.{s}"
topics = {{ trade_events = "events.{s}", settlement_status = "status.{s}", exceptions = "exceptions.{s}" }}
[store]
url = "{self.url}"
[logging]
format = "json"
file = "{self.folder}/gateway{number}.jsonl"
[console]
port = {port}
[[counterparties]]
bic = "{COUNTERPARTY}"
name = "Custodian"
channel = {{ carrier = "kafka", outbound_topic = "out.{s}", inbound_topic = "in.{s}" }}
"""
        )
        environment = {**os.environ, "PYTHONHASHSEED": "0"}
        command = [sys.executable, "-m", "gateway", "run", "--config", str(config)]
        with (self.folder / f"gateway{number}.err").open("wb") as errors:
            child = subprocess.Popen(command, env=environment, stderr=errors)
        self._children.append(child)
        self._gateways.append(psutil.Process(child.pid))
        return port

    def run(self, instructions: int, *, a_second: float | None = None) -> Run:
        """Publish so many events, all at once or at a rate, and wait until every one has settled and been told."""
        before = self._count()
        cpu = sum(_cpu(process) for process in self._gateways)
        resident: list[int] = []
        started = time.perf_counter()
        publisher = subprocess.Popen(
            [
                *(sys.executable, "-m", "bench.publisher", self._bootstrap, f"events.{self._suffix}"),
                *(str(FIXTURES / "event.json"), str(instructions), str(a_second or 0), uuid.uuid4().hex[:8]),
            ]
        )
        self._children.append(publisher)
        seen, last = before, time.perf_counter()
        while seen < before + instructions:
            time.sleep(0.05)
            found = self._count()
            if found != seen:
                seen, last = found, time.perf_counter()
            if time.perf_counter() - last > 60:
                raise RuntimeError(f"{seen - before} of {instructions} settled, and nothing for a minute: {self.folder}")
            if len(resident) < (time.perf_counter() - started):
                resident.append(sum(process.memory_info().rss for process in self._gateways))
        seconds = time.perf_counter() - started
        spent = sum(_cpu(process) for process in self._gateways) - cpu
        return Run(instructions, seconds, spent, self.start_seconds, resident)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for child in self._children:
            if child.poll() is None:
                child.send_signal(signal.SIGTERM)
        for child in self._children:
            try:
                child.wait(timeout=30)
            except subprocess.TimeoutExpired:
                child.kill()


def _cpu(process: psutil.Process) -> float:
    times = process.cpu_times()
    return float(times.user + times.system)


def _free_port() -> int:
    from gateway.embedded import free_port

    return free_port()


def _await_ready(port: int, seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/ready", timeout=2) as answer:
                if json.load(answer)["ready"]:
                    return
        except OSError:
            pass
        time.sleep(0.02)
    raise RuntimeError("the gateway was not ready in time")


def sqlite_counter(path: Path) -> Callable[[], int]:
    """Return a function that counts what has settled and been told upstream, or zero before there is a ledger."""
    connection: list[sqlite3.Connection] = []

    def count() -> int:
        if not connection:
            connection.append(sqlite3.connect(f"file:{path}?mode=ro", uri=True))
        if connection[0].execute("SELECT 1 FROM publication WHERE published_at IS NULL LIMIT 1").fetchone():
            return -1 if not connection else _settled(connection[0]) - 1
        return _settled(connection[0])

    return count


def _settled(connection: sqlite3.Connection) -> int:
    return int(connection.execute("SELECT count(*) FROM instruction WHERE headline = 'settled'").fetchone()[0])


def message(value: dict[str, Any], key: str) -> Message:
    """Return an event as upstream would publish it."""
    return Message(key.encode(), json.dumps(value).encode())
