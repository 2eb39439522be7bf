"""What every level of this service's tests builds on."""

import pytest
from outboxed.testing.fixtures import *  # noqa: F403 - fixtures of this service's own
from outboxed.testing.fixtures import ServiceUnderTest
from outboxed.testing.suites import keys, order_id
from outboxed.testing.tokens import KeyPair
from payments.app import NAME, create_app
from payments.consumers import ROUTES
from payments.settings import Settings
from payments.storage import SqlPaymentsUnitOfWork

__all__ = ["keys", "order_id"]


@pytest.fixture(scope="session")
def service(keys: KeyPair) -> ServiceUnderTest:
    """What the fixtures of outboxed.testing need to know."""
    settings = Settings(environment="test", jwt_public_keys=(keys.public,))
    return ServiceUnderTest(NAME, settings, SqlPaymentsUnitOfWork, ROUTES, ("orders", "payments"), create_app)
