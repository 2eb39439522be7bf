"""The containers themselves: what they are made of, and what is told when they don't start."""

import json

import pytest
from shop_harness.services import SERVICES

from .containers import ComposedShop, ComposeError, Project, revision


@pytest.mark.parametrize("service", SERVICES)
async def test_an_image_says_which_revision_it_is_of(shop: ComposedShop, service: str) -> None:
    [container] = (await shop.run("ps", "--quiet", service)).split()

    [found] = json.loads(await shop.docker("inspect", container))

    assert found["Config"]["Labels"]["org.opencontainers.image.revision"] == revision()


@pytest.mark.usefixtures("shop")  # where there are no containers, it says so
def test_a_start_that_fails_shows_what_the_containers_logged() -> None:
    with pytest.raises(ComposeError) as failed, Project("orders", ORDERS_PAYMENT_DEADLINE_SECONDS="soon"):
        pass

    assert "orders: ORDERS_PAYMENT_DEADLINE_SECONDS: " in str(failed.value)
