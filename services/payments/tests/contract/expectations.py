"""What this service expects of orders: the one place where an expectation is stated."""

from datetime import UTC, datetime
from decimal import Decimal
from uuid import UUID

from pact_faststream import Expectation, MessagePact
from payments.consumed_events import Money, OrderCancelled, OrderPlaced

ORDER_ID = UUID("0d2ad7dd-1d6c-4d39-9d5c-3a5a0f3d7f10")
ANOTHER_ORDER_ID = UUID("b1946ac9-2a0c-4f6e-8d57-41f0c2a7d3e5")

OF_ORDERS = MessagePact(
    consumer="payments",
    provider="orders",
    expectations=(
        Expectation(
            "an order was placed",
            OrderPlaced(
                order_id=ORDER_ID,
                total=Money(amount=Decimal("95.00"), currency="EUR"),
                payment_method="pm_card_ok",
                pay_before=datetime(2100, 1, 15, 12, 15, tzinfo=UTC),
            ),
            given="an order is placed",
            another=OrderPlaced(
                order_id=ANOTHER_ORDER_ID,
                total=Money(amount=Decimal("1062.50"), currency="EUR"),
                payment_method="pm_card_of_another",
                pay_before=datetime(2101, 7, 31, 23, 59, 59, 250_000, tzinfo=UTC),
            ),
            same=["$.total.currency"],  # the shop has but one
        ),
        Expectation(
            "an order was cancelled",
            OrderCancelled(order_id=ORDER_ID),
            given="an order is cancelled",
            another=OrderCancelled(order_id=ANOTHER_ORDER_ID),
        ),
    ),
)
