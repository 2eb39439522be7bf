"""The edges of each field of our events, from what the domain, the tables and the gateway allow."""

from collections.abc import Mapping
from decimal import Decimal
from typing import Any
from uuid import uuid4

from outboxed.testing.edges import CENT, INSTANTS, amounts
from payments.events import PaymentEvent
from payments.gateway import FINAL
from payments.storage import payments

Axes = Mapping[str, Mapping[str, Any]]

_COLUMN: Any = payments.c.amount.type
LARGEST = Decimal(10) ** (_COLUMN.precision - _COLUMN.scale) - CENT


def axes(event: type[PaymentEvent], time_field: str) -> Axes:
    """Of the fields that an event has, its own instant in `time_field`."""
    found: Axes = {
        "order_id": {"": uuid4},
        "amount.amount": amounts(LARGEST),
        "amount.currency": {currency: currency for currency in ("EUR", "USD")},
        "reason": {code: code for code in FINAL.values()},
        time_field: INSTANTS,
    }
    return {axis: values for axis, values in found.items() if axis.partition(".")[0] in event.model_fields}
