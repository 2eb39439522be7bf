"""A run of docker-compose.yml of its own: under a random project name, on random ports, gone at the end."""

import asyncio
import json
import os
import re
import subprocess
import sys
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self
from uuid import uuid4

import httpx
from backing_services.processes import free_port
from backing_services.waiting import eventually
from shop_harness.customers import API
from shop_harness.services import LISTENERS

from tests.customer import Customer

ROOT = Path(__file__).parents[2]
PROJECT = "shop-e2e"
PORTS = {
    **{name: variable for name, (variable, _) in LISTENERS.items()},
    "kafka": "KAFKA_PORT",
    "postgres": "POSTGRES_PORT",
    "prometheus": "PROMETHEUS_PORT",
    "alertmanager": "ALERTMANAGER_PORT",
}
"""The variables of what is published."""
LEFT_BEHIND = re.compile(rf"{PROJECT}-(\d+)-[0-9a-f]{{8}}")
PASSWORDS = (
    "POSTGRES_PASSWORD",
    "ORDERS_DATABASE_PASSWORD",
    "PAYMENTS_DATABASE_PASSWORD",
    "NOTIFICATIONS_DATABASE_PASSWORD",
)
ANY_PASSWORD = r"p@/:%#?&=+ ü'\"\%40"
"""Nothing in it may mean anything to a URL, a shell or SQL."""
DOWN = ("--profile", "*", "down", "--volumes", "--remove-orphans", "--timeout", "0")
"""With what a profile started; one-off containers are orphans."""
WATCHING = ("--profile", "observability")
NEVER_STARTED = {"grafana", "jaeger", "otel-collector"}
"""Of that profile: they have no stand-ins, and no test."""
COMMAND_LIMIT = 120.0  # seconds
PULL_LIMIT = 300.0  # seconds, for one image
BUILD_LIMIT = 1200.0  # seconds
START_LIMIT = 300.0  # seconds
LINES_OF_LOGS = "50"  # of each container
HTTP_LIMIT = 30.0  # seconds
PATIENCE = 60.0  # seconds: with two cores, while Kafka starts again


class ComposeError(RuntimeError):
    """Docker compose refused; the message is what it printed."""


class Project:
    """Containers of docker-compose.yml, all or some, built from this tree; a context manager that leaves nothing."""

    def __init__(self, *services: str, **settings: str) -> None:
        self._services = services
        self.urls: dict[str, str] = {}
        self._settings = {
            "COMPOSE_PROJECT_NAME": f"{PROJECT}-{os.getpid()}-{uuid4().hex[:8]}",
            "ORDERS_RATE_LIMIT_PER_MINUTE": "0",
            # a call that a crash cut off is tried again after its lease, which follows from its time-out
            "PAYMENTS_GATEWAY_TIMEOUT_SECONDS": "1",
            "NOTIFICATIONS_SMTP_TIMEOUT_SECONDS": "1",
            **dict.fromkeys(PASSWORDS, ANY_PASSWORD),
            **settings,
        }

    def output(self, *arguments: str, limit: float = COMMAND_LIMIT) -> str:
        """What `docker compose` prints. Raises ComposeError."""
        return _output(["docker", "compose", *arguments], limit, **self._settings)

    def logs_of(self, order_id: str) -> str:
        """What `make logs ORDER=... ARGS=--compose` prints. Raises ComposeError."""
        return _output([sys.executable, "-m", "tools.logs", order_id, "--compose"], **self._settings)

    def __enter__(self) -> Self:
        self._settings["REVISION"] = revision()
        self.output("build", "--quiet", limit=BUILD_LIMIT)
        self._choose_ports()
        try:
            self.output("up", "--wait", "--detach", *self._services, limit=START_LIMIT)
        except ComposeError as error:
            logs = self._logs()
            self._end()
            raise ComposeError(f"{error}\n{logs}") from None
        return self

    def __exit__(self, *error: object) -> None:
        self._end()

    def _choose_ports(self) -> None:
        """After the build, which takes minutes: meanwhile others would take them."""
        ports = {service: free_port() for service in PORTS}
        self.urls = {service: f"http://127.0.0.1:{port}" for service, port in ports.items()}
        self._settings |= {PORTS[service]: str(port) for service, port in ports.items()}

    def _logs(self) -> str:
        try:
            return self.output("logs", "--no-color", "--tail", LINES_OF_LOGS)
        except ComposeError as error:  # raised, it would hide the failure that the logs are for
            return str(error)

    def _end(self) -> None:
        self.output(*DOWN)


def revision() -> str:
    """What `make images` labels its images with, too."""
    return _output(["git", "describe", "--always", "--abbrev=40", "--dirty"]).strip()


@dataclass(frozen=True)
class ComposedShop:
    """What a test may touch: HTTP from outside, and containers to stop and start."""

    project: "Project"
    http: httpx.AsyncClient
    """Orders' API; other addresses are given whole."""

    @property
    def urls(self) -> Mapping[str, str]:
        return self.project.urls

    async def customer(self) -> Customer:
        """A new one."""
        return await Customer.registered(self.http, self._subjects, within=PATIENCE)

    async def money_of(self, order_id: str) -> list[str]:
        """The gateway's decisions about an order that moved money."""
        entries = (await self._get(f"{self.urls['gateway']}/_ledger"))["entries"]
        outcomes = [entry["outcome"] for entry in entries if entry["reference"] == order_id]
        return [outcome for outcome in outcomes if outcome in {"succeeded", "refunded"}]

    async def gateway_faults(self, *faults: Mapping[str, Any]) -> None:
        """Replace the gateway's faults."""
        answer = await self.http.put(f"{self.urls['gateway']}/_faults", json={"faults": faults})
        answer.raise_for_status()

    async def run(self, *arguments: str) -> str:
        """What `docker compose` prints. Raises ComposeError."""
        return await asyncio.to_thread(self.project.output, *arguments)

    async def docker(self, *arguments: str) -> str:
        """What `docker` prints. Raises ComposeError."""
        return await asyncio.to_thread(_output, ["docker", *arguments])

    async def crash(self, *services: str) -> None:
        """End containers at once, as a host that loses its power; they stay down."""
        # not by `docker compose kill`, which ends what another() started, too
        containers = (await self.run("ps", "--quiet", *services)).split()
        await self.docker("kill", *containers)

    async def are_back(self, *services: str) -> None:
        """Start containers again, and wait until they are healthy."""
        await self.run("up", "--wait", "--no-recreate", "--no-deps", *services)

    @asynccontextmanager
    async def another(self, service: str, *arguments: str, **environment: str) -> AsyncIterator[httpx.AsyncClient]:
        """One more container of a service beside its first, with other settings if given, and a client of its API."""
        settings = [part for name, value in environment.items() for part in ("--env", f"{name}={value}")]
        port, (_, inside) = free_port(), LISTENERS[service]
        publish = ("--publish", f"127.0.0.1:{port}:{inside}")
        command = [service, "python", "-m", service, "run", *arguments]
        started = await self.run("run", "--detach", "--rm", "--no-deps", *settings, *publish, *command)
        container = started.split()[-1]
        try:
            async with httpx.AsyncClient(
                base_url=f"http://127.0.0.1:{port}{API}", timeout=HTTP_LIMIT, trust_env=False
            ) as http:
                await eventually(lambda: _is_ready(http), within=PATIENCE, every=0.1)
                yield http
        finally:
            await self.docker("stop", container)

    async def _subjects(self, email: str) -> list[str]:
        found = await self._get(f"{self.urls['mail_catcher']}/api/v1/search", query=f"to:{email}")
        # a crash may send a mail again: under its Message-ID, by which mail programs show it once
        return list({message["MessageID"]: message["Subject"] for message in found["messages"]}.values())

    async def _get(self, url: str, **parameters: str) -> Any:
        return (await self.http.get(url, params=parameters)).raise_for_status().json()


@asynccontextmanager
async def open_shop() -> AsyncIterator[ComposedShop]:
    """A shop with nobody in it."""
    with Project() as project:
        async with httpx.AsyncClient(
            base_url=f"{project.urls['orders']}{API}", timeout=HTTP_LIMIT, trust_env=False
        ) as http:
            yield ComposedShop(project, http)


def remove_left_behind() -> None:
    """End what a run left that was killed: a project has its process's id in its name."""
    for project in json.loads(_output(["docker", "compose", "ls", "--all", "--format", "json"])):
        found = LEFT_BEHIND.fullmatch(project["Name"])
        if found and not _runs(int(found[1])):
            _output(["docker", "compose", "--project-name", project["Name"], *DOWN])


def _runs(process_id: int) -> bool:
    try:
        with suppress(PermissionError):  # it runs, as somebody else's
            os.kill(process_id, 0)
    except ProcessLookupError:
        return False
    return True


def why_not_here() -> str | None:
    """Say in one sentence why the containers can't run here, or None. Pulls what is missing and isn't built here.

    To build takes minutes the first time.
    """
    try:
        services = json.loads(_output(["docker", "compose", *WATCHING, "config", "--format", "json"]))["services"]
    except (OSError, ComposeError) as error:
        return f"docker compose can't be run: {_last_line(error)}"
    images = {service["image"]: "build" in service for name, service in services.items() if name not in NEVER_STARTED}
    missing = [image for image in images if not _is_here(image)]
    if built := [image for image in missing if images[image]]:
        return f"there is no image {built[0]}: run `make images`"
    return next(filter(None, map(_why_not_pulled, missing)), None)


def _is_here(image: str) -> bool:
    return subprocess.run(["docker", "image", "inspect", image], check=False, capture_output=True).returncode == 0  # noqa: S603, S607


def _why_not_pulled(image: str) -> str | None:
    try:
        _output(["docker", "pull", "--quiet", image], PULL_LIMIT)
    except ComposeError as error:
        return (
            f"the Docker engine has no image {image}, and can't pull it ({_last_line(error)}): "
            "let it reach a registry, or run `make images-offline`"
        )
    return None


def _last_line(error: Exception) -> str:
    return str(error).strip().splitlines()[-1]


def _output(command: Sequence[str], limit: float = COMMAND_LIMIT, /, **settings: str) -> str:
    try:
        done = subprocess.run(  # noqa: S603
            command,
            cwd=ROOT,
            env={**os.environ, **settings},
            check=False,
            capture_output=True,
            text=True,
            timeout=limit,
        )
    except subprocess.TimeoutExpired as error:
        raise ComposeError(str(error)) from None
    if done.returncode:
        raise ComposeError(f"{' '.join(command)} ended with {done.returncode}:\n{done.stdout}{done.stderr}")
    return done.stdout


async def _is_ready(http: httpx.AsyncClient) -> bool:
    try:
        return (await http.get(http.base_url.join("/health/ready"))).is_success
    except httpx.TransportError:
        return False
