"""What is known of a run when it is over: what was injected, what was answered, and what the ledgers hold."""

import asyncio
import json
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from pathlib import Path

from backing_services.waiting import StillWaitingError, eventually
from outboxed.testing.topic_log import Position
from shop_harness.evidence import Evidence, Letter, Mail
from shop_harness.ledgers import Ledgers, at_rest

from tools.faults.customers import Customers
from tools.faults.system import ProxiedSystem

LOOK_EVERY = 1.0
QUIET_LOOKS = 5
UNANSWERED = '"mail_outcome_unknown"'
LEASE_LOST = '"lease_lost"'
CALM_LAG = CALM_WORK = 20
CALM_SECONDS = 8.0
CALM_WITHIN = 90.0
"""Longer than the longest back-off of a task."""
CLOCKS_APART = timedelta(seconds=1)
"""The tolerance between our time of a fault's begin and the mail server's clock; both are on this machine."""


@dataclass(frozen=True)
class Interruption:
    """A span in which an e-mail may have been sent but not yet recorded; one e-mail may come once more."""

    begun: datetime
    ended: datetime


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


def judged(evidence: Evidence, injected: Injected, customers: Customers, unanswered: Mapping[str, int]) -> Evidence:
    """The evidence, with what the faults did on purpose and the effects that this explains.

    `unanswered` says how often the mail server left an e-mail without an answer.
    """
    explained = Counter(more_copies(evidence.mails, injected.interruptions)) + Counter(unanswered)
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
        more_copies=explained,
        kills=injected.kills,
        deaths=injected.deaths,
    )


def more_copies(mails: Iterable[Mail], interruptions: Sequence[Interruption]) -> Mapping[str, int]:
    """How many more copies of each e-mail the interruptions between its first and its last copy explain."""
    times: dict[str, list[datetime]] = {}
    for mail in mails:
        times.setdefault(mail.name, []).append(mail.at)
    return {
        name: sum(min(at) - CLOCKS_APART <= one.ended and one.begun <= max(at) + CLOCKS_APART for one in interruptions)
        for name, at in times.items()
    }


def unanswered_mails(logs: Iterable[Path]) -> Mapping[str, int]:
    """How often nobody knew whether an e-mail was sent, or nobody could write it down, as notifications logged it.

    A call that runs into its time-out is as unknown as one that a crash cuts off, and so is one of a process that was
    held up for longer than its lease: the e-mail may come once more.
    """
    times: Counter[str] = Counter()
    for log in logs:
        for line in log.read_text(errors="replace").splitlines():
            if UNANSWERED in line:
                times[json.loads(line)["message_id"].strip("<>").partition("@")[0]] += 1
            elif LEASE_LOST in line:
                times[json.loads(line)["key"]] += 1
    return times


async def evidence_at_rest(
    ledgers: Ledgers,
    customers: Customers,
    injected: Injected,
    logs: Callable[[], Iterable[Path]],
    *,
    stuck_after: float,
) -> Evidence:
    """All evidence, once nothing moves; `logs` are those of notifications."""
    await at_rest(ledgers.read_with_lag, looks=QUIET_LOOKS, stuck_after=stuck_after, every=LOOK_EVERY)
    return judged(await ledgers.read_all(), injected, customers, unanswered_mails(logs()))


async def calm(system: ProxiedSystem) -> None:
    """Wait until the backlog is gone and the groups have settled, but no longer than CALM_WITHIN."""

    async def is_worked_off() -> bool:
        evidence = await ledgers.read_with_lag()
        return max(evidence.lag.values()) <= CALM_LAG and evidence.open_work <= CALM_WORK

    async with Ledgers(system) as ledgers:
        with suppress(StillWaitingError):
            await eventually(is_worked_off, within=CALM_WITHIN, every=LOOK_EVERY)
    await asyncio.sleep(CALM_SECONDS)
