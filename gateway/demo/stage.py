"""The stage: a folder, a broker, a ledger, the gateway and one simulator a counterparty, each a process of its own.

Whatever happens to the demo, no process outlives it: ``keeper`` ends them when the demo is killed.
"""

from __future__ import annotations

import asyncio
import json
import os
import secrets
import subprocess
import sys
import urllib.request
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self
from urllib.error import URLError

import msgspec
from pydantic_settings import BaseSettings, SettingsConfigDict

from gateway.bus import Bus, KafkaSettings, KafkaTopics
from gateway.demo.course import Counterparty, Tables
from gateway.embedded import EmbeddedBroker, free_port
from gateway.errors import BusUnavailable, GatewayError
from gateway.simulator import Initiative
from gateway.store import migration

SERVERS = "GATEWAY_KAFKA__BOOTSTRAP_SERVERS"
_OURS = ("TOPICS", "GROUP", "CLIENT_ID", "BOOTSTRAP_SERVERS")
_READY_SECONDS = 60.0
_STOP_SECONDS = 15.0
_ANSWER_DELAYS = "0.05,0.4"
_LATE_SECONDS = "2"


class StageFailed(GatewayError):
    """A process of the demo did not start, or ended; the text names its log."""

    code = "demo_process_failed"


class _Environment(BaseSettings):
    """How to reach the broker that the environment names; nothing else of the environment reaches the demo."""

    model_config = SettingsConfigDict(env_prefix="GATEWAY_", env_nested_delimiter="__", extra="ignore")
    kafka: KafkaSettings = KafkaSettings()


@dataclass(slots=True)
class Child:
    """A process of the demo and where what it says is kept."""

    name: str
    process: asyncio.subprocess.Process
    logs: tuple[Path, ...]
    expected_to_end: bool = False

    def last_lines(self, count: int = 5) -> list[str]:
        """Return the last lines of the logs in which somebody would look first."""
        for log in self.logs:
            lines = log.read_text(encoding="utf-8", errors="replace").splitlines() if log.is_file() else []
            if lines:
                return lines[-count:]
        return []


@dataclass(slots=True)
class Stage:
    """Everything that runs. An async context manager: entering starts it, leaving ends every process."""

    tables: Tables
    folder: Path
    seed: int
    children: list[Child] = field(default_factory=list)
    kafka: KafkaSettings = field(default_factory=KafkaSettings)
    console_port: int = 0
    _broker: EmbeddedBroker | None = None
    _keeper: subprocess.Popen[bytes] | None = None

    @property
    def embedded(self) -> bool:
        """Tell whether the broker is the demo's own."""
        return SERVERS not in os.environ

    @property
    def config(self) -> Path:
        """Return the gateway's configuration file."""
        return self.folder / "gateway.toml"

    @property
    def ledger_url(self) -> str:
        """Return the address of the ledger."""
        return f"sqlite:///{self.folder / 'ledger.db'}"

    def book(self, bic: str) -> Path:
        """Return where a simulated counterparty keeps its book."""
        return self.folder / "books" / f"{bic}.db"

    def initiatives(self, bic: str) -> Path:
        """Return the file that tells a simulated counterparty what to begin."""
        return self.folder / "initiatives" / f"{bic}.jsonl"

    def begin(self, bic: str, initiative: Initiative) -> None:
        """Let a counterparty begin something: its simulator reads the file as it grows."""
        with self.initiatives(bic).open("ab") as file:
            file.write(msgspec.json.encode(initiative) + b"\n")

    async def __aenter__(self) -> Self:
        try:
            await self._start()
        except BaseException:
            await self.stop()
            raise
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self.stop()

    # Start ----------------------------------------------------------------------------------------------------------

    async def _start(self) -> None:
        self._keeper = _start_keeper()
        self.kafka = self._connect()
        for name in ("books", "initiatives", "logs"):
            (self.folder / name).mkdir(parents=True, exist_ok=True)
        self.console_port = free_port()
        self.config.write_text(_toml(self._configuration()), encoding="utf-8")
        async with Bus(self.kafka) as bus:
            topics = self.kafka.topics
            channels = [name for item in self.tables.counterparties for name in self._channel_topics(item)]
            await bus.ensure_topics([topics.trade_events, topics.settlement_status, topics.exceptions, *channels])
        for item in self.tables.counterparties:
            await self._simulate(item)
        await migration.upgrade(self.ledger_url)
        gateway = await self._spawn("gateway", ["run", "--config", str(self.config)], self.folder / "gateway.jsonl")
        await self._until_ready(gateway)

    def _connect(self) -> KafkaSettings:
        if self.embedded:
            self._broker = EmbeddedBroker(own_session=True).start()
            assert self._broker.process_id is not None
            self._tell_keeper(self._broker.process_id)
            return self._broker.settings
        # A broker that others use: names of our own, so that the demo can be repeated and disturbs nobody.
        run = f"gateway-demo-{secrets.token_hex(4)}"
        topics = KafkaTopics()
        return _Environment().kafka.model_copy(
            update={
                "group": run,
                "topics": KafkaTopics(**{name: f"{run}.{topic}" for name, topic in topics.model_dump().items()}),
            }
        )

    def _channel_topics(self, item: Counterparty) -> tuple[str, ...]:
        if item.carrier != "kafka":
            return ()
        prefix = "" if self.embedded else f"{self.kafka.group}."
        return (f"{prefix}{item.bic.lower()}.out", f"{prefix}{item.bic.lower()}.in")

    def _share(self, item: Counterparty) -> Path:
        return self.folder / "shares" / item.bic.lower()

    def mount_shares(self) -> None:
        """Make the folders of the folder channels, which are not there at the start."""
        for item in self.tables.counterparties:
            if item.carrier == "folder":
                for name in ("out", "in"):
                    (self._share(item) / name).mkdir(parents=True, exist_ok=True)

    def _configuration(self) -> dict[str, Any]:
        kafka = self.kafka
        own: dict[str, Any] = {"bootstrap_servers": kafka.bootstrap_servers, "group": kafka.group}
        if self.embedded:
            own |= {
                "session_timeout_seconds": kafka.session_timeout_seconds,
                "heartbeat_seconds": kafka.heartbeat_seconds,
            }
        return {
            "gateway": {"bic": self.tables.own_bic, "shutdown_seconds": 10.0},
            "kafka": own | {"topics": kafka.topics.model_dump()},
            "store": {"url": self.ledger_url},
            "logging": {"format": "json", "file": str(self.folder / "gateway.jsonl")},
            "console": {"host": "127.0.0.1", "port": self.console_port},
            "loops": {"retry_maximum_seconds": 2.0, "instruction_wait_seconds": 1.0},
            "deadlines": {"poll_seconds": 0.5},
            "counterparties": [self._profile(item) for item in self.tables.counterparties],
        }

    def _profile(self, item: Counterparty) -> dict[str, Any]:
        if item.carrier == "kafka":
            out, back = self._channel_topics(item)
            channel: dict[str, Any] = {"carrier": "kafka", "outbound_topic": out, "inbound_topic": back}
        else:
            share = self._share(item)
            channel = {"carrier": "folder", "outbound": str(share / "out"), "inbound": str(share / "in")}
            channel["poll_seconds"] = 0.1
        profile: dict[str, Any] = {"bic": item.bic, "name": item.name, "channel": channel, "versions": item.versions}
        profile |= {} if item.language == "iso20022" else {"language": item.language}
        profile |= {"answers_agreed_trades": True} if item.answers_agreed_trades else {}
        return profile | ({"chasing": item.chasing} if item.chasing else {})

    async def _simulate(self, item: Counterparty) -> None:
        arguments = ["simulate", "--config", str(self.config), "--bic", item.bic, "--book", str(self.book(item.bic))]
        arguments += ["--seed", str(self.seed), "--delay", _ANSWER_DELAYS, "--late", _LATE_SECONDS, "--json"]
        arguments += ["--initiatives", str(self.initiatives(item.bic))]
        for definition in item.answers:
            arguments += ["--answer-with", definition]
        await self._spawn(f"simulator {item.bic}", arguments)

    async def _spawn(self, name: str, arguments: Sequence[str], *logs: Path) -> Child:
        """Start a command of ours; Ctrl-C at the terminal reaches the demo alone, which ends the others in order."""
        stem = name.replace(" ", "-")
        out, err = self.folder / "logs" / f"{stem}.out", self.folder / "logs" / f"{stem}.err"
        with out.open("wb") as stdout, err.open("wb") as stderr:
            process = await asyncio.create_subprocess_exec(
                sys.executable,
                "-m",
                "gateway",
                *arguments,
                stdin=subprocess.DEVNULL,
                stdout=stdout,
                stderr=stderr,
                env=_environment(os.environ),
                start_new_session=True,
            )
        self._tell_keeper(process.pid)
        child = Child(name, process, (err, *logs, out))
        self.children.append(child)
        return child

    async def _until_ready(self, gateway: Child) -> None:
        try:
            async with asyncio.timeout(_READY_SECONDS):
                while not await asyncio.to_thread(_is_ready, self.console_port):
                    self.check()
                    await asyncio.sleep(0.05)
        except TimeoutError as error:
            raise StageFailed(f"the gateway is not ready after {_READY_SECONDS:g} s; see {gateway.logs[0]}") from error

    def check(self) -> None:
        """Raise StageFailed where a process ended that should run, with what it said last."""
        for child in self.children:
            code = child.process.returncode
            if code is not None and not child.expected_to_end:
                said = "\n".join(f"    {line}" for line in child.last_lines())
                logs = ", ".join(str(log) for log in child.logs)
                raise StageFailed(f"the {child.name} ended with exit code {code}; its logs: {logs}\n{said}")
        if self._broker is not None and self._broker.process_id is None:
            raise BusUnavailable("the embedded broker ended", code="embedded_broker_failed")

    # Stop -----------------------------------------------------------------------------------------------------------

    async def stop_gateway(self) -> int | None:
        """Ask the gateway to stop and return its exit code: it finishes or records what it has in hand."""
        gateways = [child for child in self.children if child.name == "gateway"]
        await asyncio.gather(*(self._end(child) for child in gateways))
        return gateways[0].process.returncode if gateways else None

    async def stop(self) -> None:
        """End every process, the broker last."""
        await self.stop_gateway()
        await asyncio.gather(*(self._end(child) for child in self.children))
        if self._broker is not None:
            number = self._broker.process_id
            self._broker.stop()
            if number is not None:
                self._tell_keeper(-number)
        if self._keeper is not None and self._keeper.stdin is not None:
            with suppress(BrokenPipeError):
                self._keeper.stdin.close()
            await asyncio.to_thread(self._keeper.wait)

    async def _end(self, child: Child) -> None:
        child.expected_to_end = True
        process = child.process
        if process.returncode is None:
            with suppress(ProcessLookupError):
                process.terminate()
            try:
                await asyncio.wait_for(process.wait(), _STOP_SECONDS)
            except TimeoutError:
                process.kill()
                await process.wait()
        self._tell_keeper(-process.pid)

    def _tell_keeper(self, number: int) -> None:
        if self._keeper is not None and self._keeper.stdin is not None and not self._keeper.stdin.closed:
            with suppress(BrokenPipeError):
                self._keeper.stdin.write(f"{number}\n".encode())
                self._keeper.stdin.flush()


def _start_keeper() -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "gateway.demo.keeper"]
    return subprocess.Popen(command, stdin=subprocess.PIPE, start_new_session=True)


def _environment(own: Mapping[str, str]) -> dict[str, str]:
    """Return the environment without what would lead the demo to another ledger, or to topics that are in use."""
    prefix = "GATEWAY_KAFKA__"
    connection = {name for name in own if name.startswith(prefix) and not name.removeprefix(prefix).startswith(_OURS)}
    if SERVERS not in own:
        connection = set()
    return {name: value for name, value in own.items() if not name.startswith("GATEWAY_") or name in connection}


def _is_ready(port: int) -> bool:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/ready", timeout=2) as answer:
            return bool(answer.status == 200)
    except (URLError, OSError):
        return False


def _toml(settings: Mapping[str, Any]) -> str:
    """Write settings as TOML: tables one level deep, inline tables below, arrays of tables for lists."""
    lines: list[str] = []
    for name, value in settings.items():
        for row in value if isinstance(value, list) else [value]:
            lines.append(f"[[{name}]]" if isinstance(value, list) else f"[{name}]")
            lines += [f"{key} = {_toml_value(item)}" for key, item in row.items()]
            lines.append("")
    return "\n".join(lines)


def _toml_value(value: Any) -> str:
    if isinstance(value, Mapping):
        return "{ " + ", ".join(f"{key} = {_toml_value(item)}" for key, item in value.items()) + " }"
    return json.dumps(value, ensure_ascii=False)
