"""The judgement of the fault harness bites: each rule falls when what it forbids has happened, and no other does."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import count
from typing import Any

import pytest
from outboxed.messages import Record
from outboxed.testing.topic_log import Position
from shop_harness.ledgers import Mail, OrderRow, PaymentRow, Snapshot

from tools.faults.customers import Placed
from tools.faults.evidence import Cut, Evidence, Injected
from tools.faults.invariants import RULES
from tools.faults.poison import HARMLESS, POISON, READERS, groups_that_refuse, with_new_id

NOW = datetime(2026, 1, 15, 12, 0, tzinfo=UTC)
POISON_AT = Position("orders", 0, 77)
LETTER = ("payments", "event", POISON_AT)
_offsets = count()


def record(event_type: str, event_id: str, sequence: int) -> Record:
    headers = (("ce_type", event_type.encode()), ("ce_id", event_id.encode()), ("ce_sequence", b"%d" % sequence))
    topic = event_type.partition(".")[0] + "s"
    return Record(topic, 0, next(_offsets), b"1", b"{}", headers)


def mail(kind: str = "confirmation", *, to: str = "ada@example.com", domain: str = "shop", after: float = 0) -> Mail:
    return Mail(to, f"{kind}.1@{domain}", NOW + timedelta(seconds=after))


PLACED, CAPTURED = record("order.placed.v1", "p", 1), record("payment.captured.v1", "c", 2)
CONFIRMED = record("order.confirmed.v1", "o", 2)
ORDER = OrderRow("1", "ada@example.com", "CONFIRMED", Decimal("95.00"), NOW, NOW, was_confirmed=True)
SNAPSHOT = Snapshot(
    orders={"1": ORDER},
    payments={"1": PaymentRow("1", "CAPTURED", Decimal("95.00"), "c1")},
    kept={"c1": ("1", Decimal("95.00"))},
    mails=[mail()],
    open_work=0,
    dead_letters=1,
)


def evidence(**parts: Any) -> Evidence:
    valid: dict[str, Any] = {
        "placed": {"1": Placed("1", "ada@example.com", "pm_card_ok", NOW)},
        "answers_broken": [],
        "repeated": 1,
        "injected": Injected(letters={LETTER}, kills=3),
        "refused": [],
        "snapshot": SNAPSHOT,
        "charges": [("c1", "1")],
        "records": [PLACED, CAPTURED, CONFIRMED],
        "letters": [LETTER],
        "inboxes": {"orders": {"c"}, "payments": {"p"}, "notifications": {"o"}},
        "outbox": 0,
        "lag": {"orders": 0, "payments": 0, "notifications": 0},
    }
    return Evidence(**{**valid, **parts})


def snapshot(**parts: Any) -> Evidence:
    return evidence(snapshot=replace(SNAPSHOT, **parts))


def fallen(run: Evidence) -> list[str]:
    return [rule.title for rule in RULES if list(rule.broken(run))]


def test_a_run_in_which_all_is_well_breaks_no_rule_and_every_rule_looked_at_something() -> None:
    run = evidence()

    assert fallen(run) == []
    assert all(rule.checked(run) for rule in RULES)


PENDING = replace(ORDER, status="PENDING", was_confirmed=False, settled_at=None)


@pytest.mark.parametrize(
    ("rule", "run"),
    [
        ("every order that was answered 201 ends", evidence(placed={})),
        (
            "every order that was answered 201 ends",
            snapshot(orders={"1": PENDING}, mails=[], kept={}, payments={}),
        ),
        ("one charge an order", evidence(charges=[("c1", "1"), ("c2", "1")])),
        ("one charge an order", snapshot(kept={})),
        ("nothing is confirmed without its money", evidence(charges=[])),
        ("outboxes, tasks and lag", evidence(outbox=1)),
        ("outboxes, tasks and lag", snapshot(open_work=1)),
        ("outboxes, tasks and lag", evidence(lag={"orders": 1})),
        ("dead letters are the injected poison", evidence(letters=[])),
        ("dead letters are the injected poison", evidence(letters=[LETTER, LETTER])),
        ("dead letters are the injected poison", evidence(letters=[LETTER, ("orders", "event", POISON_AT)])),
        ("ce_sequence of a key", evidence(records=[CONFIRMED, PLACED, CAPTURED])),
        (
            "a fact is published under one id",
            evidence(
                records=[PLACED, CAPTURED, CONFIRMED, record("order.confirmed.v1", "o2", 2)],
                inboxes={"orders": {"c"}, "payments": {"p"}, "notifications": {"o", "o2"}},
            ),
        ),
        (
            "every event is in its reader's inbox",
            evidence(inboxes={"orders": {"c"}, "payments": {"p"}, "notifications": set()}),
        ),
        (
            "every event is in its reader's inbox",
            evidence(inboxes={"orders": {"c"}, "payments": {"p"}, "notifications": {"o", "dreamt"}}),
        ),
        ("one Idempotency-Key, one answer", evidence(answers_broken=["another order"])),
        ("e-mails", snapshot(mails=[])),
        ("e-mails", snapshot(mails=[mail(), mail()])),
        ("e-mails", snapshot(mails=[mail(to="eve@example.com")])),
        ("e-mails", snapshot(mails=[mail(), mail("cancellation")])),
        ("no process dies", evidence(injected=Injected(letters={LETTER}, kills=3, died_alone=["orders-1 ended"]))),
    ],
)
def test_what_is_forbidden_breaks_its_rule_alone(rule: str, run: Evidence) -> None:
    (title,) = fallen(run)
    assert title.startswith(rule)


def cut(after: float, seconds: float = 0) -> Cut:
    return Cut(NOW + timedelta(seconds=after), NOW + timedelta(seconds=after + seconds))


@pytest.mark.parametrize(
    ("cuts", "mails", "well"),
    [
        ([cut(5)], [mail(), mail(after=10)], True),
        ([cut(5)], [mail(), mail(after=10), mail(after=11)], False),
        ([cut(5), cut(10)], [mail(), mail(after=8), mail(after=15)], True),
        ([cut(-60, 58)], [mail(), mail(after=10)], False),
        ([cut(60)], [mail(), mail(after=10)], False),
        ([cut(5)], [mail(), mail(after=10, domain="elsewhere")], False),
    ],
)
def test_a_cut_explains_one_more_copy_with_the_same_message_id(cuts: list[Cut], mails: list[Mail], well: bool) -> None:
    injected = Injected(letters={LETTER}, kills=3, cuts=cuts)

    assert (fallen(evidence(injected=injected, snapshot=replace(SNAPSHOT, mails=mails))) == []) is well


def test_an_e_mail_to_a_refused_address_is_a_dead_letter_instead() -> None:
    task = ("notifications", "task", "confirmation.1")
    injected = Injected(letters={LETTER, task}, kills=3)
    run = evidence(
        injected=injected, letters=[LETTER, task], refused=["ada@example.com"], snapshot=replace(SNAPSHOT, mails=[])
    )

    assert fallen(run) == []


@pytest.mark.parametrize("oddity", POISON, ids=lambda oddity: oddity.name)
def test_a_poison_is_refused_by_those_who_read_it(oddity: Any) -> None:
    refused_by = groups_that_refuse(oddity, PLACED)

    assert refused_by == (["payments", "notifications"] if oddity.refused_by == "envelope" else ["payments"])


@pytest.mark.parametrize("oddity", HARMLESS, ids=lambda oddity: oddity.name)
def test_an_odd_record_is_refused_by_nobody(oddity: Any) -> None:
    assert groups_that_refuse(oddity, PLACED) == []
    assert oddity.change(with_new_id(PLACED)) != PLACED


def test_every_group_reads_something() -> None:
    assert all(READERS.values())


def test_a_copy_under_a_new_id_has_the_same_content() -> None:
    again = with_new_id(PLACED)

    assert (again.key, again.value, again.partition) == (PLACED.key, PLACED.value, PLACED.partition)
    assert dict(again.headers)["ce_id"] != dict(PLACED.headers)["ce_id"]
