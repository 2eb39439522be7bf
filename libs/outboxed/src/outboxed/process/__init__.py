"""A service as a process: its composition, its roles, its command line."""

from typing import TYPE_CHECKING

from outboxed._extras import exports_of, extra

with extra("service", of="outboxed.process"):
    from outboxed._compat.uvicorn import HttpLimits
    from outboxed.process._composition import create_service, create_transactions
    from outboxed.process._doctor import Finding, examine
    from outboxed.process._logs import configure_logs
    from outboxed.process._metrics import Figure, Metrics
    from outboxed.process._rates import AGES, Timing
    from outboxed.process._roles import Role, bind, http_role, run_roles
    from outboxed.process._service import RoleName, Service

if TYPE_CHECKING:
    from outboxed.process._cli import CommandLine

__all__ = [
    "AGES",
    "CommandLine",
    "Figure",
    "Finding",
    "HttpLimits",
    "Metrics",
    "Role",
    "RoleName",
    "Service",
    "Timing",
    "bind",
    "configure_logs",
    "create_service",
    "create_transactions",
    "examine",
    "http_role",
    "run_roles",
]

__getattr__ = exports_of(__name__, {("cli", "_cli"): ("CommandLine",)})
