"""The load of a measurement: customers who each place one order after the other, as fast as they are answered."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from itertools import count
from time import perf_counter
from uuid import uuid4

import httpx
from shop_harness.customers import API, Headers, OrdersApi, Patience, order_of

CARD = "pm_card_ok"
PATIENCE = Patience(within=180, again_on={httpx.codes.SERVICE_UNAVAILABLE})
"""A password waits for its turn, and is told to come again."""


class LoadError(RuntimeError):
    """The shop refused an order; the message is one line for a person."""


@dataclass(frozen=True)
class Answered:
    """Orders that were answered with 201, and how many seconds each took."""

    ids: Sequence[str]
    seconds: Sequence[float]


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
        ids: list[str] = []
        seconds: list[float] = []
        turns = iter(range(orders))

        async def shop(headers: Headers) -> None:
            for _ in turns:
                begun = perf_counter()
                ids.append(await self._place_one(headers))
                seconds.append(perf_counter() - begun)
                answered(len(ids))

        await asyncio.gather(*(shop(headers) for headers in self.headers))
        return Answered(ids, seconds)

    async def _place_one(self, headers: Headers) -> str:
        response = await self.api.place(order_of(CARD), key=next(self._keys), headers=headers)
        if response.status_code != httpx.codes.CREATED:
            raise LoadError(f"POST /orders answered {response.status_code}: {response.text[:200]}")
        return str(response.json()["id"])
