"""aiokafka: a producer that ends without Kafka. Bound: `aiokafka<0.15`.

`AIOKafkaProducer.stop()` waits for every acknowledgement, and so for ever without Kafka
(https://github.com/aio-libs/aiokafka/issues/1101). Used: `_closed`, `_sender` and `client`.
"""

from aiokafka import AIOKafkaProducer

from outboxed._stopping import at_most, shielded


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
