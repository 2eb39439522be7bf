"""aiokafka: a producer that ends without Kafka, and in the middle of its start. Bound: `aiokafka<0.15`.

- `AIOKafkaProducer.stop()` waits for every acknowledgement, and so for ever without Kafka
  (https://github.com/aio-libs/aiokafka/issues/1101). Used: `_closed`, `_sender` and `client`.
- `AIOKafkaProducer.start()` leaves its first connection open when it is cancelled while it asks for metadata:
  `AIOKafkaClient.bootstrap()` closes it only after an error.
"""

import asyncio

from aiokafka import AIOKafkaProducer

from outboxed._stopping import at_most, shielded


async def start_or_close(producer: AIOKafkaProducer, *, within: float, close_within: float) -> None:
    """Start a producer, or close it again. Raises TimeoutError after `within` seconds, and KafkaError.

    A start that is cancelled goes on for `close_within` seconds at most, to close its first connection by itself; a
    broker that says nothing for longer costs that connection.
    """
    starting = asyncio.create_task(producer.start())
    try:
        async with asyncio.timeout(within):
            await asyncio.shield(starting)
    except BaseException:
        with shielded():
            await asyncio.wait([starting], timeout=close_within)
            starting.cancel()
            await asyncio.gather(starting, return_exceptions=True)
        await close_without_flushing(producer, within=close_within)
        raise


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
