"""The whole service in process: in-memory ports and the sandbox gateway behind the real handlers, consumer and API."""

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from outboxed.tasks import Worker
from outboxed.testing.memory import InMemoryDatabase, InMemoryTaskQueue
from outboxed.testing.services import always
from payments import api
from payments.gateway import HttpPaymentGateway
from payments.tasks import task_kinds

from ..fakes import InMemoryPaymentsUnitOfWork
from ..sandbox import Sandbox

Database = InMemoryDatabase[InMemoryPaymentsUnitOfWork]
Consume = Callable[..., Awaitable[None]]
PutFaults = Callable[..., Awaitable[None]]


@pytest.fixture(scope="session")
async def sandbox() -> AsyncIterator[Sandbox]:
    sandbox = Sandbox.in_process()
    yield sandbox
    await sandbox.close()


@pytest.fixture
async def faults(sandbox: Sandbox) -> AsyncIterator[PutFaults]:
    """What goes wrong at the gateway: `await faults({"operation": "charge", "action": "garbage"})`."""
    yield sandbox.put_faults
    await sandbox.put_faults()


@pytest.fixture(scope="session")
def gateway(sandbox: Sandbox) -> HttpPaymentGateway:
    return HttpPaymentGateway(sandbox.http, timeout=5)


@pytest.fixture
def worker(database: Database, gateway: HttpPaymentGateway) -> Worker[Any]:
    kinds = task_kinds(gateway, gateway_timeout=5)
    return Worker(kinds, InMemoryTaskQueue(database), database, database.tasks_scheduled)


@pytest.fixture
def client(
    http: httpx.AsyncClient, app: FastAPI, database: Database, gateway: HttpPaymentGateway
) -> Iterator[httpx.AsyncClient]:
    """The API on this test's own ports."""
    app.dependency_overrides[api.dependencies] = always(api.Dependencies(database, gateway))
    yield http
    app.dependency_overrides.clear()
