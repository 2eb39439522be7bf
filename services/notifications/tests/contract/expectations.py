"""What this service expects of orders and payments: the one place where an expectation is stated."""

from uuid import UUID

from notifications.consumed_events import Customer, OrderCancelled, OrderConfirmed, PaymentRefunded
from pact_faststream import Expectation, MessagePact

ORDER_ID = UUID("0d2ad7dd-1d6c-4d39-9d5c-3a5a0f3d7f10")
ANOTHER_ORDER_ID = UUID("b1946ac9-2a0c-4f6e-8d57-41f0c2a7d3e5")
CUSTOMER = Customer(email="ada@example.com")
ANOTHER_CUSTOMER = Customer(email="Grace.Hopper+orders@Example.org")

OF_ORDERS = MessagePact(
    consumer="notifications",
    provider="orders",
    expectations=(
        Expectation(
            "an order was confirmed",
            OrderConfirmed(order_id=ORDER_ID, customer=CUSTOMER),
            given="an order is confirmed",
            another=OrderConfirmed(order_id=ANOTHER_ORDER_ID, customer=ANOTHER_CUSTOMER),
        ),
        Expectation(
            "an order was cancelled",
            OrderCancelled(order_id=ORDER_ID, customer=CUSTOMER),
            given="an order is cancelled",
            another=OrderCancelled(order_id=ANOTHER_ORDER_ID, customer=ANOTHER_CUSTOMER),
        ),
    ),
)

OF_PAYMENTS = MessagePact(
    consumer="notifications",
    provider="payments",
    expectations=(
        Expectation(
            "a payment was refunded",
            PaymentRefunded(order_id=ORDER_ID),
            given="a payment is refunded",
            another=PaymentRefunded(order_id=ANOTHER_ORDER_ID),
        ),
    ),
)
