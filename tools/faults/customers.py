"""Customers who place orders at a set rate, ask again when nobody answers, and sometimes cancel or repeat."""

import asyncio
import random
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import count
from typing import Any

import httpx
from outboxed._backoff import backoff

from tools.faults.system import Replica

CUSTOMERS = 24
REFUSED_CUSTOMERS = 2
"""Whose mailboxes don't exist: each of their e-mails is a dead letter."""
PASSWORD = "a customer under faults"  # lives as long as the run
CARDS = {
    "pm_card_ok": 62,
    "pm_card_declined": 12,
    "pm_card_slow": 8,
    "pm_card_flaky": 10,
    "pm_card_timeout_after_charge": 8,
}
CANCELS, REPEATS, CHANGES_BODY = 0.15, 0.1, 0.03
CANCEL_AFTER = (0.0, 0.3, 2.0, 5.0)
ANSWER_LIMIT = 10.0
"""Longer than orders waits for a connection (5 s): who leaves before the answer and asks again adds to the load."""
AT_ONCE = 40
"""So that an outage isn't followed by an overload, which would be another test."""
PASSWORDS_AT_ONCE = 4
"""To hash one takes a good part of a second of a core."""
PATIENCE = 120.0
FIRST_BACKOFF, MAX_BACKOFF = 0.2, 3.0
POLL = 0.1
TRY_AGAIN = {429, 500, 502, 503, 504}


class NobodyAnswersError(RuntimeError):
    """The shop gave no answer for longer than any fault lasts."""


@dataclass(frozen=True)
class Placed:
    """An order that was answered with 201."""

    order_id: str
    email: str
    card: str
    at: datetime


@dataclass
class Customers:
    """All of them; ``broken`` are sentences about answers that no customer should get."""

    replicas: Sequence[Replica]
    http: httpx.AsyncClient
    mailbox_url: str
    seed: int
    placed: dict[str, Placed] = field(default_factory=dict)
    broken: list[str] = field(default_factory=list)
    repeated: int = 0
    _tokens: dict[str, str] = field(default_factory=dict)
    _numbers: Any = field(default_factory=lambda: count(1))
    _turn: int = 0

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
                await self._enter(email)

        await asyncio.gather(*(enter(email) for email in emails))

    async def place(self, orders: int, *, rate: float) -> None:
        """Place so many orders, ``rate`` a second, while fewer than AT_ONCE customers are waiting."""
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
        """Place an order that nothing of its own delays; the seconds until its e-mail is in the mailbox."""
        begun = asyncio.get_running_loop().time()
        number = next(self._numbers)
        placed = await self._place(number, f"customer{number % CUSTOMERS}@example.com", "pm_card_ok")
        mailbox = f"{self.mailbox_url}/api/v1/search"
        query = {"query": f"message-id:confirmation.{placed.order_id}"}
        # a customer looks at the mailbox: there is nothing to wait on in another process
        while not (await self.http.get(mailbox, params=query)).raise_for_status().json()["messages_count"]:  # noqa: ASYNC110
            await asyncio.sleep(POLL)
        return asyncio.get_running_loop().time() - begun

    async def _shop(self, number: int) -> None:
        rng = random.Random(f"{self.seed} {number}")  # noqa: S311  # a load, not a secret
        everybody = [*self._tokens]
        email = everybody[number % len(everybody)]
        card = rng.choices(list(CARDS), weights=list(CARDS.values()))[0]
        placed = await self._place(number, email, card)
        if rng.random() < REPEATS:
            await self._repeat(number, placed)
        if rng.random() < CHANGES_BODY:
            await self._change_body(number, placed)
        if rng.random() < CANCELS:
            await asyncio.sleep(rng.choice(CANCEL_AFTER))
            response = await self._send("POST", f"/orders/{placed.order_id}/cancel", headers=self._headers(email))
            self._expect(response, 200, f"cancel {placed.order_id}")

    async def _place(self, number: int, email: str, card: str) -> Placed:
        response = await self._send("POST", "/orders", json=_body(card), headers=self._headers(email, number))
        if response.status_code != httpx.codes.CREATED:
            raise NobodyAnswersError(f"POST /orders answered {response.status_code}: {response.text}")
        placed = Placed(response.json()["id"], email, card, datetime.now(UTC))
        if placed.order_id in self.placed:
            self.broken.append(f"one order for a key: {placed.order_id} was given for a second key")
        self.placed[placed.order_id] = placed
        return placed

    async def _repeat(self, number: int, placed: Placed) -> None:
        headers = self._headers(placed.email, number)
        response = await self._send("POST", "/orders", json=_body(placed.card), headers=headers)
        self.repeated += 1
        self._expect(response, 201, f"repeat {placed.order_id}")
        if response.is_success and response.json()["id"] != placed.order_id:
            self.broken.append(f"the same key gives the same order: {placed.order_id} became {response.json()['id']}")

    async def _change_body(self, number: int, placed: Placed) -> None:
        headers = self._headers(placed.email, number)
        response = await self._send("POST", "/orders", json=_body(placed.card, quantity=9), headers=headers)
        self.repeated += 1
        self._expect(response, 422, f"another body under the key of {placed.order_id}")

    def _expect(self, response: httpx.Response, status: int, what: str) -> None:
        if response.status_code != status:
            self.broken.append(f"{what} is answered with {status}: it was {response.status_code} {response.text}")

    def _headers(self, email: str, number: int | None = None) -> dict[str, str]:
        key = {} if number is None else {"Idempotency-Key": f"faults-{self.seed}-{number}"}
        return {"Authorization": f"Bearer {self._tokens[email]}", **key}

    async def _enter(self, email: str) -> None:
        await self._send("POST", "/users", json={"email": email, "name": "Ada", "password": PASSWORD})
        response = await self._send("POST", "/tokens", data={"username": email, "password": PASSWORD})
        self._tokens[email] = response.raise_for_status().json()["access_token"]

    async def _send(self, method: str, path: str, **content: Any) -> httpx.Response:
        """Ask one replica after the other until one answers: everything here takes effect once, by key or by nature."""
        clock = asyncio.get_running_loop().time
        deadline = clock() + PATIENCE
        for attempt in count(1):
            if clock() > deadline:
                break
            self._turn += 1
            url = f"{self.replicas[self._turn % len(self.replicas)].url}/api/v1{path}"
            try:
                response = await self.http.request(method, url, timeout=ANSWER_LIMIT, **content)
            except httpx.TransportError:
                pass
            else:
                if response.status_code not in TRY_AGAIN:
                    return response
            await asyncio.sleep(backoff(attempt, first=FIRST_BACKOFF, cap=MAX_BACKOFF))
        raise NobodyAnswersError(f"no answer to {method} {path} for {PATIENCE:g} s")


def _body(card: str, quantity: int = 4) -> dict[str, Any]:
    return {"items": [{"sku": "ABC", "quantity": quantity}], "payment_method": card}
