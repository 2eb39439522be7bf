"""What a line of the demo asks of the shop: an account once, a membership, an order, its cancellation."""

import asyncio
from collections.abc import AsyncIterator

import httpx
import pytest
from shop_demo.customers import Customers, Outcome, Pace, place_all
from shop_demo.order_lines import OrderLine
from shop_harness.customers import OrdersApi
from shop_harness.system import OPERATOR_EMAIL

Asked = list[tuple[str, str, str]]
"""Method, path, and whose token came with it."""


@pytest.fixture
def asked() -> Asked:
    return []


@pytest.fixture
async def customers(asked: Asked) -> AsyncIterator[Customers]:
    def answer(request: httpx.Request) -> httpx.Response:
        asked.append((request.method, request.url.path, request.headers.get("Authorization", "")))
        if request.url.path == "/tokens":
            user = httpx.QueryParams(request.content.decode())["username"]
            return httpx.Response(200, json={"access_token": user})
        if request.url.path == "/orders":
            refused = request.content == b"no order"
            return httpx.Response(422 if refused else 201, json={"id": "1", "error": {"code": "X", "message": "y"}})
        return httpx.Response(200, json={"id": "u1", "status": "CONFIRMED"})

    async with httpx.AsyncClient(transport=httpx.MockTransport(answer), base_url="http://shop") as http:
        yield Customers(OrdersApi(http))


def line(body: bytes = b"{}", **more: object) -> OrderLine:
    return OrderLine(1, body, "Ada", **more)  # type: ignore[arg-type] # what the test is about


async def test_a_customer_has_one_account_for_all_their_lines(customers: Customers, asked: Asked) -> None:
    outcome = Outcome()

    for round_ in range(2):
        await customers.place(line(), round_, outcome)

    assert [path for _, path, _ in asked] == ["/users", "/tokens", "/orders", "/orders"]
    assert [token for _, path, token in asked if path == "/orders"] == ["Bearer ada@example.com"] * 2
    assert outcome.answered == {"1": "ada@example.com"}


async def test_a_member_is_made_one_by_the_operator_before_they_order(customers: Customers, asked: Asked) -> None:
    await customers.place(line(is_member=True), 0, Outcome())

    made = ("PUT", "/users/u1/membership", f"Bearer {OPERATOR_EMAIL}")
    assert asked.index(made) < next(number for number, (_, path, _) in enumerate(asked) if path == "/orders")


@pytest.mark.parametrize(
    ("cancel", "after"),
    [(None, []), ("at_once", ["/orders/1/cancel"]), ("when_confirmed", ["/orders/1", "/orders/1/cancel"])],
)
async def test_an_order_is_cancelled_when_its_line_says_so(
    customers: Customers, asked: Asked, cancel: str | None, after: list[str]
) -> None:
    await customers.place(line(cancel=cancel), 0, Outcome())

    assert [path for _, path, _ in asked][3:] == after


async def test_a_line_that_is_refused_is_noted_and_not_cancelled(customers: Customers, asked: Asked) -> None:
    outcome = Outcome()

    await customers.place(line(b"no order", cancel="at_once"), 0, outcome)

    assert [(one.number, one.status, one.code) for one in outcome.rejected] == [(1, 422, "X")]
    assert asked[-1][1] == "/orders"
    assert outcome.accepted == {}


async def test_an_order_that_is_answered_again_was_accepted_the_first_time(customers: Customers) -> None:
    outcome = Outcome()
    await customers.place(line(), 0, outcome)
    first = outcome.accepted["1"]

    await customers.place(line(), 0, outcome)

    assert outcome.accepted == {"1": first}


async def test_where_every_line_is_refused_the_demo_ends(customers: Customers) -> None:
    lines = [line(b"no order"), line(b"no order")]

    async with asyncio.timeout(5):
        outcome = await place_all(customers, lines, orders=3, pace=Pace(10_000), sent=lambda: None)

    assert outcome.accepted == {}
    assert len(outcome.rejected) >= len(lines), "each had its turn"
