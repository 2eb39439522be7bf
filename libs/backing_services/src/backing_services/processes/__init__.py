"""Programs that a test starts, watches, kills and waits for, and free ports for them."""

from backing_services.processes.free_ports import free_port, is_free
from backing_services.processes.managed import ManagedProcess, ProcessFailedError, ProcessSpec
from backing_services.processes.readiness import HttpReady, LineReady, Readiness
from backing_services.processes.supervisor import Supervisor

__all__ = [
    "HttpReady",
    "LineReady",
    "ManagedProcess",
    "ProcessFailedError",
    "ProcessSpec",
    "Readiness",
    "Supervisor",
    "free_port",
    "is_free",
]
