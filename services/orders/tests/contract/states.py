"""The states that consumers may ask for: the use cases that publish, with all that can make their events differ."""

from collections.abc import Mapping
from datetime import timedelta
from uuid import UUID

from orders import handlers
from orders.consumed_events import PaymentCaptured, PaymentDeclined
from orders.domain import Order
from orders.events import OrderCancelled, OrderConfirmed, OrderPlaced
from orders.handlers import OrderPolicy, PlaceOrder
from orders.pricing import PricingService
from pact_faststream import ProviderState

from ..factories import ProductFactory, UserFactory
from ..unit.conftest import Database

ONE_ITEM = {"ABC": 4}
SEVERAL_ITEMS = {"ABC": 4, "DEF": 1}
POLICY = OrderPolicy(PricingService(), timedelta(minutes=15))


def provider_states(database: Database) -> Mapping[str, ProviderState]:
    use_cases = _UseCases(database)
    return {
        "an order is placed": ProviderState(
            OrderPlaced,
            {
                "a customer's": use_cases.place,
                "a member's": lambda: use_cases.place(is_member=True),
                "of several items": lambda: use_cases.place(SEVERAL_ITEMS),
                "by a name beyond ASCII": lambda: use_cases.place(name="Ağça 李 \N{PARTY POPPER}"),
            },
        ),
        "an order is confirmed": ProviderState(
            OrderConfirmed,
            {"a customer's": use_cases.confirm, "a member's": lambda: use_cases.confirm(is_member=True)},
        ),
        "an order is cancelled": ProviderState(
            OrderCancelled,
            {
                "by its customer": use_cases.cancel,
                "by its customer, after it was paid": use_cases.cancel_paid,
                "as its payment was declined": use_cases.decline,
                "as its payment deadline passed": use_cases.expire,
            },
        ),
    }


class _UseCases:
    def __init__(self, database: Database) -> None:
        self._database = database

    async def place(
        self, quantities: Mapping[str, int] = ONE_ITEM, *, is_member: bool = False, name: str = "Ada Lovelace"
    ) -> Order:
        user = UserFactory.create(is_member=is_member, name=name)
        async with self._database() as uow:
            await uow.products.put([ProductFactory.create(sku=sku) for sku in quantities])
            await uow.users.register(user)
        async with self._database() as uow:
            return await handlers.place_order(PlaceOrder(user.id, quantities, "pm_card_ok"), uow, POLICY)

    async def confirm(self, *, is_member: bool = False) -> UUID:
        order = await self.place(is_member=is_member)
        async with self._database() as uow:
            await handlers.confirm_order(PaymentCaptured(order_id=order.id), uow)
        return order.id

    async def cancel(self) -> None:
        await self._cancel((await self.place()).id)

    async def cancel_paid(self) -> None:
        await self._cancel(await self.confirm())

    async def decline(self) -> None:
        order = await self.place()
        async with self._database() as uow:
            await handlers.decline_order(PaymentDeclined(order_id=order.id), uow)

    async def expire(self) -> None:
        order = await self.place()
        async with self._database() as uow:
            await handlers.expire_order(order.id, uow)

    async def _cancel(self, order_id: UUID) -> None:
        async with self._database() as uow:
            await handlers.cancel_order(order_id, uow, user_id=None)
