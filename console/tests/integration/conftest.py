"""The console on a whole system that runs: services, Kafka and the sandbox are real processes."""

import asyncio
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

import httpx
import pytest
from backing_services.waiting import eventually
from shop_console.breaking import Breaker
from shop_console.browser import create_app
from shop_console.settings import Settings
from shop_console.teller import Teller
from shop_harness.customers import API, OrdersApi, order_of
from shop_harness.services import ROOT, SERVICES
from shop_harness.system import OPERATOR_EMAIL, OPERATOR_PASSWORD, Ports, System

CSRF = re.compile(r'name="csrf" value="([^"]+)"')


@dataclass(frozen=True)
class Operator:
    """Somebody with a browser, who is logged in."""

    http: httpx.AsyncClient
    csrf: str

    async def see(self, path: str, **query: str) -> str:
        answer = await self.http.get(path, params=query)
        assert answer.status_code == 200, (path, answer.status_code, answer.text[-500:])
        return answer.text

    async def send(self, path: str, **form: str) -> httpx.Response:
        return await self.http.post(path, data={"csrf": self.csrf, **form})

    async def story(self, order_id: str) -> dict[str, Any]:
        told: dict[str, Any] = (await self.http.get(f"/orders/{order_id}/story.json")).raise_for_status().json()
        return told


@pytest.fixture(scope="session")
async def system() -> AsyncIterator[System]:
    async with System(Ports.free(), print) as system:
        yield system


def settings_for(system: System, **others: Any) -> Settings:
    return Settings(
        services={service: system.ports.url(service) for service in SERVICES},
        kafka_bootstrap_servers=system.kafka.bootstrap_servers,
        gateway_url=system.ports.url("gateway"),
        mailbox_url=system.ports.url("mail_catcher"),
        contracts=ROOT / "contracts" / "pacts",
        hosts=("console",),
        **others,
    )


@asynccontextmanager
async def running(settings: Settings) -> AsyncIterator[Teller]:
    """One that has met everybody and follows the topics."""
    async with httpx.AsyncClient(trust_env=False) as http:
        teller = Teller.of(settings, http)
        following = asyncio.create_task(teller.run())
        try:
            await eventually(lambda: teller.follower.problem == "")
            yield teller
        finally:
            following.cancel()
            with suppress(asyncio.CancelledError):
                await following


@asynccontextmanager
async def logged_in(teller: Teller, breaker: Breaker | None = None) -> AsyncIterator[Operator]:
    transport = httpx.ASGITransport(create_app(teller, breaker))
    async with httpx.AsyncClient(transport=transport, base_url="http://console", timeout=30) as http:
        login = {"email": OPERATOR_EMAIL, "password": OPERATOR_PASSWORD}

        async def enters() -> bool:
            # after a crash of PostgreSQL the first request of an API fails
            return bool((await http.post("/login", data=login)).headers.get("location") == "/orders")

        await eventually(enters)
        found = CSRF.search((await http.get("/orders")).text)
        assert found is not None
        yield Operator(http, found[1])


@pytest.fixture
async def teller(system: System) -> AsyncIterator[Teller]:
    async with running(settings_for(system)) as teller:
        yield teller


@pytest.fixture
async def operator(teller: Teller) -> AsyncIterator[Operator]:
    async with logged_in(teller) as operator:
        yield operator


Place = Callable[..., Awaitable[str]]
Cancel = Callable[[str], Awaitable[None]]


Customer = tuple[OrdersApi, dict[str, str]]


@asynccontextmanager
async def ada(system: System) -> AsyncIterator[Customer]:
    """A customer with an account, who is logged in."""
    url = f"{system.ports.url('orders')}{API}"
    async with httpx.AsyncClient(base_url=url, timeout=30, trust_env=False) as http:
        api = OrdersApi(http)
        await api.register("ada@example.com")
        yield api, await api.log_in("ada@example.com")


@pytest.fixture(scope="session")
async def customer(system: System) -> AsyncIterator[Customer]:
    async with ada(system) as customer:
        yield customer


@pytest.fixture
def place(customer: Customer) -> Place:
    """Place an order as Ada, and return its id."""
    api, headers = customer

    async def place(card: str = "pm_card_ok") -> str:
        placed = await api.place(order_of(card), key=uuid4().hex, headers=headers)
        return str(placed.raise_for_status().json()["id"])

    return place


@pytest.fixture
def cancel(customer: Customer) -> Cancel:
    api, headers = customer

    async def cancel(order_id: str) -> None:
        (await api.cancel(order_id, headers=headers)).raise_for_status()

    return cancel
