"""FastStream: undecoded records, and the tasks and the client of a running subscriber. Bound: `faststream<0.8`.

- FastStream's parser fails on a header that is null or not UTF-8 (https://github.com/ag2ai/faststream/issues/2458).
  A custom parser is public, but FastStream doesn't promise that handlers get the `raw_message` that the parser sets.
- `KafkaBroker.stop()` cancels a hanging handler without waiting for its end, but the handler's transaction must end.
  Only the subscriber's `tasks` tell when a handler has ended.
- Lag comes from aiokafka's client, which FastStream offers only as `consumer` of a subscriber or of a message.
- `process_message` lets tests feed a raw record. `broker.publish` under TestKafkaBroker adds headers of its own and
  refuses null ones.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Protocol

from aiokafka import AIOKafkaConsumer
from faststream.kafka import KafkaBroker


class Subscriber(Protocol):
    """The used part of a batch subscriber; the class that `KafkaBroker.subscriber` makes has no public name."""

    tasks: list[asyncio.Task[Any]]
    consumer: AIOKafkaConsumer | None

    async def process_message(self, msg: Any) -> Any:
        """Handle a tuple of raw records."""
        ...


async def parsed_as_it_came(records: Sequence[Any], original: Any) -> Any:
    """FastStream's message of these records, with their headers undecoded."""
    message = await original(tuple(replace(record, headers=()) for record in records))
    message.raw_message = tuple(records)  # TestKafkaBroker gives a list
    return message


async def stop_and_wait(broker: KafkaBroker, subscriber: Subscriber) -> None:
    """Stop a broker, and return when the current batch has ended or was cancelled."""
    consuming = list(subscriber.tasks)
    await broker.stop()
    if consuming:
        await asyncio.wait(consuming)
