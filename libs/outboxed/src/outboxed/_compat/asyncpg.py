"""asyncpg: array types looked up once per process, and what each transaction begins with. Bound: `asyncpg<0.33`.

- asyncpg asks the server for each array type on each connection, with three queries
  (https://github.com/MagicStack/asyncpg/issues/1272). After an outage every connection is new, so a process repeats
  the queries many times. There is no public cache; `Connection._introspect_types` is overridden.
- asyncpg begins a transaction with one `Connection.execute("BEGIN...;")`. What is added to it costs no round trip.
"""

from collections.abc import Iterable
from types import SimpleNamespace
from typing import Any

import asyncpg

INTROSPECT = "_introspect_types"
BEGIN = "BEGIN"


def connection_class(*, at_begin: str = "") -> type[asyncpg.Connection]:
    """A class for one engine's connections: they share the array types that one of them has looked up.

    Each transaction begins with the SQL `at_begin`, in the same round trip.
    """
    known: dict[frozenset[int], Any] = {}

    class Connection(asyncpg.Connection):
        async def _introspect_types(self, typeoids: Iterable[int], *limit: float | None) -> tuple[Any, Any]:
            wanted = frozenset(typeoids)
            if wanted in known:
                return known[wanted], SimpleNamespace(name="none was needed")
            known[wanted], statement = await getattr(super(), INTROSPECT)(wanted, *limit)
            return known[wanted], statement

        async def execute(self, query: str, *args: Any, timeout: float | None = None) -> str:  # noqa: ASYNC109 - asyncpg's
            if query.startswith(BEGIN):
                query += at_begin
            return str(await super().execute(query, *args, timeout=timeout))

    return Connection
