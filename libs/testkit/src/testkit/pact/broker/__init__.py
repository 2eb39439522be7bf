"""The broker's flow for one service: publish, verify, ask, record. See `python -m testkit.pact.broker --help`."""

from testkit.pact.broker.client import BrokerError
from testkit.pact.broker.source import BrokerSource, source_from_environment

__all__ = ["BrokerError", "BrokerSource", "source_from_environment"]
