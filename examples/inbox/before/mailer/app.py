"""A mailer that notes one mail for each order; a message that comes twice is noted twice."""

import os
from uuid import UUID

from faststream import FastStream
from faststream.kafka import KafkaBroker
from pydantic import BaseModel
from sqlalchemy.ext.asyncio import async_sessionmaker, create_async_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

DATABASE_URL = os.environ["DATABASE_URL"]
KAFKA = os.environ["KAFKA_BOOTSTRAP_SERVERS"]
engine = create_async_engine(DATABASE_URL)
sessions = async_sessionmaker(engine)
broker = KafkaBroker(KAFKA)
app = FastStream(broker)


class Base(DeclarativeBase):
    pass


class Mail(Base):
    __tablename__ = "mails"

    id: Mapped[int] = mapped_column(primary_key=True)
    order_id: Mapped[UUID]


class OrderPlaced(BaseModel):
    order_id: UUID


@broker.subscriber("orders", group_id="mailer", auto_offset_reset="earliest")
async def on_order(order: OrderPlaced) -> None:
    async with sessions() as session:
        session.add(Mail(order_id=order.order_id))
        await session.commit()
