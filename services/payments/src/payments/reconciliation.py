"""Compares the gateway's charges with the payments: money that no payment claims belongs to the customer."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass

from outboxed.ports import UnitOfWorkFactory

from payments.domain import Payment, PaymentStatus
from payments.ports import GatewayCharge, PaymentGateway, UnitOfWork

PAGE = 100
CONCURRENCY = 8


@dataclass(frozen=True)
class UnclaimedCharge:
    """A charge that the gateway still has and that its order's payment doesn't claim."""

    payment: Payment
    charge: GatewayCharge

    @property
    def returnable(self) -> bool:
        """A refund returns all that a key charged: a captured payment's own key must not be refunded here."""
        return self.payment.status is not PaymentStatus.CAPTURED or self.charge.idempotency_key != str(self.payment.id)


async def unclaimed_charges(
    unit_of_work: UnitOfWorkFactory[UnitOfWork], gateway: PaymentGateway
) -> Sequence[UnclaimedCharge]:
    """Ask the gateway about every payment. Raises ServiceTimeoutError, GatewayUnavailableError."""
    limit = asyncio.Semaphore(CONCURRENCY)

    async def compare(payment: Payment) -> list[UnclaimedCharge]:
        async with limit:
            charges = await gateway.charges(reference=payment.order_id)
        return [UnclaimedCharge(payment, charge) for charge in charges if not _is_claimed(charge, payment)]

    found: list[UnclaimedCharge] = []
    async for page in _pages(unit_of_work):
        for unclaimed in await asyncio.gather(*(compare(payment) for payment in page)):
            found.extend(unclaimed)
    return found


async def return_charge(unclaimed: UnclaimedCharge, gateway: PaymentGateway) -> None:
    """Refund it. Raises ServiceTimeoutError, GatewayUnavailableError."""
    await gateway.refund(idempotency_key=unclaimed.charge.idempotency_key)


async def _pages(unit_of_work: UnitOfWorkFactory[UnitOfWork]) -> AsyncIterator[Sequence[Payment]]:
    after = None
    while True:
        async with unit_of_work(reading=True) as uow:
            page = await uow.payments.page(after=after, limit=PAGE)
        if page:
            yield page
        if len(page) < PAGE:
            return
        after = page[-1].id


def _is_claimed(charge: GatewayCharge, payment: Payment) -> bool:
    if not charge.succeeded:
        return True
    if payment.status is PaymentStatus.REQUESTED:
        # under way: the next attempt adopts it
        return charge.idempotency_key == str(payment.id)
    return payment.status is PaymentStatus.CAPTURED and charge.id == payment.charge_id
