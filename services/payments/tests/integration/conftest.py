"""The sandbox gateway behind HTTP."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import httpx
import pytest
from outboxed.process import bind, http_role
from outboxed.testing import services
from payment_gateway import Ledger, create_app


@dataclass(frozen=True)
class GatewayServer:
    """The sandbox gateway on a port of its own; one for all tests, each has orders of its own."""

    url: str
    http: httpx.AsyncClient

    async def put_faults(self, *faults: dict[str, Any]) -> None:
        response = await self.http.put("/_faults", json={"faults": [{"times": 1, **fault} for fault in faults]})
        response.raise_for_status()


@pytest.fixture(scope="session")
async def gateway_server() -> AsyncIterator[GatewayServer]:
    listener, ledger = bind("127.0.0.1", 0), Ledger()
    url = f"http://127.0.0.1:{listener.getsockname()[1]}"
    async with (
        services.running(http_role(create_app(ledger), listener).run),
        httpx.AsyncClient(base_url=url, trust_env=False) as http,
    ):
        yield GatewayServer(url, http)
    ledger.close()
