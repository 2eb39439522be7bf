"""`python -m tools.bench_backlog`: what a step costs with a thousand rows in each table, and with a million.

And what the relay's reading costs while somebody holds a transaction open, so that no vacuum removes what was sent.
"""

import asyncio
import logging
import statistics
import sys
import time
from collections import defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Annotated, NamedTuple, TypeVar

import sqlalchemy as sa
import structlog
import typer
from backing_services.kafka import ApacheKafka
from backing_services.kafka.apache import why_unavailable
from backing_services.postgres import EmbeddedPostgres
from outboxed._wakeups import Wakeup
from outboxed.messages import EventIdentity, new_event_id
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
A_FEW = 70
"""Rows between two looks under a snapshot: 30 of them pass all distances from where reading begins."""
FILL_OUTBOX = """
    insert into outbox (topic, key, value, headers)
    select 'bench', gen_random_uuid(), convert_to(repeat('x', 300), 'UTF8'),
           jsonb_build_object('ce_type', 'order.placed.v1', 'ce_id', gen_random_uuid(), 'ce_source', '/orders')
    from generate_series(1, {rows})
"""
FILL = (
    FILL_OUTBOX,
    """
    insert into inbox (event_id, source)
    select left(moment, 8) || '-' || right(moment, 4) || '-7' || substr(gen_random_uuid()::text, 16), '/orders'
    from generate_series({rows}, 1, -1) n,
         lpad(to_hex((extract(epoch from now()) * 1000)::bigint - n), 12, '0') as moment
    """,
    """
    insert into tasks (kind, key, task_group, payload, due_at, first_due_at)
    select 'call', n, n, '{{}}', now() - n * interval '1 ms', now() - n * interval '1 ms'
    from generate_series(1, {rows}) n
    """,
)
TABLES = ("outbox", "inbox", "tasks", "dead_letters")
STEPS = ("relay, a row", "inbox, a hundred events", "claim of 16", "/metrics")

Of = TypeVar("Of")


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
        measures, (free, under) = asyncio.run(measured(largest, held))
    table = Table("ms", *(f"{rows:,} rows" for rows in measures))
    for step in STEPS:
        table.add_row(step, *(f"{seconds[step] * 1000:.3f}" for seconds in measures.values()))
    Console().print(table)
    ratios = {step: measures[largest][step] / measures[SMALLEST][step] for step in STEPS}
    print(f"the relay's reading: {free * 1000:.2f} ms, and {under * 1000:.2f} ms after {held:,} rows under a snapshot")
    told = ", ".join(f"{step} {ratio:.2f}" for step, ratio in ratios.items())
    print(
        f"backlog: {largest:,} rows cost times {SMALLEST:,}: {told}; at most {AT_MOST}; "
        f"a held snapshot {under / free:.2f}, at most {AT_MOST_HELD}"
    )
    sys.exit(max(ratios.values()) > AT_MOST or under / free > AT_MOST_HELD)


class Step(NamedTuple):
    """What is measured, as an item's share of its time: it answers how many items there were."""

    run: Callable[[], Awaitable[int]]
    put_back: Callable[[int], Awaitable[None]] | None = None
    """Outside the measurement: so many items again, for the next time."""


async def measured(largest: int, held: int) -> tuple[dict[int, dict[str, float]], tuple[float, float]]:
    """Seconds of each step by the number of rows; and of the relay's reading without and under a held snapshot."""
    async with AsyncExitStack() as stack:
        postgres = stack.enter_context(EmbeddedPostgres())
        kafka = stack.enter_context(ApacheKafka())
        await kafka.create_topics({TOPIC: PARTITIONS})
        settings = KafkaSettings(parse_bootstrap_servers(kafka.bootstrap_servers))

        async def filled(name: str, rows: int) -> Backlog:
            await postgres.create_database(name)
            return await stack.enter_async_context(_backlog(postgres.url(name), settings, rows))

        sizes = [rows for rows in (SMALLEST, SMALLEST * 100, largest) if rows <= largest]
        backlogs = {rows: await filled(f"of_{rows}", rows) for rows in sizes}
        seconds = await _in_turns({rows: backlog.steps() for rows, backlog in backlogs.items()})
        return seconds, await _under_a_snapshot(await filled("free", SMALLEST), await filled("held", SMALLEST), held)


@asynccontextmanager
async def _backlog(url: str, settings: KafkaSettings, rows: int) -> AsyncIterator["Backlog"]:
    engine = create_engine(url, application_name="bench", command_timeout=600)
    relay = Relay(engine, settings, Wakeup())
    try:
        await _fill(engine, rows)
        yield Backlog(engine, relay)
    finally:
        await relay._producer.abandon()  # noqa: SLF001 - what run() does at its end
        await engine.dispose()


@dataclass(frozen=True)
class Backlog:
    """A database whose tables have so many rows, and its relay."""

    engine: AsyncEngine
    relay: Relay

    def steps(self) -> dict[str, Step]:
        """Those of STEPS."""
        clock = Clock()
        queue, metrics = SqlTaskQueue(self.engine, clock), Metrics(clock)

        async def handle() -> int:
            async with self.engine.begin() as connection:
                await SqlInbox(connection, clock).insert([EventIdentity("/orders", new_event_id()) for _ in range(100)])
            return 1

        async def claim() -> int:
            await queue.claim(KIND, limit=16, lease=timedelta(minutes=5))
            return 1

        async def scrape() -> int:
            await metrics.scrape(self.engine, task_kinds=[KIND])
            return 1

        steps = (Step(self.relay.send_once, self.append), Step(handle), Step(claim), Step(scrape))
        return dict(zip(STEPS, steps, strict=True))

    async def append(self, rows: int) -> None:
        """Put so many rows behind what waits in the outbox."""
        async with self.engine.begin() as connection:
            await connection.exec_driver_sql(FILL_OUTBOX.format(rows=rows))

    async def send(self, rows: int) -> None:
        """Let the relay send so many rows."""
        sent = 0
        while sent < rows:
            sent += await self.relay.send_once()

    async def go_on(self, _: int) -> None:
        """Send a few rows more: where reading begins rises once in a thousand."""
        await self.append(A_FEW)
        await self.send(A_FEW)

    async def look(self) -> int:
        """Read what the relay would send next."""
        async with self.engine.connect() as connection:
            await Rows().free(connection, 100, above=self.relay._begin_reading())  # noqa: SLF001 - as it does
        return 1


async def _in_turns(steps: Mapping[Of, Mapping[str, Step]]) -> dict[Of, dict[str, float]]:
    """The median seconds of each step. All take turns, so that a slow minute of the machine is everybody's."""
    seconds: dict[tuple[Of, str], list[float]] = defaultdict(list)
    for _ in range(TIMES):
        for of, named in steps.items():
            for name, step in named.items():
                begun = time.perf_counter()
                items = await step.run()
                seconds[of, name].append((time.perf_counter() - begun) / items)
                if step.put_back:
                    await step.put_back(items)
    # without the first, which connects
    return {of: {name: statistics.median(seconds[of, name][1:]) for name in named} for of, named in steps.items()}


async def _fill(engine: AsyncEngine, rows: int) -> None:
    async with engine.begin() as connection:
        await connection.run_sync(tables.metadata.create_all)
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


async def _under_a_snapshot(free: Backlog, stranger_in: Backlog, held: int) -> tuple[float, float]:
    for backlog in (free, stranger_in):
        await backlog.send(SMALLEST)
    async with stranger_in.engine.connect() as connection:
        stranger = await connection.execution_options(isolation_level="REPEATABLE READ")
        await stranger.exec_driver_sql("set local idle_in_transaction_session_timeout = 0")
        await stranger.exec_driver_sql("select from outbox limit 1")
        for _ in range(0, held, SMALLEST * 10):
            await stranger_in.append(SMALLEST * 10)
            await stranger_in.send(SMALLEST * 10)
        both = {"free": free, "held": stranger_in}
        seconds = await _in_turns({name: {"look": Step(each.look, each.go_on)} for name, each in both.items()})
    return seconds["free"]["look"], seconds["held"]["look"]


if __name__ == "__main__":
    typer.run(main)
