"""The states that consumers may ask for: the use cases that publish, with all that can make their events differ."""

from collections.abc import Mapping

from pact_faststream import ProviderState
from payments import handlers
from payments.consumed_events import OrderCancelled
from payments.domain import Payment
from payments.events import PaymentCaptured, PaymentDeclined, PaymentRefunded
from payments.handlers import Charged, Declined

from ..factories import PaymentFactory
from ..fakes import stored
from ..unit.conftest import Database


def provider_states(database: Database) -> Mapping[str, ProviderState]:
    use_cases = _UseCases(database)
    return {
        "a payment is captured": ProviderState(PaymentCaptured, {"at once": use_cases.capture}),
        "a payment is declined": ProviderState(
            PaymentDeclined,
            {
                "by the card": lambda: use_cases.decline("card_declined"),
                "under a key that was refunded": lambda: use_cases.decline("key_refunded"),
            },
        ),
        "a payment is refunded": ProviderState(
            PaymentRefunded,
            {"after it was captured": use_cases.refund, "before its capture was known": use_cases.refund_unseen},
        ),
    }


class _UseCases:
    def __init__(self, database: Database) -> None:
        self._database = database

    async def capture(self) -> Payment:
        payment = await self._requested()
        async with self._database() as uow:
            await handlers.record_charge(payment.order_id, Charged("ch_1"), uow)
        return payment

    async def decline(self, reason: str) -> None:
        payment = await self._requested()
        async with self._database() as uow:
            await handlers.record_charge(payment.order_id, Declined(reason), uow)

    async def refund(self) -> None:
        await self._refund(await self.capture())

    async def refund_unseen(self) -> None:
        """A worker charged and died, and the order was cancelled before anybody knew."""
        await self._refund(await self._requested())

    async def _requested(self) -> Payment:
        payment: Payment = PaymentFactory.create()
        await stored(self._database, payment)
        return payment

    async def _refund(self, payment: Payment) -> None:
        async with self._database() as uow:
            await handlers.void_payment(OrderCancelled(order_id=payment.order_id), uow)
        async with self._database() as uow:
            await handlers.record_refund(payment.order_id, "ch_1", uow)
