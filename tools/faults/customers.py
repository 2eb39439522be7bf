"""Customers who place orders at a set rate, ask again when nobody answers, and sometimes cancel or repeat."""

import asyncio
import random
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import count
from typing import Any

import httpx
from backing_services.waiting import eventually
from shop_harness.customers import API, NoAnswerError, OrdersApi, Patience, Placed, order_of

from tools.faults.system import Replica

CUSTOMERS = 24
REFUSED_CUSTOMERS = 2
"""Customers without a mailbox: each of their e-mails is a dead letter."""
CARDS = {
    "pm_card_ok": 62,
    "pm_card_declined": 12,
    "pm_card_slow": 8,
    "pm_card_flaky": 10,
    "pm_card_timeout_after_charge": 8,
}
CANCELS, REPEATS, CHANGES_BODY = 0.15, 0.1, 0.03
CANCEL_AFTER = (0.0, 0.3, 2.0, 5.0)
AT_ONCE = 40
"""A limit, because an overload after an outage would be another test."""
PASSWORDS_AT_ONCE = 4
"""A limit, because hashing a password takes a large part of a second of a core."""
PATIENCE = Patience(within=120, first=0.2, cap=3)
POLL = 0.1


@dataclass
class Customers:
    """All customers; `wrong_answers` are sentences about answers that no customer should get."""

    replicas: Sequence[Replica]
    http: httpx.AsyncClient
    mail_catcher_url: str
    seed: int
    placed: dict[str, Placed] = field(default_factory=dict)
    wrong_answers: list[str] = field(default_factory=list)
    repeated: int = 0
    _logged_in: dict[str, dict[str, str]] = field(default_factory=dict)
    _numbers: Any = field(default_factory=lambda: count(1))

    def __post_init__(self) -> None:
        self._api = OrdersApi(self.http, PATIENCE, [f"{replica.url}{API}" for replica in self.replicas])

    @property
    def refused(self) -> list[str]:
        """Addresses that the mail server refuses for good."""
        return [f"refused{number}@example.com" for number in range(REFUSED_CUSTOMERS)]

    async def register(self) -> None:
        """Give everybody an account."""
        emails = [f"customer{number}@example.com" for number in range(CUSTOMERS)] + self.refused
        at_once = asyncio.Semaphore(PASSWORDS_AT_ONCE)

        async def enter(email: str) -> None:
            async with at_once:
                await self._api.register(email)
                self._logged_in[email] = await self._api.log_in(email)

        await asyncio.gather(*(enter(email) for email in emails))

    async def place(self, orders: int, *, rate: float) -> None:
        """Place so many orders, `rate` a second, while fewer than AT_ONCE customers are waiting."""
        clock = asyncio.get_running_loop().time
        begun = clock()
        room = asyncio.Semaphore(AT_ONCE)

        async def shop(number: int) -> None:
            try:
                await self._shop(number)
            finally:
                room.release()

        async with asyncio.TaskGroup() as group:
            for number in range(orders):
                await asyncio.sleep(max(0.0, begun + number / rate - clock()))
                await room.acquire()
                group.create_task(shop(next(self._numbers)))

    async def probe(self) -> float:
        """Place an order with a fast card; returns the seconds until the order's e-mail has arrived."""
        begun = asyncio.get_running_loop().time()
        number = next(self._numbers)
        placed = await self._place(number, f"customer{number % CUSTOMERS}@example.com", "pm_card_ok")
        search = f"{self.mail_catcher_url}/api/v1/search"
        query = {"query": f"message-id:confirmation.{placed.order_id}"}

        async def has_come() -> bool:
            found = (await self.http.get(search, params=query)).raise_for_status().json()
            return bool(found["messages_count"])

        await eventually(has_come, within=PATIENCE.within, every=POLL)
        return asyncio.get_running_loop().time() - begun

    async def _shop(self, number: int) -> None:
        rng = random.Random(f"{self.seed} {number}")  # noqa: S311 - a load, not a secret
        everybody = [*self._logged_in]
        email = everybody[number % len(everybody)]
        card = rng.choices(list(CARDS), weights=list(CARDS.values()))[0]
        placed = await self._place(number, email, card)
        if rng.random() < REPEATS:
            await self._repeat(number, placed)
        if rng.random() < CHANGES_BODY:
            await self._change_body(number, placed)
        if rng.random() < CANCELS:
            await asyncio.sleep(rng.choice(CANCEL_AFTER))
            response = await self._api.cancel(placed.order_id, headers=self._logged_in[email])
            self._expect(response, 200, f"cancel {placed.order_id}")

    async def _place(self, number: int, email: str, card: str) -> Placed:
        response = await self._send(number, email, card)
        if response.status_code != httpx.codes.CREATED:
            raise NoAnswerError(f"POST /orders answered {response.status_code}: {response.text}")
        placed = Placed(response.json()["id"], email, datetime.now(UTC), card)
        if placed.order_id in self.placed:
            self.wrong_answers.append(f"one order for a key: {placed.order_id} was given for a second key")
        self.placed[placed.order_id] = placed
        return placed

    async def _repeat(self, number: int, placed: Placed) -> None:
        response = await self._send(number, placed.email, placed.payment_method)
        self.repeated += 1
        self._expect(response, 201, f"repeat {placed.order_id}")
        if response.is_success and response.json()["id"] != placed.order_id:
            self.wrong_answers.append(
                f"the same key gives the same order: {placed.order_id} became {response.json()['id']}"
            )

    async def _change_body(self, number: int, placed: Placed) -> None:
        response = await self._send(number, placed.email, placed.payment_method, quantity=9)
        self.repeated += 1
        self._expect(response, 422, f"another body under the key of {placed.order_id}")

    def _expect(self, response: httpx.Response, status: int, what: str) -> None:
        if response.status_code != status:
            self.wrong_answers.append(
                f"{what} is answered with {status}: it was {response.status_code} {response.text}"
            )

    async def _send(self, number: int, email: str, card: str, *, quantity: int = 4) -> httpx.Response:
        order, key = order_of(card, quantity=quantity), f"faults-{self.seed}-{number}"
        return await self._api.place(order, key=key, headers=self._logged_in[email])
