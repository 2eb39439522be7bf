"""Serves the stand-in on loopback."""

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Thread

import uvicorn
from starlette.types import ASGIApp

HOST = "127.0.0.1"


@contextmanager
def served(app: ASGIApp, port: int = 0) -> Iterator[str]:
    """Serve while the block runs; yields the address. Raises OSError if the port is taken."""
    with socket.create_server((HOST, port)) as listening:
        server = uvicorn.Server(uvicorn.Config(app, log_config=None, lifespan="off"))
        thread = Thread(target=server.run, args=([listening],))
        thread.start()
        try:
            yield f"http://{HOST}:{listening.getsockname()[1]}"
        finally:
            server.should_exit = True
            thread.join()
