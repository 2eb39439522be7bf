"""What must hold of an order however its way was cut, each invariant a sentence."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

from tools.crash_points.evidence import Evidence, consumers_of
from tools.crash_points.points import Cut
from tools.crash_points.scenarios import Told


@dataclass(frozen=True)
class Case:
    """A cut, its order, and the id that the same request was answered with in the end."""

    cut: Cut
    told: Told
    answered_again: str


def broken(case: Case, evidence: Evidence) -> Iterator[str]:
    """The invariants that fell, and how."""
    yield from _broken_order(case, evidence)
    yield from _broken_money(case, evidence)
    yield from _broken_mails(case, evidence)
    yield from _broken_events(case, evidence)
    yield from _broken_dead_letters(case, evidence)


def stray_dead_letters(cases: Sequence[Case], evidence: Evidence) -> Iterator[str]:
    """Dead letters that belong to no case."""
    known = {case.told.dead_letter_key for case in cases} | {case.told.order_id for case in cases}
    for service, letters in evidence.dead_letters.items():
        for key in letters.keys() - known:
            yield f"dead letters are what was injected: {service} has one of {key}"


def _broken_order(case: Case, evidence: Evidence) -> Iterator[str]:
    told = case.told
    ids = [order.id for order in evidence.shop.orders.values() if order.email == told.email]
    if ids != [told.order_id] or case.answered_again != told.order_id:
        yield f"one key places one order: {told.order_id}, then {case.answered_again}, and stored are {ids}"
    order = evidence.shop.orders.get(told.order_id)
    if order is not None and order.status != told.story.status:
        yield f"an order ends {told.story.status}: it is {order.status}"
    left = [f"{service}'s {row}" for service, rows in evidence.left.items() for row in rows if told.order_id in row]
    if left:
        yield f"outboxes and tasks drain: left are {left}"


def _broken_money(case: Case, evidence: Evidence) -> Iterator[str]:
    told = case.told
    charges = [charge for charge in evidence.money if charge.order_id == told.order_id]
    if [charge.outcome for charge in charges] != list(told.story.money):
        yield f"the gateway's money is {list(told.story.money)}: it is {[charge.outcome for charge in charges]}"
    payment = evidence.shop.payments.get(told.order_id)
    if payment is None or payment.status != told.story.payment:
        yield f"a payment ends {told.story.payment}: it is {payment and payment.status}"
    elif {charge.amount for charge in charges} - {payment.amount}:
        yield f"the gateway has what the payment says: {charges} and {payment.amount}"


def _broken_mails(case: Case, evidence: Evidence) -> Iterator[str]:
    told = case.told
    mails = [mail for mail in evidence.shop.mails if mail.to == told.email or mail.order_id == told.order_id]
    received = Counter(f"{mail.kind} {mail.order_id} to {mail.to}" for mail in mails)
    expected = Counter(f"{kind} {told.order_id} to {told.email}" for kind in told.story.mails)
    ids = Counter(kind for kind, _ in {(mail.kind, mail.message_id) for mail in mails})
    if missing := expected - received:
        yield f"every e-mail arrives: {sorted(missing)} is missing"
    if (received - expected).total() > case.cut.more_mails or received.keys() - expected.keys():
        yield f"no e-mail is sent twice or without reason: {dict(received)}"
    if any(count > 1 for count in ids.values()):
        yield f"an e-mail has one Message-ID: {sorted(mail.message_id for mail in mails)}"


def _broken_events(case: Case, evidence: Evidence) -> Iterator[str]:
    for (topic, key), events in evidence.by_key().items():
        if key != case.told.order_id:
            continue
        if any(earlier.sequence > later.sequence for earlier, later in pairwise(events)):
            yield f"the events of a key are in order: in {topic} {[event.sequence for event in events]}"
        if len({event.type for event in events}) < len(events):
            yield f"a fact is published under one id: in {topic} {[event.type for event in events]}"
        for event in events:
            unhandled = [service for service in consumers_of(event) if event.id not in evidence.inboxes[service]]
            if unhandled:
                yield f"every event is handled: {event.type} was not by {unhandled}"


def _broken_dead_letters(case: Case, evidence: Evidence) -> Iterator[str]:
    for service, letters in evidence.dead_letters.items():
        expected = int(service in case.told.story.refused_by)
        found = letters[case.told.dead_letter_key]
        if found != expected:
            yield f"dead letters are what was injected: {service} has {found} instead of {expected}"
        if stray := letters[case.told.order_id]:
            yield f"dead letters are what was injected: {service} has {stray} of the order"
