"""What can be looked at: reads without locks."""

from uuid import UUID

from notifications.domain import OrderNotifications
from notifications.ports import UnitOfWork


async def notifications_of(order_id: UUID, uow: UnitOfWork) -> OrderNotifications:
    """What an order's customer was told, or will be; nothing for an unknown order."""
    return await uow.notifications.find(order_id) or OrderNotifications(order_id)
