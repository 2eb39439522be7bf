"""The operators' read side."""

import httpx
from notifications.domain import Kind
from outboxed.testing.suites.operators_page import OperatorsPageSuite
from outboxed.testing.tokens import KeyPair

from ..factories import EMAIL, NOW, OrderNotificationsFactory
from ..fakes import stored
from .conftest import Database


class TestWhoMayLook(OperatorsPageSuite):
    path = "/notifications?order_id="


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
