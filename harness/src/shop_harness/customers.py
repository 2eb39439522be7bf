"""Orders' HTTP API as its customers use it: the same client for the demo, the tests and the tools."""

import asyncio
import random
from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from datetime import datetime
from itertools import count
from typing import Any

import httpx

API = "/api/v1"
PASSWORD = "correct horse"  # noqa: S105 - lives as long as the shop that it is for
ANSWERED_WITH_ERROR = frozenset({429, 500, 502, 503, 504})
Headers = Mapping[str, str]


class NoAnswerError(RuntimeError):
    """Nobody answered for longer than the customer waits; the message is one line for a person."""


@dataclass(frozen=True)
class Placed:
    """An order that was answered with 201, whose it is, and when."""

    order_id: str
    email: str
    at: datetime
    payment_method: str = ""


@dataclass(frozen=True)
class Patience:
    """How many seconds a customer asks again, and after which statuses; pauses grow from `first` to `cap`."""

    within: float
    again_on: AbstractSet[int] = ANSWERED_WITH_ERROR
    first: float = 0.1
    cap: float = 0.1

    def pause(self, attempt: int) -> float:
        """Seconds before the next attempt; no two customers take the same."""
        return min(self.cap, self.first * float(2 ** min(attempt, 16))) * random.uniform(0.5, 1)  # noqa: S311 - no secret


ONCE = Patience(0, again_on=frozenset())


@dataclass(frozen=True)
class OrdersApi:
    """It asks one address after the other until it is answered: all that it asks for takes effect once.

    `addresses` are URLs of the API; an empty one is the client's own. Raises NoAnswerError.
    """

    http: httpx.AsyncClient
    patience: Patience = ONCE
    addresses: Sequence[str] = ("",)

    async def register(self, email: str, *, name: str = "Ada") -> httpx.Response:
        """Make an account; 409 where an earlier attempt did, and its answer was lost."""
        return await self.send("POST", "/users", json={"email": email, "name": name, "password": PASSWORD})

    async def log_in(self, email: str, password: str = PASSWORD) -> dict[str, str]:
        """The headers of somebody who is logged in. Raises httpx.HTTPStatusError."""
        answer = await self.send("POST", "/tokens", data={"username": email, "password": password})
        return {"Authorization": f"Bearer {answer.raise_for_status().json()['access_token']}"}

    async def place(self, order: Mapping[str, Any] | bytes, *, key: str, headers: Headers) -> httpx.Response:
        """Place an order under an Idempotency-Key; it may be any bytes."""
        content = {"content": order} if isinstance(order, bytes) else {"json": order}
        json = {"Content-Type": "application/json", "Idempotency-Key": key}
        return await self.send("POST", "/orders", headers={**headers, **json}, **content)

    async def read(self, order_id: str, *, headers: Headers) -> httpx.Response:
        """An order as it is now."""
        return await self.send("GET", f"/orders/{order_id}", headers=headers)

    async def cancel(self, order_id: str, *, headers: Headers) -> httpx.Response:
        """Cancel an order."""
        return await self.send("POST", f"/orders/{order_id}/cancel", headers=headers)

    async def send(self, method: str, path: str, **content: Any) -> httpx.Response:
        """Ask until somebody answers."""
        clock = asyncio.get_running_loop().time
        deadline, offset = clock() + self.patience.within, next(_turns)
        for attempt in count():
            address = self.addresses[(offset + attempt) % len(self.addresses)]
            try:
                response = await self.http.request(method, f"{address}{path}", **content)
            except httpx.TransportError:
                pass
            else:
                if response.status_code not in self.patience.again_on:
                    return response
            if clock() >= deadline:
                break
            await asyncio.sleep(self.patience.pause(attempt))
        raise NoAnswerError(f"no answer to {method} {path} for {self.patience.within:g} s")


_turns = count()


def order_of(payment_method: str, *, quantity: int = 4) -> dict[str, Any]:
    """The body of a small order."""
    return {"items": [{"sku": "ABC", "quantity": quantity}], "payment_method": payment_method}
