"""Publish copies of the trade event: ``python -m bench.publisher BOOTSTRAP TOPIC COUNT RATE PREFIX BIC...``.

RATE is events a second, 0 for as fast as possible. Whole batches are handed to the client, so it costs little. It says
what processor time it took, in seconds.
"""

from __future__ import annotations

import asyncio
import sys
import time
from itertools import islice

from aiokafka import AIOKafkaProducer  # type: ignore[import-untyped]

from bench.material import events

_BATCH_BYTES = 1_000_000


async def send(producer: AIOKafkaProducer, topic: str, partition: int, messages: list[tuple[bytes, bytes]]) -> None:
    """Send keys and values to one partition, in as few requests as their size allows."""
    waiting = []
    batch = producer.create_batch()
    for key, value in messages:
        if batch.append(key=key, value=value, timestamp=None) is None:
            batch.close()
            waiting.append(await producer.send_batch(batch, topic, partition=partition))
            batch = producer.create_batch()
            batch.append(key=key, value=value, timestamp=None)
    batch.close()
    waiting.append(await producer.send_batch(batch, topic, partition=partition))
    await asyncio.gather(*waiting)


async def _publish(bootstrap: str, topic: str, count: int, rate: float, prefix: str, bics: tuple[str, ...]) -> None:
    producer = AIOKafkaProducer(bootstrap_servers=bootstrap, enable_idempotence=False, max_batch_size=_BATCH_BYTES)
    await producer.start()
    try:
        partitions = len(await producer.partitions_for(topic))
        left = events(count, prefix, bics)
        # At a rate, events leave one by one: a batch of them would wait for its own end.
        size = 500 if not rate else max(1, round(rate * 0.01))
        started, sent = time.perf_counter(), 0
        while chosen := [(str(sent + n).encode(), value) for n, value in enumerate(islice(left, size))]:
            by_partition = (chosen[number::partitions] for number in range(partitions))
            await asyncio.gather(
                *(send(producer, topic, number, part) for number, part in enumerate(by_partition) if part)
            )
            sent += len(chosen)
            if rate and (ahead := sent / rate - (time.perf_counter() - started)) > 0:
                await asyncio.sleep(ahead)
    finally:
        await producer.stop()


if __name__ == "__main__":
    bootstrap, topic, count, rate, prefix, *bics = sys.argv[1:]
    asyncio.run(_publish(bootstrap, topic, int(count), float(rate), prefix, tuple(bics)))
    print(time.process_time())
