"""`python -m docs.site.domain`: the state tables of docs/domain.md, made of the services' own."""

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import orders.domain
import payments.domain
from notifications.domain import NOTIFICATIONS

from docs.site import marked

PAGE = Path(__file__).parents[1] / "domain.md"


def tables() -> Mapping[str, str]:
    """Markdown by the name that its place in the page has."""
    return {
        "order": _table("order", orders.domain.TRANSITIONS, orders.domain.OrderInput, _order_change),
        "payment": _table("payment", payments.domain.TRANSITIONS, payments.domain.PaymentInput, _payment_change),
        "notification": marked.table(
            ["kind", "made by", "not made after", "channel"],
            ([made.kind, input_, ", ".join(made.unless), made.kind.channel] for input_, made in NOTIFICATIONS.items()),
        ),
    }


def filled(page: str) -> str:
    """The page with its tables as they are now."""
    return marked.filled(page, tables())


def _order_change(change: orders.domain.Change | None) -> str:
    if change is None:
        return ""
    return f"{change.status} ({change.reason})" if change.reason else change.status


def _payment_change(change: payments.domain.Change) -> str:
    call = f"{change.call} task" if change.call else None
    return " + ".join(filter(None, (change.status, call)))


def _table(
    what: str, transitions: Mapping[Any, Mapping[Any, Any]], inputs: Iterable[Any], told: Callable[[Any], str]
) -> str:
    columns = list(inputs)
    rows = ([status or "none", *(told(row[column]) for column in columns)] for status, row in transitions.items())
    return marked.table([what, *columns], rows)


if __name__ == "__main__":
    PAGE.write_text(filled(PAGE.read_text()))
