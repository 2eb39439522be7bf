"""SQLAlchemy: asyncpg's error inside its own, and a statement by the shortest way. Bound: `sqlalchemy<2.2`.

- An error's DETAIL repeats values, which must stay out of logs. DETAIL is an attribute of asyncpg's error, but
  SQLAlchemy promises only its wrapper (`DBAPIError.orig`). Used: the wrapper's `__cause__` is asyncpg's error; its
  `sqlstate`.
- `AsyncConnection.execute` takes about three times as much CPU as the statement itself: it looks at the statement,
  makes parameters and a result, and changes to a greenlet and back. No documented way is shorter and keeps the
  transaction, the prepared statements and the errors that others get. Used: the cursor's `_prepare_and_execute` and
  `_rows`, the dialect's `_invalidate_schema_cache`, and the connection's `_handle_dbapi_exception`, `dispatch` and
  `_echo`; of the driver's connection `isolation_level`, `readonly`,
  `deferrable`, `autocommit` and `_execute_mutex`.
- A session that is being flushed can't be flushed, and nothing public says that it is. Used: `Session._flushing`.
- The lowest versions leave the database's name in a URL as it's written, the newest decode it.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from typing import Any
from urllib.parse import unquote

import sqlalchemy as sa
from sqlalchemy import URL, make_url
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlalchemy.orm import Session

DECODES_NAMES = make_url("postgresql:///a%2Fb").database == "a/b"


def error_of_asyncpg(wrapped: BaseException) -> Any:
    """The error that SQLAlchemy wrapped, or None."""
    return wrapped.__cause__


def database_of(url: URL) -> str | None:
    """The name of a URL's database, without percent signs of its writing."""
    return url.database if DECODES_NAMES or url.database is None else unquote(url.database)


def sqlstate_of(error: object) -> str:
    """PostgreSQL's error code, from a driver's error or its wrapper; empty for any other error.

    asyncpg and psycopg name it `sqlstate`, psycopg2 `pgcode`.
    """
    return str(getattr(error, "sqlstate", None) or getattr(error, "pgcode", None) or "")


def is_flushing(session: Session) -> bool:
    """Whether one of its listeners asks, such as `before_flush` or `after_flush`."""
    inside: Any = session
    return bool(inside._flushing)  # noqa: SLF001 - see above


_OF_STATEMENTS = ("before_execute", "after_execute", "before_cursor_execute", "after_cursor_execute")
_OF_TRANSACTIONS = ("begin", "commit", "rollback")
"""SQLAlchemy's events. All others are heard as ever."""


_READ_COMMITTED = (None, "read_committed", "autocommit")
"""The driver's names for it; None is the server's default."""


def is_watched(connection: AsyncConnection) -> bool:
    """Whether anybody listens to SQLAlchemy's statements: its log (`echo`), or instrumentation by its events."""
    inside: Any = connection.sync_connection
    return bool(inside._echo or any(getattr(inside.dispatch, event) for event in _OF_STATEMENTS))  # noqa: SLF001


def has_heard_transactions(connection: AsyncConnection) -> bool:
    """Whether anybody listens to the beginnings and ends of transactions."""
    inside: Any = connection.sync_connection
    return any(getattr(inside.dispatch, event) for event in _OF_TRANSACTIONS)


def stands_alone(connection: AsyncConnection) -> bool:
    """Whether asyncpg's session has no transaction, and the next statement needs none: it reads what is committed.

    SQLAlchemy needn't know of a transaction: a listener of the pool may have begun it, or somebody at the driver. While
    another statement is on its way, nobody knows.
    """
    inside: Any = connection.sync_connection
    if inside.invalidated or inside.in_transaction():
        return False
    adapter: Any = inside.connection.dbapi_connection
    asks_for_more = adapter.isolation_level not in _READ_COMMITTED or adapter.readonly or adapter.deferrable
    is_busy = adapter._execute_mutex.locked()  # noqa: SLF001 - see above
    return not (asks_for_more or is_busy or adapter.driver_connection.is_in_transaction())


async def fetched(
    connection: AsyncConnection, text: str, parameters: Sequence[object], *, alone: bool = False, unheard: str = ""
) -> tuple[Sequence[Sequence[Any]], Sequence[int]]:
    """The rows of a statement on a connection of asyncpg, and the type's OID of each column.

    Begins the connection's transaction, where it has none. With `alone` it doesn't: ask `stands_alone` before. Raises
    what `AsyncConnection.execute` raises; an error of the SQLSTATE `unheard` is the driver's own, and no listener of
    SQLAlchemy's hears it.
    """
    inside: Any = connection.sync_connection
    dialect: Any = connection.dialect
    adapter: Any = (await connection.get_raw_connection() if inside.invalidated else inside.connection).dbapi_connection
    if not (alone or inside.in_transaction()):
        inside.begin()
    cursor = adapter.cursor()
    cursor._invalidate_schema_cache_asof = dialect._invalidate_schema_cache_asof  # noqa: SLF001
    try:
        with _autocommit(adapter) if alone else nullcontext():
            await cursor._prepare_and_execute(text, parameters)  # noqa: SLF001 - see above
    except BaseException as error:  # also a cancellation, after which nobody knows the session's state
        if unheard and sqlstate_of(error) == unheard:
            raise
        if isinstance(error, adapter.dbapi.InvalidCachedStatementError | adapter.dbapi.InternalServerError):
            dialect._invalidate_schema_cache()  # noqa: SLF001 - types or columns have changed
        await connection.run_sync(_raise, text, error)
    return cursor._rows, [column[1] for column in cursor.description or ()]  # noqa: SLF001


@contextmanager
def _autocommit(adapter: Any) -> Iterator[None]:
    adapter.autocommit = True
    try:
        yield
    finally:
        adapter.autocommit = False


def _raise(inside: sa.Connection, text: str, error: BaseException) -> None:
    """What SQLAlchemy makes of a driver's error: its own, after the engine's listeners; the session may be given up."""
    try:
        raise error  # noqa: TRY301 - it reads the traceback of what is being handled
    except BaseException as raised:  # noqa: BLE001
        inside._handle_dbapi_exception(raised, text, None, None, None)  # noqa: SLF001
