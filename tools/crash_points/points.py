"""Each step between "received" and "done", the process that crashes there, and the scenario that leads to it."""

from collections.abc import Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import Literal

from outboxed import failpoints
from shop_harness.services import SERVICES

from tools.crash_points.scenarios import (
    CANCELLED,
    CONFIRMED,
    DECLINED,
    FLAKY,
    REFUSED_EVENT,
    REFUSED_MAIL,
    UNREADABLE_RECORD,
    UNSENDABLE_ROW,
    Scenario,
)

Side = Literal["before", "after"]
SIDES: Sequence[Side] = ("before", "after")


@dataclass(frozen=True)
class Point:
    """A step in a process ("orders api").

    `mail_again` are the sides at which the mail server has the e-mail, but the service has not recorded it.
    """

    process: str
    step: str
    scenario: Scenario = CONFIRMED
    mail_again: Sequence[Side] = ()

    def __str__(self) -> str:
        return f"{self.process}: {self.step}"


@dataclass(frozen=True)
class Crash:
    """A point and a side of it."""

    point: Point
    side: Side

    @property
    def failpoint(self) -> str:
        """The value of OUTBOXED_FAILPOINT."""
        return f"{self.point.step}:{self.side}"

    @property
    def more_copies(self) -> int:
        """Copies of an e-mail that this crash explains: SMTP has no idempotency."""
        return int(self.side in self.point.mail_again)

    def __str__(self) -> str:
        return f"{self.side} {self.point}"


def steps_without_a_point() -> Sequence[str]:
    """Steps of any service at which nobody crashes."""
    for service in SERVICES:
        import_module(f"{service}.app")
    return sorted(set(failpoints.steps()) - {point.step for point in POINTS})


POINTS: Sequence[Point] = (
    Point("orders api", "http.answer"),
    Point("orders api", "transaction.begin"),
    Point("orders api", "idempotency.find"),
    Point("orders api", "transaction.write"),
    Point("orders relay", "relay.lock"),
    Point("orders relay", "relay.read"),
    Point("orders relay", "relay.send"),
    Point("orders relay", "relay.acknowledge"),
    Point("orders relay", "relay.delete"),
    Point("orders relay", "relay.commit"),
    Point("orders relay", "relay.hold", UNSENDABLE_ROW),
    Point("orders relay", "relay.release", UNSENDABLE_ROW),
    Point("orders relay", "relay.set_aside", UNSENDABLE_ROW),
    Point("orders consumer", "aggregates.lock", DECLINED),
    Point("orders consumer", "transaction.write", DECLINED),
    Point("payments consumer", "consumer.receive"),
    Point("payments consumer", "consumer.decode"),
    Point("payments consumer", "transaction.begin"),
    Point("payments consumer", "inbox.insert"),
    Point("payments consumer", "consumer.dispatch"),
    Point("payments consumer", "transaction.write"),
    Point("payments consumer", "transaction.commit"),
    Point("notifications consumer", "dead_letters.insert", UNREADABLE_RECORD),
    Point("payments consumer", "consumer.refuse", REFUSED_EVENT),
    Point("notifications consumer", "transaction.commit"),
    Point("notifications consumer", "offsets.commit"),
    Point("payments worker", "task.claim"),
    Point("payments worker", "task.read"),
    Point("payments worker", "task.call", DECLINED),
    Point("payments worker", "gateway.charge"),
    Point("payments worker", "gateway.charges", FLAKY),
    Point("payments worker", "gateway.refund", CANCELLED),
    Point("payments worker", "task.postpone", FLAKY),
    Point("payments worker", "task.record"),
    Point("payments worker", "task.complete"),
    Point("payments worker", "aggregates.lock"),
    Point("payments worker", "transaction.write", CANCELLED),
    Point("notifications worker", "mailer.deliver", mail_again=("after",)),
    Point("notifications worker", "transaction.commit", mail_again=("before",)),
    Point("notifications worker", "task.bury", REFUSED_MAIL),
)
