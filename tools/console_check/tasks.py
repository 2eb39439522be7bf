"""What a person does on the console, from the login to the logout, by what a person sees: roles, names and words."""

import json
import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from shop_harness.services import ROOT
from shop_harness.system import OPERATOR_EMAIL, OPERATOR_PASSWORD

from tests.integration.browser import WIDTH, Visitor
from tools.console_check.scene import CUSTOMER, Scene

if TYPE_CHECKING:
    from playwright.async_api import Page

AT_ONCE = 15_000
"""Milliseconds within which a page shows what has happened."""
PACTS = len(list((ROOT / "contracts" / "pacts").glob("*.json")))
AXE = """
async () => (await axe.run(document, {runOnly: ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"]})).violations
  .map(one => `${one.id}: ${one.help}: ${one.nodes.map(node => node.target.join(" ")).slice(0, 3).join(", ")}`)
"""
FOCUSED = "() => document.activeElement.textContent.trim()"


@dataclass
class Person:
    """Somebody at the console, with a screen of some width; `order` is the one that is looked at."""

    visitor: Visitor
    scene: Scene
    width: int
    pictures: Path
    axe: str
    order: str = ""

    @property
    def page(self) -> "Page":
        return self.visitor.page

    async def go(self, path: str) -> None:
        await self.visitor.open(f"{self.scene.console}{path}")

    async def sees(self, text: str) -> None:
        """Wait until a text is on the page. Raises playwright's TimeoutError."""
        await self.page.get_by_text(text).first.wait_for(timeout=AT_ONCE)

    async def look(self, name: str) -> None:
        """Keep a picture, and hold the page to its width and to WCAG."""
        await self.page.screenshot(path=self.pictures / f"{name}-{self.width}.png", full_page=True)
        if (wide := await self.page.evaluate(WIDTH)) > self.width:
            self.visitor.fault(f"{name} is {wide} px wide on a screen of {self.width} px")
        await self.page.evaluate(self.axe)
        for violation in await self.page.evaluate(AXE):
            self.visitor.fault(f"{name}: {violation}")


Task = Callable[[Person], Awaitable[None]]


async def logs_in_by_keyboard(person: Person) -> None:
    await person.go("/orders")
    await person.look("login")
    await person.page.get_by_label("E-mail address").focus()
    await person.page.keyboard.type(OPERATOR_EMAIL)
    await person.page.keyboard.press("Tab")
    await person.page.keyboard.type(OPERATOR_PASSWORD)
    await person.page.keyboard.press("Enter")
    await person.page.get_by_role("heading", name="Orders").wait_for()


async def reaches_every_page_by_keyboard(person: Person) -> None:
    await person.go("/orders")
    reached = []
    for _ in range(6):
        await person.page.keyboard.press("Tab")
        reached.append(await person.page.evaluate(FOCUSED))
    assert reached == ["Skip to the content", "Orders", "Dead letters", "Flow", "Mailbox", "Break it"], reached


async def sees_an_order_come_in(person: Person) -> None:
    await person.go("/orders")
    person.order = await person.scene.place()
    await person.page.get_by_role("link", name=person.order).wait_for(timeout=AT_ONCE)  # the page isn't loaded again
    await person.look("orders")


async def follows_it_to_its_e_mail(person: Person) -> None:
    order = await person.scene.place("pm_card_flaky")
    await person.go(f"/orders/{order}")
    await person.sees("charge, attempt 3")
    await person.page.get_by_role("article", name="Your order is confirmed").wait_for(timeout=AT_ONCE)
    await person.look("order")


async def finds_it_by_address_and_by_trace(person: Person) -> None:
    await person.go("/orders")
    await person.page.get_by_role("searchbox").fill(CUSTOMER)
    await person.page.keyboard.press("Enter")
    await person.page.get_by_role("link", name=person.order).click()
    trace = await person.page.locator("dd code").first.inner_text()
    await person.go("/orders")
    await person.page.get_by_role("searchbox").fill(trace)
    await person.page.get_by_role("button", name="Search").click()
    await person.page.get_by_role("heading", name=person.order).wait_for()


async def reads_a_raw_record(person: Person) -> None:
    await person.go(f"/orders/{person.order}")
    await person.page.get_by_role("link", name="order.placed.v1").first.click()
    await person.page.get_by_text("ce_specversion").first.wait_for(timeout=AT_ONCE)
    await person.page.get_by_text('"payment_method": "pm_card_ok"').first.wait_for()


async def takes_the_story_along(person: Person) -> None:
    await person.go(f"/orders/{person.order}")
    links = {name: person.page.get_by_role("link", name=name) for name in ("All facts as JSON", "Diagram in Mermaid")}
    answers = [await _fetched(person.page, str(await link.get_attribute("href"))) for link in links.values()]
    assert json.loads(answers[0])["state"] == "CONFIRMED"
    assert answers[1].startswith("sequenceDiagram")


async def sees_why_an_order_was_cancelled(person: Person) -> None:
    order = await person.scene.place("pm_card_declined")
    await person.go(f"/orders/{order}")
    await person.page.get_by_role("article", name="Your order is cancelled").wait_for(timeout=AT_ONCE)
    await person.page.get_by_role("cell", name="Trouble: declined").wait_for()
    await person.look("declined")


async def reads_an_e_mail_as_it_looks(person: Person) -> None:
    await person.go("/mailbox")
    await person.look("mailbox")
    await person.page.get_by_role("link", name="Your order is confirmed").first.click()
    await person.page.frame_locator("iframe").get_by_text("Thank you").wait_for()
    await person.look("mail")
    await person.page.get_by_role("link", name=re.compile("^Order ")).click()
    await person.page.get_by_role("heading", name=re.compile("^Order ")).wait_for()


async def mends_a_dead_letter(person: Person) -> None:
    order = await _letter_of(person, await person.scene.poison())
    mended = json.dumps({"order_id": order, "cancelled_at": "2026-01-15T12:00:00Z"})
    await person.page.get_by_label("Value", exact=True).fill(mended)
    await person.page.get_by_role("button", name="See the difference").click()
    await person.sees("Not saved yet")
    await person.look("letter")
    await person.page.get_by_role("button", name="Save the edit").click()
    await person.sees("Saved.")
    await person.page.get_by_role("button", name="Replay").click()
    await person.sees("Replayed")


async def discards_a_dead_letter(person: Person) -> None:
    await _letter_of(person, await person.scene.poison())
    await person.page.get_by_label("Nobody needs it").check()
    await person.page.get_by_role("button", name="Discard").click()
    await person.sees("Discarded.")
    await person.go("/letters?status=discarded")
    await person.look("letters")


async def sees_how_things_flow(person: Person) -> None:
    await person.go("/flow")
    await person.page.get_by_role("row", name=re.compile("^notifications ready")).wait_for(timeout=AT_ONCE)
    await person.page.get_by_role("row", name=re.compile("^order.placed.v1 orders orders payments")).wait_for()
    await person.look("flow")


async def sees_who_depends_on_whom(person: Person) -> None:
    await person.go("/flow")
    await person.page.get_by_role("heading", name="Contracts: who depends on whom").wait_for()
    await person.page.get_by_role("img", name=re.compile(f"^{PACTS} contracts, from consumers to providers")).wait_for()
    await person.page.get_by_role("row", name=re.compile("^notifications orders .*order.confirmed.v1")).wait_for()


async def kills_a_service_and_sees_it_come_back(person: Person) -> None:
    await person.go("/break")
    await person.page.get_by_role("button", name="Kill notifications").click()
    newest = person.page.get_by_role("article", name="Kill notifications").first
    await newest.get_by_role("heading", name="being watched").wait_for()
    await newest.get_by_role("heading", name="recovered after").wait_for(timeout=2 * AT_ONCE)
    await person.look("break")


async def is_told_that_an_order_is_unknown(person: Person) -> None:
    await person.go("/orders")
    faults = list(person.visitor.faults)
    await person.page.get_by_role("searchbox").fill("00000000-0000-4000-8000-000000000000")
    await person.page.keyboard.press("Enter")
    await person.sees("No service, no topic and no ledger knows")
    person.visitor.faults[:] = faults  # the page is a 404, which the browser says
    await person.look("unknown")


async def logs_out(person: Person) -> None:
    await person.go("/orders")
    await person.page.get_by_role("button", name="Log out").click()
    await person.page.get_by_role("heading", name="Log in as an operator").wait_for()
    await person.go("/letters")
    await person.page.get_by_role("heading", name="Log in as an operator").wait_for()


TASKS: tuple[Task, ...] = (
    logs_in_by_keyboard,
    reaches_every_page_by_keyboard,
    sees_an_order_come_in,
    follows_it_to_its_e_mail,
    finds_it_by_address_and_by_trace,
    reads_a_raw_record,
    takes_the_story_along,
    sees_why_an_order_was_cancelled,
    reads_an_e_mail_as_it_looks,
    mends_a_dead_letter,
    discards_a_dead_letter,
    sees_how_things_flow,
    sees_who_depends_on_whom,
    kills_a_service_and_sees_it_come_back,
    is_told_that_an_order_is_unknown,
    logs_out,
)


async def done(person: Person) -> int:
    """Do all tasks, and return how many were done; the first that can't be done ends it, and is a fault."""
    from playwright.async_api import Error  # noqa: PLC0415 - it isn't everywhere

    for number, task in enumerate(TASKS):
        try:
            await task(person)
        except (Error, AssertionError) as error:
            what = task.__name__.replace("_", " ")
            await person.page.screenshot(path=person.pictures / f"failed-{person.width}.png", full_page=True)
            person.visitor.fault(f"nobody {what}: {error}")
            return number
    return len(TASKS)


async def _letter_of(person: Person, order: str) -> str:
    """Open the letter that payments has of an order's record."""
    row = person.page.get_by_role("row").filter(has_text=order).filter(has_text="payments")
    for _ in range(AT_ONCE // 500):
        await person.go("/letters")
        if await row.count():
            break
        await person.page.wait_for_timeout(500)
    await row.get_by_role("link").first.click()
    await person.page.get_by_role("heading", name="Edit", exact=True).wait_for()
    return order


async def _fetched(page: "Page", path: str) -> str:
    text: Any = await page.evaluate("path => fetch(path).then(answer => answer.text())", path)
    return str(text)
