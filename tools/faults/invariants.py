"""What must be true after every run, whatever happened in it; each rule reads the evidence and says what broke it."""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta

from outboxed.testing.topic_log import header, out_of_order, position
from shop_demo.summary import broken_money
from shop_harness.ledgers import Mail

from tools.faults.evidence import Evidence
from tools.faults.poison import READERS

CLOCKS_APART = timedelta(seconds=1)
"""Between a fault's begin as we saw it and the mail server's clock: both are on this machine."""


@dataclass(frozen=True)
class Rule:
    """``checked`` is how many things the rule looked at: a rule that looked at nothing proves nothing."""

    title: str
    checked: Callable[[Evidence], int]
    broken: Callable[[Evidence], Iterator[str]]


def _orders_that_did_not_end(evidence: Evidence) -> Iterator[str]:
    stored = evidence.snapshot.orders
    for order_id in evidence.placed:
        if order_id not in stored:
            yield f"{order_id} was answered with 201 and is not stored"
        elif stored[order_id].status == "PENDING":
            yield f"{order_id} is still PENDING"
    for order_id in stored.keys() - evidence.placed.keys():
        yield f"{order_id} is stored and nobody was told"


def double_charges(evidence: Evidence) -> Iterator[str]:
    """Orders that were charged more than once, refunded since or not."""
    for order_id, count in Counter(order_id for _, order_id in evidence.charges).items():
        if count > 1:
            yield f"{order_id} was charged {count} times"


def _money(evidence: Evidence) -> Iterator[str]:
    yield from double_charges(evidence)
    yield from broken_money(evidence.snapshot)


def _confirmed_without_money(evidence: Evidence) -> Iterator[str]:
    charged = {order_id for _, order_id in evidence.charges}
    for order in evidence.snapshot.orders.values():
        if order.was_confirmed and order.id not in charged:
            yield f"{order.id} was confirmed and never charged"


def _not_drained(evidence: Evidence) -> Iterator[str]:
    if evidence.outbox:
        yield f"{evidence.outbox} rows are left in outboxes"
    if evidence.snapshot.open_work:
        yield f"{evidence.snapshot.open_work} rows are left in outboxes and tasks"
    for group, count in evidence.lag.items():
        if count:
            yield f"{group} has {count} records before it"


def _letters(evidence: Evidence) -> Iterator[str]:
    found = Counter(evidence.letters)
    for letter in evidence.injected.letters - found.keys():
        yield f"no dead letter of {letter}"
    for letter in found.keys() - evidence.injected.letters:
        yield f"a dead letter of {letter}, which was no poison"
    for letter, count in found.items():
        if count > 1:
            yield f"{count} dead letters of {letter}"


def _sequences(evidence: Evidence) -> Iterator[str]:
    yield from out_of_order(evidence.records, without=evidence.injected.made_up)


def _facts_told_twice(evidence: Evidence) -> Iterator[str]:
    ids: defaultdict[tuple[str, bytes | None], set[str]] = defaultdict(set)
    for record in evidence.records:
        if position(record) not in evidence.injected.made_up:
            ids[header(record, "ce_type"), record.key].add(header(record, "ce_id"))
    for (event_type, key), event_ids in ids.items():
        if len(event_ids) > 1:
            yield f"{event_type} of {(key or b'').decode()} was published under {len(event_ids)} ids"


def _inboxes(evidence: Evidence) -> Iterator[str]:
    letters = set(evidence.letters)
    known: defaultdict[str, set[str]] = defaultdict(set)
    for record in evidence.records:
        event_id = header(record, "ce_id")
        for group, types in READERS.items():
            if types.get(header(record, "ce_type")) != record.topic:
                continue
            known[group].add(event_id)
            if event_id not in evidence.inboxes[group] and (group, "event", position(record)) not in letters:
                yield f"{group} neither handled nor buried {header(record, 'ce_type')} {event_id}"
    for group, ids in evidence.inboxes.items():
        for event_id in ids - known[group]:
            yield f"{group} handled {event_id}, which is in no topic"


def _answers(evidence: Evidence) -> Iterator[str]:
    yield from evidence.answers_broken


def wrong_mails(evidence: Evidence) -> Iterator[str]:
    """E-mails that came without reason, to somebody else, or more often than a cut explains."""
    expected = set(evidence.snapshot.expected_mails)
    copies: defaultdict[str, list[Mail]] = defaultdict(list)
    for mail in evidence.snapshot.mails:
        copies[f"{mail.kind}.{mail.order_id}"].append(mail)
        order = evidence.snapshot.orders.get(mail.order_id)
        if order is None or mail.to != order.email:
            yield f"{mail.message_id} went to {mail.to}"
    for name, mails in copies.items():
        if name not in expected:
            yield f"{name} was sent without reason"
        if len({mail.message_id for mail in mails}) > 1:
            yield f"{name} was sent under several Message-IDs"
        first, last = min(mail.at for mail in mails), max(mail.at for mail in mails)
        cuts = sum(
            first - CLOCKS_APART <= cut.ended and cut.begun <= last + CLOCKS_APART for cut in evidence.injected.cuts
        )
        if len(mails) - 1 > cuts:
            yield f"{name} was sent {len(mails)} times, and {cuts} cuts lay between"


def missing_mails(evidence: Evidence) -> Iterator[str]:
    """E-mails that should have come; those to refused addresses are dead letters instead."""
    for name in evidence.snapshot.expected_mails - evidence.snapshot.received_mails:
        order = evidence.snapshot.orders[name.partition(".")[2]]
        if order.email not in evidence.refused:
            yield f"{name} never came"


def _mails(evidence: Evidence) -> Iterator[str]:
    yield from missing_mails(evidence)
    yield from wrong_mails(evidence)


def _deaths(evidence: Evidence) -> Iterator[str]:
    yield from evidence.injected.died_alone


RULES: Sequence[Rule] = (
    Rule("every order that was answered 201 ends", lambda e: len(e.placed), _orders_that_did_not_end),
    Rule("one charge an order, and the gateway has what the payments say", lambda e: len(e.charges), _money),
    Rule("nothing is confirmed without its money", lambda e: len(e.snapshot.orders), _confirmed_without_money),
    Rule("outboxes, tasks and lag return to zero", lambda e: len(e.lag), _not_drained),
    Rule("dead letters are the injected poison, exactly", lambda e: len(e.injected.letters), _letters),
    Rule("ce_sequence of a key never goes backwards", lambda e: len(e.records), _sequences),
    Rule("a fact is published under one id", lambda e: len(e.records), _facts_told_twice),
    Rule("every event is in its reader's inbox, and nothing else", lambda e: len(e.records), _inboxes),
    Rule("one Idempotency-Key, one answer", lambda e: e.repeated, _answers),
    Rule("e-mails: each once, once more for a cut at most", lambda e: len(e.snapshot.mails), _mails),
    Rule("no process dies but by our hand", lambda e: e.injected.kills, _deaths),
)
