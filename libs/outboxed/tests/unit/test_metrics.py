"""What a process reports of itself, without a database."""

import math
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import asyncpg
import pytest
import sqlalchemy as sa
from outboxed.process import Figure, Metrics
from outboxed.process._counts import Due, Waiting
from outboxed.storage import Clock, TimeoutsIgnoredError


@dataclass
class Away:
    """An engine whose database does not answer."""

    error: Exception = field(default_factory=ConnectionRefusedError)

    def connect(self) -> None:
        raise self.error


@dataclass
class There:
    """An engine whose database has 7 of everything."""

    @asynccontextmanager
    async def connect(self) -> AsyncIterator["There"]:
        yield self

    async def execute(self, _: object) -> "There":
        return self

    def scalar_one(self) -> int:
        return 7


async def scraped(metrics: Metrics, away: Any = None) -> dict[str, float]:
    away = away or Away()
    text = (await metrics.scrape(away, task_kinds=["call"])).decode()
    pairs = (line.rsplit(" ", 1) for line in text.splitlines() if not line.startswith("#"))
    return {name: float(value) for name, value in pairs}


@pytest.fixture
def metrics(clock: Clock) -> Metrics:
    return Metrics(clock)


async def test_without_the_database_its_figures_are_unknown_and_the_processes_own_are_told(metrics: Metrics) -> None:
    metrics.event_ignored("orders")
    metrics.observe_lag(lambda: 7)
    metrics.observe_failing(lambda: 31.5)

    figures = await scraped(metrics)

    assert figures["database_up"] == 0
    assert (figures["consumer_lag"], figures['events_ignored{topic="orders"}']) == (7, 1)
    assert figures["consumer_failing_seconds"] == 31.5
    unknown = ["outbox_rows", "inbox_rows", 'tasks_due{kind="call"}', 'dead_letters{source="event"}']
    assert all(math.isnan(figures[name]) for name in unknown)


@pytest.mark.parametrize("error", [asyncpg.InterfaceError("connection is closed"), TimeoutsIgnoredError("none")])
async def test_an_error_of_the_connection_without_a_wrapper_is_as_no_answer(metrics: Metrics, error: Exception) -> None:
    assert (await scraped(metrics, Away(error)))["database_up"] == 0


async def test_a_lag_that_is_not_known_is_no_number(metrics: Metrics) -> None:
    metrics.observe_lag(lambda: None)

    assert math.isnan((await scraped(metrics))["consumer_lag"])


OWN = {"database_up", "consumer_lag", "consumer_failing_seconds", "consumer_halted"}
"""Gauges of the process itself; all others are of the database, but for those of Prometheus' own library."""
COUNTS: Mapping[str, Any] = {
    "outbox": Waiting(7, 7, 7.0),
    "inbox_rows": 7,
    "due_tasks": {"call": Due(7, 7.0), "of_another_release": Due(7, 7.0)},
    "open_letters": {"event": 7, "task": 7, "outbox": 7},
}


def gauges(metrics: Metrics) -> dict[str, float]:
    return {
        f"{sample.name} {sample.labels}" if sample.labels else sample.name: sample.value
        for family in metrics.registry.collect()
        if family.type == "gauge" and not family.name.startswith("process_")
        for sample in family.samples
    }


async def test_no_figure_of_the_database_outlives_its_last_answer(
    metrics: Metrics, monkeypatch: pytest.MonkeyPatch
) -> None:
    def answer(name: str) -> Any:
        async def counted(*_: object) -> object:
            return COUNTS[name]

        return counted

    for name in COUNTS:
        monkeypatch.setattr(f"outboxed.process._metrics.{name}", answer(name))
    metrics.observe(Figure("accounts_rich", "Accounts over 100", lambda _: sa.select(sa.literal(7))))

    await scraped(metrics, There())
    before = gauges(metrics)
    await scraped(metrics)
    after = gauges(metrics)

    of_another_release = {name for name in before if "of_another_release" in name}
    assert {name for name, value in before.items() if value != 7} == OWN
    assert before.keys() - after.keys() == of_another_release, "an alarm on a figure that is gone never rings"
    assert {name for name, value in after.items() if not math.isnan(value)} == OWN, (
        "an old figure looks like a fresh one"
    )
