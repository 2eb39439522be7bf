import asyncio
from collections.abc import AsyncIterator, Iterator

import pytest
from payment_gateway import Ledger, create_app

from .gateway_client import GatewayClient, client_of
from .waits import HeldSleep


@pytest.fixture
def ledger() -> Iterator[Ledger]:
    ledger = Ledger()
    yield ledger
    ledger.close()


@pytest.fixture
def held_sleep() -> HeldSleep:
    return HeldSleep()


@pytest.fixture
def stopping() -> asyncio.Event:
    return asyncio.Event()


@pytest.fixture
async def gateway(ledger: Ledger, held_sleep: HeldSleep, stopping: asyncio.Event) -> AsyncIterator[GatewayClient]:
    async with client_of(create_app(ledger, sleep=held_sleep, stopping=stopping)) as client:
        yield client
