"""Publication: every status and exception reaches upstream at least once, in order per trade, whatever happens."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
from structlog.testing import capture_logs

from gateway.bus import Bus, KafkaSettings
from gateway.embedded import EmbeddedBroker
from gateway.publication import Publication
from gateway.store import tables
from tests.conftest import Broker, unique
from tests.loops import ACCEPTED, MATCHED, Loops, Pacing, instruct, settings_for, status


class Upstream:
    """The topics that upstream reads, and the loop that writes them."""

    def __init__(self, loops: Loops, kafka: KafkaSettings) -> None:
        self.loops = loops
        self.names = {"settlement_status": unique("status"), "exceptions": unique("exceptions")}
        self.kafka = kafka.model_copy(update={"topics": kafka.topics.model_copy(update=self.names)})

    def publication(self, bus: Bus) -> Publication:
        settings = settings_for("sqlite:///unused", kafka=self.kafka.model_dump())
        return Publication(self.loops.ledger, bus, settings, Pacing(self.loops.time), self.loops.time)

    async def publish(self, bus: Bus) -> int:
        """Publish until nothing is left; returns how many events were sent."""
        publication, sent = self.publication(bus), 0
        while count := await publication.publish_waiting(limit=7):
            sent += count
        return sent

    async def read(self, bus: Bus, topic: str) -> list[tuple[str, dict[str, Any]]]:
        """Read a whole topic: key and content."""
        found: list[tuple[str, dict[str, Any]]] = []
        async with bus.consumer([self.names[topic]], unique("upstream"), assigned=True) as consumer:
            quiet = 0
            while quiet < 2:
                records = await consumer.poll(max_records=1000, idle_ms=400)
                quiet = 0 if records else quiet + 1
                found += [((record.key or b"").decode(), json.loads(record.value)) for record in records]
        return found


@pytest.fixture
async def upstream(loops: Loops, embedded_broker: Broker) -> Upstream:
    upstream = Upstream(loops, embedded_broker.settings())
    async with Bus(upstream.kafka) as bus:
        await bus.ensure_topics(upstream.names.values(), 3)
    return upstream


async def busy(loops: Loops, trades: int = 12) -> None:
    """Give every trade three statuses, and park one event."""
    await loops.take_in(*(instruct(f"T{number}") for number in range(trades)), instruct("BAD", isin="X"))
    await loops.send()
    replies = []
    for number in range(trades):
        key = loops.arrived()[number].key
        replies += [
            status(ACCEPTED, key, identifier=f"A{number}"),
            status(MATCHED, key, identifier=f"M{number}"),
        ]
    await loops.hear(*replies)


async def test_every_status_reaches_upstream_keyed_by_trade_and_in_order_per_trade(upstream: Upstream) -> None:
    await busy(upstream.loops)
    async with Bus(upstream.kafka) as bus:
        assert await upstream.publish(bus) == 37
        assert await upstream.publish(bus) == 0
        heard = await upstream.read(bus, "settlement_status")
    assert len(heard) == 36
    by_trade: dict[str, list[dict[str, Any]]] = {}
    for key, event in heard:
        assert key == event["trade_id"]
        by_trade.setdefault(key, []).append(event)
    for events in by_trade.values():
        assert [event["headline"] for event in events] == ["sent", "accepted", "matched"]
        assert [event["sequence"] for event in events] == sorted(event["sequence"] for event in events)
    assert {event["schema"] for _, event in heard} == {"settlement_status/1"}


async def test_a_parked_item_reaches_the_exceptions_topic_with_its_violations(upstream: Upstream) -> None:
    await busy(upstream.loops, 1)
    async with Bus(upstream.kafka) as bus:
        await upstream.publish(bus)
        [(key, event)] = await upstream.read(bus, "exceptions")
    assert (key, event["schema"], event["stage"]) == ("BAD", "exception/1", "event")
    assert event["status_id"] == f"parked-{event['parked_id']}"
    assert event["violations"][0]["path"] == "isin"


async def test_a_crash_between_send_and_mark_repeats_the_same_status_identifiers(upstream: Upstream) -> None:
    await busy(upstream.loops, 3)
    write = upstream.loops.ledger.write

    async def crash(*_: object, **__: object) -> None:
        raise asyncio.CancelledError

    async with Bus(upstream.kafka) as bus:
        upstream.loops.ledger.write = crash  # type: ignore[method-assign, assignment]
        with pytest.raises(asyncio.CancelledError):
            await upstream.publication(bus).publish_waiting()
        upstream.loops.ledger.write = write  # type: ignore[method-assign]
        await upstream.publish(bus)
        heard = [event for _, event in await upstream.read(bus, "settlement_status")]
    by_status: dict[str, list[dict[str, Any]]] = {}
    for event in heard:
        by_status.setdefault(event["status_id"], []).append(event)
    assert {len(events) for events in by_status.values()} == {2}
    assert all(first == second for first, second in by_status.values())


async def test_while_the_broker_is_away_nothing_is_lost_and_order_is_kept(loops: Loops) -> None:
    with EmbeddedBroker() as running:
        settings = KafkaSettings(
            bootstrap_servers=running.bootstrap_servers,
            send_timeout_seconds=0.5,
            request_timeout_seconds=1,
            start_timeout_seconds=1,
            session_timeout_seconds=2,
            heartbeat_seconds=0.5,
        )
        upstream = Upstream(loops, settings)
        absent = settings.model_copy(update={"bootstrap_servers": "127.0.0.1:9"})
        async with Bus(settings) as bus:
            await bus.ensure_topics(upstream.names.values(), 1)
        await busy(loops, 2)
        async with Bus(absent) as bus:
            with capture_logs() as logs:
                assert await upstream.publication(bus).publish_waiting() == 0
        assert [line["event"] for line in logs if line["log_level"] == "warning"].count("publication.failing") == 1
        assert all(row["published_at"] is None for row in await loops.rows(tables.publication))
        async with Bus(settings) as bus:
            await upstream.publish(bus)
            heard = [event["headline"] for _, event in await upstream.read(bus, "settlement_status")]
    assert sorted(heard) == ["accepted"] * 2 + ["matched"] * 2 + ["sent"] * 2


async def test_a_topic_that_is_absent_does_not_keep_the_other_one_waiting(upstream: Upstream) -> None:
    await busy(upstream.loops, 2)
    short = upstream.kafka.model_copy(update={"send_timeout_seconds": 1.0})
    upstream.kafka = short.model_copy(
        update={"topics": short.topics.model_copy(update={"exceptions": unique("nowhere")})}
    )
    async with Bus(upstream.kafka) as bus:
        with capture_logs():
            await upstream.publication(bus).publish_waiting()
        assert len(await upstream.read(bus, "settlement_status")) == 6
    unpublished = [row["topic"] for row in await upstream.loops.rows(tables.publication) if not row["published_at"]]
    assert unpublished == ["exceptions"]
