"""A mailer that a message with a mistake holds up for ever: it comes again, and none behind it is handled."""

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from uuid import UUID

from fastapi import FastAPI, Header, HTTPException
from faststream import AckPolicy
from faststream.kafka import KafkaBroker
from pydantic import BaseModel
from sqlalchemy.ext.asyncio import async_sessionmaker, create_async_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

DATABASE_URL = os.environ["DATABASE_URL"]
KAFKA = os.environ["KAFKA_BOOTSTRAP_SERVERS"]
engine = create_async_engine(DATABASE_URL)
sessions = async_sessionmaker(engine)


class Base(DeclarativeBase):
    pass


broker = KafkaBroker(KAFKA)


class Mail(Base):
    __tablename__ = "mails"

    id: Mapped[int] = mapped_column(primary_key=True)
    order_id: Mapped[UUID]


class OrderPlaced(BaseModel):
    order_id: UUID


@broker.subscriber("orders", group_id="mailer", auto_offset_reset="earliest", ack_policy=AckPolicy.NACK_ON_ERROR)
async def on_order(order: OrderPlaced) -> None:
    async with sessions.begin() as session:
        session.add(Mail(order_id=order.order_id))


async def operator(x_operator: str = Header("")) -> str:
    if not x_operator:
        raise HTTPException(403)
    return x_operator


@asynccontextmanager
async def lifespan(_: FastAPI) -> AsyncIterator[None]:
    async with broker:
        await broker.start()
        yield


app = FastAPI(lifespan=lifespan)
