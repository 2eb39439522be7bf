"""Orders and products, through ASGITransport: no socket, no server, the real routing, validation and error handling."""

import asyncio
import base64
from datetime import timedelta
from typing import Any
from uuid import uuid4

import httpx
import pytest
from orders.domain import Order, User
from outboxed.storage import Clock

from ..factories import NOW, CustomerFactory, OrderFactory, UserFactory
from ..fakes import stored
from .calls import ORDER, error_of, key
from .conftest import Database, Headers


async def test_placing_an_order_answers_with_the_pending_order_and_its_place(
    client: httpx.AsyncClient, customer: User, bearer: Headers
) -> None:
    response = await client.post("/orders", json=ORDER, headers=bearer(customer) | key())

    order = response.json()
    assert response.status_code == 201
    assert response.headers["Location"] == f"/api/v1/orders/{order['id']}"
    assert order["items"] == [{"sku": "ABC", "quantity": 4, "unit_price": "25.00"}]
    assert (order["subtotal"], order["discount"], order["total"], order["currency"]) == (
        "100.00",
        "5.00",
        "95.00",
        "EUR",
    )
    assert order["history"] == [{"status": "PENDING", "at": order["placed_at"]}]
    assert order["placed_at"].endswith("Z")
    shown = await client.get(f"/orders/{order['id']}", headers=bearer(customer))
    assert shown.json() == order


async def test_the_same_key_gives_the_same_answer_even_after_the_order_moved_on(
    client: httpx.AsyncClient, database: Database, customer: User, bearer: Headers
) -> None:
    headers = bearer(customer) | key()
    first = await client.post("/orders", json=ORDER, headers=headers)
    await client.post(f"/orders/{first.json()['id']}/cancel", headers=headers)

    again = await client.post("/orders", json=ORDER, headers=headers)

    assert (again.status_code, again.content) == (201, first.content)
    assert again.headers["Location"] == first.headers["Location"]
    assert (again.headers["Idempotency-Replayed"], "Idempotency-Replayed" in first.headers) == ("true", False)
    assert len(database.state.table("orders")) == 1


async def test_whoever_has_no_account_any_more_has_to_log_in_to_place_an_order(
    client: httpx.AsyncClient, bearer: Headers
) -> None:
    response = await client.post("/orders", json=ORDER, headers=bearer(UserFactory.create()) | key())

    assert error_of(response) == (401, "UNAUTHENTICATED")
    assert response.headers["WWW-Authenticate"] == "Bearer"


async def test_concurrent_requests_under_one_key_place_one_order(
    client: httpx.AsyncClient, database: Database, customer: User, bearer: Headers
) -> None:
    headers = bearer(customer) | key()

    responses = await asyncio.gather(*(client.post("/orders", json=ORDER, headers=headers) for _ in range(10)))

    assert {response.content for response in responses} == {responses[0].content}
    assert len(database.state.table("orders")) == 1


async def test_another_body_under_the_same_key_is_refused(
    client: httpx.AsyncClient, customer: User, bearer: Headers
) -> None:
    headers = bearer(customer) | key()
    await client.post("/orders", json=ORDER, headers=headers)

    response = await client.post("/orders", json={**ORDER, "payment_method": "pm_other"}, headers=headers)

    assert error_of(response) == (422, "IDEMPOTENCY_KEY_REUSED")


async def test_an_error_leaves_the_key_free(client: httpx.AsyncClient, customer: User, bearer: Headers) -> None:
    headers = bearer(customer) | key()
    wrong = {**ORDER, "items": [{"sku": "NOPE", "quantity": 1}]}

    refused = await client.post("/orders", json=wrong, headers=headers)
    accepted = await client.post("/orders", json=ORDER, headers=headers)

    assert error_of(refused) == (422, "UNKNOWN_SKU")
    assert refused.json()["error"]["details"] == [{"field": "body.items.0.sku", "message": "unknown sku"}]
    assert accepted.status_code == 201


async def test_each_sku_that_the_shop_does_not_sell_is_named_where_it_stands(
    client: httpx.AsyncClient, customer: User, bearer: Headers
) -> None:
    items = [{"sku": sku, "quantity": 1} for sku in ("NOPE", "ABC", "NEVER")]

    refused = await client.post("/orders", json={**ORDER, "items": items}, headers=bearer(customer) | key())

    places = [each["field"] for each in refused.json()["error"]["details"]]
    assert places == ["body.items.0.sku", "body.items.2.sku"]


async def test_a_key_is_new_again_after_a_day(
    client: httpx.AsyncClient, customer: User, bearer: Headers, clock: Clock
) -> None:
    first = await client.post("/orders", json=ORDER, headers=bearer(customer) | key())
    clock.advance(timedelta(hours=24))

    # the token's own times are checked by the host's clock
    second = await client.post(
        "/orders", json={**ORDER, "payment_method": "pm_x"}, headers=_fresh(clock, bearer, customer)
    )

    assert second.status_code == 201
    assert second.json()["id"] != first.json()["id"]


def _fresh(clock: Clock, bearer: Headers, customer: User) -> dict[str, str]:
    moved, clock.offset = clock.offset, timedelta(0)
    headers = bearer(customer) | key()
    clock.offset = moved
    return headers


async def test_a_key_belongs_to_its_user(
    client: httpx.AsyncClient, database: Database, customer: User, operator: User, bearer: Headers
) -> None:
    await client.post("/orders", json=ORDER, headers=bearer(customer) | key())
    await client.post("/orders", json=ORDER, headers=bearer(operator) | key())

    assert len(database.state.table("orders")) == 2


@pytest.mark.parametrize("bad_key", [None, "", "a" * 256, "tab\there", "caf\u00e9"])
async def test_an_order_needs_a_printable_idempotency_key(
    client: httpx.AsyncClient, customer: User, bearer: Headers, bad_key: str | None
) -> None:
    headers: list[tuple[bytes, bytes]] = [(k.encode(), v.encode()) for k, v in bearer(customer).items()]
    if bad_key is not None:
        headers.append((b"Idempotency-Key", bad_key.encode("latin-1")))

    response = await client.post("/orders", json=ORDER, headers=headers)

    assert error_of(response) == (422, "VALIDATION_ERROR")
    assert response.json()["error"]["details"][0]["field"] == "header.Idempotency-Key"


def _with_items(*items: dict[str, Any]) -> dict[str, Any]:
    return {**ORDER, "items": list(items)}


@pytest.mark.parametrize(
    ("body", "field"),
    [
        (_with_items({"sku": "ABC", "quantity": 0}), "body.items.0.quantity"),
        (_with_items({"sku": "ABC", "quantity": 1001}), "body.items.0.quantity"),
        (_with_items({"sku": "ABC", "quantity": "1"}), "body.items.0.quantity"),
        (_with_items({"sku": "ABC", "quantity": 1.5}), "body.items.0.quantity"),
        (_with_items({"quantity": 1}), "body.items.0.sku"),
        (_with_items(), "body.items"),
        (_with_items(*({"sku": f"S{n}", "quantity": 1} for n in range(51))), "body.items"),
        (_with_items({"sku": "ABC", "quantity": 1}, {"sku": "ABC", "quantity": 2}), "body.items"),
        ({"items": ORDER["items"]}, "body.payment_method"),
        ({**ORDER, "payment_method": "card"}, "body.payment_method"),
        ({**ORDER, "payment_method": "pm_UPPER"}, "body.payment_method"),
        ({**ORDER, "payment_method": "pm_" + "a" * 61}, "body.payment_method"),
        (["no object"], "body"),
    ],
)
async def test_a_wrong_order_is_refused_with_the_place_of_the_mistake(
    client: httpx.AsyncClient, customer: User, bearer: Headers, body: Any, field: str
) -> None:
    response = await client.post("/orders", json=body, headers=bearer(customer) | key())

    assert error_of(response) == (422, "VALIDATION_ERROR")
    assert response.json()["error"]["details"][0]["field"] == field


@pytest.mark.parametrize("body", [b"{nope", b"", b"\xff\xfe", b"[" * 10_000])
async def test_what_is_no_json_is_refused(
    client: httpx.AsyncClient, customer: User, bearer: Headers, body: bytes
) -> None:
    headers = bearer(customer) | key() | {"Content-Type": "application/json"}

    response = await client.post("/orders", content=body, headers=headers)

    assert error_of(response) == (422, "VALIDATION_ERROR")
    assert response.json()["error"]["details"][0]["field"] == "body"


async def test_a_body_over_64_kib_is_refused(client: httpx.AsyncClient, customer: User, bearer: Headers) -> None:
    headers = bearer(customer) | key() | {"Content-Type": "application/json"}

    response = await client.post("/orders", content=b" " * (64 * 1024 + 1), headers=headers)

    assert error_of(response) == (413, "PAYLOAD_TOO_LARGE")


async def test_a_customer_cancels_their_order_and_may_do_it_twice(
    client: httpx.AsyncClient, customer: User, bearer: Headers
) -> None:
    placed = await client.post("/orders", json=ORDER, headers=bearer(customer) | key())
    url = f"/orders/{placed.json()['id']}/cancel"

    cancelled = await client.post(url, headers=bearer(customer))
    again = await client.post(url, headers=bearer(customer))

    assert (cancelled.status_code, cancelled.json()["status"]) == (200, "CANCELLED")
    assert cancelled.json()["history"][-1]["reason"] == "customer"
    assert again.json() == cancelled.json()


async def test_somebody_elses_order_is_not_found_but_an_operator_reads_and_cancels_it(
    client: httpx.AsyncClient, customer: User, operator: User, bearer: Headers, order: Order
) -> None:
    for path in (f"/orders/{order.id}", f"/orders/{uuid4()}", "/orders/no-uuid"):
        assert error_of(await client.get(path, headers=bearer(customer))) == (404, "NOT_FOUND")
    assert error_of(await client.post(f"/orders/{order.id}/cancel", headers=bearer(customer))) == (404, "NOT_FOUND")
    assert (await client.get(f"/orders/{order.id}", headers=bearer(operator))).status_code == 200
    assert (await client.post(f"/orders/{order.id}/cancel", headers=bearer(operator))).status_code == 200


async def pages(client: httpx.AsyncClient, headers: dict[str, str]) -> list[list[str]]:
    """The ids of somebody's orders, two a page."""
    seen: list[list[str]] = []
    query: dict[str, Any] = {"limit": 2}
    while query.get("cursor", "first") is not None:
        page = (await client.get("/orders", params=query, headers=headers)).json()
        seen.append([order["id"] for order in page["items"]])
        query = {"limit": 2, "cursor": page["next_cursor"]}
    return seen


async def test_ones_orders_come_newest_first_in_pages(
    client: httpx.AsyncClient, database: Database, customer: User, bearer: Headers
) -> None:
    headers = bearer(customer)
    placed = [(await client.post("/orders", json=ORDER, headers=headers | key(f"k{n}"))).json()["id"] for n in range(5)]
    await stored(database, orders=[OrderFactory.create()])

    assert await pages(client, headers) == [placed[4:2:-1], placed[2:0:-1], placed[:1]]


@pytest.mark.parametrize("apart", [timedelta(microseconds=1), timedelta(0)])
async def test_no_order_of_a_busy_moment_is_missing_between_two_pages(
    client: httpx.AsyncClient, database: Database, customer: User, bearer: Headers, apart: timedelta
) -> None:
    mine = CustomerFactory.create(id=customer.id)
    orders: list[Order] = [OrderFactory.create(customer=mine, at=NOW + number * apart) for number in range(5)]
    await stored(database, orders=orders)
    newest_first = sorted(orders, key=lambda order: (order.placed_at, order.id), reverse=True)

    seen = await pages(client, bearer(customer))

    assert [one for page in seen for one in page] == [str(order.id) for order in newest_first]


async def test_a_page_has_twenty_orders_unless_another_number_is_asked_for(
    client: httpx.AsyncClient, database: Database, customer: User, bearer: Headers
) -> None:
    mine = CustomerFactory.create(id=customer.id)
    await stored(database, orders=[OrderFactory.create(customer=mine) for _ in range(21)])

    page = (await client.get("/orders", headers=bearer(customer))).json()

    assert (len(page["items"]), page["next_cursor"] is None) == (20, False)


def cursor(text: str) -> str:
    """A cursor that somebody makes up."""
    return f"cursor={base64.urlsafe_b64encode(text.encode()).decode()}"


SOMEBODY = "6ba7b810-9dad-11d1-80b4-00c04fd430c8"


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("limit=0", "query.limit"),
        ("limit=101", "query.limit"),
        ("cursor=xx", "query.cursor"),
        ("cursor=", "query.cursor"),
        (cursor("\xff"), "query.cursor"),
        (cursor(f"soon {SOMEBODY}"), "query.cursor"),
        (cursor("2026-01-15T12:00:00+00:00 nobody"), "query.cursor"),
        (cursor(f"2026-01-15T12:00:00+00:00 {SOMEBODY} more"), "query.cursor"),
        (cursor(f"0001-01-01T00:00:00+14:00 {SOMEBODY}"), "query.cursor"),
        (cursor(f"9999-12-31T23:59:59-14:00 {SOMEBODY}"), "query.cursor"),
    ],
)
async def test_a_bad_page_is_refused(
    client: httpx.AsyncClient, customer: User, bearer: Headers, query: str, field: str
) -> None:
    response = await client.get(f"/orders?{query}", headers=bearer(customer))

    assert error_of(response) == (422, "VALIDATION_ERROR")
    assert response.json()["error"]["details"][0]["field"] == field


async def test_products_are_public(client: httpx.AsyncClient) -> None:
    response = await client.get("/products")

    assert response.json() == {"items": [{"sku": "ABC", "name": "Blue mug", "unit_price": "25.00", "currency": "EUR"}]}
