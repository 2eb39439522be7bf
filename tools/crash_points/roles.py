"""Roles as processes, forked from one that has imported their libraries, which halves the cost of a start.

Nothing of ours is imported before the fork, so a process reads its environment as `python -m orders` would.
"""

import asyncio
import multiprocessing
import os
import runpy
import signal
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Protocol

from tools.bench_imports.libraries import LIBRARIES

PRELOADED = (
    *LIBRARIES,
    "aiosmtplib",
    "alembic.command",
    "argon2",
    "rich.table",
    "sqlalchemy.dialects.postgresql.asyncpg",
)
READY_WITHIN = 60.0  # seconds: many start at once
ENDS_WITHIN = 180.0  # seconds: the processes that lead there are being killed, too
STOPS_WITHIN = 5.0  # seconds
TAIL = 20  # log lines in an error


class NotReachedError(RuntimeError):
    """A process did not reach its point: the scenario doesn't lead there, or the step is gone."""


class Readiness(Protocol):
    """See backing_services.processes.readiness, which a forked process need not import."""

    async def wait(self, output: Callable[[], str]) -> None: ...


class RoleProcess:
    """`python -m <service> --role <role>`, one process at a time."""

    def __init__(self, service: str, role: str, *, environment: Mapping[str, str], log: Path, ready: Readiness) -> None:
        self.name = f"{service} {role}"
        self._command: Sequence[str] = (service, "--role", role)
        self._environment = environment
        self._log = log
        self._log_start = 0
        self._ready = ready
        self._process: BaseProcess | None = None

    async def start(self) -> None:
        """Start it as in production, and wait until it's ready. Raises NotReachedError."""
        self._spawn({})
        try:
            async with asyncio.timeout(READY_WITHIN):
                await self._ready.wait(self._output)
        except TimeoutError:
            raise self._failure("was not ready") from None

    async def stop(self) -> None:
        """End it in good order."""
        if self._process is None:
            return
        self._process.terminate()
        await _end_of(self._process, within=STOPS_WITHIN)
        self._process.kill()
        await _end_of(self._process, within=STOPS_WITHIN)

    async def end_at(self, failpoint: Mapping[str, str]) -> None:
        """Start it with a failpoint and wait until the failpoint has killed it. Raises NotReachedError."""
        process = self._spawn(failpoint)
        await _end_of(process, within=ENDS_WITHIN)
        if process.exitcode != -signal.SIGKILL:
            raise self._failure(f"has status {process.exitcode} instead of being killed at {failpoint}")

    def _spawn(self, failpoint: Mapping[str, str]) -> BaseProcess:
        context = multiprocessing.get_context("forkserver")
        context.set_forkserver_preload(list(PRELOADED))
        self._log.touch()
        self._log_start = self._log.stat().st_size
        arguments = (self._command, {**self._environment, **failpoint}, self._log)
        self._process = context.Process(target=_become, args=arguments, name=self.name)
        self._process.start()
        return self._process

    def _output(self) -> str:
        with self._log.open("rb") as log:
            log.seek(self._log_start)
            return log.read().decode(errors="replace")

    def _failure(self, what: str) -> NotReachedError:
        tail = "\n".join(self._output().splitlines()[-TAIL:])
        return NotReachedError(f"{self.name} {what}. The end of its log:\n{tail}")


async def _end_of(process: BaseProcess, *, within: float) -> None:
    """Return when the process has ended, or after `within` seconds."""
    loop, ended = asyncio.get_running_loop(), asyncio.Event()
    loop.add_reader(process.sentinel, ended.set)
    try:
        with suppress(TimeoutError):
            async with asyncio.timeout(within):
                await ended.wait()
    finally:
        loop.remove_reader(process.sentinel)


def _become(command: Sequence[str], environment: Mapping[str, str], log: Path) -> None:
    """Turn this process into `python -m <command>`."""
    threading.Thread(target=_end_with_parent, daemon=True).start()
    os.environ.update(environment)
    with log.open("ab") as file:
        os.dup2(file.fileno(), sys.stdout.fileno())
        os.dup2(file.fileno(), sys.stderr.fileno())
    if "outboxed" in sys.modules:  # it reads the failpoint when it is imported
        sys.exit("crash-points: the harness imports outboxed before the fork, so no failpoint would be reached")
    sys.argv = list(command)
    runpy.run_module(command[0], run_name="__main__", alter_sys=True)


def _end_with_parent() -> None:
    """End with the harness, even if the harness is killed."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)
