"""From the outbox to Kafka."""

from outboxed.relay._flow import WINDOW
from outboxed.relay._outcomes import RelayMetrics
from outboxed.relay._producer import KafkaClient
from outboxed.relay._relay import Relay

__all__ = ["WINDOW", "KafkaClient", "Relay", "RelayMetrics"]
