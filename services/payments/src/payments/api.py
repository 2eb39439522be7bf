"""HTTP -> handler: the operators' read side."""

from dataclasses import dataclass
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends, Request
from outboxed.ports import UnitOfWorkFactory
from outboxed.web import ErrorResponse, Principal, with_role

from payments import queries
from payments.ports import PaymentGateway, UnitOfWork
from payments.schemas import PaymentResponse, PaymentsResponse


@dataclass(frozen=True)
class Dependencies:
    """What calls and commands need; a test overrides `dependencies` with its own."""

    unit_of_work: UnitOfWorkFactory[UnitOfWork]
    gateway: PaymentGateway


async def dependencies(request: Request) -> Dependencies:
    """The composition root put them into the app's state."""
    provided: Dependencies = request.app.state.dependencies
    return provided


ROLES = ("customer", "operator")
Operator = Annotated[Principal, with_role("operator")]
Needs = Annotated[Dependencies, Depends(dependencies)]
router = APIRouter(prefix="/api/v1", responses={401: {"model": ErrorResponse}, 403: {"model": ErrorResponse}})


@router.get("/payments", tags=["payments"])
async def list_payments(order_id: UUID, _: Operator, needs: Needs) -> PaymentsResponse:
    async with needs.unit_of_work(reading=True) as uow:
        found = await queries.payments_of(order_id, uow)
    return PaymentsResponse(items=[PaymentResponse.of(payment) for payment in found])
