"""The API on PostgreSQL: what a customer is told, and what is committed by then."""

import asyncio
from collections.abc import Callable, Iterator

import httpx
import pytest
import sqlalchemy as sa
from backing_services.postgres import connected
from fastapi import FastAPI
from orders import api
from orders.app import create_token_issuer
from orders.domain import User
from orders.handlers import OrderPolicy
from orders.rate_limit import RateLimiter
from orders.settings import Settings
from orders.storage import SqlOrdersUnitOfWork
from outboxed.storage import SqlTransactions, create_engine, tables
from outboxed.testing.adapters import SqlBackend
from outboxed.testing.records import decoded
from outboxed.testing.services import always

from ..factories import PASSWORD
from ..fakes import PlainPasswords
from ..unit.calls import NEW_USER, ORDER, error_of

Transactions = SqlTransactions[SqlOrdersUnitOfWork]


@pytest.fixture
def use(
    app: FastAPI, settings: Settings, policy: OrderPolicy, transactions: Transactions
) -> Iterator[Callable[[Transactions], None]]:
    """Puts a database behind the API."""

    def use(database: Transactions) -> None:
        dependencies = api.Dependencies(
            unit_of_work=database,
            policy=policy,
            passwords=PlainPasswords(),
            tokens=create_token_issuer(settings, transactions.clock),
            rate_limiter=RateLimiter(0),
        )
        app.dependency_overrides[api.dependencies] = always(dependencies)

    yield use
    app.dependency_overrides.clear()


@pytest.fixture
def client(
    http: httpx.AsyncClient, use: Callable[[Transactions], None], transactions: Transactions
) -> httpx.AsyncClient:
    use(transactions)
    return http


@pytest.fixture
def headers(settings: Settings, transactions: Transactions, customer: User) -> dict[str, str]:
    token = create_token_issuer(settings, transactions.clock).issue(customer)
    return {"Authorization": f"Bearer {token.access_token}", "Idempotency-Key": "key-1"}


async def test_registering_and_logging_in(client: httpx.AsyncClient) -> None:
    user = await client.post("/users", json=NEW_USER)
    token = await client.post("/tokens", data={"username": "ADA@example.com", "password": PASSWORD})
    headers = {"Authorization": f"Bearer {token.json()['access_token']}"}

    shown = await client.get(f"/users/{user.json()['id']}", headers=headers)

    assert (user.status_code, token.status_code) == (201, 200)
    assert shown.json() == user.json()


async def test_an_address_that_no_column_holds_is_one_that_nobody_has(client: httpx.AsyncClient) -> None:
    answer = await client.post("/tokens", data={"username": "ada\0@example.com", "password": PASSWORD})

    assert error_of(answer) == (401, "UNAUTHENTICATED")


async def test_of_concurrent_registrations_of_one_address_one_succeeds(client: httpx.AsyncClient) -> None:
    responses = await asyncio.gather(*(client.post("/users", json=NEW_USER) for _ in range(5)))

    assert sorted(response.status_code for response in responses) == [201, 409, 409, 409, 409]


async def test_a_placed_order_is_committed_with_its_event_and_its_deadline(
    client: httpx.AsyncClient, headers: dict[str, str], transactions: Transactions
) -> None:
    response = await client.post("/orders", json=ORDER, headers=headers)

    order = response.json()
    assert response.status_code == 201
    assert (await client.get(response.headers["Location"].removeprefix("/api/v1"), headers=headers)).json() == order
    backend = SqlBackend(transactions)
    [(event_type, data)] = decoded(await backend.outbox())
    assert (event_type, data["order_id"]) == ("order.placed.v1", order["id"])
    assert [(kind, key) for kind, key, *_ in await backend.tasks()] == [("payment_deadline", order["id"])]


async def test_concurrent_twins_place_one_order_and_get_the_same_answer(
    client: httpx.AsyncClient, headers: dict[str, str], transactions: Transactions
) -> None:
    responses = await asyncio.gather(*(client.post("/orders", json=ORDER, headers=headers) for _ in range(8)))

    assert {response.status_code for response in responses} == {201}
    assert len({response.content for response in responses}) == 1
    assert sum("Idempotency-Replayed" in response.headers for response in responses) == 7
    assert len(await SqlBackend(transactions).outbox()) == 1


async def test_of_two_bodies_under_one_key_one_is_refused_whichever_comes_first(
    client: httpx.AsyncClient, headers: dict[str, str], transactions: Transactions
) -> None:
    bodies = [ORDER, {**ORDER, "payment_method": "pm_card_declined"}]

    responses = await asyncio.gather(*(client.post("/orders", json=body, headers=headers) for body in bodies))

    assert sorted(response.status_code for response in responses) == [201, 422]
    [refused] = [response for response in responses if response.status_code == 422]
    assert error_of(refused) == (422, "IDEMPOTENCY_KEY_REUSED")
    assert len(await SqlBackend(transactions).outbox()) == 1


async def test_an_error_stores_nothing_and_leaves_the_key_free(
    client: httpx.AsyncClient, headers: dict[str, str]
) -> None:
    wrong = {**ORDER, "items": [{"sku": "NOPE", "quantity": 1}]}

    assert error_of(await client.post("/orders", json=wrong, headers=headers)) == (422, "UNKNOWN_SKU")
    assert (await client.post("/orders", json=ORDER, headers=headers)).status_code == 201


async def test_an_order_is_cancelled_once_however_often_and_at_once_it_is_asked(
    client: httpx.AsyncClient, headers: dict[str, str], transactions: Transactions
) -> None:
    placed = await client.post("/orders", json=ORDER, headers=headers)
    url = f"/orders/{placed.json()['id']}/cancel"

    responses = await asyncio.gather(*(client.post(url, headers=headers) for _ in range(5)))

    assert {response.content for response in responses} == {responses[0].content}
    assert responses[0].json()["status"] == "CANCELLED"
    types = [event_type for event_type, _ in decoded(await SqlBackend(transactions).outbox())]
    assert types == ["order.placed.v1", "order.cancelled.v1"]


async def test_pages_of_orders_on_the_database(client: httpx.AsyncClient, headers: dict[str, str]) -> None:
    placed = [
        (await client.post("/orders", json=ORDER, headers={**headers, "Idempotency-Key": f"k{n}"})).json()["id"]
        for n in range(3)
    ]

    first = (await client.get("/orders", params={"limit": 2}, headers=headers)).json()
    second = (await client.get("/orders", params={"limit": 2, "cursor": first["next_cursor"]}, headers=headers)).json()

    assert [order["id"] for order in first["items"] + second["items"]] == placed[::-1]
    assert second["next_cursor"] is None


async def test_while_the_database_is_away_the_answer_is_to_come_again(
    http: httpx.AsyncClient, use: Callable[[Transactions], None], headers: dict[str, str]
) -> None:
    away = create_engine("postgresql+asyncpg://nobody@127.0.0.1:1/nowhere", application_name="tests")
    use(SqlTransactions(away, SqlOrdersUnitOfWork, source="/orders"))

    response = await http.post("/orders", json=ORDER, headers=headers)

    assert error_of(response) == (503, "UNAVAILABLE")
    assert int(response.headers["Retry-After"]) > 0
    assert "nobody" not in response.text
    await away.dispose()


CUT = """
select pg_terminate_backend(pid) from pg_stat_activity
where datname = current_database() and pid <> pg_backend_pid()
"""


@pytest.mark.private_database  # connections that were cut would be the next test's
async def test_connections_that_were_cut_cost_at_most_one_answer_each(
    client: httpx.AsyncClient, headers: dict[str, str], transactions: Transactions
) -> None:
    async with transactions.engine.connect() as one, transactions.engine.connect() as another:
        await one.execute(sa.select(1))
        await another.execute(sa.select(1))
    async with connected(transactions.engine.url.render_as_string(hide_password=False)) as outside:
        await outside.execute(CUT)

    statuses = [
        response.status_code
        for _ in range(3)
        for response in await asyncio.gather(*(client.post("/orders", json=ORDER, headers=headers) for _ in range(4)))
    ]

    assert set(statuses) <= {201, 503}
    assert statuses.count(503) <= 2
    assert statuses[-1] == 201
    async with transactions.engine.connect() as connection:
        assert (await connection.execute(sa.select(sa.func.count()).select_from(tables.outbox))).scalar_one() == 1
