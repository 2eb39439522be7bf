"""What this service expects of the payment gateway, over HTTP."""

from decimal import Decimal
from typing import Any
from uuid import UUID

from pact_faststream import HttpExpectation, HttpPact, Request, Response
from payments.domain import Charge
from payments.gateway import ChargeAnswer, ChargesAnswer, ErrorAnswer, ErrorDetail, ListedCharge, RefundAnswer

from ..factories import ChargeFactory

ORDER_ID = UUID("0d2ad7dd-1d6c-4d39-9d5c-3a5a0f3d7f10")
CHARGED_ORDER_ID = UUID("3c1f7a52-5b0e-4f2c-8d57-6f1f0f0f8a31")
KEY = UUID("7a4f3a2e-61b3-5d0c-9a41-0b8f6f1f9e01")
DECLINED_KEY = UUID("7a4f3a2e-61b3-5d0c-9a41-0b8f6f1f9e02")
REFUNDED_KEY = UUID("7a4f3a2e-61b3-5d0c-9a41-0b8f6f1f9e03")
CHARGED_KEY = UUID("7a4f3a2e-61b3-5d0c-9a41-0b8f6f1f9e04")
UNUSED_KEY = UUID("7a4f3a2e-61b3-5d0c-9a41-0b8f6f1f9e05")
LISTED_KEY = UUID("7a4f3a2e-61b3-5d0c-9a41-0b8f6f1f9e06")
OTHER_LISTED_KEY = UUID("7a4f3a2e-61b3-5d0c-9a41-0b8f6f1f9e07")
OTHER_CHARGED_ORDER_ID = UUID("b1946ac9-2a0c-4f6e-8d57-41f0c2a7d3e5")

CHARGE: Charge = ChargeFactory.create(currency="EUR")


def listed(key: UUID, order_id: UUID, amount: str, currency: str) -> dict[str, Any]:
    """The parts of an expectation that ask for a charge, and for its very values."""
    charge = ListedCharge(
        id="ch_1", idempotency_key=str(key), amount=Decimal(amount), currency=currency, status="succeeded"
    )
    return {
        "request": Request("GET", "/v1/charges", query={"reference": str(order_id)}),
        "response": Response(
            200,
            ChargesAnswer(items=[charge]),
            rules={
                "$.items": all_of(match="type", min=1),
                "$.items[*].status": all_of(match="regex", regex="^(succeeded|refunded)$"),
            },
            asked=["$.items[*].idempotency_key", "$.items[*].amount", "$.items[*].currency"],
        ),
        "given": "a key was charged",
        "parameters": {"key": str(key), "reference": str(order_id), "amount": amount, "currency": currency},
    }


def charge_request(key: UUID, payment_method: str = "pm_card_ok") -> Request:
    body = {"amount": "50.00", "currency": "EUR", "payment_method": payment_method, "reference": str(ORDER_ID)}
    return Request("POST", "/v1/charges", headers={"Idempotency-Key": str(key)}, body=body)


def refund_request(key: UUID) -> Request:
    return Request("POST", "/v1/refunds", body={"idempotency_key": str(key)})


def refused(status: int, code: str) -> Response:
    said: dict[str, Any] = {"combine": "AND", "matchers": [{"match": "equality"}]}
    return Response(status, ErrorAnswer(error=ErrorDetail(code=code)), rules={"$.error.code": said})


def all_of(**matcher: Any) -> dict[str, Any]:
    return {"combine": "AND", "matchers": [matcher]}


OF_GATEWAY = HttpPact(
    consumer="payments",
    provider="payment-gateway",
    expectations=(
        HttpExpectation(
            "a charge",
            charge_request(KEY),
            Response(
                201,
                ChargeAnswer(id="ch_1", status="succeeded"),
                rules={"$.status": all_of(match="equality")},
            ),
            given="nothing was charged",
        ),
        HttpExpectation(
            "a charge of a card that is declined",
            charge_request(DECLINED_KEY, "pm_card_declined"),
            refused(402, "card_declined"),
            given="nothing was charged",
        ),
        HttpExpectation(
            "a charge under a key that was refunded",
            charge_request(REFUNDED_KEY),
            refused(409, "key_refunded"),
            given="a key was refunded",
            parameters={"key": str(REFUNDED_KEY)},
        ),
        HttpExpectation(
            "a refund of a charge",
            refund_request(CHARGED_KEY),
            Response(200, RefundAnswer(refunded_charge="ch_1"), rules={"$.refunded_charge": all_of(match="type")}),
            given="a key was charged",
            parameters={"key": str(CHARGED_KEY), "reference": str(ORDER_ID)},
        ),
        HttpExpectation(
            "a refund of nothing",
            refund_request(UNUSED_KEY),
            Response(200, RefundAnswer(refunded_charge=None), rules={"$.refunded_charge": all_of(match="null")}),
            given="nothing was charged",
        ),
        HttpExpectation("the charges of an order", **listed(LISTED_KEY, CHARGED_ORDER_ID, "50.00", "EUR")),
        HttpExpectation(
            "the charges of another order", **listed(OTHER_LISTED_KEY, OTHER_CHARGED_ORDER_ID, "1062.50", "USD")
        ),
    ),
)
