"""How things flow now: each service's health and figures, and who sends which events to whom."""

import asyncio
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise
from typing import Any

import httpx
from prometheus_client.parser import text_string_to_metric_families

from shop_console.catalogue import Catalogue, Described
from shop_console.facts import TIMEOUT_SECONDS
from shop_console.index import Index

COLUMN, ROW, TOP = 220, 56, 40


@dataclass(frozen=True)
class State:
    """A service now. A figure is None where it is unknown; `tasks` and `letters` are by kind and by source."""

    name: str
    problem: str
    lag: float | None = None
    outbox: float | None = None
    outbox_oldest: float | None = None
    held: float | None = None
    tasks: Mapping[str, float] | None = None
    oldest_task: float | None = None
    letters: Mapping[str, float] | None = None
    kafka_lost: float | None = None

    @property
    def open_letters(self) -> float:
        return sum((self.letters or {}).values())


@dataclass(frozen=True)
class Event:
    """An event type: `problem` says what is wrong between those who send and those who read it."""

    type: str
    topic: str
    publisher: str | None
    readers: Sequence[str]
    per_minute: int

    @property
    def problem(self) -> str:
        if self.publisher is None:
            return "read, and published by no service here"
        return "" if self.readers else "read by no service here"


@dataclass(frozen=True)
class Box:
    x: int
    y: int
    text: str
    kind: str


@dataclass(frozen=True)
class Picture:
    """Publishers on the left, topics in the middle, readers on the right. `lines` are from x, y to x, y."""

    width: int
    height: int
    boxes: Sequence[Box]
    lines: Sequence[tuple[int, int, int, int]]


async def states(http: httpx.AsyncClient, catalogue: Catalogue) -> Sequence[State]:
    """Ask every service at the same time."""
    return await asyncio.gather(*(_state(http, service) for service in catalogue.services.values()))


async def _state(http: httpx.AsyncClient, service: Described) -> State:
    try:
        ready, metrics = await asyncio.gather(
            http.get(f"{service.url}/health/ready", timeout=TIMEOUT_SECONDS),
            http.get(f"{service.url}/metrics", timeout=TIMEOUT_SECONDS),
        )
        reason = "" if ready.is_success else str(ready.json().get("reason", ready.status_code))
        return _of_metrics(service.name, reason, metrics.raise_for_status().text)
    except (httpx.HTTPError, ValueError) as error:
        return State(service.name, f"does not answer ({type(error).__name__})")


def _of_metrics(name: str, problem: str, exposition: str) -> State:
    samples: dict[str, dict[str, float]] = {}
    for family in text_string_to_metric_families(exposition):
        for sample in family.samples:
            if not math.isnan(sample.value):
                samples.setdefault(sample.name, {})["".join(sample.labels.values())] = sample.value
    one: dict[str, Any] = {metric: next(iter(values.values())) for metric, values in samples.items()}
    return State(
        name=name,
        problem=problem,
        lag=one.get("consumer_lag"),
        outbox=one.get("outbox_rows"),
        outbox_oldest=one.get("outbox_oldest_seconds"),
        held=one.get("outbox_held_rows"),
        tasks=samples.get("tasks_due"),
        oldest_task=max(samples.get("tasks_oldest_due_seconds", {}).values(), default=None),
        letters=samples.get("dead_letters"),
        kafka_lost=one.get("kafka_lost_seconds"),
    )


def events(catalogue: Catalogue, index: Index, now: datetime) -> Sequence[Event]:
    """All event types that a service publishes or reads."""
    rates = index.rates.per_minute(now)
    topics = {
        event: topic
        for one in catalogue.services.values()
        for event, topic in (*one.publishes.items(), *one.reads.items())
    }
    return [
        Event(event, topic, catalogue.publisher(event), catalogue.readers(event), rates[event])
        for event, topic in sorted(topics.items())
    ]


def picture(catalogue: Catalogue, shown: Sequence[Event]) -> Picture:
    """Lay the flow out."""
    publishers = [name for name, one in catalogue.services.items() if one.publishes]
    readers = [name for name, one in catalogue.services.items() if one.reads]
    columns = (publishers, list(catalogue.topics), readers)
    height = TOP + ROW * max(len(column) for column in columns)
    places = [_places(column, number, height) for number, column in enumerate(columns)]
    rates = {topic: sum(event.per_minute for event in shown if event.topic == topic) for topic in catalogue.topics}
    boxes = [
        Box(x, y, f"{name}: {rates[name]}/min" if kind == "topic" else name, kind)
        for kind, column in zip(("publisher", "topic", "reader"), places, strict=True)
        for name, (x, y) in column.items()
    ]
    pairs = {(0, event.publisher, event.topic) for event in shown if event.publisher}
    pairs |= {(1, event.topic, reader) for event in shown for reader in event.readers}
    steps = list(pairwise(places))
    lines = [(*steps[step][0][source], *steps[step][1][target]) for step, source, target in sorted(pairs)]
    return Picture(COLUMN * 3 + 20, height, boxes, lines)


def _places(names: Sequence[str], column: int, height: int) -> dict[str, tuple[int, int]]:
    free = (height - TOP - ROW * len(names)) // 2
    return {name: (COLUMN // 2 + 10 + COLUMN * column, TOP + free + ROW * row + 20) for row, name in enumerate(names)}
