"""The states that consumers may ask for: the use cases that publish, with all that can make their events differ."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Annotated, Any, Self
from uuid import UUID, uuid4

from pact_faststream import ProviderState
from pact_faststream.values import pairwise
from payments import handlers
from payments.consumed_events import Money, OrderCancelled, OrderPlaced
from payments.domain import payment_id_of
from payments.events import PaymentCaptured, PaymentDeclined, PaymentRefunded
from payments.handlers import Charged, ChargeOutcome, Declined
from pydantic import AwareDatetime, BaseModel, Field, model_validator

from ..factories import CHARGE_ID, NOW
from ..unit.conftest import Database
from .edges import LARGEST, axes

CAPTURED = pairwise(axes(PaymentCaptured, "captured_at"))
DECLINED = pairwise(axes(PaymentDeclined, "declined_at"))
KNOWN = {"capture_is_known": {"captured": True, "not known to be": False}}
REFUNDED = pairwise({**axes(PaymentRefunded, "refunded_at"), **KNOWN})


def provider_states(database: Database) -> Mapping[str, ProviderState]:
    use_cases = _UseCases(database)
    return {
        "a payment is captured": ProviderState(PaymentCaptured, CAPTURED, asked=use_cases.capture),
        "a payment is declined": ProviderState(PaymentDeclined, DECLINED, asked=use_cases.decline),
        "a payment is refunded": ProviderState(PaymentRefunded, REFUNDED, asked=use_cases.refund),
    }


class _Amount(BaseModel, extra="forbid"):
    amount: Annotated[Decimal, Field(ge=0, le=LARGEST, decimal_places=2)] = Decimal("50.00")
    currency: Annotated[str, Field(pattern=r"^[A-Z]{3}$")] = "EUR"


class _Payment(BaseModel, extra="forbid"):
    """What can be asked of a payment's events: their fields, and what makes them differ."""

    order_id: UUID = Field(default_factory=uuid4)
    payment_id: UUID | None = None
    amount: _Amount = Field(default_factory=_Amount)

    @model_validator(mode="after")
    def _has_the_id_of_its_order(self) -> Self:
        own = payment_id_of(self.order_id)
        if self.payment_id not in {None, own}:
            raise ValueError(f"the payment of the order {self.order_id} is {own}")
        return self


class _Capture(_Payment):
    captured_at: AwareDatetime = NOW


class _Decline(_Payment):
    declined_at: AwareDatetime = NOW
    reason: Annotated[str, Field(min_length=1)] = "card_declined"


class _Refund(_Payment):
    refunded_at: AwareDatetime = NOW
    capture_is_known: bool = True


class _UseCases:
    """Each begins in an empty service, because two consumers may ask for the same payment."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def capture(self, **asked: Any) -> None:
        payment = _Capture.model_validate(asked)
        await self._request(payment, payment.captured_at)
        await self._record(payment, Charged(CHARGE_ID), payment.captured_at)

    async def decline(self, **asked: Any) -> None:
        payment = _Decline.model_validate(asked)
        await self._request(payment, payment.declined_at)
        await self._record(payment, Declined(payment.reason), payment.declined_at)

    async def refund(self, **asked: Any) -> None:
        """A capture that isn't known: a worker charged and died, and the order was cancelled before anybody knew."""
        payment = _Refund.model_validate(asked)
        await self._request(payment, payment.refunded_at)
        if payment.capture_is_known:
            await self._record(payment, Charged(CHARGE_ID), payment.refunded_at)
        async with self._database.at(payment.refunded_at) as uow:
            await handlers.void_payment(OrderCancelled(order_id=payment.order_id), uow)
        async with self._database.at(payment.refunded_at) as uow:
            await handlers.record_refund(payment.order_id, CHARGE_ID, uow)

    async def _request(self, payment: _Payment, at: datetime) -> None:
        self._database.clear()
        order = OrderPlaced(
            order_id=payment.order_id,
            total=Money(**dict(payment.amount)),
            payment_method="pm_card_ok",
            pay_before=at + timedelta(minutes=15),
        )
        async with self._database.at(at) as uow:
            await handlers.request_payment(order, uow)

    async def _record(self, payment: _Payment, outcome: ChargeOutcome, at: datetime) -> None:
        async with self._database.at(at) as uow:
            await handlers.record_charge(payment.order_id, outcome, uow)
