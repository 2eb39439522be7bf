"""FastStream: a record given to a subscriber. Bound: `faststream<0.8`.

The public way is `broker.publish` under TestKafkaBroker. But `publish` needs the broker, and a contract test has only
the subscriber; and `publish` adds headers to the record that Pact made. Used: `process_message`,
`topic_names_for_subscribe`, and the class of batch subscribers.
"""

from importlib import import_module
from typing import Any

Subscriber = Any
"""What `KafkaBroker.subscriber` makes: its classes have no public names."""


def topics_of(subscriber: Subscriber) -> list[str]:
    """The topics that a subscriber listens to."""
    topics: list[str] = subscriber.topic_names_for_subscribe
    return topics


async def feed(subscriber: Subscriber, record: Any) -> None:
    """Let a subscriber handle one record, alone or as a batch of one."""
    batches = import_module("faststream.kafka.subscriber.usecase").BatchSubscriber
    await subscriber.process_message((record,) if isinstance(subscriber, batches) else record)
