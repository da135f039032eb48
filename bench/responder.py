"""A counterparty that costs as little as possible: it answers every instruction with one settlement confirmation.

``python -m bench.responder BOOTSTRAP INBOUND_TOPIC OUTBOUND_TOPIC BIC`` runs until it is ended. It reads nothing but
the transaction identification, and hands whole batches to the client.
"""

from __future__ import annotations

import asyncio
import re
import sys

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer  # type: ignore[import-untyped]

from bench import material
from bench.publisher import send

_TRANSACTION = re.compile(rb"<TxId>([^<]+)</TxId>")


async def _respond(bootstrap: str, inbound: str, outbound: str, bic: str) -> None:
    template = material.reply(material.CONFIRMATION, "@TX@", "R@TX@", bic)
    consumer = AIOKafkaConsumer(
        inbound, bootstrap_servers=bootstrap, fetch_max_wait_ms=20, auto_offset_reset="earliest"
    )
    producer = AIOKafkaProducer(bootstrap_servers=bootstrap, enable_idempotence=False, max_batch_size=1_000_000)
    await consumer.start()
    await producer.start()
    print("ready", flush=True)
    while True:
        found = await consumer.getmany(timeout_ms=200, max_records=1000)
        for partition, records in found.items():
            answers = []
            for record in records:
                named = _TRANSACTION.search(record.value)
                if named is not None:
                    answers.append((named[1], template.replace(b"@TX@", named[1])))
            if answers:
                await send(producer, outbound, partition.partition, answers)


if __name__ == "__main__":
    asyncio.run(_respond(*sys.argv[1:5]))
