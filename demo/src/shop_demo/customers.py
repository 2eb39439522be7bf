"""The customers of the demo, over HTTP as anybody would: place orders, wait, cancel."""

import asyncio
import re
import time
from collections import defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import islice
from typing import Any

import httpx
from backing_services.waiting import eventually
from shop_harness.customers import API, NoAnswerError, OrdersApi, Patience, Placed
from shop_harness.system import OPERATOR_EMAIL, OPERATOR_PASSWORD, System

from shop_demo.order_lines import OrderLine, repeated

CONCURRENCY = 8
POLL_SECONDS = 0.1
CONFIRMED_WITHIN = 30.0
WHILE_AWAY = Patience(within=30, again_on={httpx.codes.SERVICE_UNAVAILABLE})


class ShopError(RuntimeError):
    """The shop did what no customer can live with; the message is one line for a person."""


@dataclass(frozen=True)
class Rejected:
    """A line that was refused; `code` is the API's."""

    number: int
    status: int
    code: str
    message: str


@dataclass
class Outcome:
    """What the API answered."""

    accepted: dict[str, Placed] = field(default_factory=dict)
    rejected: list[Rejected] = field(default_factory=list)
    replayed: int = 0

    @property
    def answered(self) -> Mapping[str, str]:
        """Addresses by order."""
        return {order_id: accepted.email for order_id, accepted in self.accepted.items()}


class Customers:
    """Everybody who is named in a line; each has an account from the first line on."""

    def __init__(self, api: OrdersApi) -> None:
        self._api = api
        self._headers: dict[str, dict[str, str]] = {}
        self._entering: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)

    @staticmethod
    @asynccontextmanager
    async def of(system: System) -> AsyncIterator["Customers"]:
        """Those of a running system."""
        async with httpx.AsyncClient(
            base_url=f"{system.ports.url('orders')}{API}", timeout=30, trust_env=False
        ) as client:
            yield Customers(OrdersApi(client, WHILE_AWAY))

    async def place(self, line: OrderLine, round_: int, outcome: Outcome) -> None:
        """Send a line; cancel it if the line says so."""
        email = f"{re.sub('[^a-z0-9]+', '-', line.customer.lower()).strip('-')[:60] or 'customer'}@example.com"
        headers = await self._once(email, lambda: self._enter(email, line))
        response = await self._api.place(line.body, key=line.key(round_), headers=headers)
        if response.status_code != httpx.codes.CREATED:
            outcome.rejected.append(_rejected(line, response))
            return
        order_id = response.json()["id"]
        outcome.replayed += "Idempotency-Replayed" in response.headers
        outcome.accepted.setdefault(order_id, Placed(order_id, email, datetime.now(UTC)))
        if line.cancel == "when_confirmed":
            await self._settled(order_id, headers)
        if line.cancel:
            (await self._api.cancel(order_id, headers=headers)).raise_for_status()

    async def _settled(self, order_id: str, headers: dict[str, str]) -> None:
        async def is_settled() -> bool:
            order = (await self._api.read(order_id, headers=headers)).json()
            return bool(order["status"] != "PENDING")

        await eventually(
            is_settled, within=CONFIRMED_WITHIN, every=POLL_SECONDS, describe=f"order {order_id} is PENDING"
        )

    async def _once(self, email: str, log_in: Callable[[], Awaitable[dict[str, str]]]) -> dict[str, str]:
        async with self._entering[email]:
            if email not in self._headers:
                self._headers[email] = await log_in()
        return self._headers[email]

    async def _enter(self, email: str, line: OrderLine) -> dict[str, str]:
        registered = (await self._api.register(email, name=line.customer)).raise_for_status().json()
        if line.is_member:
            await self._make_member(registered["id"])
        return await self._api.log_in(email)

    async def _make_member(self, user_id: str) -> None:
        headers = await self._once(OPERATOR_EMAIL, lambda: self._api.log_in(OPERATOR_EMAIL, OPERATOR_PASSWORD))
        url, member = f"/users/{user_id}/membership", {"is_member": True}
        (await self._api.send("PUT", url, json=member, headers=headers)).raise_for_status()


@dataclass(frozen=True)
class Pace:
    """At most `rate` lines a second, in time with a clock: an answer that is late does not slow the others down."""

    rate: float
    begun: float = field(default_factory=time.monotonic)

    async def wait_for_turn(self, number: int) -> None:
        """Sleep until it is the turn of the line of this number, from 0."""
        await asyncio.sleep(max(0.0, self.begun + number / self.rate - time.monotonic()))


async def place_all(
    customers: Customers, lines: Sequence[OrderLine], *, orders: int | None, pace: Pace, sent: Callable[[], None]
) -> Outcome:
    """Send every line once; or, with `orders`, lines over and over until so many orders are accepted."""
    outcome = Outcome()
    source = enumerate(repeated(lines))
    if orders is None:
        await _in_parallel(customers, islice(source, len(lines)), outcome, pace, sent)
        return outcome
    refused_since = 0
    while (missing := orders - len(outcome.accepted)) > 0 and refused_since < len(lines):
        before = len(outcome.accepted)
        await _in_parallel(customers, islice(source, missing), outcome, pace, sent)
        refused_since = 0 if len(outcome.accepted) > before else refused_since + missing
    return outcome


async def _in_parallel(
    customers: Customers,
    source: Iterator[tuple[int, tuple[int, OrderLine]]],
    outcome: Outcome,
    pace: Pace,
    sent: Callable[[], None],
) -> None:
    async def send_lines() -> None:
        for number, (round_, line) in source:
            await pace.wait_for_turn(number)
            await customers.place(line, round_, outcome)
            sent()

    try:
        async with asyncio.TaskGroup() as group:
            for _ in range(CONCURRENCY):
                group.create_task(send_lines())
    except* (httpx.HTTPStatusError, NoAnswerError, TimeoutError) as errors:
        raise ShopError(f"the shop does not do its work: {errors.exceptions[0]}") from None


def _rejected(line: OrderLine, response: httpx.Response) -> Rejected:
    try:
        error: dict[str, Any] = response.json()["error"]
    except (ValueError, KeyError):
        return Rejected(line.number, response.status_code, "NO_ERROR_BODY", response.text[:80])
    details = "; ".join(f"{detail['field']}: {detail['message']}" for detail in error.get("details", ()))
    return Rejected(line.number, response.status_code, error["code"], details or error["message"])
