"""HTTP -> handler: the operators' read side."""

from dataclasses import dataclass
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends, Request
from outboxed.ports import UnitOfWorkFactory
from outboxed.web import ErrorResponse, Principal, with_role

from notifications import queries
from notifications.ports import UnitOfWork
from notifications.schemas import NotificationsResponse


@dataclass(frozen=True)
class Dependencies:
    """What the calls need; a test overrides `dependencies` with its own."""

    unit_of_work: UnitOfWorkFactory[UnitOfWork]


async def dependencies(request: Request) -> Dependencies:
    """The composition root put them into the app's state."""
    provided: Dependencies = request.app.state.dependencies
    return provided


ROLES = ("customer", "operator")
Operator = Annotated[Principal, with_role("operator")]
Needs = Annotated[Dependencies, Depends(dependencies)]
router = APIRouter(prefix="/api/v1", responses={401: {"model": ErrorResponse}, 403: {"model": ErrorResponse}})


@router.get("/notifications", tags=["notifications"])
async def list_notifications(order_id: UUID, _: Operator, needs: Needs) -> NotificationsResponse:
    async with needs.unit_of_work(reading=True) as uow:
        return NotificationsResponse.of(await queries.notifications_of(order_id, uow))
