"""`python -m tools.console_check.pictures`: make the pictures of docs/learn/one-orders-story.md and of README again."""

import asyncio
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from backing_services.waiting import eventually
from shop_harness.system import OPERATOR_EMAIL, OPERATOR_PASSWORD

from tests.integration.browser import WIDE, Visitor, chromium, missing
from tools.console_check.scene import Scene, running
from tools.uv import ROOT

if TYPE_CHECKING:
    from playwright.async_api import Locator

FOLDER = ROOT / "docs" / "pictures"
MOST_BYTES = 300_000
CARDS = ("pm_card_ok", "pm_card_declined", "pm_card_slow", "pm_card_ok")
MAILS_OF_A_REFUND = 3


async def _main() -> int:
    """The exit status: 1 where a picture is too large, 2 where a program is missing."""
    if reason := missing():
        print(f"console-pictures: {reason}", file=sys.stderr)
        return 2
    with tempfile.TemporaryDirectory(prefix="console-") as folder:
        async with running(Path(folder)) as scene, chromium() as browser, browser.visitor(width=WIDE) as visitor:
            await _take(visitor, scene)
    large = [picture for picture in FOLDER.glob("*.png") if picture.stat().st_size > MOST_BYTES]
    for picture in sorted(FOLDER.glob("*.png")):
        print(f"{picture.stat().st_size / 1000:5.0f} kB  {picture.relative_to(ROOT)}")
    return 1 if large else 0


async def _take(visitor: Visitor, scene: Scene) -> None:
    order = await _story(scene)
    page = visitor.page
    await visitor.open(f"{scene.console}/login")
    await page.get_by_label("E-mail address").fill(OPERATOR_EMAIL)
    await page.get_by_label("Password").fill(OPERATOR_PASSWORD)
    await page.get_by_role("button", name="Log in").click()
    await page.get_by_role("link", name=order).wait_for()
    await _keep(page.locator("body"), "orders")
    await page.route("**/live*", lambda route: route.abort())  # a part that is replaced can't be taken
    await visitor.open(f"{scene.console}/orders/{order}")
    await page.screenshot(path=FOLDER / "order.png")
    await _keep(page.locator(".drawing"), "diagram")
    await _keep(page.locator("[aria-labelledby=steps]"), "steps")
    await page.locator("#record-0 summary").click()
    await _keep(page.locator("#record-0"), "record")
    await visitor.open(f"{scene.console}/flow")
    await _keep(page.locator("body"), "flow")


async def _story(scene: Scene) -> str:
    """A customer whose card is charged at the third attempt, and who then changes her mind."""
    for card in CARDS:
        await scene.place(card)
    order = await scene.place("pm_card_flaky")
    async with scene.logged_in() as http:

        async def mails(number: int) -> bool:
            story = (await http.get(f"/orders/{order}/story.json")).json()
            return len(story["mails"]) == number

        await eventually(lambda: mails(1), every=0.2)
        (await scene.api.cancel(order, headers=scene.headers)).raise_for_status()
        await eventually(lambda: mails(MAILS_OF_A_REFUND), every=0.2)
    return order


async def _keep(what: "Locator", name: str) -> None:
    FOLDER.mkdir(parents=True, exist_ok=True)
    await what.screenshot(path=FOLDER / f"{name}.png")


if __name__ == "__main__":
    sys.exit(asyncio.run(_main()))
