"""FastStream: records as they came, and what a subscriber holds while it runs. Bound: `faststream<0.8`.

- Its parser fails on a header that is null or no UTF-8 (https://github.com/ag2ai/faststream/issues/2458). A parser of
  one's own is public; that handlers then get the `raw_message` which it puts into the message is not promised.
- `KafkaBroker.stop()` cancels a handler that hangs and doesn't wait for its end, which a transaction needs. Only
  the subscriber's `tasks` tell when that is.
- Lag is asked of aiokafka's client: `consumer` of the subscriber and of a message. FastStream hands it out no other
  way.
- `process_message`: how tests feed a record as it came. `broker.publish` under TestKafkaBroker makes headers of
  its own, and takes no null ones.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Protocol

from aiokafka import AIOKafkaConsumer
from faststream.kafka import KafkaBroker


class Subscriber(Protocol):
    """What is used of a batch subscriber; the class that `KafkaBroker.subscriber` makes has no public name."""

    tasks: list[asyncio.Task[Any]]
    consumer: AIOKafkaConsumer | None

    async def process_message(self, msg: Any) -> Any:
        """Handle a tuple of raw records."""
        ...


async def parsed_as_it_came(records: Sequence[Any], original: Any) -> Any:
    """FastStream's message of these records, with their headers unread."""
    message = await original(tuple(replace(record, headers=()) for record in records))
    message.raw_message = tuple(records)  # TestKafkaBroker gives a list
    return message


async def stop_and_wait(broker: KafkaBroker, subscriber: Subscriber) -> None:
    """Stop a broker, and return when the batch at hand has ended, be it by its cancellation."""
    consuming = list(subscriber.tasks)
    await broker.stop()
    if consuming:
        await asyncio.wait(consuming)
