"""The services, as each describes itself in its pyproject.toml: who runs or reads the whole takes them from here."""

import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from functools import cache
from importlib import import_module
from pathlib import Path

ROOT = Path(__file__).parents[3]
EMBEDDED_PARTITIONS = 4
"""Of a topic on this machine: as many as several processes can share."""


class ServiceTableError(ValueError):
    """A service doesn't say how it is wired; the message names the file and what it lacks."""


@dataclass(frozen=True)
class Service:
    """The table `[tool.shop]`: `publishes` has topics and partitions, `prepare` commands for a new database.

    `environment` is what it needs beside database, Kafka and port, without its prefix; values name what the harness
    knows, such as `{gateway_url}`.
    """

    name: str
    port: int
    publishes: Mapping[str, int]
    reads: Sequence[str]
    prepare: Sequence[Sequence[str]]
    environment: Mapping[str, str]

    @property
    def port_variable(self) -> str:
        """The variable of its port."""
        return f"{self.name.upper()}_HTTP_PORT"


def described(folder: Path) -> Service:
    """The service in a folder. Raises ServiceTableError."""
    file = folder / "pyproject.toml"
    table = tomllib.loads(file.read_text()).get("tool", {}).get("shop", {})
    wanted = [field.name for field in fields(Service) if field.name != "name"]
    if missing := [name for name in wanted if name not in table]:
        where = f"services/{folder.name}/pyproject.toml"
        raise ServiceTableError(
            f"{where}: [tool.shop] lacks {', '.join(missing)}; see services/payments/pyproject.toml"
        )
    return Service(folder.name, **{name: table[name] for name in wanted})


ALL: Mapping[str, Service] = {
    service.name: service
    for service in sorted(
        (described(file.parent) for file in ROOT.glob("services/*/pyproject.toml")), key=lambda service: service.port
    )
}
SERVICES = tuple(ALL)
SAGA = ("orders", "payments", "notifications")
"""The services that an order goes through; a service that came later only listens, and tells others."""
TOPICS: Mapping[str, int] = {topic: EMBEDDED_PARTITIONS for service in ALL.values() for topic in service.publishes}
"""With their partitions."""
HAS_PARTNER = any("{partner_url}" in value for service in ALL.values() for value in service.environment.values())
"""Whether a service asks the sandbox's partner, which runs for nobody else."""
LISTENERS: Mapping[str, tuple[str, int]] = {
    **{service.name: (service.port_variable, service.port) for service in ALL.values()},
    "gateway": ("GATEWAY_PORT", 8090),
    "mail_catcher": ("MAILBOX_HTTP_PORT", 8025),
    "smtp": ("MAILBOX_SMTP_PORT", 1025),
    "console": ("CONSOLE_HTTP_PORT", 8010),
    **({"partner": ("PARTNER_PORT", 8091)} if HAS_PARTNER else {}),
}
"""What listens: the variable that sets its port, and its usual port."""


@cache
def readers() -> Mapping[str, Mapping[str, str]]:
    """What each consumer group reads: topics by event type."""
    routes = {service: import_module(f"{service}.consumers").ROUTES for service in SERVICES}
    return {group: {route.model.type: route.model.topic for route in own} for group, own in routes.items()}


def topics_of(group: str) -> Mapping[str, int]:
    """The topics that a group reads, with their partitions."""
    return {topic: TOPICS[topic] for topic in ALL[group].reads}
