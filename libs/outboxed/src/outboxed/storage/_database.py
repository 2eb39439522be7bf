"""The connection to PostgreSQL: its time-outs, and which of its errors are transient."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import asyncpg
import sqlalchemy as sa
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from outboxed._compat.asyncpg import is_closed, learning_connection
from outboxed._compat.sqlalchemy import error_of_asyncpg, sqlstate_of
from outboxed.errors import TransientError
from outboxed.settings import Database

SESSION_SETTINGS = {
    # a process that is frozen in a transaction must not keep its locks
    "idle_in_transaction_session_timeout": "10s",
    "lock_timeout": "5s",
    "statement_timeout": "15s",
    "tcp_keepalives_idle": "10",
    "tcp_user_timeout": "15s",
    "timezone": "UTC",
}

_TRANSIENT_CLASSES = ("08", "40", "53", "57")
"""SQLSTATE classes: connection, rollback (deadlock, serialization), resources (disk full), operator intervention."""
_DATA_ERROR = "22"
_LOCK_NOT_AVAILABLE = "55P03"


COMMAND_SECONDS = 20.0
"""Longer than statement_timeout, so only a frozen or unreachable server exceeds it."""


POOL_SIZE = 5
"""Connections of a process. More are no faster: one Python process can't use them at once."""
POOL_SECONDS = 5.0
"""The longest wait for a free connection; a task's lease reserves as much for the recording (tasks.RECORDING)."""
API_POOL_SECONDS = 2.0
"""The longest wait of a call over HTTP, which has a pool beside that of the roles; then it gets a 503."""


def create_engine(
    url: Database | str,
    *,
    application_name: str,
    pool_size: int = POOL_SIZE,
    pool_seconds: float = POOL_SECONDS,
    command_timeout: float = COMMAND_SECONDS,
) -> AsyncEngine:
    """An engine for a database or its `postgresql+asyncpg://` URL; every connection has SESSION_SETTINGS.

    `command_timeout` (seconds) is the client's limit for one statement: a frozen server can't enforce its own.
    Raises ValueError for a URL that isn't one.
    """
    database = Database.parse(url)
    engine = create_async_engine(
        database.url,
        pool_size=pool_size,
        max_overflow=0,
        pool_use_lifo=True,  # the connection that was used last has its statements prepared
        pool_timeout=pool_seconds,
        # an error's parameters may be personal data
        hide_parameters=True,
        connect_args={
            "connection_class": learning_connection(),
            "command_timeout": command_timeout,
            **database.connect_options(**SESSION_SETTINGS, application_name=application_name),
            **database.statement_caches,
        },
    )
    sa.event.listen(engine.sync_engine, "handle_error", _hide_values)
    return engine


def _hide_values(context: sa.ExceptionContext) -> None:
    """Remove the values that hide_parameters leaves in: PostgreSQL's DETAIL, and the text of a data error."""
    wrapped = context.original_exception
    error = error_of_asyncpg(wrapped)
    if error is None:
        return
    error.detail = None
    state = sqlstate_of(error)
    if state.startswith(_DATA_ERROR):
        text = f"a value was refused ({type(error).__name__}, {state})"
        error.args = wrapped.args = (text,)
        if context.sqlalchemy_exception is not None:
            context.sqlalchemy_exception.args = (text,)


def is_transient(error: BaseException) -> bool:
    """Whether the same work may succeed later; a closed list, everything else is permanent."""
    if isinstance(error, (TransientError, OSError, TimeoutError, PoolTimeoutError)):
        return True
    if isinstance(error, asyncpg.InterfaceError):
        return is_closed(error)
    original = error.orig if isinstance(error, DBAPIError) else error
    sqlstate = sqlstate_of(original)
    closed = isinstance(error, DBAPIError) and error.connection_invalidated
    return closed or sqlstate[:2] in _TRANSIENT_CLASSES or sqlstate == _LOCK_NOT_AVAILABLE


def reason_of(error: BaseException) -> str:
    """Why there is no connection, in one line: what the server or the system said, without its wrappers."""
    while isinstance(error, DBAPIError) and error.orig is not None:
        error = error_of_asyncpg(error.orig) or error.orig
    said = getattr(error, "strerror", None) or (str(error.args[0]) if error.args else "")
    if not said:
        said = "no answer in time" if isinstance(error, TimeoutError) else type(error).__name__
    return " ".join(said.split())


def storable(text: str) -> str:
    """Text as PostgreSQL takes it: without NUL and lone surrogates, which an error's message may hold."""
    return text.replace("\0", "").encode(errors="replace").decode()


Types = Mapping[str, sa.types.TypeEngine[Any]]


def column_types(table: sa.Table, names: Iterable[str]) -> Types:
    """The types of some of a table's columns, for unnest."""
    return {name: table.c[name].type for name in names}


def unnest(types: Types, rows: Sequence[Mapping[str, object]], *, alias: str) -> sa.TableValuedAlias:
    """Rows as one array for each column, in order: one compiled statement fits any number of rows."""
    arrays = [sa.literal([row[name] for row in rows], sa.ARRAY(kind, dimensions=1)) for name, kind in types.items()]
    columns = [sa.column(name, kind) for name, kind in types.items()]
    values: sa.TableValuedAlias = sa.func.unnest(*arrays).table_valued(*columns, with_ordinality="position", name=alias)
    return values.render_derived()
