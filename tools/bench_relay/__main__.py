"""`python -m tools.bench_relay`: what a row costs beside a loop by hand, and the rate behind rows that Kafka refuses.

All take turns on one Apache Kafka and one PostgreSQL, so that a busy moment of the machine meets all of them.
"""

import asyncio
import logging
import sys
import time
from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import astuple, dataclass
from statistics import median
from typing import Annotated
from uuid import uuid4

import sqlalchemy as sa
import structlog
import typer
import uvloop
from backing_services.kafka import ApacheKafka
from backing_services.kafka.apache import why_unavailable
from backing_services.kafka.cluster import administration_client
from backing_services.postgres import EmbeddedPostgres
from confluent_kafka.admin import NewTopic  # type: ignore[attr-defined]  # not declared
from outboxed._wakeups import Wakeup
from outboxed.process._roles import give_large_blocks_back, leave_to_itself_what_stays
from outboxed.relay import Relay
from outboxed.settings import KafkaSettings, parse_bootstrap_servers
from outboxed.storage import create_engine, tables
from rich.console import Console
from rich.table import Table
from sqlalchemy.ext.asyncio import AsyncEngine

from tools.bench_relay.raw import raw_loop
from tools.measuring.unmeasured import one_line_for_a_person

PARTITIONS = 4
LIMIT = 16_500
"""Bytes that the topic takes (`max.message.bytes`)."""
REFUSED, ORDINARY = 65_000, 300
"""Bytes. By halves the relay comes from either to batches of 16,000, so that both kinds of turns have the same ones."""
INSERT = """
    insert into outbox (topic, key, value, headers)
    select :topic, gen_random_uuid(), convert_to(repeat('x', :size), 'UTF8'),
           jsonb_build_object('ce_type', 'order.placed.v1', 'ce_id', gen_random_uuid(), 'ce_source', '/orders')
    from generate_series(1, :rows)
"""
WARM_UP = 1
AT_MOST = 1.3
"""Times the CPU of a loop by hand."""
AT_LEAST = 85.0
"""Per cent of their rate that other rows must keep, from the first of them on: the median of the rounds. The relay
gives refused rows a twentieth of its time; the rest is the machine, on which two turns differ by a tenth."""
TURN_SECONDS = 120.0
BY_HAND, RELAY = "a loop by hand", "the relay"
NARROW, BEHIND = "the relay, small batches", "the relay, small batches, behind refused rows"


def main(
    rows: Annotated[int, typer.Option(min=1000, help="Ordinary rows of a turn.")] = 60_000,
    refused: Annotated[int, typer.Option(min=1, help="Rows before them that Kafka refuses.")] = 150,
    rounds: Annotated[int, typer.Option(min=1)] = 5,
) -> None:
    """Exit with 1 if a claim of the last line doesn't hold, with 2 without Apache Kafka."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    if why := why_unavailable():
        print(f"relay: {why}", file=sys.stderr)
        sys.exit(2)
    give_large_blocks_back()  # as a process of a service does
    leave_to_itself_what_stays()
    with one_line_for_a_person("relay"):
        turns = uvloop.run(measured(rows, refused, rounds))
    table = Table("", "rows/s", "slowest turn", "CPU of the process, µs a row", "ms to the first row", "rows/s from it")
    middle = {name: _middle(measures) for name, measures in turns.items()}
    for name, turn in middle.items():
        slowest = min(rows / each.seconds for each in turns[name])
        of_relays = (f"{1000 * turn.before:,.0f}", f"{turn.rate:,.0f}") if name != BY_HAND else ()
        table.add_row(
            name, f"{rows / turn.seconds:,.0f}", f"{slowest:,.0f}", f"{turn.cpu / rows * 1e6:.1f}", *of_relays
        )
    Console().print(table)
    ratio = middle[RELAY].cpu / middle[BY_HAND].cpu
    pairs = zip(turns[BEHIND], turns[NARROW], strict=True)
    kept = 100 * median(behind.rate / alone.rate for behind, alone in pairs)
    waited = middle[BEHIND].before - middle[NARROW].before
    print(
        f"relay: {rows / middle[RELAY].seconds:,.0f} rows/s at {ratio:.2f} times the CPU of a loop by hand, "
        f"at most {AT_MOST}; others wait {1000 * waited:.0f} ms for {refused} rows that Kafka refuses, and keep "
        f"{kept:.0f} % of their rate then, at least {AT_LEAST:.0f} %"
    )
    sys.exit(ratio > AT_MOST or kept < AT_LEAST)


@dataclass(frozen=True)
class Turn:
    """Seconds of the wall clock, and of this process's CPU; of a relay also until the first row that Kafka took."""

    seconds: float
    cpu: float
    before: float = 0.0
    rate: float = 0.0
    """Rows a second from then on."""


def _middle(turns: Sequence[Turn]) -> Turn:
    """The median of each figure."""
    return Turn(*map(median, zip(*map(astuple, turns), strict=True)))


async def measured(rows: int, refused: int, rounds: int) -> dict[str, list[Turn]]:
    """The turns of each kind, after a first one that doesn't count."""
    turns: dict[str, list[Turn]] = {BY_HAND: [], RELAY: [], NARROW: [], BEHIND: []}
    async with AsyncExitStack() as stack:
        postgres = stack.enter_context(EmbeddedPostgres())
        kafka = stack.enter_context(ApacheKafka())
        await postgres.create_database("relay")
        engine = create_engine(postgres.url("relay"), application_name="bench")
        stack.push_async_callback(engine.dispose)
        async with engine.begin() as connection:
            await connection.run_sync(tables.metadata.create_all)
        for number in range(WARM_UP + rounds):
            for kind, measures in turns.items():
                topic = f"bench-{uuid4().hex[:8]}"
                await asyncio.to_thread(_create, kafka, topic, narrow=kind in {NARROW, BEHIND})
                await _fill(engine, topic, rows, refused=refused if kind == BEHIND else 0)
                if kind == BY_HAND:
                    dsn = engine.url.set(drivername="postgresql").render_as_string(hide_password=False)
                    turn = Turn(*await raw_loop(dsn, kafka.bootstrap_servers, topic))
                else:
                    turn = await _relayed(engine, kafka, rows)
                if number >= WARM_UP:
                    measures.append(turn)
    return turns


async def _fill(engine: AsyncEngine, topic: str, rows: int, *, refused: int) -> None:
    async with engine.begin() as connection:
        await connection.execute(sa.text("truncate outbox, dead_letters"))
        for size, number in ((REFUSED, refused), (ORDINARY, rows)):
            await connection.execute(sa.text(INSERT), {"topic": topic, "size": size, "rows": number})
    async with engine.begin() as connection:
        await connection.execute(sa.text("analyze outbox"))


async def _relayed(engine: AsyncEngine, kafka: ApacheKafka, rows: int) -> Turn:
    """Until Kafka has all ordinary rows; of the others it takes none."""
    relay = Relay(engine, KafkaSettings(parse_bootstrap_servers(kafka.bootstrap_servers)), Wakeup())
    begun, cpu, sent = time.perf_counter(), time.process_time(), 0
    try:
        async with asyncio.timeout(TURN_SECONDS):
            while not sent:
                sent += await relay.send_once()
            first, left = time.perf_counter(), rows - sent
            while sent < rows:
                sent += await relay.send_once()
        ended = time.perf_counter()
        return Turn(ended - begun, time.process_time() - cpu, first - begun, left / (ended - first))
    finally:
        await relay._producer.abandon()  # noqa: SLF001 - what run() does at its end


def _create(kafka: ApacheKafka, topic: str, *, narrow: bool) -> None:
    config = {"max.message.bytes": str(LIMIT)} if narrow else {}
    client = administration_client(kafka.bootstrap_servers)
    for created in client.create_topics([NewTopic(topic, PARTITIONS, 1, config=config)]).values():
        created.result()


if __name__ == "__main__":
    typer.run(main)
