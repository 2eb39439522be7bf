"""Dead letters on the console's pages: shown, compared, edited, replayed, discarded, and by whom."""

import json
import re
from collections.abc import Awaitable, Callable
from typing import Any
from uuid import uuid4

import httpx
import pytest
import structlog
from aiokafka import AIOKafkaProducer
from backing_services.waiting import eventually
from shop_console.letters import RefusedError, Text
from shop_harness.system import System

from .conftest import Operator

Poison = Callable[[bytes], Awaitable[str]]
BOTH_READ_IT = 2
TEXTAREA = re.compile(r'<textarea id="(\w+)"[^>]*>\n([^<]*)</textarea>')


@pytest.fixture
def poison(system: System, operator: Operator) -> Poison:
    """Send payments a record about a new order, and return its letter's address."""

    async def send(value: bytes) -> str:
        order_id = str(uuid4())
        headers = [("ce_id", uuid4().hex), ("ce_type", "order.cancelled.v1"), ("ce_source", "/orders")]
        async with AIOKafkaProducer(bootstrap_servers=system.kafka.bootstrap_servers) as producer:
            raw = [(name, text.encode()) for name, text in headers]
            await producer.send_and_wait(
                "orders", value.replace(b"ID", order_id.encode()), order_id.encode(), headers=raw
            )

        async def letter() -> str:
            page = await operator.see("/letters")
            row = next((row for row in page.split("<tr>") if order_id in row and ">payments " in row), "")
            found = re.search(r'href="(/letters/payments/\d+)"', row)
            return found[1] if found else ""

        return await eventually(letter)

    return send


def form_of(page: str) -> dict[str, str]:
    [key] = re.findall(r'name="key" value="([^"]*)"', page)
    areas = {name: text.replace("&#34;", '"') for name, text in TEXTAREA.findall(page)}
    return {"key": key, **areas}


async def test_a_letter_is_compared_edited_and_replayed(operator: Operator, poison: Poison) -> None:
    letter = await poison(b'{"order_id": "ID"')
    form = form_of(await operator.see(letter))
    mended = {**form, "value": json.dumps({"order_id": form["key"], "cancelled_at": "2026-01-15T12:00:00Z"})}

    refused = await operator.send(f"{letter}/replay")
    compared = await operator.send(f"{letter}/edit", **mended, what="compare")
    with structlog.testing.capture_logs() as logs:
        saved = await operator.send(f"{letter}/edit", **mended, what="save")
        replayed = await operator.send(f"{letter}/replay")

    assert (refused.status_code, "refused again" in refused.text) == (409, True)
    assert '<div class="added">+   &#34;cancelled_at&#34;' in compared.text
    assert "Not saved yet" in compared.text
    assert saved.headers["location"] == f"{letter}?done=edited"
    assert replayed.headers["location"] == f"{letter}?done=replayed"
    assert "The original is kept" in await operator.see(letter)
    assert [(line["change"], line["operator"]) for line in logs] == [
        ("edited", "operator@shop.example"),
        ("replayed", "operator@shop.example"),
    ]


async def test_a_letter_is_discarded_only_by_who_is_sure(operator: Operator, poison: Poison) -> None:
    letter = await poison(b"no JSON")

    hasty = await operator.send(f"{letter}/discard")
    sure = await operator.send(f"{letter}/discard", sure="true")

    assert (hasty.status_code, "say that you are sure" in hasty.text) == (422, True)
    assert sure.headers["location"] == f"{letter}?done=discarded"
    assert letter in await operator.see("/letters", status="discarded")
    assert letter not in await operator.see("/letters")


async def test_a_letter_is_part_of_its_orders_story(operator: Operator, poison: Poison) -> None:
    letter = await poison(b"no JSON")
    order_id = form_of(await operator.see(letter))["key"]

    async def in_both() -> dict[str, Any]:
        told = await operator.story(order_id)
        return told if sum(step["kind"] == "dead letter" for step in told["steps"]) == BOTH_READ_IT else {}

    story = await eventually(in_both)

    assert {step["source"] for step in story["steps"] if step["kind"] == "dead letter"} == {"payments", "notifications"}
    assert f'href="{letter}"' in await operator.see(f"/orders/{order_id}")


@pytest.mark.parametrize("form", [{}, {"csrf": ""}, {"csrf": "of another session"}])
async def test_a_form_of_another_page_changes_nothing(operator: Operator, poison: Poison, form: dict[str, str]) -> None:
    letter = await poison(b"no JSON")

    for what in ("edit", "replay", "discard"):
        answer = await operator.http.post(f"{letter}/{what}", data={**form, "sure": "true", "what": "save"})
        assert answer.status_code == 403
    assert ">open</span>" in await operator.see(letter)


async def test_another_sites_page_changes_nothing(operator: Operator) -> None:
    answer = await operator.http.post(
        "/letters/payments/1/replay", data={"csrf": operator.csrf}, headers={"Origin": "http://elsewhere.example"}
    )

    assert answer.status_code == 403


@pytest.mark.parametrize(
    ("path", "status"), [("/letters/payments/999999", 404), ("/letters/nobody/1", 404), ("/letters/payments/x", 422)]
)
async def test_what_is_not_there_is_one_page(operator: Operator, path: str, status: int) -> None:
    answer = await operator.http.get(path)

    assert (answer.status_code, 'role="alert"' in answer.text) == (status, True)


async def test_an_edit_asks_for_what_differs_alone() -> None:
    before = Text("k", "a=1\nb=2", "v")

    assert before.change_to(Text("k", "a=1\nc=3", "base64:/w==")) == {
        "key": None,
        "value": {"base64": "/w=="},
        "headers": {"c": {"text": "3"}},
        "removed_headers": ["b"],
    }
    with pytest.raises(RefusedError, match="a header is a line NAME=VALUE, not 'odd'"):
        before.change_to(Text("k", "odd", "v"))


async def test_a_customer_is_no_operator(system: System, operator: Operator) -> None:
    url = f"{system.ports.url('orders')}/api/v1/users"
    async with httpx.AsyncClient(trust_env=False) as http:
        account = {"email": "eve@example.com", "name": "Eve", "password": "correct horse"}
        (await http.post(url, json=account)).raise_for_status()

    entered = await operator.http.post("/login", data={"email": account["email"], "password": account["password"]})

    assert (entered.status_code, "no operator" in entered.text) == (401, True)
