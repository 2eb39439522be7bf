"""The customers of the demo, over HTTP as anybody would: place orders, wait, cancel."""

import asyncio
import re
import time
from collections import defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import islice
from typing import Any

import httpx
from shop_harness.system import OPERATOR_EMAIL, OPERATOR_PASSWORD, System

from shop_demo.order_lines import OrderLine, repeated

CONCURRENCY = 8
PASSWORD = "a customer of the demo"  # noqa: S105  # lives as long as the demo
POLL_SECONDS = 0.1
CONFIRMED_WITHIN = 30.0
AWAY_WITHIN = 30.0


class ShopError(RuntimeError):
    """The shop did what no customer can live with; the message is one line for a person."""


@dataclass(frozen=True)
class Accepted:
    """An order that was answered with 201, and when."""

    order_id: str
    at: datetime
    email: str
    number: int


@dataclass(frozen=True)
class Rejected:
    """A line that was refused; ``code`` is the API's."""

    number: int
    status: int
    code: str
    message: str


@dataclass
class Outcome:
    """What the API answered."""

    accepted: dict[str, Accepted] = field(default_factory=dict)
    rejected: list[Rejected] = field(default_factory=list)
    replayed: int = 0


class Shop:
    """The shop's HTTP API."""

    def __init__(self, client: httpx.AsyncClient) -> None:
        self._client = client
        self._tokens: dict[str, str] = {}
        self._entering: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)

    @staticmethod
    @asynccontextmanager
    async def open(system: System) -> AsyncIterator["Shop"]:
        """The shop of a running system."""
        async with httpx.AsyncClient(base_url=f"{system.ports.url('orders')}/api/v1", timeout=30) as client:
            yield Shop(client)

    async def place(self, line: OrderLine, round_: int, outcome: Outcome) -> None:
        """Send a line; cancel it if the line says so."""
        email = f"{re.sub('[^a-z0-9]+', '-', line.customer.lower()).strip('-')[:60] or 'customer'}@example.com"
        headers = await self._headers(email, line)
        headers["Idempotency-Key"] = line.key(round_)
        headers["Content-Type"] = "application/json"
        response = await self._send("POST", "/orders", content=line.body, headers=headers)
        if response.status_code != httpx.codes.CREATED:
            outcome.rejected.append(_rejected(line, response))
            return
        order_id = response.json()["id"]
        outcome.replayed += "Idempotency-Replayed" in response.headers
        outcome.accepted.setdefault(order_id, Accepted(order_id, datetime.now(UTC), email, line.number))
        if line.cancel:
            await self._cancel(order_id, line, headers)

    async def _cancel(self, order_id: str, line: OrderLine, headers: dict[str, str]) -> None:
        if line.cancel == "when_confirmed":
            await self._settled(order_id, headers)
        (await self._send("POST", f"/orders/{order_id}/cancel", headers=headers)).raise_for_status()

    async def _settled(self, order_id: str, headers: dict[str, str]) -> None:
        async with asyncio.timeout(CONFIRMED_WITHIN):
            # a customer who reloads the page: there is nothing to wait on in another process
            while (await self._send("GET", f"/orders/{order_id}", headers=headers)).json()["status"] == "PENDING":  # noqa: ASYNC110
                await asyncio.sleep(POLL_SECONDS)

    async def _headers(self, email: str, line: OrderLine) -> dict[str, str]:
        await self._once(email, lambda: self._enter(email, line))
        return self._bearer(email)

    async def _once(self, email: str, log_in: Callable[[], Awaitable[str]]) -> None:
        async with self._entering[email]:
            if email not in self._tokens:
                self._tokens[email] = await log_in()

    def _bearer(self, email: str) -> dict[str, str]:
        return {"Authorization": f"Bearer {self._tokens[email]}"}

    async def _enter(self, email: str, line: OrderLine) -> str:
        user = {"email": email, "name": line.customer, "password": PASSWORD}
        registered = (await self._send("POST", "/users", json=user)).raise_for_status().json()
        if line.is_member:
            await self._make_member(registered["id"])
        return await self._token(email, PASSWORD)

    async def _make_member(self, user_id: str) -> None:
        await self._once(OPERATOR_EMAIL, lambda: self._token(OPERATOR_EMAIL, OPERATOR_PASSWORD))
        url, member = f"/users/{user_id}/membership", {"is_member": True}
        (await self._send("PUT", url, json=member, headers=self._bearer(OPERATOR_EMAIL))).raise_for_status()

    async def _token(self, email: str, password: str) -> str:
        response = await self._send("POST", "/tokens", data={"username": email, "password": password})
        token: str = response.raise_for_status().json()["access_token"]
        return token

    async def _send(self, method: str, path: str, **content: Any) -> httpx.Response:
        """Ask again while the shop is away: whatever changes something does it once, by its key or by its nature."""
        deadline = time.monotonic() + AWAY_WITHIN
        while time.monotonic() < deadline:
            try:
                response = await self._client.request(method, path, **content)
            except httpx.TransportError:
                await asyncio.sleep(POLL_SECONDS)
                continue
            if response.status_code != httpx.codes.SERVICE_UNAVAILABLE:
                return response
            await asyncio.sleep(POLL_SECONDS)
        raise TimeoutError(f"no answer to {method} {path} for {AWAY_WITHIN:g} s")


@dataclass(frozen=True)
class Pace:
    """At most ``rate`` lines a second, in time with a clock: an answer that is late does not slow the others down."""

    rate: float
    begun: float = field(default_factory=time.monotonic)

    async def wait_for_turn(self, number: int) -> None:
        """Sleep until it is the turn of the line of this number, from 0."""
        await asyncio.sleep(max(0.0, self.begun + number / self.rate - time.monotonic()))


async def place_all(
    shop: Shop, lines: Sequence[OrderLine], *, orders: int | None, pace: Pace, told: Callable[[], None]
) -> Outcome:
    """Send every line once; or, with ``orders``, lines over and over until so many orders are accepted."""
    outcome = Outcome()
    source = enumerate(repeated(lines))
    if orders is None:
        await _in_parallel(shop, islice(source, len(lines)), outcome, pace, told)
        return outcome
    refused_since = 0
    while (missing := orders - len(outcome.accepted)) > 0 and refused_since < len(lines):
        before = len(outcome.accepted)
        await _in_parallel(shop, islice(source, missing), outcome, pace, told)
        refused_since = 0 if len(outcome.accepted) > before else refused_since + missing
    return outcome


async def _in_parallel(
    shop: Shop,
    source: Iterator[tuple[int, tuple[int, OrderLine]]],
    outcome: Outcome,
    pace: Pace,
    told: Callable[[], None],
) -> None:
    async def customer() -> None:
        for number, (round_, line) in source:
            await pace.wait_for_turn(number)
            await shop.place(line, round_, outcome)
            told()

    try:
        async with asyncio.TaskGroup() as group:
            for _ in range(CONCURRENCY):
                group.create_task(customer())
    except* (httpx.HTTPStatusError, TimeoutError) as errors:
        raise ShopError(f"the shop does not do its work: {errors.exceptions[0]}") from None


def _rejected(line: OrderLine, response: httpx.Response) -> Rejected:
    try:
        error: dict[str, Any] = response.json()["error"]
    except (ValueError, KeyError):
        return Rejected(line.number, response.status_code, "NO_ERROR_BODY", response.text[:80])
    details = "; ".join(f"{detail['field']}: {detail['message']}" for detail in error.get("details", ()))
    return Rejected(line.number, response.status_code, error["code"], details or error["message"])
