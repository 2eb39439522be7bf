"""Orders at a steady pace, whatever the shop answers: the load under which faults are switched on."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import count
from uuid import uuid4

import httpx
from shop_harness.customers import API, Headers, NoAnswerError, OrdersApi, Patience, order_of

CARD = "pm_card_ok"
PATIENCE = Patience(within=60, first=0.2, cap=1.0)
ANSWER_SECONDS = 10.0
AT_ONCE = 40


class Load:
    """Places an order every `1 / rate` seconds. A fault chooses another `card` for its time."""

    def __init__(self, api: OrdersApi, headers: Headers, rate: float) -> None:
        self.card = CARD
        self.placed: list[str] = []
        self._api = api
        self._headers = headers
        self._rate = rate
        self._keys = (f"alarms-{number}" for number in count())
        self._orders: set[asyncio.Task[None]] = set()

    @classmethod
    @asynccontextmanager
    async def running(cls, url: str, rate: float) -> AsyncIterator["Load"]:
        """Orders come until the end of the block."""
        limits = httpx.Limits(max_connections=AT_ONCE, max_keepalive_connections=AT_ONCE)
        async with httpx.AsyncClient(
            base_url=f"{url}{API}", timeout=ANSWER_SECONDS, limits=limits, trust_env=False
        ) as client:
            once = OrdersApi(client, PATIENCE)
            email = f"{uuid4().hex[:8]}@example.com"
            (await once.register(email)).raise_for_status()
            load = cls(once, await once.log_in(email), rate)
            running = asyncio.create_task(load._run())
            try:
                yield load
            finally:
                running.cancel()
                await asyncio.gather(running, *load._orders, return_exceptions=True)

    async def cancel(self, order_id: str) -> None:
        """The customer cancels an order. Raises NoAnswerError, httpx.HTTPStatusError."""
        (await self._api.cancel(order_id, headers=self._headers)).raise_for_status()

    async def _run(self) -> None:
        while True:
            if len(self._orders) < AT_ONCE:
                order = asyncio.create_task(self._place(next(self._keys)))
                self._orders.add(order)
                order.add_done_callback(self._orders.discard)
            await asyncio.sleep(1 / self._rate)

    async def _place(self, key: str) -> None:
        try:
            response = await self._api.place(order_of(self.card), key=key, headers=self._headers)
        except NoAnswerError:
            return  # an outage that lasted longer than the customer waits
        if response.status_code == httpx.codes.CREATED:
            self.placed.append(str(response.json()["id"]))
