"""What the console goes on knowing while somebody is away."""

import asyncio
from contextlib import suppress

import httpx
import pytest
from aiokafka.errors import KafkaConnectionError
from backing_services.waiting import eventually
from shop_console import teller, topics
from shop_console.catalogue import Described
from shop_console.settings import Settings
from shop_console.teller import Teller


async def test_a_service_that_is_away_is_still_known(monkeypatch: pytest.MonkeyPatch) -> None:
    away: set[str] = set()
    asked: list[str] = []

    async def describe(_: httpx.AsyncClient, name: str, url: str) -> Described:
        asked.append(name)
        if name in away:
            raise httpx.ConnectError("away")
        return Described(name, url, publishes={f"{name}.v1": name})

    def no_kafka(*_: object) -> None:
        raise KafkaConnectionError

    monkeypatch.setattr(topics, "_consumer", no_kafka)
    monkeypatch.setattr(teller, "describe", describe)
    monkeypatch.setattr(teller, "DESCRIBE_ANEW", 0)
    monkeypatch.setattr(teller, "DESCRIBE_AGAIN", 0)
    services = {"orders": "http://orders", "payments": "http://payments"}
    async with httpx.AsyncClient(trust_env=False) as http:
        told = Teller.of(Settings(services=services), http)
        describing = asyncio.create_task(told.run())
        await eventually(lambda: len(told.catalogue.services) == 2)

        away.add("payments")
        asked.clear()
        await eventually(lambda: asked.count("payments") >= 3)

        describing.cancel()
        with suppress(asyncio.CancelledError):
            await describing
    assert list(told.catalogue.services) == ["orders", "payments"]
    assert list(told.catalogue.topics) == ["orders", "payments"]
