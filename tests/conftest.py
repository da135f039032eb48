"""Fixtures for backends, ledgers and gateways. A backend is started once a session; what a test needs alone it makes.

``embedded_broker``    the embedded Kafka-compatible broker, always there
``kafka``              Apache Kafka: GATEWAY_TEST_KAFKA=host:port, else started from Maven artifacts, else skipped
``broker``             both in turn, ids ``embedded`` and ``kafka``
``postgres_url``       a server: GATEWAY_TEST_POSTGRES, else installed, else packaged binaries
``postgres_database``  an empty database of its own, ``postgresql+asyncpg://...``
``each_ledger_url``    an empty ledger of each kind in turn, ids ``sqlite`` and ``postgresql``
``loops``              a gateway on SQLite (``tests/loops.py``); ``both_loops`` on each ledger in turn
``fin_loops``          a gateway on SQLite whose counterparties speak FIN

GATEWAY_TEST_STRICT=1 turns an absent backend into a failure; GATEWAY_TEST_FIXED=1 draws the same examples each time.
"""

from __future__ import annotations

import asyncio
import gc
import os
import shutil
import uuid
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest
from hypothesis import settings

from gateway.embedded import EmbeddedBroker
from gateway.model.connections import KafkaSettings
from gateway.store import Ledger, tables
from gateway.store.migration import upgrade
from tests import backends
from tests.fin_counterparty import SPEAKS_FIN
from tests.loops import Loops, settings_for

gc.set_threshold(200_000, 20, 100)  # definitions and tables stay: walking over them took a tenth of the time
# How long anything takes is for benchmarks. What is drawn is fixed in CI (docs/decisions/0018-fixed-draws-in-ci.md).
settings.register_profile("untimed", deadline=None, derandomize=os.environ.get("GATEWAY_TEST_FIXED") == "1")
settings.load_profile("untimed")


@dataclass(frozen=True)
class Broker:
    """A broker under test: which one, and where."""

    name: str
    bootstrap_servers: str
    session_seconds: float = 1.5

    def settings(self, **changes: object) -> KafkaSettings:
        """Return settings with session times short enough for tests."""
        times = {"session_timeout_seconds": self.session_seconds, "heartbeat_seconds": self.session_seconds / 4}
        return KafkaSettings.model_validate({"bootstrap_servers": self.bootstrap_servers, **times, **changes})


def unique(prefix: str) -> str:
    """Return a name that no other test uses, for topics and groups on a shared broker."""
    return f"{prefix}.{uuid.uuid4().hex[:10]}"


def absent(reason: object) -> None:
    """Skip the test because a backend is absent, or fail it where every backend is required."""
    if os.environ.get("GATEWAY_TEST_STRICT") == "1":
        pytest.fail(f"GATEWAY_TEST_STRICT=1 and {reason}")
    pytest.skip(str(reason))


@pytest.fixture(scope="session")
def embedded_broker() -> Iterator[Broker]:
    with EmbeddedBroker() as running:
        yield Broker("embedded", running.bootstrap_servers, session_seconds=1.0)


@pytest.fixture(scope="session")
def start_own_kafka() -> Callable[..., backends.KafkaBroker]:
    """Return ``start_kafka`` for tests that kill, stop or secure a broker of their own; skips where it cannot run."""

    def start(**options: object) -> backends.KafkaBroker:
        try:
            return backends.start_kafka(**options)  # type: ignore[arg-type]
        except backends.BackendAbsent as reason:
            absent(reason)
            raise

    return start


@pytest.fixture(scope="session")
def kafka(start_own_kafka: Callable[..., backends.KafkaBroker]) -> Iterator[Broker]:
    given = os.environ.get("GATEWAY_TEST_KAFKA")
    if given:
        yield Broker("kafka", given, session_seconds=6.0)  # the least that a broker allows by default
        return
    with start_own_kafka() as running:
        yield Broker("kafka", running.bootstrap_servers)


@pytest.fixture(params=["embedded", pytest.param("kafka", marks=pytest.mark.backend)])
def broker(request: pytest.FixtureRequest) -> Broker:
    """Give each broker in turn: what a test says holds on both."""
    found: Broker = request.getfixturevalue("embedded_broker" if request.param == "embedded" else "kafka")
    return found


@pytest.fixture(scope="session")
def postgres_url() -> Iterator[str]:
    """Give a PostgreSQL server as ``postgresql+asyncpg://...``; the databases of tests are made on it."""
    given = os.environ.get("GATEWAY_TEST_POSTGRES")
    with ExitStack() as stack:
        if given:
            yield given.replace("postgresql:", "postgresql+asyncpg:")
            return
        try:
            server = stack.enter_context(backends.start_postgres())
        except backends.BackendAbsent as reason:
            absent(reason)
            raise
        yield server.url


@pytest.fixture
def postgres_database(postgres_url: str) -> Iterator[str]:
    """Give an empty database of the test's own."""
    url = backends.create_database(postgres_url)
    yield url
    backends.drop_database(url)


@pytest.fixture(scope="session")
def new_sqlite(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give an empty SQLite ledger to copy: making one takes longer than most tests."""
    path = tmp_path_factory.mktemp("empty") / "ledger.db"
    with ThreadPoolExecutor(1) as apart:  # a loop may run in this thread already
        apart.submit(asyncio.run, upgrade(f"sqlite:///{path}")).result()
    return path


@pytest.fixture(scope="session")
def new_postgres(postgres_url: str) -> Iterator[str]:
    """Give a PostgreSQL ledger that is made once; each test empties it."""
    url = backends.create_database(postgres_url)
    with ThreadPoolExecutor(1) as apart:
        apart.submit(asyncio.run, upgrade(url)).result()
    yield url
    backends.drop_database(url)


@pytest.fixture
def ledger_url(new_sqlite: Path, tmp_path: Path) -> str:
    """Give an empty SQLite ledger of the test's own."""
    shutil.copy(new_sqlite, tmp_path / "ledger.db")
    return f"sqlite:///{tmp_path}/ledger.db"


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.backend)])
async def each_ledger_url(request: pytest.FixtureRequest) -> str:
    """Give an empty ledger of each kind in turn."""
    if request.param == "sqlite":
        found: str = request.getfixturevalue("ledger_url")
        return found
    url: str = request.getfixturevalue("new_postgres")
    await backends.empty_database(url, [table.name for table in tables.metadata.sorted_tables])
    return url


@pytest.fixture
async def loops(ledger_url: str) -> AsyncIterator[Loops]:
    """Give a gateway on SQLite."""
    ledger = await Ledger.open(ledger_url)
    yield Loops(ledger, settings_for(ledger_url))
    await ledger.close()


@pytest.fixture
async def both_loops(each_ledger_url: str) -> AsyncIterator[Loops]:
    """Give a gateway on each ledger in turn."""
    ledger = await Ledger.open(each_ledger_url)
    yield Loops(ledger, settings_for(each_ledger_url))
    await ledger.close()


@pytest.fixture
async def fin_loops(ledger_url: str) -> AsyncIterator[Loops]:
    """Give a gateway on SQLite whose counterparties speak FIN."""
    ledger = await Ledger.open(ledger_url)
    yield Loops(ledger, settings_for(ledger_url, counterparties=SPEAKS_FIN))
    await ledger.close()
