"""Faults of values and headers, each planted into the running provider's own code: what it makes of an event.

A fault may depend on the value, on another field, on a count, or on what was sent before.
"""

import json
import unicodedata
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, replace
from datetime import datetime, timedelta, timezone
from decimal import Decimal
from functools import partial
from itertools import combinations, count
from typing import Any
from uuid import NAMESPACE_OID, uuid4, uuid5

import orders.events
import payments.events
from outboxed.messages import Event, OutgoingRecord, ProducerRecord
from pact_faststream.matrix.mutants import ABSENT, Path, with_field

Change = Callable[[Any], Any]
"""Of an event's data, of a value, or of a record; it may remember what it saw."""

THOUSAND, MILLION = Decimal(1000), Decimal(1_000_000)


@dataclass(frozen=True)
class Fault:
    """A fault of one provider; `planted` puts it into the running code for the time of a block."""

    name: str
    provider: str
    planted: Callable[[], AbstractContextManager[None]]


def faults(examples: Mapping[str, Mapping[str, Any]], read: Mapping[str, Collection[Path]]) -> Sequence[Fault]:
    """All faults. By type, `examples` has the data of one event, and `read` the fields that some consumer reads.

    A field that nobody reads has few faults: all are harmless.
    """
    found = [
        Fault(f"{event.type} {name}", provider, _of_data(event, make))
        for provider, published in (("orders", orders.events.PUBLISHED), ("payments", payments.events.PUBLISHED))
        for event in published
        for name, make in _changes(examples[event.type], read.get(event.type, ()))
    ]
    for provider in ("orders", "payments"):
        found += [Fault(f"{provider} {name}", provider, _of_records(make)) for name, make in RECORDS.items()]
        found += [Fault(f"{provider} {name}", provider, _of_ids(make)) for name, make in IDS.items()]
    return [*found, *_in_the_domain()]


# --- where a fault is planted ---


def _of_data(event: type[Event], make: Callable[[], Change]) -> Callable[[], AbstractContextManager[None]]:
    @contextmanager
    def planted() -> Iterator[None]:
        change, serialised = make(), event.model_dump_json

        def model_dump_json(self: Event, **options: Any) -> str:
            return json.dumps(change(json.loads(serialised(self, **options))), ensure_ascii=False)

        with _replaced(event, "model_dump_json", model_dump_json):
            yield

    return planted


def _of_records(make: Callable[[], Change]) -> Callable[[], AbstractContextManager[None]]:
    @contextmanager
    def planted() -> Iterator[None]:
        change, written = make(), OutgoingRecord.producer_record
        with _replaced(OutgoingRecord, "producer_record", _remembering(lambda self: change(written(self)))):
            yield

    return planted


def _remembering(function: Change) -> Change:
    """An outbox is read again and again, but each of its rows is sent once."""
    known: dict[str, Any] = {}

    def producer_record(self: OutgoingRecord) -> Any:
        name = f"{self.headers['ce_id']} {self.headers['ce_type']}"
        if name not in known:
            known[name] = function(self)
        return known[name]

    return producer_record


def _of_ids(make: Callable[[], Change]) -> Callable[[], AbstractContextManager[None]]:
    """The change gets a row's headers and gives its ce_id."""

    def changed() -> Change:
        change = make()

        def record(sent: ProducerRecord) -> ProducerRecord:
            ce_id = change({name: raw.decode() for name, raw in sent.headers} | {"key": sent.key.decode()})
            return _with_headers(sent, lambda name, raw: [(name, ce_id.encode() if name == "ce_id" else raw)])

        return record

    return _of_records(changed)


@contextmanager
def _replaced(owner: Any, name: str, value: Any) -> Iterator[None]:
    own = name in vars(owner)
    before = vars(owner).get(name)
    setattr(owner, name, value)
    try:
        yield
    finally:
        if own:
            setattr(owner, name, before)
        else:
            delattr(owner, name)


# --- faults of the data ---


def _changes(example: Mapping[str, Any], read: Collection[Path]) -> Iterator[tuple[str, Callable[[], Change]]]:
    leaves = dict(leaves_of(example))
    for path, value in leaves.items():
        where = ".".join(map(str, path))
        yield f"{where}: a constant", _steady(_at(path, _always(value)))
        if path not in read:
            continue
        yield f"{where}: that of the first event", partial(_stale, path)
        yield f"{where}: null in each third event", partial(_each, 3, _at(path, _always(None)))
        if "items" in example:
            yield f"{where}: absent from three items on", _steady(_if_many(3, _at(path, _always(ABSENT))))
        for name, change in _of_value(path, value).items():
            yield f"{where}: {name}", _steady(_at(path, change))
    for one, other in combinations(leaves, 2):
        if _kind(one, leaves[one]) == _kind(other, leaves[other]):
            yield f"{'.'.join(map(str, one))} and {'.'.join(map(str, other))} swapped", _steady(_swapped(one, other))


def _of_value(path: Path, value: Any) -> Mapping[str, Change]:
    match _kind(path, value):
        case "amount":
            return AMOUNTS
        case "time":
            return TIMES
        case "id":
            return UUIDS
        case "text" if path[-1] in {"email", "name", "payment_method", "reason", "currency"}:
            return {"reason": REASONS, "currency": CURRENCIES}.get(str(path[-1]), TEXTS)
        case _:
            return {}


def _kind(path: Path, value: Any) -> str:
    if not isinstance(value, str):
        return "number"
    last = str(path[-1])
    if last in {"amount", "unit_price"}:
        return "amount"
    if last.endswith("_at") or last == "pay_before":
        return "time"
    return "id" if last == "id" or last.endswith("_id") else "text"


def _from(limit: Decimal, write: Callable[[Decimal], str]) -> Change:
    return lambda text: write(Decimal(text)) if Decimal(text) >= limit else text


AMOUNTS: Mapping[str, Change] = {
    "separators from a thousand on": _from(THOUSAND, lambda amount: f"{amount:,.2f}"),
    "separators from a million on": _from(MILLION, lambda amount: f"{amount:,.2f}"),
    "blanks as separators": _from(THOUSAND, lambda amount: f"{amount:,.2f}".replace(",", "\N{NO-BREAK SPACE}")),
    "a comma for the point from a thousand on": _from(THOUSAND, lambda amount: f"{amount:.2f}".replace(".", ",")),
    "rounded to a whole from a thousand on": _from(THOUSAND, lambda amount: f"{amount:.0f}.00"),
    "its cents cut off from a million on": _from(MILLION, lambda amount: f"{int(amount)}.00"),
    "an exponent from a million on": _from(MILLION, lambda amount: f"{amount:.2E}"),
    "six digits that count": _from(Decimal(0), lambda amount: f"{Decimal(f'{amount:.6g}'):.2f}"),
    "through a float": _from(Decimal(0), lambda amount: f"{float(amount):.2f}"),
    "without cents where they are zero": _from(Decimal(0), lambda amount: f"{amount:.2f}".removesuffix(".00")),
    "a negative zero": lambda text: "-0.00" if Decimal(text) == 0 else text,
    "empty where it is zero": lambda text: "" if Decimal(text) == 0 else text,
    "net of tax": _from(Decimal(0), lambda amount: f"{amount / Decimal('1.19'):.2f}"),
    "a cent more": _from(Decimal(0), lambda amount: f"{amount + Decimal('0.01'):.2f}"),
    "to five cents": _from(Decimal(0), lambda amount: f"{(amount * 20).quantize(Decimal(1)) / 20:.2f}"),
    "capped at a million": lambda text: f"{min(Decimal(text), MILLION):.2f}",
    "with a plus": _from(Decimal(0), lambda amount: f"+{amount:.2f}"),
}


def _instant(write: Callable[[datetime], str]) -> Change:
    return lambda text: write(datetime.fromisoformat(text))


TIMES: Mapping[str, Change] = {
    "cut to seconds": _instant(lambda at: f"{at:%Y-%m-%dT%H:%M:%SZ}"),
    "cut to milliseconds": _instant(lambda at: at.isoformat(timespec="milliseconds").replace("+00:00", "Z")),
    "without a zone": lambda text: text.removesuffix("Z"),
    "as local time, said to be UTC": _instant(lambda at: _z(at + timedelta(hours=1))),
    "an hour later in summer": _instant(lambda at: _z(at + timedelta(hours=4 <= at.month <= 9))),
    "as local time with its zone": _instant(lambda at: at.astimezone(timezone(timedelta(hours=1))).isoformat()),
    "a date at midnight": _instant(lambda at: f"{at:%Y-%m-%d}" if not at.hour + at.minute + at.second else _z(at)),
    "without a fraction at full seconds": _instant(lambda at: at.isoformat().replace("+00:00", "Z")),
    "without a zone at full seconds": _instant(lambda at: _z(at) if at.microsecond else at.isoformat()[:19]),
    "day and month swapped up to the twelfth": _instant(
        lambda at: _z(at.replace(day=at.month, month=at.day) if at.day <= 12 else at)
    ),
    "with a blank for T": lambda text: text.replace("T", " "),
}


def _z(at: datetime) -> str:
    return at.isoformat(timespec="microseconds").replace("+00:00", "Z")


TEXTS: Mapping[str, Change] = {
    "cut to 20 characters": lambda text: text[:20],
    "cut to 64 characters": lambda text: text[:64],
    "cut to 253 characters": lambda text: text[:253],
    "folded to ASCII": lambda text: unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode(),
    "decomposed": lambda text: unicodedata.normalize("NFD", text),
    "in lower case": str.lower,
    "in upper case": str.upper,
    "without what follows a plus": lambda text: text.split("+")[0] + ("@x.example" if "+" in text else ""),
    "masked": lambda text: f"{text[:1]}***{text[text.find('@') :]}",
    "with a blank behind": lambda text: f"{text} ",
    "escaped for HTML": lambda text: text.replace("+", "&#43;"),
}
UUIDS: Mapping[str, Change] = {
    "in upper case": str.upper,
    "another one each time": lambda _: str(uuid4()),
    "another one for the same": lambda text: str(uuid5(NAMESPACE_OID, text)),
    "cut short": lambda text: text[:8],
    "of zeros": lambda _: "00000000-0000-0000-0000-000000000000",
}
REASONS: Mapping[str, Change] = {
    "another member": lambda text: {"customer": "payment_deadline", "card_declined": "key_refunded"}.get(text, text),
    "of all but one the same": lambda _: "customer",
}
CURRENCIES: Mapping[str, Change] = {
    "in lower case": str.lower,
    "a symbol": lambda text: {"EUR": "€"}.get(text, text),
    "another one": lambda _: "CHF",
}


def _steady(change: Change) -> Callable[[], Change]:
    return lambda: change


def _always(value: Any) -> Change:
    return lambda _: value


def _at(path: Path, change: Change) -> Change:
    def changed(data: Any) -> Any:
        return with_field(data, path, change(_get(data, path)))

    return changed


def _stale(path: Path) -> Change:
    first: list[Any] = []

    def changed(data: Any) -> Any:
        first.append(_get(data, path))
        return with_field(data, path, first[0])

    return changed


def _each(nth: int, change: Change) -> Change:
    numbers = count(1)
    return lambda data: data if next(numbers) % nth else change(data)


def _if_many(items: int, change: Change) -> Change:
    return lambda data: change(data) if len(data["items"]) >= items else data


def _swapped(one: Path, other: Path) -> Change:
    return lambda data: with_field(with_field(data, one, _get(data, other)), other, _get(data, one))


def leaves_of(node: Any, path: Path = ()) -> Iterator[tuple[Path, Any]]:
    match node:
        case dict():
            for name, value in node.items():
                yield from leaves_of(value, (*path, name))
        case list():
            yield from leaves_of(node[0], (*path, 0))
        case _:
            yield path, node


def _get(data: Any, path: Path) -> Any:
    for step in path:
        data = data[step]
    return data


# --- faults of the record ---


def _with_headers(sent: ProducerRecord, change: Callable[[str, Any], list[tuple[Any, Any]]]) -> ProducerRecord:
    return replace(sent, headers=[each for name, raw in sent.headers for each in change(name, raw)])


def _header(wanted: str, change: Callable[[Any, Any], list[tuple[Any, Any]]]) -> Callable[[], Change]:
    return lambda: (
        lambda sent: _with_headers(sent, lambda name, raw: change(name, raw) if name == wanted else [(name, raw)])
    )


def _record(**changes: Change) -> Callable[[], Change]:
    return lambda: lambda sent: replace(sent, **{part: change(getattr(sent, part)) for part, change in changes.items()})


def _value(name: str) -> Change:
    """A key from another field."""

    def changed(sent: ProducerRecord) -> ProducerRecord:
        data = json.loads(sent.value)
        return replace(sent, key=str(data.get(name, data.get("customer", {}).get("id", ""))).encode())

    return changed


RECORDS: Mapping[str, Callable[[], Change]] = {
    **{
        f"header {wanted}: {name}": _header(wanted, change)
        for wanted in ("ce_id", "ce_type")
        for name, change in {
            "twice": lambda name, raw: [(name, raw), (name, raw)],
            "twice, the second one wrong": lambda name, raw: [(name, raw), (name, b"wrong")],
            "twice, the first one wrong": lambda name, raw: [(name, b"wrong"), (name, raw)],
            "in upper case": lambda name, raw: [(name.upper(), raw)],
            "in upper case, too": lambda name, raw: [(name, raw), (name.upper(), raw)],
            "with hyphens": lambda name, raw: [(name.replace("_", "-"), raw)],
            "removed": lambda *_: [],
            "null": lambda name, _: [(name, None)],
            "empty": lambda name, _: [(name, b"")],
            "unreadable": lambda name, raw: [(name, b"\xff" + raw)],
            "a string, not bytes": lambda name, raw: [(name, raw.decode())],
            "its name in bytes": lambda name, raw: [(name.encode(), raw)],
            "as JSON": lambda name, raw: [(name, json.dumps(raw.decode()).encode())],
            "with a blank behind": lambda name, raw: [(name, raw + b" ")],
        }.items()
    },
    "header ce_type: of another version": _header("ce_type", lambda name, raw: [(name, raw.replace(b".v1", b".v2"))]),
    "header ce_type: in capitals": _header("ce_type", lambda name, raw: [(name, raw.upper())]),
    "header ce_type: without its version": _header("ce_type", lambda name, raw: [(name, raw.removesuffix(b".v1"))]),
    "header ce_source: twice": _header("ce_source", lambda name, raw: [(name, raw), (name, raw)]),
    "header ce_subject: removed": _header("ce_subject", lambda *_: []),
    "header ce_time: null": _header("ce_time", lambda name, _: [(name, None)]),
    "header content-type: another one": _header("content-type", lambda name, _: [(name, b"text/plain")]),
    "headers: in another order": _record(headers=lambda headers: headers[::-1]),
    "headers: one more": _record(headers=lambda headers: [*headers, ("added", b"new")]),
    "headers: none": _record(headers=lambda _: []),
    "headers: a mapping": _record(headers=dict),
    "key: from another field": lambda: _value("payment_id"),
    "key: in upper case": _record(key=bytes.upper),
    "key: without hyphens": _record(key=lambda key: key.replace(b"-", b"")),
    "key: the bytes of the id": _record(key=lambda key: bytes.fromhex(key.decode().replace("-", ""))),
    "key: as JSON": _record(key=lambda key: b'"%s"' % key),
    "key: a string, not bytes": _record(key=bytes.decode),
    "key: a constant": _record(key=lambda _: b"0d2ad7dd-1d6c-4d39-9d5c-3a5a0f3d7f10"),
    "key: null": _record(key=lambda _: None),
    "key: null in each third event": lambda: _each(3, lambda sent: replace(sent, key=None)),
    "value: null in each third event": lambda: _each(3, lambda sent: replace(sent, value=None)),
    "value: a string, not bytes": _record(value=bytes.decode),
    "value: in Latin-1": _record(value=lambda value: value.decode().encode("latin-1", "replace")),
    "value: in ASCII": _record(value=lambda value: json.dumps(json.loads(value)).encode()),
    "value: indented": _record(value=lambda value: json.dumps(json.loads(value), indent=2).encode()),
    "value: cut to 2048 bytes": _record(value=lambda value: value[:2048]),
    "topic: with a prefix": _record(topic=lambda topic: f"shop.{topic}"),
}


# --- faults of the event's id ---


def _numbered(write: Callable[[int], str]) -> Callable[[], Change]:
    def make() -> Change:
        numbers = count()
        return lambda _: write(next(numbers))

    return make


IDS: Mapping[str, Callable[[], Change]] = {
    "ce_id: a constant": _steady(lambda _: "1"),
    "ce_id: the order's": _steady(lambda row: row["key"]),
    "ce_id: the order's, with the type": _steady(lambda row: f"{row['key']} {row['ce_type']}"),
    "ce_id: a number of its own": _numbered(str),
    "ce_id: the same for each two events": _numbered(lambda number: f"id-{number // 2}"),
    "ce_id: counted from 0 to 9 again": _numbered(lambda number: f"id-{number % 10}"),
    "ce_id: the type": _steady(lambda row: row["ce_type"]),
    "ce_id: the second of the event": _steady(lambda row: row["ce_time"][:19]),
    "ce_id: the order's first eight characters": _steady(lambda row: row["key"][:8]),
    "ce_id: the order's, with the event's number": _steady(lambda row: f"{row['key']}/{row['ce_sequence']}"),
    "ce_id: too long": _steady(lambda row: row["ce_id"] * 10),
    "ce_id: in capitals": _steady(lambda row: row["ce_id"].upper()),
}


# --- faults of what the events are made of ---


def _in_the_domain() -> Sequence[Fault]:
    def total(part: Callable[[Any], Decimal]) -> Callable[[], AbstractContextManager[None]]:
        def of(order: Any) -> Any:
            return orders.events.MoneyData(amount=part(order), currency=order.currency)

        return lambda: _replaced(orders.events, "_total", of)

    return [
        Fault("orders' total: the discount left out", "orders", total(lambda order: order.price.subtotal)),
        Fault("orders' total: the discount itself", "orders", total(lambda order: order.price.discount)),
        Fault("orders' total: of the first item", "orders", total(lambda order: order.items[0].unit_price)),
        Fault(
            "orders' total: quantities left out",
            "orders",
            total(lambda order: sum((item.unit_price for item in order.items), Decimal(0))),
        ),
        Fault(
            "orders' total: half the discount",
            "orders",
            total(lambda order: order.price.total + order.price.discount / 2),
        ),
    ]
