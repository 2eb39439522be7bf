"""A shop that publishes an order by FastStream."""

from uuid import UUID

from faststream.kafka import KafkaBroker
from pydantic import BaseModel

broker = KafkaBroker()


class Order(BaseModel):
    order_id: UUID
    total: int
    note: str = ""


async def place(order_id: UUID, total: int) -> None:
    await broker.publish(Order(order_id=order_id, total=total), "orders", key=str(order_id).encode())
