"""The operators' read side, through ASGITransport."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import httpx
import jwt
import pytest
from outboxed.testing.tokens import KeyPair
from payments.domain import PaymentStatus

from ..factories import CHARGE_ID, PAYMENTS, voided_unseen
from ..fakes import key_pair, stored
from .conftest import Database


def error_of(response: httpx.Response) -> tuple[int, str]:
    return response.status_code, response.json()["error"]["code"]


async def test_an_operator_sees_an_orders_payment_and_its_history(
    client: httpx.AsyncClient, database: Database, keys: KeyPair
) -> None:
    payment = PAYMENTS[PaymentStatus.CAPTURED]()
    await stored(database, payment, PAYMENTS[PaymentStatus.CAPTURED]())

    response = await client.get("/payments", params={"order_id": str(payment.order_id)}, headers=keys.bearer())

    assert response.status_code == 200
    at = "2026-01-15T12:00:00.000000Z"
    assert response.json() == {
        "items": [
            {
                "payment_id": str(payment.id),
                "order_id": str(payment.order_id),
                "status": "CAPTURED",
                "amount": "50.00",
                "currency": "EUR",
                "charge_id": CHARGE_ID,
                "history": [{"status": "REQUESTED", "at": at}, {"status": "CAPTURED", "at": at}],
            }
        ]
    }


async def test_what_is_unknown_is_null(client: httpx.AsyncClient, database: Database, keys: KeyPair) -> None:
    payment = voided_unseen()
    await stored(database, payment)

    response = await client.get("/payments", params={"order_id": str(payment.order_id)}, headers=keys.bearer())

    [item] = response.json()["items"]
    assert (item["status"], item["amount"], item["currency"], item["charge_id"]) == ("VOIDED", None, None, None)


async def test_an_unknown_order_has_an_empty_list(client: httpx.AsyncClient, keys: KeyPair) -> None:
    response = await client.get("/payments", params={"order_id": str(uuid4())}, headers=keys.bearer())

    assert (response.status_code, response.json()) == (200, {"items": []})


@pytest.mark.parametrize("params", [{}, {"order_id": "no-uuid"}])
async def test_the_order_has_to_be_named(client: httpx.AsyncClient, keys: KeyPair, params: dict[str, str]) -> None:
    response = await client.get("/payments", params=params, headers=keys.bearer())

    assert error_of(response) == (422, "VALIDATION_ERROR")
    assert response.json()["error"]["details"][0]["field"] == "query.order_id"


async def test_a_customer_may_not_look(client: httpx.AsyncClient, keys: KeyPair) -> None:
    response = await client.get("/payments", params={"order_id": str(uuid4())}, headers=keys.bearer("customer"))

    assert error_of(response) == (403, "FORBIDDEN")


INTRUDERS: dict[str, Callable[[KeyPair], dict[str, str]]] = {
    "no token": lambda _: {},
    "another scheme": lambda _: {"Authorization": "Basic YTpi"},
    "no JWT": lambda _: {"Authorization": "Bearer nonsense"},
    "another key": lambda _: key_pair().bearer(),
    "expired": lambda keys: keys.bearer(exp=datetime.now(UTC) - timedelta(seconds=1)),
    "another audience": lambda keys: keys.bearer(aud="warehouse"),
    "another issuer": lambda keys: keys.bearer(iss="payments"),
    "an unknown role": lambda keys: keys.bearer("admin"),
    "no user": lambda keys: keys.bearer(sub="me"),
    "alg none": lambda keys: {"Authorization": f"Bearer {_unsigned(keys)}"},
}


def _unsigned(keys: KeyPair) -> str:
    claims: dict[str, Any] = jwt.decode(keys.token(), options={"verify_signature": False})
    return jwt.encode(claims, "", "none")


@pytest.mark.parametrize("intruder", INTRUDERS)
async def test_nobody_gets_in_without_a_token_of_the_orders_service(
    client: httpx.AsyncClient, keys: KeyPair, intruder: str
) -> None:
    response = await client.get("/payments", params={"order_id": str(uuid4())}, headers=INTRUDERS[intruder](keys))

    assert error_of(response) == (401, "UNAUTHENTICATED")
