"""The ledger: open it, run units of work on it, hold leases in it."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from statistics import median
from time import monotonic
from typing import TYPE_CHECKING, TypeVar

from sqlalchemy import Connection, insert, select, update

from gateway.errors import ConfigError, Conflict
from gateway.store import tables
from gateway.store.engine import Runner, open_runner
from gateway.store.migration import HEAD, current_revision
from gateway.store.statements import Statements
from gateway.store.tables import instant
from gateway.store.unit import Unit

if TYPE_CHECKING:
    from gateway.config import StoreSettings

T = TypeVar("T")

_CONFLICT_REPEATS = 5
_RECENT_SECONDS = 10.0


@dataclass(frozen=True, slots=True)
class Lease:
    """A channel's lease: only its holder sends and polls; ``epoch`` rises with every change of holder."""

    channel: str
    holder: str
    epoch: int
    expires_at: datetime
    failures: int
    next_attempt_at: datetime | None


@dataclass(frozen=True, slots=True)
class Load:
    """How well a ledger keeps up: what alone may slow the intake of events.

    ``write_seconds`` is the median of this process's transactions of the last ten seconds, commit included;
    ``unapplied`` counts archived replies that wait to be applied; ``free_bytes`` is what the disk of an SQLite ledger
    has left, None where a server looks after its own.
    """

    write_seconds: float
    unapplied: int
    free_bytes: int | None


def overload(load: Load, limits: StoreSettings, *, paused: bool) -> str | None:
    """Say why events should wait, by the ledger's load; None when it keeps up.

    What is ``paused`` goes on only well inside the limits: half of the time and of the waiting replies, and a tenth
    more free disk.
    """
    ease, room = (0.5, 1.1) if paused else (1.0, 1.0)
    reserve = limits.reserve_megabytes * 1_000_000
    if load.free_bytes is not None and load.free_bytes < reserve * room:
        left = load.free_bytes // 1_000_000
        return f"the ledger's disk has {left} MB left, store.reserve_megabytes is {limits.reserve_megabytes}"
    if load.write_seconds > limits.write_seconds_limit * ease:
        limit = limits.write_seconds_limit
        return f"a transaction takes {load.write_seconds:.1f} s, store.write_seconds_limit is {limit:g}"
    if load.unapplied > limits.unapplied_limit * ease:
        return f"{load.unapplied} replies wait to be applied, store.unapplied_limit is {limits.unapplied_limit}"
    return None


class Ledger:
    """Every event, instruction, document, attempt, reply and change, durable when a call returns.

    ``write`` commits with full durability or changes nothing. After a crash everything that was committed is there.
    """

    def __init__(self, runner: Runner) -> None:
        self._runner = runner
        self._statements = Statements(runner.dialect)
        self._writes: deque[tuple[float, float]] = deque(maxlen=100)  # (when it ended, how long it took), in seconds

    @classmethod
    async def open(cls, url: str, *, pool: int = 4, exclusive: bool = True) -> Ledger:
        """Open a ledger that is up to date and durable.

        Raises ConfigError (``store_outdated``, ``store_not_durable``, ``store_locked``) or StoreUnavailable.
        """
        runner = open_runner(url, pool=pool, exclusive=exclusive)
        try:
            revision = await runner.read(current_revision)
            if revision != HEAD:
                raise ConfigError(
                    f"store: the ledger is at revision {revision or 'none'}, this gateway needs {HEAD}; "
                    "an older one is brought up by: gateway store upgrade",
                    code="store_outdated",
                )
            durability = await runner.read(read_durability)
            weak = [f"{name}={value}" for name, (value, right) in durability.items() if not right]
            if weak:
                raise ConfigError(
                    f"store: the ledger could lose what it committed: {', '.join(weak)}", code="store_not_durable"
                )
            if exclusive and runner.dialect.name == "sqlite":
                # The process lock proves that every earlier holder is gone: nobody need wait for a lease to end.
                await runner.write(_end_leases)
        except BaseException:
            await runner.close()
            raise
        return cls(runner)

    @property
    def is_postgresql(self) -> bool:
        """Tell whether several processes may share this ledger."""
        return bool(self._statements.postgres)

    async def write(self, now: datetime, work: Callable[[Unit], T], *, size: int = 16) -> T:
        """Run ``work`` in one transaction and commit; a conflict repeats it, so it must hold no state of its own.

        Raises Conflict after five repeats, StoreUnavailable, StoreError; then nothing was written.
        """

        def run(connection: Connection) -> T:
            unit = Unit(connection, self._statements, now, size)
            result = work(unit)
            unit.flush()
            return result

        started = monotonic()
        try:
            for left in reversed(range(_CONFLICT_REPEATS)):
                try:
                    return await self._runner.write(run)
                except Conflict:
                    if not left:
                        raise
            raise AssertionError("unreachable")
        finally:
            ended = monotonic()
            self._writes.append((ended, ended - started))

    async def load(self, now: datetime) -> Load:
        """Tell how well the ledger keeps up. Raises StoreUnavailable."""
        since = monotonic() - _RECENT_SECONDS
        recent = [seconds for ended, seconds in self._writes if ended > since]
        return Load(
            write_seconds=median(recent) if recent else 0.0,
            unapplied=await self.read(now, lambda unit: unit.unapplied()),
            free_bytes=self._runner.free_bytes(),
        )

    async def read(self, now: datetime, work: Callable[[Unit], T]) -> T:
        """Run ``work`` for reading only."""
        return await self._runner.read(lambda connection: work(Unit(connection, self._statements, now)))

    async def query(self, work: Callable[[Connection], T]) -> T:
        """Run an operators' query (``queries.py``) on a snapshot."""
        return await self._runner.read(work)

    async def execute(self, work: Callable[[Connection], T]) -> T:
        """Run a small write that is no unit of work (an operators' command row)."""
        return await self._runner.write(work)

    async def durability(self) -> dict[str, tuple[str, bool]]:
        """Read the durability settings back from the store: name -> (value, whether it is right)."""
        return await self._runner.read(read_durability)

    async def close(self) -> None:
        """Close the ledger and give up the process lock."""
        await self._runner.close()

    # Leases --------------------------------------------------------------------------------------------------------

    async def acquire(self, channel: str, holder: str, now: datetime, seconds: float) -> Lease | None:
        """Take or renew a channel's lease; None while another process holds it. A new holder gets a higher epoch."""
        table = tables.lease
        until = now + timedelta(seconds=seconds)

        def work(connection: Connection) -> Lease | None:
            row = (
                connection.execute(select(table).where(table.c.channel == channel).with_for_update()).mappings().first()
            )
            if row is None:
                values = {"holder": holder, "epoch": 1, "expires_at": until, "failures": 0}
                connection.execute(insert(table).values(channel=channel, **values))
                return Lease(channel, holder, 1, until, 0, None)
            if row["holder"] != holder and row["expires_at"] > now:
                return None
            epoch = row["epoch"] + (row["holder"] != holder)
            connection.execute(
                update(table).where(table.c.channel == channel).values(holder=holder, epoch=epoch, expires_at=until)
            )
            return Lease(channel, holder, epoch, until, row["failures"], row["next_attempt_at"])

        try:
            return await self._runner.write(work)
        except Conflict:
            return None  # another process was first to create it

    async def release(self, lease: Lease, now: datetime) -> None:
        """Give a lease up so that another process need not wait for its end."""
        table = tables.lease
        await self._runner.write(
            lambda connection: connection.execute(
                update(table)
                .where(table.c.channel == lease.channel, table.c.holder == lease.holder, table.c.epoch == lease.epoch)
                .values(expires_at=now)
            )
        )

    async def note_channel(self, lease: Lease, failures: int, next_at: datetime | None, error: str | None) -> None:
        """Record a channel's failures in a row and its one next attempt time."""
        table = tables.lease
        await self._runner.write(
            lambda connection: connection.execute(
                update(table)
                .where(table.c.channel == lease.channel, table.c.epoch == lease.epoch)
                .values(failures=failures, next_attempt_at=next_at, last_error=error)
            )
        )


def _end_leases(connection: Connection) -> None:
    connection.execute(update(tables.lease).values(expires_at=instant(0)))


def read_durability(connection: Connection) -> dict[str, tuple[str, bool]]:
    """Read what the backend says of its own durability; each with whether it is enough."""
    if connection.dialect.name == "sqlite":
        synchronous = connection.exec_driver_sql("PRAGMA synchronous").scalar()
        journal = connection.exec_driver_sql("PRAGMA journal_mode").scalar()
        return {
            "synchronous": (str(synchronous), synchronous is not None and int(synchronous) >= 2),
            "journal_mode": (str(journal), str(journal) == "wal"),
        }
    names = ("fsync", "synchronous_commit", "full_page_writes")
    values = {name: str(connection.exec_driver_sql(f"SHOW {name}").scalar()) for name in names}
    return {name: (value, value not in {"off", "local"}) for name, value in values.items()}
