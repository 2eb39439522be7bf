"""SQLAlchemy: asyncpg's error inside its own. Bound: `sqlalchemy<2.2`.

An error's DETAIL repeats values, which logs must not have. It is an attribute of asyncpg's error, and SQLAlchemy
promises the wrapper only (`DBAPIError.orig`). Used: that the wrapper's `__cause__` is asyncpg's, and its
`sqlstate`.
"""

from typing import Any


def error_of_asyncpg(wrapped: BaseException) -> Any:
    """What SQLAlchemy wrapped; None where it wrapped nothing."""
    return wrapped.__cause__


def sqlstate_of(error: object) -> str:
    """PostgreSQL's code, of asyncpg's error or of its wrapper; empty for an error that has none."""
    return str(getattr(error, "sqlstate", None) or "")
