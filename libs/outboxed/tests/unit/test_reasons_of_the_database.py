"""Why there is no connection: the server's or the system's own words, in one line.

Reported of others: asyncpg#1013, pigsty#488.
"""

import socket

import asyncpg
import pytest
from outboxed.storage import reason_of
from sqlalchemy.exc import DBAPIError, SQLAlchemyError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

POOLERS = "unsupported startup parameter: idle_in_transaction_session_timeout"
REFUSED = 'password authentication failed for user "ada"'
NO_TLS = 'PostgreSQL server at "db:5432" rejected SSL upgrade'


def wrapped(error: Exception) -> DBAPIError:
    """As SQLAlchemy's driver for asyncpg wraps it, twice."""
    adapted = RuntimeError(f"{type(error)}: {error}")
    adapted.__cause__ = error
    return DBAPIError("select 1", (), adapted)


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (wrapped(asyncpg.ProtocolViolationError(POOLERS)), POOLERS),
        (wrapped(asyncpg.InvalidPasswordError(REFUSED)), REFUSED),
        (asyncpg.InvalidCatalogNameError('database "bank" does not exist'), 'database "bank" does not exist'),
        (DBAPIError("select 1", (), RuntimeError("bare")), "bare"),
        (ConnectionRefusedError(111, "Connect call failed ('127.0.0.1', 1)"), "Connect call failed ('127.0.0.1', 1)"),
        (ConnectionError(NO_TLS), NO_TLS),
        (socket.gaierror(-2, "Name or service not known"), "Name or service not known"),
        (PoolTimeoutError("no connection is free"), "no connection is free"),
        (TimeoutError(), "no answer in time"),
        (SQLAlchemyError("one\nline"), "one line"),
        (ConnectionResetError(), "ConnectionResetError"),
    ],
)
def test_a_reason_is_without_its_wrappers(error: Exception, reason: str) -> None:
    assert reason_of(error) == reason
