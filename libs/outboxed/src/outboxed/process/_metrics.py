"""The service's metrics in Prometheus' format; the database is asked at each scrape."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa
import structlog
from prometheus_client import CollectorRegistry, Gauge, ProcessCollector, generate_latest
from sqlalchemy.ext.asyncio import AsyncEngine

from outboxed.process._counts import due_tasks, inbox_rows, open_letters, outbox
from outboxed.process._rates import Rates
from outboxed.storage import Clock, is_transient
from outboxed.web import Encode

log = structlog.get_logger()

SOURCES = ("event", "task", "outbox")


@dataclass(frozen=True)
class Figure:
    """A service's own metric: at each scrape, the number that `query(now)` selects."""

    name: str
    text: str
    query: Callable[[sa.ColumnElement[datetime]], sa.Select[int]]


class Metrics(Rates):
    """One registry a process. A service may register collectors of its own in `registry`."""

    def __init__(self, clock: Clock) -> None:
        super().__init__(CollectorRegistry())
        ProcessCollector(registry=self.registry)
        self._clock = clock
        self._queries: list[tuple[Gauge, Callable[[sa.ColumnElement[datetime]], sa.Select[int]]]] = []
        # a gauge: the client library would expose a counter as events_ignored_total
        self._ignored = self._gauge("events_ignored", "Records of a type that this service does not consume", "topic")
        self._database_up = self._gauge("database_up", "Whether the database answered this scrape")
        self._outbox_rows = self._gauge("outbox_rows", "Events that wait to be sent; above 1,000 an estimate")
        self._outbox_oldest = self._gauge("outbox_oldest_seconds", "Age of the oldest event that waits to be sent")
        self._outbox_held = self._gauge(
            "outbox_held_rows", "Events that Kafka refused, and those behind them; above 1,000 an estimate"
        )
        self._inbox_rows = self._gauge("inbox_rows", "Ids of handled events; above 1,000 an estimate")
        self._tasks_due = self._gauge("tasks_due", "Tasks that are due; above 1,000 an estimate", "kind")
        self._tasks_oldest = self._gauge(
            "tasks_oldest_due_seconds", "How long ago the oldest task was first due", "kind"
        )
        self._dead_letters = self._gauge("dead_letters", "Open dead letters", "source")
        self._lag = self._gauge("consumer_lag", "Records that this process has yet to handle")
        self._failing = self._gauge(
            "consumer_failing_seconds", "For how long this process's consumer has been trying the same records"
        )
        self._halted = self._gauge("consumer_halted", "Whether this process's consumer waits for a person")

    def observe_halt(self, is_halted: Callable[[], bool]) -> None:
        """Report `is_halted()` at each scrape."""
        self._halted.set_function(is_halted)

    def observe_kafka(self, lost_for: Callable[[], float]) -> None:
        """Report `lost_for()` at each scrape."""
        text = "How long Kafka has not answered this process; 0 while it answers"
        self._gauge("kafka_lost_seconds", text).set_function(lost_for)

    def event_ignored(self, topic: str) -> None:
        """See consumer.ConsumerMetrics."""
        self._ignored.labels(topic).inc()

    def observe_lag(self, lag: Callable[[], int | None]) -> None:
        """Report `lag()` at each scrape; NaN while it is unknown."""

        def value() -> float:
            known = lag()
            return math.nan if known is None else known

        self._lag.set_function(value)

    def observe_failing(self, seconds: Callable[[], float]) -> None:
        """Report `seconds()` at each scrape: since when the consumer has only failed, 0 while it gets on."""
        self._failing.set_function(seconds)

    def observe(self, figure: Figure) -> None:
        """Report a service's own figure."""
        self._queries.append((self._gauge(figure.name, figure.text), figure.query))

    async def scrape(self, engine: AsyncEngine, *, task_kinds: list[str], encode: Encode = generate_latest) -> bytes:
        """Ask the database and return the exposition; without a database `database_up` is 0 and its gauges are NaN.

        `encode` is Prometheus' text format or OpenMetrics, which has exemplars, too.
        """
        try:
            await self._ask(engine, task_kinds)
        except Exception as error:
            if not is_transient(error):
                raise
            log.warning("metrics_without_database", error=repr(error))
            self._forget(task_kinds)
            self._database_up.set(0)
        else:
            self._database_up.set(1)
        return encode(self.registry)

    async def _ask(self, engine: AsyncEngine, task_kinds: list[str]) -> None:
        # a subquery is computed once; the bare function is computed for each row, and then no index is used
        now = sa.select(sa.func.clock_timestamp() + self._clock.offset).scalar_subquery()
        async with engine.connect() as connection:
            waiting = await outbox(connection, now)
            self._outbox_rows.set(waiting.free)
            self._outbox_held.set(waiting.held)
            self._outbox_oldest.set(waiting.oldest)
            self._inbox_rows.set(await inbox_rows(connection))
            due = await due_tasks(connection, now)
            letters = await open_letters(connection)
            for gauge, query in self._queries:
                gauge.set((await connection.execute(query(now))).scalar_one())
        self._clear_tasks()
        for kind in {*task_kinds, *due}:
            self._tasks_due.labels(kind).set(due[kind].rows if kind in due else 0)
            self._tasks_oldest.labels(kind).set(due[kind].oldest if kind in due else 0)
        for source in SOURCES:
            self._dead_letters.labels(source).set(letters.get(source, 0))

    def _forget(self, task_kinds: list[str]) -> None:
        """Set the database's gauges to NaN: an old figure would look like a fresh one."""
        self._clear_tasks()  # also of kinds that another release has
        plain = [
            self._outbox_rows,
            self._outbox_held,
            self._outbox_oldest,
            self._inbox_rows,
            *(gauge for gauge, _ in self._queries),
        ]
        by_kind = [gauge.labels(kind) for gauge in (self._tasks_due, self._tasks_oldest) for kind in task_kinds]
        by_source = [self._dead_letters.labels(source) for source in SOURCES]
        for gauge in (*plain, *by_kind, *by_source):
            gauge.set(math.nan)

    def _clear_tasks(self) -> None:
        self._tasks_due.clear()
        self._tasks_oldest.clear()

    def _gauge(self, name: str, text: str, *labels: str) -> Gauge:
        return Gauge(name, text, labels, registry=self.registry)
