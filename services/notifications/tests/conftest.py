"""What every level of this service's tests builds on."""

from uuid import UUID, uuid4

import pytest
from notifications.app import NAME, create_app
from notifications.consumers import ROUTES
from notifications.settings import AUDIENCE, ISSUER, Settings
from notifications.storage import SqlNotificationsUnitOfWork
from outboxed.testing.fixtures import *  # noqa: F403 - fixtures of this service's own
from outboxed.testing.fixtures import ServiceUnderTest
from outboxed.testing.tokens import KeyPair


@pytest.fixture(scope="session")
def keys() -> KeyPair:
    """What tokens are signed and verified with; the orders service has the private one in real life."""
    return KeyPair.generate(issuer=ISSUER, audience=AUDIENCE, role="operator")


@pytest.fixture
def order_id() -> UUID:
    """Of an order that nobody has heard of."""
    return uuid4()


@pytest.fixture(scope="session")
def service(keys: KeyPair) -> ServiceUnderTest:
    """What the fixtures of outboxed.testing need to know."""
    settings = Settings(environment="test", jwt_public_keys=(keys.public,))
    return ServiceUnderTest(NAME, settings, SqlNotificationsUnitOfWork, ROUTES, ("orders", "payments"), create_app)
