"""What the three services tell each other; each event has a topic of its own."""

from decimal import Decimal
from uuid import UUID

from pydantic import BaseModel

ORDER_PLACED, ORDER_CONFIRMED, ORDER_CANCELLED = "naive.order-placed", "naive.order-confirmed", "naive.order-cancelled"
PAYMENT_CAPTURED, PAYMENT_DECLINED = "naive.payment-captured", "naive.payment-declined"
TOPICS = (ORDER_PLACED, ORDER_CONFIRMED, ORDER_CANCELLED, PAYMENT_CAPTURED, PAYMENT_DECLINED)


class OrderPlaced(BaseModel):
    order_id: UUID
    total: Decimal
    currency: str
    payment_method: str


class OrderSettled(BaseModel):
    """Confirmed or cancelled, as its topic says."""

    order_id: UUID
    email: str


class PaymentDone(BaseModel):
    """Captured or declined, as its topic says."""

    order_id: UUID
    payment_id: UUID
