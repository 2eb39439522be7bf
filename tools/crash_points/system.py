"""The whole shop with a process for each role; each can be stopped, sent to a failpoint, and started again."""

import asyncio
from collections.abc import Callable
from typing import Any

from backing_services.postgres import connected
from backing_services.processes import HttpReady, LineReady
from shop_harness.system import Ports, System

from tools.crash_points.roles import Readiness, RoleProcess

ROLES = {
    "orders": ("api", "consumer", "relay"),
    "payments": ("consumer", "relay", "worker"),
    "notifications": ("consumer", "worker"),
}
"""The roles that do something for an order."""
SHORT = {
    # a killed process keeps its partitions for a session and its tasks for a lease, which follows from these time-outs
    "KAFKA_SESSION_TIMEOUT_MS": "1500",
    "GATEWAY_TIMEOUT_SECONDS": "0.5",
    "SMTP_TIMEOUT_SECONDS": "1",  # no shorter: a slow machine's time-out after DATA is one more copy of an e-mail
}
WAITING = {
    "relay": "select exists (select from outbox)",
    "worker": """
        select exists (select from tasks where greatest(due_at, leased_until) <= clock_timestamp())
    """,
}
"""Whether a role has work that no other process takes; an API and a consumer wait until they are asked."""

UNSENDABLE = "insert into outbox (topic, key, value, headers) values ('orders', $1, '{}', '[]')"


class SystemByRole(System):
    """See System; a role's name is such as "orders api"."""

    def __init__(self, ports: Ports, say: Callable[[str], None]) -> None:
        super().__init__(ports, say)
        self.roles: dict[str, RoleProcess] = {}

    def environment(self, service: str, port: int = 0) -> dict[str, str]:
        """The environment, with short time-outs."""
        short = {f"{service}_{name}".upper(): value for name, value in SHORT.items()}
        return {**super().environment(service, port), **short}

    async def status_of(self, order_id: str) -> str:
        """An order's status."""
        return str(await self._value("orders", "select status from orders where id = $1::text::uuid", order_id))

    async def put_unsendable_row(self, key: str) -> None:
        """Put a row into the outbox of orders whose headers no producer can send."""
        await self._value("orders", UNSENDABLE, key)

    async def has_work(self, process: str) -> bool:
        """Whether there is something that only this process would do."""
        service, role = process.split()
        return role not in WAITING or bool(await self._value(service, WAITING[role]))

    async def _start_services(self) -> None:
        await asyncio.gather(*(self._start_role(service, role) for service in ROLES for role in ROLES[service]))

    async def _start_role(self, service: str, name: str) -> None:
        ready: Readiness = LineReady('"consuming"' if name == "consumer" else '"starting"')
        port = 0  # a service has one port, but several processes here
        if name == "api":
            port = self.ports[service]
            ready = HttpReady(f"{self.ports.url(service)}/health/ready")
        environment, log = self.environment(service, port), self.folder / f"{service}-{name}.log"
        role = RoleProcess(service, name, environment=environment, log=log, ready=ready)
        self.roles[role.name] = role
        self._stack.push_async_callback(role.stop)
        await role.start()

    async def _value(self, service: str, query: str, *values: object) -> Any:
        async with connected(self.database_url(service)) as connection:
            return await connection.fetchval(query, *values)
