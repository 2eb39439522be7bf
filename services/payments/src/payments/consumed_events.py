"""This service's own view of what orders publishes: only what it uses."""

from typing import Annotated
from uuid import UUID

from outboxed.messages import ConsumedData, ConsumedEvent, ConsumedPrice, ConsumedTimestamp
from pydantic import Field


class Money(ConsumedData):
    amount: ConsumedPrice
    currency: Annotated[str, Field(pattern=r"^[A-Z]{3}$")]


class OrderEvent(ConsumedEvent, topic="orders", key_field="order_id"):
    order_id: UUID


class OrderPlaced(OrderEvent, type="order.placed.v1"):
    total: Money
    payment_method: Annotated[str, Field(min_length=1)]
    pay_before: ConsumedTimestamp


class OrderCancelled(OrderEvent, type="order.cancelled.v1"):
    pass
