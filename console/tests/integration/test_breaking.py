"""Faults that begin from the page of a system that runs, and its recovery."""

from collections.abc import AsyncIterator

import httpx
import pytest
from backing_services.waiting import eventually
from shop_console.breaking import Breaker, BreakError, Watch
from shop_console.teller import Teller
from shop_harness.breaking import Breaking
from shop_harness.system import Ports, System

from .conftest import Customer, Operator, Place, ada, logged_in, running, settings_for


@pytest.fixture(scope="module")
async def system() -> AsyncIterator[System]:
    """One of its own: the other tests' system stays whole."""
    async with System(Ports.free(), print) as system:
        yield system


@pytest.fixture(scope="module")
async def customer(system: System) -> AsyncIterator[Customer]:
    async with ada(system) as customer:
        yield customer


@pytest.fixture
async def breaking(system: System) -> AsyncIterator[Breaking]:
    async with Breaking(system) as breaking:
        yield breaking


@pytest.fixture
async def breaker(system: System, breaking: Breaking) -> AsyncIterator[Breaker]:
    given = breaking.settings
    settings = settings_for(system, breaking_url=given["BREAKING_URL"], breaking_secret=given["BREAKING_SECRET"])
    async with running(settings) as teller:
        breaker = Breaker.of(teller)
        assert breaker is not None
        yield breaker
        await breaker.close()


@pytest.fixture
async def operator(breaker: Breaker) -> AsyncIterator[Operator]:
    async with logged_in(breaker.teller, breaker) as operator:
        yield operator


async def ended(breaker: Breaker) -> Watch:
    watch = breaker.watches[0]
    await eventually(lambda: watch.end is not None, within=60)
    return watch


async def test_a_frozen_service_is_seen_to_come_back(operator: Operator, breaker: Breaker) -> None:
    begun = await operator.send("/break/freeze-payments")

    watch = await ended(breaker)
    assert begun.headers["location"] == "/break"
    assert watch.lines[0][1].startswith("payments does not answer")
    assert watch.end is not None
    assert watch.end.startswith("recovered after ")
    assert "Freeze payments for 10 s: recovered after" in await operator.see("/break")


async def test_orders_that_are_placed_while_kafka_is_away_settle(
    operator: Operator, breaker: Breaker, place: Place
) -> None:
    await operator.send("/break/kafka-away")
    order_id = await place()

    watch = await ended(breaker)

    assert any("Kafka" in line or "wait to be sent" in line for _, line in watch.lines)

    async def is_confirmed() -> bool:
        return bool((await operator.story(order_id))["state"] == "CONFIRMED")

    await eventually(is_confirmed)


async def test_postgresql_crashes_and_everybody_recovers(operator: Operator, breaker: Breaker) -> None:
    await operator.send("/break/postgresql-away")

    watch = await ended(breaker)

    assert "recovered after" in str(watch.end)
    assert {line.partition(" ")[0] for _, line in watch.lines} == {"orders", "payments", "notifications"}


async def test_declined_cards_are_declined_until_that_is_ended(operator: Operator, place: Place) -> None:
    async def ends_as(order_id: str, state: str) -> None:
        async def does() -> bool:
            return bool((await operator.story(order_id))["state"] == state)

        await eventually(does)

    await operator.send("/break/decline-cards")
    await ends_as(await place(), "CANCELLED")
    await operator.send("/break/mend-gateway")
    await ends_as(await place(), "CONFIRMED")


async def test_poison_becomes_a_dead_letter_of_each_reader(operator: Operator) -> None:
    await operator.send("/break/poison-payments")

    async def letters() -> bool:
        page = await operator.see("/letters")
        return ">orders " in page and ">notifications " in page and "payment.captured.v1: the value is no JSON" in page

    await eventually(letters)


async def test_a_fault_goes_on_once(operator: Operator) -> None:
    await operator.send("/break/freeze-mail-catcher")

    again = await operator.send("/break/freeze-mail-catcher")
    unknown = await operator.send("/break/the-moon")

    assert (again.status_code, "it goes on already" in again.text) == (409, True)
    assert (unknown.status_code, "nothing is called the-moon" in unknown.text) == (409, True)


async def test_a_fault_that_is_over_may_begin_again(operator: Operator, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shop_harness.breaking.FROZEN", 0.1)

    async def begins() -> bool:
        return (await operator.send("/break/freeze-payment-gateway")).status_code == 303

    assert await begins()
    await eventually(begins)


async def test_nobody_breaks_anything_without_a_form_of_the_page(operator: Operator, breaker: Breaker) -> None:
    answer = await operator.http.post("/break/kill-payments", data={"csrf": "of another"})

    assert (answer.status_code, len(breaker.watches)) == (403, 0)


async def test_nobody_breaks_anything_without_the_secret(breaking: Breaking) -> None:
    async with httpx.AsyncClient(base_url=breaking.settings["BREAKING_URL"], trust_env=False) as http:
        answers = [await http.post("/kill-payments"), await http.get("/", headers={"Authorization": "Bearer x"})]

    assert [answer.status_code for answer in answers] == [401, 401]


async def test_where_nothing_can_be_broken_there_is_no_page(teller: Teller) -> None:
    async with logged_in(teller) as operator:
        assert (await operator.http.get("/break")).status_code == 404
        assert (await operator.send("/break/kill-payments")).status_code == 404
        assert "Break it" not in await operator.see("/orders")


async def test_what_breaks_the_system_may_be_gone(system: System) -> None:
    async with running(settings_for(system, breaking_url="http://127.0.0.1:1")) as teller:
        breaker = Breaker.of(teller)
        assert breaker is not None
        with pytest.raises(BreakError, match="does not answer"):
            await breaker.begin("kill-payments", by="op")
        async with logged_in(teller, breaker) as operator:
            assert "does not answer (ConnectError)" in await operator.see("/break")
