"""The three services in memory: their databases, what each group reads, and what a customer may do."""

from collections.abc import Mapping, Sequence
from datetime import timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

import notifications.consumers
import orders.consumers
import payments.consumers
from orders import handlers
from orders.domain import Order, Product, User
from orders.handlers import OrderPolicy, PlaceOrder
from orders.pricing import PricingService
from outboxed.consuming import Route
from outboxed.storage import Clock
from outboxed.testing.memory import InMemoryDatabase

from services.notifications.tests.fakes import in_memory_notifications
from services.orders.tests.factories import UserFactory
from services.orders.tests.fakes import in_memory_orders
from services.payments.tests.fakes import in_memory_payments

DEADLINE = timedelta(minutes=15)
ROUTES: Mapping[str, Sequence[Route[Any]]] = {
    "orders": orders.consumers.ROUTES,
    "payments": payments.consumers.ROUTES,
    "notifications": notifications.consumers.ROUTES,
}


class Services:
    """A shop with one customer and one product, once it is open."""

    def __init__(self, clock: Clock) -> None:
        self.customer: User = UserFactory.create()
        self.databases: dict[str, InMemoryDatabase[Any]] = {
            "orders": in_memory_orders(clock),
            "payments": in_memory_payments(clock),
            "notifications": in_memory_notifications(clock),
        }

    async def open(self) -> None:
        async with self.databases["orders"]() as uow:
            await uow.users.register(self.customer)
            await uow.products.put([Product("ABC", "Blue mug", Decimal(25))])

    async def place(self) -> Order:
        policy = OrderPolicy(PricingService(), DEADLINE)
        async with self.databases["orders"]() as uow:
            return await handlers.place_order(PlaceOrder(self.customer.id, {"ABC": 4}, "pm_card"), uow, policy)

    async def cancel(self, order_id: UUID) -> None:
        async with self.databases["orders"]() as uow:
            await handlers.cancel_order(order_id, uow, user_id=self.customer.id)
