"""The ceiling: select, one batch of the producer a partition, delete, written by hand and with no guarantee but order.

It knows nothing of refusals, other relays, outages or poisoned rows, and ends at the first error.
"""

import asyncio
import json
import time

import asyncpg
from aiokafka import AIOKafkaProducer
from aiokafka.partitioner import DefaultPartitioner

BATCH = 1000
SELECT = "select id, key, value, headers from outbox order by id limit $1"
DELETE = "delete from outbox where id = any($1::bigint[])"


async def raw_loop(dsn: str, bootstrap_servers: str, topic: str) -> tuple[float, float]:
    """Send the whole outbox to a topic; returns the seconds of the wall clock and of this process's CPU."""
    connection = await asyncpg.connect(dsn)
    producer = AIOKafkaProducer(bootstrap_servers=bootstrap_servers, acks="all", linger_ms=0, max_batch_size=2**20)
    begun, cpu = time.perf_counter(), time.process_time()
    await producer.start()
    try:
        partitions = sorted(await producer.partitions_for(topic))
        select, delete = await connection.prepare(SELECT), await connection.prepare(DELETE)
        while True:
            async with connection.transaction():
                if not (rows := await select.fetch(BATCH)):
                    return time.perf_counter() - begun, time.process_time() - cpu
                await _send(producer, topic, partitions, rows)
                await delete.fetch([row["id"] for row in rows])
    finally:
        await producer.stop()
        await connection.close()


async def _send(producer: AIOKafkaProducer, topic: str, partitions: list[int], rows: list[asyncpg.Record]) -> None:
    choose = DefaultPartitioner()
    batches = {}
    for row in rows:
        key = row["key"].encode()
        partition = choose(key, partitions, [])
        if partition not in batches:
            batches[partition] = producer.create_batch()
        headers = [(name, text.encode()) for name, text in json.loads(row["headers"]).items()]
        batches[partition].append(timestamp=None, key=key, value=row["value"], headers=headers)
    sent = []
    for partition, batch in batches.items():
        batch.close()
        sent.append(await producer.send_batch(batch, topic, partition=partition))
    await asyncio.gather(*sent)
