"""From the outbox to Kafka."""

from outboxed.relay._relay import Relay

__all__ = ["Relay"]
