"""What a page asks of the services and shows of them, where its next page begins, what the log keeps of a change."""

import json
import re
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from html import unescape
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

import httpx
import pytest
import shop_console
from outboxed.messages import Record
from shop_console.breaking import Breaker, Watch
from shop_console.browser import create_app
from shop_console.catalogue import Catalogue, Described, View
from shop_console.letters import LISTED
from shop_console.pages import mailbox, orders
from shop_console.seen import Seen
from shop_console.settings import Settings
from shop_console.teller import Teller
from structlog.testing import capture_logs
from structlog.typing import EventDict

from ..factories import KEY, at, attempt, entry, mail, seen, text

PASSWORD, TOKEN = "its-password", "its-token"
CSRF = re.compile(r'name="csrf" value="([^"]+)"')
TEMPLATES = sorted((Path(shop_console.__file__).parent / "templates").iterdir())
WORD = "WORD"
"""In an answer: whatever a customer, an operator or a program has written."""
RAW = {"text": WORD, "base64": None}
LETTER = {
    "id": 7,
    "source": "event",
    "topic": WORD,
    "partition": 0,
    "offset": 3,
    "status": "open",
    "failed_at": text(0),
    "reason": WORD,
    "edited_at": text(0),
    "content": {"key": RAW, "headers": [{"name": WORD, "value": RAW}], "value": RAW},
    "original": {"key": None, "headers": [], "value": None},
}
ANSWERS: Mapping[str, Any] = {
    "/api/v1/tokens": {"access_token": TOKEN, "expires_in": 600},
    "/operations/dead-letters": {"items": [LETTER]},
    "/operations/dead-letters/": LETTER,
    "/operations/keys/": {
        "tasks": [{"kind": WORD, "key": WORD, "due_at": text(0), "attempts": 1, "last_error": WORD}],
        "attempts": [{**attempt(outcome=WORD), "kind": WORD}],
        "dead_letters": [LETTER],
    },
    "/api/v1/orders/": {"status": WORD, "kind": WORD, "history": [{"at": text(0), "status": WORD, "reason": WORD}]},
    "/_ledger": {"entries": [{**entry(), "operation": WORD, "currency": WORD}]},
    "/breaking": {WORD: WORD},
}
"""What is answered by the beginning of the path; the longest counts."""
MAIL = {
    **mail(WORD),
    "MessageID": f"{WORD}.{WORD}@{WORD}",
    "From": {"Address": WORD},
    "To": [{"Address": WORD}],
    "Date": text(0),
    "Text": WORD,
    "HTML": WORD,
}


@dataclass
class Shop:
    """What is behind the console: `asked` has each request, `refuses` says whether changes are refused.

    `word` stands in its answers for WORD, and `mails` is how many e-mails each search finds.
    """

    asked: list[httpx.URL] = field(default_factory=list)
    refuses: bool = False
    word: str = "word"
    mails: Mapping[str, int] = field(default_factory=lambda: {"": 1})
    metrics: str = ""

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.asked.append(request.url)
        path = request.url.path
        if path == "/metrics":
            return httpx.Response(200, text=self.metrics)
        if path == "/health/ready":
            return self._answer({"reason": WORD}, 503)
        if "nobody" in path:
            return httpx.Response(404)
        if request.url.host == "mails":
            one = {**MAIL, "ID": path.rpartition("/")[2]}
            return self._answer(one if "/message/" in path else self._found(request.url.params))
        if request.method == "POST" and self.refuses:
            return httpx.Response(409, json={"error": {"message": "it is closed"}})
        return self._answer(ANSWERS[max((known for known in ANSWERS if path.startswith(known)), key=len)])

    def last_query(self, path: str) -> dict[str, str]:
        return dict([url.params for url in self.asked if url.path == path][-1])

    def _found(self, asked: httpx.QueryParams) -> Mapping[str, Any]:
        """As Mailpit lists: `total` counts all that it has."""
        count = self.mails.get(asked.get("query", ""), 0)
        newest_first = [{**MAIL, "ID": one} for one in reversed(things(count))]
        start, most = int(asked["start"]), int(asked["limit"])
        found = newest_first[start : start + most]
        return {"messages": found, "total": sum(self.mails.values()), "messages_count": count}

    def _answer(self, content: Any, status: int = 200) -> httpx.Response:
        return httpx.Response(status, text=json.dumps(content).replace(WORD, json.dumps(self.word)[1:-1]))


def things(count: int) -> list[str]:
    """Ids of orders or e-mails, oldest first."""
    return [f"thing{number:03}" for number in range(count)]


@pytest.fixture
def shop() -> Shop:
    return Shop()


@pytest.fixture
async def teller(shop: Shop) -> AsyncIterator[Teller]:
    settings = Settings(
        services={"orders": "http://orders"},
        gateway_url="http://gateway",
        mailbox_url="http://mails",
        breaking_url="http://harness/breaking",
        hosts=("console",),
    )
    views = (View("/api/v1/orders/{order_id}", "order_id", in_path=True),)
    async with httpx.AsyncClient(transport=httpx.MockTransport(shop)) as http:
        teller = Teller.of(settings, http)
        teller.catalogue = Catalogue({"orders": Described("orders", "http://orders", views=views)})
        yield teller


@pytest.fixture
def breaker(teller: Teller) -> Breaker:
    breaker = Breaker.of(teller)
    assert breaker is not None
    return breaker


@pytest.fixture
async def browser(teller: Teller, breaker: Breaker) -> AsyncIterator[httpx.AsyncClient]:
    """That of an operator who is logged in."""
    transport = httpx.ASGITransport(create_app(teller, breaker))
    async with httpx.AsyncClient(transport=transport, base_url="http://console") as browser:
        await browser.post("/login", data={"email": "op@example.com", "password": PASSWORD})
        yield browser


async def see(browser: httpx.AsyncClient, address: str) -> str:
    answer = await browser.get(address)
    assert answer.status_code == 200, address
    return answer.text


@pytest.mark.parametrize("address", ["/orders", "/mailbox", "/mailbox?q=to:ada%40example.com"])
@pytest.mark.parametrize(("more", "sizes"), [(0, [50, 50]), (1, [50, 50, 1])], ids=["full", "one more"])
async def test_whoever_follows_the_links_to_older_ones_sees_each_once_newest_first(
    browser: httpx.AsyncClient, teller: Teller, shop: Shop, address: str, more: int, sizes: list[int]
) -> None:
    assert orders.PAGE == mailbox.PAGE == sizes[0]
    ids = things(2 * orders.PAGE + more)
    shop.mails = {"to:ada@example.com": len(ids), "of others": 500} if "?" in address else {"": len(ids)}
    for number, key in enumerate(ids):
        teller.index.add(seen(key=key, recorded=number))
    shown: list[list[str]] = []

    following: str | None = address
    while following is not None:
        page = await see(browser, following)
        shown.append(re.findall(rf'href="{urlsplit(address).path}/(thing\d+)"', page))
        assert f"Page {len(shown)} of {len(sizes)}" in page
        older = re.search(r'href="([^"]+)">Older<', page)
        following = unescape(older[1]) if older else None

    assert [one for page in shown for one in page] == ids[::-1]
    assert [len(page) for page in shown] == sizes


# --- the parts of a page that come again ---


class Parts(HTMLParser):
    """Elements that a browser fetches again: by their ids, from where and with which values."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.found: dict[str, tuple[str, Mapping[str, Any]]] = {}
        self.feed(page)

    def handle_starttag(self, _: str, attributes: list[tuple[str, str | None]]) -> None:
        of = dict(attributes)
        if (address := of.get("hx-get")) is not None:
            self.found[of["id"] or ""] = address, json.loads(of.get("hx-vals") or "{}")


def without_times(page: str) -> str:
    """An age is another a moment later."""
    return re.sub(r"<time .*?</time>", "", page)


ODD = "'\"&<"
FETCHED_AGAIN = [
    ("/orders", ["orders"]),
    ("/orders?page=2", ["orders"]),
    ("/orders?q=ada", ["orders"]),
    (f"/orders?q={quote(ODD)}", ["orders"]),
    (f"/orders/{KEY}", ["story"]),
    ("/flow", ["flow", "contracts"]),
    ("/break", ["watches"]),
]


@pytest.mark.parametrize(("address", "parts"), FETCHED_AGAIN)
async def test_what_a_part_of_a_page_is_replaced_by_is_what_the_page_shows(
    browser: httpx.AsyncClient, teller: Teller, breaker: Breaker, address: str, parts: list[str]
) -> None:
    """Else a search turns into the newest orders once anybody places one."""
    for number, key in enumerate([KEY, *things(orders.PAGE)]):
        email = "ada@example.com" if number % 7 == 0 else f"{ODD}@example.com"
        teller.index.add(seen(key=key, recorded=number, data={"customer": {"email": email}}))
    breaker.watches.append(Watch("kill-payments", "Kill payments", "op@example.com", datetime.now(UTC)))

    page = await see(browser, address)

    found = Parts(page).found
    assert list(found) == parts
    for again, values in found.values():
        answer = await browser.get(again, params=values or None)
        assert answer.text.strip()
        assert without_times(answer.text).strip() in without_times(page)


def test_every_part_that_comes_again_is_looked_at() -> None:
    there = {part for template in TEMPLATES for part in re.findall(r'id="(\w+)" hx-get=', template.read_text())}
    gets = sum(template.read_text().count("hx-get=") for template in TEMPLATES)

    assert there == {part for _, parts in FETCHED_AGAIN for part in parts}
    assert gets == len(there)


async def test_each_step_of_a_story_leads_to_its_own_record(browser: httpx.AsyncClient, teller: Teller) -> None:
    for number, event in enumerate(("order.placed.v1", "order.confirmed.v1", "order.cancelled.v1")):
        teller.index.add(seen(event, recorded=number))

    page = await see(browser, f"/orders/{KEY}")

    steps = re.findall(r'<a href="#(record-\d+)">(.*?)</a>', page)
    records = dict(re.findall(r'<details id="(record-\d+)"><summary>(\S+) in ', page))
    assert len(steps) == 3
    assert [records[to] for to, _ in steps] == [event for _, event in steps]


# --- what others wrote ---

MARKUP = "\"'><i>"
"""It ends an attribute or a tag, and begins another."""


@pytest.mark.parametrize(
    "address",
    [
        "/orders",
        f"/orders?q={quote(MARKUP[1:])}",
        f"/orders/{quote(MARKUP)}",
        f"/orders/{quote(MARKUP)}/story",
        "/letters",
        "/letters/orders/7",
        "/mailbox",
        f"/mailbox?q={quote(MARKUP)}",
        "/mailbox/m1",
        "/flow",
        "/break",
        f"/login?next=/{quote(MARKUP)}",
    ],
)
async def test_no_page_takes_what_others_wrote_for_its_own_markup(
    browser: httpx.AsyncClient, teller: Teller, breaker: Breaker, shop: Shop, address: str
) -> None:
    raw = MARKUP.encode()
    shop.word, shop.mails = MARKUP, {"": 1, MARKUP: 1, f"message-id:{MARKUP}": 1}
    shop.metrics = 'tasks_due{kind="\\"\'><i>"} 1\n'
    described = teller.catalogue.services["orders"]
    teller.catalogue = Catalogue({"orders": replace(described, publishes={MARKUP: MARKUP})})
    teller.index.add(seen(key=MARKUP))
    value = json.dumps({"customer": {"email": MARKUP}}).encode()
    teller.index.add(
        Seen(Record(MARKUP, 0, 7, raw, value, ((MARKUP, raw), ("ce_type", raw), ("ce_source", raw))), at(0))
    )
    teller.follower.problem = MARKUP
    breaker.watches.append(Watch(MARKUP, MARKUP, MARKUP, datetime.now(UTC), [(0.1, MARKUP)], MARKUP))

    page = await see(browser, address)

    assert "&lt;i&gt;" in page
    assert "<i>" not in page


async def test_an_order_that_nobody_knows_is_no_markup(browser: httpx.AsyncClient) -> None:
    answer = await browser.get(f"/orders/{quote(f'nobody{MARKUP}')}")

    assert (answer.status_code, "&lt;i&gt;" in answer.text, "<i>" in answer.text) == (404, True, False)


@pytest.mark.parametrize("template", TEMPLATES, ids=lambda template: template.name)
def test_no_template_takes_a_value_for_markup(template: Path) -> None:
    """Also where no test has such a value."""
    assert re.findall(r"\|\s*safe\b|autoescape|Markup", template.read_text()) == []


async def test_flow_is_there_while_a_service_does_not_know_its_figures(browser: httpx.AsyncClient, shop: Shop) -> None:
    """That is just when its database is away."""
    plain = ("consumer_lag", "outbox_rows", "outbox_oldest_seconds", "outbox_held_rows")
    by_label = ('tasks_due{kind="a"}', 'tasks_oldest_due_seconds{kind="a"}', 'dead_letters{source="event"}')
    shop.metrics = "".join(f"{sample} NaN\n" for sample in (*plain, *by_label))

    row = re.search(r'<th scope="row">orders</th>.*?</tr>', await see(browser, "/flow/now"), re.DOTALL)

    assert row is not None
    assert row[0].count("unknown") == 4, "records, the outbox, held events, dead letters"


# --- letters and logins ---


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
