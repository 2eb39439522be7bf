"""Records that no group can handle, and odd ones that all can: which groups make a dead letter of each."""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any
from uuid import uuid4

from outboxed.messages import Record
from outboxed.testing.topic_log import header
from shop_harness.services import readers

Change = Callable[[Record], Record]
DEPTH = 20_000
DIGITS = 6_000


@dataclass(frozen=True)
class Oddity:
    """A change of a good record, and which part of the record is refused.

    If the `envelope` is refused, every group that reads the topic makes a dead letter of the record. If the `data` are
    refused, every group that reads the type does. None: no group does.

    It is a change of a record of `of_type`, or of any type. So many `copies` of it come at once.
    """

    name: str
    change: Change
    refused_by: str | None
    of_type: str = ""
    copies: int = 1


def groups_that_refuse(oddity: Oddity, record: Record) -> Sequence[str]:
    """The groups that make a dead letter of a good record after the change."""
    event_type = header(record, "ce_type")
    match oddity.refused_by:
        case "envelope":
            return [group for group, types in readers().items() if record.topic in types.values()]
        case "data":
            return [group for group, types in readers().items() if types.get(event_type) == record.topic]
    return []


def with_new_id(record: Record) -> Record:
    """The same fact under another id: the inbox doesn't know the id, so the aggregate has to refuse the fact."""
    return _with_header("ce_id", str(uuid4()).encode())(record)


def _with_value(value: bytes | None) -> Change:
    return lambda record: replace(record, value=value)


def _with_key(key: bytes | None) -> Change:
    return lambda record: replace(record, key=key)


def _with_header(name: str, value: bytes | None) -> Change:
    def change(record: Record) -> Record:
        return replace(record, headers=(*_without(record, name), (name, value)))

    return change


def _without_header(name: str) -> Change:
    return lambda record: replace(record, headers=tuple(_without(record, name)))


def _without(record: Record, name: str) -> list[tuple[str, bytes | None]]:
    return [one for one in record.headers if one[0] != name]


def _truncated(record: Record) -> Record:
    value = record.value or b""
    return replace(record, value=value[: len(value) // 2])


def _with_data(change: Callable[[dict[str, Any]], object]) -> Change:
    def changed(record: Record) -> Record:
        data = json.loads(record.value or b"{}")
        change(data)
        return replace(record, value=json.dumps(data).encode())

    return changed


def _add_nul(data: dict[str, Any]) -> None:
    """The schema allows it, and PostgreSQL holds no text with it."""
    data["payment_method"] += "\0"


def _with_raw_number(record: Record) -> Record:
    return replace(record, value=b'{"order_id": ' + b"9" * DIGITS + b"}")


def _with_odd_headers(record: Record) -> Record:
    odd = (("null", None), ("no-utf-8", b"\xff\xfe"), ("", b"no name"), ("ce_odd", b"1"), ("traceparent", b"nonsense"))
    return replace(record, headers=(*_without(record, "traceparent"), *odd, *[("many", b"x")] * 100))


BURST = 25
"""More than the refusals within a minute that halt a consumer."""
POISON = (
    Oddity("no JSON", _with_value(b"not JSON"), "data"),
    Oddity("no UTF-8", _with_value(b'{"order_id": "\xff\xfe"}'), "data"),
    # of one type, so that every storm leaves a dead letter of the topic that is made again afterwards
    Oddity("truncated", _truncated, "data", of_type="payment.captured.v1"),
    Oddity("empty", _with_value(b""), "data"),
    Oddity("the wrong schema", _with_data(lambda data: data.update(order_id=7)), "data"),
    Oddity("a field is missing", _with_data(lambda data: data.pop("order_id")), "data"),
    Oddity("deep nesting", _with_value(b"[" * DEPTH + b"]" * DEPTH), "data"),
    Oddity("a huge number", _with_raw_number, "data"),
    Oddity("a burst of NULs", _with_data(_add_nul), "data", of_type="order.placed.v1", copies=BURST),
    Oddity("no key", _with_key(None), "data"),
    Oddity("another key", _with_key(b"another"), "data"),
    Oddity("a null value", _with_value(None), "envelope"),
    Oddity("no ce_type", _without_header("ce_type"), "envelope"),
    Oddity("an unreadable ce_type", _with_header("ce_type", b"\xff\xfe"), "envelope"),
    Oddity("a null ce_type", _with_header("ce_type", None), "envelope"),
    Oddity("no ce_id", _without_header("ce_id"), "envelope"),
    Oddity("an unreadable ce_id", _with_header("ce_id", b"\xff\xfe"), "envelope"),
    Oddity("a ce_id that is too long", _with_header("ce_id", b"x" * 300), "envelope"),
)

HARMLESS = (
    Oddity("an unknown type", _with_header("ce_type", b"order.dreamt-of.v1"), None),
    Oddity("odd headers", _with_odd_headers, None),
    Oddity("unknown fields", _with_data(lambda data: data.update(odd={"deep": [1, None]}, other="x" * 1000)), None),
)
