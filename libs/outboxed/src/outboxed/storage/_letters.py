"""A table of dead letters: records that could not be handled, tasks that were given up, rows that Kafka refused."""

import json
from abc import ABC, abstractmethod
from collections.abc import Collection, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, TypedDict, Unpack

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import JSONB, insert
from sqlalchemy.ext.asyncio import AsyncConnection

from outboxed.messages import Record
from outboxed.ports import EventDeadLetter, NewTask
from outboxed.storage._headers import dump_headers, load_headers
from outboxed.storage._statements import named, storable, translated

TYPE = "ce_type"
GROUP = "group"
Now = datetime | sa.ColumnElement[datetime]
"""A time, or how the database finds it."""


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
        return self.topic if self.source == "task" else self.header(TYPE) or ""

    @property
    def record(self) -> Record:
        """The record that a replay handles; of a task or a row of the outbox, its parts as one."""
        return Record(self.topic, self.partition or 0, self.offset or 0, self.key, self.value, self.headers)

    def header(self, name: str) -> str | None:
        """A header as text; None where it is missing, null or empty."""
        raw = dict(self.headers).get(name)
        return raw.decode(errors="replace") if raw else None


class Sought(TypedDict, total=False):
    """Which letters: of a status (open, replayed or discarded; open unless given), and no more than `limit` (100).

    The source is event, task or outbox. A task has its key and its group, and its kind is its type.
    """

    status: str
    limit: int
    source: str | None
    key: str | None
    type_: str | None


class DeadLetterTable:
    """What is done with a table of dead letters, in transactions of the caller's; `now` is the time that is noted.

    Raises DeadLetterError where a letter isn't there, or isn't in the state for what is asked.
    """

    def __init__(self, table: sa.Table) -> None:
        self.table = table
        self.columns = table.c

    async def list(self, connection: AsyncConnection, **sought: Unpack[Sought]) -> Sequence[DeadLetter]:
        """Letters of a status, oldest first; all, or those of a source, key and type."""
        limits: list[sa.ColumnElement[bool]] = [self.columns.status == sought.get("status", "open")]
        if (source := sought.get("source")) is not None:
            limits.append(self.columns.source == source)
        if (key := sought.get("key")) is not None:
            limits.append(self._has_key(key))
        if (type_ := sought.get("type_")) is not None:
            limits.append(self._has_type(type_))
        query = sa.select(self.table).where(*limits).order_by(self.columns.id).limit(sought.get("limit", 100))
        return [_letter(row) for row in (await connection.execute(query)).mappings()]

    async def about(self, connection: AsyncConnection, key: str, *, limit: int = 100) -> Sequence[DeadLetter]:
        """Letters of any status whose key or value names a key, such as an order's id; oldest first."""
        sought = sa.literal(key.encode(), sa.LargeBinary)
        named_in = [sa.func.position(sought.op("in")(column)) > 0 for column in (self.columns.key, self.columns.value)]
        query = sa.select(self.table).where(sa.or_(*named_in)).order_by(self.columns.id).limit(limit)
        return [_letter(row) for row in (await connection.execute(query)).mappings()]

    async def get(self, connection: AsyncConnection, letter_id: int, *, lock: bool = False) -> DeadLetter:
        """One letter."""
        query = sa.select(self.table).where(self.columns.id == letter_id)
        row = (await connection.execute(query.with_for_update() if lock else query)).mappings().first()
        if row is None:
            raise DeadLetterError(f"there is no dead letter {letter_id}")
        return _letter(row)

    async def take(self, connection: AsyncConnection, letter_id: int) -> DeadLetter:
        """One letter that is open, locked."""
        letter = await self.get(connection, letter_id, lock=True)
        if letter.status != "open":
            raise DeadLetterError(f"dead letter {letter_id} was already {letter.status}")
        return letter

    async def edit(self, connection: AsyncConnection, letter_id: int, edit: Edit, now: Now) -> None:
        """Change what a replay will handle; the original stays, however often a letter is edited."""
        letter = await self.take(connection, letter_id)
        for name in edit.removed_headers:
            if name not in dict(letter.headers):
                raise DeadLetterError(f"dead letter {letter_id} has no header {name!r}")
        content = edit.applied(letter.content)
        if letter.source == "task" and not _is_json_object(content.value):
            raise DeadLetterError(f"dead letter {letter_id} is a task: its value must be a JSON object")
        values = {
            "edited_at": now,
            "edited_key": content.key,
            "edited_value": content.value,
            "edited_headers": dump_headers(content.headers),
        }
        await connection.execute(sa.update(self.table).where(self.columns.id == letter.id).values(values))

    async def close(self, connection: AsyncConnection, letter: DeadLetter, status: str, now: Now) -> None:
        """Mark a letter as replayed or discarded."""
        values = {"status": status, "closed_at": now}
        await connection.execute(sa.update(self.table).where(self.columns.id == letter.id).values(values))

    def _has_key(self, key: str) -> sa.ColumnElement[bool]:
        raw = sa.case((self.columns.edited_at.is_(None), self.columns.key), else_=self.columns.edited_key)
        return (raw == key.encode()) | ((self.columns.source == "task") & self._has_header(GROUP, key))

    def _has_type(self, name: str) -> sa.ColumnElement[bool]:
        of_task = self.columns.topic == name
        return sa.case((self.columns.source == "task", of_task), else_=self._has_header(TYPE, name))

    def _has_header(self, name: str, value: str) -> sa.ColumnElement[bool]:
        """Whether the JSON has the pair as it's written; a quote within a name or a value is escaped there."""
        headers = sa.case((self.columns.edited_at.is_(None), self.columns.headers), else_=self.columns.edited_headers)
        pair = dump_headers([(name, value.encode())])[1:-1]
        return sa.func.position(sa.literal(pair, sa.LargeBinary).op("in")(headers)) > 0


class Letters(ABC):
    """What a person does with the dead letters of a table, each in a transaction of its own.

    DeadLetterError says why a letter can't be edited, replayed or discarded.
    """

    def __init__(self, table: sa.Table) -> None:
        self._table = DeadLetterTable(table)

    @abstractmethod
    def _opened(self) -> AbstractAsyncContextManager[tuple[AsyncConnection, Now]]:
        """A transaction with its time, which commits at the end of the block."""

    @abstractmethod
    async def replay(self, letter_id: int) -> None:
        """Handle the letter again and mark it. If the handler raises, the error comes through and it stays open."""

    async def list(self, **sought: Unpack[Sought]) -> Sequence[DeadLetter]:
        """Letters of a status, oldest first; all, or those of a source, key and type."""
        async with self._opened() as (connection, _):
            return await self._table.list(connection, **sought)

    async def about(self, key: str, *, limit: int = 100) -> Sequence[DeadLetter]:
        """Letters of any status whose key or value names a key, such as an order's id; oldest first."""
        async with self._opened() as (connection, _):
            return await self._table.about(connection, key, limit=limit)

    async def show(self, letter_id: int) -> DeadLetter:
        """One letter. Raises DeadLetterError for an unknown id."""
        async with self._opened() as (connection, _):
            return await self._table.get(connection, letter_id)

    async def edit(self, letter_id: int, edit: Edit) -> None:
        """Change what a replay will handle; the original stays, however often a letter is edited.

        Raises DeadLetterError when the letter is not open or lacks a header to be removed, or when a task's new value
        is not a JSON object.
        """
        async with self._opened() as (connection, now):
            await self._table.edit(connection, letter_id, edit, now)

    async def discard(self, letter_id: int) -> None:
        """Close the letter without handling it; it can still be shown. Raises DeadLetterError when it was not open.

        The later events of a row of the outbox are sent without it.
        """
        async with self._opened() as (connection, now):
            await self._table.close(connection, await self._table.take(connection, letter_id), "discarded", now)


async def return_to_outbox(connection: AsyncConnection, letter: DeadLetter, outbox: sa.Table) -> None:
    """Put a row back to its old place. Raises DeadLetterError for one that no column holds after an edit."""
    # the relay sends by id, so the old id is the old place
    name = named(translated(outbox, connection)).replace(":", r"\:")  # else it is a parameter
    back = sa.text(
        f"insert into {name} (id, topic, key, value, headers) overriding system value"  # noqa: S608 - a table's name
        " values (:id, :topic, :key, :value, :headers)"
    ).bindparams(sa.bindparam("headers", type_=JSONB))
    headers = {name: _text(letter, f"the header {name!r}", raw) for name, raw in letter.headers}
    row = {"id": letter.offset, "topic": letter.topic, "key": _text(letter, "the key", letter.key)}
    await connection.execute(back, {**row, "value": letter.value, "headers": headers})


def task_of(letter: DeadLetter) -> NewTask:
    """The task that was given up."""
    return NewTask(
        kind=letter.topic,
        key=(letter.key or b"").decode(),
        payload=json.loads(letter.value or b"{}"),
        group=letter.header(GROUP),
    )


def insertion_of(table: sa.Table, letters: Sequence[EventDeadLetter], now: Now) -> Any:
    """Keeps records that could not be handled; returns the ids of those that were not kept before."""
    # no conflict hides another record: the constraint has a digest of key, value and headers
    statement = insert(table).on_conflict_do_nothing(constraint=f"{table.name}_position")
    return statement.values([_row(letter, now) for letter in letters]).returning(table.c.id)


def _row(letter: EventDeadLetter, now: Now) -> dict[str, object]:
    return {
        "source": "event",
        "consumer_group": letter.group,
        "topic": letter.record.topic,
        "partition": letter.record.partition,
        "offset": letter.record.offset,
        "key": letter.record.key,
        "value": letter.record.value,
        "headers": dump_headers(letter.record.headers),
        "reason": storable(letter.reason),
        "failed_at": now,
    }


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


def _text(letter: DeadLetter, name: str, raw: bytes | None) -> str:
    try:
        text = (raw or b"").decode()
    except UnicodeDecodeError:
        raise DeadLetterError(f"dead letter {letter.id} can't be sent: {name} is no UTF-8; edit it") from None
    if raw is None or "\0" in text:
        raise DeadLetterError(f"dead letter {letter.id} can't be sent: {name} is null or has a NUL; edit it")
    return text
