"""A run of docker-compose.yml of its own: under a random project name, on random ports, gone at the end."""

import asyncio
import json
import os
import subprocess
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest import mock
from uuid import uuid4

import httpx
from testcontainers.compose import DockerCompose
from testkit.ports import free_port
from testkit.waiting import eventually

from tests.customer import Customer

ROOT = Path(__file__).parents[2]
PROJECT = "shop-e2e"
SERVICES = ("orders", "payments", "notifications")
PORTS = {
    "orders": "ORDERS_HTTP_PORT",
    "payments": "PAYMENTS_HTTP_PORT",
    "notifications": "NOTIFICATIONS_HTTP_PORT",
    "payment-gateway": "GATEWAY_PORT",
    "mailbox": "MAILBOX_HTTP_PORT",
    "smtp": "MAILBOX_SMTP_PORT",
    "kafka": "KAFKA_PORT",
    "postgres": "POSTGRES_PORT",
}
COMMAND_LIMIT = 120.0  # seconds
PATIENCE = 60.0  # seconds: with two cores, while Kafka starts again


class ComposeError(RuntimeError):
    """Docker compose refused; the message is what it printed."""


@dataclass(frozen=True)
class Shop:
    """What a test may touch: HTTP from outside, and containers to stop and start."""

    compose: DockerCompose
    urls: Mapping[str, str]
    http: httpx.AsyncClient
    """Orders' API."""

    async def customer(self) -> Customer:
        """A new one."""
        return await Customer.registered(self.http, self._subjects, within=PATIENCE)

    async def money_of(self, order_id: str) -> list[str]:
        """The gateway's decisions about an order that moved money."""
        entries = (await self._get(f"{self.urls['payment-gateway']}/_ledger"))["entries"]
        outcomes = [entry["outcome"] for entry in entries if entry["reference"] == order_id]
        return [outcome for outcome in outcomes if outcome in {"succeeded", "refunded"}]

    async def gateway_faults(self, *faults: Mapping[str, Any]) -> None:
        """Replace the gateway's faults."""
        async with httpx.AsyncClient() as client:
            answer = await client.put(f"{self.urls['payment-gateway']}/_faults", json={"faults": faults})
        answer.raise_for_status()

    async def run(self, *arguments: str) -> str:
        """What ``docker compose`` prints. Raises ComposeError."""
        return await asyncio.to_thread(compose_output, self.compose, *arguments)

    async def is_up(self, *services: str) -> None:
        """Wait until these containers, all replicas of them, say that they are healthy."""
        await self.run("up", "--wait", "--no-recreate", "--no-deps", *services)

    async def crashes(self, service: str) -> None:
        """End a container's process at once, as a host that loses its power; it stays down."""
        await self.run("kill", service)

    async def is_back(self, service: str) -> None:
        """Start a container again."""
        await self.is_up(service)

    @asynccontextmanager
    async def replicas(self, number: int) -> AsyncIterator[Sequence[httpx.AsyncClient]]:
        """So many containers of each service inside the block, and clients of each of orders' APIs."""
        # each replica takes a port of the range, and one of them is where the service was found before
        ports = {PORTS[service]: _range_from(int(os.environ[PORTS[service]])) for service in SERVICES}
        with mock.patch.dict(os.environ, ports):
            await self._scale(number)
            found = await self.run("ps", "--format", "json", "orders")
            containers = [json.loads(line) for line in found.splitlines()]
            ports_of_orders = [container["Publishers"][0]["PublishedPort"] for container in containers]
            clients = [_api(f"http://127.0.0.1:{port}") for port in ports_of_orders]
            yield clients
            for client in clients:
                await client.aclose()
        await self._scale(1)

    @asynccontextmanager
    async def another_api(self, **environment: str) -> AsyncIterator[httpx.AsyncClient]:
        """One more process of orders' API with other settings, beside those that run."""
        port = free_port()
        settings = [part for name, value in environment.items() for part in ("--env", f"{name}={value}")]
        publish = f"127.0.0.1:{port}:8000"
        command = ["run", "--detach", "--rm", "--no-deps", *settings, "--publish", publish, "orders"]
        container = (await self.run(*command, "python", "-m", "orders", "run", "--role", "api")).split()[-1]
        try:
            async with _api(f"http://127.0.0.1:{port}") as api:
                await eventually(lambda: _answers(api), within=PATIENCE, every=0.1)
                yield api
        finally:
            await asyncio.to_thread(_output, ["docker", "stop", container])

    async def _scale(self, number: int) -> None:
        scaled = [part for service in SERVICES for part in ("--scale", f"{service}={number}")]
        await self.run("up", "--wait", "--no-deps", *scaled, *SERVICES)

    async def _subjects(self, email: str) -> list[str]:
        found = await self._get(f"{self.urls['mailbox']}/api/v1/search", query=f"to:{email}")
        return [message["Subject"] for message in found["messages"]]

    async def _get(self, url: str, **parameters: str) -> Any:
        async with httpx.AsyncClient() as client:
            return (await client.get(url, params=parameters)).raise_for_status().json()


@contextmanager
def composed() -> Iterator[tuple[DockerCompose, Mapping[str, str]]]:
    """Everything runs inside the block, built from this tree: compose, and the URLs by service."""
    ports = {service: free_port() for service in PORTS}
    environment = {
        "COMPOSE_PROJECT_NAME": f"{PROJECT}-{os.getpid()}-{uuid4().hex[:8]}",
        "ORDERS_RATE_LIMIT_PER_MINUTE": "0",
        **{PORTS[service]: str(port) for service, port in ports.items()},
    }
    with mock.patch.dict(os.environ, environment), DockerCompose(ROOT, build=True) as compose:
        yield compose, {service: f"http://127.0.0.1:{port}" for service, port in ports.items()}


@asynccontextmanager
async def open_shop() -> AsyncIterator[Shop]:
    """A shop with nobody in it."""
    with composed() as (compose, urls):
        async with _api(urls["orders"]) as http:
            yield Shop(compose, urls, http)


def compose_output(compose: DockerCompose, *arguments: str) -> str:
    """What ``docker compose`` prints. Raises ComposeError."""
    return _output([*compose.docker_compose_command(), *arguments])


def remove_left_behind() -> None:
    """End what a run left that was killed: a project has its process's id in its name."""
    listed = json.loads(_output(["docker", "compose", "ls", "--all", "--format", "json"]))
    for name in (project["Name"] for project in listed):
        if name.startswith(f"{PROJECT}-") and not Path(f"/proc/{name.split('-')[2]}").exists():
            _output(["docker", "compose", "--project-name", name, "down", "--volumes", "--timeout", "0"])


def why_not_here() -> str | None:
    """Say in a few words why the containers can't run here, or None. To pull and build takes minutes the first time."""
    services = json.loads(_output(["docker", "compose", "config", "--format", "json"]))["services"]
    images = [service["image"] for service in services.values() if "build" in service]
    missing = [image for image in images if not _is_here(image)]
    return f"there is no image {missing[0]}: run `make images`" if missing else None


def _is_here(image: str) -> bool:
    return subprocess.run(["docker", "image", "inspect", image], check=False, capture_output=True).returncode == 0  # noqa: S603, S607


def _output(command: Sequence[str]) -> str:
    done = subprocess.run(  # noqa: S603
        command, cwd=ROOT, check=False, capture_output=True, text=True, timeout=COMMAND_LIMIT
    )
    if done.returncode:
        raise ComposeError(f"{' '.join(command)} ended with {done.returncode}:\n{done.stdout}{done.stderr}")
    return done.stdout


def _range_from(port: int) -> str:
    return f"{port}-{port + 9}"


def _api(url: str) -> httpx.AsyncClient:
    return httpx.AsyncClient(base_url=f"{url}/api/v1", timeout=30)


async def _answers(api: httpx.AsyncClient) -> bool:
    try:
        return (await api.get("/products")).is_success
    except httpx.TransportError:
        return False
