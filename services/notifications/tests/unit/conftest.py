"""The whole service in process: in-memory ports behind the real handlers, consumer, tasks and API."""

from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from notifications import api
from notifications.tasks import task_kinds
from outboxed.tasks import Worker
from outboxed.testing.memory import InMemoryDatabase, InMemoryTaskQueue
from outboxed.testing.services import always

from ..fakes import InMemoryNotificationsUnitOfWork, RecordingMailer

Database = InMemoryDatabase[InMemoryNotificationsUnitOfWork]
Consume = Callable[..., Awaitable[None]]


@pytest.fixture
def mailer() -> RecordingMailer:
    return RecordingMailer()


@pytest.fixture
def worker(database: Database, mailer: RecordingMailer) -> Worker[Any]:
    kinds = task_kinds(mailer, smtp_timeout=5)
    return Worker(kinds, InMemoryTaskQueue(database), database, database.tasks_scheduled)


@pytest.fixture
def deliver(worker: Worker[Any]) -> Callable[[], Awaitable[None]]:
    """Does what is due until nothing is left: of an order's e-mails one goes a round."""

    async def run() -> None:
        while await worker.run_due():
            pass

    return run


@pytest.fixture
def client(http: httpx.AsyncClient, app: FastAPI, database: Database) -> Iterator[httpx.AsyncClient]:
    """The API on this test's own ports."""
    app.dependency_overrides[api.dependencies] = always(api.Dependencies(database))
    yield http
    app.dependency_overrides.clear()
