"""Which event leads to which use case."""

from outboxed.consuming import Route

from payments import handlers
from payments.consumed_events import OrderCancelled, OrderPlaced
from payments.ports import UnitOfWork

ROUTES: tuple[Route[UnitOfWork], ...] = (
    Route(OrderPlaced, handlers.request_payment),
    Route(OrderCancelled, handlers.void_payment),
)
