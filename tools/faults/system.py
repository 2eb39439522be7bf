"""The whole shop under test: replicas of each service as processes, and everything that they reach behind a proxy."""

import asyncio
import sys
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import Self

from backing_services.faults import FaultError, Proxy, SmallDisk, Toxiproxy, skewed
from backing_services.kafka import ApacheKafka
from backing_services.postgres import EmbeddedPostgres
from backing_services.processes import HttpReady, ManagedProcess, ProcessSpec, Supervisor, free_port
from shop_harness.system import LOOPBACK, SERVICES, TOPICS, Ports, prepare, service_environment

DISK_BYTES = 600 * 2**20
POSTGRES_SETTINGS = {"max_wal_size": "96MB", "min_wal_size": "32MB"}
"""So that the small disk is full when it is filled, not before."""
SKEW_SECONDS = {"orders": 600, "payments": 1800, "notifications": -3600}
"""Of each service's last replica: payments' is beyond every payment deadline."""
READY_WITHIN = 60.0
MAILBOX_ROOM = "1000000"
MANY_LIVES = 10**6
END_CONNECTIONS = "select pg_terminate_backend(pid) from pg_stat_activity where datname = $1"


@dataclass
class Replica:
    """One process of a service."""

    service: str
    name: str
    port: int
    process: ManagedProcess

    @property
    def url(self) -> str:
        return f"http://{LOOPBACK}:{self.port}"


class System:
    """An async context manager; ``folder`` gets the logs, ``missing`` says what can't be had here, and why.

    Raises SystemStartError, FaultError, KafkaError, ProcessFailedError.
    """

    def __init__(self, folder: Path, *, replicas: int, died: Callable[[str, int], None]) -> None:
        self.folder = folder
        self.ports = Ports.free()
        self.missing: dict[str, str] = {}
        self.replicas: list[Replica] = []
        self.proxies: dict[str, Proxy] = {}
        self.disk: SmallDisk | None = None
        self.backed_up_at: datetime | None = None
        self.supervisor = Supervisor(on_restart=died, lives=MANY_LIVES)
        self._count = replicas
        self._stack = AsyncExitStack()

    async def __aenter__(self) -> Self:
        try:
            await self._start()
        except BaseException:
            await self._stack.aclose()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._stack.__aexit__(kind, error, trace)

    def database_url(self, service: str) -> str:
        """The way to a service's database that no fault is on."""
        return self.postgres.url(service)

    def of(self, service: str) -> list[Replica]:
        """The replicas of a service."""
        return [replica for replica in self.replicas if replica.service == service]

    def environment(self, service: str, port: int = 0) -> dict[str, str]:
        """The variables of a process of a service; everything that it reaches is behind a proxy."""
        database = self.postgres.url(service).replace(f":{self.postgres.port}/", f":{self.proxies[service].port}/")
        settings = {
            "DATABASE_URL": database,
            "HTTP_PORT": str(port),
            "KAFKA_BOOTSTRAP_SERVERS": f"{LOOPBACK}:{self.proxies['kafka'].port}",
        }
        if service == "orders":
            settings["RATE_LIMIT_PER_MINUTE"] = "0"
        return service_environment(service, self.ports, settings)

    async def extra_consumer(self, service: str, name: str) -> None:
        """One more member of a service's group, until ``supervisor.stop(name)``."""
        await self.supervisor.start(self._spec(service, name, free_port(), "--role", "consumer"))

    async def start(self, replica: Replica) -> None:
        """Start a replica that was stopped."""
        replica.process = await self.supervisor.start(replica.process.spec)

    @asynccontextmanager
    async def without(self, service: str) -> AsyncIterator[None]:
        """No process of the service runs, and nobody is connected to its database."""
        for replica in self.of(service):
            await self.supervisor.stop(replica.name)
        async with self.postgres.administration() as connection:
            await connection.execute(END_CONNECTIONS, service)
        yield
        for replica in self.of(service):
            await self.start(replica)

    async def _start(self) -> None:
        directory = self._disk_folder()
        self.postgres = self._stack.enter_context(
            EmbeddedPostgres(durable=True, port=0, directory=directory, settings=POSTGRES_SETTINGS)
        )
        toxiproxy = await self._stack.enter_async_context(Toxiproxy())
        self.kafka = ApacheKafka(proxy_port=free_port(), directory=self.folder / "kafka")
        self._stack.enter_context(self.kafka)
        await self.kafka.create_topics(TOPICS)
        kafka = await toxiproxy.proxy("kafka", self.kafka.proxied_port, port=self.kafka.proxy_port)
        self.proxies = {
            "kafka": kafka,
            **{service: await toxiproxy.proxy(service, self.postgres.port or 0) for service in SERVICES},
        }
        await self._stack.enter_async_context(self.supervisor)
        await asyncio.gather(self._start_sandbox(), *(self._prepare(service) for service in SERVICES))
        for number in range(1, self._count + 1):
            self.replicas += await asyncio.gather(*(self._replica(service, number) for service in SERVICES))

    def _disk_folder(self) -> Path | None:
        disk = SmallDisk(DISK_BYTES)
        try:
            self.disk = self._stack.enter_context(disk)
        except FaultError as error:
            self.missing["full disk"] = str(error)
            return None
        return disk.path / "postgres"

    async def _prepare(self, service: str) -> None:
        await self.postgres.create_database(service)
        await prepare(service, self.environment(service))

    async def _start_sandbox(self) -> None:
        gateway = {"GATEWAY_PORT": str(self.ports.gateway), "GATEWAY_LEDGER_PATH": str(self.folder / "ledger.sqlite3")}
        mailbox = {
            "MAILBOX_HTTP_PORT": str(self.ports.mailbox),
            "MAILBOX_SMTP_PORT": str(self.ports.smtp),
            "MAILBOX_MAX_MESSAGES": MAILBOX_ROOM,
        }
        for module, environment, path in (
            ("payment_gateway", gateway, f"{self.ports.url('gateway')}/health"),
            ("mail_catcher", mailbox, f"{self.ports.url('mailbox')}/livez"),
        ):
            command = [sys.executable, "-m", module]
            log = self.folder / f"{module}.log"
            ready = HttpReady(path)
            await self.supervisor.start(ProcessSpec(module, command, log, environment, ready, READY_WITHIN))

    async def _replica(self, service: str, number: int) -> Replica:
        name, port = f"{service}-{number}", free_port()
        skew = self._skew(service) if number == self._count else {}
        spec = self._spec(service, name, port, environment=skew)
        return Replica(service, name, port, await self.supervisor.start(spec))

    def _skew(self, service: str) -> Mapping[str, str]:
        try:
            return skewed(SKEW_SECONDS[service])
        except FaultError as error:
            self.missing["clock skew"] = str(error)
            return {}

    def _spec(
        self, service: str, name: str, port: int, *arguments: str, environment: Mapping[str, str] | None = None
    ) -> ProcessSpec:
        return ProcessSpec(
            name,
            [sys.executable, "-m", service, *arguments],
            self.folder / f"{name}.log",
            {**self.environment(service, port), **(environment or {})},
            HttpReady(f"http://{LOOPBACK}:{port}/health/ready"),
            READY_WITHIN,
        )
