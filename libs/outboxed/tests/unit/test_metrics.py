"""What a process reports of itself, without a database."""

import math
from dataclasses import dataclass, field
from typing import Any

import asyncpg
import pytest
from outboxed.process import Metrics
from outboxed.storage import Clock, TimeoutsIgnoredError


@dataclass
class Away:
    """An engine whose database does not answer."""

    error: Exception = field(default_factory=ConnectionRefusedError)

    def connect(self) -> None:
        raise self.error


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
