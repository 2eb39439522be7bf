"""What a process counts as it works: rates, errors, durations and ages."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, Generic, TypeVar

from prometheus_client import CollectorRegistry, Counter, Histogram, disable_created_metrics

from outboxed.storage import SqlUnitOfWork
from outboxed.tasks import Ending
from outboxed.telemetry import Exemplar, exemplar

DURATIONS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
"""Seconds: of a statement, of a request, of a call with its limit."""
AGES = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 900.0, 3600.0)
"""Seconds: from a calm shop to an outage of an hour."""

U = TypeVar("U", bound=SqlUnitOfWork)


@dataclass(frozen=True)
class Timing(Generic[U]):
    """A service's own histogram of seconds.

    After each commit `of(unit_of_work)` says what ended in it: pairs of the value of `label` and of seconds. A label
    has few values: each makes time series of its own.
    """

    name: str
    text: str
    label: str
    of: Callable[[U], Iterable[tuple[str, float]]]
    buckets: Sequence[float] = AGES


class Rates:
    """Counters and histograms in a registry. What they are labelled by comes from the code, never from a message."""

    def __init__(self, registry: CollectorRegistry) -> None:
        disable_created_metrics()  # type: ignore[no-untyped-call]  # else one more series for each, with its beginning
        self.registry = registry
        self._timings: list[tuple[Timing[Any], Histogram]] = []
        requests = self._counter("http_requests_total", "Answered requests", "method", "route", "status")
        request_seconds = self._histogram(
            "http_request_duration_seconds", "How long requests took", DURATIONS, "method", "route"
        )
        handled = self._counter("events_handled_total", "Events that were handled", "type")
        ages = self._histogram("event_age_seconds", "Since an event's recording, when it's handled", AGES, "type")
        sent = self._counter("outbox_sent_total", "Events that Kafka has acknowledged", "topic")
        refused = self._counter("outbox_refused_total", "Answers by which Kafka refused an event alone", "topic")
        attempts = self._counter("task_attempts_total", "Attempts at tasks", "kind", "outcome")
        durations = self._histogram("task_duration_seconds", "How long attempts took", DURATIONS, "kind")
        due_for = self._histogram("task_age_seconds", "Since a task was first due, when it's attempted", AGES, "kind")
        published = self._counter("events_published_total", "Events that were committed to the outbox", "type")
        dead = self._counter("events_dead_lettered_total", "Records that became dead letters", "topic")
        # to find a child by its labels takes longer than to count
        self._requests, self._request_seconds = cache(requests.labels), cache(request_seconds.labels)
        self._handled, self._ages = cache(handled.labels), cache(ages.labels)
        self._sent, self._refused = cache(sent.labels), cache(refused.labels)
        self._attempts, self._durations = cache(attempts.labels), cache(durations.labels)
        self._due_for, self._published, self._dead = cache(due_for.labels), cache(published.labels), cache(dead.labels)
        self._batches = self._histogram("consumer_batch_duration_seconds", "How long batches took", DURATIONS)
        self._failed_batches = self._counter("consumer_batches_failed_total", "Attempts at batches that failed")
        self._passes = self._histogram("relay_pass_duration_seconds", "How long passes took that sent", DURATIONS)
        self._failed_passes = self._counter("relay_passes_failed_total", "Passes of the relay that failed")

    def time(self, timing: Timing[Any]) -> None:
        """Observe a service's own histogram from now on."""
        histogram = self._histogram(timing.name, timing.text, timing.buckets, timing.label)
        self._timings.append((timing, histogram))

    def request_answered(self, method: str, route: str, status: int, seconds: float) -> None:
        """See web.RequestMetrics."""
        self._requests(method, route, status).inc()
        self._request_seconds(method, route).observe(seconds, exemplar())

    def event_handled(self, event_type: str, age: float | None, exemplar: Exemplar) -> None:
        """See consuming.ConsumerMetrics."""
        self._handled(event_type).inc()
        if age is not None:
            self._ages(event_type).observe(age, exemplar)

    def event_dead_lettered(self, topic: str) -> None:
        """See consuming.ConsumerMetrics."""
        self._dead(topic).inc()

    def batch_ended(self, seconds: float, *, failed: bool) -> None:
        """See consuming.ConsumerMetrics."""
        self._batches.observe(seconds)
        if failed:
            self._failed_batches.inc()

    def rows_sent(self, topic: str, rows: int) -> None:
        """See relay.RelayMetrics."""
        self._sent(topic).inc(rows)

    def row_refused(self, topic: str) -> None:
        """See relay.RelayMetrics."""
        self._refused(topic).inc()

    def pass_ended(self, seconds: float, *, failed: bool) -> None:
        """See relay.RelayMetrics."""
        if failed:
            self._failed_passes.inc()
        else:
            self._passes.observe(seconds)

    def task_attempted(self, kind: str, outcome: Ending, seconds: float, due_for: float) -> None:
        """See tasks.WorkerMetrics."""
        self._attempts(kind, outcome).inc()
        seen = exemplar()
        self._durations(kind).observe(seconds, seen)
        self._due_for(kind).observe(due_for, seen)

    def committed(self, uow: SqlUnitOfWork) -> None:
        """See storage.SqlTransactions."""
        for record in uow.events.appended:
            self._published(record.headers["ce_type"]).inc()
        for timing, histogram in self._timings:
            for value, seconds in timing.of(uow):
                histogram.labels(value).observe(seconds, exemplar())

    def _counter(self, name: str, text: str, *labels: str) -> Counter:
        return Counter(name, text, labels, registry=self.registry)

    def _histogram(self, name: str, text: str, buckets: Sequence[float], *labels: str) -> Histogram:
        return Histogram(name, text, labels, registry=self.registry, buckets=buckets)
