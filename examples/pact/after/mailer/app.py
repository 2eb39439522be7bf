"""A mailer that reads the shop's orders."""

from uuid import UUID

from faststream.kafka import KafkaBroker
from pydantic import BaseModel

broker = KafkaBroker()
mails: list[UUID] = []


class OrderSeen(BaseModel):
    order_id: UUID
    total: int


@broker.subscriber("orders", group_id="mailer")
async def on_order(order: OrderSeen) -> None:
    mails.append(order.order_id)
