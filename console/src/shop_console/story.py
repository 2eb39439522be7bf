"""One order's story: facts of all sources become one timeline, with times, durations, attempts and gaps."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from decimal import Decimal
from enum import StrEnum
from itertools import accumulate
from typing import Any

from shop_console.catalogue import Catalogue
from shop_console.facts import Facts, OfService
from shop_console.index import Order
from shop_console.seen import Seen, instant, text_of

CUSTOMER, GATEWAY, MAIL, KAFKA = "customer", "payment gateway", "mail server", "Kafka"
GAP = timedelta(seconds=1)
"""A pause that a person wants to see."""
CLOCKS_DIFFER = timedelta(milliseconds=50)
BY_CUSTOMER = "customer"
"""The reason of an event that a customer's request has led to."""
REJECTED = {"declined", "unavailable", "key_refunded", "key_reused"}


class Kind(StrEnum):
    """What a step of a story is."""

    REQUEST = "request"
    EVENT = "event"
    STATUS = "status"
    TASK = "task"
    CALL = "call"
    MAIL = "e-mail"
    WAITS = "waits"
    DEAD_LETTER = "dead letter"


@dataclass(frozen=True)
class Step:
    """Something that happened between `source` and `target`, who are one where it happened inside.

    `seconds` is how long it took, None where nobody knows; `gap` how long nothing had happened before.
    """

    at: datetime
    kind: Kind
    source: str
    target: str
    what: str
    seconds: float | None = None
    note: str = ""
    is_problem: bool = False
    record: int | None = None
    gap: float | None = None

    @property
    def is_inside(self) -> bool:
        return self.source == self.target

    @property
    def end(self) -> datetime:
        return self.at + timedelta(seconds=self.seconds or 0)


@dataclass(frozen=True)
class Money:
    """What the gateway's ledger says, in its own currency."""

    charged: Decimal
    refunded: Decimal
    currency: str
    entries: Sequence[Mapping[str, Any]]

    @property
    def kept(self) -> Decimal:
        return self.charged - self.refunded


@dataclass(frozen=True)
class Story:
    """Everything that is known of one key; `records` are in the order in which they were sent."""

    key: str
    state: str
    email: str
    steps: Sequence[Step]
    records: Sequence[Seen]
    trace_ids: Sequence[str]
    money: Money | None
    mails: Sequence[Mapping[str, Any]]
    services: Mapping[str, OfService]
    missing: Sequence[str]
    participants: Sequence[str]

    @property
    def began(self) -> datetime | None:
        return self.steps[0].at if self.steps else None

    @property
    def seconds(self) -> float:
        """From the first step to the end of the last."""
        if not self.steps:
            return 0.0
        return (max(step.end for step in self.steps) - self.steps[0].at).total_seconds()

    @property
    def letters(self) -> Sequence[tuple[str, Mapping[str, Any]]]:
        """Dead letters with their service."""
        return [(name, letter) for name, one in self.services.items() for letter in one.list("dead_letters")]

    @property
    def tasks(self) -> Sequence[tuple[str, Mapping[str, Any]]]:
        """Tasks that are not done, with their service."""
        return [(name, task) for name, one in self.services.items() for task in one.list("tasks")]

    @property
    def attempts(self) -> Sequence[tuple[str, Mapping[str, Any]]]:
        """Attempts that are remembered, with their service."""
        return [(name, attempt) for name, one in self.services.items() for attempt in one.list("attempts")]

    def as_json(self) -> dict[str, Any]:
        """For a program."""
        return {
            "order": self.key,
            "state": self.state,
            "email": self.email,
            "began": self.began,
            "seconds": self.seconds,
            "trace_ids": self.trace_ids,
            "steps": [vars(step) for step in self.steps],
            "records": [as_json(seen) for seen in self.records],
            "money": self.money and vars(self.money),
            "mails": self.mails,
            "services": {name: vars(one) for name, one in self.services.items()},
            "missing": self.missing,
        }


class UnknownOrderError(LookupError):
    """Nobody knows the key."""


def as_json(seen: Seen) -> dict[str, Any]:
    """A record for a program."""
    record = seen.record
    return {
        "topic": record.topic,
        "partition": record.partition,
        "offset": record.offset,
        "sent": seen.sent,
        "key": seen.key,
        "headers": [[name, None if raw is None else text_of(raw)] for name, raw in record.headers],
        "value": None if record.value is None else text_of(record.value),
    }


def tell(key: str, records: Sequence[Seen], facts: Facts, catalogue: Catalogue) -> Story:
    """Put the facts in order. Raises UnknownOrderError where there is none."""
    records = sorted(records, key=lambda seen: seen.sent)
    if not records and not any(_knows(one) for one in facts.services.values()) and not facts.missing:
        raise UnknownOrderError(key)
    steps = _with_gaps(_in_order(_steps(records, facts, catalogue)))
    return Story(
        key=key,
        state=_state(records, facts),
        email=next((found for seen in records if (found := seen.email)), ""),
        steps=steps,
        records=records,
        trace_ids=tuple(dict.fromkeys(seen.trace_id for seen in records if seen.trace_id)),
        money=_money(facts.ledger),
        mails=sorted(facts.mails, key=lambda mail: _time(mail["Created"])),
        services=facts.services,
        missing=facts.missing,
        participants=_participants(steps, catalogue),
    )


# --- steps ---


def _steps(records: Sequence[Seen], facts: Facts, catalogue: Catalogue) -> Iterator[Step]:
    handled = {
        (name, one["event_id"]): _time(one["at"])
        for name, service in facts.services.items()
        for one in service.list("handled")
    }
    for number, seen in enumerate(records):
        yield from _of_record(number, seen, is_first=number == 0, handled=handled, catalogue=catalogue)
    for name, service in facts.services.items():
        yield from _of_service(name, service)
    for entry in facts.ledger:
        yield _of_ledger(entry, _who(facts, _time(entry["at"]), entry["idempotency_key"], entry["id"]))
    for mail in facts.mails:
        yield from _of_mail(mail, _who(facts, _time(mail["Created"]), mail["MessageID"]))


def _of_record(
    number: int, seen: Seen, *, is_first: bool, handled: Mapping[tuple[str, str], datetime], catalogue: Catalogue
) -> Iterator[Step]:
    data = seen.data
    if is_first or (isinstance(data, Mapping) and data.get("reason") == BY_CUSTOMER):
        what = "places it" if is_first else "cancels it"
        yield Step(seen.recorded, Kind.REQUEST, CUSTOMER, seen.publisher, what)
    waited = max(0.0, (seen.sent - seen.recorded).total_seconds())
    readers = catalogue.readers(seen.type)
    if not readers:
        yield Step(
            seen.sent, Kind.EVENT, seen.publisher, KAFKA, seen.type, waited, "no service reads it", record=number
        )
    for reader in readers:
        at = handled.get((reader, seen.event_id))
        took = None if at is None else max(0.0, (at - seen.sent).total_seconds())
        note = f"{waited * 1000:.0f} ms in the outbox" + ("" if at else "; not handled, as far as is known")
        yield Step(seen.sent, Kind.EVENT, seen.publisher, reader, seen.type, took, note, at is None, number)


def _of_service(name: str, service: OfService) -> Iterator[Step]:
    for thing in service.things:
        for change in thing.get("history") or ():
            reason = str(change.get("reason") or "")
            yield Step(_time(change["at"]), Kind.STATUS, name, name, str(change["status"]), note=reason)
    for attempt in service.list("attempts"):
        what, outcome = f"{attempt['kind']}, attempt {attempt['number']}", str(attempt["outcome"])
        yield Step(_time(attempt["began"]), Kind.TASK, name, name, what, attempt["seconds"], outcome, outcome != "done")
    for event in service.list("outbox"):
        held = "held: Kafka refused it, or one before it" if event["held"] else "Kafka hasn't got it yet"
        yield Step(_time(event["created_at"]), Kind.WAITS, name, name, event["type"], None, held, is_problem=True)
    for letter in service.list("dead_letters"):
        what = f"{letter['source']} {letter['topic']}: {letter['status']}"
        is_open = letter["status"] == "open"
        yield Step(_time(letter["failed_at"]), Kind.DEAD_LETTER, name, name, what, None, letter["reason"], is_open)


def _of_ledger(entry: Mapping[str, Any], caller: str) -> Step:
    amount = f"{entry['amount']} {entry['currency']}" if entry["amount"] else ""
    what = f"{entry['operation']} {amount}".strip()
    outcome = str(entry["outcome"])
    return Step(_time(entry["at"]), Kind.CALL, caller, GATEWAY, what, None, outcome, outcome in REJECTED)


def _of_mail(mail: Mapping[str, Any], sender: str) -> Iterator[Step]:
    to = ", ".join(one["Address"] for one in mail["To"])
    yield Step(_time(mail["Created"]), Kind.MAIL, sender, MAIL, mail["Subject"], None, f"to {to}")


def _who(facts: Facts, at: datetime, *names: str) -> str:
    """Who made a call: the service whose answers have its name, else the one whose attempt ran at that time."""
    for name, service in facts.services.items():
        if any(wanted in str(thing) for thing in service.things for wanted in names):
            return name
    for name, service in facts.services.items():
        for attempt in service.list("attempts"):
            began = _time(attempt["began"])
            end = began + timedelta(seconds=attempt["seconds"])
            if began - CLOCKS_DIFFER <= at <= end + CLOCKS_DIFFER:
                return name
    return "a service"


def _in_order(steps: Iterable[Step]) -> Sequence[Step]:
    """By time; at one time what was asked comes before what it led to."""
    kinds = list(Kind)
    return sorted(steps, key=lambda step: (step.at, kinds.index(step.kind)))


def _with_gaps(steps: Sequence[Step]) -> Sequence[Step]:
    """Note how long nothing had happened before a step, where that is long enough to matter."""
    ends = accumulate((step.end for step in steps), max)
    pauses = [timedelta(0), *(step.at - end for end, step in zip(ends, steps[1:], strict=False))]
    gaps = (pause.total_seconds() if pause >= GAP else None for pause in pauses)
    return [replace(step, gap=gap) for step, gap in zip(steps, gaps, strict=False)]


def _participants(steps: Sequence[Step], catalogue: Catalogue) -> Sequence[str]:
    met = {name for step in steps for name in (step.source, step.target)}
    order = [CUSTOMER, *catalogue.services, KAFKA, GATEWAY, MAIL]
    return [name for name in order if name in met] + sorted(met - set(order))


# --- what the answers hold ---


def _knows(service: OfService) -> bool:
    return bool(service.things) or any(service.known.values())


def _state(records: Sequence[Seen], facts: Facts) -> str:
    """As the service says whose thing it is; while it doesn't answer, as the events say."""
    for service in facts.services.values():
        if service.itself is not None:
            return str(service.itself["status"])
    return Order.of(records).state if records else "UNKNOWN"


def _money(ledger: Sequence[Mapping[str, Any]]) -> Money | None:
    if not ledger:
        return None
    sums = {
        outcome: sum((Decimal(one["amount"] or 0) for one in ledger if one["outcome"] == outcome), Decimal(0))
        for outcome in ("succeeded", "refunded")
    }
    currency = next((str(one["currency"]) for one in ledger if one["currency"]), "")
    return Money(sums["succeeded"], sums["refunded"], currency, ledger)


def _time(text: Any) -> datetime:
    found = instant(str(text))
    if found is None:
        raise ValueError(f"{text} is no time")
    return found
