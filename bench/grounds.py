"""What a measured path stands on: SQLite with the embedded broker, or PostgreSQL with real Kafka, where they are."""

from __future__ import annotations

import os
import tempfile
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TypeVar

import psutil  # type: ignore[import-untyped]

from bench.floor import Floor, Judge, PostgresFloor, SqliteFloor
from bench.path import Around
from gateway.embedded import EmbeddedBroker
from gateway.model.connections import KafkaSettings
from tests import backends

T = TypeVar("T")

# A round's events are published while the gateways are suspended: a session must outlast that on a busy machine.
_SESSION_SECONDS = 10.0


class Ground(ABC):
    """A broker and a kind of ledger; ``folder`` is thrown away at the end."""

    usual_session_seconds = KafkaSettings().session_timeout_seconds

    def __init__(self, around: Around, folder: Path) -> None:
        self.around = around
        self.folder = folder
        self._ledgers = 0

    @abstractmethod
    def new_ledger(self) -> str:
        """Return the address of an empty ledger."""

    @abstractmethod
    def new_floor(self, judge: Judge) -> Floor:
        """Return a floor on an empty ledger of its own."""

    def new_folder(self) -> Path:
        """Return a folder for one path's configuration and logs."""
        self._ledgers += 1
        folder = self.folder / f"path{self._ledgers}"
        folder.mkdir()
        return folder


class _Embedded(Ground):
    usual_session_seconds = 2.0  # it waits half of it for other members: EmbeddedBroker.settings, as in the demo

    def new_ledger(self) -> str:
        return f"sqlite:///{self.new_folder()}/ledger.db"

    def new_floor(self, judge: Judge) -> Floor:
        return SqliteFloor(judge, self.new_folder() / "floor.db")


class _Real(Ground):
    def __init__(self, around: Around, folder: Path, new_database: Callable[[], str]) -> None:
        super().__init__(around, folder)
        self._new_database = new_database

    def new_ledger(self) -> str:
        return self._new_database()

    def new_floor(self, judge: Judge) -> Floor:
        return PostgresFloor(judge, self._new_database())


@contextmanager
def embedded(session_seconds: float = _SESSION_SECONDS) -> Iterator[Ground]:
    """Run the embedded broker."""
    with tempfile.TemporaryDirectory(prefix="gateway-bench-") as folder, EmbeddedBroker() as broker:
        yield _Embedded(Around(broker.bootstrap_servers, session_seconds, broker.process_id), Path(folder))


@contextmanager
def real(session_seconds: float = _SESSION_SECONDS) -> Iterator[Ground]:
    """Run Apache Kafka and PostgreSQL, or use those that the environment names; raises BackendAbsent."""
    with ExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="gateway-bench-"))
        given_store = os.environ.get("GATEWAY_TEST_POSTGRES")
        store = None
        if given_store:
            databases: list[str] = []

            def new_database() -> str:
                databases.append(backends.create_database(given_store))
                stack.callback(backends.drop_database, databases[-1])
                return databases[-1]

        else:
            postgres, store = _started(backends.start_postgres)
            stack.enter_context(postgres)
            new_database = postgres.create_database
        servers, broker = os.environ.get("GATEWAY_TEST_KAFKA"), None
        if not servers:
            kafka, broker = _started(backends.start_kafka)
            stack.enter_context(kafka)
            servers = kafka.bootstrap_servers
        yield _Real(Around(servers, session_seconds, broker, store), Path(folder), new_database)


def _started(start: Callable[[], T]) -> tuple[T, int]:
    """Start a backend; returns it with the process that it is."""
    me = psutil.Process()
    before = {child.pid for child in me.children()}
    backend = start()
    (process,) = (child.pid for child in me.children() if child.pid not in before)
    return backend, process
