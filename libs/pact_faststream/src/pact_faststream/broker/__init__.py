"""The broker's flow for one service: publish, verify, ask, record. See `python -m pact_faststream.broker --help`."""

from pact_faststream.broker.client import BrokerError
from pact_faststream.broker.source import BrokerSource, source_from_environment

__all__ = ["BrokerError", "BrokerSource", "source_from_environment"]
