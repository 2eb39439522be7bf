"""The HTTP server through which Pact's verifier asks for messages.

pact-python has one too, but that one lets its free port go before it binds it, which fails now and then, leaks its
socket, and takes half a second to stop.
"""

import base64
import json
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

PATH = "/_pact/message"
POLL_SECONDS = 0.005


@dataclass(frozen=True)
class Message:
    """What Pact compares: the record's value and what of its address and headers is in the contract."""

    value: bytes
    metadata: Mapping[str, str]


Answer = Callable[[str, list[Mapping[str, Any]]], Message]
"""Gets the interaction's description and its provider states (``name``, ``params``)."""


@contextmanager
def served(answer: Answer) -> Iterator[int]:
    """Serve messages on loopback while the block runs; gives the port.

    An error of ``answer`` becomes a status 500: keep the error, since Pact would take the page for a message.
    """
    server = _Server(("127.0.0.1", 0), _Handler)
    server.answer = answer
    thread = threading.Thread(target=server.serve_forever, args=(POLL_SECONDS,))
    thread.start()
    try:
        yield server.server_address[1]
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


class _Server(ThreadingHTTPServer):
    answer: Answer


class _Handler(BaseHTTPRequestHandler):
    server: _Server

    def do_POST(self) -> None:
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        try:
            message = self.server.answer(asked["description"], asked.get("providerStates") or [])
        except Exception as error:  # noqa: BLE001  # the caller has it
            self.send_error(500, explain=str(error))
            return
        metadata = {**message.metadata, "contentType": "application/json"}
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(message.value)))
        self.send_header("Pact-Message-Metadata", base64.b64encode(json.dumps(metadata).encode()).decode())
        self.end_headers()
        self.wfile.write(message.value)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  # the name is the base class's
        """Say nothing: Pact reports."""
