"""The gateway's client on sockets: a slow gateway holds up no call that the worker may make meanwhile."""

import asyncio
from contextlib import closing, suppress
from uuid import uuid4

from payments.gateway import HttpPaymentGateway, create_client
from payments.tasks import task_kinds

from ..factories import ChargeFactory

ANSWER = b'{"id": "ch_1", "status": "succeeded"}'
HEAD = b"HTTP/1.1 201 Created\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(ANSWER)
TIMEOUT = 10.0


class SlowGateway:
    """Answers nobody until so many have asked."""

    def __init__(self, number: int) -> None:
        self._all_are_there = asyncio.Barrier(number)

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with closing(writer), suppress(TimeoutError):  # a connection that stays open would keep the server
            async with asyncio.timeout(TIMEOUT):
                await reader.readuntil(b"\r\n\r\n")
                await self._all_are_there.wait()
                writer.write(HEAD + ANSWER)
                await writer.drain()


async def test_each_call_that_may_be_under_way_has_a_connection() -> None:
    async with create_client("http://127.0.0.1:1", timeout=TIMEOUT) as client:
        kinds = task_kinds(HttpPaymentGateway(client, timeout=TIMEOUT), gateway_timeout=TIMEOUT)
    calls = sum(kind.concurrency for kind in kinds)
    server = await asyncio.start_server(SlowGateway(calls), "127.0.0.1", 0)
    url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"

    async with server, create_client(url, timeout=TIMEOUT) as client:
        gateway = HttpPaymentGateway(client, timeout=TIMEOUT)
        charges = [
            gateway.charge(ChargeFactory.create(), idempotency_key=uuid4(), reference=uuid4()) for _ in range(calls)
        ]
        assert await asyncio.gather(*charges) == ["ch_1"] * calls
