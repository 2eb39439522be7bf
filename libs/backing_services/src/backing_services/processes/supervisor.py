"""Keeps processes running: one that dies is started again, one that dies too often is given up with its log."""

import asyncio
from collections import deque
from collections.abc import Callable
from types import TracebackType
from typing import Self

from backing_services.processes.managed import ManagedProcess, ProcessFailedError, ProcessSpec

LIVES = 5  # deaths
WITHIN = 30.0  # seconds


class Supervisor:
    """An async context manager that starts processes, restarts those that die, and stops all in reverse order.

    A process that dies, by itself or by `kill()`, is started again at once, and `on_restart(name, status)` is called.
    A process that dies `lives` times within 30 s is given up: `failure()` returns the reason, and the end of the
    context raises it (ProcessFailedError). A process gets SIGKILL `grace` seconds after SIGTERM.
    """

    def __init__(
        self, *, on_restart: Callable[[str, int], None] | None = None, grace: float = 5.0, lives: int = LIVES
    ) -> None:
        self._on_restart = on_restart
        self._grace = grace
        self._lives = lives
        self._processes: dict[str, ManagedProcess] = {}
        self._watchers: dict[str, asyncio.Task[None]] = {}
        self._failure: asyncio.Future[ProcessFailedError] | None = None

    async def start(self, spec: ProcessSpec) -> ManagedProcess:
        """Start a process, wait until it's ready and keep it running from then on. Raises ProcessFailedError."""
        if spec.name in self._watchers:
            raise ProcessFailedError(f"there is a process named {spec.name} already")
        process = ManagedProcess(spec)
        self._processes[spec.name] = process
        try:
            await process.start()
        except BaseException:
            del self._processes[spec.name]
            await process.stop(self._grace)
            raise
        self._watchers[spec.name] = asyncio.create_task(self._keep_running(process), name=f"watch {spec.name}")
        return process

    def process(self, name: str) -> ManagedProcess:
        """A process that was started, to kill or pause it. Raises KeyError."""
        return self._processes[name]

    async def stop(self, name: str) -> None:
        """Stop one process for good, or until it's started again."""
        watcher = self._watchers.pop(name)
        watcher.cancel()
        await asyncio.gather(watcher, return_exceptions=True)
        await self._processes.pop(name).stop(self._grace)

    async def stop_all(self) -> None:
        """Stop all processes, the last one started first."""
        for name in reversed(list(self._watchers)):
            await self.stop(name)

    async def failure(self) -> ProcessFailedError:
        """Wait until a process is given up, and return the reason."""
        return await asyncio.shield(self._given_up)

    async def __aenter__(self) -> Self:
        self._failure = asyncio.get_running_loop().create_future()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop_all()
        if error is None and self._given_up.done():
            raise self._given_up.result()

    @property
    def _given_up(self) -> asyncio.Future[ProcessFailedError]:
        if self._failure is None:
            raise ProcessFailedError("use the supervisor in `async with`")
        return self._failure

    async def _keep_running(self, process: ManagedProcess) -> None:
        deaths: deque[float] = deque(maxlen=self._lives)
        clock = asyncio.get_running_loop().time
        while True:
            status = await process.wait()
            deaths.append(clock())
            if len(deaths) == self._lives and deaths[-1] - deaths[0] < WITHIN:
                self._give_up(
                    process.failure(f"died {self._lives} times within {WITHIN:g} s, last with status {status}")
                )
                return
            if self._on_restart:
                self._on_restart(process.name, status)
            try:
                await process.spawn()
            except OSError as error:
                self._give_up(process.failure(f"could not be started again: {error.strerror}"))
                return

    def _give_up(self, reason: ProcessFailedError) -> None:
        if not self._given_up.done():
            self._given_up.set_result(reason)
