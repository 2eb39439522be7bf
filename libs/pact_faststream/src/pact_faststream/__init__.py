"""Consumer-driven contracts for FastStream services: through the real subscriber, from the real outbox.

Each name is imported when it is first used: pytest loads this package in every run, for its plugin.
"""

import os
from importlib import import_module
from typing import TYPE_CHECKING, Any

# pact reports each run to its makers by default; tests must talk to loopback only
os.environ.setdefault("PACT_DO_NOT_TRACK", "true")

if TYPE_CHECKING:
    from pact_faststream.expectations import ExpectationError
    from pact_faststream.files import PactFile, StalePactError
    from pact_faststream.http import HttpExpectation, HttpPact, Request, Response, verify_http_provider
    from pact_faststream.messages import Expectation, MessagePact
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

_HOMES = {
    "expectations": ("ExpectationError",),
    "files": ("PactFile", "StalePactError"),
    "http": ("HttpExpectation", "HttpPact", "Request", "Response", "verify_http_provider"),
    "messages": ("Expectation", "MessagePact"),
    "provider": ("ParameterError", "ProviderState", "produce_all", "verify_provider"),
    "sent": ("Sent",),
    "sources": ("NoPactsError", "PactFolder", "PactSource", "PactToVerify"),
    "verification": ("ProviderVerificationError",),
}
_HOME_OF = {name: module for module, names in _HOMES.items() for name in names}


def __getattr__(name: str) -> Any:
    if name in _HOME_OF:
        return getattr(import_module(f"pact_faststream.{_HOME_OF[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
