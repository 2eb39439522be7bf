"""Who depends on whom, by pact files, and what a Pact Broker says of it: a stand-in that follows the real one."""

import asyncio
import base64
import json
from collections.abc import AsyncIterator, Callable
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx
import pytest
from shop_console.broker import Broker, Contract, State
from shop_console.contracts import KNOWN_FOR, NO_BROKER, NO_FOLDER, Contracts, picture
from shop_console.pacts import UnreadableError, read
from shop_console.settings import Settings

from tools.broker_stand_in import create_app

COMMITTED = Path(__file__).parents[3] / "contracts" / "pacts"
URL = "http://broker.example"
LETTERS = 15
"""The height of a line of text."""
NAMES = ("notifications-orders", "payments-orders", "orders-payments")


def document(name: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((COMMITTED / f"{name}.json").read_text())
    return found


class Builds:
    """What the services' pipelines tell the broker."""

    def __init__(self, http: httpx.AsyncClient) -> None:
        self._http = http

    async def publish(self, name: str, version: str, branch: str = "main") -> None:
        pact = document(name)
        body = {
            "pacticipantName": pact["consumer"]["name"],
            "pacticipantVersionNumber": version,
            "branch": branch,
            "contracts": [{"content": base64.b64encode(json.dumps(pact).encode()).decode()}],
        }
        await self._send("POST", "/contracts/publish", body)

    async def verify(self, name: str, of: str, version: str, *, success: bool = True, branch: str = "main") -> None:
        consumer, provider = (document(name)[side]["name"] for side in ("consumer", "provider"))
        await self._send("PUT", f"/pacticipants/{provider}/branches/{branch}/versions/{version}", {})
        pact = (await self._http.get(f"/pacts/provider/{provider}/consumer/{consumer}/version/{of}")).json()
        result = {"providerApplicationVersion": version, "success": success}
        await self._send("POST", pact["_links"]["pb:publish-verification-results"]["href"], result)

    async def _send(self, method: str, path: str, body: Any) -> None:
        (await self._http.request(method, path, json=body)).raise_for_status()


@pytest.fixture
async def http() -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(transport=httpx.ASGITransport(create_app()), base_url=URL) as http:
        yield http


@pytest.fixture
def builds(http: httpx.AsyncClient) -> Builds:
    return Builds(http)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in NAMES:
        (tmp_path / f"{name}.json").write_text((COMMITTED / f"{name}.json").read_text())
    return tmp_path


async def told(folder: Path, http: httpx.AsyncClient) -> dict[tuple[str, str], tuple[State, str]]:
    answer = await Contracts(folder, Broker(http, URL)).told()
    assert (answer.problem, answer.hint) == ("", "")
    return {(each.pact.consumer, each.pact.provider): (each.state, each.words) for each in answer.contracts}


async def test_what_is_known_is_asked_for_again_however_often_somebody_looks(
    folder: Path, http: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    contracts, clock = Contracts(folder, Broker(http, URL)), SimpleNamespace(now=1000.0)
    monkeypatch.setattr(asyncio.get_running_loop(), "time", lambda: clock.now)
    seen = []

    for _ in range(3):
        seen.append(len((await contracts.told()).contracts))
        clock.now += 0.7 * KNOWN_FOR
        (folder / f"{NAMES[0]}.json").unlink(missing_ok=True)

    assert seen == [len(NAMES), len(NAMES), len(NAMES) - 1]


# --- the files ---


def test_the_committed_pacts_say_who_expects_what_of_whom() -> None:
    pacts = {(pact.consumer, pact.provider): pact.expects for pact in read(COMMITTED)}

    assert pacts["notifications", "payments"] == ["payment.refunded.v1"]
    assert pacts["payments", "payment-gateway"] == ["GET /v1/charges", "POST /v1/charges", "POST /v1/refunds"]
    assert len(pacts) == len(list(COMMITTED.glob("*.json")))


@pytest.mark.parametrize("text", ["{", "[]", "{}", '{"consumer": {}, "provider": {}, "interactions": []}'])
def test_a_file_that_is_no_pact_is_named(tmp_path: Path, text: str) -> None:
    (tmp_path / "orders-payments.json").write_text(text)

    with pytest.raises(UnreadableError, match=r"^orders-payments\.json can't be read as a pact"):
        read(tmp_path)


async def test_what_is_not_set_is_said_with_the_setting(folder: Path, tmp_path: Path) -> None:
    assert (await Contracts(None, None).told()).hint == NO_FOLDER
    assert "there is no folder" in (await Contracts(tmp_path / "nowhere", None).told()).problem

    without_broker = await Contracts(folder, None).told()

    assert without_broker.hint == NO_BROKER
    assert {each.state for each in without_broker.contracts} == {State.UNKNOWN}
    assert len(without_broker.contracts) == len(NAMES)


# --- the broker ---


async def test_each_pair_has_the_result_of_both_main_branches(
    folder: Path, http: httpx.AsyncClient, builds: Builds
) -> None:
    await builds.publish("notifications-orders", "1")
    await builds.publish("payments-orders", "1")
    await builds.verify("notifications-orders", "1", "7")
    await builds.verify("payments-orders", "1", "7", success=False)
    await builds.publish("orders-payments", "7")

    assert await told(folder, http) == {
        ("notifications", "orders"): (State.VERIFIED, "notifications 1 with orders 7"),
        ("payments", "orders"): (State.FAILED, "payments 1 with orders 7"),
        ("orders", "payments"): (
            State.UNVERIFIED,
            "orders 7: the newest build of payments's main branch has not verified it",
        ),
    }


async def test_the_newest_versions_of_the_main_branches_count_and_no_others(
    folder: Path, http: httpx.AsyncClient, builds: Builds
) -> None:
    for name in NAMES:
        await builds.publish(name, "1")
    await builds.verify("notifications-orders", "1", "7", success=False)
    await builds.verify("notifications-orders", "1", "8")
    await builds.verify("notifications-orders", "1", "9", success=False, branch="an-idea")
    await builds.publish("notifications-orders", "2", branch="another-idea")

    assert (await told(folder, http))["notifications", "orders"] == (
        State.VERIFIED,
        "notifications 1 with orders 8",
    )


async def test_a_build_without_the_pact_is_said(folder: Path, http: httpx.AsyncClient, builds: Builds) -> None:
    for name in NAMES:
        await builds.publish(name, "1")
    await builds.verify("payments-orders", "1", "2")

    assert (await told(folder, http))["orders", "payments"] == (
        State.UNVERIFIED,
        "the newest build of orders's main branch has no such pact",
    )


async def test_whom_the_broker_does_not_know_is_said(folder: Path, http: httpx.AsyncClient, builds: Builds) -> None:
    await builds.publish("notifications-orders", "1")

    found = await told(folder, http)

    assert found["payments", "orders"] == (State.UNKNOWN, "the broker doesn't know payments")
    assert found["notifications", "orders"][0] is State.UNVERIFIED


async def test_the_broker_is_asked_again_after_a_while_and_not_with_each_page(
    folder: Path, http: httpx.AsyncClient, builds: Builds, monkeypatch: pytest.MonkeyPatch
) -> None:
    await builds.publish("notifications-orders", "1")
    contracts = Contracts(folder, Broker(http, URL))

    first = await contracts.told()
    await builds.verify("notifications-orders", "1", "7")

    assert await contracts.told() is first
    monkeypatch.setattr(contracts, "_until", 0.0)
    assert State.VERIFIED in {each.state for each in (await contracts.told()).contracts}


def refused(request: httpx.Request) -> httpx.Response:
    raise httpx.ConnectError("refused", request=request)


WRONG: dict[str, tuple[Callable[[httpx.Request], httpx.Response], str]] = {
    "is away": (refused, "did not answer (ConnectError)"),
    "fails": (lambda _: httpx.Response(503), "answered 503"),
    "wants another login": (lambda _: httpx.Response(401), "refuses the login: check PACT_BROKER_TOKEN"),
    "is a web page": (lambda _: httpx.Response(200, text="<html>"), "answers in another form, which is no JSON object"),
    "is none": (lambda _: httpx.Response(200, json={"matrix": [{"consumer": 1}]}), "answers in another form"),
    "is a list": (lambda _: httpx.Response(200, json=["x"]), "answers in another form"),
}


@pytest.mark.parametrize(("answer", "words"), WRONG.values(), ids=list(WRONG))
async def test_a_broker_that_says_nothing_is_one_sentence_beside_the_pacts(
    folder: Path, answer: Callable[[httpx.Request], httpx.Response], words: str
) -> None:
    async with httpx.AsyncClient(transport=httpx.MockTransport(answer)) as http:
        found = await Contracts(folder, Broker(http, URL)).told()

    assert f"the Pact Broker at {URL} {words}" in found.problem
    assert {each.state for each in found.contracts} == {State.UNKNOWN}


# --- the settings ---


@pytest.mark.parametrize(
    ("variables", "sent"),
    [
        ({}, None),
        ({"TOKEN": "t"}, "Bearer t"),
        ({"USERNAME": "ci", "PASSWORD": "secret"}, "Basic Y2k6c2VjcmV0"),
        ({"TOKEN": "t", "USERNAME": "ci", "PASSWORD": "secret"}, "Bearer t"),
        ({"TOKEN": "", "USERNAME": ""}, None),
    ],
)
async def test_the_brokers_own_variables_are_its_login(
    monkeypatch: pytest.MonkeyPatch, folder: Path, variables: dict[str, str], sent: str | None
) -> None:
    heard: list[str | None] = []

    def answer(request: httpx.Request) -> httpx.Response:
        heard.append(request.headers.get("authorization"))
        return httpx.Response(404)

    monkeypatch.setenv("CONSOLE_SERVICES", '{"orders": "http://127.0.0.1:8000"}')
    monkeypatch.setenv("CONSOLE_CONTRACTS", str(folder))
    for name, value in {"BASE_URL": f"{URL}/", **variables}.items():
        monkeypatch.setenv(f"PACT_BROKER_{name}", value)
    async with httpx.AsyncClient(transport=httpx.MockTransport(answer)) as http:
        await Contracts.of(Settings(), http).told()

    assert set(heard) == {sent}


# --- the picture ---


def test_every_line_begins_at_its_consumer_and_ends_at_its_provider_and_no_two_ends_are_one() -> None:
    contracts = [Contract(pact) for pact in read(COMMITTED)]
    pairs = [(each.pact.consumer, each.pact.provider) for each in contracts]
    drawn = picture(contracts)

    def at(x: int, y: int) -> str:
        [name] = [box.name for box in drawn.boxes if box.x <= x <= box.x + 160 and box.y < y < box.y + box.height]
        return name

    assert [(at(line.x1, line.y1), at(line.x2, line.y2)) for line in drawn.lines] == pairs
    ends = [(line.x1, line.y1) for line in drawn.lines] + [(line.x2, line.y2) for line in drawn.lines]
    assert len(set(ends)) == 2 * len(pairs)
    words = sorted(line.label_y for line in drawn.lines)
    assert all(later - earlier >= LETTERS for earlier, later in pairwise(words))
    assert all(box.x + 160 <= drawn.width and box.y + box.height <= drawn.height for box in drawn.boxes)
