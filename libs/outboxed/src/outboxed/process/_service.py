"""A service's parts, and the roles that a process can run with them."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, Literal, TypeVar

import anyio
import structlog
from fastapi import APIRouter, FastAPI
from faststream.kafka import KafkaBroker

from outboxed._backoff import backoff
from outboxed._contact import KafkaContact
from outboxed._stopping import turns_until
from outboxed.consuming import BatchConsumer, ConsumerRole, DeadLetterQueue, Subscriber
from outboxed.errors import ConfigurationError
from outboxed.messages import Event, document
from outboxed.process._announcements import Announcements
from outboxed.process._metrics import Metrics
from outboxed.process._roles import (
    Role,
    bind,
    give_large_blocks_back,
    http_role,
    leave_to_itself_what_stays,
    run_roles,
)
from outboxed.relay import Relay
from outboxed.settings import ServiceSettings
from outboxed.storage import (
    MIGRATION_SECONDS,
    Pruner,
    Retention,
    SqlTransactions,
    SqlUnitOfWork,
    create_engine,
    is_transient,
    migrate,
    reason_of,
    refusal_of,
    schema_problem,
)
from outboxed.tasks import Worker
from outboxed.web import Encode, Health, TokenVerifier, create_http_app, operations_router, operators_router

log = structlog.get_logger()

CLOSE_SECONDS = 1.0
FIRST_BACKOFF = 0.25
MAX_BACKOFF = 2.0
"""A process works within 2 s after the database has come up."""
RoleName = Literal["all", "api", "consumer", "relay", "worker"]
U = TypeVar("U", bound=SqlUnitOfWork)


@dataclass
class Service(Generic[U]):
    """A service's parts; `create_service` puts them together.

    `name` is also the consumer group and the Python package. `router` has the service's own routes, which find
    `dependencies` in `app.state.dependencies`. `closed` is awaited when the process ends. One that reads no events has
    no `subscriber`.
    """

    name: str
    version: str
    settings: ServiceSettings
    transactions: SqlTransactions[U]
    api_transactions: SqlTransactions[U]
    consumer: BatchConsumer[U]
    worker: Worker[U]
    relay: Relay
    broker: KafkaBroker
    subscriber: Subscriber | None
    metrics: Metrics
    published: Sequence[type[Event]]
    token_verifier: TokenVerifier
    router: APIRouter
    dependencies: Any
    retentions: Sequence[Retention] = ()
    closed: Callable[[], Awaitable[None]] | None = None
    kafka_contact: KafkaContact = field(default_factory=KafkaContact)
    announcements: Announcements | None = None
    _waiting: asyncio.Lock = field(init=False, repr=False, default_factory=asyncio.Lock)

    @property
    def dead_letters(self) -> DeadLetterQueue[U]:
        """The service's dead letters."""
        return DeadLetterQueue(self.transactions, self.consumer)

    def asyncapi(self) -> dict[str, Any]:
        """The AsyncAPI document of what this service publishes and consumes."""
        consumed = [route.model for route in self.consumer.routes.values()]
        return document(title=self.name, version=self.version, published=self.published, consumed=consumed)

    def create_app(self, *, with_api: bool = True, consumer_role: ConsumerRole | None = None) -> FastAPI:
        """The HTTP app of a process: health and metrics always, the service's own routes if wanted."""
        app = create_http_app(
            title=self.name, version=self.version, token_verifier=self.token_verifier, metrics=self.metrics
        )
        health = Health(schema_problem=self._schema_problem, kafka_lost_for=self.kafka_contact.lost_for)
        if consumer_role is not None:
            health.progress, health.lag = self.consumer.progress, lambda: consumer_role.lag
            self.metrics.observe_lag(health.lag)
        app.include_router(operations_router(health, self._scrape, self.asyncapi()))
        if with_api:
            app.state.dependencies = self.dependencies
            app.include_router(self.router)
            letters = DeadLetterQueue(self.api_transactions, self.consumer)
            app.include_router(operators_router(letters, self.api_transactions.engine, self.worker))
        return app

    async def run(self, role: RoleName) -> int:
        """Run a role until SIGTERM; returns the exit status.

        Raises ConfigurationError for a busy port, and for the role of a consumer where no event is read.
        """
        settings = self.settings
        if role == "consumer" and self.subscriber is None:
            raise ConfigurationError(f"{self.name} reads no events: it has no consumer")
        listener = bind(settings.http_host, settings.http_port, setting=settings.variable("http_port"))
        consumer = None
        if role in {"all", "consumer"} and self.subscriber is not None:
            consumer = ConsumerRole(self.broker, self.subscriber, self.consumer, self.kafka_contact)
        app = self.create_app(with_api=role in {"all", "api"}, consumer_role=consumer)
        roles = [http_role(app, listener), *self.background_roles(role, consumer)]
        log.info("starting", role=role, http=f"{settings.http_host}:{listener.getsockname()[1]}")
        give_large_blocks_back()
        leave_to_itself_what_stays()
        return await run_roles(roles)

    async def migrate(self) -> None:
        """Bring the database to this code's schema."""
        engine = create_engine(
            self.settings.database_url, application_name=self.name, command_timeout=MIGRATION_SECONDS
        )
        try:
            await migrate(engine, self.name)
        finally:
            await engine.dispose()

    async def close(self) -> None:
        """Close the service's connections."""
        if self.closed is not None:
            await self.closed()
        # closing a connection to a frozen database hangs
        with anyio.move_on_after(CLOSE_SECONDS):
            async with anyio.create_task_group() as group:
                group.start_soon(self.transactions.engine.dispose)
                group.start_soon(self.api_transactions.engine.dispose)

    def background_roles(self, role: RoleName, consumer: ConsumerRole | None) -> list[Role]:
        """The roles that a process of this role runs beside HTTP."""
        roles = []
        if consumer is not None:
            run = self._when_database_is_ready(consumer.run)
            roles.append(Role("consumer", run, grace=consumer.grace))
        if role in {"all", "relay"}:
            roles.append(Role("relay", self._when_database_is_ready(self.relay.run), grace=self.relay.grace))
        if role in {"all", "worker"}:
            pruner = Pruner(self.transactions.engine, self.transactions.clock, self.retentions)
            roles.append(Role("worker", self._when_database_is_ready(self.worker.run), grace=self.worker.grace))
            roles.append(Role("pruner", self._when_database_is_ready(pruner.run)))
        if self.announcements is not None:
            roles.append(Role("announcements", self._when_database_is_ready(self.announcements.run)))
        if role == "api":
            # an API has no work without requests, but a wrong setting must end it as it ends the other roles
            roles.append(Role("database", self._when_database_is_ready(_wait)))
        return roles

    def _when_database_is_ready(
        self, run: Callable[[anyio.Event], Awaitable[None]]
    ) -> Callable[[anyio.Event], Awaitable[None]]:
        """Wait for PostgreSQL and for the schema, then run: parts of a system may start in any order."""

        async def wait_then_run(stop: anyio.Event) -> None:
            async with self._waiting:  # one role checks and logs for all
                await self._wait_for_database(stop)
            await run(stop)

        return wait_then_run

    async def _wait_for_database(self, stop: anyio.Event) -> None:
        """Check with back-off; log each new problem once."""
        said = ""
        for attempt, _ in enumerate(turns_until(stop), start=1):
            if not (problem := await self._database_problem()):
                return
            if problem != said:
                log.warning("waiting_for_database", reason=problem, address=self.settings.database_url.address)
                said = problem
            with anyio.move_on_after(backoff(attempt, first=FIRST_BACKOFF, cap=MAX_BACKOFF)):
                await stop.wait()

    async def _database_problem(self) -> str | None:
        try:
            return await self._schema_problem()
        except Exception as error:
            refusal = refusal_of(error) or (None if is_transient(error) else reason_of(error))
            if refusal:
                raise ConfigurationError(f"{self.settings.variable('database_url')}: {refusal}") from error
            return f"the database does not answer: {reason_of(error)}"

    async def _schema_problem(self) -> str | None:
        return await schema_problem(self.transactions.engine, self.name)

    async def _scrape(self, encode: Encode) -> bytes:
        kinds = [kind.name for kind in self.worker.kinds]
        return await self.metrics.scrape(self.transactions.engine, task_kinds=kinds, encode=encode)


async def _wait(stop: anyio.Event) -> None:
    await stop.wait()
