"""Consumer-driven contracts for FastStream services: through the real subscriber, from the real outbox."""

import os

# the library tells its makers of each run, unless told not to; tests talk to loopback only
os.environ.setdefault("PACT_DO_NOT_TRACK", "true")

from testkit.pact.files import PactFile, StalePactError
from testkit.pact.http import HttpExpectation, HttpPact, Request, Response, verify_http_provider
from testkit.pact.messages import Expectation, ExpectationError, MessagePact
from testkit.pact.provider import Sweep, verify_provider
from testkit.pact.sources import NoPactsError, PactFolder, PactSource
from testkit.pact.verification import ProviderVerificationError

__all__ = [
    "Expectation",
    "ExpectationError",
    "HttpExpectation",
    "HttpPact",
    "MessagePact",
    "NoPactsError",
    "PactFile",
    "PactFolder",
    "PactSource",
    "ProviderVerificationError",
    "Request",
    "Response",
    "StalePactError",
    "Sweep",
    "verify_http_provider",
    "verify_provider",
]
