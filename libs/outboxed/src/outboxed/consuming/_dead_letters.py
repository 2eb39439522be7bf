"""Dead letters: list, show, edit, replay in one transaction of this service, or discard.

They are records that could not be handled, tasks that were given up, and rows of the outbox that Kafka refused.
"""

from collections.abc import Sequence
from typing import Generic, TypeVar, Unpack

from outboxed.consuming._batch import BatchConsumer
from outboxed.messages import Record
from outboxed.storage import (
    DeadLetter,
    DeadLetterTable,
    Edit,
    Sought,
    SqlTransactions,
    SqlUnitOfWork,
    return_to_outbox,
    tables,
    task_of,
)
from outboxed.telemetry import continued_trace

U = TypeVar("U", bound=SqlUnitOfWork)


class DeadLetterQueue(Generic[U]):
    """The dead letters of one service."""

    def __init__(self, transactions: SqlTransactions[U], consumer: BatchConsumer[U]) -> None:
        self._transactions = transactions
        self._consumer = consumer
        self._table = DeadLetterTable(tables.dead_letters)

    async def list(self, **sought: Unpack[Sought]) -> Sequence[DeadLetter]:
        """Letters of a status, oldest first; all, or those of a source, key and type."""
        async with self._transactions.engine.connect() as connection:
            return await self._table.list(connection, **sought)

    async def about(self, key: str, *, limit: int = 100) -> Sequence[DeadLetter]:
        """Letters of any status whose key or value names a key, such as an order's id; oldest first."""
        async with self._transactions.engine.connect() as connection:
            return await self._table.about(connection, key, limit=limit)

    async def show(self, letter_id: int) -> DeadLetter:
        """One letter. Raises DeadLetterError for an unknown id."""
        async with self._transactions.engine.connect() as connection:
            return await self._table.get(connection, letter_id)

    async def edit(self, letter_id: int, edit: Edit) -> None:
        """Change what a replay will handle; the original stays, however often a letter is edited.

        Raises DeadLetterError when the letter is not open or lacks a header to be removed, or when a task's new value
        is not a JSON object.
        """
        async with self._transactions() as uow:
            await self._table.edit(uow.connection, letter_id, edit, uow.now)

    async def replay(self, letter_id: int) -> None:
        """Handle the letter again and mark it, in one transaction; nothing that was read is republished.

        A row of the outbox goes back to its old place there, before the later events of its key.

        Raises DeadLetterError when the letter is not open, or is a row that no column holds after an edit. If the
        handler raises, the error comes through and the letter stays open.
        """
        async with self._transactions() as uow:
            letter = await self._table.take(uow.connection, letter_id)
            with continued_trace("replay", letter.header("traceparent"), dead_letter=letter.id):
                if letter.source == "task":
                    uow.tasks.schedule(task_of(letter))
                elif letter.source == "outbox":
                    await return_to_outbox(uow.connection, letter, tables.outbox)
                else:
                    await self._consumer.replay(_record(letter), uow)
            await self._table.close(uow.connection, letter, "replayed", uow.now)

    async def discard(self, letter_id: int) -> None:
        """Close the letter without handling it; it can still be shown. Raises DeadLetterError when it was not open.

        The later events of a row of the outbox are sent without it.
        """
        async with self._transactions() as uow:
            letter = await self._table.take(uow.connection, letter_id)
            await self._table.close(uow.connection, letter, "discarded", uow.now)


def _record(letter: DeadLetter) -> Record:
    return Record(
        topic=letter.topic,
        partition=letter.partition or 0,
        offset=letter.offset or 0,
        key=letter.key,
        value=letter.value,
        headers=letter.headers,
    )
