"""Connections that can be cut, slowed and frozen: Toxiproxy between a client and its server."""

import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from backing_services._cache import cache_folder
from backing_services._extras import extra
from backing_services.faults.unavailable import FaultError
from backing_services.processes import HttpReady, ManagedProcess, ProcessSpec, free_port

with extra("faults", of="backing_services.faults"):
    import httpx

VERSION = "2.12.0"
LOOPBACK = "127.0.0.1"
REQUEST_LIMIT = 10.0  # seconds


def binary() -> Path:
    """Where `python -m backing_services.faults.fetch` puts the program."""
    return cache_folder() / "toxiproxy" / VERSION / "server"


def program() -> Path:
    """Toxiproxy's server from the PATH, else the fetched one. Raises FaultError."""
    if found := shutil.which("toxiproxy-server"):
        return Path(found)
    if binary().exists():
        return binary()
    raise FaultError(
        "no Toxiproxy here: run `python -m backing_services.faults.fetch` (with Go), or install toxiproxy-server"
    )


@dataclass(frozen=True)
class Proxy:
    """One address on loopback that leads to another, and can be disturbed. Methods raise FaultError."""

    name: str
    port: int
    _http: httpx.AsyncClient

    async def cut(self) -> None:
        """Close every connection and refuse new ones, until `restore()`."""
        await self._post(f"/proxies/{self.name}", {"enabled": False})

    async def slow(self, milliseconds: int) -> None:
        """Delay every answer by so many milliseconds, plus or minus a quarter, until `restore()`."""
        attributes = {"latency": milliseconds, "jitter": milliseconds // 4}
        await self._post(f"/proxies/{self.name}/toxics", {"name": "slow", "type": "latency", "attributes": attributes})

    async def freeze(self) -> None:
        """Keep connections open but let nothing through, like a firewall that drops packets; `restore()` cuts them."""
        toxic = {"name": "freeze", "type": "timeout", "attributes": {"timeout": 0}}
        await self._post(f"/proxies/{self.name}/toxics", toxic)

    async def restore(self) -> None:
        """End all disturbances."""
        await self._post(f"/proxies/{self.name}", {"enabled": True})
        toxics = await self._get(f"/proxies/{self.name}/toxics")
        for toxic in toxics:
            await _checked(await self._http.delete(f"/proxies/{self.name}/toxics/{toxic['name']}"))

    async def _post(self, path: str, body: Mapping[str, Any]) -> None:
        await _checked(await self._http.post(path, json=body))

    async def _get(self, path: str) -> Any:
        return (await _checked(await self._http.get(path))).json()


class Toxiproxy:
    """An async context manager: Toxiproxy as a process that dies with this one. Entering raises FaultError."""

    def __init__(self) -> None:
        self._port = free_port()
        self._log = Path(tempfile.mkdtemp(prefix="backing-toxiproxy-")) / "server.log"
        self._process: ManagedProcess | None = None
        self._http = httpx.AsyncClient(
            base_url=f"http://{LOOPBACK}:{self._port}", timeout=REQUEST_LIMIT, trust_env=False
        )

    async def proxy(self, name: str, upstream_port: int, *, port: int | None = None) -> Proxy:
        """A new proxy to a port on loopback, listening on `port` or a free one. Raises FaultError."""
        port = port or free_port()
        body = {
            "name": name,
            "listen": f"{LOOPBACK}:{port}",
            "upstream": f"{LOOPBACK}:{upstream_port}",
            "enabled": True,
        }
        await _checked(await self._http.post("/proxies", json=body))
        return Proxy(name, port, self._http)

    async def __aenter__(self) -> Self:
        command = [str(program()), "-host", LOOPBACK, "-port", str(self._port)]
        ready = HttpReady(f"http://{LOOPBACK}:{self._port}/version")
        self._process = ManagedProcess(ProcessSpec("Toxiproxy", command, self._log, ready=ready))
        await self._process.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._http.aclose()
        if self._process is not None:
            await self._process.stop()
        shutil.rmtree(self._log.parent, ignore_errors=True)


async def _checked(response: httpx.Response) -> httpx.Response:
    if response.is_error:
        raise FaultError(f"Toxiproxy refused {response.request.url.path}: {response.text.strip()}")
    return response
