"""What the topics said of the newest orders, in memory: bounded, found by order, e-mail or trace."""

import asyncio
import re
from bisect import bisect_left, insort
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Self

from shop_console.rates import Rates
from shop_console.seen import Seen

RECORDS_OF_A_KEY = 500
"""More of one key aren't kept: somebody plays with it."""
_EVENT = re.compile(r"[a-z0-9_]+\.[a-z0-9_]+\.v\d+")
FIRST_STATES = {"placed": "PENDING"}
"""An event says what happened; the others are called like the status that they lead to."""


@dataclass
class Order:
    """All records of one key."""

    key: str
    begun: datetime
    email: str = ""
    records: list[Seen] = field(default_factory=list)
    trace_ids: list[str] = field(default_factory=list)
    changes: int = 0

    @classmethod
    def of(cls, records: Sequence[Seen]) -> Self:
        """One of records that are there already; at least one."""
        order = cls(records[0].key, min(seen.recorded for seen in records))
        for seen in records:
            order.add(seen)
        return order

    def add(self, seen: Seen) -> None:
        """Keep a record, and what it is found by."""
        self.changes += 1
        if len(self.records) < RECORDS_OF_A_KEY:
            self.records.append(seen)
        self.email = self.email or seen.email
        if seen.trace_id and seen.trace_id not in self.trace_ids:
            self.trace_ids.append(seen.trace_id)

    @property
    def thing(self) -> str:
        """What the key is of: `order`, by the earliest event's name; empty where no record has one."""
        named = [seen for seen in self.records if _EVENT.fullmatch(seen.type)]
        return min(named, key=lambda seen: seen.recorded).type.partition(".")[0] if named else ""

    @property
    def has_its_beginning(self) -> bool:
        """Whether the first version's event is there: an order may come back after it was forgotten."""
        return any(seen.sequence == 1 and seen.type.startswith(f"{self.thing}.") for seen in self.records)

    @property
    def state(self) -> str:
        """By the newest event of the thing itself."""
        thing = self.thing
        own = [seen for seen in self.records if thing and seen.type.startswith(f"{thing}.")]
        if not own:
            return "UNKNOWN"
        what = max(own, key=lambda seen: (seen.sequence, seen.recorded)).type.split(".")[1]
        return FIRST_STATES.get(what, what.upper())


class Index:
    """The newest orders; `wait` wakes whoever shows them."""

    def __init__(self, kept: int) -> None:
        self._kept = kept
        self._orders: dict[str, Order] = {}
        self._by_age: list[tuple[datetime, str]] = []
        self.rates = Rates()
        self.version = 0
        self.forgotten = 0
        self._changed = asyncio.Event()

    def __len__(self) -> int:
        return len(self._orders)

    def add(self, seen: Seen) -> None:
        """Keep a record; one without a key belongs to no order."""
        if not seen.key:
            return
        order = self._orders.get(seen.key)
        if order is None:
            order = self._orders[seen.key] = Order(seen.key, seen.recorded)
            insort(self._by_age, (order.begun, order.key))
        order.add(seen)
        self._begin_earlier(order, seen.recorded)
        self.rates.add(seen.sent, seen.type)
        self.version += 1
        if len(self._orders) > self._kept:
            self._forget_oldest()
        self._changed.set()
        self._changed = asyncio.Event()

    @property
    def oldest(self) -> datetime | None:
        """When the oldest order that is kept began."""
        return self._by_age[0][0] if self._by_age else None

    def get(self, key: str) -> Order | None:
        """The order of a key, if it is among the newest."""
        return self._orders.get(key)

    def newest(self, *, most: int, after: int = 0) -> Sequence[Order]:
        """Orders, newest first."""
        end = len(self._by_age) - after
        return [self._orders[key] for _, key in reversed(self._by_age[max(0, end - most) : max(0, end)])]

    def search(self, text: str, *, most: int) -> Sequence[Order]:
        """Orders by the beginning of their id, by a part of the e-mail address, or by the whole trace id."""
        sought = text.strip().lower()
        found: list[Order] = []
        for _, key in reversed(self._by_age):
            order = self._orders[key]
            if key.lower().startswith(sought) or sought in order.email.lower() or sought in order.trace_ids:
                found.append(order)
                if len(found) == most:
                    break
        return found

    async def wait(self, version: int) -> int:
        """Return the version once it is another one."""
        while self.version == version:
            await self._changed.wait()
        return self.version

    def _begin_earlier(self, order: Order, recorded: datetime) -> None:
        if recorded >= order.begun:
            return
        del self._by_age[bisect_left(self._by_age, (order.begun, order.key))]
        order.begun = recorded
        insort(self._by_age, (order.begun, order.key))

    def _forget_oldest(self) -> None:
        _, key = self._by_age.pop(0)
        del self._orders[key]
        self.forgotten += 1
