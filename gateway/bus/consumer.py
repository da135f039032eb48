"""Read from Kafka: committed data only, offsets committed by hand, no offset ever skipped in silence."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import Any, NamedTuple, Self

import structlog
from aiokafka import AIOKafkaConsumer, ConsumerRebalanceListener, TopicPartition, errors  # type: ignore[import-untyped]

from gateway.bus.connection import Connection
from gateway.errors import BusUnavailable, Conflict

log = structlog.get_logger(__name__)

_LOOK_SECONDS = 5.0  # an idle reader asks this often whether the brokers are there at all
_STALL_SECONDS = 10.0


class Record(NamedTuple):
    """One record as it was read. ``timestamp`` is milliseconds since 1970 UTC; a null value reads as empty bytes.

    ``epoch`` tells under which assignment it was read: a commit for an older one is refused.
    """

    topic: str
    partition: int
    offset: int
    key: bytes | None
    value: bytes
    timestamp: int
    headers: tuple[tuple[str, bytes], ...]
    epoch: int

    @property
    def position(self) -> str:
        """Return the evidence: ``topic/partition/offset``."""
        return f"{self.topic}/{self.partition}/{self.offset}"


class Consumer:
    """Read topics in batches, as a member of a group or (``assigned``) alone with all partitions.

    It connects at the first poll and again when needed. A new group starts at the earliest offset. A committed offset
    that no longer exists stops its partition (``stopped``), never the others. When partitions are taken away, it waits
    up to ``revoke_grace_seconds`` until what was handed out is committed, then calls ``on_revoked``; what is still
    uncommitted then is read by another member, and committing it here gives ``Conflict``.
    """

    def __init__(
        self,
        connection: Connection,
        topics: Sequence[str],
        group: str,
        *,
        assigned: bool = False,
        on_revoked: Callable[[], Awaitable[None]] | None = None,
    ) -> None:
        self.stopped: dict[tuple[str, int], str] = {}  # (topic, partition) -> code
        self._connection = connection
        self._topics = list(topics)
        self._group = group
        self._assigned = assigned
        self._on_revoked = on_revoked
        self._client: AIOKafkaConsumer | None = None
        self._held: list[Record] = []  # read, and not yet returned: survives a cancelled poll
        self._epoch = 0
        self._handed: dict[TopicPartition, int] = {}  # next offset after what was returned
        self._committed: dict[TopicPartition, int] = {}
        self._progress = asyncio.Event()
        self._paused = False
        self._revoking = False
        self._looked = 0.0

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self.close()

    async def close(self) -> None:
        """Leave the group; what was not committed is read again by whoever comes next."""
        client, self._client = self._client, None
        if client is not None:
            await _stop(client)

    async def start(self) -> None:
        """Connect and join now instead of at the first poll. Raises BusUnavailable with the cause."""
        if self._client is None:
            self._client = await self._connection.persist(
                self._connect, self._connection.settings.start_timeout_seconds
            )

    async def _connect(self) -> AIOKafkaConsumer:
        await self._connection.check_topics(self._topics)
        settings = self._connection.settings
        client = AIOKafkaConsumer(
            **self._connection.options(),
            group_id=self._group,
            enable_auto_commit=False,
            isolation_level="read_committed",
            auto_offset_reset="none",  # both cases are decided here: no offset yet, and offset gone
            session_timeout_ms=int(settings.session_timeout_seconds * 1000),
            heartbeat_interval_ms=int(settings.heartbeat_seconds * 1000),
            max_partition_fetch_bytes=max(1_048_576, settings.max_request_bytes * 2),
            fetch_max_wait_ms=250,
        )
        self._forget()
        try:
            if not self._assigned:
                client.subscribe(self._topics, listener=_Listener(self))
            await client.start()
            if self._assigned:
                await self._assign(client)
        except BaseException:
            await _stop(client)
            raise
        self._looked = asyncio.get_running_loop().time()
        return client

    async def _assign(self, client: AIOKafkaConsumer) -> None:
        # topics() asks the brokers; partitions_for_topic() alone knows only what was asked before
        await client.topics()
        for topic in self._topics:
            client._client.add_topic(topic)
        await client._client.force_metadata_update()
        client.assign([TopicPartition(topic, number) for topic in self._topics for number in _numbers(client, topic)])

    # --- reading ------------------------------------------------------------------------------------------------------

    async def poll(self, max_records: int = 100, max_wait_ms: int = 20, idle_ms: int = 500) -> list[Record]:
        """Return up to ``max_records``, in offset order per partition; an empty list after ``idle_ms`` without any.

        After the first record it waits ``max_wait_ms`` for more. Raises BusUnavailable (retriable) when it cannot
        connect within the start timeout. May be cancelled: nothing that was read is lost.
        """
        loop = asyncio.get_running_loop()
        await self.start()
        client = self._client
        assert client is not None
        until = loop.time() + (max_wait_ms if self._held else idle_ms) / 1000
        while len(self._held) < max_records:
            wait = max(0.0, until - loop.time())
            had = len(self._held)
            try:
                async with asyncio.timeout(wait + _STALL_SECONDS):
                    found = await client.getmany(timeout_ms=math.ceil(wait * 1000), max_records=max_records - had)
            except TimeoutError:
                break  # a rebalance that does not end; the look at the brokers below says why
            except errors.NoOffsetForPartitionError as new:
                await self._begin(client, new.args[0])
                continue
            except errors.OffsetOutOfRangeError as gone:
                self._stop_partitions(client, gone.args[0])
                continue
            except errors.KafkaError as failure:
                await self._failed(failure)
            self._hold(found)
            if self._held and not had:
                until = loop.time() + max_wait_ms / 1000
            if loop.time() >= until:
                break
        take = 0 if self._paused else max_records  # what a pause found already read waits for its end
        batch, self._held = self._held[:take], self._held[take:]
        for record in batch:
            self._handed[TopicPartition(record.topic, record.partition)] = record.offset + 1
        if not batch:
            await self._look()
        else:
            self._connection.seen_up()
            self._looked = loop.time()
        return batch

    def _hold(self, found: dict[TopicPartition, list[Any]]) -> None:
        for records in found.values():
            self._held.extend(
                Record(r.topic, r.partition, r.offset, r.key, r.value or b"", r.timestamp, r.headers, self._epoch)
                for r in records
            )

    async def _begin(self, client: AIOKafkaConsumer, partition: TopicPartition) -> None:
        """Start a partition that the group never committed at its earliest offset."""
        try:
            earliest = await client.beginning_offsets([partition])
            client.seek(partition, earliest[partition])
        except errors.IllegalStateError:
            return  # taken away meanwhile
        except errors.KafkaError as failure:
            await self._failed(failure)

    def _stop_partitions(self, client: AIOKafkaConsumer, offsets: dict[TopicPartition, int]) -> None:
        for partition, offset in offsets.items():
            self.stopped[(partition.topic, partition.partition)] = "offset_out_of_range"
            if partition in client.assignment():
                client.pause(partition)
            log.error(
                "bus.partition_stopped",
                code="offset_out_of_range",
                topic=partition.topic,
                partition=partition.partition,
                offset=offset,
                group=self._group,
                cause="the offset to read next no longer exists: the topic was recreated, or its retention is shorter "
                "than the gateway was away; find out what was lost, set the group's offset and start again",
            )

    async def _failed(self, failure: errors.KafkaError) -> None:
        """Give up the connection; the next poll makes another. Always raises."""
        await self.close()
        if isinstance(failure, errors.TopicAuthorizationFailedError | errors.GroupAuthorizationFailedError):
            what = "group" if isinstance(failure, errors.GroupAuthorizationFailedError) else "topic"
            cause = BusUnavailable(
                f"this client may not read: {type(failure).__name__} for {failure.args}; grant it Read on the {what}",
                code=f"{what}_not_authorized",
            )
        else:
            cause = BusUnavailable(f"reading failed: {type(failure).__name__}: {failure}")
        self._connection.seen_down(cause)
        raise cause from failure

    async def _look(self) -> None:
        """Ask whether the brokers are there: an empty poll alone does not tell a quiet topic from a dead broker."""
        loop = asyncio.get_running_loop()
        client = self._client
        if client is None or loop.time() - self._looked < _LOOK_SECONDS:
            return
        try:
            async with asyncio.timeout(_LOOK_SECONDS):
                await client.topics()
        except (errors.KafkaError, TimeoutError, OSError):
            cause = await self._connection.explain()
            if cause is not None:
                self._connection.seen_down(cause)
        else:
            self._connection.seen_up()
            if self._assigned:
                self._grow(client)
        self._looked = loop.time()

    def _grow(self, client: AIOKafkaConsumer) -> None:
        """Take partitions that were added to the topics; the ones we have go on where they were."""
        now = {TopicPartition(topic, number) for topic in self._topics for number in _numbers(client, topic)}
        if now - client.assignment():
            client.assign(list(now))
            for partition, offset in self._handed.items():
                client.seek(partition, offset)
            self._apply_pause(now)

    # --- committing ---------------------------------------------------------------------------------------------------

    async def commit(self, records: Iterable[Record]) -> Conflict | BusUnavailable | None:
        """Commit past these records; None when done.

        ``Conflict``: some partitions are no longer ours, another member reads those records again (the ledger
        recognises them). ``BusUnavailable``: not committed; a later commit covers it.
        """
        offsets: dict[TopicPartition, int] = {}
        stale = False
        for record in records:
            if record.epoch != self._epoch:
                stale = True
                continue
            partition = TopicPartition(record.topic, record.partition)
            offsets[partition] = max(offsets.get(partition, 0), record.offset + 1)
        conflict = Conflict("the partitions were given to another member", code="partition_revoked")
        client = self._client
        if client is None:
            return BusUnavailable("not connected: nothing was committed")
        try:
            async with asyncio.timeout(self._connection.settings.request_timeout_seconds):
                if offsets:
                    await client.commit(offsets)
        except (errors.CommitFailedError, errors.IllegalStateError):
            return conflict
        except (errors.KafkaError, TimeoutError) as failure:
            cause = await self._connection.explain()
            return cause or BusUnavailable(f"the offsets were not committed: {type(failure).__name__}: {failure}")
        self._committed.update(offsets)
        self._progress.set()
        return conflict if stale else None

    # --- pausing and rebalancing --------------------------------------------------------------------------------------

    def pause(self) -> None:
        """Read no more until ``resume``; polling meanwhile keeps the membership and returns nothing."""
        self._paused = True
        if self._client is not None:
            self._apply_pause(self._client.assignment())

    def resume(self) -> None:
        """Read again; partitions stopped for a lost offset stay stopped."""
        self._paused = False
        if self._client is not None:
            free = {p for p in self._client.assignment() if (p.topic, p.partition) not in self.stopped}
            self._client.resume(*free)

    def _apply_pause(self, partitions: Iterable[TopicPartition]) -> None:
        client = self._client
        if client is not None:
            client.pause(*(p for p in partitions if self._paused or (p.topic, p.partition) in self.stopped))

    async def _revoked(self, partitions: Iterable[TopicPartition]) -> None:
        self._held.clear()
        self._revoking = True
        mine = set(partitions)
        grace = self._connection.settings.revoke_grace_seconds
        try:
            async with asyncio.timeout(grace):
                while any(self._committed.get(p, 0) < end for p, end in self._handed.items() if p in mine):
                    self._progress.clear()
                    await self._progress.wait()
        except TimeoutError:
            log.warning("bus.records_abandoned", group=self._group, grace_seconds=grace)
        if self._on_revoked is not None:
            await self._on_revoked()
        self._forget()
        self._revoking = False

    def _forget(self) -> None:
        """Begin a new assignment: whatever was read under the last one can no longer be committed."""
        self._epoch += 1
        self._held.clear()
        self._handed.clear()
        self._committed.clear()
        self.stopped.clear()

    @property
    def assignment(self) -> frozenset[tuple[str, int]]:
        """Return the (topic, partition) pairs that are read now."""
        client = self._client
        return frozenset() if client is None else frozenset((p.topic, p.partition) for p in client.assignment())


class _Listener(ConsumerRebalanceListener):  # type: ignore[misc]
    def __init__(self, consumer: Consumer) -> None:
        self._consumer = consumer

    async def on_partitions_revoked(self, revoked: Iterable[TopicPartition]) -> None:
        await self._consumer._revoked(revoked)

    async def on_partitions_assigned(self, assigned: Iterable[TopicPartition]) -> None:
        log.info("bus.partitions_assigned", group=self._consumer._group, partitions=len(list(assigned)))
        self._consumer._apply_pause(assigned)


def _numbers(client: AIOKafkaConsumer, topic: str) -> list[int]:
    return sorted(client.partitions_for_topic(topic) or ())


async def _stop(client: AIOKafkaConsumer) -> None:
    stopping = asyncio.ensure_future(client.stop())
    done, _ = await asyncio.wait({stopping}, timeout=_STALL_SECONDS)
    if not done:
        stopping.cancel()
        await asyncio.wait({stopping})
    if not stopping.cancelled():
        stopping.exception()
