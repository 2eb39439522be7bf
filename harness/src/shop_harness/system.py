"""The whole system on this machine: PostgreSQL, Kafka, the sandbox and the three services, each a process."""

import asyncio
import os
import sys
import tempfile
from collections.abc import Callable, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Self

from backing_services.choice import choose_kafka
from backing_services.kafka import KafkaCluster
from backing_services.postgres import EmbeddedPostgres
from backing_services.processes import HttpReady, ProcessSpec, Supervisor, free_port, is_free
from outboxed.storage import create_engine, migrate
from sqlalchemy.exc import SQLAlchemyError

SERVICES = ("orders", "payments", "notifications")
TOPICS = {"orders": 4, "payments": 4}
MOCK_LIMITS = {"KAFKA_SESSION_TIMEOUT_MS": "2000", "KAFKA_FETCH_MAX_WAIT_MS": "20"}
OPERATOR_EMAIL = "operator@shop.example"
OPERATOR_PASSWORD = "operator of the demo"  # noqa: S105  # lives as long as the demo
LOOPBACK = "127.0.0.1"


class SystemStartError(RuntimeError):
    """The system can't start; the message is one line for a person."""


@dataclass(frozen=True)
class Ports:
    """Where everything listens, on loopback."""

    orders: int = 8000
    payments: int = 8001
    notifications: int = 8002
    gateway: int = 8090
    mailbox: int = 8025
    smtp: int = 1025

    @classmethod
    def free(cls) -> Self:
        """Ports that nobody uses now."""
        return cls(*(free_port() for _ in range(6)))

    @classmethod
    def from_environment(cls) -> Self:
        """The usual ones, or what the services' own variables say. Raises SystemStartError for a busy one."""
        ports = cls(**{name: _port(variable, getattr(cls, name)) for name, variable in PORT_VARIABLES.items()})
        for name, variable in PORT_VARIABLES.items():
            if not is_free(port := getattr(ports, name)):
                raise SystemStartError(f"port {port} for {name} is in use: stop who has it, or set {variable}")
        return ports

    def url(self, name: str) -> str:
        """The base URL of a process."""
        return f"http://{LOOPBACK}:{getattr(self, name)}"


PORT_VARIABLES = {
    "orders": "ORDERS_HTTP_PORT",
    "payments": "PAYMENTS_HTTP_PORT",
    "notifications": "NOTIFICATIONS_HTTP_PORT",
    "gateway": "GATEWAY_PORT",
    "mailbox": "MAILBOX_HTTP_PORT",
    "smtp": "MAILBOX_SMTP_PORT",
}


def _port(variable: str, default: int) -> int:
    value = os.environ.get(variable, str(default))
    if not value.isdigit():
        raise SystemStartError(f"{variable} must be a port, not {value!r}")
    return int(value)


@dataclass
class System:
    """An async context manager: everything runs inside, and nothing of it is left afterwards.

    ``say(line)`` tells a person what happens. ``rate_limit_per_minute`` is orders' own setting.
    """

    ports: Ports
    say: Callable[[str], None]
    rate_limit_per_minute: int = 10
    postgres: EmbeddedPostgres = field(init=False)
    kafka: KafkaCluster = field(init=False)
    supervisor: Supervisor = field(init=False)
    _folder: Path = field(init=False)
    _stack: AsyncExitStack = field(init=False, default_factory=AsyncExitStack)

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
        """The database of a service."""
        return self.postgres.url(service)

    async def _start(self) -> None:
        self._folder = Path(self._stack.enter_context(tempfile.TemporaryDirectory(prefix="shop-")))
        self.postgres = self._stack.enter_context(EmbeddedPostgres(durable=True, port=0))
        self.kafka = choose_kafka()
        self._stack.callback(self.kafka.stop)
        self.kafka.start()
        await self.kafka.create_topics(TOPICS)
        self.say(f"PostgreSQL {self.postgres.name}, Kafka {self.kafka.name}")
        self.supervisor = await self._stack.enter_async_context(Supervisor(on_restart=self._tell_restart))
        await asyncio.gather(self._start_sandbox(), *(self._prepare(service) for service in SERVICES))
        await asyncio.gather(*(self._start_service(service) for service in SERVICES))

    async def _prepare(self, service: str) -> None:
        await self.postgres.create_database(service)
        await prepare(service, self._environment(service))

    async def _start_sandbox(self) -> None:
        gateway = {"GATEWAY_PORT": str(self.ports.gateway), "GATEWAY_LEDGER_PATH": str(self._folder / "ledger.sqlite3")}
        mailbox = {"MAILBOX_HTTP_PORT": str(self.ports.mailbox), "MAILBOX_SMTP_PORT": str(self.ports.smtp)}
        await asyncio.gather(
            self._run("payment gateway", "payment_gateway", gateway, f"{self.ports.url('gateway')}/health"),
            self._run("mailbox", "mail_catcher", mailbox, f"{self.ports.url('mailbox')}/livez"),
        )

    async def _start_service(self, service: str) -> None:
        ready = f"{self.ports.url(service)}/health/ready"
        await self._run(service, service, self._environment(service), ready)

    async def _run(self, name: str, module: str, environment: Mapping[str, str], ready: str) -> None:
        log = self._folder / f"{module}.log"
        command = [sys.executable, "-m", module]
        await self.supervisor.start(ProcessSpec(name, command, log, environment, HttpReady(ready), ready_within=30))

    def _environment(self, service: str) -> dict[str, str]:
        settings = {
            "DATABASE_URL": self.postgres.url(service),
            "HTTP_PORT": str(getattr(self.ports, service)),
            "KAFKA_BOOTSTRAP_SERVERS": self.kafka.bootstrap_servers,
        }
        if not self.kafka.is_real:
            settings |= MOCK_LIMITS
        if service == "orders":
            settings["RATE_LIMIT_PER_MINUTE"] = str(self.rate_limit_per_minute)
        return service_environment(service, self.ports, settings)

    def _tell_restart(self, name: str, status: int) -> None:
        how = f"was killed by signal {-status}" if status < 0 else f"ended with status {status}"
        self.say(f"{name} {how}: starting it again")
        task = asyncio.ensure_future(self._tell_when_back(name))
        self._stack.callback(task.cancel)

    async def _tell_when_back(self, name: str) -> None:
        begun = asyncio.get_running_loop().time()
        path = {"payment gateway": ("gateway", "/health"), "mailbox": ("mailbox", "/livez")}
        port, url_path = path.get(name, (name, "/health/ready"))
        await HttpReady(f"{self.ports.url(port)}{url_path}").wait(str)
        self.say(f"{name} is back after {asyncio.get_running_loop().time() - begun:.1f} s")


def service_environment(service: str, ports: Ports, settings: Mapping[str, str]) -> dict[str, str]:
    """The variables of a service: its settings, without their prefix, and where the sandbox is."""
    outside = {
        "orders": {"OPERATOR_PASSWORD": OPERATOR_PASSWORD},
        "payments": {"GATEWAY_URL": ports.url("gateway")},
        "notifications": {"SMTP_HOST": LOOPBACK, "SMTP_PORT": str(ports.smtp)},
    }
    return {f"{service}_{name}".upper(): value for name, value in {**settings, **outside[service]}.items()}


async def prepare(service: str, environment: Mapping[str, str]) -> None:
    """Bring a service's new database to life: its schema, and what orders needs in it. Raises SystemStartError."""
    engine = create_engine(environment[f"{service.upper()}_DATABASE_URL"], application_name="demo")
    try:
        await migrate(engine, service)  # in this process: to start another takes longer than to migrate
    except SQLAlchemyError as error:
        raise SystemStartError(f"the database of {service} could not be migrated: {error}") from error
    finally:
        await engine.dispose()
    if service == "orders":
        await asyncio.gather(
            run_command(service, "seed-products", environment=environment),
            run_command(service, "create-operator", "--email", OPERATOR_EMAIL, environment=environment),
        )


async def run_command(service: str, *arguments: str, environment: Mapping[str, str]) -> str:
    """Run a command of a service and return what it prints. Raises SystemStartError with its last line."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        service,
        *arguments,
        env={**os.environ, **environment},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    output, _ = await process.communicate()
    text = output.decode(errors="replace")
    if process.returncode:
        last = text.strip().splitlines()[-1:]
        raise SystemStartError(f"`python -m {service} {' '.join(arguments)}` failed: {''.join(last)}")
    return text
