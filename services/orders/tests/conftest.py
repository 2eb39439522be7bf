"""What every level of this service's tests builds on."""

from datetime import timedelta

import pytest
from chassis.clock import Clock
from orders.handlers import OrderPolicy
from orders.pricing import PricingService
from orders.settings import Settings

PAYMENT_DEADLINE = timedelta(minutes=15)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture(scope="session")
def settings() -> Settings:
    return Settings(environment="test", rate_limit_per_minute=0)


@pytest.fixture(scope="session")
def policy() -> OrderPolicy:
    return OrderPolicy(PricingService(), PAYMENT_DEADLINE)
