"""The customers of the benches: when their orders come, and from when on their time counts."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx
import pytest
from shop_harness.customers import OrdersApi

from tools.bench_load.__main__ import reached
from tools.measuring.load import PATIENCE, Customers, LoadError, Order

RATE = 50.0


class Shop:
    """Answers nobody before so many orders have come, and takes only so many."""

    def __init__(self, *, answers_from: int = 1, room: int = 1000) -> None:
        self._answers_from, self._room = answers_from, room
        self._answers = asyncio.Event()
        self.keys: list[str] = []

    async def answer(self, request: httpx.Request) -> httpx.Response:
        self.keys.append(request.headers["Idempotency-Key"])
        number = len(self.keys)
        if number >= self._answers_from:
            self._answers.set()
        await self._answers.wait()
        return (
            httpx.Response(409, text="full") if number > self._room else httpx.Response(201, json={"id": str(number)})
        )


@asynccontextmanager
async def customers_of(shop: Shop, number: int = 2) -> AsyncIterator[Customers]:
    async with httpx.AsyncClient(transport=httpx.MockTransport(shop.answer), base_url="http://shop") as http:
        yield Customers(OrdersApi(http, PATIENCE), [{"Authorization": str(each)} for each in range(number)])


async def test_orders_at_a_rate_come_at_that_rate() -> None:
    async with customers_of(Shop()) as customers:
        answered = await customers.place_at(RATE, 6)

    begun = answered.orders[0].placed_at
    after = [order.placed_at - begun for order in answered.orders]
    assert after == pytest.approx([each / RATE for each in range(6)], abs=1e-5)
    assert sorted(answered.ids) == [*"123456"]


async def test_orders_come_whether_those_before_are_answered_or_not() -> None:
    async with customers_of(Shop(answers_from=6)) as customers:
        answered = await customers.place_at(RATE, 6)

    first, *_, last = answered.seconds
    assert first > 0.9 * 5 / RATE  # it waited for the last one to come
    assert first - last > 0.5 * 5 / RATE  # both were answered at one time, and the last one was to come later


def test_the_rate_that_was_reached_ends_with_the_last_confirmation() -> None:
    orders = [Order("a", placed_at=10.0, seconds=1.0), Order("b", placed_at=11.0, seconds=7.0)]

    assert reached(orders, {"other": 99.0, "b": 14.0, "a": 13.0}) == pytest.approx(2 / 4)


async def test_a_refused_order_ends_a_load_at_a_rate_at_once() -> None:
    shop = Shop(room=0)
    async with customers_of(shop) as customers:
        with pytest.raises(LoadError):
            await customers.place_at(RATE, 1000)

    assert len(shop.keys) < 1000


async def test_each_order_has_a_key_of_its_own() -> None:
    shop = Shop()
    async with customers_of(shop) as customers:
        await customers.place(3)
        await customers.place_at(RATE, 3)

    assert len(set(shop.keys)) == 6


@pytest.mark.parametrize("rate", [None, RATE])
async def test_an_order_that_is_refused_ends_the_load_with_what_was_answered(rate: float | None) -> None:
    async with customers_of(Shop(room=2)) as customers:
        with pytest.raises(LoadError, match="POST /orders answered 409: full"):
            await (customers.place(5) if rate is None else customers.place_at(rate, 5))
