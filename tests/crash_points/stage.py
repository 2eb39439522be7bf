"""The whole shop with a process for each role, any of which can be stopped, sent to a failpoint, and started again."""

import asyncio
import signal
import sys
from dataclasses import dataclass, field
from pathlib import Path

from chassis.failpoints import VARIABLE
from shop_demo.system import System
from testkit.processes import ManagedProcess, ProcessSpec
from testkit.readiness import HttpReady, LineReady, Readiness

ROLES = {
    "orders": ("api", "consumer", "relay", "worker"),
    "payments": ("consumer", "relay", "worker"),
    "notifications": ("consumer", "worker"),
}
"""Those that an order's way leads through."""
READY_WITHIN = 60.0  # seconds: many start at once
ENDS_WITHIN = 60.0  # seconds
SHORT = {
    # who was killed keeps its partitions for a session and its tasks for a lease, which follows from these time-outs
    "KAFKA_SESSION_TIMEOUT_MS": "1500",
    "GATEWAY_TIMEOUT_SECONDS": "0.5",
    "SMTP_TIMEOUT_SECONDS": "0.5",
}


class NotReachedError(RuntimeError):
    """A process did not end where it should: the harness leads nobody there, or the step is no more."""


class Role:
    """``python -m <service> --role <role>``, one process at a time."""

    def __init__(self, spec: ProcessSpec) -> None:
        self._spec = spec
        self._process = ManagedProcess(spec)

    async def start(self) -> None:
        """Start it as in production, and wait until it's ready."""
        self._process = ManagedProcess(self._spec)
        await self._process.start()

    async def stop(self) -> None:
        """End it in good order."""
        await self._process.stop()

    async def end_at(self, failpoint: str) -> None:
        """Start it with a failpoint and wait until that has killed it. Raises NotReachedError."""
        environment = {**self._spec.environment, VARIABLE: failpoint}
        spec = ProcessSpec(self._spec.name, self._spec.command, self._spec.log, environment)
        self._process = ManagedProcess(spec)
        await self._process.start()
        try:
            status = await asyncio.wait_for(self._process.wait(), ENDS_WITHIN)
        except TimeoutError:
            raise NotReachedError(str(self._process.failure(f"never came to {failpoint}"))) from None
        if status != -signal.SIGKILL:
            raise NotReachedError(str(self._process.failure(f"ended with {status} instead of at {failpoint}")))


@dataclass
class Stage(System):
    """See System; the names of its roles are such as "orders api"."""

    roles: dict[str, Role] = field(init=False, default_factory=dict)

    async def _start_service(self, service: str) -> None:
        await asyncio.gather(*(self._start_role(service, role) for role in ROLES[service]))

    async def _start_role(self, service: str, role: str) -> None:
        name = f"{service} {role}"
        log = self._folder / f"{name}.log"
        self.roles[name] = Role(self._spec(service, role, log))
        self._stack.push_async_callback(self.roles[name].stop)
        await self.roles[name].start()

    def _spec(self, service: str, role: str, log: Path) -> ProcessSpec:
        environment = dict(self._environment(service))
        ready: Readiness = LineReady('"consuming"' if role == "consumer" else '"starting"')
        if role == "api":
            ready = HttpReady(f"{self.ports.url(service)}/health/ready")
        else:
            environment[f"{service}_HTTP_PORT".upper()] = "0"  # a service has one port, and here several processes
        command = [sys.executable, "-m", service, "--role", role]
        return ProcessSpec(f"{service} {role}", command, log, environment, ready, READY_WITHIN)

    def _environment(self, service: str) -> dict[str, str]:
        short = {f"{service}_{name}".upper(): value for name, value in SHORT.items()}
        return {**super()._environment(service), **short}
