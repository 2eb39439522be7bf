"""`python -m tools.bench_isolation`: what each way to isolate tests that use a database costs, side by side.

A test commits a row in two tables of the orders service's schema. Only what a way does before and after its tests is
timed. The ways take turns, so that a busy moment of the machine meets all of them. Each turn has a few tests in a row,
as in a suite: the first test after another way has made and dropped tables is slower.
"""

import asyncio
import statistics
import time
from abc import ABC, abstractmethod
from collections.abc import Sequence
from contextlib import AsyncExitStack
from typing import Annotated

import sqlalchemy as sa
import typer
from backing_services.postgres import DatabaseIsolation, EmbeddedPostgres, PostgresServer
from orders import storage
from outboxed.storage import tables
from rich.console import Console
from rich.table import Table
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine
from sqlalchemy.ext.asyncio.engine import AsyncTransaction

WARM_UP = 1
TESTS_IN_A_ROW = 10
SCHEMA: Sequence[sa.MetaData] = (storage.metadata, tables.metadata)
PRODUCT = sa.insert(storage.products).values(sku="ABC", name="Poster", unit_price=25, currency="EUR")
EVENT = sa.insert(tables.outbox).values(topic="orders", key="1", value=b"{}", headers={})


class Way(ABC):
    """A way to isolate tests; `real` says which of production's operations the code under test may use."""

    name: str
    real: str
    engine: AsyncEngine

    def __init__(self, server: PostgresServer) -> None:
        self.server = server

    @abstractmethod
    async def open(self, stack: AsyncExitStack) -> None:
        """Once, before all tests."""

    async def before(self) -> None:  # noqa: B027 - most ways have nothing to do here
        """Make ready for a test."""

    @abstractmethod
    async def after(self) -> None:
        """Take back what a test did."""

    async def test(self) -> None:
        """What a test does."""
        async with self.engine.begin() as connection:
            await connection.execute(PRODUCT)
            await connection.execute(EVENT)

    async def database(self, name: str, stack: AsyncExitStack, *, empty: bool = False) -> AsyncEngine:
        """A new database, and an engine on it."""
        await self.server.create_database(name)
        if not empty:
            await create_all(self.server.url(name))
        engine = create_async_engine(self.server.url(name))
        stack.push_async_callback(engine.dispose)
        return engine


class Rollback(Way):
    """One connection for everybody, in a transaction that is rolled back; the code under test commits savepoints."""

    name, real = "rollback of one shared connection", "no commit, one connection"
    _connection: AsyncConnection
    _transaction: AsyncTransaction

    async def open(self, stack: AsyncExitStack) -> None:
        self.engine = await self.database("rolled_back", stack)
        self._connection = await stack.enter_async_context(self.engine.connect())

    async def before(self) -> None:
        self._transaction = await self._connection.begin()

    async def test(self) -> None:
        async with self._connection.begin_nested():
            await self._connection.execute(PRODUCT)
            await self._connection.execute(EVENT)

    async def after(self) -> None:
        await self._transaction.rollback()


class Delete(Way):
    """The default of backing_services."""

    name, real = "delete all rows (DatabaseIsolation)", "everything but DDL"

    async def open(self, stack: AsyncExitStack) -> None:
        self._isolation = await DatabaseIsolation.create(
            self.server, name="deleted", fingerprint="1", migrate=create_all
        )
        stack.push_async_callback(self._isolation.close)
        self.engine = create_async_engine(self._isolation.url)
        stack.push_async_callback(self.engine.dispose)

    async def after(self) -> None:
        await self._isolation.clean()


class Truncate(Way):
    """Truncates all tables in one statement."""

    name, real = "truncate all tables", "everything but DDL"

    async def open(self, stack: AsyncExitStack) -> None:
        self.engine = await self.database("truncated", stack)
        names = ", ".join(table.name for metadata in SCHEMA for table in metadata.sorted_tables)
        self._truncate = sa.text(f"truncate {names} cascade")

    async def after(self) -> None:
        async with self.engine.begin() as connection:
            await connection.execute(self._truncate)


class Clone(Way):
    """Each test gets a private copy of a template."""

    name, real = "clone a template (DatabaseIsolation.private)", "everything"

    async def open(self, stack: AsyncExitStack) -> None:
        self._isolation = await DatabaseIsolation.create(
            self.server, name="cloned", fingerprint="1", migrate=create_all
        )
        stack.push_async_callback(self._isolation.close)

    async def before(self) -> None:
        self._clone = self._isolation.private()
        self.engine = create_async_engine(await self._clone.__aenter__())

    async def after(self) -> None:
        await self.engine.dispose()
        await self._clone.__aexit__(None, None, None)


class CreateAndDrop(Way):
    """What many tutorials do."""

    name, real = "create_all and drop_all", "everything"

    async def open(self, stack: AsyncExitStack) -> None:
        self.engine = await self.database("created", stack, empty=True)

    async def before(self) -> None:
        async with self.engine.begin() as connection:
            for metadata in SCHEMA:
                await connection.run_sync(metadata.create_all)

    async def after(self) -> None:
        async with self.engine.begin() as connection:
            for metadata in SCHEMA:
                await connection.run_sync(metadata.drop_all)


WAYS: Sequence[type[Way]] = (Rollback, Delete, Truncate, Clone, CreateAndDrop)


async def create_all(url: str) -> None:
    """Every table of the schema."""
    engine = create_async_engine(url)
    async with engine.begin() as connection:
        for metadata in SCHEMA:
            await connection.run_sync(metadata.create_all)
    await engine.dispose()


async def measured(rounds: int) -> dict[type[Way], float]:
    """The median milliseconds of each way."""
    seconds: dict[type[Way], list[float]] = {way: [] for way in WAYS}
    with EmbeddedPostgres() as server:
        async with AsyncExitStack() as stack:
            ways = [way(server) for way in WAYS]
            for way in ways:
                await way.open(stack)
            for number in range(WARM_UP + rounds):
                for way in ways:
                    spent = [await _one_test(way) for _ in range(TESTS_IN_A_ROW)]
                    if number >= WARM_UP:
                        seconds[type(way)] += spent
    return {way: statistics.median(spent) * 1000 for way, spent in seconds.items()}


async def _one_test(way: Way) -> float:
    begun = time.perf_counter()
    await way.before()
    before = time.perf_counter() - begun
    await way.test()
    begun = time.perf_counter()
    await way.after()
    return before + time.perf_counter() - begun


def main(rounds: Annotated[int, typer.Option(min=1, help="Turns of each way, ten tests each.")] = 20) -> None:
    """Print a table, and a line that compares the default of backing_services with the way of many tutorials."""
    found = asyncio.run(measured(rounds))
    count = sum(len(metadata.tables) for metadata in SCHEMA)
    table = Table(
        "before and after a test", "ms", "times the default", "the code under test may", title=f"{count} tables"
    )
    for way, ms in sorted(found.items(), key=lambda pair: pair[1]):
        table.add_row(way.name, f"{ms:.2f}", f"{ms / found[Delete]:.1f}", way.real)
    Console(highlight=False).print(table)
    default, tutorial = found[Delete], found[CreateAndDrop]
    print(f"isolation: {default:.2f} ms a test, create_all/drop_all {tutorial:.0f} ms, {tutorial / default:.0f} times")


if __name__ == "__main__":
    typer.run(main)
