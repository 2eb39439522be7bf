import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import closing

import httpx
import pytest
from fastapi import FastAPI
from outboxed.testing.fixtures import certificate
from outboxed.testing.services import always
from payment_gateway import Ledger, api, create_app

from .gateway_client import GatewayClient, client_of
from .waits import HeldSleep

__all__ = ["certificate"]


@pytest.fixture
def ledger() -> Iterator[Ledger]:
    with closing(Ledger()) as ledger:
        yield ledger


@pytest.fixture
def held_sleep() -> HeldSleep:
    return HeldSleep()


@pytest.fixture
def stopping() -> asyncio.Event:
    return asyncio.Event()


@pytest.fixture(scope="session")
def app() -> FastAPI:
    """One for all tests: making it costs more than most of them. A test brings what its calls need."""
    with closing(Ledger()) as ledger:
        return create_app(ledger)


@pytest.fixture(scope="session")
async def http(app: FastAPI) -> AsyncIterator[httpx.AsyncClient]:
    async with client_of(app) as client:
        yield client.http


@pytest.fixture
def gateway(
    http: httpx.AsyncClient, app: FastAPI, ledger: Ledger, held_sleep: HeldSleep, stopping: asyncio.Event
) -> Iterator[GatewayClient]:
    app.dependency_overrides[api.gateway] = always(api.Gateway.of(ledger, sleep=held_sleep, stopping=stopping))
    yield GatewayClient(http)
    app.dependency_overrides.clear()
