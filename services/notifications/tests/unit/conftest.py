"""The whole service in process: in-memory ports behind the real handlers, consumer, tasks and API."""

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from faststream.kafka import TestKafkaBroker
from notifications import api
from notifications.app import NAME, create_app
from notifications.consumers import ROUTES
from notifications.settings import Settings
from notifications.tasks import task_kinds
from outboxed.consuming import BatchConsumer, Subscriber, create_broker, subscribe
from outboxed.process import Metrics
from outboxed.storage import Clock
from outboxed.tasks import Worker
from outboxed.testing.memory import InMemoryDatabase, InMemoryTaskQueue
from outboxed.testing.services import always

from ..fakes import InMemoryNotificationsUnitOfWork, RecordingMailer, in_memory_notifications

Database = InMemoryDatabase[InMemoryNotificationsUnitOfWork]
Consume = Callable[..., Awaitable[None]]


@pytest.fixture
def database(clock: Clock) -> Database:
    return in_memory_notifications(clock)


@pytest.fixture
def mailer() -> RecordingMailer:
    return RecordingMailer()


@pytest.fixture
async def subscriber(database: Database, settings: Settings) -> AsyncIterator[Subscriber]:
    """The service's real one: parser, envelope, decoding, dispatch, handlers."""
    consumer = BatchConsumer(NAME, ROUTES, database, Metrics(database.clock))
    broker = create_broker(settings.kafka)
    subscriber = subscribe(broker, consumer, settings.kafka)
    async with TestKafkaBroker(broker):
        yield subscriber


@pytest.fixture
def consume(subscriber: Subscriber) -> Consume:
    """Feeds records to the subscriber, as one batch."""

    async def feed(*records: Any) -> None:
        await subscriber.process_message(records)

    return feed


@pytest.fixture
def worker(database: Database, mailer: RecordingMailer) -> Worker[Any]:
    kinds = task_kinds(database, mailer, smtp_timeout=5)
    return Worker(kinds, InMemoryTaskQueue(database), database, database.tasks_scheduled)


@pytest.fixture
def deliver(worker: Worker[Any]) -> Callable[[], Awaitable[None]]:
    """Does what is due until nothing is left: of an order's e-mails one goes a round."""

    async def run() -> None:
        while await worker.run_due():
            pass

    return run


@pytest.fixture(scope="session")
def app(settings: Settings) -> FastAPI:
    return create_app(settings)


@pytest.fixture(scope="session")
async def http(app: FastAPI) -> AsyncIterator[httpx.AsyncClient]:
    """One for all tests: making a client costs more than most tests."""
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://notifications/api/v1") as client:
        yield client


@pytest.fixture
def client(http: httpx.AsyncClient, app: FastAPI, database: Database) -> Iterator[httpx.AsyncClient]:
    """The API on this test's own ports."""
    app.dependency_overrides[api.dependencies] = always(api.Dependencies(database))
    yield http
    app.dependency_overrides.clear()
