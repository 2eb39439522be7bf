"""What the line of a request says: `make logs ORDER=...` finds all lines of an order by it."""

import re
from typing import Any
from uuid import uuid4

import httpx
import pytest
import structlog
from fastapi import FastAPI
from orders.domain import User

from .calls import NEW_USER, ORDER, key
from .conftest import Headers

PREFIX = "/api/v1"
MERGED = (structlog.contextvars.merge_contextvars,)


def of_requests(logs: list[Any]) -> list[Any]:
    return [line for line in logs if line["event"] == "request"]


async def test_the_line_of_a_call_about_a_thing_has_the_things_id(
    app: FastAPI, client: httpx.AsyncClient, operator: User, bearer: Headers
) -> None:
    calls = [
        (method.upper(), path.removeprefix(PREFIX), name)
        for path, methods in app.openapi()["paths"].items()
        if path.startswith(PREFIX)
        for method in methods
        for name in re.findall(r"{(\w+)}", path)
    ]

    assert len(calls) >= 4
    for method, path, name in calls:
        of = str(uuid4())
        with structlog.testing.capture_logs(MERGED) as logs:
            await client.request(
                method, path.replace(f"{{{name}}}", of), json={"is_member": True}, headers=bearer(operator)
            )
        assert [line.get(name) for line in of_requests(logs)] == [of], f"{method} {path}"


async def test_the_line_of_a_new_order_and_of_its_twin_has_the_orders_id(
    client: httpx.AsyncClient, customer: User, bearer: Headers
) -> None:
    with structlog.testing.capture_logs(MERGED) as logs:
        placed = [await client.post("/orders", json=ORDER, headers=bearer(customer) | key()) for _ in range(2)]

    assert [line.get("order_id") for line in of_requests(logs)] == [answer.json()["id"] for answer in placed]


@pytest.mark.parametrize("password", ["correct horse canary", "wrong"])
async def test_no_line_has_a_password_a_token_or_an_address(client: httpx.AsyncClient, password: str) -> None:
    user = {**NEW_USER, "password": "correct horse canary"}
    with structlog.testing.capture_logs(MERGED) as logs:
        await client.post("/users", json=user)
        answer = await client.post("/tokens", data={"username": user["email"], "password": password})
        token = answer.json().get("access_token", "no token")
        await client.get("/orders", headers={"Authorization": f"Bearer {token}"})

    told = str(logs)
    assert len(of_requests(logs)) == 3
    assert not [secret for secret in (user["email"], password, token) if secret in told]
