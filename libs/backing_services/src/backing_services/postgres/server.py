"""What every PostgreSQL offers to tests, wherever it comes from: urls, and databases to make and drop."""

import re
from abc import abstractmethod
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from backing_services.postgres.startable import Startable

if TYPE_CHECKING:
    import asyncpg

    Connection = asyncpg.Connection[asyncpg.Record]


def quoted(identifier: str) -> str:
    """Quote a name for SQL."""
    return '"' + identifier.replace('"', '""') + '"'


def asyncpg_url(url: str) -> str:
    """Turn SQLAlchemy's form of a url into the one that asyncpg reads, where `ssl` is `sslmode`."""
    address, mark, query = url.replace("postgresql+asyncpg://", "postgresql://", 1).partition("?")
    return address + mark + re.sub("(^|&)ssl=", r"\1sslmode=", query)


@asynccontextmanager
async def connected(url: str) -> AsyncIterator["Connection"]:
    """A plain asyncpg connection to `url` (SQLAlchemy's form or asyncpg's), closed afterwards."""
    import asyncpg  # noqa: PLC0415 - the pytest plugin is loaded in every run and most need no database

    connection = await asyncpg.connect(asyncpg_url(url))
    try:
        yield connection
    finally:
        try:
            await connection.close()
        except OSError:  # the server has gone first
            connection.terminate()


class PostgresServer(Startable):
    """A PostgreSQL server. `name` is for the report. Its role is a superuser, or may at least create databases."""

    name: str
    maintenance_database = "postgres"

    @abstractmethod
    def url(self, database: str) -> str:
        """SQLAlchemy's url of a database of this server, whether or not the database exists."""

    async def create_database(self, name: str) -> None:
        """Create an empty database. Raises asyncpg.DuplicateDatabaseError."""
        await self._administer(f"create database {quoted(name)}")

    async def clone(self, template: str, name: str) -> None:
        """Copy a database file by file, which takes about 15 ms. Nobody may be connected to the template."""
        await self._administer(f"create database {quoted(name)} template {quoted(template)} strategy file_copy")

    async def drop_database(self, name: str) -> None:
        """Drop a database if it exists, and cut the connections to it."""
        await self._administer(f"drop database if exists {quoted(name)} with (force)")

    async def rename_database(self, name: str, new_name: str) -> None:
        """Rename a database. Nobody may be connected to it."""
        await self._administer(f"alter database {quoted(name)} rename to {quoted(new_name)}")

    async def database_exists(self, name: str) -> bool:
        async with self.administration() as connection:
            return bool(await connection.fetchval("select true from pg_database where datname = $1", name))

    @asynccontextmanager
    async def administration(self) -> AsyncIterator["Connection"]:
        """A connection to the database that exists on every server, for statements about databases."""
        async with connected(self.url(self.maintenance_database)) as connection:
            yield connection

    async def _administer(self, statement: str) -> None:
        async with self.administration() as connection:
            await connection.execute(statement)
