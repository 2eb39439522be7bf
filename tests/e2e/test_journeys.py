"""The shop as its customers see it, in the containers of docker-compose.yml: over HTTP and by the mails that come."""

import asyncio
from collections.abc import Iterable
from contextlib import AsyncExitStack
from dataclasses import replace

import pytest
from shop_harness.services import SERVICES

from tests.customer import Customer

from .containers import ComposedShop, ComposeError

CONFIRMED, CANCELLED, REFUNDED = "Your order is confirmed", "Your order is cancelled", "Your money is on its way"
SEVERAL = 5


async def is_confirmed_once(shop: ComposedShop, customer: Customer, *order_ids: str) -> None:
    """Paid once, confirmed once, told once."""
    for order_id in order_ids:
        await customer.sees(order_id, "PENDING", "CONFIRMED")
    await customer.has_mails(*[CONFIRMED] * len(order_ids))
    for order_id in order_ids:
        assert await shop.money_of(order_id) == ["succeeded"]


async def test_a_paid_order_is_confirmed_and_its_customer_gets_the_mail(shop: ComposedShop, customer: Customer) -> None:
    order_id = await customer.orders("pm_card_ok")

    await is_confirmed_once(shop, customer, order_id)


async def test_the_logs_of_all_containers_tell_an_orders_story(shop: ComposedShop, customer: Customer) -> None:
    order_id, other_id = await customer.orders("pm_card_ok"), await customer.orders("pm_card_ok")
    await is_confirmed_once(shop, customer, order_id, other_id)

    told = await asyncio.to_thread(shop.project.logs_of, order_id)

    happened = ("type=order.placed.v1", "task=charge", "type=payment.captured.v1", "task=send_email")
    places = [told.index(each) for each in happened]
    assert places == sorted(places)
    assert other_id not in told


@pytest.mark.parametrize("service", SERVICES)
async def test_the_doctor_of_a_service_finds_nothing_wrong(shop: ComposedShop, service: str) -> None:
    told = await shop.run("exec", "--no-TTY", service, "python", "-m", service, "doctor")

    assert told.startswith("ok       settings")
    assert "failed" not in {line[:8].strip() for line in told.splitlines()}
    assert "12 partitions, 1048588 bytes" in told


async def test_a_declined_card_cancels_the_order_and_costs_nothing(shop: ComposedShop, customer: Customer) -> None:
    order_id = await customer.orders("pm_card_declined")

    await customer.sees(order_id, "PENDING", "CANCELLED")
    await customer.has_mails(CANCELLED)
    assert await shop.money_of(order_id) == []


async def test_an_order_cancelled_after_its_payment_is_refunded(shop: ComposedShop, customer: Customer) -> None:
    order_id = await customer.orders("pm_card_ok")
    await customer.sees(order_id, "PENDING", "CONFIRMED")

    await customer.cancels(order_id)

    await customer.sees(order_id, "PENDING", "CONFIRMED", "CANCELLED")
    await customer.has_mails(CONFIRMED, CANCELLED, REFUNDED)
    assert await shop.money_of(order_id) == ["succeeded", "refunded"]


async def test_an_order_that_nobody_answers_for_is_cancelled_at_its_deadline(
    shop: ComposedShop, customer: Customer
) -> None:
    await shop.gateway_faults(
        {"operation": "charge", "payment_method": "pm_card_slow", "action": "status", "status": 503, "times": 1000}
    )

    async with shop.another("orders", "--role", "api", ORDERS_PAYMENT_DEADLINE_SECONDS="1") as api:
        order_id = await customer.orders("pm_card_slow", at=api)

    await customer.sees(order_id, "PENDING", "CANCELLED")
    await shop.gateway_faults()
    await customer.has_mails(CANCELLED)
    assert await shop.money_of(order_id) == []


async def test_a_gateway_that_is_away_is_waited_for(shop: ComposedShop, customer: Customer) -> None:
    await shop.crash("payment-gateway")
    order_id = await customer.orders("pm_card_ok")
    await customer.sees(order_id, "PENDING")

    await shop.are_back("payment-gateway")

    await is_confirmed_once(shop, customer, order_id)


@pytest.mark.parametrize("parts", [SERVICES, ["kafka"], ["postgres"]], ids=["the services", "kafka", "postgres"])
async def test_a_crash_in_the_middle_loses_and_repeats_nothing(
    shop: ComposedShop, customer: Customer, parts: Iterable[str]
) -> None:
    await shop.crash("payment-gateway")  # so that nothing can be finished before the crash
    order_ids = [await customer.orders("pm_card_ok") for _ in range(SEVERAL)]

    await shop.crash(*parts)
    await shop.are_back("payment-gateway", *parts)

    await is_confirmed_once(shop, customer, *order_ids)


async def test_a_second_replica_of_each_service_takes_over_from_the_first(
    shop: ComposedShop, customer: Customer
) -> None:
    async with AsyncExitStack() as replicas:
        api, *_ = [await replicas.enter_async_context(shop.another(service)) for service in SERVICES]
        by_both = await asyncio.gather(
            *(customer.orders("pm_card_ok", at=at) for _ in range(SEVERAL) for at in (customer.http, api))
        )
        await shop.crash(*SERVICES)
        replicas.push_async_callback(shop.are_back, *SERVICES)

        by_the_second = await customer.orders("pm_card_ok", at=api)

        await is_confirmed_once(shop, replace(customer, http=api), *by_both, by_the_second)


@pytest.mark.parametrize("role", SERVICES)
@pytest.mark.parametrize("database", SERVICES)
async def test_a_role_is_refused_at_the_databases_of_the_other_services(
    shop: ComposedShop, role: str, database: str
) -> None:
    ask = shop.run(
        "exec", "--no-TTY", "postgres", "psql", "-U", role, "-d", database, "-c", "select count(*) from inbox"
    )

    if role == database:
        assert "1 row" in await ask
    else:
        with pytest.raises(ComposeError, match=f'permission denied for database "{database}"'):
            await ask
