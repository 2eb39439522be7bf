"""The edges of each field of our events, from what the domain, the tables and the gateway allow."""

from uuid import uuid4

from outboxed.testing.edges import INSTANTS, Axes, amounts, fields_of, largest_of
from payments.events import PaymentEvent
from payments.gateway import FINAL
from payments.storage import payments

LARGEST = largest_of(payments.c.amount)


def axes(event: type[PaymentEvent], time_field: str) -> Axes:
    """Of the fields that an event has, its own instant in `time_field`."""
    found: Axes = {
        "order_id": {"": uuid4},
        "amount.amount": amounts(LARGEST),
        "amount.currency": {currency: currency for currency in ("EUR", "USD")},
        "reason": {code: code for code in FINAL.values()},
        time_field: INSTANTS,
    }
    return fields_of(event, found)
