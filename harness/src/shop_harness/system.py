"""The whole system on this machine: PostgreSQL, Kafka, the sandbox and the services, each a process."""

import asyncio
import json
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from backing_services.choice import choose_kafka
from backing_services.kafka import KafkaCluster, KafkaError
from backing_services.postgres import EmbeddedPostgres, PostgresError
from backing_services.processes import (
    HttpReady,
    ManagedProcess,
    ProcessFailedError,
    ProcessSpec,
    Supervisor,
    free_port,
    is_free,
)
from backing_services.processes.temporary import TemporaryFolder
from outboxed.storage import create_engine, migrate, reason_of
from sqlalchemy.exc import SQLAlchemyError

from shop_harness.services import ALL, HAS_PARTNER, LISTENERS, ROOT, SERVICES, TOPICS

MOCK_LIMITS = {"KAFKA_SESSION_TIMEOUT_MS": "2000", "KAFKA_FETCH_MAX_WAIT_MS": "20"}
OPERATOR_EMAIL = "operator@shop.example"
OPERATOR_PASSWORD = "operator of the harness"  # noqa: S105 - lives as long as the system
LOOPBACK = "127.0.0.1"
LAST_PORT = 65535
READY_WITHIN = 60.0
MAIL_CATCHER_ROOM = "1000000"
"""E-mails that are kept: a ledger that forgets proves nothing."""
HEALTH = {
    "payment gateway": ("gateway", "/health"),
    "mail catcher": ("mail_catcher", "/livez"),
    "partner": ("partner", "/health"),
}
"""Where a process says that it is well; a service does at /health/ready."""


class SystemStartError(RuntimeError):
    """The system can't start; the message is one line for a person."""


FOR_A_PERSON = (KafkaError, PostgresError, ProcessFailedError, SystemStartError)
"""What a system raises: each message is for a person."""


@dataclass(frozen=True)
class Ports:
    """Where everything listens, on loopback; the names are those of LISTENERS."""

    numbers: Mapping[str, int]

    @classmethod
    def usual(cls) -> Self:
        """Those that docs/start/run-it.md shows."""
        return cls({name: usual for name, (_, usual) in LISTENERS.items()})

    @classmethod
    def free(cls) -> Self:
        """Ports that nobody uses now."""
        return cls({name: free_port() for name in LISTENERS})

    @classmethod
    def from_environment(cls) -> Self:
        """The usual ones, or what the programs' own variables say. Raises SystemStartError for a busy one."""
        ports = cls({name: _port(variable, usual) for name, (variable, usual) in LISTENERS.items()})
        for name, (variable, _) in LISTENERS.items():
            if not is_free(port := ports[name]):
                raise SystemStartError(f"port {port} for {name} is in use: stop who has it, or set {variable}")
        return ports

    def __getitem__(self, name: str) -> int:
        return self.numbers[name]

    def url(self, name: str) -> str:
        """The base URL of a process."""
        return f"http://{LOOPBACK}:{self[name]}"


def _named(service: str, settings: Mapping[str, str]) -> dict[str, str]:
    return {f"{service}_{name}".upper(): value for name, value in settings.items()}


def _port(variable: str, default: int) -> int:
    value = os.environ.get(variable, str(default))
    if not (value.isascii() and value.isdigit() and len(value) <= len(str(LAST_PORT)) and int(value) <= LAST_PORT):
        raise SystemStartError(f"{variable} must be a port, not {value!r}")
    return int(value)


class System:
    """An async context manager: everything runs inside, and no process is left afterwards.

    `say(line)` tells a person what happens. `folder` gets logs and ledgers, a temporary one unless given.
    `given` are variables that win over what a service's table says. A subclass chooses other servers, or other
    processes of a service.
    Raises one of FOR_A_PERSON.
    """

    postgres: EmbeddedPostgres
    kafka: KafkaCluster

    def __init__(
        self,
        ports: Ports,
        say: Callable[[str], None],
        *,
        folder: Path | None = None,
        given: Mapping[str, str] | None = None,
        supervisor: Supervisor | None = None,
    ) -> None:
        self.ports = ports
        self.say = say
        self.supervisor = supervisor or Supervisor(on_restart=self._tell_restart)
        self._stack = AsyncExitStack()
        self._given_folder = folder
        self._given = given or {}

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

    def environment(self, service: str, port: int = 0) -> dict[str, str]:
        """The variables of a process of a service, which listens at `port`."""
        database_url, bootstrap_servers = self._addresses(service)
        settings = {
            "DATABASE_URL": database_url,
            "HTTP_PORT": str(port),
            "KAFKA_BOOTSTRAP_SERVERS": bootstrap_servers,
            **({} if self.kafka.is_real else MOCK_LIMITS),
        }
        return _named(service, settings) | self.own_environment(service)

    def own_environment(self, service: str) -> dict[str, str]:
        """What its table says of a service."""
        own = {name: value.format(**self._known()) for name, value in ALL[service].environment.items()}
        return {name: self._given.get(name, value) for name, value in _named(service, own).items()}

    def _known(self) -> Mapping[str, object]:
        """What a service's table may name."""
        return {
            "gateway_url": self.ports.url("gateway"),
            "operator_email": OPERATOR_EMAIL,
            "operator_password": OPERATOR_PASSWORD,
            "smtp_host": LOOPBACK,
            "smtp_port": self.ports["smtp"],
            **({"partner_url": self.ports.url("partner")} if HAS_PARTNER else {}),
        }

    async def start_service(self, service: str) -> ManagedProcess:
        """Start the one process of a service, and keep it running."""
        return await self._run(service, service, self.environment(service, self.ports[service]))

    async def start_console(self, settings_of_breaking: Mapping[str, str] | None = None) -> ManagedProcess:
        """Start the console, which shows what all the others do, and keep it running."""
        settings = {
            "HTTP_PORT": str(self.ports["console"]),
            "SERVICES": json.dumps({service: self.ports.url(service) for service in SERVICES}),
            "GATEWAY_URL": self.ports.url("gateway"),
            "MAILBOX_URL": self.ports.url("mail_catcher"),
            "KAFKA_BOOTSTRAP_SERVERS": self.kafka.bootstrap_servers,
            "CONTRACTS": str(ROOT / "contracts" / "pacts"),
            **(settings_of_breaking or {}),
        }
        return await self._run("console", "shop_console", _named("console", settings), "run")

    # --- what a subclass may do otherwise ---

    async def _start_servers(self) -> None:
        self.postgres = self._stack.enter_context(EmbeddedPostgres(durable=True, port=0))
        self.kafka = choose_kafka()
        self._stack.callback(self.kafka.stop)
        self.kafka.start()

    def _addresses(self, service: str) -> tuple[str, str]:
        """Where a service reaches its database and Kafka."""
        return self.database_url(service), self.kafka.bootstrap_servers

    async def _start_services(self) -> None:
        await asyncio.gather(*(self.start_service(service) for service in SERVICES))

    # --- what all have in common ---

    async def _start(self) -> None:
        self.folder = self._given_folder or self._temporary_folder()
        self.say(f"starting everything; its logs are in {self.folder}")
        await self._start_servers()
        await self.kafka.create_topics(TOPICS)
        self.say(f"PostgreSQL {self.postgres.name}, Kafka {self.kafka.name}")
        await self._stack.enter_async_context(self.supervisor)
        await asyncio.gather(self._start_sandbox(), *(self._prepare(service) for service in SERVICES))
        await self._start_services()

    def _temporary_folder(self) -> Path:
        self._temporary = TemporaryFolder("shop-", in_memory=False)  # which ends with the last reference to it
        self._stack.callback(self._temporary.remove)
        return self._temporary.path

    async def _prepare(self, service: str) -> None:
        """Bring a service's new database to life: its schema, and what its commands put into it."""
        await self.postgres.create_database(service)
        engine, environment = (
            create_engine(self.database_url(service), application_name="harness"),
            self.environment(service),
        )
        try:
            await migrate(engine, service)  # in this process: to start another takes longer than to migrate
        except SQLAlchemyError as error:
            raise SystemStartError(f"the database of {service} could not be migrated: {reason_of(error)}") from error
        finally:
            await engine.dispose()
        commands = [[part.format(**self._known()) for part in command] for command in ALL[service].prepare]
        await asyncio.gather(*(run_command(service, *command, environment=environment) for command in commands))

    async def _start_sandbox(self) -> None:
        ports = {variable: str(self.ports[name]) for name, (variable, _) in LISTENERS.items()}
        gateway = {**ports, "GATEWAY_LEDGER_PATH": str(self.folder / "ledger.sqlite3")}
        mail_catcher = {**ports, "MAILBOX_MAX_MESSAGES": MAIL_CATCHER_ROOM}
        await asyncio.gather(
            self._run("payment gateway", "payment_gateway", gateway),
            self._run("mail catcher", "mail_catcher", mail_catcher),
            *([self._run("partner", "partner", ports)] if HAS_PARTNER else []),
        )

    async def _run(
        self,
        name: str,
        module: str,
        environment: Mapping[str, str],
        *arguments: str,
        port: int | None = None,
        python: Sequence[str] = (sys.executable,),
    ) -> ManagedProcess:
        log = self.folder / f"{name.replace(' ', '-')}.log"
        ready = HttpReady(f"http://{LOOPBACK}:{port}/health/ready" if port else self._health_url(name))
        command = [*python, "-m", module, *arguments]
        return await self.supervisor.start(ProcessSpec(name, command, log, environment, ready, READY_WITHIN))

    def _health_url(self, name: str) -> str:
        listener, path = HEALTH.get(name, (name, "/health/ready"))
        return f"{self.ports.url(listener)}{path}"

    def _tell_restart(self, name: str, status: int) -> None:
        how = f"was killed by signal {-status}" if status < 0 else f"ended with status {status}"
        self.say(f"{name} {how}: starting it again")
        task = asyncio.ensure_future(self._tell_when_back(name))
        self._stack.callback(task.cancel)

    async def _tell_when_back(self, name: str) -> None:
        begun = asyncio.get_running_loop().time()
        await HttpReady(self._health_url(name)).wait(str)
        self.say(f"{name} is back after {asyncio.get_running_loop().time() - begun:.1f} s")


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
