"""The builds that are compared, on the same servers: only one of them runs at a time."""

import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import asyncpg
from backing_services.postgres import asyncpg_url
from backing_services.processes import Supervisor
from backing_services.waiting import eventually
from shop_harness.services import EMBEDDED_PARTITIONS, SAGA
from shop_harness.system import LOOPBACK, Ports

from tools import uv
from tools.bench_saga.naive.events import TOPICS
from tools.measuring.system import OPEN, REST_WITHIN, SENT, MeasuredSystem

MANY_LIVES = 10**6
LOOK_EVERY = 0.1


@dataclass(frozen=True)
class Build:
    """`module` is run for each service, on the database `database`; `told` counts orders that are told by e-mail.

    `open` are statements, by service, that count what is left to do. `needs` is a package that isn't in this
    environment.
    """

    name: str
    module: str
    database: str
    told: str
    open: Mapping[str, str]
    needs: str = ""

    @property
    def python(self) -> Sequence[str]:
        """The beginning of a command that runs a module of it."""
        ours = f"sqlalchemy=={version('sqlalchemy')}"  # as the other builds have it
        return uv.python_with(self.needs, ours) if self.needs else (sys.executable,)

    @property
    def can_run(self) -> bool:
        return uv.can_run(self.python)

    def process(self, service: str) -> str:
        """The name of a service's process."""
        return f"{self.name} {service}"


PRODUCT = Build("product", "{service}", "{service}", SENT, OPEN)
TOLD = "select count(*) from notifications where status = 'SENT'"
"""The same in the other builds."""
NAIVE = Build("naive", "tools.bench_saga.naive.{service}", "naive_{service}", TOLD, {})
DBOS = Build("DBOS", "tools.bench_saga.with_dbos.{service}", "dbos_{service}", TOLD, {}, needs="dbos==3.4.0")
BUILDS = (PRODUCT, NAIVE, DBOS)
CAPTURED = "select count(*) from payments where status = 'CAPTURED'"
"""The same in all."""


class SagaSystem(MeasuredSystem):
    """See MeasuredSystem. No service runs before `start()`."""

    def __init__(self, folder: Path) -> None:
        super().__init__(Ports.free(), lambda _: None, folder=folder, supervisor=Supervisor(lives=MANY_LIVES))
        self._connections: dict[str, asyncpg.Connection[Any]] = {}

    async def _start_services(self) -> None:
        await self.kafka.create_topics(dict.fromkeys(TOPICS, EMBEDDED_PARTITIONS))
        for build in (NAIVE, DBOS):
            for service in SAGA:
                await self.postgres.create_database(build.database.format(service=service))

    async def start(self, build: Build) -> None:
        """Start the services of a build."""
        for service in SAGA:
            environment = self.environment(service, self.ports[service]) | self._environment_of(build, service)
            await self._run(
                build.process(service),
                build.module.format(service=service),
                environment,
                port=self.ports[service],
                python=build.python,
            )

    async def stop(self, build: Build) -> None:
        """Stop them."""
        for service in SAGA:
            await self.supervisor.stop(build.process(service))

    async def count(self, build: Build, service: str, query: str) -> int:
        """What a count in a service's database says."""
        database = build.database.format(service=service)
        if database not in self._connections:
            self._connections[database] = await asyncpg.connect(asyncpg_url(self.postgres.url(database)))
            self._stack.push_async_callback(self._connections[database].close)
        return int(await self._connections[database].fetchval(query))

    async def at_rest(self, build: Build, told: int) -> None:
        """Wait until a build has told so many orders by e-mail and has nothing left to do. Raises StillWaitingError."""

        async def is_at_rest() -> bool:
            if await self.count(build, "notifications", build.told) < told:
                return False
            return not any([await self.count(build, service, query) for service, query in build.open.items()])

        await eventually(is_at_rest, within=REST_WITHIN, every=LOOK_EVERY)

    def _environment_of(self, build: Build, service: str) -> dict[str, str]:
        urls = {each: self.postgres.url(build.database.format(service=each)) for each in SAGA}
        return {
            "BUILD_HTTP_PORT": str(self.ports[service]),
            "BUILD_DATABASE_URL": urls[service],
            "BUILD_DATABASE_URLS": json.dumps(urls),
            "BUILD_KAFKA_BOOTSTRAP_SERVERS": self.kafka.bootstrap_servers,
            "BUILD_GATEWAY_URL": self.ports.url("gateway"),
            "BUILD_SMTP_HOST": LOOPBACK,
            "BUILD_SMTP_PORT": str(self.ports["smtp"]),
        }
