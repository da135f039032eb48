"""The running gateway is killed at random moments and at every labelled point; afterwards three books agree.

Five kills by default; with ``GATEWAY_TEST_FULL=1`` every point, and fifty kills over a few thousand trades a store.
"""

from __future__ import annotations

import asyncio
import itertools
import os
import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway.checkpoints import POINTS
from gateway.model.connections import KafkaSettings
from gateway.store import Ledger
from tests.conftest import Broker
from tests.full_path import FullPath

pytestmark = [pytest.mark.crash, pytest.mark.slow]

FULL = os.environ.get("GATEWAY_TEST_FULL") == "1"
TRADES = 2400 if FULL else 240
KILLS = 52 if FULL else 5
SEED = int(os.environ.get("GATEWAY_TEST_SEED", "20261122"))


async def kill_and_judge(path: FullPath, kills: int, trades: int) -> dict[str, int]:
    """Publish trades while the gateway is killed and started again; then hold the books against each other."""
    chance = random.Random(SEED)
    # Each labelled point in turn, at a random passage, then random moments; shuffled, the points first where few kills.
    labelled = [f"{point}:{chance.randint(1, 2)}" for point in POINTS]
    chance.shuffle(labelled)
    plan = (labelled + [""] * kills)[:kills] if kills >= len(POINTS) else [*labelled[: kills - 1], ""]
    numbers = itertools.count()
    async with path:
        for number, point in enumerate(plan):
            gateway = path.start_gateway(f"kill{number}", kill_at=point)
            if not point:
                await asyncio.to_thread(gateway.await_ready)
            moment = chance.uniform(0.05, 1.5)
            trickle = asyncio.create_task(_trickle(path, numbers, trades // kills))
            try:
                if point:
                    died = await asyncio.to_thread(gateway.await_death, 60)
                    assert died, f"the gateway never passed {point}"
                else:
                    await asyncio.to_thread(_outlast, gateway.process, moment)
                    gateway.kill()
            finally:
                trickle.cancel()
                await asyncio.gather(trickle, return_exceptions=True)
        last = path.start_gateway("last")
        await path.publish(itertools.islice(numbers, max(trades - len(path.published), 10)))
        await path.settle_down(60 + trades / 20)
        books = await path.judge()
        assert last.stop() == 0
        ledger = await Ledger.open(path.url, exclusive=False)
        assert all(right for _, right in (await ledger.durability()).values())
        await ledger.close()
    return books


async def _trickle(path: FullPath, numbers: Iterator[int], share: int) -> None:
    """Publish a share of the trades in handfuls, and then more and more slowly, until cancelled between two of them."""
    sent = 0
    while True:
        # Shielded: a handful that has begun is published whole, so that the publisher's list is true.
        await asyncio.shield(path.publish(itertools.islice(numbers, 8)))
        sent += 8
        await asyncio.sleep(0.1 if sent < share else 0.5)


def _outlast(process: object, seconds: float) -> None:
    """Let the gateway work for a while: the random moment of the kill is the test's input, not its synchronisation."""
    import subprocess

    assert isinstance(process, subprocess.Popen)
    try:
        process.wait(timeout=seconds)
    except subprocess.TimeoutExpired:
        return
    raise AssertionError("the gateway ended by itself")


async def test_killed_gateway_loses_and_doubles_nothing_on_sqlite(embedded_broker: Broker, tmp_path: Path) -> None:
    kafka = KafkaSettings(bootstrap_servers=embedded_broker.bootstrap_servers)
    path = FullPath(tmp_path, kafka, f"sqlite:///{tmp_path}/ledger.db")
    books = await kill_and_judge(path, KILLS, TRADES)
    print(books)
    assert books["trades"] >= TRADES


@pytest.mark.backend
async def test_killed_gateway_loses_and_doubles_nothing_on_postgresql(
    kafka: Broker, postgres_database: str, tmp_path: Path
) -> None:
    path = FullPath(tmp_path, KafkaSettings(bootstrap_servers=kafka.bootstrap_servers), postgres_database)
    books = await kill_and_judge(path, KILLS, TRADES)
    print(books)
    assert books["trades"] >= TRADES
