"""The operators' read side, through ASGITransport."""

import httpx
from outboxed.testing.suites.operators_page import OperatorsPageSuite
from outboxed.testing.tokens import KeyPair
from payments.domain import PaymentStatus

from ..factories import CHARGE_ID, PAYMENTS, voided_unseen
from ..fakes import stored
from .conftest import Database


class TestWhoMayLook(OperatorsPageSuite):
    path = "/payments?order_id="


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
                "currency": "CHF",
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
