"""A database for each test worker, for tests that aren't asynchronous."""

import asyncio
from collections.abc import Callable, Coroutine, Iterator, Sequence
from contextlib import AbstractAsyncContextManager, AbstractContextManager, contextmanager
from typing import TYPE_CHECKING, Any, Self, TypeVar
from urllib.parse import parse_qs, unquote, urlsplit

from backing_services.postgres.isolation import DatabaseIsolation, Engine
from backing_services.postgres.server import PostgresServer, asyncpg_url

if TYPE_CHECKING:
    import pytest

T = TypeVar("T")


class SyncDatabaseIsolation:
    """`DatabaseIsolation` for tests and fixtures without `async`: with psycopg, psycopg2, or a sync engine.

    Its urls are libpq's, `postgresql://...`. Raises RuntimeError where an event loop runs: there `DatabaseIsolation` is
    the one to use.
    """

    def __init__(self, runner: asyncio.Runner, isolation: DatabaseIsolation) -> None:
        self._runner = runner
        self._isolation = isolation

    @classmethod
    def create(
        cls,
        server: PostgresServer,
        *,
        name: str,
        fingerprint: str,
        migrate: Callable[[str], None],
        keep: Sequence[str] = (),
    ) -> Self:
        """See `DatabaseIsolation.create`; a missing template is made by `migrate(url)`, such as alembic's upgrade."""

        async def migrated(url: str) -> None:
            await asyncio.to_thread(migrate, asyncpg_url(url))

        runner = asyncio.Runner()
        made = DatabaseIsolation.create(server, name=name, fingerprint=fingerprint, migrate=migrated, keep=keep)
        return cls(runner, _run(runner, made))

    @property
    def url(self) -> str:
        """The url of this worker's database."""
        return asyncpg_url(self._isolation.url)

    def watch(self, *engines: Engine) -> None:
        """Have `clean()` check that these engines got all their connections back."""
        self._isolation.watch(*engines)

    def clean(self) -> None:
        """Delete all rows of all tables except the kept ones. Raises IsolationError, as `DatabaseIsolation.clean`."""
        _run(self._runner, self._isolation.clean())

    def private(self) -> AbstractContextManager[str]:
        """A fresh clone of the template, dropped afterwards: its url."""
        return self._entered(self._isolation.private())

    def of_test(self, item: "pytest.Item") -> AbstractContextManager[str]:
        """The url of the database for a test (`request.node`): this worker's, empty again afterwards.

        With `@pytest.mark.private_database` the test gets a clone of its own.
        """
        return self._entered(self._isolation.of_test(item))

    def close(self) -> None:
        """Drop this worker's database. The template stays, for the next run on this server."""
        _run(self._runner, self._isolation.close())
        self._runner.close()

    @contextmanager
    def _entered(self, database: AbstractAsyncContextManager[str]) -> Iterator[str]:
        url = _run(self._runner, database.__aenter__())
        try:
            yield asyncpg_url(url)
        finally:
            _run(self._runner, database.__aexit__(None, None, None))


def django_address(server: PostgresServer) -> dict[str, str]:
    """HOST, PORT, USER and PASSWORD for an entry of Django's DATABASES; Django makes its test database itself."""
    parts = urlsplit(asyncpg_url(server.url("postgres")))
    sockets = parse_qs(parts.query).get("host", [""])
    return {
        "HOST": parts.hostname or sockets[0],
        "PORT": str(parts.port or ""),
        "USER": unquote(parts.username or ""),
        "PASSWORD": unquote(parts.password or ""),
    }


def _run(runner: asyncio.Runner, step: Coroutine[Any, Any, T]) -> T:
    try:
        return runner.run(step)
    except RuntimeError:
        step.close()
        raise
