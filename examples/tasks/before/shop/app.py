"""A shop that charges the card while the customer waits: a crash after the call loses the receipt."""

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated
from uuid import UUID, uuid4

import httpx
from fastapi import Depends, FastAPI
from pydantic import BaseModel
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker, create_async_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

DATABASE_URL = os.environ["DATABASE_URL"]
GATEWAY = os.environ["GATEWAY_URL"]
engine = create_async_engine(DATABASE_URL)
sessions = async_sessionmaker(engine, expire_on_commit=False)


class Base(DeclarativeBase):
    pass


class Order(Base):
    __tablename__ = "orders"

    id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid4)
    total: Mapped[int]
    receipt: Mapped[str | None]


class Basket(BaseModel):
    total: int


async def charge(order_id: UUID, total: int) -> str:
    async with httpx.AsyncClient(base_url=GATEWAY, timeout=5) as client:
        answer = await client.post("/charges", json={"total": total}, headers={"Idempotency-Key": str(order_id)})
    return str(answer.raise_for_status().json()["receipt"])


async def get_session() -> AsyncIterator[AsyncSession]:
    async with sessions() as session:
        yield session


@asynccontextmanager
async def lifespan(_: FastAPI) -> AsyncIterator[None]:
    yield


app = FastAPI(lifespan=lifespan)


@app.post("/orders")
async def place(basket: Basket, session: Annotated[AsyncSession, Depends(get_session)]) -> UUID:
    order = Order(total=basket.total)
    session.add(order)
    await session.flush()
    order.receipt = await charge(order.id, order.total)
    await session.commit()
    return order.id
