"""The whole shop under test: replicas of each service as processes, which reach Kafka and PostgreSQL by proxies."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from backing_services.faults import FaultError, Proxy, SmallDisk, Toxiproxy, skewed
from backing_services.kafka import ApacheKafka
from backing_services.postgres import EmbeddedPostgres, PgBouncer, PgBouncerNotInstalledError
from backing_services.processes import ManagedProcess, Supervisor, free_port
from shop_harness.services import SERVICES
from shop_harness.system import LOOPBACK, Ports, System

DISK_BYTES = 600 * 2**20
POSTGRES_SETTINGS = {"max_wal_size": "96MB", "min_wal_size": "32MB"}
"""Little write-ahead log, so that the small disk is full only when it is filled."""
POOLED = "payments"
"""The service whose database is behind PgBouncer in transaction mode."""
POOLER_SETTINGS = {"default_pool_size": "4", "server_login_retry": "0.2", "query_wait_timeout": "10"}
"""Fewer sessions than two replicas have connections; and back at once after an outage, as the services are."""
SKEW_SECONDS = {"orders": 600, "payments": 1800, "notifications": -3600}
"""The clock skew of each service's last replica; payments' skew is beyond every payment deadline."""
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


class ProxiedSystem(System):
    """See System; `missing` says what is impossible here, and why. Also raises FaultError."""

    kafka: ApacheKafka

    def __init__(self, folder: Path, *, replicas: int, died: Callable[[str, int], None]) -> None:
        supervisor = Supervisor(on_restart=died, lives=MANY_LIVES)
        super().__init__(Ports.free(), lambda _: None, folder=folder, supervisor=supervisor)
        self.missing: dict[str, str] = {}
        self.replicas: list[Replica] = []
        self.proxies: dict[str, Proxy] = {}
        self.disk: SmallDisk | None = None
        self._dead_port = free_port()
        self.pooler: PgBouncer | None = None
        self._count = replicas

    def of(self, service: str) -> list[Replica]:
        """The replicas of a service."""
        return [replica for replica in self.replicas if replica.service == service]

    async def extra_consumer(self, service: str, name: str) -> None:
        """One more member of a service's group, until `supervisor.stop(name)`."""
        port = free_port()
        await self._run(name, service, self.environment(service, port), "--role", "consumer", port=port)

    async def start(self, replica: Replica) -> None:
        """Start a replica that was stopped."""
        replica.process = await self.supervisor.start(replica.process.spec)

    @asynccontextmanager
    async def without(self, service: str) -> AsyncIterator[None]:
        """While the block runs, no process of the service runs, and nobody is connected to its database."""
        for replica in self.of(service):
            await self.supervisor.stop(replica.name)
        async with self.postgres.administration() as connection:
            await connection.execute(END_CONNECTIONS, service)
        yield
        for replica in self.of(service):
            await self.start(replica)

    async def _start_servers(self) -> None:
        directory = self._disk_folder()
        self.postgres = self._stack.enter_context(
            EmbeddedPostgres(durable=True, port=0, directory=directory, settings=POSTGRES_SETTINGS)
        )
        toxiproxy = await self._stack.enter_async_context(Toxiproxy())
        self.kafka = ApacheKafka(proxy_port=free_port(), directory=self.folder / "kafka")
        self._stack.enter_context(self.kafka)
        kafka = await toxiproxy.proxy("kafka", self.kafka.proxied_port, port=self.kafka.proxy_port)
        self.pooler = self._started_pooler()
        self.proxies = {
            "kafka": kafka,
            **{service: await toxiproxy.proxy(service, self._database_port(service)) for service in SERVICES},
        }

    def _started_pooler(self) -> PgBouncer | None:
        try:
            return self._stack.enter_context(PgBouncer(self.postgres, POOLER_SETTINGS))
        except PgBouncerNotInstalledError as error:
            self.missing[f"a pooler before the database of {POOLED}"] = str(error)
            return None

    def _database_port(self, service: str) -> int:
        pooled = self.pooler if service == POOLED else None
        return pooled.port if pooled else self.postgres.port or 0

    def _addresses(self, service: str) -> tuple[str, str]:
        database = self.database_url(service).replace(f":{self.postgres.port}/", f":{self.proxies[service].port}/")
        if service == POOLED and self.pooler:
            database += "?pooler=transaction"
        # the first broker of two is dead for the whole run
        return database, f"{LOOPBACK}:{self._dead_port},{LOOPBACK}:{self.proxies['kafka'].port}"

    async def _start_services(self) -> None:
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

    async def _replica(self, service: str, number: int) -> Replica:
        name, port = f"{service}-{number}", free_port()
        skew = self._skew(service) if number == self._count else {}
        process = await self._run(name, service, {**self.environment(service, port), **skew}, port=port)
        return Replica(service, name, port, process)

    def _skew(self, service: str) -> Mapping[str, str]:
        try:
            return skewed(SKEW_SECONDS[service])
        except FaultError as error:
            self.missing["clock skew"] = str(error)
            return {}
