"""Send to Kafka: acks from all replicas, order per key, and an honest outcome for every message."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from functools import lru_cache
from typing import Any, NamedTuple

import structlog
from aiokafka import AIOKafkaProducer, TopicPartition, errors  # type: ignore[import-untyped]
from aiokafka.partitioner import murmur2  # type: ignore[import-untyped]

from gateway.bus.connection import Connection
from gateway.errors import BusUnavailable, ConfigError, InDoubt, NotSent, Refused, TransportError

log = structlog.get_logger(__name__)

_BATCH_BYTES = 262_144
_STOP_SECONDS = 5.0
_RECORD_OVERHEAD_BYTES = 512  # of a batch's header, a record's framing and the key

# What a broker answers when it will not have the message, now or later.
_REFUSALS = (
    errors.MessageSizeTooLargeError,
    errors.RecordListTooLargeError,
    errors.TopicAuthorizationFailedError,
    errors.ClusterAuthorizationFailedError,
    errors.InvalidTopicError,
    errors.InvalidTimestampError,
    errors.PolicyViolationError,
)
_TOO_LARGE = (errors.MessageSizeTooLargeError, errors.RecordListTooLargeError)
# Failures of a first attempt after which certainly nothing was written.
_NOTHING_WRITTEN = (
    errors.NodeNotReadyError,
    errors.NotLeaderForPartitionError,
    errors.LeaderNotAvailableError,
    errors.UnknownTopicOrPartitionError,
    errors.NotEnoughReplicasError,
)
_NOT_IDEMPOTENT = (errors.UnknownError, errors.IncompatibleBrokerVersion, errors.UnsupportedVersionError)


@lru_cache(maxsize=20_000)  # a trade's messages share a key, and hashing in Python costs more than sending
def _hash(key: bytes) -> int:
    """Hash as every Kafka client does by default, so that a key's partition is the same whoever produces."""
    return int(murmur2(key)) & 0x7FFFFFFF


class Message(NamedTuple):
    """One message to send: messages of one ``key`` keep their order; ``headers`` are Kafka's."""

    key: bytes
    value: bytes
    headers: Sequence[tuple[str, bytes]] = ()


Outcome = str | TransportError  # 'topic/partition/offset', or what happened instead


class Producer:
    """Send batches; started at first use and again after a fatal error.

    One partition has one send under way at a time. While the fate of an earlier one is unknown, nothing more is handed
    over to that partition (``NotSent``), so a message in doubt is never overtaken, neither by its own repeat nor by a
    later message.
    """

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._client: AIOKafkaProducer | None = None
        self._idempotent = True
        self._starting = asyncio.Lock()
        self._partitions: dict[str, list[int]] = {}
        self._locks: dict[TopicPartition, asyncio.Lock] = {}
        self._unresolved: dict[TopicPartition, asyncio.Future[Any]] = {}

    async def send(self, topic: str, messages: Sequence[Message], seconds: float) -> list[Outcome]:
        """Send messages and return one outcome each, in order; what has no answer in ``seconds`` is in doubt."""
        deadline = asyncio.get_running_loop().time() + seconds
        try:
            partitions = await self._known_partitions(topic, deadline)
        except (BusUnavailable, ConfigError) as cause:
            return [NotSent(cause.text, code=cause.code) for _ in messages]
        outcomes: dict[int, Outcome] = {}
        lanes: dict[int, list[int]] = {}
        for number, message in enumerate(messages):
            lanes.setdefault(partitions[_hash(message.key) % len(partitions)], []).append(number)
        await asyncio.gather(
            *(
                self._send_lane(TopicPartition(topic, partition), messages, numbers, outcomes, deadline)
                for partition, numbers in lanes.items()
            )
        )
        return [outcomes[number] for number in range(len(messages))]

    async def _known_partitions(self, topic: str, deadline: float) -> list[int]:
        if self._client is not None and topic in self._partitions:
            return self._partitions[topic]

        async def start() -> list[int]:
            await self._connection.check_topics([topic])
            client = await self._started()
            return sorted(await client.partitions_for(topic))

        async with self._starting_until(deadline):
            if self._client is None or topic not in self._partitions:
                remaining = max(0.0, deadline - asyncio.get_running_loop().time())
                self._partitions[topic] = await self._connection.persist(start, remaining)
            return self._partitions[topic]

    @asynccontextmanager
    async def _starting_until(self, deadline: float) -> AsyncIterator[None]:
        """Let one send at a time start the producer; the others wait no longer than they have time."""
        try:
            async with asyncio.timeout_at(deadline):
                await self._starting.acquire()
        except TimeoutError as late:
            cause = await self._connection.explain()
            raise cause or BusUnavailable("the producer did not start in time") from late
        try:
            yield
        finally:
            self._starting.release()

    async def _running(self, deadline: float) -> AIOKafkaProducer:
        """Return the producer, started again when a failure of this or another send ended it."""
        if self._client is None:
            async with self._starting_until(deadline):
                seconds = max(0.0, deadline - asyncio.get_running_loop().time())
                return await self._connection.persist(self._started, seconds)
        return self._client

    async def _started(self) -> AIOKafkaProducer:
        if self._client is not None:
            return self._client
        settings = self._connection.settings
        client = AIOKafkaProducer(
            **self._connection.options(),
            acks="all",
            enable_idempotence=self._idempotent,
            max_batch_size=min(_BATCH_BYTES, settings.max_request_bytes),
            max_request_size=settings.max_request_bytes + _RECORD_OVERHEAD_BYTES,
            compression_type=settings.compression,
        )
        try:
            await client.start()
        except _NOT_IDEMPOTENT as failure:
            await _stop(client)
            if not self._idempotent:
                raise
            self._idempotent = False
            log.warning("bus.producer_not_idempotent", cause=type(failure).__name__)
            return await self._started()
        except BaseException:
            await _stop(client)
            raise
        if not self._idempotent:
            # A second attempt inside the library could arrive twice without a possible-duplicate mark: one only.
            client._message_accumulator._batch_ttl = 0
        self._client = client
        return client

    async def _send_lane(
        self,
        lane: TopicPartition,
        messages: Sequence[Message],
        numbers: list[int],
        outcomes: dict[int, Outcome],
        deadline: float,
    ) -> None:
        """Send what goes to one partition, batch after batch; after a failure nothing of the same key follows."""
        loop = asyncio.get_running_loop()
        lock = self._locks.setdefault(lane, asyncio.Lock())
        try:
            async with asyncio.timeout_at(deadline):
                await lock.acquire()
        except TimeoutError:
            _fill(outcomes, numbers, NotSent("earlier sends to the partition took all the time", code="bus_busy"))
            return
        try:
            earlier = self._unresolved.get(lane)
            if earlier is not None and not earlier.done():
                await asyncio.wait({earlier}, timeout=max(0.0, deadline - loop.time()))
                if not earlier.done():
                    text = "the fate of an earlier send to the partition is still unknown; nothing may overtake it"
                    _fill(outcomes, numbers, NotSent(text, code="earlier_send_unresolved"))
                    return
            batches = [numbers]
            held_keys: set[bytes] = set()
            while batches:
                batch = batches.pop(0)
                free = [number for number in batch if messages[number].key not in held_keys]
                held = NotSent("an earlier message of the same key was refused", code="earlier_message_refused")
                _fill(outcomes, (number for number in batch if messages[number].key in held_keys), held)
                if not free:
                    continue
                taken, result = await self._send_batch(lane, messages, free, deadline)
                if taken < len(free):
                    batches.insert(0, free[taken:])
                if isinstance(result, int):
                    for position, number in enumerate(free[:taken]):
                        outcomes[number] = f"{lane.topic}/{lane.partition}/{result + position}"
                elif isinstance(result, Refused):
                    if result.code == "message_too_large" and taken > 1:  # halve until the culprit stands alone
                        batches[0:0] = [free[: taken // 2], free[taken // 2 : taken]]
                        continue
                    _fill(outcomes, free[:taken], result)
                    held_keys.update(messages[number].key for number in free[:taken])
                else:
                    _fill(outcomes, free[:taken], result)
                    text = "an earlier batch to the partition failed; nothing may overtake it"
                    for rest in batches:
                        _fill(outcomes, rest, NotSent(text, code=result.code))
                    return
        finally:
            lock.release()

    async def _send_batch(
        self, lane: TopicPartition, messages: Sequence[Message], numbers: list[int], deadline: float
    ) -> tuple[int, int | TransportError]:
        """Send as many as fit one batch; return how many those were, and the first's offset or the failure of all."""
        try:
            client = await self._running(deadline)
        except BusUnavailable as away:
            return len(numbers), NotSent(away.text, code=away.code)
        limit = self._connection.settings.max_request_bytes
        builder = client.create_batch()
        taken = 0
        for number in numbers:
            key, value, headers = messages[number]
            if len(value) > limit:
                if taken:
                    break
                text = f"the message has {len(value)} bytes; max_request_bytes of the Kafka settings is {limit}"
                return 1, Refused(text, code="message_too_large")
            if builder.append(timestamp=None, key=key, value=value, headers=list(headers)) is None:
                break
            taken += 1
        builder.close()
        try:
            async with asyncio.timeout_at(deadline):
                future = await client.send_batch(builder, lane.topic, partition=lane.partition)
        except TimeoutError:
            return taken, NotSent("the brokers did not take the message in time", code="broker_unreachable")
        except errors.KafkaError as failure:
            await self._discard(client)
            return taken, NotSent(f"the producer does not take messages: {_named(failure)}", code="bus_unavailable")
        self._unresolved[lane] = future
        future.add_done_callback(_take_note)
        await asyncio.wait({future}, timeout=max(0.0, deadline - asyncio.get_running_loop().time()))
        if not future.done():
            self._connection.examine_soon()
            where = self._connection.settings.bootstrap_servers
            return taken, InDoubt(f"{where} did not confirm the message in time", code="send_timed_out")
        self._unresolved.pop(lane, None)
        failed = future.exception()
        if failed is None:
            self._connection.seen_up()
            return taken, int(future.result().offset)
        return taken, await self._failure(client, lane.topic, failed)

    async def _failure(self, client: AIOKafkaProducer, topic: str, failed: BaseException) -> TransportError:
        if isinstance(failed, _REFUSALS):
            if self._idempotent:  # the library has counted the refused batch: its next number would be out of order
                await self._discard(client)
            if isinstance(failed, _TOO_LARGE):
                return Refused(f"the broker refuses a message of this size on {topic}", code="message_too_large")
            code = "topic_not_authorized" if "Authorization" in type(failed).__name__ else "send_refused"
            return Refused(f"the broker refuses the message on {topic}: {_named(failed)}", code=code)
        cause = await self._connection.explain()
        if cause is not None:
            self._connection.seen_down(cause)
        because = cause.text if cause is not None else _named(failed)
        if not self._idempotent and isinstance(failed, _NOTHING_WRITTEN):
            return NotSent(because, code=cause.code if cause is not None else "broker_unreachable")
        if self._idempotent:  # it gives up on nothing that can be retried: its numbering is broken
            await self._discard(client)
        return InDoubt(f"the send failed after it had left: {because}")

    async def _discard(self, client: AIOKafkaProducer) -> None:
        """End a producer for good, so that nothing it still holds is delivered later; the next send starts another."""
        if self._client is client:
            self._client = None
            self._partitions.clear()
            async with self._starting:
                await _stop(client)
                self._unresolved.clear()

    async def close(self) -> None:
        """Stop; what is still without answer stays in doubt."""
        if self._client is not None:
            await self._discard(self._client)


async def _stop(client: AIOKafkaProducer) -> None:
    """Stop a producer within a limit: left alone it waits for brokers that may never come back."""
    stopping = asyncio.ensure_future(client.stop())
    done, _ = await asyncio.wait({stopping}, timeout=_STOP_SECONDS)
    if not done:
        await client.client.close()
        stopping.cancel()
        await asyncio.wait({stopping})
    _take_note(stopping)


def _take_note(future: asyncio.Future[Any]) -> None:
    """Read a result that nobody may be waiting for any more, so that asyncio does not complain of it."""
    if not future.cancelled():
        future.exception()


def _fill(outcomes: dict[int, Outcome], numbers: Iterable[int], outcome: Outcome) -> None:
    for number in numbers:
        outcomes[number] = outcome


def _named(failure: BaseException) -> str:
    return f"{type(failure).__name__}: {failure}" if str(failure) else type(failure).__name__
