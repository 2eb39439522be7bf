"""`python -m tools.bench_relay`: how fast the relay sends, and how fast with rows before them that Kafka refuses.

The two take turns on one Apache Kafka and one PostgreSQL, so that a busy moment of the machine meets both.
"""

import asyncio
import logging
import statistics
import sys
import time
from collections.abc import Sequence
from contextlib import AsyncExitStack
from typing import Annotated
from uuid import uuid4

import anyio
import sqlalchemy as sa
import structlog
import typer
from backing_services.kafka import ApacheKafka, KafkaError
from backing_services.kafka.apache import why_unavailable
from backing_services.kafka.cluster import administration_client
from backing_services.postgres import EmbeddedPostgres
from backing_services.waiting import eventually
from confluent_kafka.admin import NewTopic  # type: ignore[attr-defined]  # not declared
from outboxed._wakeups import Wakeup
from outboxed.relay import Relay
from outboxed.settings import KafkaSettings, parse_bootstrap_servers
from outboxed.storage import create_engine, tables
from rich.console import Console
from rich.table import Table
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

PARTITIONS = 4
LIMIT = 16_500
"""Bytes that the topic takes (`max.message.bytes`)."""
REFUSED, ORDINARY = b"x" * 17_000, b"x" * 300
HEADERS = {"ce_type": "order.placed.v1", "ce_id": "0f0e7a3c-53c6-4c3e-8a51-6f6a7c2f9d10", "ce_source": "/orders"}
WARM_UP = 1
AT_LEAST = 95.0
"""Per cent of their rate that other rows must keep."""
CHUNK = 500
TURN_SECONDS = 120.0


def main(
    rows: Annotated[int, typer.Option(min=1000, help="Ordinary rows of a turn.")] = 20_000,
    refused: Annotated[int, typer.Option(min=1, help="Rows before them that Kafka refuses.")] = 150,
    rounds: Annotated[int, typer.Option(min=1)] = 5,
) -> None:
    """Exit with 1 if the other rows keep less than 95 % of their rate, with 2 without Apache Kafka."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    if why := why_unavailable():
        print(f"relay: {why}", file=sys.stderr)
        sys.exit(2)
    try:
        alone, behind = asyncio.run(measured(rows, refused, rounds))
    except KafkaError as error:
        print(f"relay: {error}", file=sys.stderr)
        sys.exit(2)
    table = Table("rows", "rows/s", "slowest turn", "CPU of the relay, µs a row")
    for name, turns in ((f"{rows:,} alone", alone), (f"{rows:,} behind {refused} that Kafka refuses", behind)):
        rates = [rows / seconds for seconds, _ in turns]
        spent = statistics.median(cpu / rows * 1e6 for _, cpu in turns)
        table.add_row(name, f"{statistics.median(rates):,.0f}", f"{min(rates):,.0f}", f"{spent:.0f}")
    Console().print(table)
    kept = (
        100 * statistics.median(seconds for seconds, _ in alone) / statistics.median(seconds for seconds, _ in behind)
    )
    print(
        f"relay: others keep {kept:.0f} % of their rate behind {refused} rows that Kafka refuses, "
        f"at least {AT_LEAST:.0f} %"
    )
    sys.exit(kept < AT_LEAST)


Turn = tuple[float, float]
"""Seconds of the wall clock, and of this process's CPU."""


async def measured(rows: int, refused: int, rounds: int) -> tuple[list[Turn], list[Turn]]:
    """The turns without and with refused rows."""
    alone, behind = [], []
    async with AsyncExitStack() as stack:
        postgres = stack.enter_context(EmbeddedPostgres())
        kafka = stack.enter_context(ApacheKafka())
        await postgres.create_database("relay")
        engine = create_engine(postgres.url("relay"), application_name="bench")
        stack.push_async_callback(engine.dispose)
        async with engine.begin() as connection:
            await connection.run_sync(tables.metadata.create_all)
        for number in range(WARM_UP + rounds):
            turns = [await _turn(engine, kafka, rows, refused=0), await _turn(engine, kafka, rows, refused=refused)]
            if number >= WARM_UP:
                alone.append(turns[0])
                behind.append(turns[1])
    return alone, behind


async def _turn(engine: AsyncEngine, kafka: ApacheKafka, rows: int, *, refused: int) -> Turn:
    topic = f"bench-{uuid4().hex[:8]}"
    await asyncio.to_thread(_create, kafka, topic)
    async with engine.begin() as connection:
        await connection.execute(sa.text("truncate outbox, dead_letters"))
        await _insert(connection, topic, [REFUSED] * refused)
        await _insert(connection, topic, [ORDINARY] * rows)
    relay, stop = (
        Relay(engine, KafkaSettings(parse_bootstrap_servers(kafka.bootstrap_servers)), Wakeup()),
        anyio.Event(),
    )
    begun, cpu = time.perf_counter(), time.process_time()
    running = asyncio.create_task(relay.run(stop))
    await eventually(lambda: _are_sent(engine), within=TURN_SECONDS, every=0.02)
    turn = time.perf_counter() - begun, time.process_time() - cpu
    stop.set()
    await running
    return turn


def _create(kafka: ApacheKafka, topic: str) -> None:
    narrow = NewTopic(topic, PARTITIONS, 1, config={"max.message.bytes": str(LIMIT)})
    client = administration_client(kafka.bootstrap_servers)
    for created in client.create_topics([narrow]).values():
        created.result()


async def _insert(connection: AsyncConnection, topic: str, values: Sequence[bytes]) -> None:
    made = [{"topic": topic, "key": str(uuid4()), "value": value, "headers": HEADERS} for value in values]
    for first in range(0, len(made), CHUNK):
        await connection.execute(sa.insert(tables.outbox), made[first : first + CHUNK])


async def _are_sent(engine: AsyncEngine) -> bool:
    ordinary = sa.exists().where(sa.func.length(tables.outbox.c.value) == len(ORDINARY))
    async with engine.connect() as connection:
        return not (await connection.execute(sa.select(ordinary))).scalar_one()


if __name__ == "__main__":
    typer.run(main)
