"""A Docker engine at a socket of its own that answers what a test tells it to: it has images, a registry, or not."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from socketserver import ThreadingMixIn, UnixStreamServer
from typing import Any

NO_REGISTRY = 'Get "https://registry.example/v2/": dial tcp: lookup registry.example: no such host'
VERSION = {"ApiVersion": "1.47", "MinAPIVersion": "1.24", "Version": "27.0"}


@dataclass
class Engine:
    """What it has, which of its images a registry has, and every request that it got."""

    address: str
    images: set[str] = field(default_factory=set)
    registry: set[str] | None = None
    """None: no registry can be reached."""
    name: str = "Engine"
    broken: bool = False
    """It answers each question about images with an error of its own."""
    asked: list[str] = field(default_factory=list)

    def answer(self, path: str) -> tuple[int, Any]:
        """The status and the body of what is asked for, without the version of the interface."""
        self.asked.append(path)
        kind, _, image = path.removesuffix("/json").partition("/")
        if path == "_ping":
            return 200, "OK"
        if path == "version":
            return 200, {**VERSION, "Components": [{"Name": self.name}]}
        if kind == "images":
            return self._image(image)
        if kind == "distribution" and self.registry is None:
            return 500, {"message": f"{NO_REGISTRY}\nand more"}
        if kind == "distribution" and image in (self.registry or ()):
            return 200, {"Descriptor": {}}
        return 404, {"message": "manifest unknown"}

    def _image(self, image: str) -> tuple[int, Any]:
        if self.broken:
            return 500, {"message": "the store is locked\nand more"}
        return (200, {"Id": image}) if image in self.images else (404, {"message": f"No such image: {image}"})


@contextmanager
def docker_engine(folder: Path) -> Iterator[Engine]:
    """An engine without an image or a registry; `address` is for DOCKER_HOST."""
    engine = Engine(f"unix://{folder}/docker.sock")

    class Answers(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            path = self.path.lstrip("/")
            status, body = engine.answer(path.partition("/")[2] if path.startswith("v1.") else path)
            text = json.dumps(body).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text)

        def log_message(self, format: str, *arguments: object) -> None:  # noqa: A002 - its name there
            pass

    class Server(ThreadingMixIn, UnixStreamServer):
        daemon_threads = True

    with Server(f"{folder}/docker.sock", Answers) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield engine
        finally:
            server.shutdown()
            thread.join()
