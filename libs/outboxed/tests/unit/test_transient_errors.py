"""An item is blamed for what only a value or its handler can cause; everything else of the database comes again."""

from collections.abc import Callable
from typing import Any

import asyncpg
import pytest
from outboxed.errors import TransientError
from outboxed.storage import ConcurrentInsertError, TimeoutsIgnoredError, is_transient, storable
from outboxed.tasks._queue import retry_delay
from sqlalchemy import exc

OF_THE_ITEM = {
    "10": "an argument of XQuery",
    "20": "no case for a value",
    "21": "cardinality",
    "22": "data",
    "23": "constraints",
    "27": "triggered data change",
    "44": "check option",
    "54": "limits, as of an index row",
    "P0": "raised by a function",
}
OF_WHAT_IS_AROUND = {
    "03": "statement not yet complete",
    "08": "connection; whatever PgBouncer says",
    "09": "triggered action",
    "0A": "not supported: a plan whose result changed",
    "0B": "transaction initiation",
    "0F": "locator",
    "0L": "grantor",
    "0P": "role",
    "0Z": "diagnostics",
    "24": "cursor state",
    "25": "transaction state: a server that became a replica",
    "26": "a prepared statement that isn't there",
    "28": "authorisation: a password that was changed",
    "2B": "privileges",
    "2D": "transaction termination",
    "2F": "routine",
    "34": "cursor name",
    "38": "external routine",
    "39": "external routine",
    "3B": "savepoint",
    "3D": "no such database",
    "3F": "no such schema",
    "40": "rollback: deadlock, serialisation",
    "42": "the statement, the schema it needs, the rights",
    "53": "resources: disk, memory, connections",
    "55": "state of an object: a lock not available",
    "57": "operator's intervention: shutdown, time-out",
    "58": "the system",
    "72": "snapshot",
    "F0": "configuration file",
    "HV": "foreign data",
    "XX": "internal: tuple concurrently updated, data corrupted",
}
SUCCESSES = {"00", "01"}
"""PostgreSQL's documentation, appendix "PostgreSQL Error Codes": these are no errors."""


def errors_of_asyncpg() -> list[type[asyncpg.PostgresError]]:
    found, classes = [asyncpg.PostgresError], []
    while found:
        kind = found.pop()
        found += kind.__subclasses__()
        classes += [kind] if getattr(kind, "sqlstate", None) else []
    return classes


def plain(error: Exception) -> Exception:
    return error


def wrapped(error: Exception) -> Exception:
    """As SQLAlchemy's driver for asyncpg wraps it, twice."""
    adapted: Any = RuntimeError(f"{type(error)}: {error}")
    adapted.sqlstate = getattr(error, "sqlstate", None)
    adapted.__cause__ = error
    return exc.DBAPIError("select 1", (), adapted)


def raised_because_of_it(error: Exception) -> Exception:
    """A handler that tells what it was about."""
    other = KeyError("no such account")
    other.__cause__ = wrapped(error)
    return other


def raised_while_it_was_handled(error: Exception) -> Exception:
    other = KeyError("no such account")
    other.__context__ = wrapped(error)
    return other


def among_others(error: Exception) -> Exception:
    """As a task group raises it."""
    return ExceptionGroup("several", [ValueError(), ExceptionGroup("inner", [wrapped(error)])])


HOW = [plain, wrapped, raised_because_of_it, raised_while_it_was_handled, among_others]


# asyncpg#57, asyncpg#945: an error of the connection was blamed on the item
@pytest.mark.parametrize("how", HOW)
def test_each_state_that_postgresql_knows_is_the_items_fault_or_not_by_its_class(
    how: Callable[[Exception], Exception],
) -> None:
    blamed = {kind.sqlstate: not is_transient(how(kind("said"))) for kind in errors_of_asyncpg()}
    by_class = {state: state[:2] in OF_THE_ITEM for state in blamed if state[:2] not in SUCCESSES}

    assert len(blamed) > 200
    assert {state[:2] for state in by_class} == {*OF_THE_ITEM, *OF_WHAT_IS_AROUND}
    assert {state: blamed[state] for state in by_class} == by_class


def invalidated() -> exc.DBAPIError:
    error: Any = exc.DBAPIError("select 1", None, RuntimeError("cut"), connection_invalidated=True)
    return error  # type: ignore[no-any-return]  # sqlalchemy's constructor is untyped


OF_THE_CONNECTION = [
    asyncpg.InterfaceError("connection is closed"),
    asyncpg.InterfaceError("cannot perform operation: another operation is in progress"),
    asyncpg.InternalClientError("got result for unknown protocol state 3"),
    asyncpg.ProtocolError("unexpected message"),
    asyncpg.OutdatedSchemaCacheError("the type changed"),
    asyncpg.TargetServerAttributeNotMatched("no primary"),
    asyncpg.ClientConfigurationError("a wrong argument of connect"),
    ConcurrentInsertError("another transaction has inserted it, too"),
    exc.TimeoutError("no connection is free"),
    exc.DisconnectionError("gone"),
    exc.PendingRollbackError("it was lost before, and the handler went on"),
]


@pytest.mark.parametrize("error", OF_THE_CONNECTION, ids=repr)
@pytest.mark.parametrize("how", HOW)
def test_an_error_of_the_client_or_its_pool_is_never_the_items_fault(
    error: Exception, how: Callable[[Exception], Exception]
) -> None:
    assert is_transient(how(error))


@pytest.mark.parametrize(
    "error",
    [
        TransientError("later"),
        TimeoutsIgnoredError("no time-outs"),
        OSError(),
        ConnectionRefusedError(),
        TimeoutError(),
        invalidated(),
        ExceptionGroup("several", [ValueError(), TimeoutError()]),
    ],
    ids=repr,
)
def test_what_is_no_answer_of_the_database_and_passes_is_transient(error: BaseException) -> None:
    assert is_transient(error)


@pytest.mark.parametrize(
    "error",
    [
        ValueError(),
        RuntimeError(),
        KeyError("x"),
        exc.InvalidRequestError(),
        exc.NoResultFound(),
        exc.StatementError("a value", "select $1", None, ValueError()),
        ExceptionGroup("several", [ValueError(), KeyError("x")]),
    ],
    ids=repr,
)
def test_an_error_of_the_handler_is_permanent(error: BaseException) -> None:
    assert not is_transient(error)


def test_an_error_that_denies_its_cause_stands_alone() -> None:
    error = raised_while_it_was_handled(asyncpg.InterfaceError("connection is closed"))
    error.__suppress_context__ = True

    assert not is_transient(error)


def test_errors_that_go_round_in_a_circle_have_an_end() -> None:
    first, second = ValueError(), KeyError()
    first.__cause__, second.__cause__ = second, first

    assert not is_transient(first)


@pytest.mark.parametrize(
    ("attempts", "full"), [(1, 0.5), (2, 1.0), (3, 2.0), (7, 32.0), (8, 60.0), (1025, 60.0), (10**9, 60.0)]
)
def test_back_off_doubles_up_to_a_minute_with_jitter_of_up_to_half(attempts: int, full: float) -> None:
    seconds = [retry_delay(attempts).total_seconds() for _ in range(200)]

    assert all(full / 2 <= each <= full for each in seconds)
    assert max(seconds) - min(seconds) > full / 4


@pytest.mark.parametrize(("retry_after", "least", "most"), [(30.0, 30, 30), (0.0, 0.25, 0.5), (3600.0, 60, 60)])
def test_back_off_is_at_least_what_the_other_side_asked_for_within_a_minute(
    retry_after: float, least: float, most: float
) -> None:
    assert least <= retry_delay(1, retry_after=retry_after).total_seconds() <= most


def test_back_off_is_no_shorter_for_what_the_other_side_asked_for() -> None:
    assert retry_delay(20, retry_after=1.0).total_seconds() >= 30


def test_text_is_stored_without_what_postgresql_refuses() -> None:
    assert storable("a\0b\ud800c") == "ab?c"
