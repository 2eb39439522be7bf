"""The dead letters of all services for one operator: their order, who asks, how long, and who doesn't answer."""

from collections.abc import Callable
from typing import Any

import httpx
import pytest
from shop_console.facts import TIMEOUT_SECONDS, NotLoggedInError
from shop_console.letters import AN_EDIT_TAKES, Letter, Letters, NoLetterError, RefusedError, Text

from ..factories import CATALOGUE

Answer = Callable[[httpx.Request], httpx.Response]
NOTHING: dict[str, Any] = {"key": None, "headers": [], "value": None}


def letters(answer: Answer) -> Letters:
    return Letters(httpx.AsyncClient(transport=httpx.MockTransport(answer)), CATALOGUE, "token")


def listed(**failed_at: list[str]) -> Answer:
    """Each service has letters that failed at these times."""

    def answer(request: httpx.Request) -> httpx.Response:
        times = failed_at.get(request.url.host, [])
        return httpx.Response(200, json={"items": [{"id": time, "failed_at": time} for time in times]})

    return answer


async def test_letters_of_all_services_come_newest_first() -> None:
    seconds = "2026-01-15T12:00:0"
    answer = listed(orders=[f"{seconds}1Z", f"{seconds}3Z"], payments=[f"{seconds}2Z", f"{seconds}2.5Z"])

    found, missing = await letters(answer).list("open")

    assert [letter.raw["id"].removeprefix(seconds) for letter in found] == ["3Z", "2.5Z", "2Z", "1Z"]
    assert [letter.service for letter in found] == ["orders", "payments", "payments", "orders"]
    assert missing == []


async def test_a_service_that_does_not_answer_is_named_and_hides_no_other() -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        if request.url.host == "payments":
            raise httpx.ConnectError("away")
        return listed(orders=["2026-01-15T12:00:00Z"])(request)

    found, missing = await letters(answer).list("open")

    assert [letter.service for letter in found] == ["orders"]
    assert missing == ["payments did not answer (ConnectError)"]


@pytest.mark.parametrize("status", [401, 403])
async def test_a_token_that_is_over_ends_the_session(status: int) -> None:
    with pytest.raises(NotLoggedInError):
        await letters(lambda _: httpx.Response(status)).get("orders", 1)


async def test_a_letter_that_is_not_there_is_told_from_a_refusal() -> None:
    with pytest.raises(NoLetterError):
        await letters(lambda _: httpx.Response(404)).get("orders", 1)
    with pytest.raises(NoLetterError):
        await letters(lambda _: httpx.Response(200)).get("nobody", 1)
    with pytest.raises(RefusedError, match="orders: it is closed"):
        await letters(lambda _: httpx.Response(409, json={"error": {"message": "it is closed"}})).get("orders", 1)


async def test_each_call_is_the_operators_and_a_change_may_take_as_long_as_a_handler() -> None:
    asked: list[tuple[str, str, Any]] = []

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append((request.method, request.headers["Authorization"], request.extensions["timeout"]["read"]))
        return httpx.Response(200, json={"id": 7, "content": NOTHING})

    letter = await letters(answer).get("orders", 7)
    await letters(answer).edit(letter, Text("", "", "x"))
    await letters(answer).close(letter, "replay")

    assert asked == [
        ("GET", "Bearer token", TIMEOUT_SECONDS),
        ("PATCH", "Bearer token", AN_EDIT_TAKES),
        ("POST", "Bearer token", AN_EDIT_TAKES),
    ]


@pytest.mark.parametrize(
    ("raw", "place"),
    [
        ({"source": "event", "topic": "orders", "partition": 3, "offset": 9}, "orders/3 at 9"),
        ({"source": "outbox", "topic": "orders", "offset": 9}, "row 9 for orders"),
        ({"source": "task", "topic": "charge"}, "task charge"),
    ],
)
def test_a_letters_place_is_where_it_was_read(raw: dict[str, Any], place: str) -> None:
    assert Letter("orders", raw).place == place


def test_a_change_has_what_is_another_now_and_nothing_else() -> None:
    before = Text("k", "old=1\nkept=2\nother=3", "{")

    unchanged = before.change_to(before)
    changed = before.change_to(Text("k2", "kept=2\nother=base64:/w==", "{}"))

    assert unchanged == {"key": None, "value": None, "headers": {}, "removed_headers": []}
    assert changed == {
        "key": {"text": "k2"},
        "value": {"text": "{}"},
        "headers": {"other": {"base64": "/w=="}},
        "removed_headers": ["old"],
    }
