"""An order's story, from a system that runs."""

import asyncio
from typing import Any

from backing_services.waiting import eventually
from shop_console.changes import of_all, of_key
from shop_console.teller import NOT_KEPT, Teller
from shop_harness.system import System

from .conftest import Cancel, Operator, Place, logged_in, running, settings_for


def lines(story: dict[str, Any]) -> list[str]:
    return [f"{step['kind']} {step['source']}>{step['target']} {step['what']}" for step in story["steps"]]


PAID = 3
"""Events of an order that is paid, one for each reader."""


async def until_mails(operator: Operator, order_id: str, number: int, *, events: int = PAID) -> dict[str, Any]:
    """The story once so many e-mails are there, and nothing of it is under way."""

    async def there() -> dict[str, Any]:
        story = await operator.story(order_id)
        read = [step for step in story["steps"] if step["kind"] == "event" and not step["is_problem"]]
        sent = [step for step in story["steps"] if step["what"].startswith("send_email") and step["note"] == "done"]
        return story if (len(story["mails"]), len(sent), len(read)) == (number, number, events) else {}

    return await eventually(there)


async def test_a_paid_order_is_told_hop_by_hop_with_durations(operator: Operator, place: Place) -> None:
    order_id = await place()

    story = await until_mails(operator, order_id, 1)

    assert (story["state"], story["email"], story["money"]["charged"]) == ("CONFIRMED", "ada@example.com", "95.00")
    told = lines(story)
    for line in (
        "request customer>orders places it",
        "event orders>payments order.placed.v1",
        "task payments>payments charge, attempt 1",
        "call payments>payment gateway charge 95.00 EUR",
        "status payments>payments CAPTURED",
        "event payments>orders payment.captured.v1",
        "status orders>orders CONFIRMED",
        "event orders>notifications order.confirmed.v1",
        "task notifications>notifications send_email, attempt 1",
        "e-mail notifications>mail server Your order is confirmed",
    ):
        assert line in told
    assert told[0] == "request customer>orders places it"
    assert all(step["seconds"] is not None for step in story["steps"] if step["kind"] in {"event", "task"})
    assert len(story["trace_ids"]) == 1
    assert story["missing"] == []


async def test_a_declined_card_and_its_cancellation_are_told(operator: Operator, place: Place) -> None:
    order_id = await place("pm_card_declined")

    story = await until_mails(operator, order_id, 1, events=4)

    assert story["state"] == "CANCELLED"
    assert [step["note"] for step in story["steps"] if step["kind"] == "call"] == ["declined"]
    assert "event orders>payments order.cancelled.v1" in lines(story)


async def test_money_that_goes_back_is_told(operator: Operator, place: Place, cancel: Cancel) -> None:
    order_id = await place()
    await until_mails(operator, order_id, 1)

    await cancel(order_id)

    story = await until_mails(operator, order_id, 3, events=6)
    assert "request customer>orders cancels it" in lines(story)
    assert (story["money"]["charged"], story["money"]["refunded"]) == ("95.00", "95.00")


async def test_each_attempt_at_the_gateway_is_told(operator: Operator, place: Place) -> None:
    order_id = await place("pm_card_flaky")

    story = await until_mails(operator, order_id, 1)

    attempts = [step for step in story["steps"] if step["kind"] == "task" and step["source"] == "payments"]
    assert [step["what"] for step in attempts] == [f"charge, attempt {number}" for number in (1, 2, 3)]
    assert [step["is_problem"] for step in attempts] == [True, True, False]


async def test_the_page_has_diagram_steps_records_and_mail(operator: Operator, place: Place) -> None:
    order_id = await place()
    await until_mails(operator, order_id, 1)

    page = await operator.see(f"/orders/{order_id}")

    for part in ("<svg", "Each step", "traceparent", "Thank you"):
        assert part in page
    assert (await operator.see(f"/orders/{order_id}/story.mmd")).startswith("sequenceDiagram\n")


async def test_an_order_is_found_by_id_address_and_trace(operator: Operator, place: Place) -> None:
    order_id = await place()
    story = await until_mails(operator, order_id, 1)

    assert order_id in await operator.see("/orders")
    assert order_id in await operator.see("/orders", q="ada@example")
    for q in (order_id, story["trace_ids"][0]):
        found = await operator.http.get("/orders", params={"q": q})
        assert (found.status_code, found.headers["location"]) == (303, f"/orders/{order_id}")
    assert "None of the newest" in await operator.see("/orders", q="nobody@example.com")


async def test_an_order_beyond_the_window_is_read_from_the_topics(
    system: System, operator: Operator, place: Place
) -> None:
    order_id = await place()
    await until_mails(operator, order_id, 1)
    async with running(settings_for(system, kept_orders=1)) as teller, logged_in(teller) as with_one:
        newer = await place()
        await until_mails(with_one, newer, 1)
        await eventually(lambda: teller.index.get(order_id) is None)

        story = await with_one.story(order_id)

    assert [record["topic"] for record in story["records"]].count("orders") == 2
    assert NOT_KEPT in story["missing"]


async def test_an_unknown_order_is_said_to_be_unknown(operator: Operator) -> None:
    unknown = "0d2ad7dd-1d6c-4d39-9d5c-3a5a0f3d7f10"

    page = await operator.http.get(f"/orders/{unknown}")
    document = await operator.http.get(f"/orders/{unknown}/story.json")

    assert (page.status_code, document.status_code) == (404, 404)
    assert "knows <code>" in page.text


async def test_who_looks_is_told_of_each_new_record(teller: Teller, place: Place) -> None:
    events = of_all(teller.index)
    told = asyncio.ensure_future(anext(events))
    await asyncio.sleep(0)

    order_id = await place()

    assert (await told).startswith("event: orders\n")
    await events.aclose()
    await eventually(lambda: teller.index.get(order_id) is not None)
    of_order = of_key(teller.index, order_id)
    assert (await anext(of_order)).startswith("event: story\n")
    await of_order.aclose()
