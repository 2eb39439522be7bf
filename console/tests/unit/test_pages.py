"""What a page asks of the services, where its next page begins, and what the log keeps of a change."""

import re
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import httpx
import pytest
from shop_console import catalogue
from shop_console.browser import create_app
from shop_console.letters import LISTED
from shop_console.pages import mailbox, orders
from shop_console.settings import Settings
from shop_console.teller import Teller
from structlog.testing import capture_logs
from structlog.typing import EventDict

from ..factories import seen

PASSWORD, TOKEN = "its-password", "its-token"
CSRF = re.compile(r'name="csrf" value="([^"]+)"')
CONTENT: Mapping[str, Any] = {"key": None, "headers": [], "value": None}
LETTER = {
    "id": 7,
    "source": "event",
    "topic": "orders",
    "partition": 0,
    "offset": 3,
    "status": "open",
    "failed_at": "2026-01-15T12:00:00Z",
    "reason": "why",
    "edited_at": None,
    "content": CONTENT,
    "original": CONTENT,
}


@dataclass
class Shop:
    """What is behind the console: `asked` has each request, `refuses` says whether changes are refused."""

    asked: list[httpx.URL] = field(default_factory=list)
    refuses: bool = False

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.asked.append(request.url)
        if request.url.path.endswith("/tokens"):
            return httpx.Response(200, json={"access_token": TOKEN, "expires_in": 600})
        if request.url.host == "mails":
            return httpx.Response(200, json={"messages": [], "total": 0, "messages_count": 0})
        if request.method == "POST" and self.refuses:
            return httpx.Response(409, json={"error": {"message": "it is closed"}})
        return httpx.Response(200, json=LETTER if "dead-letters/" in request.url.path else {"items": []})

    def last_query(self, path: str) -> dict[str, str]:
        return dict([url.params for url in self.asked if url.path == path][-1])


@pytest.fixture
def shop() -> Shop:
    return Shop()


@pytest.fixture
async def teller(shop: Shop) -> AsyncIterator[Teller]:
    settings = Settings(services={"orders": "http://orders"}, mailbox_url="http://mails", hosts=("console",))
    async with httpx.AsyncClient(transport=httpx.MockTransport(shop)) as http:
        teller = Teller.of(settings, http)
        teller.catalogue = catalogue.Catalogue({"orders": catalogue.Described("orders", "http://orders")})
        yield teller


@pytest.fixture
async def browser(teller: Teller) -> AsyncIterator[httpx.AsyncClient]:
    """That of an operator who is logged in."""
    transport = httpx.ASGITransport(create_app(teller))
    async with httpx.AsyncClient(transport=transport, base_url="http://console") as browser:
        await browser.post("/login", data={"email": "op@example.com", "password": PASSWORD})
        yield browser


async def test_each_page_of_orders_goes_on_where_the_one_before_ends(
    browser: httpx.AsyncClient, teller: Teller
) -> None:
    count = 2 * orders.PAGE + 1
    for number in range(count):
        teller.index.add(seen(key=f"order-{number:03}", recorded=number))

    pages = [(await browser.get("/orders", params={"page": page})).text for page in (1, 2, 3)]

    shown = [re.findall(r"<code>(order-\d+)</code>", page) for page in pages]
    newest_first = [f"order-{number:03}" for number in reversed(range(count))]
    assert [key for page in shown for key in page] == newest_first
    assert [len(page) for page in shown] == [orders.PAGE, orders.PAGE, 1]


@pytest.mark.parametrize(("page", "start"), [(1, 0), (2, mailbox.PAGE), (3, 2 * mailbox.PAGE)])
async def test_each_page_of_the_mailbox_goes_on_where_the_one_before_ends(
    browser: httpx.AsyncClient, shop: Shop, page: int, start: int
) -> None:
    await browser.get("/mailbox", params={"page": page})

    assert shop.last_query("/api/v1/messages") == {"start": str(start), "limit": str(mailbox.PAGE)}


async def test_a_service_is_asked_for_as_many_letters_of_the_status_as_a_page_shows(
    browser: httpx.AsyncClient, shop: Shop
) -> None:
    await browser.get("/letters", params={"status": "replayed"})

    assert shop.last_query("/operations/dead-letters") == {"status": "replayed", "limit": str(LISTED)}


async def replayed(browser: httpx.AsyncClient) -> tuple[httpx.Response, Sequence[EventDict]]:
    """The answer to somebody who replays a letter, and the lines of the log about it."""
    found = CSRF.search((await browser.get("/letters/orders/7")).text)
    assert found is not None
    with capture_logs() as lines:
        answer = await browser.post("/letters/orders/7/replay", data={"csrf": found[1]})
    return answer, [line for line in lines if line["event"] == "dead_letter_changed"]


async def test_who_changed_which_letter_is_written_down_without_what_lets_them(browser: httpx.AsyncClient) -> None:
    answer, lines = await replayed(browser)

    told = {"change": "replayed", "service": "orders", "letter": 7, "operator": "op@example.com"}
    assert answer.status_code == 303
    assert lines == [{"event": "dead_letter_changed", "log_level": "info", **told}]


async def test_a_change_that_a_service_refuses_is_not_written_down_as_made(
    browser: httpx.AsyncClient, shop: Shop
) -> None:
    shop.refuses = True

    answer, lines = await replayed(browser)

    assert (answer.status_code, lines) == (409, [])
    assert "it is closed" in answer.text


async def test_the_log_says_who_logged_in_and_not_by_what(teller: Teller) -> None:
    transport = httpx.ASGITransport(create_app(teller))
    login: dict[str, Any] = {"email": "op@example.com", "password": PASSWORD}
    with capture_logs() as lines:
        async with httpx.AsyncClient(transport=transport, base_url="http://console") as browser:
            await browser.post("/login", data=login)

    assert [line["operator"] for line in lines if line["event"] == "operator_logged_in"] == ["op@example.com"]
    assert PASSWORD not in repr(lines)
    assert TOKEN not in repr(lines)
