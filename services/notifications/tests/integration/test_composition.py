"""The service as its composition root puts it together."""

import threading
from uuid import uuid4

from backing_services.postgres import DatabaseIsolation
from notifications.app import build
from notifications.settings import Settings
from notifications.storage import SqlNotificationsUnitOfWork
from outboxed.messages import Record
from outboxed.storage import SqlTransactions
from outboxed.testing.tokens import KeyPair

from ..factories import order_confirmed
from .conftest import Mailbox


async def test_the_service_sends_its_emails_in_a_thread_of_their_own_which_ends_with_it(
    isolation: DatabaseIsolation,
    keys: KeyPair,
    mailbox: Mailbox,
    transactions: SqlTransactions[SqlNotificationsUnitOfWork],  # noqa: ARG001 - empties the database afterwards
) -> None:
    key = (keys.public,)
    settings = Settings(environment="test", database_url=isolation.url, jwt_public_keys=key, smtp_port=mailbox.port)
    service = build(settings)
    event = order_confirmed(uuid4())
    parts = event.topic, event.partition, event.offset, event.key, event.value
    await service.consumer.handle([Record(*parts, tuple(event.headers))])

    assert await service.worker.run_due() == 1
    meanwhile = {thread.name for thread in threading.enumerate()}
    await service.close()

    assert len(mailbox.store) == 1
    assert "asyncio_smtp" in meanwhile
    assert "asyncio_smtp" not in {thread.name for thread in threading.enumerate()}
