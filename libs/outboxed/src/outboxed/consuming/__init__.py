"""From Kafka to a handler: batches, the inbox, dead letters."""

from outboxed._extras import extra

with extra("faststream", of="outboxed.consuming"):
    from outboxed._compat.aiokafka import read_any_batch
    from outboxed._compat.faststream import Subscriber
    from outboxed.consuming._batch import BatchConsumer, Progress, Route
    from outboxed.consuming._dead_letters import DeadLetterQueue
    from outboxed.consuming._kafka import ConsumerRole, create_broker, subscribe

__all__ = [
    "BatchConsumer",
    "ConsumerRole",
    "DeadLetterQueue",
    "Progress",
    "Route",
    "Subscriber",
    "create_broker",
    "read_any_batch",
    "subscribe",
]
