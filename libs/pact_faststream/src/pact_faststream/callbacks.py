"""The HTTP server through which Pact's verifier asks for messages and for states.

pact-python's own server closes its free port before it binds the port again, which sometimes fails. That server also
leaks its socket and takes half a second to stop.
"""

import json
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from pact_faststream._compat.pact import message_headers

MESSAGE, STATE = "/_pact/message", "/_pact/state"
"""The paths at which the verifier asks; we may choose them."""

POLL_SECONDS = 0.005


@dataclass(frozen=True)
class Reply:
    """An answer with status 200."""

    body: bytes = b"{}"
    headers: Mapping[str, str] = field(default_factory=dict)


JSON, BYTES = "application/json", "application/octet-stream"


def message(value: bytes, metadata: Mapping[str, str], content_type: str = JSON) -> Reply:
    """A message as Pact takes it, with the metadata in a header."""
    return Reply(value, message_headers(metadata, content_type))


Answer = Callable[[Any], Reply]
"""Gets the request's JSON."""


@contextmanager
def served(answers: Mapping[str, Answer]) -> Iterator[int]:
    """Answer POSTs by path, on loopback, while the block runs; yields the port.

    An error in an answer becomes status 500, whose page Pact takes for a message: the caller must keep the error.
    """
    server = _Server(("127.0.0.1", 0), _Handler)
    server.answers = answers
    thread = threading.Thread(target=server.serve_forever, args=(POLL_SECONDS,))
    thread.start()
    try:
        yield server.server_address[1]
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


class _Server(ThreadingHTTPServer):
    answers: Mapping[str, Answer]


class _Handler(BaseHTTPRequestHandler):
    server: _Server

    def do_POST(self) -> None:
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        try:
            reply = self.server.answers[self.path](asked)
        except Exception as error:  # noqa: BLE001 - the answer's maker keeps the error
            self.send_error(500, explain=str(error))
            return
        self.send_response(200)
        for name, value in {"Content-Type": "application/json", **reply.headers}.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(reply.body)))
        self.end_headers()
        self.wfile.write(reply.body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name is the base class's
        """Log nothing: Pact reports."""
