"""The edges of each field of our events, from what the domain, the API and the tables allow."""

from collections.abc import Mapping
from decimal import Decimal
from typing import Any
from uuid import uuid4

from orders.addressing import MAX_LOCAL_PART, Email, Name
from orders.domain import TRANSITIONS, CancellationReason, OrderStatus
from orders.events import OrderEvent
from orders.pricing import CENT, STANDARD_RULES, PricingService
from orders.schemas import PAYMENT_METHOD_CHARACTERS, OrderItemRequest, PlaceOrderRequest
from orders.storage import orders
from outboxed.testing.edges import INSTANTS, Axes, amounts, fields_of, largest_of
from pydantic import TypeAdapter

LARGEST_SUBTOTAL = largest_of(orders.c.subtotal)


def axes(event: type[OrderEvent], time_field: str) -> Axes:
    """Of the fields that an event has, its own instant in `time_field`; and of what an order has beside them."""
    found: Axes = {
        "order_id": {"": uuid4},
        "total.amount": _totals(),
        time_field: INSTANTS,
        "customer.email": _emails(),
        "customer.name": _names(),
        "payment_method": {"a short method": "pm_a", "a long method": f"pm_{'z_9' * (PAYMENT_METHOD_CHARACTERS // 3)}"},
    }
    return {
        **fields_of(event, found),
        "is_member": {"a customer": False, "a member": True},
        "number_of_items": _between(PlaceOrderRequest.model_json_schema()["properties"]["items"], "Items", "items"),
        "quantity": _between(OrderItemRequest.model_json_schema()["properties"]["quantity"], "imum", "of each"),
    }


def cancellations() -> Mapping[OrderStatus, Mapping[str, CancellationReason]]:
    """The reasons for which an order can be cancelled, by the status that it had before."""
    reasons: dict[OrderStatus, Mapping[str, CancellationReason]] = {
        before: {
            change.reason: change.reason
            for change in changes.values()
            if change is not None and change.status is OrderStatus.CANCELLED and change.reason is not None
        }
        for before, changes in TRANSITIONS.items()
    }
    return {before: found for before, found in reasons.items() if found}


def _totals() -> Mapping[str, Decimal]:
    """Both sides of each discount rule, which reaches the total that its smallest subtotal costs."""
    priced = [
        PricingService().calculate_total(subtotal, is_member=False).total
        for rule in STANDARD_RULES
        for subtotal in (rule.min_amount - CENT, rule.min_amount)
    ]
    largest = PricingService().calculate_total(LARGEST_SUBTOTAL, is_member=True).total
    return amounts(largest, *priced)


def _emails() -> Mapping[str, str]:
    longest = TypeAdapter(Email).json_schema()["maxLength"]
    local_part = ("Ada.Lovelace+" * 9)[:MAX_LOCAL_PART]
    end = f"{'Mail-' * 8}a.Example.com"
    room = longest - len(f"{local_part}@{end}")
    return {"a short address": "a@b.c", "a long address": f"{local_part}@{('a.' * longest)[-room:]}{end}"}


def _names() -> Mapping[str, str]:
    longest = TypeAdapter(Name).json_schema()["maxLength"]
    return {"a short name": "A", "a long name": ("Ağça Ä 李 \N{PARTY POPPER}é" * longest)[:longest]}


def _between(schema: Mapping[str, Any], limit: str, what: str) -> Mapping[str, int]:
    fewest, most = schema[f"min{limit}"], schema[f"max{limit}"]
    return {f"{number} {what}": number for number in (fewest, fewest + 1, most)}
