"""The rules of the saga: what must hold of the shop, whatever happened to it.

The walk and the simulation of tests/model, the crash points, the faults and the demo are judged by this one list. What
differs between them is in the evidence: what they can see, and what they did on purpose.
"""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal

from outboxed.testing.topic_log import header, out_of_order, position

from shop_harness.evidence import Charge, Evidence, Letter
from shop_harness.services import readers


@dataclass(frozen=True)
class Rule:
    """`sentence` says what must hold, and `breaches` where it doesn't.

    `checked` is how many things the rule looks at: a rule that looks at nothing proves nothing. One that holds
    `at_rest` only may be broken while something is still under way.
    """

    sentence: str
    checked: Callable[[Evidence], int]
    breaches: Callable[[Evidence], Iterable[str]]
    at_rest: bool = True


def broken(rules: Iterable[Rule], evidence: Evidence) -> Iterator[str]:
    """The breaches of these rules, each a sentence."""
    for rule in rules:
        for breach in rule.breaches(evidence):
            yield f"{rule.sentence}: {breach}"


# --- orders ---


def _lost(evidence: Evidence) -> Iterator[str]:
    for order_id in evidence.answered.keys() - evidence.orders.keys():
        yield f"{order_id} was answered with 201 and is not stored"


def _pending(evidence: Evidence) -> Iterator[str]:
    for order in evidence.orders.values():
        if not order.has_ended:
            yield f"{order.id} is still {order.status}"


def _unanswered(evidence: Evidence) -> Iterator[str]:
    for order in evidence.orders.values():
        if order.id not in evidence.answered:
            yield f"{order.id} is stored, and nobody was told"
        elif evidence.answered[order.id] != order.email:
            yield f"{order.id} was placed by {evidence.answered[order.id]} and is {order.email}'s"


# --- money ---


def _charges_by_order(evidence: Evidence) -> dict[str, list[Charge]]:
    charges: defaultdict[str, list[Charge]] = defaultdict(list)
    for charge in evidence.charges:
        charges[charge.order_id].append(charge)
    return charges


def _charged_again(evidence: Evidence) -> Iterator[str]:
    for order_id, charges in _charges_by_order(evidence).items():
        if len(charges) > 1:
            yield f"{order_id} was charged {len(charges)} times"


def _confirmed_without_money(evidence: Evidence) -> Iterator[str]:
    charged = {charge.order_id for charge in evidence.charges}
    for order in evidence.orders.values():
        payment = evidence.payments.get(order.id)
        if order.was_confirmed and not (order.id in charged and payment is not None and payment.was_captured):
            yield f"{order.id} was confirmed, and {'not captured' if order.id in charged else 'never charged'}"


def _owed(evidence: Evidence) -> Iterator[str]:
    for charge in evidence.kept:
        order = evidence.orders.get(charge.order_id)
        if order is not None and order.status == "CANCELLED" and order.id not in evidence.refunds_under_way:
            yield f"{order.id} is cancelled and keeps its charge"


def _kept_amounts(evidence: Evidence) -> Iterator[str]:
    charges = _charges_by_order(evidence)
    for order in evidence.orders.values():
        kept = [charge.kept for charge in charges.get(order.id, ()) if charge.kept]
        expected = [order.total] if order.status == "CONFIRMED" else []
        if kept != expected:
            yield f"{order.id} is {order.status}, and the gateway has {_amounts(kept)} of it, not {_amounts(expected)}"


def _disagreements(evidence: Evidence) -> Iterator[str]:
    charges = _charges_by_order(evidence)
    for order_id in charges.keys() | evidence.payments.keys():
        payment, own = evidence.payments.get(order_id), charges.get(order_id, [])
        said = payment.amount if payment is not None and payment.status == "CAPTURED" else Decimal(0)
        if sum(charge.kept for charge in own) != said:
            yield f"the gateway has {_amounts(charge.kept for charge in own)} of {order_id}, its payment says {said}"
        for charge in own:
            if payment is None or charge.amount != payment.amount or charge.refunded not in {0, charge.amount}:
                yield f"{charge} is not what payments asked for: {payment}"


def _amounts(amounts: Iterable[Decimal]) -> str:
    return " and ".join(map(str, amounts)) or "nothing"


# --- e-mails ---


def _missing_mails(evidence: Evidence) -> Iterator[str]:
    for name in evidence.expected_mails.keys() - evidence.received_mails.keys() - evidence.refused:
        yield f"{name} never came"


def _unfounded_mails(evidence: Evidence) -> Iterator[str]:
    for name in evidence.received_mails.keys() - evidence.expected_mails.keys():
        yield f"{name} came"


def _misdirected_mails(evidence: Evidence) -> Iterator[str]:
    for mail in evidence.mails:
        order = evidence.orders.get(mail.order_id)
        if order is None or mail.to != order.email:
            yield f"{mail.message_id} went to {mail.to}"


def _too_many_copies(evidence: Evidence) -> Iterator[str]:
    for name, copies in evidence.received_mails.items():
        explained = evidence.more_copies.get(name, 0)
        if copies > 1 + explained:
            yield f"{name} came {copies} times, and interruptions explain {explained} more than one"


def _changed_message_ids(evidence: Evidence) -> Iterator[str]:
    for name, ids in Counter(name for name, _ in {(mail.name, mail.message_id) for mail in evidence.mails}).items():
        if ids > 1:
            yield f"{name} came under {ids} of them"


def _notifications(evidence: Evidence) -> Iterator[str]:
    expected, received = evidence.expected_mails, evidence.received_mails
    for name in expected.keys() - evidence.notifications.keys():
        yield f"it knows nothing of {name}"
    for name, status in evidence.notifications.items():
        is_true = {"sent": name in received, "failed": name in evidence.refused}.get(status, False)
        if name not in expected or not is_true:
            yield f"it says that {name} is {status}"


# --- what is left over ---


def _leftovers(evidence: Evidence) -> Iterator[str]:
    for row in (*evidence.unsent_events, *evidence.open_tasks):
        yield f"{row} is left"
    for group, count in evidence.lag.items():
        if count:
            yield f"{group} has {count} records before it"


def _stray_letters(evidence: Evidence) -> Iterator[str]:
    explained = evidence.poison | {Letter("notifications", name) for name in evidence.refused}
    for letter, count in Counter(evidence.dead_letters).items():
        if letter not in explained:
            yield f"there is {letter}, which was no poison"
        if count > 1:
            yield f"there are {count} of {letter}"


def _missing_letters(evidence: Evidence) -> Iterator[str]:
    for letter in evidence.poison - set(evidence.dead_letters):
        yield f"there is no {letter}"


# --- events ---


def _facts_published_twice(evidence: Evidence) -> Iterator[str]:
    ids: defaultdict[tuple[str, bytes | None], set[str]] = defaultdict(set)
    for record in evidence.records:
        if position(record) not in evidence.made_up:
            ids[header(record, "ce_type"), record.key].add(header(record, "ce_id"))
    for (event_type, key), event_ids in ids.items():
        if len(event_ids) > 1:
            yield f"{event_type} of {(key or b'').decode()} has {len(event_ids)}"


def _undocumented(evidence: Evidence) -> Iterator[str]:
    for where, why in evidence.undocumented.items():
        if where not in evidence.made_up:
            yield f"{where} isn't: {why}"


def _inboxes(evidence: Evidence) -> Iterator[str]:
    letters = set(evidence.dead_letters)
    known: defaultdict[str, set[str]] = defaultdict(set)
    for record in evidence.records:
        event_id, event_type = header(record, "ce_id"), header(record, "ce_type")
        for group in (group for group, types in readers().items() if types.get(event_type) == record.topic):
            known[group].add(event_id)
            if event_id not in evidence.inboxes[group] and Letter(group, position(record)) not in letters:
                yield f"{group} neither handled nor buried {event_type} {event_id}"
    for group, ids in evidence.inboxes.items():
        for event_id in ids - known[group]:
            yield f"{group} handled {event_id}, which is in no topic"


IS_STORED = Rule("every order that was answered with 201 is stored", lambda e: len(e.answered), _lost)
ENDS = Rule("every order ends", lambda e: len(e.orders), _pending)
IS_ANSWERED = Rule("every order that is stored was answered with 201", lambda e: len(e.orders), _unanswered)
ANSWERS = Rule("one Idempotency-Key has one answer", lambda e: e.asked_again, lambda e: e.wrong_answers)
CHARGED_ONCE = Rule("an order is charged at most once", lambda e: len(e.charges), _charged_again, at_rest=False)
PAID = Rule("no order is confirmed without its money", lambda e: len(e.orders), _confirmed_without_money, at_rest=False)
REFUNDED = Rule(
    "a charge of a cancelled order is refunded, or about to be", lambda e: len(e.charges), _owed, at_rest=False
)
KEPT = Rule("a confirmed order keeps one charge of its total, any other none", lambda e: len(e.orders), _kept_amounts)
AGREED = Rule("the gateway has what the payments say", lambda e: len(e.payments), _disagreements)
ARRIVES = Rule("every e-mail that is due arrives", lambda e: e.expected_mails.total(), _missing_mails)
FOUNDED = Rule("no e-mail says what is not true", lambda e: len(e.mails), _unfounded_mails, at_rest=False)
DIRECTED = Rule("an e-mail goes to the order's customer", lambda e: len(e.mails), _misdirected_mails, at_rest=False)
SENT_ONCE = Rule(
    "an e-mail comes once, and once more at most for an interruption",
    lambda e: len(e.mails),
    _too_many_copies,
    at_rest=False,
)
ONE_MESSAGE_ID = Rule(
    "all copies of an e-mail have one Message-ID", lambda e: len(e.mails), _changed_message_ids, at_rest=False
)
NOTED = Rule("notifications knows what became of each e-mail", lambda e: len(e.notifications), _notifications)
DRAINED = Rule("outboxes, tasks and lag return to zero", lambda e: len(e.orders), _leftovers)
NO_STRAY_LETTER = Rule(
    "no dead letter is of anything but poison", lambda e: len(e.dead_letters), _stray_letters, at_rest=False
)
POISON_IS_BURIED = Rule("poison is a dead letter in the end", lambda e: len(e.poison), _missing_letters)
IN_ORDER = Rule(
    "ce_sequence of a key never goes backwards",
    lambda e: len(e.records),
    lambda e: out_of_order(e.records, without=e.made_up),
)
ONE_ID = Rule("a fact is published under one id", lambda e: len(e.records), _facts_published_twice)
DOCUMENTED = Rule("every record is as its service's document says", lambda e: len(e.records), _undocumented)
HANDLED = Rule("every event is in its reader's inbox, and nothing else", lambda e: len(e.records), _inboxes)
ALIVE = Rule("no process dies but by our hand", lambda e: e.kills, lambda e: e.deaths)

MAIL_RULES = (FOUNDED, DIRECTED, SENT_ONCE, ONE_MESSAGE_ID)
RULES: Sequence[Rule] = (
    *(IS_STORED, IS_ANSWERED, ENDS, ANSWERS),
    *(CHARGED_ONCE, PAID, REFUNDED, KEPT, AGREED),
    *(ARRIVES, *MAIL_RULES, NOTED),
    *(DRAINED, NO_STRAY_LETTER, POISON_IS_BURIED),
    *(IN_ORDER, ONE_ID, DOCUMENTED, HANDLED, ALIVE),
)
ALWAYS: Sequence[Rule] = tuple(rule for rule in RULES if not rule.at_rest)
"""Those that hold at any moment."""
