from collections.abc import AsyncIterator, Generator

import pytest
from backing_services.containers import why_no_engine
from backing_services.plugin import not_available

from tests.customer import Customer

from .containers import ComposedShop, ComposeError, open_shop, remove_left_behind, why_not_here

SHOP = pytest.StashKey[ComposedShop]()


@pytest.fixture(scope="session")
async def shop(pytestconfig: pytest.Config) -> AsyncIterator[ComposedShop]:
    """Opened once for all journeys; each has a customer of its own."""
    if reason := why_no_engine() or why_not_here():
        not_available("containers", reason)
    remove_left_behind()
    async with open_shop() as shop:
        pytestconfig.stash[SHOP] = shop
        yield shop


@pytest.fixture
async def customer(shop: ComposedShop) -> Customer:
    return await shop.customer()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Attach to a failure what all containers have logged since the test began."""
    report = yield
    if report.failed and (shop := item.config.stash.get(SHOP, None)):
        report.sections.append(("the containers' logs", _logs(shop, since=int(call.start))))
    return report


def _logs(shop: ComposedShop, *, since: int) -> str:
    try:
        return shop.project.output("logs", "--since", str(since))
    except ComposeError as error:  # raised, it would hide the failure that the logs are for
        return str(error)
