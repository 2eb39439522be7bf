"""What this service expects of orders and payments: the one place where an expectation is stated."""

from uuid import UUID

from notifications.consumed_events import Customer, OrderCancelled, OrderConfirmed, PaymentRefunded
from pact_faststream import Expectation, MessagePact

ORDER_ID = UUID("0d2ad7dd-1d6c-4d39-9d5c-3a5a0f3d7f10")
CUSTOMER = Customer(email="ada@example.com")

OF_ORDERS = MessagePact(
    consumer="notifications",
    provider="orders",
    expectations=(
        Expectation(
            "an order was confirmed",
            OrderConfirmed(order_id=ORDER_ID, customer=CUSTOMER),
            given="an order is confirmed",
        ),
        Expectation(
            "an order was cancelled",
            OrderCancelled(order_id=ORDER_ID, customer=CUSTOMER),
            given="an order is cancelled",
        ),
    ),
)

OF_PAYMENTS = MessagePact(
    consumer="notifications",
    provider="payments",
    expectations=(
        Expectation("a payment was refunded", PaymentRefunded(order_id=ORDER_ID), given="a payment is refunded"),
    ),
)
