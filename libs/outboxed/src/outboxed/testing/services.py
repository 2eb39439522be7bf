"""A service in a test: its database, its consumer, and its roles running until the end of a block."""

import asyncio
import hashlib
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, TypeVar

import anyio
import pytest
from backing_services.postgres import DatabaseIsolation, PostgresServer
from sqlalchemy.ext.asyncio import AsyncEngine

from outboxed.consuming import BatchConsumer, ConsumerRole, Route, create_broker, subscribe
from outboxed.process import Metrics
from outboxed.storage import Clock, create_engine
from outboxed.storage import _migrations as migrations
from outboxed.storage import schema as messaging_schema
from outboxed.testing.topics import Topics

T = TypeVar("T")
RoleRun = Callable[[anyio.Event], Awaitable[None]]


async def service_isolation(server: PostgresServer, package: str, *, keep: Sequence[str] = ()) -> DatabaseIsolation:
    """A database with the schema of a service's migrations; see DatabaseIsolation."""

    async def migrate(url: str) -> None:
        engine = create_engine(url, application_name="tests")
        try:
            await migrations.migrate(engine, package)
        finally:
            await engine.dispose()

    fingerprint = _fingerprint(package)
    return await DatabaseIsolation.create(server, name=package, fingerprint=fingerprint, migrate=migrate, keep=keep)


@asynccontextmanager
async def engine_of_test(
    isolation: DatabaseIsolation, shared: AsyncEngine, item: pytest.Item
) -> AsyncIterator[AsyncEngine]:
    """The engine for a test (`request.node`): the session's, or with `@pytest.mark.private_database` one of its own."""
    async with isolation.of_test(item) as url:
        if url == isolation.url:
            yield shared
            return
        engine = create_engine(url, application_name="tests")
        try:
            yield engine
        finally:
            await engine.dispose()


def consumer_role(
    topics: Topics, routes: Sequence[Route[Any]], database: Any, *, metrics: Metrics | None = None
) -> tuple[ConsumerRole, BatchConsumer[Any]]:
    """A consumer as a composition root makes it, in the test's own group; `database` opens its transactions."""
    consumer: BatchConsumer[Any] = BatchConsumer(topics.group, routes, database, metrics or Metrics(Clock()))
    broker = create_broker(topics.kafka)
    return ConsumerRole(broker, subscribe(broker, consumer, topics.kafka), consumer), consumer


@asynccontextmanager
async def running(*roles: RoleRun) -> AsyncIterator[None]:
    """Roles run until the end of the block, then stop; one that fails fails the test."""
    stop = anyio.Event()
    async with asyncio.TaskGroup() as group:
        for role in roles:
            group.create_task(_run(role, stop))
        try:
            yield
        finally:
            stop.set()


async def _run(role: RoleRun, stop: anyio.Event) -> None:
    await role(stop)


def always(value: T) -> Callable[[], Awaitable[T]]:
    """A dependency that returns `value`; a coroutine, because FastAPI calls a plain function in a thread."""

    async def dependency() -> T:
        return value

    return dependency


def _fingerprint(package: str) -> str:
    """A hash of all that makes the schema: a template database may be kept from run to run."""
    files = [Path(messaging_schema.__file__), *sorted(migrations.migrations_path(package).rglob("*.py"))]
    return hashlib.sha256(b"".join(file.read_bytes() for file in files)).hexdigest()[:16]
