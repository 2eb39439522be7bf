"""What every level of this service's tests builds on."""

import pytest
from notifications.app import NAME, create_app
from notifications.consumers import ROUTES
from notifications.settings import AUDIENCE, ISSUER, Settings
from notifications.storage import SqlNotificationsUnitOfWork
from outboxed.testing.fixtures import *  # noqa: F403 - fixtures of this service's own
from outboxed.testing.fixtures import ServiceUnderTest, new_id
from outboxed.testing.tokens import KeyPair, signing_keys

from .fakes import in_memory_notifications

keys = signing_keys(issuer=ISSUER, audience=AUDIENCE, role="operator")
order_id = new_id


@pytest.fixture(scope="session")
def service(keys: KeyPair) -> ServiceUnderTest:
    settings = Settings(environment="test", jwt_public_keys=(keys.public,))
    return ServiceUnderTest(
        NAME, settings, SqlNotificationsUnitOfWork, ROUTES, ("orders", "payments"), create_app, in_memory_notifications
    )
