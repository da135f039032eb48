"""The whole path as users run it: gateway processes, a broker, a counterparty, a ledger; and what a round of it costs.

A round's events are published while the gateways are suspended, then they go on: what is measured begins with all of
its events waiting, and ends when the last status event has been published, by the ledger's own time stamps.
"""

from __future__ import annotations

import asyncio
import json
import signal
import subprocess
import sys
import time
import urllib.request
import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Self

import psutil  # type: ignore[import-untyped]

from bench import material
from bench.books import Book, open_book
from gateway.bus import Bus
from gateway.embedded import free_port
from gateway.model.connections import KafkaSettings
from gateway.store.migration import upgrade

_QUIET_SECONDS = 120.0


@dataclass(frozen=True)
class Around:
    """What the path stands on: where the broker is, how long a session with it lasts, and whose children serve it.

    ``broker`` and ``store`` are root processes whose processor time is told apart; None where they are not ours.
    """

    bootstrap_servers: str
    session_seconds: float
    broker: int | None = None
    store: int | None = None


@dataclass
class Round:
    """What a round took: ``seconds`` of the clock, processor seconds of the gateways and of what is around them."""

    instructions: int
    seconds: float
    cpu_seconds: dict[str, float]
    resident_bytes: list[int] = field(default_factory=list)

    @property
    def microseconds(self) -> float:
        """Return microseconds of the clock an instruction."""
        return self.seconds / self.instructions * 1e6

    def cpu_microseconds(self, whose: str = "gateway") -> float:
        """Return microseconds of processor time an instruction."""
        return self.cpu_seconds[whose] / self.instructions * 1e6


class WholePath:
    """A running path; a context manager.

    ``processes`` gateways share the ledger (PostgreSQL only when above 1), each instruction goes to one of the
    counterparties in turn. ``samples`` is where the first gateway writes its profile.
    """

    def __init__(
        self,
        folder: Path,
        around: Around,
        url: str,
        *,
        processes: int = 1,
        counterparties: Sequence[str] = (material.CUSTODIAN,),
        samples: Path | None = None,
    ) -> None:
        self._folder = folder
        self._around = around
        self._url = url
        self._processes = processes
        self._counterparties = tuple(counterparties)
        self._samples = samples
        self._suffix = uuid.uuid4().hex[:8]
        self._expected = 0
        self._gateways: list[psutil.Process] = []
        self._responders: list[psutil.Process] = []
        self._children: list[subprocess.Popen[bytes]] = []
        self._publishing = 0.0
        self.start_seconds = 0.0
        self.book: Book

    def __enter__(self) -> Self:
        self._folder.mkdir(parents=True, exist_ok=True)
        asyncio.run(self._prepare())
        self.book = open_book(self._url)
        try:
            started = time.perf_counter()
            for port in [self._start_gateway(number) for number in range(self._processes)]:
                _await_ready(port)
            self.start_seconds = time.perf_counter() - started
            for bic in self._counterparties:
                self._start_responder(bic)
        except BaseException:
            self._end()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.book.close()
        self._end()

    async def _prepare(self) -> None:
        await upgrade(self._url)
        async with Bus(KafkaSettings(bootstrap_servers=self._around.bootstrap_servers)) as bus:
            names = ["events", "status", "exceptions"]
            names += [f"{side}.{bic}" for bic in self._counterparties for side in ("out", "in")]
            await bus.ensure_topics([f"{name}.{self._suffix}" for name in names], partitions=4)

    def _start(self, *words: str, errors: Path | None = None) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", *words]
        if errors is None:
            child = subprocess.Popen(command, stdout=subprocess.PIPE)
        else:
            with errors.open("wb") as file:
                child = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=file)
        self._children.append(child)
        return child

    def _start_responder(self, bic: str) -> None:
        topics = (f"out.{bic}.{self._suffix}", f"in.{bic}.{self._suffix}")
        child = self._start("bench.responder", self._around.bootstrap_servers, *topics, bic)
        assert child.stdout is not None
        if child.stdout.readline() != b"ready\n":
            raise RuntimeError("the responder did not start")
        self._responders.append(psutil.Process(child.pid))

    def _start_gateway(self, number: int) -> int:
        port = free_port()
        config = self._folder / f"gateway{number}.toml"
        config.write_text(self._settings(number, port))
        sampled = self._samples is not None and number == 0
        module = ("bench.profiled", str(self._samples)) if sampled else ("gateway",)
        child = self._start(*module, "run", "--config", str(config), errors=self._folder / f"gateway{number}.err")
        self._gateways.append(psutil.Process(child.pid))
        return port

    def _settings(self, number: int, port: int) -> str:
        s = self._suffix
        parties = "".join(
            f"""
[[counterparties]]
bic = "{bic}"
name = "Custodian {bic}"
channel = {{ carrier = "kafka", outbound_topic = "out.{bic}.{s}", inbound_topic = "in.{bic}.{s}" }}
"""
            for bic in self._counterparties
        )
        return f"""
[gateway]
bic = "{material.OWN_BIC}"
[kafka]
bootstrap_servers = "{self._around.bootstrap_servers}"
group = "gateway.{s}"
session_timeout_seconds = {self._around.session_seconds}
heartbeat_seconds = {self._around.session_seconds / 4}
topics = {{ trade_events = "events.{s}", settlement_status = "status.{s}", exceptions = "exceptions.{s}" }}
[store]
url = "{self._url}"
[logging]
format = "json"
file = "{self._folder}/gateway{number}.jsonl"
[console]
port = {port}
{parties}"""

    def run(self, instructions: int, *, a_second: float = 0) -> Round:
        """Publish so many events and wait until each has settled and been told; at a rate, they come as time goes on.

        Raises RuntimeError when nothing moves for two minutes, or something was parked.
        """
        before = self._spent()
        if a_second:
            started = time.time()
            publisher = self._publish(instructions, a_second)
        else:
            for gateway in self._gateways:
                gateway.send_signal(signal.SIGSTOP)
            self._note_publishing(self._publish(instructions, 0))
            started = time.time()
            for gateway in self._gateways:
                gateway.send_signal(signal.SIGCONT)
        self._expected += instructions
        resident = self._await_settled(pause=0.5 if a_second else 0.1)
        if a_second:
            self._note_publishing(publisher)
        spent = {name: after - before[name] for name, after in self._spent().items()}
        return Round(instructions, self.book.last_published() - started, spent, resident)

    def _await_settled(self, pause: float) -> list[int]:
        """Wait for the end of a round; returns the resident bytes of all gateways, each second."""
        resident: list[int] = []
        seen, moved, sampled = -1, time.monotonic(), 0.0
        while not self.book.settled(self._expected):
            time.sleep(pause)
            now = time.monotonic()
            if now - sampled >= 1:
                sampled = now
                resident.append(sum(int(process.memory_info().rss) for process in self._gateways))
            self._refuse_parked()
            if now - moved > _QUIET_SECONDS:
                replies = self.book.replies()
                if replies == seen:
                    raise RuntimeError(f"{replies} of {self._expected} replies, and no more: look into {self._folder}")
                seen, moved = replies, now
        self._refuse_parked()
        return resident

    def _refuse_parked(self) -> None:
        if parked := self.book.parked():
            raise RuntimeError(f"something was parked: {parked}; look into {self._folder}")

    def _publish(self, instructions: int, a_second: float) -> subprocess.Popen[bytes]:
        words = (f"events.{self._suffix}", str(instructions), str(a_second), uuid.uuid4().hex[:8])
        return self._start("bench.publisher", self._around.bootstrap_servers, *words, *self._counterparties)

    def _note_publishing(self, publisher: subprocess.Popen[bytes]) -> None:
        said, _ = publisher.communicate(timeout=900)
        if publisher.returncode != 0:
            raise RuntimeError("the publisher failed")
        self._publishing += float(said)

    def _spent(self) -> dict[str, float]:
        found = {
            "gateway": sum(_cpu(process) for process in self._gateways),
            "responder": sum(_cpu(process) for process in self._responders),
            "publisher": self._publishing,
        }
        for name, root in (("broker", self._around.broker), ("store", self._around.store)):
            if root is not None:
                found[name] = _cpu_of_tree(root)
        return found

    def _end(self) -> None:
        for child in self._children:
            if child.poll() is None:
                child.send_signal(signal.SIGCONT)
                child.send_signal(signal.SIGTERM)
        for child in self._children:
            try:
                child.wait(timeout=30)
            except subprocess.TimeoutExpired:
                child.kill()
                child.wait()
            if child.stdout is not None:
                child.stdout.close()


def _cpu(process: psutil.Process) -> float:
    times = process.cpu_times()
    return float(times.user + times.system)


def _cpu_of_tree(root: int) -> float:
    """Add up a process and its descendants, those that have ended among them."""
    process = psutil.Process(root)
    ended = process.cpu_times()
    total = float(ended.children_user + ended.children_system)
    for one in (process, *process.children(recursive=True)):
        try:
            total += _cpu(one)
        except psutil.NoSuchProcess:
            continue
    return total


def _await_ready(port: int, seconds: float = 120) -> None:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/ready", timeout=2) as answer:
                if json.load(answer)["ready"]:
                    return
        except OSError:
            pass
        time.sleep(0.01)
    raise RuntimeError("the gateway was not ready in time")
