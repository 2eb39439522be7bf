"""From the outbox to Kafka."""

from outboxed.relay._flow import WINDOW
from outboxed.relay._outcomes import RelayMetrics
from outboxed.relay._producer import KafkaClient
from outboxed.relay._relay import Relay
from outboxed.relay._rows import LOCK_ID

__all__ = ["LOCK_ID", "WINDOW", "KafkaClient", "Relay", "RelayMetrics"]
