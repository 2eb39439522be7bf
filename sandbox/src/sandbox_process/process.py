"""One process: its settings, its listening sockets, its HTTP server, and an end within a second of SIGTERM.

Whatever a person can put right (a wrong setting, a busy port) ends the process with one line on stderr and status 1.
"""

import asyncio
import contextlib
import logging
import signal
import socket
from collections.abc import Awaitable, Callable, Iterator
from typing import TypeVar

import uvicorn
from fastapi import FastAPI
from pydantic import ValidationError
from pydantic_core import ErrorDetails
from pydantic_settings import BaseSettings

_BACKLOG = 2048

Settings = TypeVar("Settings", bound=BaseSettings)


def load_settings(settings: type[Settings]) -> Settings:
    try:
        return settings()
    except ValidationError as error:
        prefix = settings.model_config["env_prefix"]
        raise SystemExit("\n".join(_line(prefix, problem) for problem in error.errors())) from None


def _line(prefix: str, problem: ErrorDetails) -> str:
    name = ".".join(map(str, problem["loc"])).upper()
    raised = problem.get("ctx", {}).get("error")
    message = str(raised) if isinstance(raised, ValueError) else problem["msg"]  # pydantic puts a prefix before it
    return f"{prefix}{name}: {message}" if name else message


def listen(host: str, port: int, setting: str) -> socket.socket:
    """Bind before anything else starts, so that a busy port is the first and only thing that is said."""
    try:
        # asyncio turns Nagle's algorithm off only where it sees the protocol number, which socket.create_server omits:
        # without it every answer of two writes waits 40 ms for the peer's delayed acknowledgement.
        family, kind, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        with contextlib.ExitStack() as on_error:
            listener = on_error.enter_context(socket.socket(family, kind, socket.IPPROTO_TCP))
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind(address)
            listener.listen(_BACKLOG)
            on_error.pop_all()
    except (OSError, UnicodeError) as error:  # UnicodeError: a host that no name server could be asked about
        reason = error.strerror if isinstance(error, OSError) else "no host name"
        raise SystemExit(f"cannot listen on {host}:{port}: {reason}; choose another {setting}") from None
    return listener


class _Server(uvicorn.Server):
    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave the signals to `run`: uvicorn would raise them again at the end and spoil the exit status."""
        yield


async def serve_http(app: FastAPI, listener: socket.socket, stop: asyncio.Event) -> None:
    """Serve until `stop` is set."""
    config = uvicorn.Config(
        app, lifespan="off", log_config=None, log_level="warning", access_log=False, timeout_graceful_shutdown=1
    )
    server = _Server(config)
    serving = asyncio.create_task(server.serve(sockets=[listener]))
    stopped = asyncio.create_task(stop.wait())
    await asyncio.wait((serving, stopped), return_when=asyncio.FIRST_COMPLETED)
    stopped.cancel()
    server.should_exit = True
    await serving


def run(main: Callable[[asyncio.Event], Awaitable[None]]) -> None:
    """Run `main(stop)`; SIGTERM and SIGINT set `stop`, and a return is exit status 0."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    asyncio.run(_until_signal(main))


async def _until_signal(main: Callable[[asyncio.Event], Awaitable[None]]) -> None:
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    await main(stop)
