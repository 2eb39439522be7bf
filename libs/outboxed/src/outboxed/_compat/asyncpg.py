"""asyncpg: array types learnt once a process, and the error of a connection that is gone. Bound: `asyncpg<0.33`.

- It asks the server for each array type on each connection, with three queries
  (https://github.com/MagicStack/asyncpg/issues/1272): in the moment after an outage, when every connection is new, a
  process asks them many times over. There is no public cache; `Connection._introspect_types` is overridden.
- Where the server goes away while SQLAlchemy still prepares a connection, asyncpg's error comes without SQLAlchemy's
  wrapping, as a bare `InterfaceError`. Only its words tell it from the mistakes of a caller.
"""

from collections.abc import Iterable
from types import SimpleNamespace
from typing import Any

import asyncpg

INTROSPECT = "_introspect_types"
CLOSED = "connection is closed"


def learning_connection() -> type[asyncpg.Connection]:
    """For one engine: what one connection learnt of the database's array types, the next ones know."""
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
    """Whether it says that the server has gone, and not that a call was wrong."""
    return str(error) == CLOSED
