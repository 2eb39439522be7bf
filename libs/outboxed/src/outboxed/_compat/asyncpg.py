"""asyncpg: array types looked up once per process, and the error of a closed connection. Bound: `asyncpg<0.33`.

- asyncpg asks the server for each array type on each connection, with three queries
  (https://github.com/MagicStack/asyncpg/issues/1272). After an outage every connection is new, so a process repeats
  the queries many times. There is no public cache; `Connection._introspect_types` is overridden.
- If the server goes away while SQLAlchemy prepares a connection, asyncpg's `InterfaceError` comes without SQLAlchemy's
  wrapper. Only the message tells this error from a caller's mistake.
"""

from collections.abc import Iterable
from types import SimpleNamespace
from typing import Any

import asyncpg

INTROSPECT = "_introspect_types"
CLOSED = "connection is closed"


def learning_connection() -> type[asyncpg.Connection]:
    """A connection class for one engine: its connections share the array types that one of them has looked up."""
    known: dict[frozenset[int], Any] = {}

    class Connection(asyncpg.Connection):
        async def _introspect_types(self, typeoids: Iterable[int], *limit: float | None) -> tuple[Any, Any]:
            wanted = frozenset(typeoids)
            if wanted in known:
                return known[wanted], SimpleNamespace(name="none was needed")
            known[wanted], statement = await getattr(super(), INTROSPECT)(wanted, *limit)
            return known[wanted], statement

    return Connection


def is_closed(error: asyncpg.InterfaceError) -> bool:
    """Whether the error says that the connection is closed, and not that a call was wrong."""
    return str(error) == CLOSED
