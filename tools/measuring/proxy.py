"""A way to PostgreSQL that listens: it passes every byte on, and counts what goes by."""

import asyncio
from collections import Counter
from collections.abc import Callable
from types import TracebackType
from typing import Self

from shop_harness.system import LOOPBACK

from tools.measuring.wire import Conversation, Transaction

CHUNK = 65536


class CountingProxy:
    """An async context manager; it listens at `port`. Its own CPU is this process's, and no service's."""

    def __init__(self, target: int) -> None:
        self.counted: Counter[Transaction] = Counter()
        self._target = target
        self._server: asyncio.Server | None = None
        self._connections: set[asyncio.Task[None]] = set()

    @property
    def port(self) -> int:
        assert self._server is not None
        return int(self._server.sockets[0].getsockname()[1])

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._connect, LOOPBACK, 0)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._server is not None
        self._server.close()
        for connection in self._connections:
            connection.cancel()
        await asyncio.gather(*self._connections, return_exceptions=True)

    def _count(self, transaction: Transaction) -> None:
        self.counted[transaction] += 1

    def _connect(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.create_task(self._serve(reader, writer))
        self._connections.add(task)
        task.add_done_callback(self._connections.discard)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        conversation = Conversation(self._count)
        try:
            from_server, to_server = await asyncio.open_connection(LOOPBACK, self._target)
        except OSError:
            writer.close()
            return
        ways = [
            asyncio.create_task(_pass_on(reader, to_server, conversation.client_sent)),
            asyncio.create_task(_pass_on(from_server, writer, conversation.server_sent)),
        ]
        try:
            await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for way in ways:
                way.cancel()
            await asyncio.gather(*ways, return_exceptions=True)
            to_server.close()
            writer.close()


async def _pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, hear: Callable[[bytes], None]) -> None:
    while data := await reader.read(CHUNK):
        hear(data)
        writer.write(data)
        await writer.drain()
