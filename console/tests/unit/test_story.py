"""Facts of all sources become one timeline."""

import json
from decimal import Decimal

import pytest
from pydantic_core import to_json
from shop_console.facts import OfService
from shop_console.mermaid import mermaid
from shop_console.seen import Seen
from shop_console.story import Story, UnknownOrderError, tell

from ..factories import CATALOGUE, KEY, TRACE, attempt, entry, facts, handled, knows, mail, seen, text, without_headers


def told(*records: Seen, **known: object) -> Story:
    return tell(KEY, records, facts(**known), CATALOGUE)  # type: ignore[arg-type]  # each test gives some of them


def lines(story: Story) -> list[str]:
    return [f"{step.kind} {step.source}>{step.target} {step.what}" for step in story.steps]


def test_e_mails_are_in_their_order_also_within_a_second() -> None:
    """Their times are texts, in which a whole second has no fraction."""
    first, second = ({**mail(), "Created": f"2026-01-15T12:00:00{fraction}Z"} for fraction in ("", ".5"))

    assert told(seen(), mails=[second, first]).mails == [first, second]


def test_a_story_is_in_the_order_of_time_whatever_its_sources() -> None:
    story = told(
        seen("payment.captured.v1", recorded=150),
        seen(data={"customer": {"email": "ada@example.com"}}),
        payments=OfService([{"payment_id": "p1", "status": "CAPTURED"}], None, {"attempts": [attempt(began=90)]}),
        notifications=knows(),
        ledger=[entry(milliseconds=100)],
        mails=[mail(milliseconds=300)],
    )

    assert lines(story) == [
        "request customer>orders places it",
        "event orders>payments order.placed.v1",
        "task payments>payments charge, attempt 1",
        "call payments>payment gateway charge 95.00 EUR",
        "event payments>orders payment.captured.v1",
        "e-mail a service>mail server Your order is confirmed",
    ]
    assert (story.email, story.trace_ids) == ("ada@example.com", (TRACE,))
    assert story.seconds == 0.3


def test_an_event_takes_from_kafka_to_its_readers_inbox() -> None:
    story = told(seen(waited=20), payments=knows(handled=[handled("order.placed.v1", 75)]))

    step = story.steps[-1]
    assert (step.seconds, step.note, step.is_problem) == (0.055, "20 ms in the outbox", False)


def test_an_event_that_its_reader_has_not_handled_is_trouble() -> None:
    story = told(seen())

    assert [step.note for step in story.steps if step.is_problem] == [
        "10 ms in the outbox; not handled, as far as is known"
    ]


def test_an_event_that_nobody_reads_ends_in_kafka() -> None:
    story = told(seen("order.cancelled.v1", data={"reason": "payment_deadline"}))

    assert lines(story)[-1] == "event orders>Kafka order.cancelled.v1"


def test_a_customers_cancellation_is_a_request() -> None:
    story = told(seen(), seen("order.cancelled.v1", recorded=50, sequence=2, data={"reason": "customer"}))

    assert "request customer>orders cancels it" in lines(story)


def test_a_pause_is_noted_where_a_person_would_see_it() -> None:
    story = told(seen(), payments=knows(attempts=[attempt(began=500), attempt(2, began=5_600)]))

    assert [step.gap for step in story.steps] == [None, None, None, 5.0]


def test_while_something_goes_on_there_is_no_pause() -> None:
    long, short = attempt(began=500, seconds=6.0), attempt(2, began=600, seconds=0.1)
    story = told(seen(), payments=knows(attempts=[long, short, attempt(3, began=6_600)]))

    assert [step.gap for step in story.steps] == [None] * len(story.steps)


@pytest.mark.parametrize(
    ("known", "trouble"),
    [
        ({"attempts": [attempt(outcome="postponed: no answer")]}, "postponed: no answer"),
        (
            {"outbox": [{"type": "x", "created_at": text(0), "held": True}]},
            "held: Kafka refused it, or one before it",
        ),
        (
            {
                "dead_letters": [
                    {"source": "event", "topic": "x", "status": "open", "failed_at": text(0), "reason": "no JSON"}
                ]
            },
            "no JSON",
        ),
    ],
)
def test_what_went_wrong_is_marked_and_says_why(known: dict[str, object], trouble: str) -> None:
    story = told(payments=knows(**known))

    [step] = story.steps
    assert (step.is_problem, step.note) == (True, trouble)


def test_the_money_is_what_the_ledger_says() -> None:
    story = told(
        ledger=[entry("unavailable"), entry(), entry("refunded", operation="refund")], payments=knows(tasks=[1])
    )

    assert story.money is not None
    assert (story.money.charged, story.money.refunded, story.money.kept) == (
        Decimal("95.00"),
        Decimal("95.00"),
        Decimal(0),
    )
    assert [step.note for step in story.steps if step.is_problem] == ["unavailable"]


def test_the_state_is_the_services_own_word_and_else_the_events() -> None:
    order = {
        "id": KEY,
        "status": "CANCELLED",
        "history": [{"status": "CANCELLED", "at": text(5), "reason": "customer"}],
    }

    assert told(seen(), orders=OfService([order], order)).state == "CANCELLED"
    assert told(seen(), seen("order.confirmed.v1", sequence=2)).state == "CONFIRMED"
    assert told(seen()).state == "PENDING"


def test_what_nobody_knows_is_no_story() -> None:
    with pytest.raises(UnknownOrderError):
        told()


def test_what_could_not_be_asked_is_no_proof_that_nobody_knows() -> None:
    assert told(missing=["payments did not answer"]).missing == ["payments did not answer"]


def test_a_record_without_an_envelope_is_told_too() -> None:
    story = told(without_headers(seen()))

    assert lines(story)[-1] == "event somebody>Kafka no type"


def test_a_program_gets_all_of_it() -> None:
    story = told(seen(), ledger=[entry()])

    document = json.loads(to_json(story.as_json()))

    assert document["order"] == KEY
    assert document["money"]["charged"] == "95.00"
    assert ["ce_type", "order.placed.v1"] in document["records"][0]["headers"]


def test_mermaid_gets_every_step_and_none_of_its_own_signs() -> None:
    story = told(
        seen(),
        payments=knows(attempts=[attempt(began=3_000, outcome="postponed: #1; \n later")]),
        ledger=[entry(milliseconds=3_050)],
    )

    assert mermaid(story).splitlines() == [
        "sequenceDiagram",
        "    actor p0 as customer",
        "    participant p1 as orders",
        "    participant p2 as payments",
        "    participant p3 as payment gateway",
        "    p0->>p1: places it",
        "    p1-)p2: order.placed.v1 (10 ms in the outbox#59; not handled, as far as is known)",
        "    Note over p2: 3.0 s later",
        "    Note over p2: charge, attempt 1 (postponed: #35;1#59; later)",
        "    p2->>p3: charge 95.00 EUR (succeeded)",
    ]
