"""What the three services with DBOS have in common: workflows in their own database, and a way to the others' queues.

They run in an environment that has DBOS: see builds.py.
"""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any, TypeVar
from uuid import UUID

from backing_services.postgres import asyncpg_url
from dbos import DBOS, AsyncSQLAlchemyDatasource, DBOSClient
from sqlalchemy.ext.asyncio import AsyncSession

from tools.bench_saga.settings import Settings

RETRIES = {"retries_allowed": True, "interval_seconds": 0.2, "max_attempts": 20}
T = TypeVar("T")


class Durable:
    """Transactions and steps of workflows: each is recorded, and is not done again once it is."""

    def __init__(self, service: str, settings: Settings) -> None:
        self._service = service
        self._urls = {name: asyncpg_url(url) for name, url in settings.database_urls.items()}
        self._datasource: Any = None
        self._queues: dict[str, Any] = {}

    @asynccontextmanager
    async def launched(self) -> AsyncIterator[None]:
        """Take up what was begun, and take what comes, until the end of the block."""
        own = self._urls[self._service]
        self._datasource = await AsyncSQLAlchemyDatasource.create(own)
        self._queues = {name: DBOSClient(system_database_url=url, lazy=True) for name, url in self._urls.items()}
        DBOS(config={"name": f"bench-{self._service}", "system_database_url": own, "log_level": "WARNING"})
        DBOS.launch()
        try:
            await DBOS.register_queue_async(self._service)
            yield
        finally:
            DBOS.destroy()
            for queue in self._queues.values():
                queue.destroy()

    @property
    def session(self) -> AsyncSession:
        """That of the running transaction."""
        session: AsyncSession = self._datasource.sql_session()
        return session

    async def transaction(self, work: Callable[..., Awaitable[T]], *arguments: object) -> T:
        """A transaction that takes effect once; its result is recorded in it."""
        done: T = await self._datasource.run_tx_step_async({"isolation_level": "READ COMMITTED"}, work, *arguments)
        return done

    async def call(self, work: Callable[..., Awaitable[T]], *arguments: object, **named: object) -> T:
        """A call to the outside, tried again after an error; after a crash it's done again unless it was recorded."""
        done: T = await DBOS.run_step_async(RETRIES, work, *arguments, **named)
        return done

    async def hand_over(self, service: str, workflow: str, order_id: UUID, *arguments: object) -> None:
        """Start a workflow of another service, once an order."""
        options = {"workflow_name": workflow, "queue_name": service, "workflow_id": f"{workflow}:{order_id}"}
        await DBOS.run_step_async({"name": f"start {workflow}"}, self._enqueue, service, options, order_id, *arguments)

    async def _enqueue(self, service: str, options: dict[str, str], *arguments: object) -> None:
        await self._queues[service].enqueue_async(options, *arguments)
