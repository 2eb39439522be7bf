"""Which event leads to which use case."""

from outboxed.consuming import Route

from notifications import handlers
from notifications.consumed_events import OrderCancelled, OrderConfirmed, PaymentRefunded
from notifications.ports import UnitOfWork

ROUTES: tuple[Route[UnitOfWork], ...] = (
    Route(OrderConfirmed, handlers.notify_of_confirmation),
    Route(OrderCancelled, handlers.notify_of_cancellation),
    Route(PaymentRefunded, handlers.notify_of_refund),
)
