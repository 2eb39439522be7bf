"""What each service's composition root puts together: nothing that the service has is left out."""

from collections.abc import AsyncIterator, Mapping
from importlib import import_module
from typing import Any

import httpx
import pytest
from outboxed.process import Service
from outboxed.testing.tokens import KeyPair
from outboxed.web import OPERATOR, TokenVerifier
from shop_harness.services import SERVICES
from sqlalchemy.ext.asyncio import AsyncEngine

from ..defaults import built

OF_ANYBODY = {
    "orders": {
        "GET /api/v1/products",
        "POST /api/v1/tokens",
        "POST /api/v1/users",
    }
}
"""What anybody may call, by service, beside what tells of each process."""
OF_CUSTOMERS = {
    "orders": {
        "GET /api/v1/orders",
        "GET /api/v1/orders/{order_id}",
        "GET /api/v1/users/{user_id}",
        "POST /api/v1/orders",
        "POST /api/v1/orders/{order_id}/cancel",
    }
}
"""What a customer may call with a token. All else is for operators."""
OF_THE_PROCESS = {"GET /health/live", "GET /health/ready", "GET /metrics", "GET /asyncapi.json"}
ID = "7b0c1f3e-5f0e-4c57-9b52-1f6a3f0e9d11"


@pytest.fixture(params=SERVICES)
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
async def service(name: str) -> AsyncIterator[Service[Any]]:
    service = built(name)
    yield service
    await service.close()


# --- parts ---


def test_the_tables_that_a_service_prunes_are_given_to_its_pruner(service: Service[Any], name: str) -> None:
    own = getattr(import_module(f"{name}.storage"), "RETENTIONS", ())

    assert tuple(service.retentions) == tuple(own)


def test_the_lines_and_spans_of_a_task_name_what_those_of_its_events_name(service: Service[Any]) -> None:
    """So one id finds all lines of an order."""
    keys = {route.model.key_field for route in service.consumer.routes.values()}
    keys |= {event.key_field for event in service.published}

    assert {kind.name: kind.log_as for kind in service.worker.kinds if kind.log_as not in keys} == {}


async def test_each_client_of_httpx_is_closed_with_its_service(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[httpx.AsyncClient] = []

    class Remembered(httpx.AsyncClient):
        def __init__(self, *args: Any, **named: Any) -> None:
            super().__init__(*args, **named)
            made.append(self)

    monkeypatch.setattr(httpx, "AsyncClient", Remembered)
    service = built(name)

    await service.close()

    assert [client.is_closed for client in made] == [True] * len(made)
    calls = {field for field in type(service.settings).model_fields if field.endswith("_url")} - {"database_url"}
    assert len(made) == len(calls), f"a client for each of {sorted(calls)}; leave out here what isn't called"


# --- who may call what ---


@pytest.fixture
def keys() -> KeyPair:
    return KeyPair.generate(issuer="login", audience="shop", role=OPERATOR)


@pytest.fixture
async def client(
    service: Service[Any], keys: KeyPair, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[httpx.AsyncClient]:
    """Whoever gets in meets a database that is away, if nothing else is wrong."""

    def away(_: AsyncEngine) -> None:
        raise ConnectionRefusedError

    monkeypatch.setattr(AsyncEngine, "connect", away)
    app = service.create_app()
    roles = ("customer", OPERATOR)
    app.state.token_verifier = TokenVerifier([keys.public], issuer="login", audience="shop", roles=roles)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://service") as client:
        yield client


async def refused_with(status: int, client: httpx.AsyncClient, headers: Mapping[str, str]) -> tuple[set[str], set[str]]:
    """The calls that are answered with this status, and the others; those of each process are not made."""
    document = (await client.get("/openapi.json")).json()
    calls = {(method.upper(), path) for path, methods in document["paths"].items() for method in methods}
    refused: set[str] = set()
    others: set[str] = set()
    for method, path in calls:
        call = f"{method} {path}"
        if call not in OF_THE_PROCESS:
            url = path.replace("{letter_id}", "1").replace("{key}", "k")
            for part in ("{order_id}", "{user_id}"):
                url = url.replace(part, ID)
            answer = await client.request(method, url, headers=headers)
            (refused if answer.status_code == status else others).add(call)
    return refused, others


async def test_whoever_has_no_token_calls_what_is_for_everybody_and_nothing_else(
    client: httpx.AsyncClient, name: str
) -> None:
    refused, others = await refused_with(401, client, {})

    assert refused, "there is something to refuse"
    assert others == OF_ANYBODY.get(name, set()), "give the call its guard, or name it here"


async def test_a_customer_calls_what_is_for_customers_and_nothing_that_is_for_operators(
    client: httpx.AsyncClient, name: str, keys: KeyPair
) -> None:
    refused, others = await refused_with(403, client, keys.bearer("customer"))

    assert refused, "there is something for operators alone"
    assert others == OF_ANYBODY.get(name, set()) | OF_CUSTOMERS.get(name, set()), "guard the call, or name it here"
