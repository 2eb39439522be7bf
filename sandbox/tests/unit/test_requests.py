from typing import Any

import pytest

from ..factories import a_charge
from ..gateway_client import GatewayClient


@pytest.mark.parametrize(
    "change",
    [
        *({"amount": amount} for amount in ("0.00", "-1.00", "1", "1.0", "1.000", "01.00", "1e2", "", "\u0661.00")),
        *({"amount": amount} for amount in (10, 10.5, None)),
        *({"currency": currency} for currency in ("EU", "EURO", "E1R", "")),
        {"payment_method": ""},
        {"reference": ""},
        {"reference": None},
    ],
)
async def test_an_invalid_charge_is_refused_and_leaves_no_entry(gateway: GatewayClient, change: dict[str, Any]) -> None:
    answer = await gateway.charge(**change)

    assert (answer.status_code, answer.json()["error"]["code"]) == (422, "validation_error")
    assert next(iter(change)) in answer.json()["error"]["message"]
    assert await gateway.ledger() == []


@pytest.mark.parametrize("headers", [{}, {"Idempotency-Key": ""}, {"Idempotency-Key": "k" * 256}])
async def test_a_charge_without_a_usable_key_is_refused(gateway: GatewayClient, headers: dict[str, str]) -> None:
    answer = await gateway.http.post("/v1/charges", json=a_charge(), headers=headers)

    assert (answer.status_code, answer.json()["error"]["code"]) == (422, "validation_error")
    assert await gateway.ledger() == []


@pytest.mark.parametrize(
    "body", [b"", b"{", b"[]", b"\xff", b'{"idempotency_key": 1}', b'{"idempotency_key": "\\ud800"}']
)
async def test_a_refund_that_is_no_valid_json_is_refused_in_the_one_error_shape(
    gateway: GatewayClient, body: bytes
) -> None:
    answer = await gateway.http.post("/v1/refunds", content=body, headers={"Content-Type": "application/json"})

    assert 400 <= answer.status_code < 500
    assert set(answer.json()["error"]) == {"code", "message"}


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("GET", "/v1/nothing", 404, "not_found"),
        ("DELETE", "/v1/charges", 405, "method_not_allowed"),
        ("GET", "/v1/charges", 422, "validation_error"),
    ],
)
async def test_other_errors_have_the_same_shape(
    gateway: GatewayClient, method: str, path: str, status: int, code: str
) -> None:
    answer = await gateway.http.request(method, path)

    assert (answer.status_code, answer.json()["error"]["code"]) == (status, code)


async def test_it_is_healthy(gateway: GatewayClient) -> None:
    assert (await gateway.http.get("/health")).status_code == 200
