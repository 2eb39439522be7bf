"""FastStream: a record given to a subscriber. Bound: `faststream<0.8`.

`broker.publish` under TestKafkaBroker is the public way. It needs the broker, where a test of a contract has the
subscriber; and it writes headers of its own, where the consumer must get the record that Pact made. Used:
`process_message`, `topic_names_for_subscribe`, and which class is that of batches.
"""

from importlib import import_module
from typing import Any

Subscriber = Any
"""What `KafkaBroker.subscriber` makes: its classes have no public names."""


def topics_of(subscriber: Subscriber) -> list[str]:
    """The topics that it listens to."""
    topics: list[str] = subscriber.topic_names_for_subscribe
    return topics


async def feed(subscriber: Subscriber, record: Any) -> None:
    """Have it handle one record, alone or as a batch of one."""
    batches = import_module("faststream.kafka.subscriber.usecase").BatchSubscriber
    await subscriber.process_message((record,) if isinstance(subscriber, batches) else record)
