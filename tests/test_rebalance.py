"""Two gateways on one PostgreSQL and real Kafka, joining and leaving under load, one of them killed."""

from __future__ import annotations

import asyncio
import itertools
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from gateway.model.connections import KafkaSettings
from gateway.store import Ledger, tables
from tests.conftest import Broker
from tests.full_path import COUNTERPARTIES, FullPath

pytestmark = [pytest.mark.backend, pytest.mark.slow, pytest.mark.crash]


async def test_gateways_join_leave_and_die_under_load(kafka: Broker, postgres_database: str, tmp_path: Path) -> None:
    path = FullPath(tmp_path, KafkaSettings(bootstrap_servers=kafka.bootstrap_servers), postgres_database)
    numbers = itertools.count()
    async with path:
        first = path.start_gateway("first")
        await asyncio.to_thread(first.await_ready)
        await path.publish(itertools.islice(numbers, 60))
        second = path.start_gateway("second")
        load = asyncio.create_task(path.publish(itertools.islice(numbers, 240), a_second=40))
        await asyncio.to_thread(second.await_ready)
        first.kill()  # its partitions and its channels' leases must be taken over
        third = path.start_gateway("third")
        await asyncio.to_thread(third.await_ready)
        await load
        load = asyncio.create_task(path.publish(itertools.islice(numbers, 100), a_second=50))
        assert second.stop() == 0  # an orderly leave, under load
        await load
        await path.settle_down(120)
        books = await path.judge()
        print(books)
        assert third.stop() == 0
        ledger = await Ledger.open(path.url)
        try:
            attempts = await ledger.query(_attempts)
            leases = await ledger.query(lambda c: c.execute(select(tables.lease)).mappings().all())
        finally:
            await ledger.close()
    assert books["trades"] == 400
    for bic in COUNTERPARTIES:
        epochs = [row for row in attempts if row["channel"] == bic]
        lease = next(row for row in leases if row["channel"] == bic)
        assert lease["epoch"] > 1, "the lease was never taken over"
        _assert_one_holder_at_a_time(epochs)


def _attempts(connection: Any) -> list[Any]:
    attempt, outbox = tables.attempt, tables.outbox
    query = (
        select(outbox.c.channel, attempt.c.epoch, attempt.c.started_at, attempt.c.ended_at, attempt.c.document_id)
        .join(outbox, outbox.c.document_id == attempt.c.document_id)
        .order_by(attempt.c.started_at, attempt.c.document_id)
    )
    return list(connection.execute(query).mappings())


def _assert_one_holder_at_a_time(attempts: list[Any]) -> None:
    """Every attempt of an epoch began before any of the next one: two processes never sent on a channel in turns."""
    assert [row["epoch"] for row in attempts] == sorted(row["epoch"] for row in attempts)
