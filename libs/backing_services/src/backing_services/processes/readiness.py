"""When a process counts as ready: it answers over HTTP, or it has written a line."""

import asyncio
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol
from urllib.parse import urlsplit

POLL = 0.01  # seconds
ANSWER_LIMIT = 2.0  # seconds


class Readiness(Protocol):
    async def wait(self, output: Callable[[], str]) -> None:
        """Return when the process is ready. `output()` is what the process wrote since its start."""


@dataclass(frozen=True)
class LineReady:
    """A line of the output matches this regular expression somewhere."""

    pattern: str

    async def wait(self, output: Callable[[], str]) -> None:
        while not re.search(self.pattern, output(), re.MULTILINE):  # noqa: ASYNC110 - a file has no event
            await asyncio.sleep(POLL)


@dataclass(frozen=True)
class HttpReady:
    """A GET of this http:// url is answered with a status of 2xx."""

    url: str

    async def wait(self, output: Callable[[], str]) -> None:  # noqa: ARG002 - the protocol's
        while not await self._answers():  # noqa: ASYNC110 - a socket in another process has no event
            await asyncio.sleep(POLL)

    async def _answers(self) -> bool:
        """Send one request by hand: to start an HTTP client takes longer than most answers."""
        parts = urlsplit(self.url)
        path = parts.path or "/"
        try:
            async with asyncio.timeout(ANSWER_LIMIT):
                reader, writer = await asyncio.open_connection(parts.hostname, parts.port or 80)
                try:
                    writer.write(f"GET {path} HTTP/1.1\r\nHost: {parts.netloc}\r\nConnection: close\r\n\r\n".encode())
                    status = await reader.readline()
                finally:
                    writer.close()
        except (OSError, TimeoutError):
            return False
        return re.match(rb"HTTP/1\.[01] 2\d\d ", status) is not None
