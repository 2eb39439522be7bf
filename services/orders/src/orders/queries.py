"""What can be looked at: reads without locks, each of what its caller may see."""

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from orders.domain import Order, OrderNotFoundError, Product, User, UserNotFoundError
from orders.ports import PageKey, UnitOfWork


@dataclass(frozen=True)
class Page:
    """Some of a customer's orders, newest first; `more` says whether others follow."""

    orders: Sequence[Order]
    more: bool


async def user(user_id: UUID, uow: UnitOfWork) -> User:
    """Raises UserNotFoundError."""
    found = await uow.users.find(user_id)
    if found is None:
        raise UserNotFoundError(str(user_id))
    return found


async def products(uow: UnitOfWork) -> Sequence[Product]:
    """The catalogue, by sku."""
    return await uow.products.all()


async def order(order_id: UUID, uow: UnitOfWork, *, user_id: UUID | None) -> Order:
    """An order of the customer `user_id`, or for an operator (None) anybody's. Raises OrderNotFoundError."""
    found = await uow.orders.find(order_id)
    if found is None or user_id not in {None, found.customer.id}:
        raise OrderNotFoundError(str(order_id))
    return found


async def orders(user_id: UUID, uow: UnitOfWork, *, after: PageKey | None, limit: int) -> Page:
    """A page of a customer's orders, from behind `after`."""
    found = await uow.orders.newest_of(user_id, after=after, limit=limit + 1)
    return Page(found[:limit], more=len(found) > limit)
