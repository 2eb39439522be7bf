"""The states that consumers may ask for: the use cases that publish, with all that can make their events differ."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from decimal import ROUND_DOWN, Decimal
from typing import Annotated, Any
from uuid import UUID, uuid4

from orders import handlers
from orders.addressing import Email, Name
from orders.consumed_events import PaymentCaptured, PaymentDeclined
from orders.domain import CURRENCY, CancellationReason, OrderStatus, Product, User
from orders.events import OrderCancelled, OrderConfirmed, OrderPlaced
from orders.handlers import OrderPolicy, PlaceOrder
from orders.pricing import CENT, FULL, MEMBER_POINTS, STANDARD_RULES, PricingService
from orders.schemas import PaymentMethod
from pact_faststream import ProviderState
from pact_faststream.values import pairwise
from pydantic import AwareDatetime, BaseModel, Field

from ..factories import NOW, UserFactory
from ..unit.conftest import Database
from .edges import LARGEST_SUBTOTAL, axes, cancellations

PRICING = PricingService()
PAYMENT_DEADLINE = timedelta(minutes=15)
PLACED = pairwise(axes(OrderPlaced, "pay_before"))
CONFIRMED = pairwise(axes(OrderConfirmed, "confirmed_at"))
CANCELLED = {
    name: variant
    for before, reasons in cancellations().items()
    for name, variant in pairwise(
        {"before": {before.lower(): before}, "reason": reasons, **axes(OrderCancelled, "cancelled_at")}
    ).items()
}


def provider_states(database: Database) -> Mapping[str, ProviderState]:
    use_cases = _UseCases(database)
    return {
        "an order is placed": ProviderState(OrderPlaced, PLACED, asked=use_cases.place),
        "an order is confirmed": ProviderState(OrderConfirmed, CONFIRMED, asked=use_cases.confirm),
        "an order is cancelled": ProviderState(OrderCancelled, CANCELLED, asked=use_cases.cancel),
    }


class _Customer(BaseModel, extra="forbid"):
    id: UUID = Field(default_factory=uuid4)
    email: Email = "ada@example.com"
    name: Name = "Ada Lovelace"


class _Total(BaseModel, extra="forbid"):
    amount: Annotated[Decimal, Field(ge=0, decimal_places=2)] = Decimal("95.00")
    currency: Annotated[str, Field(pattern=f"^{CURRENCY}$")] = CURRENCY


class _Order(BaseModel, extra="forbid"):
    """What can be asked of an order's events: their fields, and what makes them differ."""

    order_id: UUID = Field(default_factory=uuid4)
    customer: _Customer = Field(default_factory=_Customer)
    total: _Total = Field(default_factory=_Total)
    payment_method: PaymentMethod = "pm_card_ok"
    placed_at: AwareDatetime = NOW
    pay_before: AwareDatetime | None = None
    is_member: bool = False
    number_of_items: int = 1
    quantity: int = 1

    @property
    def user(self) -> User:
        user: User = UserFactory.create(**dict(self.customer), is_member=self.is_member)
        return user

    def basket(self) -> Mapping[str, tuple[int, Product]]:
        """So many of each product, priced so that the domain's own arithmetic comes to the total."""
        subtotal = _subtotal(self.total.amount, is_member=self.is_member)
        others = self.number_of_items - 1
        share = (subtotal / (self.number_of_items * self.quantity)).quantize(CENT, rounding=ROUND_DOWN)
        rest = subtotal - share * others * self.quantity
        priced = [(1, rest), *[(self.quantity, share)] * others]
        return {
            f"SKU-{number}": (quantity, Product(f"SKU-{number}", "Blue mug", price))
            for number, (quantity, price) in enumerate(priced)
        }


class _Confirmation(_Order):
    confirmed_at: AwareDatetime = NOW


class _Cancellation(_Order):
    cancelled_at: AwareDatetime = NOW
    reason: CancellationReason = CancellationReason.CUSTOMER
    before: OrderStatus = OrderStatus.PENDING


class _UseCases:
    """Each begins in an empty service, because two consumers may ask for the same order."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def place(self, **asked: Any) -> None:
        order = _Order.model_validate(asked)
        if order.pay_before is not None and "placed_at" not in asked:
            order.placed_at = order.pay_before - PAYMENT_DEADLINE
        await self._place(order)

    async def confirm(self, **asked: Any) -> None:
        order = _Confirmation.model_validate(asked)
        await self._place(order)
        await self._confirm(order.order_id, order.confirmed_at)

    async def cancel(self, **asked: Any) -> None:
        order = _Cancellation.model_validate(asked)
        await self._place(order)
        if order.before is OrderStatus.CONFIRMED:
            await self._confirm(order.order_id, order.cancelled_at)
        async with self._database.at(order.cancelled_at) as uow:
            match order.reason:
                case CancellationReason.CUSTOMER:
                    await handlers.cancel_order(order.order_id, uow, user_id=None)
                case CancellationReason.PAYMENT_DECLINED:
                    await handlers.decline_order(PaymentDeclined(order_id=order.order_id), uow)
                case CancellationReason.PAYMENT_DEADLINE:
                    await handlers.expire_order(order.order_id, uow)

    async def _place(self, order: _Order) -> None:
        self._database.clear()
        deadline = order.pay_before - order.placed_at if order.pay_before else PAYMENT_DEADLINE
        user, basket = order.user, order.basket()
        quantities = {sku: quantity for sku, (quantity, _) in basket.items()}
        async with self._database.at(order.placed_at) as uow:
            await uow.products.put([product for _, product in basket.values()])
            await uow.users.register(user)
        async with self._database.at(order.placed_at) as uow:
            command = PlaceOrder(user.id, quantities, order.payment_method)
            await handlers.place_order(command, uow, OrderPolicy(PRICING, deadline), new_id=lambda: order.order_id)

    async def _confirm(self, order_id: UUID, at: datetime) -> None:
        async with self._database.at(at) as uow:
            await handlers.confirm_order(PaymentCaptured(order_id=order_id), uow)


def _subtotal(total: Decimal, *, is_member: bool) -> Decimal:
    """The one with the highest discount that comes to a total. Raises ValueError if no order costs that much."""
    points = MEMBER_POINTS if is_member else Decimal(0)
    for percentage in sorted({rule.percentage for rule in STANDARD_RULES} | {Decimal(0)}, reverse=True):
        exact = (total * FULL / (FULL - percentage - points)).quantize(CENT)
        for subtotal in (exact + CENT * cents for cents in (0, 1, -1)):
            fits = 0 <= subtotal <= LARGEST_SUBTOTAL
            if fits and PRICING.calculate_total(subtotal, is_member).total == total:
                return subtotal
    raise ValueError(f"no order costs {total}: the largest subtotal is {LARGEST_SUBTOTAL}")
