"""A counterparty that costs as little as possible: it answers every instruction with one settlement confirmation.

``python -m bench.responder BOOTSTRAP INBOUND_TOPIC OUTBOUND_TOPIC TEMPLATE`` runs until it is ended. ``@TX@`` and ``@ID@``
in the template become the transaction identification and a business message identifier.
"""

from __future__ import annotations

import asyncio
import re
import sys
from pathlib import Path

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition

_TRANSACTION = re.compile(rb"<TxId>([^<]+)</TxId>")


async def respond(bootstrap: str, inbound: str, outbound: str, template: bytes) -> None:
    """Answer until cancelled; says ``ready`` when it listens."""
    consumer = AIOKafkaConsumer(bootstrap_servers=bootstrap, fetch_max_wait_ms=20)
    producer = AIOKafkaProducer(bootstrap_servers=bootstrap, enable_idempotence=False, linger_ms=2)
    await consumer.start()
    await producer.start()
    partitions = [TopicPartition(inbound, number) for number in consumer.partitions_for_topic(inbound) or {0}]
    consumer.assign(partitions)
    await consumer.seek_to_beginning()
    print("ready", flush=True)
    while True:
        found = await consumer.getmany(timeout_ms=200, max_records=500)
        for records in found.values():
            for record in records:
                named = _TRANSACTION.search(record.value)
                if named is None:
                    continue
                answer = template.replace(b"@TX@", named[1]).replace(b"@ID@", b"R" + named[1])
                await producer.send(outbound, answer, key=named[1])


if __name__ == "__main__":
    asyncio.run(respond(sys.argv[1], sys.argv[2], sys.argv[3], Path(sys.argv[4]).read_bytes()))
