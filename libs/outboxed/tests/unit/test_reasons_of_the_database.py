"""Why there is no connection: the server's or the system's own words, in one line."""

import socket

import asyncpg
import pytest
from outboxed.storage import TimeoutsIgnoredError, answers, kind_of, reason_of, refusal_of
from outboxed.storage._errors import USE_POOLER
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


# asyncpg#1013, pigsty#488: "the database does not answer: DBAPIError", and nobody learnt why
@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (wrapped(asyncpg.ProtocolViolationError(POOLERS)), f"{POOLERS}: {USE_POOLER}"),
        (wrapped(asyncpg.ProtocolViolationError("query_wait_timeout")), "query_wait_timeout"),
        (asyncpg.InvalidSQLStatementNameError("it does not exist"), f"it does not exist: {USE_POOLER}"),
        (asyncpg.DuplicatePreparedStatementError("it exists"), f"it exists: {USE_POOLER}"),
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


@pytest.mark.parametrize(
    ("error", "refusal"),
    [
        (asyncpg.ProtocolViolationError(POOLERS), f"the database refuses: {POOLERS}: {USE_POOLER}"),
        (asyncpg.InvalidPasswordError(REFUSED), f"the database refuses: {REFUSED}"),
        (asyncpg.InsufficientPrivilegeError("no right"), "the database refuses: no right"),
        (asyncpg.DuplicatePreparedStatementError("it exists"), f"the database refuses: it exists: {USE_POOLER}"),
        (TimeoutsIgnoredError("the session has none"), "the session has none"),
        (asyncpg.UndefinedTableError("no table"), None),
        (asyncpg.ProtocolViolationError("query_wait_timeout"), None),
        (asyncpg.CannotConnectNowError("starting up"), None),
        (ConnectionRefusedError(111, "refused"), None),
        (ValueError(POOLERS), None),
    ],
    ids=repr,
)
def test_what_waiting_will_not_mend_is_told_a_person(error: Exception, refusal: str | None) -> None:
    assert (refusal_of(error), refusal_of(wrapped(error))) == (refusal, None if refusal == str(error) else refusal)


def test_whether_a_server_answers_and_the_kind_of_its_error_are_known_through_the_wrappers() -> None:
    said, silent = asyncpg.UndefinedTableError("secret"), ConnectionRefusedError()

    assert (answers(said), kind_of(said)) == (True, "UndefinedTableError")
    assert (answers(wrapped(said)), kind_of(wrapped(said))) == (True, "UndefinedTableError")
    assert answers(TimeoutsIgnoredError("none"))
    assert (answers(silent), kind_of(silent)) == (False, "ConnectionRefusedError")
