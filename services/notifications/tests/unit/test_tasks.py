"""E-mails through the worker: what is sent, in which order, what is tried again, and what is given up."""

from collections.abc import Awaitable, Callable, Sequence
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from notifications.domain import Kind, Status
from notifications.handlers import SEND_EMAIL
from notifications.ports import EmailRefusedError, MailerUnavailableError
from notifications.settings import Settings
from notifications.tasks import task_kinds
from outboxed.ports import NewTask
from outboxed.storage import Clock
from outboxed.tasks import Worker

from ..factories import EMAIL, OrderNotificationsFactory, order_cancelled, order_confirmed, payment_refunded
from ..fakes import RecordingMailer, SentEmail, stored
from .conftest import Consume, Database

Deliver = Callable[[], Awaitable[None]]
BACKOFF = timedelta(minutes=2)  # longer than any


@pytest.fixture
async def confirmed(consume: Consume) -> UUID:
    """An order whose confirmation is to be sent."""
    order_id = uuid4()
    await consume(order_confirmed(order_id))
    return order_id


def notification(database: Database, order_id: UUID, kind: Kind = Kind.CONFIRMATION) -> Any:
    return database.state.table("order_notifications")[order_id].get(kind)


def kinds_sent(mailer: RecordingMailer) -> Sequence[Kind]:
    return [sent.kind for sent in mailer.sent]


async def test_an_email_whose_worker_was_killed_comes_again_within_eleven_seconds_by_default(
    mailer: RecordingMailer,
) -> None:
    [kind] = task_kinds(mailer, smtp_timeout=Settings().smtp_timeout_seconds)

    assert kind.lease < timedelta(seconds=11)


async def test_a_successful_order_sends_one_confirmation_to_its_address(
    database: Database, consume: Consume, deliver: Deliver, mailer: RecordingMailer, order_id: UUID
) -> None:
    await consume(order_confirmed(order_id, email="ada@example.com"))

    await deliver()

    assert mailer.sent == [SentEmail(Kind.CONFIRMATION, "ada@example.com", order_id)]
    told = notification(database, order_id)
    assert (told.status, told.message_id) == (Status.SENT, f"<confirmation.{order_id}@shop.example>")
    assert not database.state.tasks


async def test_a_declined_payments_order_gets_a_cancellation_and_no_confirmation(
    consume: Consume, deliver: Deliver, mailer: RecordingMailer, order_id: UUID
) -> None:
    await consume(order_cancelled(order_id, reason="payment_declined"))

    await deliver()

    assert mailer.sent == [SentEmail(Kind.CANCELLATION, EMAIL, order_id)]


async def test_the_emails_of_one_order_go_one_at_a_time_in_order(
    consume: Consume, worker: Worker[Any], mailer: RecordingMailer, order_id: UUID
) -> None:
    await consume(payment_refunded(order_id), order_confirmed(order_id), order_cancelled(order_id))

    sent = []
    while await worker.run_due():
        sent.append(list(kinds_sent(mailer)))

    # the refund was heard of first, so it goes as soon as the address is known
    assert [len(kinds) for kinds in sent] == [1, 2, 3]
    assert sent[-1] == [Kind.CONFIRMATION, Kind.REFUND, Kind.CANCELLATION]


async def test_an_email_that_has_to_wait_holds_back_the_later_ones_of_its_order_and_no_others(
    consume: Consume, worker: Worker[Any], mailer: RecordingMailer, clock: Clock
) -> None:
    order_id, other = uuid4(), uuid4()
    await consume(order_confirmed(order_id), order_cancelled(order_id))
    mailer.error = MailerUnavailableError("451")
    await worker.run_due()
    mailer.error = None

    await consume(order_confirmed(other))
    await worker.run_due()
    meanwhile = list(mailer.sent)
    clock.advance(BACKOFF)
    while await worker.run_due():
        pass

    assert meanwhile == [SentEmail(Kind.CONFIRMATION, EMAIL, other)]
    assert kinds_sent(mailer)[1:] == [Kind.CONFIRMATION, Kind.CANCELLATION]


async def test_a_mail_server_that_is_away_is_tried_again_later_and_later(
    database: Database, confirmed: UUID, worker: Worker[Any], mailer: RecordingMailer, clock: Clock
) -> None:
    mailer.error = MailerUnavailableError("the mail server can't be used: SMTPConnectError")
    task_of = (SEND_EMAIL, f"confirmation.{confirmed}")

    delays = []
    for _ in range(8):
        assert await worker.run_due() == 1
        assert await worker.run_due() == 0
        delays.append((database.state.tasks[task_of].due_at - clock.now()).total_seconds())
        clock.advance(BACKOFF)

    assert all(
        0.5 * full * 0.9 < delay <= full for delay, full in zip(delays, (0.5, 1, 2, 4, 8, 16, 32, 60), strict=True)
    )
    assert notification(database, confirmed).status is Status.PENDING


async def test_an_outage_of_the_mail_server_never_becomes_a_dead_letter(
    database: Database, consume: Consume, worker: Worker[Any], mailer: RecordingMailer, clock: Clock
) -> None:
    await consume(order_confirmed(uuid4()))
    mailer.error = MailerUnavailableError("421")

    for _ in range(30):
        await worker.run_due()
        clock.advance(BACKOFF)
    mailer.error = None
    await worker.run_due()

    assert not database.state.buried_tasks
    assert kinds_sent(mailer) == [Kind.CONFIRMATION]


@pytest.fixture
async def refused(confirmed: UUID, worker: Worker[Any], mailer: RecordingMailer) -> UUID:
    """An order whose confirmation the mail server will never take, though it takes others."""
    mailer.error = EmailRefusedError("the mail server refused the recipient with 550")
    await worker.run_due()
    mailer.error = None
    return confirmed


async def test_a_refused_email_ends_as_a_dead_letter_and_is_seen_to_have_failed(
    database: Database, refused: UUID
) -> None:
    [(task, reason)] = database.state.buried_tasks
    assert task.key == f"confirmation.{refused}"
    assert reason == "EmailRefusedError: the mail server refused the recipient with 550"
    assert notification(database, refused).status is Status.FAILED
    assert not database.state.tasks


async def test_a_replayed_task_sends_the_failed_email_after_all(
    database: Database, refused: UUID, worker: Worker[Any], mailer: RecordingMailer
) -> None:
    [(task, _)] = database.state.buried_tasks

    async with database() as uow:  # what `dead-letters replay` does with a task
        uow.tasks.schedule(NewTask(task.kind, task.key, task.payload, group=task.group))
    await worker.run_due()

    assert kinds_sent(mailer) == [Kind.CONFIRMATION]
    assert notification(database, refused).status is Status.SENT


async def test_an_error_that_nobody_foresaw_is_given_up_after_ten_attempts(
    database: Database, confirmed: UUID, worker: Worker[Any], mailer: RecordingMailer, clock: Clock
) -> None:
    mailer.error = RuntimeError("a bug")

    for attempt in range(1, 11):
        assert not database.state.buried_tasks, attempt
        await worker.run_due()
        clock.advance(BACKOFF)

    [(task, _)] = database.state.buried_tasks
    assert task.attempts == 10
    assert notification(database, confirmed).status is Status.FAILED


async def test_an_email_that_was_sent_is_not_sent_again(
    database: Database, confirmed: UUID, worker: Worker[Any], mailer: RecordingMailer
) -> None:
    await worker.run_due()
    before = notification(database, confirmed)

    async with database() as uow:
        payload = {"order_id": str(confirmed), "kind": "confirmation"}
        uow.tasks.schedule(NewTask(SEND_EMAIL, f"confirmation.{confirmed}", payload))
    await worker.run_due()

    assert len(mailer.sent) == 1
    assert notification(database, confirmed) == before
    assert not database.state.tasks


@pytest.mark.parametrize("kind", Kind)
async def test_each_kind_has_an_email_of_its_own(
    database: Database, worker: Worker[Any], mailer: RecordingMailer, kind: Kind
) -> None:
    order = OrderNotificationsFactory.create(kinds=[kind])
    await stored(database, order)
    async with database() as uow:
        payload = {"order_id": str(order.id), "kind": kind.value}
        uow.tasks.schedule(NewTask(SEND_EMAIL, f"{kind.value}.{order.id}", payload))

    await worker.run_due()

    assert mailer.sent == [SentEmail(kind, EMAIL, order.id)]
