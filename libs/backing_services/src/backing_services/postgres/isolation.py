"""A database for each test worker, empty again after each test."""

import asyncio
import itertools
import os
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING, Any, Protocol, Self

from backing_services._test_systems import refuse_unless_test_system
from backing_services.postgres.server import PostgresServer, asyncpg_url, quoted
from backing_services.postgres.templates import Migrate, migrated_template

if TYPE_CHECKING:
    import pytest
    from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession

    from backing_services.postgres.server import Connection

PRIVATE_DATABASE = "private_database"
"""The marker of a test that gets a clone of its own."""
ALWAYS_KEPT = "alembic_version"
LOCK_LIMIT = "1s"  # the longest wait of clean() for a row that somebody still holds
OWN_TABLES = """
select nspname, relname from pg_class join pg_namespace on pg_namespace.oid = relnamespace
where relkind in ('r', 'p') and not relispartition
  and nspname not in ('pg_catalog', 'information_schema') and nspname !~ '^pg_(toast|temp)'
order by nspname, relname
"""
IDLE_IN_TRANSACTION = """
select pg_terminate_backend(pid) from pg_stat_activity
where datname = current_database() and pid <> pg_backend_pid() and state like 'idle in transaction%'
"""


ONE_LOOP = """the database belongs to another event loop: the session's fixtures and the tests need the same one.
Add to pytest's settings:
asyncio_default_fixture_loop_scope = session
asyncio_default_test_loop_scope = session"""


class IsolationError(AssertionError):
    """A test left something behind that would have failed the next one, or runs on a loop of its own."""


class Engine(Protocol):
    """An SQLAlchemy engine, or AsyncEngine: something with a pool."""

    @property
    def pool(self) -> Any: ...


class DatabaseIsolation:
    """A clone of a migrated template that belongs to this worker; see `create`.

    `clean()` after each test deletes the rows instead of rolling back: the code under test may commit, and use several
    connections. Sequences go on counting. Stop what still writes before you clean.
    """

    def __init__(self, server: PostgresServer, template: str, database: str, keep: Iterable[str]) -> None:
        self._server = server
        self._template = template
        self._database = database
        self._keep = {ALWAYS_KEPT, *keep}
        self._engines: dict[int, tuple[Engine, int]] = {}
        self._private = itertools.count(1)
        self._wipe = ""
        self._connection: Connection | None = None
        self._loop = asyncio.get_running_loop()

    @classmethod
    async def create(
        cls, server: PostgresServer, *, name: str, fingerprint: str, migrate: Migrate, keep: Sequence[str] = ()
    ) -> Self:
        """Clone the template `name` for this worker; a missing template is made first, by awaiting `migrate(url)`.

        `fingerprint` changes when the migrations do. `keep` names tables (`name` or `schema.name`) whose rows stay.
        """
        template = await migrated_template(server, name=name, fingerprint=fingerprint, migrate=migrate)
        worker = os.environ.get("PYTEST_XDIST_WORKER", "main")
        # The pid is in the name, because two test runs may share a given server.
        isolation = cls(server, template, f"{name}_test_{worker}_{os.getpid()}", keep)
        refuse_unless_test_system(isolation.url)
        await server.drop_database(isolation._database)
        await server.clone(template, isolation._database)
        return isolation

    @property
    def url(self) -> str:
        """SQLAlchemy's url of this worker's database. Raises IsolationError on another loop than that of `create`."""
        self._refuse_another_loop()
        return self._server.url(self._database)

    def _refuse_another_loop(self) -> None:
        with suppress(RuntimeError):  # no loop runs
            if asyncio.get_running_loop() is not self._loop:
                raise IsolationError(ONE_LOOP)

    def watch(self, *engines: Engine) -> None:
        """Have `clean()` check that these engines got all their connections back."""
        for engine in engines:
            self._engines[id(engine)] = (engine, _checked_out(engine))

    async def clean(self) -> None:
        """Delete all rows of all tables except the kept ones, in one round trip.

        Raises IsolationError if a watched engine misses a connection or somebody still holds a row, so that the test at
        fault fails, and not the next one. The rows are deleted first where that is possible.
        """
        self._refuse_another_loop()
        leaked = self._leaked_connections()
        connection = await self._cleaner()
        if leaked:
            await connection.execute(IDLE_IN_TRANSACTION)
        await self._delete(connection)
        if leaked:
            raise IsolationError(f"{leaked} database connection(s) not given back to the pool: close every session")

    @asynccontextmanager
    async def private(self) -> AsyncIterator[str]:
        """A fresh clone of the template, dropped afterwards, for tests of DDL, migrations and crashes: its url."""
        database = f"{self._database}_private_{next(self._private)}"
        await self._server.clone(self._template, database)
        try:
            yield self._server.url(database)
        finally:
            await self._server.drop_database(database)

    @asynccontextmanager
    async def of_test(self, item: "pytest.Item") -> AsyncIterator[str]:
        """The url of the database for a test (`request.node`): this worker's, empty again afterwards.

        With `@pytest.mark.private_database` the test gets a clone of its own.
        """
        if item.get_closest_marker(PRIVATE_DATABASE):
            async with self.private() as url:
                yield url
        else:
            yield self.url
            await self.clean()

    async def close(self) -> None:
        """Drop this worker's database. The template stays, for the next run on this server."""
        if self._connection:
            await self._connection.close()
            self._connection = None
        await self._server.drop_database(self._database)

    def _leaked_connections(self) -> int:
        """Count connections that were lost since the last count, so that each leak fails only one test."""
        leaked = 0
        for key, (engine, before) in list(self._engines.items()):
            now = _checked_out(engine)
            leaked += max(now - before, 0)
            self._engines[key] = (engine, now)
        return leaked

    async def _cleaner(self) -> "Connection":
        """This object's own connection; the first call also makes the statement, from the tables of the template."""
        import asyncpg  # noqa: PLC0415 - see backing_services.postgres.server.connected

        if self._connection is None or self._connection.is_closed():
            refuse_unless_test_system(self.url)
            self._connection = await asyncpg.connect(
                asyncpg_url(self.url),
                server_settings={"lock_timeout": LOCK_LIMIT, "application_name": "backing_services"},
            )
            tables = [(schema, table) for schema, table in await self._connection.fetch(OWN_TABLES)]
            self._wipe = _wipe([(s, t) for s, t in tables if not self._keep & {t, f"{s}.{t}"}])
        return self._connection

    async def _delete(self, connection: "Connection") -> None:
        import asyncpg  # noqa: PLC0415 - see backing_services.postgres.server.connected

        try:
            await connection.execute(self._wipe)
        except (asyncpg.LockNotAvailableError, asyncpg.DeadlockDetectedError) as error:
            await connection.execute(IDLE_IN_TRANSACTION)
            await connection.execute(self._wipe)
            raise IsolationError("a transaction was left open: end every session, and stop consumers first") from error


@asynccontextmanager
async def rolled_back(engine: "AsyncEngine") -> AsyncIterator["AsyncSession"]:
    """A session whose work is undone at the end of the block, commits included: a commit ends only a savepoint.

    For a test with one session. A test that needs a second connection, or an effect of a real commit (deferred
    constraints, NOTIFY, another `now()`), needs `DatabaseIsolation.of_test`.
    """
    from sqlalchemy.ext.asyncio import AsyncSession  # noqa: PLC0415 - this module is loaded where no SQLAlchemy is used

    async with engine.connect() as connection:
        transaction = await connection.begin()
        try:
            async with AsyncSession(connection, join_transaction_mode="create_savepoint") as session:
                yield session
        finally:
            await transaction.rollback()


def _checked_out(engine: Engine) -> int:
    count = getattr(engine.pool, "checkedout", None)  # a NullPool keeps no connections that could leak
    return count() if count else 0


def _wipe(tables: Sequence[tuple[str, str]]) -> str:
    """One statement for all tables: foreign keys are checked at its end, so that their order doesn't matter."""
    deletes = [f"delete from {quoted(schema)}.{quoted(table)}" for schema, table in tables]  # noqa: S608 - quoted
    if not deletes:
        return "select"
    *first, last = deletes
    parts = ", ".join(f"t{number} as ({delete})" for number, delete in enumerate(first))
    return f"with {parts} {last}" if parts else last
