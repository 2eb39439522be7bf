"""Calls over HTTP and the roles beside them don't wait for each other's connections."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any
from uuid import uuid4

import httpx
import pytest
from backing_services.postgres import DatabaseIsolation
from notifications.app import build
from notifications.settings import Settings
from notifications.storage import SqlNotificationsUnitOfWork
from outboxed.process import Service
from outboxed.storage import API_POOL_SECONDS, POOL_SECONDS, SqlTransactions
from outboxed.testing.tokens import KeyPair

Built = Service[SqlNotificationsUnitOfWork]


@pytest.fixture
def short_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever waits for a connection gives up soon."""
    monkeypatch.setattr("outboxed.process._composition.API_POOL_SECONDS", 0.05)


@pytest.fixture
async def built(
    short_waits: None,  # noqa: ARG001 - before the service is made
    isolation: DatabaseIsolation,
    keys: KeyPair,
    transactions: SqlTransactions[SqlNotificationsUnitOfWork],  # noqa: ARG001 - empties the database afterwards
) -> AsyncIterator[Built]:
    service = build(Settings(environment="test", database_url=isolation.url, jwt_public_keys=(keys.public,)))
    yield service
    await service.close()


@pytest.fixture
async def http(built: Built) -> AsyncIterator[httpx.AsyncClient]:
    transport = httpx.ASGITransport(built.create_app())
    async with httpx.AsyncClient(transport=transport, base_url="http://service/api/v1") as http:
        yield http


@asynccontextmanager
async def all_connections_of(transactions: SqlTransactions[Any]) -> AsyncIterator[None]:
    async with AsyncExitStack() as held:
        for _ in range(transactions.engine.pool.size()):  # type: ignore[attr-defined]  # SQLAlchemy's base class has none
            connection = await held.enter_async_context(transactions.engine.connect())
            assert not connection.closed
        yield


@pytest.mark.parametrize(
    "path",
    [f"/api/v1/notifications?order_id={uuid4()}", f"/operations/keys/{uuid4()}", "/operations/dead-letters"],
    ids=["notifications", "a key", "dead letters"],
)
async def test_a_call_is_answered_while_the_worker_has_every_connection_of_its_own(
    built: Built, http: httpx.AsyncClient, keys: KeyPair, path: str
) -> None:
    async with all_connections_of(built.transactions):
        answer = await http.get(f"http://service{path}", headers=keys.bearer())

    assert answer.status_code == 200


async def test_the_worker_works_while_calls_have_every_connection_and_one_more_call_is_refused(
    built: Built, http: httpx.AsyncClient, keys: KeyPair
) -> None:
    async with all_connections_of(built.api_transactions):
        answer = await http.get("/notifications", params={"order_id": str(uuid4())}, headers=keys.bearer())

        assert await built.worker.run_due() == 0

    assert (answer.status_code, answer.json()["error"]["code"]) == (503, "UNAVAILABLE")


def test_what_calls_append_wakes_the_roles(built: Built) -> None:
    assert built.api_transactions.events_appended is built.transactions.events_appended
    assert built.api_transactions.tasks_scheduled is built.transactions.tasks_scheduled


def test_the_shipped_waits() -> None:
    assert (API_POOL_SECONDS, POOL_SECONDS) == (2, 5)
