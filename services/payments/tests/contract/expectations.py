"""What this service expects of orders: the one place where an expectation is stated."""

from payments.consumed_events import OrderCancelled, OrderPlaced
from testkit.pact import Expectation, MessagePact

ORDER_ID = "0d2ad7dd-1d6c-4d39-9d5c-3a5a0f3d7f10"

OF_ORDERS = MessagePact(
    consumer="payments",
    provider="orders",
    expectations=(
        Expectation(
            "an order was placed",
            OrderPlaced,
            example={
                "order_id": ORDER_ID,
                "total": {"amount": "95.00", "currency": "EUR"},
                "payment_method": "pm_card_ok",
                "pay_before": "2100-01-15T12:15:00.000000Z",
            },
            given="an order is placed",
        ),
        Expectation(
            "an order was cancelled",
            OrderCancelled,
            example={"order_id": ORDER_ID},
            given="an order is cancelled",
        ),
    ),
)
