"""What a test says to the gateway."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import httpx
from fastapi import FastAPI

from .factories import a_charge


@dataclass(frozen=True)
class GatewayClient:
    http: httpx.AsyncClient

    async def charge(self, key: str = "key-1", **changes: Any) -> httpx.Response:
        return await self.http.post("/v1/charges", json=a_charge(**changes), headers={"Idempotency-Key": key})

    async def refund(self, key: str = "key-1") -> httpx.Response:
        return await self.http.post("/v1/refunds", json={"idempotency_key": key})

    async def charges(self, reference: str = "order-1") -> list[dict[str, Any]]:
        items: list[dict[str, Any]] = (await self.list_charges(reference)).json()["items"]
        return items

    async def list_charges(self, reference: str = "order-1") -> httpx.Response:
        return await self.http.get("/v1/charges", params={"reference": reference})

    async def put_faults(self, *faults: dict[str, Any]) -> httpx.Response:
        return await self.http.put("/_faults", json={"faults": faults})

    async def ledger(self) -> list[dict[str, Any]]:
        entries: list[dict[str, Any]] = (await self.http.get("/_ledger")).json()["entries"]
        return entries

    async def outcomes(self) -> list[str]:
        return [entry["outcome"] for entry in await self.ledger()]


@asynccontextmanager
async def client_of(app: FastAPI) -> AsyncIterator[GatewayClient]:
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="http://gateway") as http:
        yield GatewayClient(http)
