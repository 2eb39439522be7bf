"""A broker that takes a connection, says what it can, and then nothing any more."""

import asyncio
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from aiokafka import AIOKafkaProducer
from outboxed._compat.aiokafka_producer import start_or_close

API_VERSIONS, METADATA = 18, 3
HEAD = struct.Struct(">ihhi")
"""Kafka's protocol: length, request, its version, number."""


class SilentBroker:
    """Tells when it was asked for metadata, and when the client has closed its connection."""

    def __init__(self) -> None:
        self.address = ""
        self.asked, self.closed = asyncio.Event(), asyncio.Event()

    @asynccontextmanager
    async def served(self) -> AsyncIterator["SilentBroker"]:
        """On a port of its own."""
        server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        host, port = server.sockets[0].getsockname()
        self.address = f"{host}:{port}"
        async with server:
            yield self

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while head := await reader.read(HEAD.size):
            length, request, _, number = HEAD.unpack(head)
            await reader.readexactly(length - HEAD.size + 4)
            if request == METADATA:
                self.asked.set()
                continue
            versions = b"".join(struct.pack(">hhh", each, 0, 0) for each in (API_VERSIONS, METADATA))
            answer = struct.pack(">ihi", number, 0, 2) + versions
            writer.write(struct.pack(">i", len(answer)) + answer)
        self.closed.set()
        writer.close()


@pytest.fixture
async def broker() -> AsyncIterator[SilentBroker]:
    async with SilentBroker().served() as broker:
        yield broker


async def test_a_start_that_is_cancelled_closes_its_connection_at_once(broker: SilentBroker) -> None:
    producer = AIOKafkaProducer(bootstrap_servers=broker.address)
    starting = asyncio.create_task(start_or_close(producer, within=60, close_within=60))
    await broker.asked.wait()

    async with asyncio.timeout(20):
        starting.cancel()
        await asyncio.wait([starting])  # what the time-out cancels must not pass for the start's own end
        await broker.closed.wait()
    assert starting.cancelled()


async def test_a_start_that_takes_too_long_closes_its_connection_too(broker: SilentBroker) -> None:
    producer = AIOKafkaProducer(bootstrap_servers=broker.address)

    with pytest.raises(TimeoutError):
        await start_or_close(producer, within=0.5, close_within=60)

    async with asyncio.timeout(20):
        await broker.closed.wait()
