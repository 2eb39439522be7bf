"""The containers themselves: what they are made of, and what is told when they don't start."""

import json

import pytest
from shop_harness.services import SERVICES

from .containers import ComposedShop, ComposeError, Project, revision

OURS = [*SERVICES, "console", "payment-gateway"]
STATUS = ("cat", "/proc/1/status")
PLACES = ("/", "/app", "/usr/local/bin")
WRITES = (
    "python",
    "-c",
    f"""
import errno
for place in {PLACES}:
    try:
        open(place + "/written", "w")
        print("written")
    except OSError as error:
        print(errno.errorcode[error.errno])
""",
)
"""Whether files can be made beside the program, or where other programs are."""


@pytest.mark.parametrize("service", SERVICES)
async def test_an_image_says_which_revision_it_is_of(shop: ComposedShop, service: str) -> None:
    [container] = (await shop.run("ps", "--quiet", service)).split()

    [found] = json.loads(await shop.docker("inspect", container))

    assert found["Config"]["Labels"]["org.opencontainers.image.revision"] == revision()


@pytest.mark.parametrize("name", OURS)
async def test_what_runs_can_do_no_more_than_its_program(shop: ComposedShop, name: str) -> None:
    [container] = (await shop.run("ps", "--quiet", name)).split()

    process = dict(
        line.split(":\t", 1) for line in (await shop.docker("exec", container, *STATUS)).splitlines() if ":\t" in line
    )
    user, capabilities = process["Uid"].split()[0], int(process["CapBnd"], base=16)
    [found] = json.loads(await shop.docker("inspect", container))
    refused = await shop.docker("exec", container, *WRITES)

    assert user != "0"
    assert (capabilities, process["NoNewPrivs"]) == (0, "1")
    assert refused.split() == ["EROFS"] * len(PLACES)
    assert 0 < found["HostConfig"]["Memory"] <= 256 * 2**20
    assert found["State"]["Health"]["Status"] == "healthy"


@pytest.mark.usefixtures("shop")  # where there are no containers, it says so
def test_a_start_that_fails_shows_what_the_containers_logged() -> None:
    with pytest.raises(ComposeError) as failed, Project("orders", ORDERS_PAYMENT_DEADLINE_SECONDS="soon"):
        pass

    assert "orders: ORDERS_PAYMENT_DEADLINE_SECONDS: " in str(failed.value)
