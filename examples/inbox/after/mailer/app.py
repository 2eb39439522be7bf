"""The same mailer: a message that comes twice takes effect once."""

import os
from uuid import UUID

from faststream import AckPolicy, FastStream
from faststream.kafka import KafkaBroker
from outboxed import Inbox
from pydantic import BaseModel
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker, create_async_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

DATABASE_URL = os.environ["DATABASE_URL"]
KAFKA = os.environ["KAFKA_BOOTSTRAP_SERVERS"]
engine = create_async_engine(DATABASE_URL)
sessions = async_sessionmaker(engine)
broker = KafkaBroker(KAFKA)
app = FastStream(broker)


class Base(DeclarativeBase):
    pass


inbox = Inbox(metadata=Base.metadata)


class Mail(Base):
    __tablename__ = "mails"

    id: Mapped[int] = mapped_column(primary_key=True)
    order_id: Mapped[UUID]


class OrderPlaced(BaseModel):
    order_id: UUID


@broker.subscriber("orders", group_id="mailer", auto_offset_reset="earliest", ack_policy=AckPolicy.NACK_ON_ERROR)
@inbox.once(sessions)
async def on_order(order: OrderPlaced, session: AsyncSession) -> None:
    session.add(Mail(order_id=order.order_id))
