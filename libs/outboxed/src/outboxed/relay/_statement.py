"""SQL that is compiled once: a relay's statements are always the same, and SQLAlchemy would look at each anew."""

from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql.asyncpg import dialect
from sqlalchemy.ext.asyncio import AsyncConnection


class Statement:
    """A statement whose values are all `bindparam`s.

    It runs on SQLAlchemy's connection, so that errors are what they are elsewhere: without values, and with the session
    given up where that helps.
    """

    def __init__(self, statement: sa.ClauseElement) -> None:
        compiled: Any = statement.compile(dialect=dialect())  # type: ignore[no-untyped-call]  # it has no signature
        self._text = str(compiled)
        self._names = tuple(compiled.positiontup or ())
        self._given = {name: compiled.params[name] for name in self._names}

    async def __call__(self, connection: AsyncConnection, **values: Any) -> sa.CursorResult[Any]:
        """Run it with these values."""
        given = self._given | values
        return await connection.exec_driver_sql(self._text, tuple(given[name] for name in self._names) or None)
