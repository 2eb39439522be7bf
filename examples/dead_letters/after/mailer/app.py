"""The same mailer: a message with a mistake is kept, those behind it go on, and an operator mends it over HTTP."""

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from uuid import UUID

from fastapi import FastAPI, Header, HTTPException
from faststream import AckPolicy
from faststream.kafka import KafkaBroker
from outboxed import DeadLetters
from outboxed.web import dead_letters_router
from pydantic import BaseModel
from sqlalchemy.ext.asyncio import async_sessionmaker, create_async_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

DATABASE_URL = os.environ["DATABASE_URL"]
KAFKA = os.environ["KAFKA_BOOTSTRAP_SERVERS"]
engine = create_async_engine(DATABASE_URL)
sessions = async_sessionmaker(engine)


class Base(DeclarativeBase):
    pass


letters = DeadLetters(metadata=Base.metadata)
broker = KafkaBroker(KAFKA, middlewares=[letters.middleware(engine)])


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
app.include_router(dead_letters_router(letters.queue(engine, broker), by=operator))
