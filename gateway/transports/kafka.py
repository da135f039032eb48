"""The Kafka carrier: a topic out, keyed by transaction, and a topic in, read whole by the channel's holder."""

from __future__ import annotations

import asyncio
import random
from collections import deque
from collections.abc import Sequence
from typing import Self

import structlog

from gateway.bus import Bus, Message, Record
from gateway.errors import BusUnavailable, Refused
from gateway.model.profile import KafkaCarrier, Profile
from gateway.transports import Incoming, Outcome, Outgoing, Sent

log = structlog.get_logger(__name__)

_PAUSE_SECONDS = 2.0


class KafkaTransport:
    """A topic pair. The possible-duplicate mark and the message's identifier travel as Kafka headers too.

    The inbound topic is read without group membership, by whoever holds the channel, from offsets committed under
    ``<group>.<bic>``.
    """

    carries_possible_duplicate_mark = True

    def __init__(self, profile: Profile, bus: Bus) -> None:
        assert isinstance(profile.channel, KafkaCarrier)
        self._bus = bus
        self._bic = profile.bic
        self._limits = profile.limits
        self._outbound = profile.channel.outbound_topic
        self._inbound = profile.channel.inbound_topic
        self._consumer = bus.consumer([self._inbound], f"{bus.settings.group}.{profile.bic}", assigned=True)
        # What was received and not yet let go, per partition in order: offsets are committed without gaps only.
        self._open: dict[int, deque[Record]] = {}
        self._let_go: set[str] = set()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self._consumer.close()

    async def send(self, batch: Sequence[Outgoing]) -> list[Outcome]:
        """Send a batch; a message is sent when all replicas in sync have it."""
        outcomes: list[Outcome | None] = [None] * len(batch)
        messages = []
        numbers = []
        for number, item in enumerate(batch):
            if len(item.content) > self._limits.max_message_bytes:
                text = f"the message has {len(item.content)} bytes; the channel's limit is "
                outcomes[number] = Refused(f"{text}{self._limits.max_message_bytes}", code="message_too_large")
                continue
            headers = [("business-message-id", item.business_message_id.encode())]
            if item.possible_duplicate:
                headers.append(("possible-duplicate", b"true"))
            messages.append(Message(item.key.encode(), item.content, headers))
            numbers.append(number)
        results = await self._bus.send(self._outbound, messages, self._limits.send_timeout_seconds)
        for number, result in zip(numbers, results, strict=True):
            outcomes[number] = Sent(result) if isinstance(result, str) else result
        return [outcome for outcome in outcomes if outcome is not None]

    async def receive(self, limit: int) -> list[Incoming]:
        """Wait for messages; the brokers or the topic being away is waited out."""
        reported: str | None = None
        while True:
            try:
                records = await self._consumer.poll(limit)
            except BusUnavailable as cause:
                if cause.code != reported:
                    reported = cause.code
                    log.warning("channel.unavailable", counterparty=self._bic, code=cause.code, cause=cause.text)
                await asyncio.sleep(_PAUSE_SECONDS * random.uniform(0.5, 1.5))
                continue
            if records:
                break
        for record in records:
            self._open.setdefault(record.partition, deque()).append(record)
        return [Incoming(record.position, record.value) for record in records]

    async def acknowledge(self, incoming: Sequence[Incoming]) -> None:
        """Commit the offsets up to the first message still open; a commit that fails is covered by the next one."""
        self._let_go.update(item.carrier_key for item in incoming)
        finished = []
        for records in self._open.values():
            last = None
            while records and records[0].position in self._let_go:
                last = records.popleft()
                self._let_go.discard(last.position)
            if last is not None:
                finished.append(last)
        if finished:
            failure = await self._consumer.commit(finished)
            if failure is not None:
                log.warning("channel.offset_not_committed", counterparty=self._bic, code=failure.code)

    async def probe(self) -> None:
        """Check brokers, both topics, and that no partition is stopped. Raises BusUnavailable with the cause."""
        await self._bus.check_topics([self._outbound, self._inbound])
        for (topic, partition), code in self._consumer.stopped.items():
            raise BusUnavailable(
                f"{topic}/{partition} is not read any more: its next offset no longer exists", code=code
            )
