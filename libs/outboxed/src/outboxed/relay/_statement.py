"""SQL that is compiled once: a relay's statements are always the same, and SQLAlchemy would look at each anew."""

from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql.asyncpg import dialect
from sqlalchemy.ext.asyncio import AsyncConnection

DIALECT = dialect()  # type: ignore[no-untyped-call]  # it has no signature


def named(table: sa.Table) -> str:
    """A table's name as SQL has it: with its schema, and quoted where that is needed."""
    return DIALECT.identifier_preparer.format_table(table)


class Statement:
    """A statement whose values are all `bindparam`s.

    It runs on SQLAlchemy's connection, so that errors are what they are elsewhere: without values, and with the session
    given up where that helps. On another driver than asyncpg, such as psycopg, SQLAlchemy compiles it.
    """

    def __init__(self, statement: sa.ClauseElement) -> None:
        compiled: Any = statement.compile(dialect=DIALECT)
        self._statement: Any = statement
        self._text = str(compiled)
        self._names = tuple(compiled.positiontup or ())
        self._given = {name: compiled.params[name] for name in self._names}

    async def __call__(self, connection: AsyncConnection, **values: Any) -> sa.CursorResult[Any]:
        """Run it with these values."""
        if connection.dialect.driver != DIALECT.driver:
            result: sa.CursorResult[Any] = await connection.execute(self._statement, values)
            return result
        given = self._given | values
        return await connection.exec_driver_sql(self._text, tuple(given[name] for name in self._names) or None)
