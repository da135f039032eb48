"""The process as operators run it: it starts, tells the truth about itself, waits for what is away, and stops."""

from __future__ import annotations

import asyncio
import json
import shutil
import sqlite3
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import pytest

from gateway.bus import Bus
from gateway.embedded import EmbeddedBroker, free_port
from tests import backends
from tests.conftest import Broker
from tests.full_path import COUNTERPARTIES, FullPath
from tests.full_path import Gateway as Running

ACCOUNT = "CUST-4711"  # of every example event


def ask(port: int, what: str) -> tuple[int, dict[str, Any]]:
    """Ask the console; status 0 while nobody listens."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/{what}", timeout=5) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        with error:
            return error.code, json.load(error)
    except OSError:
        return 0, {}


async def until_ready(gateway: Running, status: int, seconds: float = 40) -> dict[str, Any]:
    """Wait until ``/ready`` answers with a status; returns what it says."""
    deadline = time.monotonic() + seconds
    code, said = 0, {}
    while time.monotonic() < deadline:
        assert gateway.process.poll() is None, "the gateway ended"
        code, said = await asyncio.to_thread(ask, gateway.port, "ready")
        if code == status:
            return said
        await asyncio.sleep(0.1)
    raise AssertionError(f"/ready stays {code}: {said}")


def logged(path: FullPath, name: str = "a") -> list[dict[str, Any]]:
    """Return the gateway's log, line by line."""
    text = (path.folder / f"gateway-{name}.toml.jsonl").read_text(encoding="utf-8")
    return [json.loads(line) for line in text.splitlines()]


@pytest.mark.slow
async def test_it_stops_under_load_with_exit_code_0_everything_recorded_and_goes_on_without_repeats(
    tmp_path: Path, new_sqlite: Path, embedded_broker: Broker
) -> None:
    shutil.copy(new_sqlite, tmp_path / "ledger.db")
    async with FullPath(tmp_path, embedded_broker.settings(), f"sqlite:///{tmp_path}/ledger.db") as path:
        gateway = path.start_gateway()
        await asyncio.to_thread(gateway.await_ready)
        code, said = await asyncio.to_thread(ask, gateway.port, "health")
        assert (code, said["alive"]) == (200, True)
        code, said = await asyncio.to_thread(ask, gateway.port, "ready")
        assert said["loops"] == dict.fromkeys([*COUNTERPARTIES, "commands", "deadlines", "publication"], "holding")

        second = path.start_gateway("b")  # SQLite means one process
        assert await asyncio.to_thread(second.process.wait, 30) == 2
        assert "store_locked" in (tmp_path / "run.out").read_text()

        await path.publish(range(60))
        assert await asyncio.to_thread(gateway.stop, 30) == 0
        with sqlite3.connect(tmp_path / "ledger.db") as ledger:
            assert ledger.execute("SELECT count(*) FROM attempt WHERE outcome IS NULL").fetchone() == (0,)

        again = path.start_gateway("c")
        await path.settle_down(60)
        found = await path.judge()
        assert (found["trades"], found["arrivals"], found["marked_repeats"]) == (60, 60, 0)
        assert await asyncio.to_thread(again.stop, 30) == 0

        lines = logged(path) + logged(path, "c")
        assert [line["event"] for line in logged(path)][-1] == "gateway.stopped"
        assert {"gateway.started", "event.instructed", "message.sent", "reply.applied"} <= {
            line["event"] for line in lines
        }
        assert not [line for line in lines if ACCOUNT in json.dumps(line) or "<Document" in json.dumps(line)]
        assert not [line for line in lines if line["level"] in {"error", "critical"}]


@pytest.mark.slow
async def test_it_waits_for_kafka_says_so_recovers_and_stops_while_kafka_is_away(
    tmp_path: Path, new_sqlite: Path
) -> None:
    shutil.copy(new_sqlite, tmp_path / "ledger.db")
    with EmbeddedBroker() as broker:
        async with FullPath(tmp_path, broker.settings, f"sqlite:///{tmp_path}/ledger.db") as path:
            names = [f"{name}.{path.suffix}" for name in ("events", "status", "exceptions")]
            names += [f"{side}.{bic}.{path.suffix}" for bic in COUNTERPARTIES for side in ("out", "in")]
            broker.kill()
            gateway = path.start_gateway()
            said = await until_ready(gateway, 503)
            code, _ = await asyncio.to_thread(ask, gateway.port, "health")
            assert code == 200
            assert not said["ready"]

            broker.start()
            async with Bus(path.kafka) as bus:
                await bus.ensure_topics(names, path.partitions)
            await until_ready(gateway, 200)

            broker.kill()
            said = await until_ready(gateway, 503)
            assert said["kafka"] != "connected"

            broker.start()
            async with Bus(path.kafka) as bus:
                await bus.ensure_topics(names, path.partitions)
            await until_ready(gateway, 200)
            await path.publish(range(20))
            await path.settle_down(60)

            broker.kill()
            await until_ready(gateway, 503)
            assert await asyncio.to_thread(gateway.stop, 30) == 0


@pytest.mark.slow
@pytest.mark.backend
async def test_it_waits_for_the_ledger_says_so_and_loses_nothing(tmp_path: Path, embedded_broker: Broker) -> None:
    try:
        postgres = backends.start_postgres()
    except backends.BackendAbsent as reason:
        from tests.conftest import absent

        absent(reason)
        raise
    with postgres:
        url = postgres.create_database()
        async with FullPath(tmp_path, embedded_broker.settings(), url) as path:
            postgres.kill()
            gateway = path.start_gateway()
            said = await until_ready(gateway, 503)
            assert said["ledger"].startswith(("unavailable", "opening"))
            postgres.start()
            await until_ready(gateway, 200)
            await path.publish(range(20))
            postgres.kill()
            said = await until_ready(gateway, 503)
            assert said["ledger"].startswith("unavailable")
            await path.publish(range(20, 40))
            postgres.start()
            await until_ready(gateway, 200)
            await path.settle_down(90)
            found = await path.judge()
            assert found["trades"] == 40
            assert await asyncio.to_thread(gateway.stop, 30) == 0
        lines = (tmp_path / "gateway-a.toml.jsonl").read_text()
        assert url.split(":")[2].split("@")[0] not in lines  # the password


def config(folder: Path, url: str) -> Path:
    path = folder / "gateway.toml"
    path.write_text(
        f"""
[gateway]
bic = "OURSGB2LXXX"
[kafka]
bootstrap_servers = "127.0.0.1:{free_port()}"
[store]
url = "{url}"
[console]
port = 0
[[counterparties]]
bic = "CUSTDEFFXXX"
name = "Custodian"
channel = {{ carrier = "folder", outbound = "{folder}/out", inbound = "{folder}/in" }}
"""
    )
    return path


def run(path: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "gateway", "run", "--config", str(path)],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def test_a_ledger_that_was_never_made_stops_the_start_and_says_what_to_do(tmp_path: Path) -> None:
    done = run(config(tmp_path, f"sqlite:///{tmp_path}/ledger.db"))
    assert done.returncode == 2
    assert "gateway store upgrade" in done.stderr
    assert "Traceback" not in done.stderr


def test_an_address_that_is_taken_stops_the_start(tmp_path: Path, new_sqlite: Path, embedded_broker: Broker) -> None:
    shutil.copy(new_sqlite, tmp_path / "ledger.db")
    path = config(tmp_path, f"sqlite:///{tmp_path}/ledger.db")
    taken = embedded_broker.bootstrap_servers.rpartition(":")[2]
    path.write_text(path.read_text().replace("port = 0", f"port = {taken}"))
    done = run(path)
    assert done.returncode == 2
    assert "console_address_taken" in done.stderr
