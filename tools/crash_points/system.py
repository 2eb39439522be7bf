"""The whole shop with a process for each role, any of which can be stopped, sent to a failpoint, and started again."""

import asyncio
from collections.abc import Callable

from backing_services.processes import HttpReady, LineReady
from shop_harness.system import Ports, System

from tools.crash_points.roles import Readiness, RoleProcess

ROLES = {
    "orders": ("api", "consumer", "relay"),
    "payments": ("consumer", "relay", "worker"),
    "notifications": ("consumer", "worker"),
}
"""Those that do something for an order."""
SHORT = {
    # who was killed keeps its partitions for a session and its tasks for a lease, which follows from these time-outs
    "KAFKA_SESSION_TIMEOUT_MS": "1500",
    "GATEWAY_TIMEOUT_SECONDS": "0.5",
    "SMTP_TIMEOUT_SECONDS": "1",  # no shorter: a slow machine's time-out after DATA is one more copy of an e-mail
}


class SystemByRole(System):
    """See System; the names of its roles are such as "orders api"."""

    def __init__(self, ports: Ports, say: Callable[[str], None]) -> None:
        super().__init__(ports, say)
        self.roles: dict[str, RoleProcess] = {}

    async def _start_services(self) -> None:
        await asyncio.gather(*(self._start_role(service, role) for service in ROLES for role in ROLES[service]))

    async def _start_role(self, service: str, name: str) -> None:
        ready: Readiness = LineReady('"consuming"' if name == "consumer" else '"starting"')
        port = 0  # a service has one port, and here several processes
        if name == "api":
            port = self.ports[service]
            ready = HttpReady(f"{self.ports.url(service)}/health/ready")
        environment, log = self.environment(service, port), self.folder / f"{service}-{name}.log"
        role = RoleProcess(service, name, environment=environment, log=log, ready=ready)
        self.roles[role.name] = role
        self._stack.push_async_callback(role.stop)
        await role.start()

    def environment(self, service: str, port: int = 0) -> dict[str, str]:
        """With time-outs that are short."""
        short = {f"{service}_{name}".upper(): value for name, value in SHORT.items()}
        return {**super().environment(service, port), **short}
