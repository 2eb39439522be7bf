"""What is known of a run when it is over: what was injected, what was answered, and what the ledgers hold."""

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from backing_services.waiting import StillWaitingError, eventually
from outboxed.testing.topic_log import Position
from shop_harness.evidence import Evidence, Letter, Mail
from shop_harness.ledgers import Ledgers, at_rest

from tools.faults.customers import Customers
from tools.faults.system import ProxiedSystem

LOOK_EVERY = 1.0
QUIET_LOOKS = 5
CALM_LAG = CALM_WORK = 20
CALM_SECONDS = 8.0
CALM_WITHIN = 90.0
"""Longer than the longest back-off of a task."""
CLOCKS_APART = timedelta(seconds=1)
"""The tolerance between our time of a fault's begin and the mail server's clock; both are on this machine."""


@dataclass(frozen=True)
class Interruption:
    """A span in which an e-mail may have been sent but not yet recorded; one e-mail may come `copies` times more.

    A mail server that hangs up after the data does so to as many attempts as its fault says, also to those of one
    e-mail.
    """

    begun: datetime
    ended: datetime
    copies: int = 1


@dataclass
class Injected:
    """What the faults did, to compare with the ledgers."""

    letters: set[Letter] = field(default_factory=set)
    made_up: set[Position] = field(default_factory=set)
    repairs: dict[Letter, bytes] = field(default_factory=dict)
    """The repaired value for a letter's record."""
    refused_rows: list[Letter] = field(default_factory=list)
    interruptions: list[Interruption] = field(default_factory=list)
    kills: int = 0
    deaths: list[str] = field(default_factory=list)


def judged(evidence: Evidence, injected: Injected, customers: Customers) -> Evidence:
    """The evidence, with what the faults did on purpose and the effects that this explains."""
    refused = {
        name for name in evidence.expected_mails if evidence.orders[name.partition(".")[2]].email in customers.refused
    }
    return replace(
        evidence,
        answered={order_id: placed.email for order_id, placed in customers.placed.items()},
        asked_again=customers.repeated,
        wrong_answers=customers.wrong_answers,
        poison=injected.letters | {Letter("notifications", name) for name in refused},
        made_up=injected.made_up,
        refused=refused,
        more_copies=more_copies(evidence.mails, injected.interruptions),
        kills=injected.kills,
        deaths=injected.deaths,
    )


def more_copies(mails: Iterable[Mail], interruptions: Sequence[Interruption]) -> Mapping[str, int]:
    """How many more copies of each e-mail the interruptions between its first and its last copy explain."""
    times: dict[str, list[datetime]] = {}
    for mail in mails:
        times.setdefault(mail.name, []).append(mail.at)
    return {
        name: sum(
            one.copies
            for one in interruptions
            if min(at) - CLOCKS_APART <= one.ended and one.begun <= max(at) + CLOCKS_APART
        )
        for name, at in times.items()
    }


async def evidence_at_rest(
    ledgers: Ledgers, customers: Customers, injected: Injected, *, stuck_after: float
) -> Evidence:
    """All evidence, once nothing moves."""
    await at_rest(ledgers.read_with_lag, looks=QUIET_LOOKS, stuck_after=stuck_after, every=LOOK_EVERY)
    return judged(await ledgers.read_all(), injected, customers)


async def calm(system: ProxiedSystem) -> None:
    """Wait until the backlog is gone and the groups have settled, but no longer than CALM_WITHIN."""

    async def is_worked_off() -> bool:
        evidence = await ledgers.read_with_lag()
        return max(evidence.lag.values()) <= CALM_LAG and evidence.open_work <= CALM_WORK

    async with Ledgers(system) as ledgers:
        with suppress(StillWaitingError):
            await eventually(is_worked_off, within=CALM_WITHIN, every=LOOK_EVERY)
    await asyncio.sleep(CALM_SECONDS)
