"""Consumer-driven contracts for FastStream services: through the real subscriber, from the real outbox."""

from testkit.pact.expectations import Expectation, MessagePact, StalePactError
from testkit.pact.provider import ProviderVerificationError, verify_provider

__all__ = ["Expectation", "MessagePact", "ProviderVerificationError", "StalePactError", "verify_provider"]
