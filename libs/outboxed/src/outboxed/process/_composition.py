"""The composition that every service shares: it chooses the broker, the relay, the worker and the metrics."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from importlib import metadata
from typing import Any, TypeVar

from fastapi import APIRouter

from outboxed._contact import KafkaContact
from outboxed.consuming import BatchConsumer, Route, create_broker, subscribe
from outboxed.messages import Event
from outboxed.process._announcements import Announcements
from outboxed.process._metrics import Figure, Metrics
from outboxed.process._rates import Timing
from outboxed.process._service import Service
from outboxed.relay import Relay
from outboxed.settings import ServiceSettings
from outboxed.storage import API_POOL_SECONDS, Clock, Retention, SqlTransactions, SqlUnitOfWork, create_engine
from outboxed.tasks import SqlTaskQueue, TaskKind, Worker
from outboxed.web import TokenVerifier

U = TypeVar("U", bound=SqlUnitOfWork)


def create_transactions(
    name: str, settings: ServiceSettings, unit_of_work: Callable[..., U], clock: Clock | None = None
) -> SqlTransactions[U]:
    """The transactions of a service's unit of work on its database; nothing connects before the first one."""
    engine = create_engine(settings.database_url, application_name=name)
    return SqlTransactions(engine, unit_of_work, source=f"/{name}", clock=clock or Clock())


def create_service(  # noqa: PLR0913 - a service has that many parts
    name: str,
    settings: ServiceSettings,
    transactions: SqlTransactions[U],
    *,
    routes: Sequence[Route[Any]],
    tasks: Sequence[TaskKind[Any]],
    published: Sequence[type[Event]],
    router: APIRouter,
    dependencies: Callable[[SqlTransactions[U]], Any],
    token_verifier: TokenVerifier,
    figures: Sequence[Figure] = (),
    timings: Sequence[Timing[U]] = (),
    retentions: Sequence[Retention] = (),
    closed: Callable[[], Awaitable[None]] | None = None,
    version: str = "",
) -> Service[U]:
    """Put a service together on PostgreSQL and Kafka; nothing connects before a role runs.

    `dependencies(transactions)` makes what the calls of `router` need. Its transactions have a pool of their own: calls
    over HTTP and the other roles of a process don't wait for each other's connections.

    A service passes its own parts: the events that it consumes (`routes`), its calls and deadlines (`tasks`), the
    events that it publishes, its HTTP API, its own `figures`, `timings` and `retentions`. Without
    routes it has no consumer. `name` also names its Python package and its consumer group. `version` defaults to that
    of the distribution `name`.
    """
    metrics = Metrics(transactions.clock)
    for figure in figures:
        metrics.observe(figure)
    for timing in timings:
        metrics.time(timing)
    transactions = replace(transactions, committed=metrics.committed)
    contact = KafkaContact()
    metrics.observe_kafka(contact.lost_for)
    api_transactions = replace(
        transactions,
        engine=create_engine(settings.database_url, application_name=name, pool_seconds=API_POOL_SECONDS),
    )
    consumer: BatchConsumer[U] = BatchConsumer(name, routes, transactions, metrics)
    metrics.observe_failing(lambda: consumer.progress.failing_seconds)
    metrics.observe_halt(lambda: consumer.progress.halted is not None)
    broker = create_broker(settings.kafka)
    return Service(
        name=name,
        version=version or metadata.version(name),
        settings=settings,
        transactions=transactions,
        api_transactions=api_transactions,
        consumer=consumer,
        worker=Worker(
            tasks,
            SqlTaskQueue(transactions.engine, transactions.clock),
            transactions,
            transactions.tasks_scheduled,
            metrics,
        ),
        relay=Relay(transactions.engine, settings.kafka, transactions.events_appended, contact, metrics=metrics),
        broker=broker,
        subscriber=subscribe(broker, consumer, settings.kafka) if routes else None,
        metrics=metrics,
        published=published,
        token_verifier=token_verifier,
        router=router,
        dependencies=dependencies(api_transactions),
        retentions=retentions,
        closed=closed,
        kafka_contact=contact,
        announcements=_announcements(name, settings, transactions),
    )


def _announcements(name: str, settings: ServiceSettings, transactions: SqlTransactions[U]) -> Announcements | None:
    """None behind a pooler, where a connection hears nothing between its transactions."""
    if settings.database_url.pooler is not None:
        return None
    wakeups = {"outbox": transactions.events_appended, "tasks": transactions.tasks_scheduled}
    return Announcements(settings.database_url, wakeups, application_name=name)
