"""Which event leads to which use case."""

from outboxed.consuming import Route

from orders import handlers
from orders.consumed_events import PaymentCaptured, PaymentDeclined
from orders.ports import UnitOfWork

ROUTES: tuple[Route[UnitOfWork], ...] = (
    Route(PaymentCaptured, handlers.confirm_order),
    Route(PaymentDeclined, handlers.decline_order),
)
