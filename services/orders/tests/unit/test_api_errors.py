"""What every call shares, through ASGITransport: ids, the error shape, trouble inside."""

from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from orders import api
from outboxed.errors import TransientError
from outboxed.testing.services import always

from .calls import error_of


async def test_every_answer_has_the_callers_request_id_or_one_of_its_own(client: httpx.AsyncClient) -> None:
    named = await client.get("/products", headers={"X-Request-ID": "my-request"})
    unnamed = await client.get("/nowhere")

    assert named.headers["X-Request-ID"] == "my-request"
    assert unnamed.json()["error"]["request_id"] == unnamed.headers["X-Request-ID"]


async def test_an_unknown_path_and_a_wrong_method_have_the_same_shape(client: httpx.AsyncClient) -> None:
    assert error_of(await client.get("/nowhere")) == (404, "NOT_FOUND")
    assert error_of(await client.put("/orders")) == (405, "METHOD_NOT_ALLOWED")


@pytest.mark.parametrize(
    ("error", "status", "code"),
    [
        (TransientError("the database is away"), 503, "UNAVAILABLE"),
        (ConnectionRefusedError(), 503, "UNAVAILABLE"),
        (RuntimeError("secret detail"), 500, "INTERNAL_ERROR"),
    ],
)
async def test_trouble_inside_is_answered_without_its_details(
    app: FastAPI,
    client: httpx.AsyncClient,
    dependencies: api.Dependencies,
    error: Exception,
    status: int,
    code: str,
) -> None:
    def broken(**_: bool) -> Any:
        raise error

    app.dependency_overrides[api.dependencies] = always(
        api.Dependencies(**{**vars(dependencies), "unit_of_work": broken})
    )

    response = await client.get("/products")

    assert error_of(response) == (status, code)
    assert "secret" not in response.text
    assert ("Retry-After" in response.headers) is (status == 503)
