"""The use cases, one function each: an event or a task, a unit of work, ports."""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from outboxed.ports import NewTask

from payments.consumed_events import OrderCancelled, OrderPlaced
from payments.domain import Charge, GatewayCall, Payment, PaymentInput, call_for, payment_id_of
from payments.events import event_of
from payments.ports import PaymentDeclinedError, PaymentGateway, UnitOfWork

CHARGE = GatewayCall.CHARGE.value
REFUND = GatewayCall.REFUND.value


@dataclass(frozen=True)
class Charged:
    """The gateway has the money."""

    charge_id: str


@dataclass(frozen=True)
class Declined:
    """The gateway's final no."""

    reason: str


ChargeOutcome = Charged | Declined | None
"""None: there was nothing to charge."""


async def request_payment(event: OrderPlaced, uow: UnitOfWork) -> None:
    """An order wants to be paid; one that was already cancelled doesn't."""
    if await uow.payments.get(payment_id_of(event.order_id)) is not None:
        return
    charge = Charge(event.total.amount, event.total.currency, event.payment_method, event.pay_before)
    uow.payments.add(Payment.request(event.order_id, charge, uow.now))
    _schedule(call_for(None, PaymentInput.ORDER_PLACED), event.order_id, uow)


async def void_payment(event: OrderCancelled, uow: UnitOfWork) -> None:
    """A cancelled order's money goes back; whether there is any, only the gateway knows."""
    payment = await uow.payments.get(payment_id_of(event.order_id))
    if payment is None:
        uow.payments.add(Payment.void_unseen(event.order_id, uow.now))
    else:
        _save(payment, payment.void(uow.now), uow)
    before = payment.status if payment else None
    _schedule(call_for(before, PaymentInput.ORDER_CANCELLED), event.order_id, uow)


async def charge_payment(
    payment: Payment | None, attempts: int, now: datetime, gateway: PaymentGateway
) -> ChargeOutcome:
    """Charge, holding no transaction. From the second attempt on, first adopt what an earlier one may have done.

    Raises ServiceTimeoutError and GatewayUnavailableError: the outcome is unknown, try again under the same key.
    """
    if payment is None or payment.charge is None or not payment.may_be_charged(now):
        return None
    if attempts > 1 and (charge_id := await _earlier_charge(payment, gateway)):
        return Charged(charge_id)
    try:
        return Charged(await gateway.charge(payment.charge, idempotency_key=payment.id, reference=payment.order_id))
    except PaymentDeclinedError as error:
        return Declined(str(error))


async def record_charge(order_id: UUID, outcome: ChargeOutcome, uow: UnitOfWork) -> None:
    """Write down what the gateway said; too late for a payment that was voided meanwhile."""
    payment = await uow.payments.get(payment_id_of(order_id))
    if payment is None or outcome is None:
        return
    match outcome:
        case Charged(charge_id):
            _save(payment, payment.capture(charge_id, uow.now), uow)
        case Declined(reason):
            _save(payment, payment.decline(uow.now), uow, reason=reason)


async def refund_payment(payment: Payment | None, gateway: PaymentGateway) -> str | None:
    """Return the money, holding no transaction; None where there was none to return."""
    if payment is None or not payment.may_owe_money:
        return None
    return await gateway.refund(idempotency_key=str(payment.id))


async def record_refund(order_id: UUID, charge_id: str | None, uow: UnitOfWork) -> None:
    """Write down what the gateway returned."""
    payment = await uow.payments.get(payment_id_of(order_id))
    if payment is None or charge_id is None:
        return
    _save(payment, payment.refund(charge_id, uow.now), uow)


async def _earlier_charge(payment: Payment, gateway: PaymentGateway) -> str | None:
    charges = await gateway.charges(reference=payment.order_id)
    return next((charge.id for charge in charges if charge.succeeded), None)


def _schedule(call: GatewayCall | None, order_id: UUID, uow: UnitOfWork) -> None:
    if call is not None:
        uow.tasks.schedule(NewTask(call.value, str(order_id)))


def _save(before: Payment, after: Payment, uow: UnitOfWork, *, reason: str = "") -> None:
    if after is before:
        return
    uow.payments.save(after)
    event = event_of(after, reason=reason)
    if event is not None:
        uow.events.append(event, sequence=after.version)
