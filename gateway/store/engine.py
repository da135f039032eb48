"""Two small runners, one a backend: a unit of work is a plain function of a SQLAlchemy connection, and runs on both.

SQLite statements run on the event loop (they take microseconds) and only the commit, which waits for the disk, runs in
a thread: handing each statement to a thread costs more than it takes, and contends for the interpreter. PostgreSQL runs
through asyncpg.
"""

from __future__ import annotations

import asyncio
import errno
import fcntl
import os
import shutil
import sqlite3
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Protocol, TypeVar

from sqlalchemy import Connection, create_engine, event
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError, SQLAlchemyError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from gateway.errors import ConfigError, Conflict, StoreError, StoreUnavailable

T = TypeVar("T")

_SQLITE_UNAVAILABLE = {
    sqlite3.SQLITE_BUSY,
    sqlite3.SQLITE_LOCKED,
    sqlite3.SQLITE_FULL,
    sqlite3.SQLITE_IOERR,
    sqlite3.SQLITE_CANTOPEN,
    sqlite3.SQLITE_READONLY,
    sqlite3.SQLITE_NOMEM,
}
_SQLITE_CONFLICT = {sqlite3.SQLITE_CONSTRAINT_UNIQUE, sqlite3.SQLITE_CONSTRAINT_PRIMARYKEY}
# SQLSTATE classes: 08 connection, 53 resources (disk full), 57 operator intervention, 58 system error, 25006 read only.
_POSTGRES_UNAVAILABLE = ("08", "53", "57", "58", "25006")
# Serialisation failure, deadlock, unique violation.
_POSTGRES_CONFLICT = {"40001", "40P01", "23505"}
# What a driver raises for a value that has no form in the store: a lone surrogate, a number beyond 64 bits.
_VALUE_ERRORS = (UnicodeEncodeError, OverflowError)
_FAILURES = (SQLAlchemyError, sqlite3.Error, OSError, TimeoutError, *_VALUE_ERRORS)


class Runner(Protocol):
    """Run units of work in a transaction, committed with full durability when the call returns."""

    dialect: Any

    async def write(self, work: Callable[[Connection], T]) -> T:
        """Run ``work`` in one transaction; raises Conflict, StoreUnavailable or StoreError, then nothing is written."""

    async def read(self, work: Callable[[Connection], T]) -> T:
        """Run ``work`` on a snapshot; it must not write."""

    def free_bytes(self) -> int | None:
        """Return what the disk has left; None where a server looks after its own."""

    async def close(self) -> None:
        """Release connections and locks."""


def translate(error: BaseException) -> StoreError:
    """Turn a driver's error into ours by its number or SQLSTATE, never by its text."""
    chain: list[BaseException] = []
    link: BaseException | None = getattr(error, "orig", None) or error
    while link is not None:
        chain.append(link)
        link = link.__cause__
    names = {type(link).__name__ for link in chain}
    for link in chain:
        number = getattr(link, "sqlite_errorcode", None)
        if number is not None:
            return _translate_sqlite(number, getattr(link, "sqlite_errorname", str(number)), link)
        state = getattr(link, "sqlstate", None)
        if state:
            return _translate_postgres(state, type(link).__name__)
    # asyncpg's DataError is an InterfaceError too, yet it speaks of a value, not of the connection.
    if "DataError" in names or any(isinstance(link, _VALUE_ERRORS) for link in chain):
        return StoreError("the ledger cannot hold a value that it was given", code="store_value_refused")
    if any(isinstance(link, OSError | TimeoutError | PoolTimeoutError) for link in chain):
        return StoreUnavailable(f"the ledger cannot be reached: {type(chain[-1]).__name__}: {chain[-1]}")
    if names & {"InterfaceError", "ConnectionDoesNotExistError", "InternalClientError"}:
        return StoreUnavailable(f"the connection to the ledger is gone: {type(chain[-1]).__name__}")
    return StoreError(f"the ledger failed: {type(chain[0]).__name__}: {chain[0]}")


def _translate_sqlite(number: int, name: str, error: BaseException) -> StoreError:
    if number & 0xFF in _SQLITE_UNAVAILABLE:
        code = "store_full" if number & 0xFF == sqlite3.SQLITE_FULL else "store_unavailable"
        return StoreUnavailable(f"the SQLite ledger cannot be used now: {name}", code=code)
    if number in _SQLITE_CONFLICT:
        return Conflict(f"the SQLite ledger refused a row that is already there: {name}")
    return StoreError(f"the SQLite ledger failed: {name}: {error}")


def _translate_postgres(state: str, name: str) -> StoreError:
    if state in _POSTGRES_CONFLICT:
        return Conflict(f"another writer was first (SQLSTATE {state})")
    if state.startswith(_POSTGRES_UNAVAILABLE):
        code = "store_full" if state == "53100" else "store_unavailable"
        return StoreUnavailable(f"PostgreSQL cannot be used now (SQLSTATE {state})", code=code)
    if state.startswith("22"):
        return StoreError(
            f"PostgreSQL cannot hold a value that it was given (SQLSTATE {state})", code="store_value_refused"
        )
    return StoreError(f"PostgreSQL failed (SQLSTATE {state}): {name}")


class SqliteRunner:
    """One writer connection, shared by all tasks of the process one transaction at a time, and a reader beside it."""

    def __init__(self, path: Path, *, exclusive: bool) -> None:
        self._path = path
        self._lock_file: int | None = None
        if exclusive:
            self._lock_file = _lock(path)
        self._engine = create_engine(
            f"sqlite:///{path}",
            connect_args={"check_same_thread": False, "timeout": 10.0},
            pool_size=2,
            max_overflow=2,
            hide_parameters=True,  # they are payloads and accounts, and errors are logged
        )
        event.listen(self._engine, "connect", _prepare_sqlite)
        self.dialect = self._engine.dialect
        self._writing = asyncio.Lock()
        self._committer = ThreadPoolExecutor(1, thread_name_prefix="ledger-commit")
        self._connection: Connection | None = None
        self._reader: Connection | None = None

    async def write(self, work: Callable[[Connection], T]) -> T:
        """Run ``work`` under BEGIN IMMEDIATE; the commit waits for the disk in a thread."""
        async with self._writing:
            try:
                if self._connection is None:
                    self._connection = self._engine.connect()
                connection = self._connection
                with_driver = connection.connection.driver_connection
                assert with_driver is not None
                with_driver.execute("BEGIN IMMEDIATE").close()
                try:
                    result = work(connection)
                    commit = asyncio.get_running_loop().run_in_executor(self._committer, with_driver.commit)
                    await _uninterrupted(commit)
                except BaseException:
                    with_driver.rollback()
                    raise
                finally:
                    connection.rollback()  # SQLAlchemy's own view of the transaction, which the driver has ended
                return result
            except _FAILURES as error:
                raise translate(error) from error

    async def read(self, work: Callable[[Connection], T]) -> T:
        """Run ``work`` on the reader's connection: all it reads is as of one commit."""
        try:
            connection = self._reader
            if connection is None:
                connection = self._reader = self._engine.connect()
            with_driver = connection.connection.driver_connection
            assert with_driver is not None
            try:
                with_driver.execute("BEGIN").close()
                return work(connection)  # nothing waits in it, so that nobody else reads meanwhile
            finally:
                with_driver.rollback()
                connection.rollback()
        except _FAILURES as error:
            if self._reader is not None:
                self._reader.invalidate()  # the next one opens the file anew
                self._reader.close()
                self._reader = None
            raise translate(error) from error

    def free_bytes(self) -> int | None:
        """Return what the disk of the ledger has left; None when it cannot be asked."""
        try:
            return shutil.disk_usage(self._path.parent).free
        except OSError:
            return None

    async def close(self) -> None:
        """Close the connections, then give up the process lock."""
        async with self._writing:
            for connection in (self._connection, self._reader):
                if connection is not None:
                    connection.close()
        self._engine.dispose()
        self._committer.shutdown()
        if self._lock_file is not None:
            os.close(self._lock_file)
            self._lock_file = None


async def _uninterrupted(commit: asyncio.Future[None]) -> None:
    """Wait for a commit that has begun, however often the task is cancelled meanwhile; then let it be cancelled."""
    interruption: asyncio.CancelledError | None = None
    while not commit.done():
        try:
            await asyncio.shield(commit)
        except asyncio.CancelledError as cancelled:
            interruption = cancelled
    commit.result()
    if interruption is not None:
        raise interruption


def _lock(path: Path) -> int:
    path.parent.mkdir(parents=True, exist_ok=True)
    handle = os.open(f"{path}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        os.close(handle)
        if error.errno in (errno.EAGAIN, errno.EACCES):
            raise ConfigError(
                f"{path}: another gateway process has this ledger; SQLite means one process, use PostgreSQL for more",
                code="store_locked",
            ) from error
        raise
    return handle


def _prepare_sqlite(connection: Any, _record: Any) -> None:
    connection.isolation_level = None  # transactions begin where we say, not where the driver guesses
    for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON", "cache_size=-32000", "temp_store=MEMORY"):
        connection.execute(f"PRAGMA {pragma}").close()


class PostgresRunner:
    """A pool of asyncpg connections; a transaction runs through ``run_sync`` so that the work is the same function."""

    def __init__(self, url: URL, *, pool: int) -> None:
        from sqlalchemy.ext.asyncio import create_async_engine  # slow to import, and SQLite does without

        self._engine = create_async_engine(
            url.set(drivername="postgresql+asyncpg"),
            pool_size=pool,
            max_overflow=2,
            pool_timeout=10,
            hide_parameters=True,
            connect_args={"timeout": 10, "server_settings": {"synchronous_commit": "on", "timezone": "UTC"}},
        )
        self._reader = self._engine.execution_options(isolation_level="REPEATABLE READ")
        self.dialect = self._engine.dialect

    async def write(self, work: Callable[[Connection], T]) -> T:
        """Run ``work`` in one READ COMMITTED transaction; rows it depends on are locked by itself."""
        try:
            async with self._engine.begin() as connection:
                return await connection.run_sync(work)
        except _FAILURES as error:
            raise translate(error) from error

    async def read(self, work: Callable[[Connection], T]) -> T:
        """Run ``work`` in a transaction that is rolled back: all it reads is as of one commit."""
        try:
            async with self._reader.connect() as connection:
                return await connection.run_sync(work)
        except _FAILURES as error:
            raise translate(error) from error

    def free_bytes(self) -> int | None:
        """Return None: the server's disk is the server's."""
        return None

    async def close(self) -> None:
        """Close the pool."""
        await self._engine.dispose()


def open_runner(url: str, *, pool: int = 4, exclusive: bool = True) -> SqliteRunner | PostgresRunner:
    """Open the backend that a URL names: ``sqlite:///PATH`` or ``postgresql://...``. Raises ConfigError for others."""
    try:
        parsed = make_url(url)
    except ArgumentError:
        raise ConfigError("store.url: is no address; use sqlite:///PATH or postgresql://HOST/DATABASE") from None
    if parsed.get_backend_name() == "sqlite":
        if not parsed.database or parsed.database == ":memory:":
            raise ConfigError(
                "store.url: a ledger in memory would lose every trade; name a file: sqlite:///var/ledger.db"
            )
        path = Path(parsed.database)
        if not exclusive and not path.exists():
            raise ConfigError(
                f"store.url: there is no ledger at {path}; run: gateway store upgrade", code="store_absent"
            )
        path.parent.mkdir(parents=True, exist_ok=True)
        return SqliteRunner(path, exclusive=exclusive)
    if parsed.get_backend_name() == "postgresql":
        return PostgresRunner(parsed, pool=pool)
    raise ConfigError(
        f"store.url: {parsed.get_backend_name()!r} is no ledger; use sqlite:///PATH or postgresql://HOST/DATABASE"
    )
