"""What a service's tables hold of one event key, such as an order's id: for a person who asks what became of it."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from outboxed.storage import tables
from outboxed.storage._inbox import handled_identity

MOST_ROWS = 100
"""Of each table; who has more of one key needs another tool."""


async def open_tasks(connection: AsyncConnection, key: str, kinds: Sequence[str]) -> Sequence[Mapping[str, Any]]:
    """The tasks of a key or of its group, in the order of their making; those that are done are gone.

    `kinds` are those of this release: with them an index finds the key.
    """
    table = tables.tasks
    of_group = sa.select(table.c.id).where(table.c.task_group == key)
    of_key = sa.select(table.c.id).where(table.c.kind.in_(kinds), table.c.key == key)
    ids = sa.union(of_group, of_key).subquery()
    return await _rows(connection, sa.select(table).where(table.c.id.in_(sa.select(ids.c.id))).order_by(table.c.id))


async def waiting_events(connection: AsyncConnection, key: str) -> Sequence[Mapping[str, Any]]:
    """The rows of the outbox that have a key: not yet sent, or held because Kafka refused one."""
    table = tables.outbox
    return await _rows(connection, sa.select(table).where(table.c.key == key).order_by(table.c.id))


async def handled_events(connection: AsyncConnection, event_ids: Sequence[str]) -> dict[str, datetime]:
    """When each of these events was handled; one that was not, or was forgotten since, is missing."""
    table = tables.inbox
    rows = await _rows(connection, sa.select(table).where(table.c.event_id.in_(event_ids)))
    return {handled_identity(row["event_id"], row["source"]).id: row["handled_at"] for row in rows}


async def _rows(connection: AsyncConnection, query: sa.Select[Any]) -> Sequence[Mapping[str, Any]]:
    return [dict(row) for row in (await connection.execute(query.limit(MOST_ROWS))).mappings()]
