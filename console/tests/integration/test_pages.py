"""Who sees the pages, and the pages of the flow and the mailbox."""

from collections.abc import AsyncIterator

import httpx
import pytest
from backing_services.waiting import eventually
from shop_console.browser import create_app
from shop_console.guards import MAX_FORM_BYTES
from shop_console.teller import Teller
from shop_harness.services import ROOT

from .conftest import Operator, Place

PAGES = ("/orders", "/orders/x", "/orders/x/story.json", "/live", "/letters", "/flow", "/flow/contracts", "/mailbox")


@pytest.fixture
async def stranger(teller: Teller) -> httpx.AsyncClient:
    return httpx.AsyncClient(transport=httpx.ASGITransport(create_app(teller)), base_url="http://console")


@pytest.mark.parametrize("path", PAGES)
async def test_nobody_sees_a_page_without_a_login(stranger: httpx.AsyncClient, path: str) -> None:
    answer = await stranger.get(path)

    if path.endswith(".json"):
        assert answer.status_code == 401
    else:
        assert (answer.status_code, answer.headers["location"]) == (303, f"/login?next={path}")


async def test_a_part_of_a_page_leads_the_browser_to_the_login(stranger: httpx.AsyncClient) -> None:
    answer = await stranger.get("/orders/rows", headers={"HX-Request": "true"})

    assert (answer.status_code, answer.headers["HX-Redirect"]) == (401, "/login")


async def test_a_wrong_password_is_one_sentence(stranger: httpx.AsyncClient) -> None:
    answer = await stranger.post("/login", data={"email": "operator@shop.example", "password": "wrong"})

    assert (answer.status_code, "Wrong e-mail address or password." in answer.text) == (401, True)


@pytest.mark.parametrize("elsewhere", ["//evil.example", "https://evil.example", "/\\evil.example"])
async def test_a_login_leads_nowhere_else(operator: Operator, elsewhere: str) -> None:
    form = {"email": "operator@shop.example", "password": "operator of the harness", "next": elsewhere}

    answer = await operator.http.post("/login", data=form)

    assert answer.headers["location"] == "/orders"


async def test_a_foreign_name_leads_nowhere(stranger: httpx.AsyncClient) -> None:
    assert (await stranger.get("/login", headers={"Host": "evil.example"})).status_code == 400


async def test_pages_may_load_from_here_alone(stranger: httpx.AsyncClient) -> None:
    headers = (await stranger.get("/login")).headers

    assert "default-src 'none'; script-src 'self'" in headers["Content-Security-Policy"]
    assert headers["Cache-Control"] == "no-store"
    assert (await stranger.get("/static/htmx.js")).headers["Content-Type"].startswith("text/javascript")
    assert (await stranger.get("/static/htmx.LICENSE.txt")).status_code == 404  # it's there, and no page loads it


async def test_a_form_has_a_length_that_is_not_too_large(stranger: httpx.AsyncClient) -> None:
    async def endless() -> AsyncIterator[bytes]:
        yield b"email=x"

    too_long = await stranger.post("/login", data={"email": "x" * MAX_FORM_BYTES})
    unknown = await stranger.post("/login", content=endless())

    assert (too_long.status_code, unknown.status_code) == (413, 413)


async def test_who_logs_out_is_out(operator: Operator) -> None:
    left = await operator.send("/logout")

    assert left.headers["location"] == "/login"
    assert (await operator.http.get("/orders")).status_code == 303


async def test_the_flow_shows_every_service_topic_and_event(operator: Operator, place: Place) -> None:
    await place()

    page = await operator.see("/flow")

    for part in ("notifications", "order.confirmed.v1", "/min", "ready", "send_email"):
        assert part in page
    assert "failing" not in page


async def test_the_flow_shows_who_depends_on_whom_and_how_to_know_whether_it_is_kept(operator: Operator) -> None:
    page = await operator.see("/flow")

    for part in ("payment-gateway", "POST /v1/charges", "payment.refunded.v1", "set PACT_BROKER_BASE_URL", "unknown"):
        assert part in page
    pacts = len(list((ROOT / "contracts" / "pacts").glob("*.json")))
    assert f"{pacts} contracts, from consumers to providers" in await operator.see("/flow/contracts")


async def test_the_mailbox_shows_an_e_mail_and_leads_to_its_order(operator: Operator, place: Place) -> None:
    order_id = await place()

    async def mail_id() -> str:
        mails = (await operator.story(order_id))["mails"]
        return str(mails[0]["ID"]) if mails else ""

    found = await eventually(mail_id)

    assert f"/mailbox/{found}" in await operator.see("/mailbox", q=f"message-id:{order_id}")
    page = await operator.see(f"/mailbox/{found}")
    assert f'href="/orders/{order_id}"' in page
    html = await operator.http.get(f"/mailbox/{found}/html")
    assert html.headers["Content-Security-Policy"].startswith("sandbox; default-src 'none'")
    assert (await operator.http.get("/mailbox/nothing")).status_code == 404


async def test_it_is_ready_once_everybody_was_met(stranger: httpx.AsyncClient) -> None:
    assert (await stranger.get("/health/ready")).json() == {"status": "ok"}
