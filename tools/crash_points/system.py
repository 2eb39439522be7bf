"""The whole shop with a process for each role, any of which can be stopped, sent to a failpoint, and started again."""

import asyncio
from dataclasses import dataclass, field

from backing_services.processes import HttpReady, LineReady
from shop_harness.system import System

from tools.crash_points.roles import Readiness, Role

ROLES = {
    "orders": ("api", "consumer", "relay"),
    "payments": ("consumer", "relay", "worker"),
    "notifications": ("consumer", "worker"),
}
"""Those that an order's way leads through."""
SHORT = {
    # who was killed keeps its partitions for a session and its tasks for a lease, which follows from these time-outs
    "KAFKA_SESSION_TIMEOUT_MS": "1500",
    "GATEWAY_TIMEOUT_SECONDS": "0.5",
    "SMTP_TIMEOUT_SECONDS": "1",  # no shorter: a slow machine's time-out after DATA is one more copy of an e-mail
}


@dataclass
class Stage(System):
    """See System; the names of its roles are such as "orders api"."""

    roles: dict[str, Role] = field(init=False, default_factory=dict)

    async def _start_service(self, service: str) -> None:
        await asyncio.gather(*(self._start_role(service, role) for role in ROLES[service]))

    async def _start_role(self, service: str, name: str) -> None:
        environment = self._environment(service)
        ready: Readiness = LineReady('"consuming"' if name == "consumer" else '"starting"')
        if name == "api":
            ready = HttpReady(f"{self.ports.url(service)}/health/ready")
        else:
            environment[f"{service}_HTTP_PORT".upper()] = "0"  # a service has one port, and here several processes
        role = Role(service, name, environment=environment, log=self._folder / f"{service}-{name}.log", ready=ready)
        self.roles[role.name] = role
        self._stack.push_async_callback(role.stop)
        await role.start()

    def _environment(self, service: str) -> dict[str, str]:
        short = {f"{service}_{name}".upper(): value for name, value in SHORT.items()}
        return {**super()._environment(service), **short}
