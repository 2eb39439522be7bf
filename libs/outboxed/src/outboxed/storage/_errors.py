"""Whose fault an error is: an item's own, or that of what is around it; and what a person is told of the latter."""

from collections.abc import Iterator

from sqlalchemy.exc import DataError, DBAPIError, DisconnectionError, PendingRollbackError, ProgrammingError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from outboxed._compat.sqlalchemy import error_of_asyncpg, sqlstate_of
from outboxed._extras import loaded
from outboxed.errors import TransientError

OF_THE_ITEM = ("10", "20", "21", "22", "23", "27", "44", "54", "P0")
"""SQLSTATE classes that only a value or a rule about values can cause: XQuery's arguments, a case that isn't there,
cardinality, data, constraints, triggers, check options, limits (as of an index row), `raise` in a function.

Every other state is of the connection, the server, the schema, the rights or a statement's text: the same item may
pass when that is mended.
"""

FOR_A_PERSON = ("28", "3D", "3F", "42501")
"""SQLSTATE: wrong role or password, no such database, no schema; a right that the role doesn't have. At the start of a
process, waiting won't mend these."""

USE_POOLER = "behind a pooler such as PgBouncer add pooler=transaction to the URL"
_UNSUPPORTED = "unsupported startup parameter"
_STATEMENT_OF_ANOTHER = ("26000", "42P05")
"""SQLSTATE: a prepared statement doesn't exist, or exists already. A session of one's own never says so."""

_OF_THE_SESSION = ("25006", *_STATEMENT_OF_ANOTHER)
"""SQLSTATE: also a server that became a replica and takes no writes. Another session may be with another server."""
_CLIENT = "InterfaceError", "InternalClientError"
_VALUE_NOT_SENT = (DataError, ProgrammingError)
"""What psycopg and psycopg2 raise without a state: of a value that has no form in SQL, before the server sees it."""
_POOL = (PoolTimeoutError, DisconnectionError, PendingRollbackError)
"""The last one: a connection was lost earlier in the transaction, and the caller went on."""


class TimeoutsIgnoredError(TransientError):
    """A session came without the time-outs that were asked for; the message names one and says what to set."""


def is_transient(error: BaseException) -> bool:
    """Whether the same work may succeed later, by itself or when somebody has mended what is around it.

    Only what can be of nothing but the item or its handler is permanent: an error of Python, or of the database about a
    value (OF_THE_ITEM). What was raised because of an error of the database, or together with it, is as that is.
    """
    if isinstance(error, BaseExceptionGroup):
        return any(is_transient(each) for each in error.exceptions)
    if isinstance(error, (TransientError, OSError, TimeoutError)):
        return True
    return any(_is_of_the_connection(each) for each in _with_causes(error))


def _with_causes(error: BaseException) -> Iterator[BaseException]:
    seen: set[int] = set()
    following: BaseException | None = error
    while following is not None and id(following) not in seen:
        seen.add(id(following))
        yield following
        following = following.__cause__ or (None if following.__suppress_context__ else following.__context__)


def _is_of_the_connection(error: BaseException) -> bool:
    if isinstance(error, _POOL):
        return True
    if not (isinstance(error, DBAPIError) or _is_of_asyncpg(error, "PostgresError", *_CLIENT)):
        return False
    if isinstance(error, DBAPIError) and error.connection_invalidated:
        return True
    state = sqlstate_of(_original(error))
    if not state and isinstance(error, _VALUE_NOT_SENT):
        return False
    return not state.startswith(OF_THE_ITEM)  # asyncpg's own errors have no state


def is_of_the_session(error: BaseException) -> bool:
    """Whether this connection would fail again and another one may not; `error` is asyncpg's."""
    return _is_of_asyncpg(error, *_CLIENT) or sqlstate_of(error) in _OF_THE_SESSION


def _original(error: BaseException) -> BaseException:
    """The error of asyncpg, without SQLAlchemy's wrappers where they are."""
    while isinstance(error, DBAPIError) and error.orig is not None:
        error = error_of_asyncpg(error.orig) or error.orig
    return error


def reason_of(error: BaseException) -> str:
    """Why there is no connection, in one line: what the server or the system said, without its wrappers.

    What only a pooler causes is followed by what to set.
    """
    error = _original(error)
    said = getattr(error, "strerror", None) or (str(error.args[0]) if error.args else "")
    if not said:
        said = "no answer in time" if isinstance(error, TimeoutError) else type(error).__name__
    line = " ".join(said.split())
    return f"{line}: {USE_POOLER}" if _is_a_poolers(error) else line


def kind_of(error: BaseException) -> str:
    """The name of an error without its text, for whoever may not read the log."""
    return type(_original(error)).__name__


def answers(error: BaseException) -> bool:
    """Whether the server is there, or a pooler, and this is what came of it."""
    return isinstance(error, TimeoutsIgnoredError) or bool(sqlstate_of(_original(error)))


def _is_a_poolers(error: BaseException) -> bool:
    return sqlstate_of(error) in _STATEMENT_OF_ANOTHER or (
        _is_of_asyncpg(error, "ProtocolViolationError") and _UNSUPPORTED in str(error)
    )


def _is_of_asyncpg(error: BaseException, *names: str) -> bool:
    """Whether it's one of these errors of asyncpg, which a process need not have."""
    asyncpg = loaded("asyncpg")
    return asyncpg is not None and isinstance(error, tuple(getattr(asyncpg, name) for name in names))


def refusal_of(error: BaseException) -> str | None:
    """What is wrong with the database's URL or rights, in one line, if waiting won't mend it; else None."""
    if isinstance(error, TimeoutsIgnoredError):
        return str(error)
    original = _original(error)
    refuses = sqlstate_of(original).startswith(FOR_A_PERSON) or _is_a_poolers(original)
    return f"the database refuses: {reason_of(error)}" if refuses else None
