"""aiokafka: a producer that ends without Kafka, and in the middle of its start. Bound: `aiokafka<0.15`.

- `AIOKafkaProducer.stop()` waits for every acknowledgement, and so for ever without Kafka
  (https://github.com/aio-libs/aiokafka/issues/1101). Used: `_closed`, `_sender` and `client`.
- `AIOKafkaProducer.start()` leaves its first connection open when it is cancelled while it asks for metadata:
  `AIOKafkaClient.bootstrap()` closes it only after an error, and nobody else knows of it. Used: its local variable
  `bootstrap_conn`.
"""

import asyncio
import inspect
from typing import Any

from aiokafka import AIOKafkaProducer

from outboxed._stopping import at_most, shielded


async def start_or_close(producer: AIOKafkaProducer, *, within: float, close_within: float) -> None:
    """Start a producer, or close it again. Raises TimeoutError after `within` seconds, and KafkaError."""
    starting = asyncio.create_task(producer.start())
    try:
        async with asyncio.timeout(within):
            await asyncio.shield(starting)
    except BaseException:
        with shielded():
            first = _first_connection(starting)
            starting.cancel()
            await asyncio.gather(starting, return_exceptions=True)
            if first is not None:
                first.close()
        await close_without_flushing(producer, within=close_within)
        raise


def _first_connection(starting: "asyncio.Task[None]") -> Any:
    """The connection that a start asks for metadata, or None."""
    coroutine: Any = starting.get_coro()
    while inspect.iscoroutine(coroutine):
        if (found := inspect.getcoroutinelocals(coroutine).get("bootstrap_conn")) is not None:
            return found
        coroutine = coroutine.cr_await
    return None


async def close_without_flushing(producer: AIOKafkaProducer, *, within: float) -> None:
    """Close a producer, even while the caller is being cancelled; each of two steps takes at most `within` seconds."""
    producer._closed = True  # noqa: SLF001 - see the module's docstring
    sender = producer._sender  # noqa: SLF001 - aiokafka has no public way
    with shielded():
        if sender is not None:
            async with at_most(within):
                await sender.close()  # lets a running request end; the time-out cancels the request
        async with at_most(within):
            await producer.client.close()
