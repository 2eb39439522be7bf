"""Consumer-driven contracts for FastStream services: through the real subscriber, from the real outbox.

Each name is imported when it is first used: pytest loads this package in every run, for its plugin.
"""

import os
from importlib import import_module
from typing import TYPE_CHECKING, Any

# pact reports each run to its makers by default; tests must talk to loopback only
os.environ.setdefault("PACT_DO_NOT_TRACK", "true")

if TYPE_CHECKING:
    from pact_faststream.files import PactFile, StalePactError
    from pact_faststream.http import HttpExpectation, HttpPact, Request, Response, verify_http_provider
    from pact_faststream.messages import Expectation, ExpectationError, MessagePact
    from pact_faststream.provider import ParameterError, ProviderState, produce_all, verify_provider
    from pact_faststream.sent import Sent
    from pact_faststream.sources import NoPactsError, PactFolder, PactSource, PactToVerify
    from pact_faststream.verification import ProviderVerificationError

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
    "PactToVerify",
    "ParameterError",
    "ProviderState",
    "ProviderVerificationError",
    "Request",
    "Response",
    "Sent",
    "StalePactError",
    "produce_all",
    "verify_http_provider",
    "verify_provider",
]

_MODULES = ("files", "http", "messages", "provider", "sent", "sources", "verification")


def __getattr__(name: str) -> Any:
    if name in __all__:
        for module in map(import_module, (f"pact_faststream.{each}" for each in _MODULES)):
            if hasattr(module, name):
                return getattr(module, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
