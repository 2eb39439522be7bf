"""Statements: compiled once, of many rows at once, and without a transaction around them."""

import asyncio
from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from typing import Any, TypeVar

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql.asyncpg import dialect
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, AsyncSession
from sqlalchemy.orm import Session

from outboxed._compat.sqlalchemy import fetched, has_heard_transactions, is_watched, stands_alone

DIALECT = dialect()  # type: ignore[no-untyped-call]  # it has no signature

POOLED = "outboxed_pooled"
"""The execution option of an engine behind a pooler."""

PLAIN = "outboxed_plain"
"""What a connection's `info` says of a session that is the connection's own, writes, and reads what is committed."""


def single_statements(engine: AsyncEngine) -> AsyncEngine:
    """An engine on the same connections whose statements have no transaction around them: two round trips less.

    Behind a pooler it's the engine itself, since there a statement's time-outs come with BEGIN.
    """
    pooled = engine.get_execution_options().get(POOLED, False)  # an engine of a project's own has no such option
    return engine if pooled else engine.execution_options(isolation_level="AUTOCOMMIT")


def translations_of(connection: AsyncConnection | AsyncEngine) -> Mapping[str | None, str | None]:
    """The schemas that stand for others there: SQLAlchemy's `schema_translate_map`."""
    inside = connection.sync_connection if isinstance(connection, AsyncConnection) else connection
    found = inside.get_execution_options().get("schema_translate_map") if inside is not None else None
    return found or {}


def translated(table: sa.Table, connection: AsyncConnection | AsyncEngine) -> sa.Table:
    """The table under the schema that it really has there."""
    translations = translations_of(connection)
    if table.schema not in translations:
        return table
    return table.to_metadata(sa.MetaData(schema=translations[table.schema]), schema=None)  # type: ignore[arg-type]


def storable(text: str) -> str:
    """Text as PostgreSQL takes it: without NUL and lone surrogates, which an error's message may hold."""
    return text.replace("\0", "").encode(errors="replace").decode()


Types = Mapping[str, sa.types.TypeEngine[Any]]


def column_types(table: sa.Table, names: Iterable[str]) -> Types:
    """The types of some of a table's columns, for UnnestedRows."""
    return {name: table.c[name].type for name in names}


class UnnestedRows:
    """Rows as one array for each column, in order: one statement fits any number of rows.

    A statement is made of `table` once, when a module is imported, and executed with `values(rows)`: SQLAlchemy needs
    three times as long to make a statement as to execute it. `table` also has the column `position`, from 1.
    """

    def __init__(self, types: Types, *, alias: str) -> None:
        self.names = list(types)
        self._parameters = {name: f"{alias}_{name}" for name in types}
        arrays = [
            sa.bindparam(self._parameters[name], type_=sa.ARRAY(kind, dimensions=1)) for name, kind in types.items()
        ]
        columns = [sa.column(name, kind) for name, kind in types.items()]
        self.table: sa.TableValuedAlias = (
            sa.func.unnest(*arrays).table_valued(*columns, with_ordinality="position", name=alias).render_derived()
        )

    @property
    def columns(self) -> Sequence[sa.ColumnElement[Any]]:
        """All but `position`."""
        return [self.table.c[name] for name in self.names]

    def values(self, rows: Sequence[Mapping[str, object]]) -> dict[str, object]:
        """The parameters of a statement that was made of `table`."""
        return {parameter: [row[name] for row in rows] for name, parameter in self._parameters.items()}


Processor = Callable[[Any], Any]


def named(table: sa.Table) -> str:
    """A table's name as SQL has it: with its schema, and quoted where that is needed."""
    return DIALECT.identifier_preparer.format_table(table)


class Statement:
    """A statement whose values are all `bindparam`s, made once and run many times.

    It runs within the transaction of SQLAlchemy's connection, and its errors are those that SQLAlchemy raises: without
    values, and with the session given up where that helps. Where somebody listens to SQLAlchemy's statements, and on
    another driver than asyncpg, such as psycopg, SQLAlchemy runs it. `sql` is what SQLAlchemy runs, `text` is what the
    server gets. Raises KeyError for a value that isn't given.

    With `alone` it is run without a transaction around it where that is the same and takes fewer round trips: see
    `may_be_alone`. A statement that writes is then committed.
    """

    def __init__(self, statement: Any) -> None:
        compiled: Any = statement.compile(dialect=DIALECT)
        self.sql = statement
        self.text = str(compiled)
        binds = {name: compiled.binds[name] for name in compiled.positiontup or ()}
        self._constants = {name: compiled.params[name] for name, bind in binds.items() if not bind.required}
        self._parameters: Sequence[tuple[str, Processor | None]] = [
            (name, binds[name].type.dialect_impl(DIALECT).bind_processor(DIALECT))
            for name in compiled.positiontup or ()
        ]
        columns = getattr(statement, "exported_columns", {})  # a text has none
        self._names = tuple(columns.keys())
        self._types: Sequence[sa.types.TypeEngine[Any]] = tuple(column.type for column in columns)
        self._processors: Sequence[Processor | None] | None = None

    def may_be_alone(self, connection: AsyncConnection) -> bool:
        """Whether this connection has no transaction yet, and nobody asks for one.

        Only `create_engine` knows its sessions to be PLAIN. Behind a pooler the time-outs come with BEGIN.
        """
        inside = connection.sync_connection
        return (
            inside is not None
            and stands_alone(connection)
            and inside.info.get(PLAIN, False)
            and self._is_direct(connection)
            and not has_heard_transactions(connection)
        )

    def _is_direct(self, connection: AsyncConnection) -> bool:
        return (
            connection.dialect.driver == DIALECT.driver
            and not is_watched(connection)
            and not translations_of(connection)  # `text` has the schemas as they were declared
        )

    async def rows(
        self,
        connection: AsyncConnection,
        values: Mapping[str, Any] | None = None,
        *,
        alone: bool = False,
        unheard: str = "",
    ) -> list[Sequence[Any]]:
        """Run it with these values; returns its rows, none for a statement without rows.

        An error of the SQLSTATE `unheard` is raised as asyncpg's driver has it.
        """
        given = values or {}
        if not self._is_direct(connection):
            result: sa.CursorResult[Any] = await connection.execute(self.sql, given)
            return [tuple(row) for row in result] if result.returns_rows else []
        whole = {**self._constants, **given}
        parameters = [
            whole[name] if processor is None else processor(whole[name]) for name, processor in self._parameters
        ]
        alone = alone and self.may_be_alone(connection)
        found, oids = await fetched(connection, self.text, parameters, alone=alone, unheard=unheard)
        if not found:
            return []
        if self._processors is None:
            self._processors = self._processors_for(oids)
        if not any(self._processors):
            return list(found)
        return [
            tuple(
                [
                    value if processor is None else processor(value)
                    for value, processor in zip(row, self._processors, strict=True)
                ]
            )
            for row in found
        ]

    async def mappings(
        self, connection: AsyncConnection, values: Mapping[str, Any] | None = None, *, alone: bool = False
    ) -> list[Mapping[str, Any]]:
        """As `rows`, by the columns' names."""
        rows = await self.rows(connection, values, alone=alone)
        return [dict(zip(self._names, row, strict=True)) for row in rows]

    async def values(
        self, connection: AsyncConnection, values: Mapping[str, Any] | None = None, *, alone: bool = False
    ) -> list[Any]:
        """As `rows`, of each row its first column alone."""
        return [row[0] for row in await self.rows(connection, values, alone=alone)]

    def _processors_for(self, oids: Sequence[int]) -> Sequence[Processor | None]:
        """What makes Python's values of the driver's, for each column; a text has its own."""
        if not self._types:
            return (None,) * len(oids)
        return [
            kind.dialect_impl(DIALECT).result_processor(DIALECT, oid)
            for kind, oid in zip(self._types, oids, strict=True)
        ]


Transaction = AsyncConnection | AsyncSession | Session | sa.Connection
"""Anybody's transaction on PostgreSQL."""
T = TypeVar("T")
Steps = Generator[tuple[Statement, Mapping[str, Any]], Sequence[Any], T]
"""Statements that follow from each other: yields each with its values, is sent its rows, returns what came of all."""


async def rows_in(
    transaction: Transaction, statement: Statement, values: Mapping[str, Any] | None = None
) -> Sequence[Sequence[Any]]:
    """Run a statement in anybody's transaction; one that isn't asynchronous is used in a thread."""
    if isinstance(transaction, AsyncConnection):
        return await statement.rows(transaction, values)
    if isinstance(transaction, AsyncSession):
        # a session may have several engines, and find the statement's by its tables
        connection = await transaction.connection(bind_arguments={"clause": statement.sql})
        return await statement.rows(connection, values)
    return await asyncio.to_thread(_rows, transaction, statement, values)


async def run_steps(transaction: Transaction, steps: Steps[T]) -> T:
    """Run one after the other. Raises what the statements raise, and what `steps` does."""
    try:
        statement, values = next(steps)
        while True:
            statement, values = steps.send(await rows_in(transaction, statement, values))
    except StopIteration as end:
        done: T = end.value
        return done


def run_steps_sync(transaction: Session | sa.Connection, steps: Steps[T]) -> T:
    """The same for a transaction that isn't asynchronous."""
    try:
        statement, values = next(steps)
        while True:
            statement, values = steps.send(_rows(transaction, statement, values))
    except StopIteration as end:
        done: T = end.value
        return done


def _rows(
    transaction: Session | sa.Connection, statement: Statement, values: Mapping[str, Any] | None = None
) -> Sequence[Sequence[Any]]:
    result: Any = transaction.execute(statement.sql, values or {})
    return result.all() if result.returns_rows else []
