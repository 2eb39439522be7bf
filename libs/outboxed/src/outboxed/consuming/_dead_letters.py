"""Dead letters: list, show, edit, replay in one transaction of this service, or discard.

They are records that could not be handled, tasks that were given up, and rows of the outbox that Kafka refused.
"""

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Generic, TypeVar

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.ext.asyncio import AsyncConnection

from outboxed.consuming._batch import BatchConsumer
from outboxed.messages import Record
from outboxed.ports import NewTask
from outboxed.storage import SqlTransactions, SqlUnitOfWork, dump_headers, load_headers, tables
from outboxed.telemetry import continued_trace

U = TypeVar("U", bound=SqlUnitOfWork)
TYPE = "ce_type"
GROUP = "group"
_RETURN_TO_OUTBOX = sa.text(
    # the relay sends by id, so the old id is the old place
    """
    insert into outbox (id, topic, key, value, headers) overriding system value
    values (:id, :topic, :key, :value, :headers)
    """
).bindparams(sa.bindparam("headers", type_=JSONB))


class DeadLetterError(Exception):
    """A letter can't be edited, replayed or discarded; the message says why."""


@dataclass(frozen=True)
class Content:
    """The raw parts of a record or a task."""

    key: bytes | None
    value: bytes | None
    headers: tuple[tuple[str, bytes | None], ...]


@dataclass(frozen=True)
class Edit:
    """Changes to a letter. None keeps the key or the value; a new header replaces all headers of the same name."""

    key: bytes | None = None
    value: bytes | None = None
    headers: Mapping[str, bytes] = field(default_factory=dict)
    removed_headers: Collection[str] = ()

    def applied(self, content: Content) -> Content:
        """The content with these changes."""
        gone = {*self.headers, *self.removed_headers}
        kept = tuple((name, raw) for name, raw in content.headers if name not in gone)
        return Content(
            key=content.key if self.key is None else self.key,
            value=content.value if self.value is None else self.value,
            headers=(*kept, *self.headers.items()),
        )


@dataclass(frozen=True)
class DeadLetter:
    """A record, a task or an outbox row that was given up; a task's kind is its `topic`, a row's id its `offset`.

    A replay handles `key`, `value` and `headers`, as last edited. `original` is what was given up.
    """

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
    original: Content
    edited_at: datetime | None = None

    @property
    def content(self) -> Content:
        """What a replay handles."""
        return Content(self.key, self.value, self.headers)

    @property
    def type(self) -> str:
        """The event's type as its header says, or the task's kind; empty where there is none."""
        return self.topic if self.source == "task" else _header(self, TYPE) or ""


class DeadLetterQueue(Generic[U]):
    """The dead letters of one service."""

    def __init__(self, transactions: SqlTransactions[U], consumer: BatchConsumer[U]) -> None:
        self._transactions = transactions
        self._consumer = consumer

    async def list(
        self,
        *,
        status: str = "open",
        limit: int = 100,
        source: str | None = None,
        key: str | None = None,
        type_: str | None = None,
    ) -> Sequence[DeadLetter]:
        """Letters of a status (open, replayed or discarded), oldest first; all, or those of a source, key and type.

        The source is event, task or outbox. A task has its key and its group, and its kind is its type.
        """
        table = tables.dead_letters
        query = sa.select(table).where(table.c.status == status).order_by(table.c.id).limit(limit)
        if source is not None:
            query = query.where(table.c.source == source)
        if key is not None:
            query = query.where(_has_key(key))
        if type_ is not None:
            query = query.where(_has_type(type_))
        async with self._transactions.engine.connect() as connection:
            return [_letter(row) for row in (await connection.execute(query)).mappings()]

    async def about(self, key: str, *, limit: int = 100) -> Sequence[DeadLetter]:
        """Letters of any status whose key or value names a key, such as an order's id; oldest first."""
        table, sought = tables.dead_letters, sa.literal(key.encode(), sa.LargeBinary)
        named = [sa.func.position(sought.op("in")(column)) > 0 for column in (table.c.key, table.c.value)]
        query = sa.select(table).where(sa.or_(*named)).order_by(table.c.id).limit(limit)
        async with self._transactions.engine.connect() as connection:
            return [_letter(row) for row in (await connection.execute(query)).mappings()]

    async def show(self, letter_id: int) -> DeadLetter:
        """One letter. Raises DeadLetterError for an unknown id."""
        async with self._transactions.engine.connect() as connection:
            return await _get(connection, letter_id)

    async def edit(self, letter_id: int, edit: Edit) -> None:
        """Change what a replay will handle; the original stays, however often a letter is edited.

        Raises DeadLetterError when the letter is not open or lacks a header to be removed, or when a task's new value
        is not a JSON object.
        """
        async with self._transactions() as uow:
            letter = await self._take(letter_id, uow)
            for name in edit.removed_headers:
                if name not in dict(letter.headers):
                    raise DeadLetterError(f"dead letter {letter_id} has no header {name!r}")
            content = edit.applied(letter.content)
            if letter.source == "task" and not _is_json_object(content.value):
                raise DeadLetterError(f"dead letter {letter_id} is a task: its value must be a JSON object")
            await _save(letter, content, uow)

    async def replay(self, letter_id: int) -> None:
        """Handle the letter again and mark it, in one transaction; nothing that was read is republished.

        A row of the outbox goes back to its old place there, before the later events of its key.

        Raises DeadLetterError when the letter is not open, or is a row that no column holds after an edit. If the
        handler raises, the error comes through and the letter stays open.
        """
        async with self._transactions() as uow:
            letter = await self._take(letter_id, uow)
            with continued_trace("replay", _header(letter, "traceparent"), dead_letter=letter.id):
                if letter.source == "task":
                    uow.tasks.schedule(_task(letter))
                elif letter.source == "outbox":
                    await _return_to_outbox(letter, uow)
                else:
                    await self._consumer.replay(_record(letter), uow)
            await _close(letter, "replayed", uow)

    async def discard(self, letter_id: int) -> None:
        """Close the letter without handling it; it can still be shown. Raises DeadLetterError when it was not open.

        The later events of a row of the outbox are sent without it.
        """
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


_IS_TASK = tables.dead_letters.c.source == "task"


def _has_key(key: str) -> sa.ColumnElement[bool]:
    table = tables.dead_letters
    raw = sa.case((table.c.edited_at.is_(None), table.c.key), else_=table.c.edited_key)
    return (raw == key.encode()) | (_IS_TASK & _has_header(GROUP, key))


def _has_type(name: str) -> sa.ColumnElement[bool]:
    of_task = tables.dead_letters.c.topic == name
    return sa.case((_IS_TASK, of_task), else_=_has_header(TYPE, name))


def _has_header(name: str, value: str) -> sa.ColumnElement[bool]:
    """Whether the JSON has the pair as it's written; a quote within a name or a value is escaped there."""
    table = tables.dead_letters
    headers = sa.case((table.c.edited_at.is_(None), table.c.headers), else_=table.c.edited_headers)
    pair = dump_headers([(name, value.encode())])[1:-1]
    return sa.func.position(sa.literal(pair, sa.LargeBinary).op("in")(headers)) > 0


async def _save(letter: DeadLetter, content: Content, uow: SqlUnitOfWork) -> None:
    table = tables.dead_letters
    await uow.connection.execute(
        sa.update(table)
        .where(table.c.id == letter.id)
        .values(
            edited_at=uow.now,
            edited_key=content.key,
            edited_value=content.value,
            edited_headers=dump_headers(content.headers),
        )
    )


async def _close(letter: DeadLetter, status: str, uow: SqlUnitOfWork) -> None:
    table = tables.dead_letters
    await uow.connection.execute(
        sa.update(table).where(table.c.id == letter.id).values(status=status, closed_at=uow.now)
    )


def _letter(row: sa.RowMapping) -> DeadLetter:
    original = Content(row["key"], row["value"], load_headers(row["headers"]))
    content = original
    if row["edited_at"] is not None:
        content = Content(row["edited_key"], row["edited_value"], load_headers(row["edited_headers"]))
    return DeadLetter(
        id=row["id"],
        source=row["source"],
        group=row["consumer_group"],
        topic=row["topic"],
        partition=row["partition"],
        offset=row["offset"],
        key=content.key,
        value=content.value,
        headers=content.headers,
        reason=row["reason"],
        failed_at=row["failed_at"],
        status=row["status"],
        original=original,
        edited_at=row["edited_at"],
    )


def _is_json_object(value: bytes | None) -> bool:
    try:
        return isinstance(json.loads(value or b""), dict)
    except ValueError:
        return False


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


async def _return_to_outbox(letter: DeadLetter, uow: SqlUnitOfWork) -> None:
    headers = {name: _text(letter, f"the header {name!r}", raw) for name, raw in letter.headers}
    row = {"id": letter.offset, "topic": letter.topic, "key": _text(letter, "the key", letter.key)}
    await uow.connection.execute(_RETURN_TO_OUTBOX, {**row, "value": letter.value, "headers": headers})


def _text(letter: DeadLetter, name: str, raw: bytes | None) -> str:
    try:
        text = (raw or b"").decode()
    except UnicodeDecodeError:
        raise DeadLetterError(f"dead letter {letter.id} can't be sent: {name} is no UTF-8; edit it") from None
    if raw is None or "\0" in text:
        raise DeadLetterError(f"dead letter {letter.id} can't be sent: {name} is null or has a NUL; edit it")
    return text


def _task(letter: DeadLetter) -> NewTask:
    return NewTask(
        kind=letter.topic,
        key=(letter.key or b"").decode(),
        payload=json.loads(letter.value or b"{}"),
        group=_header(letter, GROUP),
    )
