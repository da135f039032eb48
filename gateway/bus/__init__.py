"""Kafka, for every room that needs it: the only importer of aiokafka.

What is kept whatever the brokers' defaults are: producers wait for all replicas and are idempotent where the broker
can; readers see committed data only and commit by hand; order holds per key; nothing is skipped in silence. A broker
that is away is reported once with its cause, waited for, and used again when it is back.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import Self

from aiokafka import errors  # type: ignore[import-untyped]
from aiokafka.admin import AIOKafkaAdminClient, NewTopic  # type: ignore[import-untyped]

from gateway.bus.connection import Connection, ended
from gateway.bus.consumer import Consumer, Record
from gateway.bus.producer import Message, Outcome, Producer
from gateway.errors import BusUnavailable
from gateway.model.connections import KafkaSettings, KafkaTopics

__all__ = ["Bus", "Consumer", "KafkaSettings", "KafkaTopics", "Message", "Outcome", "Record"]


class Bus:
    """One process's way to Kafka; an async context manager. Entering it connects nothing: every use connects itself."""

    def __init__(self, settings: KafkaSettings) -> None:
        self.settings = settings
        self._connection = Connection(settings)
        self._producer: Producer | None = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exc: object) -> None:
        if self._producer is not None:
            await self._producer.close()
        await self._connection.close()

    @property
    def available(self) -> bool | None:
        """Return whether the brokers answered when last used; None before the first use."""
        return self._connection.available

    async def send(self, topic: str, messages: Sequence[Message], seconds: float | None = None) -> list[Outcome]:
        """Send messages; one outcome each, in order, within ``seconds`` (default: the settings' send timeout).

        ``'topic/partition/offset'`` is delivered to all replicas; ``NotSent`` certainly not handed over; ``InDoubt``
        may have arrived or still arrive, and nothing overtakes it; ``Refused`` the broker will not have it. After a
        failure no later message of the same key is sent by the same call. Never raises for a message.
        """
        if self._producer is None:
            self._producer = Producer(self._connection)
        return await self._producer.send(topic, messages, seconds or self.settings.send_timeout_seconds)

    def consumer(
        self,
        topics: Sequence[str],
        group: str | None = None,
        *,
        assigned: bool = False,
        on_revoked: Callable[[], Awaitable[None]] | None = None,
    ) -> Consumer:
        """Make a reader of topics under a group (default: the settings'); use it as an async context manager."""
        return Consumer(
            self._connection, topics, group or self.settings.group, assigned=assigned, on_revoked=on_revoked
        )

    async def check_topics(self, names: Iterable[str]) -> None:
        """Check once that the brokers answer and the topics are there; raise BusUnavailable with the cause."""
        await self._connection.persist(
            lambda: self._connection.check_topics(names), self.settings.request_timeout_seconds
        )

    async def explain(self) -> BusUnavailable | None:
        """Find out why the brokers cannot be used; None when they can."""
        return await self._connection.explain()

    async def ensure_topics(self, names: Iterable[str], partitions: int = 4, replication_factor: int = 1) -> None:
        """Create the topics that are absent and wait until they can be used (demo and tests; production decides)."""
        wanted = sorted(set(names))

        async def create() -> None:
            admin = AIOKafkaAdminClient(**self._connection.options())
            try:
                await admin.start()
                response = await admin.create_topics(
                    [NewTopic(name, partitions, replication_factor) for name in wanted]
                )
            finally:
                await ended(admin.close())
            for name, code, *_ in response.topic_errors:
                error = errors.for_code(code)
                if error not in (errors.NoError, errors.TopicAlreadyExistsError):
                    raise BusUnavailable(f"topic {name} cannot be created: {error.__name__}", code="topic_not_created")

        async def usable() -> None:
            try:
                await self._connection.check_topics(wanted)
            except BusUnavailable as pending:  # created, and not yet known to every broker
                raise TimeoutError(pending.text) from pending

        seconds = self.settings.start_timeout_seconds
        await self._connection.persist(create, seconds)
        async with asyncio.timeout(seconds * 2):
            await self._connection.persist(usable, seconds)
