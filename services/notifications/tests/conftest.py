"""What every level of this service's tests builds on."""

import pytest
from notifications.app import NAME, create_app
from notifications.consumers import ROUTES
from notifications.settings import Settings
from notifications.storage import SqlNotificationsUnitOfWork
from outboxed.testing.fixtures import *  # noqa: F403 - fixtures of this service's own
from outboxed.testing.fixtures import ServiceUnderTest
from outboxed.testing.suites import keys, order_id
from outboxed.testing.tokens import KeyPair

__all__ = ["keys", "order_id"]


@pytest.fixture(scope="session")
def service(keys: KeyPair) -> ServiceUnderTest:
    """What the fixtures of outboxed.testing need to know."""
    settings = Settings(environment="test", jwt_public_keys=(keys.public,))
    return ServiceUnderTest(NAME, settings, SqlNotificationsUnitOfWork, ROUTES, ("orders", "payments"), create_app)
