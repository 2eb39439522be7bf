"""A card processor's stand-in: an HTTP API, a durable append-only ledger, and faults on demand."""

from payment_gateway.api import create_app
from payment_gateway.ledger import Ledger

__all__ = ["Ledger", "create_app"]
