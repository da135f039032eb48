"""Publish copies of one trade event: ``python -m bench.publisher BOOTSTRAP TOPIC FILE COUNT RATE PREFIX`` (0: no limit)."""

from __future__ import annotations

import asyncio
import json
import sys
import time
from pathlib import Path

from aiokafka import AIOKafkaProducer


async def publish(bootstrap: str, topic: str, event: dict[str, object], count: int, rate: float, prefix: str) -> None:
    """Publish ``count`` events under their own trade and event identifiers, ``rate`` a second."""
    producer = AIOKafkaProducer(bootstrap_servers=bootstrap, enable_idempotence=False, linger_ms=2)
    await producer.start()
    started = time.perf_counter()
    try:
        for number in range(count):
            trade = f"{prefix}-{number}"
            value = {**event, "event_id": f"E-{trade}", "trade_id": trade}
            await producer.send(topic, json.dumps(value).encode(), key=trade.encode())
            if rate and (ahead := (number + 1) / rate - (time.perf_counter() - started)) > 0.005:
                await asyncio.sleep(ahead)
    finally:
        await producer.stop()


if __name__ == "__main__":
    bootstrap, topic, file, count, rate, prefix = sys.argv[1:7]
    asyncio.run(publish(bootstrap, topic, json.loads(Path(file).read_bytes()), int(count), float(rate), prefix))
