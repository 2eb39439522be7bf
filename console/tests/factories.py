"""Records and facts as a journey leaves them; a test names only what it is about."""

import json
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from outboxed.messages import Record
from shop_console.catalogue import Catalogue, Described
from shop_console.facts import Facts, OfService
from shop_console.seen import Seen

KEY = "0d2ad7dd-1d6c-4d39-9d5c-3a5a0f3d7f10"
TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
BEGAN = datetime(2026, 1, 15, 12, 0, tzinfo=UTC)
CATALOGUE = Catalogue(
    {
        "orders": Described(
            "orders",
            "http://orders",
            publishes={"order.placed.v1": "orders", "order.confirmed.v1": "orders", "order.cancelled.v1": "orders"},
            reads={"payment.captured.v1": "payments"},
        ),
        "payments": Described(
            "payments", "http://payments", {"payment.captured.v1": "payments"}, {"order.placed.v1": "orders"}
        ),
        "notifications": Described("notifications", "http://notifications", reads={"order.confirmed.v1": "orders"}),
    }
)


def at(milliseconds: float) -> datetime:
    return BEGAN + timedelta(milliseconds=milliseconds)


def text(milliseconds: float) -> str:
    return at(milliseconds).isoformat()


def seen(
    event_type: str = "order.placed.v1",
    *,
    key: str = KEY,
    recorded: float = 0,
    waited: float = 10,
    sequence: int | str = 1,
    trace: str = TRACE,
    data: Mapping[str, Any] | None = None,
) -> Seen:
    """An event that was recorded so many milliseconds after BEGAN, and then waited in the outbox."""
    headers = {
        "ce_id": f"{event_type}-{key}",
        "ce_type": event_type,
        "ce_source": "/payments" if event_type.startswith("payment") else "/orders",
        "ce_time": text(recorded),
        "ce_sequence": str(sequence),
        "traceparent": f"00-{trace}-00f067aa0ba902b7-01",
    }
    value = json.dumps({"order_id": key, **(data or {})}).encode()
    record = Record("orders", 0, 7, key.encode(), value, tuple((name, raw.encode()) for name, raw in headers.items()))
    return Seen(record, at(recorded + waited))


def without_headers(one: Seen) -> Seen:
    return replace(one, record=replace(one.record, headers=()))


def facts(*, ledger: Any = (), mails: Any = (), missing: Any = (), **services: OfService) -> Facts:
    return Facts({name: services.get(name, OfService()) for name in CATALOGUE.services}, ledger, mails, missing)


def knows(**known: Any) -> OfService:
    """A service whose tables hold this of the key."""
    return OfService(known=known)


def handled(event_type: str, milliseconds: float) -> Mapping[str, str]:
    return {"event_id": f"{event_type}-{KEY}", "at": text(milliseconds)}


def attempt(number: int = 1, *, began: float = 0, seconds: float = 0.1, outcome: str = "done") -> Mapping[str, Any]:
    return {
        "kind": "charge",
        "key": KEY,
        "number": number,
        "began": text(began),
        "seconds": seconds,
        "outcome": outcome,
    }


def entry(outcome: str = "succeeded", *, milliseconds: float = 0, operation: str = "charge") -> Mapping[str, Any]:
    return {
        "id": "c1",
        "at": text(milliseconds),
        "operation": operation,
        "idempotency_key": "p1",
        "reference": KEY,
        "amount": "95.00",
        "currency": "EUR",
        "outcome": outcome,
    }


def mail(subject: str = "Your order is confirmed", *, milliseconds: float = 0) -> Mapping[str, Any]:
    return {
        "ID": "m1",
        "MessageID": f"confirmation.{KEY}@shop.example",
        "Created": text(milliseconds),
        "Subject": subject,
        "To": [{"Name": "", "Address": "ada@example.com"}],
        "Text": "Thank you",
    }
