"""Dead letters: list, show, edit, replay in one transaction of this service, or discard.

They are records that could not be handled, tasks that were given up, and rows of the outbox that Kafka refused.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Generic, TypeVar

from sqlalchemy.ext.asyncio import AsyncConnection

from outboxed import _conventions as names
from outboxed.consuming._batch import BatchConsumer
from outboxed.storage import (
    Letters,
    Now,
    SqlTransactions,
    SqlUnitOfWork,
    return_to_outbox,
    tables,
    task_of,
)
from outboxed.telemetry import SpanKind, continued_trace

U = TypeVar("U", bound=SqlUnitOfWork)


class DeadLetterQueue(Letters, Generic[U]):
    """The dead letters of one service."""

    def __init__(self, transactions: SqlTransactions[U], consumer: BatchConsumer[U]) -> None:
        super().__init__(tables.dead_letters)
        self._transactions = transactions
        self._consumer = consumer

    @asynccontextmanager
    async def _opened(self) -> AsyncIterator[tuple[AsyncConnection, Now]]:
        async with self._transactions() as uow:
            yield uow.connection, uow.now

    async def replay(self, letter_id: int) -> None:
        """Handle the letter again and mark it, in one transaction; nothing that was read is republished.

        A row of the outbox goes back to its old place there, before the later events of its key.

        Raises DeadLetterError when the letter is not open, or is a row that no column holds after an edit. If the
        handler raises, the error comes through and the letter stays open.
        """
        async with self._transactions() as uow:
            letter = await self._table.take(uow.connection, letter_id)
            with continued_trace(
                "replay",
                letter.header("traceparent"),
                SpanKind.INTERNAL,
                lambda: {names.DEAD_LETTER: letter.id},
                dead_letter=letter.id,
            ):
                if letter.source == "task":
                    uow.tasks.schedule(task_of(letter))
                elif letter.source == "outbox":
                    await return_to_outbox(uow.connection, letter, tables.outbox)
                else:
                    await self._consumer.replay(letter.record, uow)
            await self._table.close(uow.connection, letter, "replayed", uow.now)
