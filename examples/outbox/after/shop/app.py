"""The same shop: what it publishes is sent if, and only if, the order commits."""

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated
from uuid import UUID, uuid4

from fastapi import Depends, FastAPI
from outboxed import Outbox
from pydantic import BaseModel
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker, create_async_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

DATABASE_URL = os.environ["DATABASE_URL"]
KAFKA = os.environ["KAFKA_BOOTSTRAP_SERVERS"]
engine = create_async_engine(DATABASE_URL)
sessions = async_sessionmaker(engine, expire_on_commit=False)


class Base(DeclarativeBase):
    pass


outbox = Outbox(source="/shop", metadata=Base.metadata)


class Order(Base):
    __tablename__ = "orders"

    id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid4)
    total: Mapped[int]


@outbox.event("order.placed.v1", topic="orders", key="order_id")
class OrderPlaced(BaseModel):
    order_id: UUID
    total: int


class Basket(BaseModel):
    total: int


async def get_session() -> AsyncIterator[AsyncSession]:
    async with sessions() as session:
        yield session


@asynccontextmanager
async def lifespan(_: FastAPI) -> AsyncIterator[None]:
    async with outbox.relay(engine, KAFKA):
        yield


app = FastAPI(lifespan=lifespan)


@app.post("/orders")
async def place(basket: Basket, session: Annotated[AsyncSession, Depends(get_session)]) -> UUID:
    order = Order(total=basket.total)
    session.add(order)
    await session.flush()
    await outbox.publish(session, OrderPlaced(order_id=order.id, total=order.total))
    await session.commit()
    return order.id
