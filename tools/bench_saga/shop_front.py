"""Customers, products and the answers of the other builds' `orders`: what they have in common."""

from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Annotated, Any
from uuid import UUID, uuid4

import argon2
import jwt
from fastapi import APIRouter, Depends, HTTPException, Request
from fastapi.security import OAuth2PasswordBearer, OAuth2PasswordRequestForm
from pydantic import BaseModel, ConfigDict
from sqlalchemy import JSON, select
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, async_sessionmaker
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

JWT_SECRET = "a secret of another build, which lives as long as a measurement"  # noqa: S105
passwords = argon2.PasswordHasher()
router = APIRouter(prefix="/api/v1")


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


async def session(request: Request) -> AsyncIterator[AsyncSession]:
    async with request.app.state.new_session() as opened:
        yield opened


Session = Annotated[AsyncSession, Depends(session)]
Token = Annotated[str, Depends(OAuth2PasswordBearer(tokenUrl="/api/v1/tokens"))]


async def current_user(token: Token, opened: Session) -> User:
    try:
        claims = jwt.decode(token, JWT_SECRET, algorithms=["HS256"])
    except jwt.InvalidTokenError:
        raise HTTPException(401, "invalid token") from None
    user = await opened.get(User, UUID(claims["sub"]))
    if user is None:
        raise HTTPException(401, "unknown user")
    return user


CurrentUser = Annotated[User, Depends(current_user)]


@router.post("/users", status_code=201)
async def register(body: NewUser, opened: Session) -> dict[str, str]:
    user = User(email=body.email, name=body.name, password_hash=passwords.hash(body.password))
    opened.add(user)
    await opened.commit()
    return {"id": str(user.id), "email": user.email}


@router.post("/tokens")
async def log_in(form: Annotated[OAuth2PasswordRequestForm, Depends()], opened: Session) -> dict[str, str]:
    user = await opened.scalar(select(User).where(User.email == form.username))
    if user is None or not _is_password(user, form.password):
        raise HTTPException(401, "wrong e-mail address or password")
    claims = {"sub": str(user.id), "exp": datetime.now(UTC) + timedelta(hours=1)}
    return {"access_token": jwt.encode(claims, JWT_SECRET), "token_type": "bearer"}


def _is_password(user: User, password: str) -> bool:
    try:
        return passwords.verify(user.password_hash, password)
    except argon2.exceptions.VerifyMismatchError:
        return False


async def open_shop(engine: AsyncEngine, new_session: async_sessionmaker[AsyncSession]) -> None:
    """Make the tables and the product that is sold."""
    async with engine.begin() as connection:
        await connection.run_sync(Base.metadata.create_all)
    async with new_session.begin() as opened:
        await opened.merge(Product(sku="ABC", unit_price=Decimal("10.00")))


async def priced(items: Sequence[Item], opened: AsyncSession) -> Decimal:
    """What the items cost together. Raises HTTPException for a sku that isn't sold."""
    skus = [item.sku for item in items]
    products = {product.sku: product for product in await opened.scalars(select(Product).where(Product.sku.in_(skus)))}
    if set(skus) - products.keys():
        raise HTTPException(422, "unknown sku")
    return sum((products[item.sku].unit_price * item.quantity for item in items), Decimal(0))
