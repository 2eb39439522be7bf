"""`python -m tools.bench_backlog`: what a step costs with a thousand rows in each table, and with a million.

And what the relay's reading costs while somebody holds a transaction open, so that no vacuum removes what was sent.
"""

import asyncio
import logging
import statistics
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import timedelta
from typing import Annotated
from uuid import uuid4

import sqlalchemy as sa
import structlog
import typer
from backing_services.kafka import ApacheKafka
from backing_services.kafka.apache import why_unavailable
from backing_services.postgres import EmbeddedPostgres
from outboxed._wakeups import Wakeup
from outboxed.messages import EventIdentity
from outboxed.process import Metrics
from outboxed.relay import Relay
from outboxed.relay._rows import Rows
from outboxed.settings import KafkaSettings, parse_bootstrap_servers
from outboxed.storage import Clock, create_engine, tables
from outboxed.storage._inbox import SqlInbox
from outboxed.tasks import SqlTaskQueue
from rich.console import Console
from rich.table import Table
from sqlalchemy.ext.asyncio import AsyncEngine

from tools.measuring.unmeasured import one_line_for_a_person

TOPIC, PARTITIONS, KIND = "bench", 4, "call"
SMALLEST = 1_000
AT_MOST, AT_MOST_HELD = 1.3, 2.0
TIMES = 30
FILL = (
    "truncate outbox, inbox, tasks, dead_letters",
    """
    insert into outbox (topic, key, value, headers)
    select 'bench', gen_random_uuid(), convert_to(repeat('x', 300), 'UTF8'),
           jsonb_build_object('ce_type', 'order.placed.v1', 'ce_id', gen_random_uuid(), 'ce_source', '/orders')
    from generate_series(1, {rows})
    """,
    "insert into inbox (event_id, source) select gen_random_uuid(), '/orders' from generate_series(1, {rows})",
    """
    insert into tasks (kind, key, task_group, payload, due_at, first_due_at)
    select 'call', n, n, '{{}}', now() - n * interval '1 ms', now() - n * interval '1 ms'
    from generate_series(1, {rows}) n
    """,
)
TABLES = ("outbox", "inbox", "tasks", "dead_letters")
STEPS = ("relay, a row", "inbox, a hundred events", "claim of 16", "/metrics")


def main(
    largest: Annotated[int, typer.Option(min=10_000, help="Rows of each table, at the most.")] = 1_000_000,
    held: Annotated[int, typer.Option(min=10_000, help="Rows that are sent while a snapshot is held.")] = 240_000,
) -> None:
    """Exit with 1 if a ratio of the last line is too high, with 2 without Apache Kafka."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    if why := why_unavailable():
        print(f"backlog: {why}", file=sys.stderr)
        sys.exit(2)
    with one_line_for_a_person("backlog"):
        measures, (before, after) = asyncio.run(measured(largest, held))
    table = Table("ms", *(f"{rows:,} rows" for rows in measures))
    for step in STEPS:
        table.add_row(step, *(f"{seconds[step] * 1000:.3f}" for seconds in measures.values()))
    Console().print(table)
    ratios = {step: measures[largest][step] / measures[SMALLEST][step] for step in STEPS}
    print(
        f"the relay's reading: {before * 1000:.2f} ms, and {after * 1000:.2f} ms after {held:,} rows under a snapshot"
    )
    told = ", ".join(f"{step} {ratio:.2f}" for step, ratio in ratios.items())
    print(
        f"backlog: {largest:,} rows cost times {SMALLEST:,}: {told}; at most {AT_MOST}; "
        f"a held snapshot {after / before:.2f}, at most {AT_MOST_HELD}"
    )
    sys.exit(max(ratios.values()) > AT_MOST or after / before > AT_MOST_HELD)


async def measured(largest: int, held: int) -> tuple[dict[int, dict[str, float]], tuple[float, float]]:
    """Seconds of each step by the number of rows; and of the relay's reading before and under a held snapshot."""
    async with AsyncExitStack() as stack:
        postgres = stack.enter_context(EmbeddedPostgres())
        kafka = stack.enter_context(ApacheKafka())
        await postgres.create_database("backlog")
        await kafka.create_topics({TOPIC: PARTITIONS})
        engine = create_engine(postgres.url("backlog"), application_name="bench", command_timeout=600)
        stack.push_async_callback(engine.dispose)
        async with engine.begin() as connection:
            await connection.run_sync(tables.metadata.create_all)
        settings = KafkaSettings(parse_bootstrap_servers(kafka.bootstrap_servers))
        measures = {}
        for rows in (SMALLEST, SMALLEST * 100, largest):
            if rows <= largest:
                await _fill(engine, rows)
                measures[rows] = await _steps(engine, settings)
        return measures, await _under_a_snapshot(engine, settings, held)


async def _fill(engine: AsyncEngine, rows: int) -> None:
    async with engine.begin() as connection:
        await connection.execute(sa.text("set local statement_timeout = 0"))
        for statement in FILL:
            await connection.exec_driver_sql(statement.format(rows=rows))
    await _vacuum(engine)


async def _vacuum(engine: AsyncEngine) -> None:
    """Also what a vacuum would do by itself a little later, so that it doesn't happen within a measurement."""
    async with engine.connect() as connection:
        alone = await connection.execution_options(isolation_level="AUTOCOMMIT")
        await alone.exec_driver_sql("set statement_timeout = 0")
        await alone.exec_driver_sql(f"vacuum (analyze) {', '.join(TABLES)}")
        await alone.exec_driver_sql("checkpoint")
        await alone.exec_driver_sql("reset statement_timeout")


async def _steps(engine: AsyncEngine, settings: KafkaSettings) -> dict[str, float]:
    clock = Clock()
    queue, metrics = SqlTaskQueue(engine, clock), Metrics(clock)

    async def handle() -> None:
        async with engine.begin() as connection:
            await SqlInbox(connection, clock).insert([EventIdentity("/orders", str(uuid4())) for _ in range(100)])

    async def claim() -> None:
        await queue.claim(KIND, limit=16, lease=timedelta(minutes=5))

    async def scrape() -> None:
        await metrics.scrape(engine, task_kinds=[KIND])

    seconds = {name: await _median(step) for name, step in zip(STEPS[1:], (handle, claim, scrape), strict=True)}
    return {STEPS[0]: await _a_row(engine, settings), **seconds}


async def _median(step: Callable[[], Awaitable[object]]) -> float:
    seconds = []
    for _ in range(TIMES):
        begun = time.perf_counter()
        await step()
        seconds.append(time.perf_counter() - begun)
    return statistics.median(seconds[1:])


@asynccontextmanager
async def _relay(engine: AsyncEngine, settings: KafkaSettings) -> AsyncIterator[Relay]:
    relay = Relay(engine, settings, Wakeup())
    try:
        yield relay
    finally:
        await relay._producer.abandon()  # noqa: SLF001 - what run() does at its end


async def _a_row(engine: AsyncEngine, settings: KafkaSettings) -> float:
    """Of passes whose rows are put back at the end of the backlog; the first one connects."""
    seconds = []
    async with _relay(engine, settings) as relay:
        for _ in range(TIMES // 2):
            begun = time.perf_counter()
            sent = await relay.send_once()
            seconds.append((time.perf_counter() - begun) / sent)
            await _append(engine, sent)
    return statistics.median(seconds[1:])


async def _append(engine: AsyncEngine, rows: int) -> None:
    async with engine.begin() as connection:
        await connection.exec_driver_sql(FILL[1].format(rows=rows))


async def _under_a_snapshot(engine: AsyncEngine, settings: KafkaSettings, held: int) -> tuple[float, float]:
    await _fill(engine, SMALLEST)
    async with _relay(engine, settings) as relay:
        await _sent(relay, SMALLEST)
        before = await _median(lambda: _look(engine, relay))
        async with engine.connect() as connection:
            stranger = await connection.execution_options(isolation_level="REPEATABLE READ")
            await stranger.exec_driver_sql("set local idle_in_transaction_session_timeout = 0")
            await stranger.exec_driver_sql("select from outbox limit 1")
            for _ in range(0, held, SMALLEST * 10):
                await _append(engine, SMALLEST * 10)
                await _sent(relay, SMALLEST * 10)
            after = await _median(lambda: _look(engine, relay))
    return before, after


async def _sent(relay: Relay, rows: int) -> None:
    sent = 0
    while sent < rows:
        sent += await relay.send_once()


async def _look(engine: AsyncEngine, relay: Relay) -> None:
    async with engine.connect() as connection:
        await Rows().free(connection, 100, above=relay._begin_reading())  # noqa: SLF001 - the step that is measured


if __name__ == "__main__":
    typer.run(main)
