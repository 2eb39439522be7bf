"""The ceiling: getmany, one statement for the inbox, one for the rows, one commit of offsets, written by hand.

It validates nothing, knows of no refused event and of no rebalance, logs nothing, and ends at the first error.
"""

import json
import logging

import uvloop
from aiokafka import AIOKafkaConsumer
from backing_services.postgres import connected

from tools.measuring.turns import Turn, Watch

BATCH = 100
"""As many as a batch of outboxed has."""
INBOX = """
insert into inbox (event_id, source) select * from unnest($1::text[], $2::text[]) order by 1
on conflict do nothing returning event_id
"""
ROWS = "insert into order_notifications (id, version, notifications) select unnest($1::uuid[]), 1, $2"
NOTIFICATIONS = json.dumps([{"kind": "refund", "status": "pending", "message_id": None, "sent_at": None}])


def consume(url: str, bootstrap_servers: str, topic: str, group: str, events: int) -> Turn:
    """Handle what the topic has, in a new process."""
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)  # a new cluster has no coordinator for a moment
    return uvloop.run(_consumed(url, bootstrap_servers, topic, group, events))


async def _consumed(url: str, bootstrap_servers: str, topic: str, group: str, events: int) -> Turn:
    watch, handled = Watch(), 0
    consumer = AIOKafkaConsumer(
        topic,
        bootstrap_servers=bootstrap_servers,
        group_id=group,
        enable_auto_commit=False,
        auto_offset_reset="earliest",
    )
    async with connected(url) as connection, consumer:
        inbox, rows = await connection.prepare(INBOX), await connection.prepare(ROWS)
        while handled < events:
            fetched = await consumer.getmany(timeout_ms=1000, max_records=BATCH)
            records = [record for of_partition in fetched.values() for record in of_partition]
            if not records:
                continue
            headers = [dict(record.headers) for record in records]
            ids = [each["ce_id"].decode() for each in headers]
            async with connection.transaction():
                new = {row[0] for row in await inbox.fetch(ids, [each["ce_source"].decode() for each in headers])}
                values = [json.loads(record.value) for record, key in zip(records, ids, strict=True) if key in new]
                await rows.fetch([value["order_id"] for value in values], NOTIFICATIONS)
            await consumer.commit()
            handled += len(records)
        return watch.turn(events)
