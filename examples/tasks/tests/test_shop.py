"""The shop with its tasks, and a gateway that doesn't answer the first time."""

import json
import threading
from collections.abc import AsyncIterator, Iterator
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib import import_module
from types import ModuleType

import httpx
import pytest
import sqlalchemy as sa
from backing_services.postgres import EmbeddedPostgres
from backing_services.waiting import eventually


class Gateway(ThreadingHTTPServer):
    """Answers a charge from the second attempt on, with one receipt for one idempotency key."""

    attempts: list[str]


class Answer(BaseHTTPRequestHandler):
    server: Gateway

    def do_POST(self) -> None:
        key = self.headers["Idempotency-Key"]
        known = key in self.server.attempts
        self.server.attempts.append(key)
        self.send_response(HTTPStatus.OK if known else HTTPStatus.SERVICE_UNAVAILABLE)
        self.end_headers()
        self.wfile.write(json.dumps({"receipt": f"receipt of {key}"}).encode())

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def gateway() -> Iterator[Gateway]:
    with Gateway(("127.0.0.1", 0), Answer) as server:
        server.attempts = []
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture
async def shop(monkeypatch: pytest.MonkeyPatch, gateway: Gateway) -> AsyncIterator[ModuleType]:
    with EmbeddedPostgres() as server:
        monkeypatch.setenv("DATABASE_URL", server.url("postgres"))
        monkeypatch.setenv("NO_PROXY", "127.0.0.1")
        monkeypatch.setenv("GATEWAY_URL", f"http://127.0.0.1:{gateway.server_port}")
        module = import_module("shop.app")
        async with module.engine.begin() as connection:
            await connection.run_sync(module.Base.metadata.create_all)
        yield module
        await module.engine.dispose()


async def test_an_order_that_commits_is_charged_until_the_gateway_answers_and_one_that_does_not_is_not(
    shop: ModuleType, gateway: Gateway
) -> None:
    async def receipts() -> list[str | None]:
        async with shop.sessions() as session:
            return list((await session.execute(sa.select(shop.Order.receipt))).scalars())

    async with shop.lifespan(shop.app):
        async with shop.sessions() as session:
            await shop.tasks.schedule(session, "charge", key="lost", payload={"total": 3})
        transport = httpx.ASGITransport(app=shop.app)
        async with httpx.AsyncClient(transport=transport, base_url="http://shop") as client:
            order_id = (await client.post("/orders", json={"total": 3})).json()

        async def is_charged() -> bool:
            return await receipts() == [f"receipt of {order_id}"]

        await eventually(is_charged)

    assert gateway.attempts == [order_id, order_id]
