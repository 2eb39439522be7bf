"""The closed list: these pass by themselves, everything else is permanent."""

from typing import Any

import asyncpg
import pytest
from outboxed.errors import TransientError
from outboxed.storage import is_transient, storable
from outboxed.tasks._queue import retry_delay
from sqlalchemy import exc


class PostgresError(Exception):
    def __init__(self, sqlstate: str | None) -> None:
        super().__init__(sqlstate)
        self.sqlstate = sqlstate


def database_error(sqlstate: str | None, *, invalidated: bool = False) -> exc.DBAPIError:
    error: Any = exc.OperationalError("select 1", None, PostgresError(sqlstate), connection_invalidated=invalidated)
    return error  # type: ignore[no-any-return]  # sqlalchemy's constructor is untyped


@pytest.mark.parametrize(
    "error",
    [
        TransientError("later"),
        OSError(),
        ConnectionRefusedError(),
        TimeoutError(),
        exc.TimeoutError(),
        database_error(None, invalidated=True),
        asyncpg.InterfaceError("connection is closed"),
        asyncpg.ConnectionDoesNotExistError("connection was closed in the middle of operation"),
        asyncpg.CannotConnectNowError("the database system is starting up"),
        *(database_error(state) for state in ("08006", "40001", "40P01", "53300", "53100", "57P01", "57014", "55P03")),
    ],
    ids=repr,
)
def test_what_passes_by_itself_is_transient(error: BaseException) -> None:
    assert is_transient(error)


@pytest.mark.parametrize(
    "error",
    [
        ValueError(),
        RuntimeError(),
        KeyError("x"),
        exc.InvalidRequestError(),
        exc.NoResultFound(),
        database_error(None),
        asyncpg.InterfaceError("cannot perform operation: another operation is in progress"),
        asyncpg.InvalidPasswordError("wrong"),
        *(database_error(state) for state in ("22P02", "23505", "42P01", "42501", "55000", "28P01", "0A000", "XX000")),
    ],
    ids=repr,
)
def test_everything_else_is_permanent(error: BaseException) -> None:
    assert not is_transient(error)


@pytest.mark.parametrize(("attempts", "full"), [(1, 0.5), (2, 1.0), (3, 2.0), (7, 32.0), (8, 60.0), (1000, 60.0)])
def test_back_off_doubles_up_to_a_minute_with_jitter_of_up_to_half(attempts: int, full: float) -> None:
    seconds = [retry_delay(attempts).total_seconds() for _ in range(200)]

    assert all(full / 2 <= each <= full for each in seconds)
    assert max(seconds) - min(seconds) > full / 4


@pytest.mark.parametrize(("retry_after", "least", "most"), [(30.0, 30, 30), (0.0, 0.25, 0.5), (3600.0, 60, 60)])
def test_back_off_is_at_least_what_the_other_side_asked_for_within_a_minute(
    retry_after: float, least: float, most: float
) -> None:
    assert least <= retry_delay(1, retry_after=retry_after).total_seconds() <= most


def test_text_is_stored_without_what_postgresql_refuses() -> None:
    assert storable("a\0b\ud800c") == "ab?c"
