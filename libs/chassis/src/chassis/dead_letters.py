"""Dead letters: list, show, replay in one transaction of this service, or discard."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Generic, TypeVar

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from chassis import tables
from chassis.consumer import BatchConsumer
from chassis.envelope import Record
from chassis.ports import NewTask
from chassis.telemetry import continued_trace
from chassis.unit_of_work import SqlTransactions, SqlUnitOfWork, load_headers

U = TypeVar("U", bound=SqlUnitOfWork)


class DeadLetterError(Exception):
    """A letter can't be replayed or discarded; the message says why."""


@dataclass(frozen=True)
class DeadLetter:
    """A record or a task that was given up; ``topic`` is a task's kind."""

    id: int
    source: str
    group: str | None
    topic: str
    partition: int | None
    offset: int | None
    key: bytes | None
    value: bytes | None
    headers: tuple[tuple[str, bytes | None], ...]
    reason: str
    failed_at: datetime
    status: str


class DeadLetters(Generic[U]):
    """The dead letters of one service."""

    def __init__(self, transactions: SqlTransactions[U], consumer: BatchConsumer[U]) -> None:
        self._transactions = transactions
        self._consumer = consumer

    async def list(self, *, status: str = "open", limit: int = 100) -> Sequence[DeadLetter]:
        """Letters of a status (open, replayed or discarded), oldest first."""
        table = tables.dead_letters
        query = sa.select(table).where(table.c.status == status).order_by(table.c.id).limit(limit)
        async with self._transactions.engine.connect() as connection:
            return [_letter(row) for row in (await connection.execute(query)).mappings()]

    async def show(self, letter_id: int) -> DeadLetter:
        """Raises DeadLetterError for an unknown id."""
        async with self._transactions.engine.connect() as connection:
            return await _get(connection, letter_id)

    async def replay(self, letter_id: int) -> None:
        """Handle the letter again and mark it, in one transaction; nothing is republished.

        Raises DeadLetterError when it is not open, and whatever the handler raises: then it stays open.
        """
        async with self._transactions() as uow:
            letter = await self._take(letter_id, uow)
            with continued_trace("replay", _header(letter, "traceparent"), dead_letter=letter.id):
                if letter.source == "task":
                    uow.tasks.schedule(_task(letter))
                else:
                    await self._consumer.replay(_record(letter), uow)
            await _close(letter, "replayed", uow)

    async def discard(self, letter_id: int) -> None:
        """Close the letter without handling it; it can still be shown. Raises DeadLetterError when it is not open."""
        async with self._transactions() as uow:
            await _close(await self._take(letter_id, uow), "discarded", uow)

    async def _take(self, letter_id: int, uow: U) -> DeadLetter:
        letter = await _get(uow.connection, letter_id, lock=True)
        if letter.status != "open":
            raise DeadLetterError(f"dead letter {letter_id} was already {letter.status}")
        return letter


async def _get(connection: AsyncConnection, letter_id: int, *, lock: bool = False) -> DeadLetter:
    query = sa.select(tables.dead_letters).where(tables.dead_letters.c.id == letter_id)
    row = (await connection.execute(query.with_for_update() if lock else query)).mappings().first()
    if row is None:
        raise DeadLetterError(f"there is no dead letter {letter_id}")
    return _letter(row)


async def _close(letter: DeadLetter, status: str, uow: SqlUnitOfWork) -> None:
    table = tables.dead_letters
    await uow.connection.execute(
        sa.update(table).where(table.c.id == letter.id).values(status=status, closed_at=uow.now)
    )


def _letter(row: sa.RowMapping) -> DeadLetter:
    return DeadLetter(
        id=row["id"],
        source=row["source"],
        group=row["consumer_group"],
        topic=row["topic"],
        partition=row["partition"],
        offset=row["offset"],
        key=row["key"],
        value=row["value"],
        headers=load_headers(row["headers"]),
        reason=row["reason"],
        failed_at=row["failed_at"],
        status=row["status"],
    )


def _header(letter: DeadLetter, name: str) -> str | None:
    raw = dict(letter.headers).get(name)
    return raw.decode(errors="replace") if raw else None


def _record(letter: DeadLetter) -> Record:
    return Record(
        topic=letter.topic,
        partition=letter.partition or 0,
        offset=letter.offset or 0,
        key=letter.key,
        value=letter.value,
        headers=letter.headers,
    )


def _task(letter: DeadLetter) -> NewTask:
    return NewTask(
        kind=letter.topic,
        key=(letter.key or b"").decode(),
        payload=json.loads(letter.value or b"{}"),
        group=_header(letter, "group"),
    )
