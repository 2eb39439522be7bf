from collections.abc import AsyncIterator

import pytest

from tests.customer import Customer

from .in_memory import open_shop_in_memory
from .running import open_running_shop
from .shop import Shop


@pytest.fixture(scope="module", params=["in memory", "running"])
async def shop(request: pytest.FixtureRequest) -> AsyncIterator[Shop]:
    """Each journey has a customer of its own; no service of it runs beside the tests of other files."""
    if request.param == "in memory":
        opened = open_shop_in_memory()
    else:
        opened = open_running_shop(request.getfixturevalue("postgres_server"), request.getfixturevalue("kafka_cluster"))
    async with opened as shop:
        yield shop


@pytest.fixture
async def customer(shop: Shop) -> Customer:
    return await shop.customer()
