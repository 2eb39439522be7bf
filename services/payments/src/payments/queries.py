"""What can be looked at: reads without locks."""

from collections.abc import Sequence
from uuid import UUID

from payments.domain import Payment, payment_id_of
from payments.ports import UnitOfWork


async def payments_of(order_id: UUID, uow: UnitOfWork) -> Sequence[Payment]:
    """The order's payment, if it has one yet."""
    payment = await uow.payments.find(payment_id_of(order_id))
    return [payment] if payment else []
