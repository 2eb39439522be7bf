"""What this service expects of payments: the one place where an expectation is stated."""

from uuid import UUID

from orders.consumed_events import PaymentCaptured, PaymentDeclined
from pact_faststream import Expectation, MessagePact

ORDER_ID = UUID("0d2ad7dd-1d6c-4d39-9d5c-3a5a0f3d7f10")
ANOTHER_ORDER_ID = UUID("b1946ac9-2a0c-4f6e-8d57-41f0c2a7d3e5")

OF_PAYMENTS = MessagePact(
    consumer="orders",
    provider="payments",
    expectations=(
        Expectation(
            "a payment was captured",
            PaymentCaptured(order_id=ORDER_ID),
            given="a payment is captured",
            another=PaymentCaptured(order_id=ANOTHER_ORDER_ID),
        ),
        Expectation(
            "a payment was declined",
            PaymentDeclined(order_id=ORDER_ID),
            given="a payment is declined",
            another=PaymentDeclined(order_id=ANOTHER_ORDER_ID),
        ),
    ),
)
