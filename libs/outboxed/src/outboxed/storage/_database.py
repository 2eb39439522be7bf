"""The connection to PostgreSQL: its time-outs, with a pooler in between too, and errors without values."""

from functools import partial
from typing import Any

import asyncpg
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from outboxed._compat.asyncpg import connection_class
from outboxed._compat.sqlalchemy import error_of_asyncpg, sqlstate_of
from outboxed.settings import Database
from outboxed.storage._errors import USE_POOLER, TimeoutsIgnoredError, is_of_the_session
from outboxed.storage._pools import POOL_SECONDS, POOL_SIZE
from outboxed.storage._statements import PLAIN, POOLED

SESSION_SETTINGS = {
    # a process that is frozen in a transaction must not keep its locks
    "idle_in_transaction_session_timeout": "10s",
    "lock_timeout": "5s",
    "statement_timeout": "15s",
    "tcp_keepalives_idle": "10",
    "tcp_user_timeout": "15s",
    "timezone": "UTC",
}

TIMEOUTS = ("idle_in_transaction_session_timeout", "lock_timeout", "statement_timeout")
_DATA_ERROR = "22"

COMMAND_SECONDS = 20.0
"""Longer than statement_timeout, so only a frozen or unreachable server exceeds it."""


WITHOUT_STATEMENTS = {"statement_cache_size": 0, "prepared_statement_cache_size": 0}
"""Each statement is then prepared without a name, used and forgotten, as asyncpg's FAQ says of PgBouncer. So none
stays on a server's session for a stranger to meet."""


def create_engine(
    url: Database | str,
    *,
    application_name: str,
    pool_size: int = POOL_SIZE,
    pool_seconds: float = POOL_SECONDS,
    command_timeout: float = COMMAND_SECONDS,
) -> AsyncEngine:
    """An engine for a database or its `postgresql+asyncpg://` URL; every connection has SESSION_SETTINGS.

    Behind a pooler each transaction sets them for itself, except those of the socket, and no statement outlives it.
    Else a new connection without the TIMEOUTS is refused with TimeoutsIgnoredError.

    `command_timeout` (seconds) is the client's limit for one statement: a frozen server can't enforce its own.
    Raises ValueError for a URL that isn't one.
    """
    database = Database.parse(url)
    pooled = database.pooler is not None
    engine = create_async_engine(
        database.url,
        pool_size=pool_size,
        max_overflow=0,
        pool_use_lifo=True,  # the connection that was used last has its statements prepared
        pool_timeout=pool_seconds,
        # an error's parameters may be personal data
        hide_parameters=True,
        execution_options={POOLED: pooled},
        connect_args={
            "connection_class": connection_class(at_begin=_local_settings() if pooled else ""),
            "command_timeout": command_timeout,
            **database.connect_options(**({} if pooled else SESSION_SETTINGS), application_name=application_name),
            **(WITHOUT_STATEMENTS if pooled else database.statement_caches),
        },
    )
    sa.event.listen(engine.sync_engine, "handle_error", _hide_values)
    sa.event.listen(engine.sync_engine, "handle_error", _give_up_the_session)
    if not pooled:
        sa.event.listen(engine.sync_engine, "connect", partial(_check_session, _timeouts_check()))
    return engine


def _local_settings() -> str:
    """SQL for the current transaction; the pooler has the socket, and settings of its own for it."""
    settings = {name: value for name, value in SESSION_SETTINGS.items() if not name.startswith("tcp_")}
    return "".join(f"set local {name} = '{value}';" for name, value in settings.items())


def _check_session(check: str, connection: Any, record: sa.pool.ConnectionPoolEntry) -> None:
    """Refuse a session without the time-outs: a pooler may drop a connection's parameters and say nothing.

    One round trip by the simple protocol, which no pooler spreads over two sessions. Another one asks whether the
    session is PLAIN: an administrator may have given a role or a database another isolation, or no right to write.
    """
    try:
        connection.run_async(lambda driver: driver.execute(check))
        record.info[PLAIN] = connection.run_async(lambda driver: driver.fetchval(_IS_PLAIN))
    except BaseException as error:
        connection.terminate()
        if isinstance(error, asyncpg.RaiseError):
            raise TimeoutsIgnoredError(f"the session {error}: {USE_POOLER}") from None
        raise


_IS_PLAIN = """
    select current_setting('default_transaction_isolation') = 'read committed'
       and current_setting('default_transaction_read_only') = 'off'"""


def _timeouts_check() -> str:
    asked = ", ".join(f"('{name}', '{SESSION_SETTINGS[name]}')" for name in TIMEOUTS)
    return f"""
        do $$ declare asked record; begin
            for asked in select * from (values {asked}) as asked (name, value) loop
                if current_setting(asked.name)::interval <> asked.value::interval then
                    raise 'has % = %, not %', asked.name, current_setting(asked.name), asked.value;
                end if;
            end loop;
        end $$"""  # noqa: S608 - our own names and values


def _give_up_the_session(context: sa.ExceptionContext) -> None:
    """End a connection whose errors would only repeat; after a fail-over every connection of the pool is such a one."""
    error = error_of_asyncpg(context.original_exception) or context.original_exception
    if is_of_the_session(error):
        context.is_disconnect = True
        context.invalidate_pool_on_disconnect = isinstance(error, asyncpg.ReadOnlySQLTransactionError)


def _hide_values(context: sa.ExceptionContext) -> None:
    """Remove the values that hide_parameters leaves in: PostgreSQL's DETAIL, and the text of a data error."""
    wrapped = context.original_exception
    error = error_of_asyncpg(wrapped)
    if error is None:
        return
    if detail := getattr(error, "detail", None):  # SQLAlchemy 2.0 has put it into its own texts, 2.1 has not
        for each in filter(None, (wrapped, context.sqlalchemy_exception)):
            each.args = tuple(str(part).replace(f"\nDETAIL:  {detail}", "") for part in each.args)
        error.detail = None
    state = sqlstate_of(error)
    if state.startswith(_DATA_ERROR):
        text = f"a value was refused ({type(error).__name__}, {state})"
        error.args = wrapped.args = (text,)
        if context.sqlalchemy_exception is not None:
            context.sqlalchemy_exception.args = (text,)
