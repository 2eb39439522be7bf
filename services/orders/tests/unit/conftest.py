"""The whole service in process: in-memory ports behind the real handlers, consumer and API."""

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from faststream.kafka import TestKafkaBroker
from orders import api
from orders.app import NAME, create_app, create_token_issuer
from orders.consumers import ROUTES
from orders.domain import Role, User
from orders.handlers import OrderPolicy
from orders.rate_limit import RateLimiter
from orders.settings import Settings
from orders.tasks import task_kinds
from outboxed.consuming import BatchConsumer, Subscriber, create_broker, subscribe
from outboxed.process import Metrics
from outboxed.storage import Clock
from outboxed.tasks import Worker
from outboxed.testing.memory import InMemoryDatabase, InMemoryTaskQueue
from outboxed.testing.services import always

from ..factories import ProductFactory, UserFactory
from ..fakes import InMemoryOrdersUnitOfWork, PlainPasswords, in_memory_orders

Database = InMemoryDatabase[InMemoryOrdersUnitOfWork]
Consume = Callable[..., Awaitable[None]]
Headers = Callable[[User], dict[str, str]]


@pytest.fixture
async def database(clock: Clock) -> Database:
    """An empty service that sells one thing."""
    database = in_memory_orders(clock)
    async with database() as uow:
        await uow.products.put([ProductFactory.create(sku="ABC")])
    return database


@pytest.fixture
async def customer(database: Database) -> User:
    return await _registered(database, UserFactory.create())


@pytest.fixture
async def operator(database: Database) -> User:
    return await _registered(database, UserFactory.create(role=Role.OPERATOR))


async def _registered(database: Database, user: User) -> User:
    async with database() as uow:
        await uow.users.register(user)
    return user


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
def worker(database: Database) -> Worker[Any]:
    return Worker(task_kinds(), InMemoryTaskQueue(database), database, database.tasks_scheduled)


@pytest.fixture(scope="session")
def app(settings: Settings) -> FastAPI:
    return create_app(settings)


@pytest.fixture(scope="session")
async def http(app: FastAPI) -> AsyncIterator[httpx.AsyncClient]:
    """One for all tests: making a client costs more than most tests."""
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://orders/api/v1") as client:
        yield client


@pytest.fixture
def dependencies(database: Database, settings: Settings, policy: OrderPolicy) -> api.Dependencies:
    return api.Dependencies(
        unit_of_work=database,
        policy=policy,
        passwords=PlainPasswords(),
        tokens=create_token_issuer(settings, database.clock),
        rate_limiter=RateLimiter(settings.rate_limit_per_minute),
    )


@pytest.fixture
def client(http: httpx.AsyncClient, app: FastAPI, dependencies: api.Dependencies) -> Iterator[httpx.AsyncClient]:
    """The API on this test's own ports."""
    app.dependency_overrides[api.dependencies] = always(dependencies)
    yield http
    app.dependency_overrides.clear()


@pytest.fixture
def bearer(dependencies: api.Dependencies) -> Headers:
    """Being logged in, in one line: ``headers=bearer(customer)``."""

    def headers(user: User) -> dict[str, str]:
        return {"Authorization": f"Bearer {dependencies.tokens.issue(user).access_token}"}

    return headers
