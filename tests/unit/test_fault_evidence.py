"""What the faults explain, and which records nobody can handle."""

from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from shop_harness.customers import Placed
from shop_harness.evidence import Letter, Mail
from shop_harness.rules import RULES, broken
from shop_harness.services import SAGA, readers

from harness.tests.factories import ADA, LETTER, NOON, PLACED, evidence, mail, order
from tools.faults import topics
from tools.faults.customers import Customers
from tools.faults.evidence import Injected, Interruption, judged, unanswered_mails
from tools.faults.poison import HARMLESS, POISON, groups_that_refuse, with_new_id


@pytest.fixture
def customers() -> Customers:
    return Customers([], httpx.AsyncClient(trust_env=False), "", 1, placed={"1": Placed("1", ADA, NOON)})


def interruption(after: float, seconds: float = 0) -> Interruption:
    return Interruption(NOON + timedelta(seconds=after), NOON + timedelta(seconds=after + seconds))


@pytest.mark.parametrize(
    ("interruptions", "mails", "well"),
    [
        ([interruption(5)], [mail(), mail(after=10)], True),
        ([interruption(5)], [mail(), mail(after=10), mail(after=11)], False),
        ([interruption(5), interruption(10)], [mail(), mail(after=8), mail(after=15)], True),
        ([interruption(-60, 58)], [mail(), mail(after=10)], False),
        ([interruption(60)], [mail(), mail(after=10)], False),
        ([interruption(5)], [mail(), mail(after=10, domain="elsewhere")], False),
    ],
)
def test_an_interruption_explains_so_many_more_copies_with_the_same_message_id(
    interruptions: list[Interruption], mails: Sequence[Mail], well: bool, customers: Customers
) -> None:
    injected = Injected(letters={LETTER}, kills=3, interruptions=interruptions)

    run = judged(evidence(mails=mails), injected, customers, {})

    assert (not list(broken(RULES, run))) is well


@pytest.mark.parametrize(("answers_missing", "well"), [(0, False), (1, False), (2, True)])
def test_an_e_mail_may_come_once_more_for_each_answer_that_the_mail_server_owes(
    answers_missing: int, well: bool, customers: Customers, tmp_path: Path
) -> None:
    log = tmp_path / "notifications-1.log"
    line = '{"message_id": "<confirmation.1@shop.example>", "event": "mail_outcome_unknown"}\n'
    log.write_text('{"event": "starting"}\n' + line * answers_missing)

    injected = Injected(letters={LETTER}, kills=3)
    run = judged(evidence(mails=[mail(), mail(), mail()]), injected, customers, unanswered_mails([log]))

    assert (not list(broken(RULES, run))) is well


def test_an_e_mail_to_a_refused_address_is_a_dead_letter_instead(customers: Customers) -> None:
    address, task = customers.refused[0], Letter("notifications", "confirmation.1")
    customers.placed["1"] = Placed("1", address, NOON)
    seen = evidence(
        orders={"1": order(email=address)},
        mails=[],
        notifications={"confirmation.1": "failed"},
        dead_letters=[LETTER, task],
    )

    run = judged(seen, Injected(letters={LETTER}, kills=3), customers, {})

    assert not list(broken(RULES, run))
    assert task in run.poison


@pytest.mark.parametrize("oddity", POISON, ids=lambda oddity: oddity.name)
def test_a_poison_is_refused_by_those_who_read_it(oddity: Any) -> None:
    refused_by = groups_that_refuse(oddity, PLACED)

    of_the_saga = [group for group in refused_by if group in SAGA]
    assert of_the_saga == (["payments", "notifications"] if oddity.refused_by == "envelope" else ["payments"])


def test_every_storm_leaves_a_dead_letter_of_the_topic_that_is_made_again() -> None:
    """Which records most poison is made of is chance."""
    of_it = {type_ for types in readers().values() for type_, topic in types.items() if topic == topics.AGAIN}

    assert [one.name for one in POISON if one.of_type in of_it and one.refused_by] == ["truncated"]


@pytest.mark.parametrize("oddity", HARMLESS, ids=lambda oddity: oddity.name)
def test_an_odd_record_is_refused_by_nobody(oddity: Any) -> None:
    assert groups_that_refuse(oddity, PLACED) == []
    assert oddity.change(with_new_id(PLACED)) != PLACED


def test_a_copy_under_a_new_id_has_the_same_content() -> None:
    again = with_new_id(PLACED)

    assert (again.key, again.value, again.partition) == (PLACED.key, PLACED.value, PLACED.partition)
    assert dict(again.headers)["ce_id"] != dict(PLACED.headers)["ce_id"]
