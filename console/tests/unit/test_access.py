"""Who may see and change what: of every page, so that a new one which forgets to ask is seen."""

import asyncio
import json
import re
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import cache
from html import unescape

import httpx
import pytest
from fastapi import FastAPI
from fastapi.routing import APIRoute
from shop_console.browser import create_app
from shop_console.catalogue import Catalogue
from shop_console.guards import HEADERS, MAX_FORM_BYTES
from shop_console.pages import ROUTERS
from shop_console.pages.mailbox import OF_A_MAIL
from shop_console.sessions import COOKIE
from shop_console.settings import Settings
from shop_console.teller import Teller

from ..factories import CATALOGUE

OPEN = {"/", "/health/live", "/health/ready", "/login", "/static/{name}"}
"""What a stranger may ask for: everything else is about orders and people."""
VALUES = {"letter_id": "1", "name": "kill-payments", "service": "payments"}
ROUTES = [route for router in ROUTERS for route in router.routes if isinstance(route, APIRoute)]


def addresses(method: str) -> list[str]:
    return [route.path for route in ROUTES if method in (route.methods or ()) and route.path not in OPEN]


PAGES, FORMS = addresses("GET"), addresses("POST")


def filled(address: str) -> str:
    return re.sub(r"\{(\w+)\}", lambda found: VALUES.get(found[1], "x"), address)


def answers(request: httpx.Request) -> httpx.Response:
    """A service that gives anybody a token, and lets everybody in."""
    token = {"access_token": "t", "expires_in": 600}
    return httpx.Response(200, content=json.dumps(token if request.method == "POST" else {"items": []}))


@pytest.fixture(scope="module")
async def console() -> AsyncIterator[Callable[[str], FastAPI]]:
    """The app by its environment: a new one looks at all its routes again. Each browser has a session of its own."""
    async with httpx.AsyncClient(transport=httpx.MockTransport(answers)) as http:

        @cache
        def app(environment: str) -> FastAPI:
            settings = Settings(services={"orders": "http://orders"}, hosts=("console",)).model_copy(
                update={"environment": environment}
            )
            return create_app(Teller.of(settings, http))

        yield app


@pytest.fixture
async def browser(
    console: Callable[[str], FastAPI], request: pytest.FixtureRequest
) -> AsyncIterator[httpx.AsyncClient]:
    """The parameter is the console's environment."""
    async with visiting(console(getattr(request, "param", "development"))) as browser:
        yield browser


@asynccontextmanager
async def visiting(app: FastAPI) -> AsyncIterator[httpx.AsyncClient]:
    """A browser that never follows."""
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="https://console") as browser:
        yield browser


async def log_in(browser: httpx.AsyncClient, **fields: str) -> httpx.Response:
    return await browser.post("/login", data={**fields, "email": "op@example.com", "password": "secret"})


def inputs_of(page: str) -> dict[str, str]:
    """What a browser sends of a page's form, if nobody types."""
    inputs = [dict(re.findall(r'(\w+)="([^"]*)"', one)) for one in re.findall(r"<input[^>]*>", page)]
    return {one["name"]: unescape(one.get("value", "")) for one in inputs}


def test_there_are_pages_and_forms() -> None:
    assert len(PAGES) >= 15
    assert len(FORMS) >= 5


@pytest.mark.parametrize("address", PAGES)
async def test_a_stranger_sees_no_page(browser: httpx.AsyncClient, address: str) -> None:
    async with asyncio.timeout(5):  # a stream that lets strangers in never ends
        answer = await browser.get(filled(address))

    assert answer.status_code == (401 if address.endswith(".json") else 303)
    assert address.endswith(".json") or answer.headers["location"].startswith("/login")


@pytest.mark.parametrize(
    "address",
    [
        *(filled(page) for page in PAGES if not page.endswith(".json")),
        "/letters?status=replayed",
        "/orders?q=ada%40example.com&page=2",
        "/orders/a%26b%23c%20d%3Fe",
    ],
)
async def test_whoever_has_to_log_in_comes_to_the_page_that_they_asked_for(
    browser: httpx.AsyncClient, address: str
) -> None:
    """An alarm or a colleague gave them its address."""
    login = await browser.get((await browser.get(address)).headers["location"])

    entered = await log_in(browser, **inputs_of(login.text))

    assert entered.headers["location"] == address


@pytest.mark.parametrize("address", FORMS)
async def test_a_stranger_sends_no_form(browser: httpx.AsyncClient, address: str) -> None:
    answer = await browser.post(filled(address), data={"csrf": "x"})

    assert (answer.status_code, answer.headers.get("location")) == (303, "/login")


@pytest.mark.parametrize("address", FORMS)
@pytest.mark.parametrize("form", [{"sure": "true"}, {"csrf": "of another session"}])
async def test_no_form_is_taken_but_that_of_the_sessions_own_page(
    browser: httpx.AsyncClient, address: str, form: dict[str, str]
) -> None:
    await log_in(browser)

    answer = await browser.post(filled(address), data=form)

    assert answer.status_code == 403


@pytest.mark.parametrize(("browser", "secure"), [("development", False), ("production", True)], indirect=["browser"])
async def test_no_script_no_other_site_and_in_production_no_wire_sees_the_cookie(
    browser: httpx.AsyncClient, *, secure: bool
) -> None:
    cookie = (await log_in(browser)).headers["Set-Cookie"]

    attributes = {part.strip().lower() for part in cookie.split(";")[1:]}
    assert cookie.startswith(f"{COOKIE}=")
    assert {"httponly", "samesite=lax"} <= attributes
    assert ("secure" in attributes) is secure


async def test_who_logs_in_is_asked_for_where_the_setting_says() -> None:
    asked: list[str] = []

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append(request.url.host)
        return answers(request)

    services = {"orders": "http://orders", "people": "http://people"}
    settings = Settings(services=services, tokens_from="people", hosts=("console",))
    async with (
        httpx.AsyncClient(transport=httpx.MockTransport(answer)) as http,
        visiting(create_app(Teller.of(settings, http))) as browser,
    ):
        await log_in(browser)

    assert asked == ["people", "people"]


async def test_who_logs_out_has_no_session_and_no_cookie(browser: httpx.AsyncClient) -> None:
    await log_in(browser)
    cookie = browser.cookies[COOKIE]
    [csrf] = re.findall(r'name="csrf" value="([^"]+)"', (await browser.get("/orders")).text)[:1]

    await browser.post("/logout", data={"csrf": csrf})

    assert COOKIE not in browser.cookies
    again = await browser.get("/orders", headers={"Cookie": f"{COOKIE}={cookie}"})
    assert again.status_code == 303


@pytest.mark.parametrize("length", [str(MAX_FORM_BYTES + 1), "-1", ""])
async def test_a_form_that_is_too_long_or_does_not_say_how_long_it_is_is_not_read(
    browser: httpx.AsyncClient, length: str
) -> None:
    async def endless() -> AsyncIterator[bytes]:
        yield b"email="
        pytest.fail("it was read")

    answer = await browser.post("/login", content=endless(), headers={"Content-Length": length} if length else {})

    assert answer.status_code == 413


@pytest.mark.parametrize("address", ["/login", "/nothing", "/orders"])
async def test_every_answer_says_what_a_browser_may_do_with_it(browser: httpx.AsyncClient, address: str) -> None:
    headers = (await browser.get(address)).headers

    assert {name: headers.get(name) for name in HEADERS} == HEADERS


def policy_of(text: str) -> dict[str, list[str]]:
    """The sources of each directive."""
    return {name: sources for name, *sources in (part.split() for part in text.split(";"))}


def test_no_page_may_be_framed_by_another_site_run_a_script_from_elsewhere_or_be_guessed() -> None:
    policy = policy_of(HEADERS["Content-Security-Policy"])

    assert policy["default-src"] == ["'none'"]
    for name in ("script-src", "style-src", "connect-src", "form-action", "frame-ancestors"):
        assert policy[name] == ["'self'"], name
    assert policy["base-uri"] == ["'none'"]
    assert (HEADERS["X-Content-Type-Options"], HEADERS["Cache-Control"]) == ("nosniff", "no-store")


@pytest.mark.parametrize("policy", [HEADERS["Content-Security-Policy"], OF_A_MAIL], ids=["a page", "an e-mail"])
def test_neither_a_page_nor_an_e_mail_loads_anything_from_elsewhere(policy: str) -> None:
    """A picture of an e-mail would tell its writer who reads it, and when."""
    sources = {source for listed in policy_of(policy).values() for source in listed}

    assert sources - {"'none'", "'self'", "'unsafe-inline'", "data:"} == set()


def test_an_e_mail_runs_no_script() -> None:
    policy = policy_of(OF_A_MAIL)

    assert (policy["sandbox"], policy["default-src"]) == ([], ["'none'"])
    assert {"script-src", "script-src-elem", "script-src-attr"} & policy.keys() == set()


async def test_the_console_is_ready_once_it_has_met_each_service_and_reads_the_topics() -> None:
    settings = Settings(services={name: f"http://{name}" for name in CATALOGUE.services}, hosts=("console",))
    async with (
        httpx.AsyncClient(transport=httpx.MockTransport(answers)) as http,
        visiting(create_app(teller := Teller.of(settings, http))) as browser,
    ):

        async def told() -> tuple[int, dict[str, str]]:
            answer = await browser.get("/health/ready")
            return answer.status_code, answer.json()

        teller.follower.problem = ""
        teller.catalogue = Catalogue({name: CATALOGUE.services[name] for name in ("orders",)})
        assert await told() == (503, {"status": "failing", "reason": "payments, notifications did not answer yet"})
        teller.catalogue = CATALOGUE
        assert await told() == (200, {"status": "ok"})
        teller.follower.problem = "Kafka does not answer: KafkaConnectionError"
        assert await told() == (503, {"status": "failing", "reason": teller.follower.problem})
