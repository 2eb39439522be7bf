"""What every level of this service's tests builds on."""

from datetime import timedelta

import pytest
from orders.app import NAME, create_app
from orders.consumers import ROUTES
from orders.handlers import OrderPolicy
from orders.pricing import PricingService
from orders.settings import Settings
from orders.storage import SqlOrdersUnitOfWork
from outboxed.testing.fixtures import *  # noqa: F403 - fixtures of this service's own
from outboxed.testing.fixtures import ServiceUnderTest

from .fakes import in_memory_orders

PAYMENT_DEADLINE = timedelta(minutes=15)


@pytest.fixture(scope="session")
def settings() -> Settings:
    return Settings(environment="test", rate_limit_per_minute=0)


@pytest.fixture(scope="session")
def policy() -> OrderPolicy:
    return OrderPolicy(PricingService(), PAYMENT_DEADLINE)


@pytest.fixture(scope="session")
def service(settings: Settings) -> ServiceUnderTest:
    """What the fixtures of outboxed.testing need to know."""
    return ServiceUnderTest(
        NAME, settings, SqlOrdersUnitOfWork, ROUTES, ("orders", "payments"), create_app, in_memory_orders
    )
