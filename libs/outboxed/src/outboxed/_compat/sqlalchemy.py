"""SQLAlchemy: asyncpg's error inside its own. Bound: `sqlalchemy<2.2`.

An error's DETAIL repeats values, which must stay out of logs. DETAIL is an attribute of asyncpg's error, but SQLAlchemy
promises only its wrapper (`DBAPIError.orig`). Used: the wrapper's `__cause__` is asyncpg's error; its `sqlstate`.
"""

from typing import Any


def error_of_asyncpg(wrapped: BaseException) -> Any:
    """The error that SQLAlchemy wrapped, or None."""
    return wrapped.__cause__


def sqlstate_of(error: object) -> str:
    """PostgreSQL's error code, from asyncpg's error or its wrapper; empty for any other error."""
    return str(getattr(error, "sqlstate", None) or "")
