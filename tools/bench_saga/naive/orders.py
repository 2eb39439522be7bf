"""Orders, in a common way: store the order, commit, and then publish the event."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Annotated, Any
from uuid import UUID, uuid4

import argon2
import jwt
import uvicorn
from fastapi import Depends, FastAPI, HTTPException
from fastapi.security import OAuth2PasswordBearer, OAuth2PasswordRequestForm
from faststream.kafka import KafkaBroker
from pydantic import BaseModel, ConfigDict
from sqlalchemy import JSON, select
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker, create_async_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from tools.bench_saga.naive.events import (
    ORDER_CANCELLED,
    ORDER_CONFIRMED,
    ORDER_PLACED,
    PAYMENT_CAPTURED,
    PAYMENT_DECLINED,
    OrderPlaced,
    OrderSettled,
    PaymentDone,
)
from tools.bench_saga.naive.settings import Settings

settings = Settings()
engine = create_async_engine(settings.database_url)
new_session = async_sessionmaker(engine, expire_on_commit=False)
broker = KafkaBroker(settings.kafka_bootstrap_servers)
passwords = argon2.PasswordHasher()


class Base(DeclarativeBase):
    type_annotation_map = {dict[str, Any]: JSON, list[dict[str, Any]]: JSON}  # noqa: RUF012 - SQLAlchemy's way


class User(Base):
    __tablename__ = "users"

    id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid4)
    email: Mapped[str] = mapped_column(unique=True)
    name: Mapped[str]
    password_hash: Mapped[str]


class Product(Base):
    __tablename__ = "products"

    sku: Mapped[str] = mapped_column(primary_key=True)
    unit_price: Mapped[Decimal]


class Order(Base):
    __tablename__ = "orders"

    id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid4)
    user_id: Mapped[UUID]
    email: Mapped[str]
    items: Mapped[list[dict[str, Any]]]
    total: Mapped[Decimal]
    currency: Mapped[str] = mapped_column(default="EUR")
    payment_method: Mapped[str]
    status: Mapped[str] = mapped_column(default="PENDING")


class NewUser(BaseModel):
    email: str
    name: str
    password: str


class Item(BaseModel):
    sku: str
    quantity: int


class NewOrder(BaseModel):
    items: list[Item]
    payment_method: str


class OrderAnswer(BaseModel):
    model_config = ConfigDict(from_attributes=True)

    id: UUID
    status: str
    items: list[dict[str, Any]]
    total: Decimal
    currency: str


async def session() -> AsyncIterator[AsyncSession]:
    async with new_session() as opened:
        yield opened


@asynccontextmanager
async def lifespan(_: FastAPI) -> AsyncIterator[None]:
    async with engine.begin() as connection:
        await connection.run_sync(Base.metadata.create_all)
    async with new_session.begin() as opened:
        await opened.merge(Product(sku="ABC", unit_price=Decimal("10.00")))
    await broker.start()
    yield
    await broker.stop()
    await engine.dispose()


app = FastAPI(lifespan=lifespan)
Session = Annotated[AsyncSession, Depends(session)]
Token = Annotated[str, Depends(OAuth2PasswordBearer(tokenUrl="/api/v1/tokens"))]


async def current_user(token: Token, opened: Session) -> User:
    try:
        claims = jwt.decode(token, settings.jwt_secret, algorithms=["HS256"])
    except jwt.InvalidTokenError:
        raise HTTPException(401, "invalid token") from None
    user = await opened.get(User, UUID(claims["sub"]))
    if user is None:
        raise HTTPException(401, "unknown user")
    return user


@app.post("/api/v1/users", status_code=201)
async def register(body: NewUser, opened: Session) -> dict[str, str]:
    user = User(email=body.email, name=body.name, password_hash=passwords.hash(body.password))
    opened.add(user)
    await opened.commit()
    return {"id": str(user.id), "email": user.email}


@app.post("/api/v1/tokens")
async def log_in(form: Annotated[OAuth2PasswordRequestForm, Depends()], opened: Session) -> dict[str, str]:
    user = await opened.scalar(select(User).where(User.email == form.username))
    if user is None or not _is_password(user, form.password):
        raise HTTPException(401, "wrong e-mail address or password")
    claims = {"sub": str(user.id), "exp": datetime.now(UTC) + timedelta(hours=1)}
    return {"access_token": jwt.encode(claims, settings.jwt_secret), "token_type": "bearer"}


def _is_password(user: User, password: str) -> bool:
    try:
        return passwords.verify(user.password_hash, password)
    except argon2.exceptions.VerifyMismatchError:
        return False


@app.post("/api/v1/orders", status_code=201)
async def place_order(body: NewOrder, user: Annotated[User, Depends(current_user)], opened: Session) -> OrderAnswer:
    skus = [item.sku for item in body.items]
    products = {product.sku: product for product in await opened.scalars(select(Product).where(Product.sku.in_(skus)))}
    if set(skus) - products.keys():
        raise HTTPException(422, "unknown sku")
    order = Order(
        user_id=user.id,
        email=user.email,
        items=[item.model_dump() for item in body.items],
        total=sum((products[item.sku].unit_price * item.quantity for item in body.items), Decimal(0)),
        payment_method=body.payment_method,
    )
    opened.add(order)
    await opened.commit()
    placed = OrderPlaced(
        order_id=order.id, total=order.total, currency=order.currency, payment_method=order.payment_method
    )
    await broker.publish(placed, ORDER_PLACED, key=order.id.bytes)
    return OrderAnswer.model_validate(order)


@app.get("/health/ready")
async def ready() -> dict[str, str]:
    return {"status": "ok"}


@broker.subscriber(PAYMENT_CAPTURED, group_id="naive-orders", auto_offset_reset="earliest")
async def confirm(event: PaymentDone) -> None:
    await _settle(event.order_id, "CONFIRMED", ORDER_CONFIRMED)


@broker.subscriber(PAYMENT_DECLINED, group_id="naive-orders", auto_offset_reset="earliest")
async def cancel(event: PaymentDone) -> None:
    await _settle(event.order_id, "CANCELLED", ORDER_CANCELLED)


async def _settle(order_id: UUID, status: str, topic: str) -> None:
    async with new_session() as opened:
        order = await opened.get_one(Order, order_id)
        order.status = status
        await opened.commit()
    await broker.publish(OrderSettled(order_id=order.id, email=order.email), topic, key=order.id.bytes)


if __name__ == "__main__":
    uvicorn.run(app, port=settings.http_port, access_log=False)
