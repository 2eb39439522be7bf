"""The operators' read side."""

from datetime import datetime
from uuid import uuid4

import httpx
import pytest
from notifications.domain import Kind
from outboxed.testing.tokens import KeyPair

from ..factories import EMAIL, NOW, OrderNotificationsFactory
from ..fakes import key_pair, stored
from .conftest import Database


async def test_an_operator_sees_every_email_of_an_order(
    client: httpx.AsyncClient, database: Database, keys: KeyPair
) -> None:
    order = OrderNotificationsFactory.create(kinds=[Kind.CONFIRMATION, Kind.CANCELLATION, Kind.REFUND])
    await stored(database, order.sent(Kind.CONFIRMATION, "<1@shop.example>", NOW).failed(Kind.CANCELLATION))

    response = await client.get("/notifications", params={"order_id": str(order.id)}, headers=keys.bearer())

    seen = {"order_id": str(order.id), "email": EMAIL}
    unsent = {"message_id": None, "sent_at": None}
    sent = {"message_id": "<1@shop.example>", "sent_at": "2026-01-15T12:00:00.000000Z"}
    assert response.status_code == 200
    assert response.json() == {
        "items": [
            {**seen, **sent, "kind": "confirmation", "status": "sent"},
            {**seen, **unsent, "kind": "cancellation", "status": "failed"},
            {**seen, **unsent, "kind": "refund", "status": "pending"},
        ]
    }


async def test_an_email_without_an_address_yet_is_seen_to_wait(
    client: httpx.AsyncClient, database: Database, keys: KeyPair
) -> None:
    order = OrderNotificationsFactory.create(email=None, kinds=[Kind.REFUND])
    await stored(database, order)

    response = await client.get("/notifications", params={"order_id": str(order.id)}, headers=keys.bearer())

    [item] = response.json()["items"]
    assert (item["email"], item["status"]) == (None, "pending")


async def test_an_unknown_order_has_no_emails(client: httpx.AsyncClient, keys: KeyPair) -> None:
    response = await client.get("/notifications", params={"order_id": str(uuid4())}, headers=keys.bearer())

    assert (response.status_code, response.json()) == (200, {"items": []})


@pytest.mark.parametrize("params", [{}, {"order_id": "7"}])
async def test_an_order_id_is_required_and_a_uuid(
    client: httpx.AsyncClient, keys: KeyPair, params: dict[str, str]
) -> None:
    response = await client.get("/notifications", params=params, headers=keys.bearer())

    error = response.json()["error"]
    assert (response.status_code, error["code"]) == (422, "VALIDATION_ERROR")
    assert error["details"][0]["field"] == "query.order_id"


async def test_a_customer_may_not_look(client: httpx.AsyncClient, keys: KeyPair) -> None:
    response = await client.get(
        "/notifications", params={"order_id": str(uuid4())}, headers=keys.bearer(role="customer")
    )

    assert (response.status_code, response.json()["error"]["code"]) == (403, "FORBIDDEN")


def _refused_tokens(keys: KeyPair) -> dict[str, dict[str, str]]:
    return {
        "none": {},
        "another key": key_pair().bearer(),
        "expired": keys.bearer(exp=datetime(2020, 1, 1)),  # noqa: DTZ001  # PyJWT takes it for UTC
        "another audience": keys.bearer(aud="bank"),
        "another issuer": keys.bearer(iss="payments"),
        "no role of ours": keys.bearer(role="root"),
        "rubbish": {"Authorization": "Bearer rubbish"},
        "another scheme": {"Authorization": "Basic b3A6b3A="},
    }


@pytest.mark.parametrize("token", _refused_tokens(key_pair()))
async def test_nobody_looks_without_a_valid_token(client: httpx.AsyncClient, keys: KeyPair, token: str) -> None:
    response = await client.get(
        "/notifications", params={"order_id": str(uuid4())}, headers=_refused_tokens(keys)[token]
    )

    assert (response.status_code, response.json()["error"]["code"]) == (401, "UNAUTHENTICATED")
