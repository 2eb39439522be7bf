"""The whole service in process: in-memory ports behind the real handlers, consumer and API."""

from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from orders import api
from orders.app import create_token_issuer
from orders.domain import Order, User, UserRole
from orders.handlers import OrderPolicy
from orders.rate_limit import RateLimiter
from orders.settings import Settings
from orders.tasks import task_kinds
from outboxed.storage import Clock
from outboxed.tasks import Worker
from outboxed.testing.memory import InMemoryDatabase, InMemoryTaskQueue
from outboxed.testing.services import always

from ..factories import OrderFactory, ProductFactory, UserFactory
from ..fakes import InMemoryOrdersUnitOfWork, PlainPasswords, in_memory_orders, stored

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
async def order(database: Database) -> Order:
    """Pending."""
    order: Order = OrderFactory.create()
    await stored(database, orders=[order])
    return order


@pytest.fixture
async def customer(database: Database) -> User:
    user: User = UserFactory.create()
    await stored(database, users=[user])
    return user


@pytest.fixture
async def operator(database: Database) -> User:
    user: User = UserFactory.create(role=UserRole.OPERATOR)
    await stored(database, users=[user])
    return user


@pytest.fixture
def worker(database: Database) -> Worker[Any]:
    return Worker(task_kinds(), InMemoryTaskQueue(database), database, database.tasks_scheduled)


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
    """Being logged in, in one line: `headers=bearer(customer)`."""

    def headers(user: User) -> dict[str, str]:
        return {"Authorization": f"Bearer {dependencies.tokens.issue(user).access_token}"}

    return headers
