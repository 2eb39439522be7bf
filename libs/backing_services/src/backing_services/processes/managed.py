"""Run the system's services as real processes on loopback: kill them, pause them, and have them come back."""

import asyncio
import os
import signal
import subprocess
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from backing_services.processes.parent_death import bound_to_this_process
from backing_services.processes.readiness import Readiness

TAIL = 20  # log lines in an error


class ProcessFailedError(RuntimeError):
    """A process ended, or did not become ready; the message ends with its last log lines."""


@dataclass(frozen=True)
class ProcessSpec:
    """What to run: a command, extra environment variables, a file for its output, and when it counts as ready.

    `ready_within` is in seconds.
    """

    name: str
    command: Sequence[str]
    log: Path
    environment: Mapping[str, str] = field(default_factory=dict)
    ready: Readiness | None = None
    ready_within: float = 30.0
    directory: Path | None = None


class ManagedProcess:
    """One process, in a session of its own: Ctrl-C in the terminal doesn't reach it, but it dies with this process.

    Start it from a thread that lives as long as the process should: the main one (see parent_death.py).
    """

    def __init__(self, spec: ProcessSpec) -> None:
        self.spec = spec
        self._process: asyncio.subprocess.Process | None = None
        self._log_start = 0

    @property
    def name(self) -> str:
        return self.spec.name

    @property
    def pid(self) -> int:
        return self._started.pid

    @property
    def returncode(self) -> int | None:
        """None while it runs or was never started; -9 after SIGKILL, as in `subprocess`."""
        return self._process.returncode if self._process else None

    @property
    def is_running(self) -> bool:
        return self._process is not None and self._process.returncode is None

    async def start(self) -> None:
        """Start it, again after an end, and wait until it's ready. Raises ProcessFailedError."""
        await self.spawn()
        await self.wait_until_ready()

    async def spawn(self) -> None:
        """Start it and return at once; output is appended to the log."""
        if self.is_running:
            raise ProcessFailedError(f"{self.name} is running already, as process {self.pid}")
        self.spec.log.parent.mkdir(parents=True, exist_ok=True)
        with self.spec.log.open("ab") as log:
            self._log_start = log.tell()
            self._process = await asyncio.create_subprocess_exec(
                *bound_to_this_process(self.spec.command),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=self.spec.directory,
                env={**os.environ, **self.spec.environment},
                start_new_session=True,
            )

    async def wait_until_ready(self) -> None:
        """Wait for the condition of the spec. Raises ProcessFailedError if the process ends first, or time runs out."""
        if self.spec.ready is None:
            return
        ready = asyncio.create_task(self.spec.ready.wait(self.output))
        end = asyncio.create_task(self._started.wait())
        try:
            await asyncio.wait({ready, end}, timeout=self.spec.ready_within, return_when=asyncio.FIRST_COMPLETED)
            if ready.done():
                ready.result()
                return
        finally:
            ready.cancel()
            end.cancel()
            await asyncio.gather(ready, end, return_exceptions=True)
        if self.returncode is None:
            raise self.failure(f"was not ready ({self.spec.ready}) within {self.spec.ready_within:g} s")
        raise self.failure(f"ended with status {self.returncode} before it was ready")

    async def wait(self) -> int:
        """Wait for its end and return its status."""
        return await self._started.wait()

    def terminate(self) -> None:
        """SIGTERM to the process alone, which ends its own children."""
        self._signal_process(signal.SIGTERM)

    def kill(self) -> None:
        """SIGKILL to the process and all its children."""
        self._signal_group(signal.SIGKILL)

    def pause(self) -> None:
        """SIGSTOP: the process keeps its connections and locks but does nothing, as on a host that hangs."""
        self._signal_group(signal.SIGSTOP)

    def resume(self) -> None:
        """SIGCONT."""
        self._signal_group(signal.SIGCONT)

    async def stop(self, grace: float = 5.0) -> None:
        """SIGTERM, and SIGKILL after `grace` seconds."""
        if not self.is_running:
            return
        self.resume()
        self.terminate()
        try:
            async with asyncio.timeout(grace):
                await self.wait()
        except TimeoutError:
            self.kill()
            await self.wait()

    def output(self) -> str:
        """What the process wrote since its last start."""
        with self.spec.log.open("rb") as log:
            log.seek(self._log_start)
            return log.read().decode(errors="replace")

    def failure(self, what: str) -> ProcessFailedError:
        """An error that says `what` and shows the last lines of the log."""
        tail = "\n".join(self.output().splitlines()[-TAIL:])
        return ProcessFailedError(f"{self.name} {what}. The end of {self.spec.log}:\n{tail}")

    @property
    def _started(self) -> asyncio.subprocess.Process:
        if self._process is None:
            raise ProcessFailedError(f"{self.name} was not started")
        return self._process

    def _signal_process(self, number: signal.Signals) -> None:
        if self.is_running:
            self._started.send_signal(number)

    def _signal_group(self, number: signal.Signals) -> None:
        if self.is_running:
            with suppress(ProcessLookupError):  # reaped a moment ago, by asyncio's thread
                os.killpg(self.pid, number)


def end(process: subprocess.Popen[Any], how: signal.Signals, *, within: float, otherwise: signal.Signals) -> None:
    """Send the signal `how` and wait for the end; after `within` seconds, send `otherwise`."""
    process.send_signal(how)
    try:
        process.wait(within)
    except subprocess.TimeoutExpired:
        process.send_signal(otherwise)
        process.wait(within)
