"""One process runs several roles: a signal, or the end of any role, stops them all, each within its own grace."""

import asyncio
import ctypes
import gc
import os
import signal
import socket
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

import anyio
import structlog
from fastapi import FastAPI

from outboxed._compat.uvicorn import HttpLimits, Server, config
from outboxed.errors import ConfigurationError

log = structlog.get_logger()

GRACE_SECONDS = 1.8
BACKSTOP_SECONDS = 2.0
M_MMAP_THRESHOLD = -3
"""malloc.h"""
LARGE_BLOCK = 64 * 1024
"""Bytes; a batch of records or of rows is larger."""


@dataclass(frozen=True)
class Role:
    """`run(stop)` returns soon after `stop` is set; after `grace` seconds it is cancelled."""

    name: str
    run: Callable[[anyio.Event], Awaitable[None]]
    grace: float = GRACE_SECONDS


def bind(host: str, port: int, *, setting: str = "HTTP_PORT") -> socket.socket:
    """Listen on a port, before anything else starts. Raises ConfigurationError, which names the `setting`."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # asyncio turns off Nagle's algorithm only if TCP is named here; else each answer waits 40 ms for the peer
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
        listener.listen()  # without `listen`, several processes can bind one port
    except OSError as error:
        listener.close()
        raise ConfigurationError(f"cannot listen on {host}:{port}: {error.strerror}; set {setting}") from None
    listener.set_inheritable(True)
    return listener


def http_role(app: FastAPI, listener: socket.socket, limits: HttpLimits | None = None) -> Role:
    """Serve an app on a bound socket, within limits for clients that are slow, silent or too many."""

    async def run(stop: anyio.Event) -> None:
        server = Server(config(app, limits or HttpLimits()))

        async def stop_server() -> None:
            await stop.wait()
            server.exit()

        async with anyio.create_task_group() as group:
            group.start_soon(stop_server)
            await server.serve(sockets=[listener])
            group.cancel_scope.cancel()

    return Role("http", run)


class _Roles:
    """The running roles of this process."""

    def __init__(self, roles: Sequence[Role]) -> None:
        self.stop = anyio.Event()
        self.failed = False
        self.backstop: asyncio.TimerHandle | None = None
        self._scopes = {role.name: (role, anyio.CancelScope()) for role in roles}

    async def run(self) -> None:
        async with anyio.create_task_group() as group:
            for role, scope in self._scopes.values():
                group.start_soon(self._run_role, role, scope)

    async def _run_role(self, role: Role, scope: anyio.CancelScope) -> None:
        error: Exception | None = None
        with scope:
            try:
                await role.run(self.stop)
            except Exception as failure:  # noqa: BLE001 - an error raised here would cancel the other roles half-way
                error = failure
        if error is not None or not self.stop.is_set():
            self.failed = True
            # a wrong setting is told in one line, which says all
            traceback = None if isinstance(error, ConfigurationError) else error
            log.critical("role_died", role=role.name, error=repr(error), exc_info=traceback)
            self.begin_stop()

    async def watch_signals(self) -> None:
        with anyio.open_signal_receiver(signal.SIGTERM, signal.SIGINT) as signals:
            async for number in signals:
                log.info("stopping", signal=signal.Signals(number).name)
                self.begin_stop()

    def begin_stop(self) -> None:
        if self.stop.is_set():
            return
        self.stop.set()
        for role, scope in self._scopes.values():
            scope.deadline = anyio.current_time() + role.grace
        # a role on a frozen connection may not end even when cancelled: it must not keep the process
        longest = max((role.grace for role, _ in self._scopes.values()), default=0.0)
        self.backstop = asyncio.get_running_loop().call_later(longest + BACKSTOP_SECONDS, os._exit, 1)


def give_large_blocks_back() -> None:
    """Make glibc's malloc return each freed large block of memory to the system; without glibc, do nothing.

    By default glibc raises its threshold for large blocks whenever one is freed. Batches of varying size then lie
    between small blocks, and a process without a leak grows for hours (`make memory` measures the growth).
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(M_MMAP_THRESHOLD, LARGE_BLOCK)


def leave_to_itself_what_stays() -> None:
    """Have the garbage collector pass by all that is there when a process begins to work.

    Modules, settings and a service's parts stay as long as the process. To look through them takes 80 ms, in which
    nothing else happens, and busy loops would have it done several times a minute.
    """
    gc.collect()
    gc.freeze()


async def run_roles(roles: Sequence[Role]) -> int:
    """Run until SIGTERM, SIGINT or the end of a role; returns the process's exit status, 1 after a role died."""
    running = _Roles(roles)
    async with anyio.create_task_group() as group:
        group.start_soon(running.watch_signals)
        try:
            await running.run()
        finally:
            if running.backstop is not None:
                running.backstop.cancel()
        group.cancel_scope.cancel()
    log.info("stopped", status=int(running.failed))
    return int(running.failed)
