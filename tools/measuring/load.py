"""The load of a measurement: customers who each place one order after the other, as fast as they are answered."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from itertools import count
from time import perf_counter, time
from uuid import uuid4

import httpx
from shop_harness.customers import API, Headers, OrdersApi, Patience, order_of

CARD = "pm_card_ok"
PATIENCE = Patience(within=180, again_on={httpx.codes.SERVICE_UNAVAILABLE})
"""A password waits for its turn, and is told to come again."""


class LoadError(RuntimeError):
    """The shop refused an order; the message is one line for a person."""


@dataclass(frozen=True)
class Order:
    """One that was answered with 201: when it was placed, in seconds since 1970, and after how many seconds."""

    order_id: str
    placed_at: float
    seconds: float


@dataclass(frozen=True)
class Answered:
    """Orders that were answered with 201, and how many seconds each took."""

    orders: Sequence[Order]

    @property
    def ids(self) -> Sequence[str]:
        return [order.order_id for order in self.orders]

    @property
    def seconds(self) -> Sequence[float]:
        return [order.seconds for order in self.orders]


@dataclass
class Customers:
    """As many as place orders at the same time; each is logged in."""

    api: OrdersApi
    headers: Sequence[Headers]
    _keys: Iterator[str] = field(default_factory=lambda: (f"measured-{number}" for number in count()))

    @classmethod
    @asynccontextmanager
    async def of(cls, url: str, number: int) -> AsyncIterator["Customers"]:
        """New customers of the orders service at `url`."""
        async with httpx.AsyncClient(base_url=f"{url}{API}", timeout=30, trust_env=False) as client:
            api, name = OrdersApi(client, PATIENCE), uuid4().hex[:8]
            emails = [f"{name}-{customer}@example.com" for customer in range(number)]
            for email in emails:
                (await api.register(email)).raise_for_status()
            yield cls(api, [await api.log_in(email) for email in emails])

    async def place(self, orders: int, *, answered: Callable[[int], None] = lambda _: None) -> Answered:
        """Place so many orders; `answered` hears of each how many there are. Raises LoadError, NoAnswerError."""
        placed: list[Order] = []
        turns = iter(range(orders))

        async def shop(headers: Headers) -> None:
            for _ in turns:
                placed.append(await self._timed(headers))
                answered(len(placed))

        await asyncio.gather(*(shop(headers) for headers in self.headers))
        return Answered(placed)

    async def place_at(self, rate: float, orders: int) -> Answered:
        """Place so many orders, `rate` a second, whether those before are answered or not.

        An order's time counts from the moment at which it was to come, so that a queue is seen. The first one
        that is refused ends the load. Raises LoadError, NoAnswerError.
        """
        clock = asyncio.get_running_loop().time
        begun, at = clock(), time()

        async def shop(number: int) -> Order:
            due = number / rate
            order_id = await self._place_one(self.headers[number % len(self.headers)])
            return Order(order_id, at + due, clock() - begun - due)

        tasks = []
        try:
            async with asyncio.TaskGroup() as group:
                for number in range(orders):
                    await asyncio.sleep(begun + number / rate - clock())
                    tasks.append(group.create_task(shop(number)))
        except ExceptionGroup as refused:
            raise refused.exceptions[0] from None
        return Answered([task.result() for task in tasks])

    async def place_traced(self, traceparent: str) -> Order:
        """Place one order in a trace. Raises LoadError, NoAnswerError."""
        return await self._timed({**self.headers[0], "traceparent": traceparent})

    async def _timed(self, headers: Headers) -> Order:
        at, begun = time(), perf_counter()
        return Order(await self._place_one(headers), at, perf_counter() - begun)

    async def _place_one(self, headers: Headers) -> str:
        response = await self.api.place(order_of(CARD), key=next(self._keys), headers=headers)
        if response.status_code != httpx.codes.CREATED:
            raise LoadError(f"POST /orders answered {response.status_code}: {response.text[:200]}")
        return str(response.json()["id"])
