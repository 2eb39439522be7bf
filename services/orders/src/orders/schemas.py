"""Requests and responses of the HTTP API."""

from typing import Annotated, Literal, Self
from uuid import UUID

from outboxed.messages import Amount, Timestamp
from pydantic import BaseModel, Field, StringConstraints, field_validator

from orders.addressing import Email, Name
from orders.domain import Order, Product, User

PAYMENT_METHOD_CHARACTERS = 60
"""At most, after `pm_`."""
_NO_CONTROLS = r"^[^\x00-\x1f\x7f-\x9f]*$"

Password = Annotated[str, StringConstraints(min_length=8, max_length=128)]
Sku = Annotated[str, StringConstraints(min_length=1, max_length=100, pattern=_NO_CONTROLS)]
PaymentMethod = Annotated[str, StringConstraints(pattern=rf"^pm_[a-z0-9_]{{1,{PAYMENT_METHOD_CHARACTERS}}}$")]
Quantity = Annotated[int, Field(strict=True, ge=1, le=1000)]


class RegisterUserRequest(BaseModel):
    email: Email
    name: Name
    password: Annotated[Password, Field(repr=False)]


class MembershipRequest(BaseModel):
    is_member: Annotated[bool, Field(strict=True)]


class UserResponse(BaseModel):
    id: UUID
    email: str
    name: str
    is_member: bool
    is_active: bool
    created_at: Timestamp

    @classmethod
    def of(cls, user: User) -> Self:
        return cls.model_validate(user, from_attributes=True)


class TokenResponse(BaseModel):
    access_token: Annotated[str, Field(repr=False)]
    token_type: Literal["bearer"] = "bearer"  # noqa: S105 - the scheme's name
    expires_in: int


class ProductResponse(BaseModel):
    sku: str
    name: str
    unit_price: Amount
    currency: str

    @classmethod
    def of(cls, product: Product) -> Self:
        return cls(sku=product.sku, name=product.name, unit_price=product.unit_price, currency=product.currency)


class ProductsResponse(BaseModel):
    items: list[ProductResponse]


class OrderItemRequest(BaseModel):
    sku: Sku
    quantity: Quantity


class PlaceOrderRequest(BaseModel):
    items: Annotated[list[OrderItemRequest], Field(min_length=1, max_length=50)]
    payment_method: PaymentMethod

    @field_validator("items")
    @classmethod
    def _each_sku_once(cls, items: list[OrderItemRequest]) -> list[OrderItemRequest]:
        if len({item.sku for item in items}) < len(items):
            raise ValueError("a sku may appear only once")
        return items

    @property
    def quantities(self) -> dict[str, int]:
        return {item.sku: item.quantity for item in self.items}


class OrderItemResponse(BaseModel):
    sku: str
    quantity: int
    unit_price: Amount


class StatusChangeResponse(BaseModel):
    status: str
    at: Timestamp
    reason: Annotated[str | None, Field(exclude_if=lambda reason: reason is None)] = None


class OrderResponse(BaseModel):
    id: UUID
    status: str
    items: list[OrderItemResponse]
    subtotal: Amount
    discount: Amount
    total: Amount
    currency: str
    placed_at: Timestamp
    history: list[StatusChangeResponse]

    @classmethod
    def of(cls, order: Order) -> Self:
        return cls(
            id=order.id,
            status=order.status,
            items=[OrderItemResponse(**vars(item)) for item in order.items],
            subtotal=order.price.subtotal,
            discount=order.price.discount,
            total=order.price.total,
            currency=order.currency,
            placed_at=order.placed_at,
            history=[StatusChangeResponse(**vars(change)) for change in order.history],
        )


class OrdersResponse(BaseModel):
    items: list[OrderResponse]
    next_cursor: str | None
