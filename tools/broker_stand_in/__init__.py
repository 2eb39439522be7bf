"""A Pact Broker in memory, for machines where the real one can't run: it follows the answers that were recorded of it.

It knows what this project's commands and Pact's verifier ask: participants, versions, branches, pacts, results,
environments, deployments, releases, and the decisions that follow. It calls no webhook and knows no users.
`tests/contract/test_broker_stand_in.py` holds it to the recordings.
"""

from tools.broker_stand_in.app import create_app
from tools.broker_stand_in.server import served

__all__ = ["create_app", "served"]
