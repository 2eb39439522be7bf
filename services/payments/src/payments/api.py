"""HTTP -> handler: the operators' read side."""

from dataclasses import dataclass
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends, Request
from outboxed.ports import UnitOfWorkFactory
from outboxed.web import ErrorResponse, Operator

from payments.domain import payment_id_of
from payments.ports import UnitOfWork
from payments.schemas import PaymentResponse, PaymentsResponse


@dataclass(frozen=True)
class Dependencies:
    """What the calls need; a test overrides ``dependencies`` with its own."""

    unit_of_work: UnitOfWorkFactory[UnitOfWork]


async def dependencies(request: Request) -> Dependencies:
    """The composition root put them into the app's state."""
    provided: Dependencies = request.app.state.dependencies
    return provided


Needs = Annotated[Dependencies, Depends(dependencies)]
router = APIRouter(prefix="/api/v1", responses={401: {"model": ErrorResponse}, 403: {"model": ErrorResponse}})


@router.get("/payments", tags=["payments"])
async def list_payments(order_id: UUID, _: Operator, needs: Needs) -> PaymentsResponse:
    async with needs.unit_of_work() as uow:
        payment = await uow.payments.find(payment_id_of(order_id))
    return PaymentsResponse(items=[PaymentResponse.of(payment)] if payment else [])
