"""The shop with its console, running for real: orders are placed, a topic is poisoned, the index is filled."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
from aiokafka import AIOKafkaProducer
from shop_harness.breaking import Breaking
from shop_harness.customers import API, OrdersApi, order_of
from shop_harness.system import OPERATOR_EMAIL, OPERATOR_PASSWORD, Ports, System

CUSTOMER = "ada@example.com"
OTHERS_TYPE = "order.remembered.v1"
"""An event of the orders that fill the index: no service reads it."""


@dataclass(frozen=True)
class Scene:
    """A running shop, and what its customer does."""

    system: System
    api: OrdersApi
    headers: dict[str, str]

    @property
    def console(self) -> str:
        return self.system.ports.url("console")

    async def place(self, card: str = "pm_card_ok") -> str:
        """Place an order, and return its id."""
        placed = await self.api.place(order_of(card), key=uuid4().hex, headers=self.headers)
        return str(placed.raise_for_status().json()["id"])

    async def poison(self) -> str:
        """Send the services a cancellation that is cut off, of an order that nobody placed; its id."""
        order_id = str(uuid4())
        await self._send([(order_id, "order.cancelled.v1", f'{{"order_id": "{order_id}"'.encode(), datetime.now(UTC))])
        return order_id

    async def fill(self, orders: int) -> None:
        """Send so many orders' records, older than all others, with an e-mail address and a trace each."""
        begun = datetime.now(UTC) - timedelta(days=1)
        await self._send(
            [
                (order_id, OTHERS_TYPE, _remembered(order_id, number), begun + timedelta(seconds=number))
                for number in range(orders)
                for order_id in [str(uuid4())]
            ]
        )

    @asynccontextmanager
    async def logged_in(self) -> AsyncIterator[httpx.AsyncClient]:
        """A client that the console knows as an operator."""
        login = {"email": OPERATOR_EMAIL, "password": OPERATOR_PASSWORD}
        async with httpx.AsyncClient(base_url=self.console, timeout=30, trust_env=False) as http:
            entered = await http.post("/login", data=login)
            assert entered.status_code == httpx.codes.SEE_OTHER, entered.text
            yield http

    async def _send(self, records: list[tuple[str, str, bytes, datetime]]) -> None:
        async with AIOKafkaProducer(bootstrap_servers=self.system.kafka.bootstrap_servers, linger_ms=20) as producer:
            sent = [
                await producer.send("orders", value, order_id.encode(), headers=_headers(event_type, at))
                for order_id, event_type, value, at in records
            ]
            await asyncio.gather(*sent)


@asynccontextmanager
async def running(folder: Path) -> AsyncIterator[Scene]:
    """The whole shop and its console, each a process, until the block ends."""
    async with System(Ports.free(), lambda _: None, folder=folder) as system, Breaking(system) as breaking:
        await system.start_console(breaking.settings)
        url = f"{system.ports.url('orders')}{API}"
        async with httpx.AsyncClient(base_url=url, timeout=30, trust_env=False) as http:
            api = OrdersApi(http)
            await api.register(CUSTOMER)
            yield Scene(system, api, await api.log_in(CUSTOMER))


def _remembered(order_id: str, number: int) -> bytes:
    content: dict[str, Any] = {"order_id": order_id, "customer": {"email": f"customer{number}@example.com"}}
    return json.dumps(content).encode()


def _headers(event_type: str, at: datetime) -> list[tuple[str, bytes]]:
    texts = {
        "ce_specversion": "1.0",
        "ce_id": uuid4().hex,
        "ce_source": "/orders",
        "ce_type": event_type,
        "ce_time": at.isoformat(),
        "ce_sequence": "1",
        "traceparent": f"00-{uuid4().hex}-00f067aa0ba902b7-01",
    }
    return [(name, text.encode()) for name, text in texts.items()]
