import asyncio
from typing import Any

import pytest

from ..factories import a_fault
from ..gateway_client import GatewayClient
from ..waits import HeldSleep


async def test_a_status_is_answered_without_charging_and_used_up(gateway: GatewayClient) -> None:
    await gateway.put_faults(a_fault(action="status", status=500, times=2))

    statuses = [(await gateway.charge()).status_code for _ in range(3)]

    assert statuses == [500, 500, 201]
    assert await gateway.outcomes() == ["succeeded"]


@pytest.mark.parametrize(
    ("fault", "retry_after"),
    [
        ({"status": 429, "seconds": 7}, "7"),
        ({"status": 503, "seconds": 0.2}, "1"),
        ({"status": 503}, None),
        ({"status": 500, "seconds": 7}, None),
    ],
)
async def test_retry_after_is_said_where_seconds_are_given(
    gateway: GatewayClient, fault: dict[str, Any], retry_after: str | None
) -> None:
    await gateway.put_faults(a_fault(action="status", **fault))

    answer = await gateway.charge()

    assert answer.headers.get("Retry-After") == retry_after
    assert set(answer.json()["error"]) == {"code", "message"}


@pytest.mark.parametrize(("seconds", "withheld"), [({}, 30), ({"seconds": 3}, 3)])
async def test_a_timeout_comes_after_the_charge(
    gateway: GatewayClient, held_sleep: HeldSleep, seconds: dict[str, float], withheld: float
) -> None:
    await gateway.put_faults(a_fault(action="timeout_after", **seconds))
    call = asyncio.create_task(gateway.charge())
    await held_sleep.begun()

    assert await gateway.outcomes() == ["succeeded"]

    held_sleep.release()
    assert (await call).status_code == 201
    assert held_sleep.asked == [withheld]


async def test_a_timeout_of_no_seconds_is_none(gateway: GatewayClient, held_sleep: HeldSleep) -> None:
    await gateway.put_faults(a_fault(action="timeout_after", seconds=0))
    held_sleep.release()

    assert (await gateway.charge()).status_code == 201
    assert held_sleep.asked == []


async def test_garbage_is_no_json_though_the_charge_was_made(gateway: GatewayClient) -> None:
    await gateway.put_faults(a_fault(action="garbage"))

    answer = await gateway.charge()

    assert answer.status_code == 201
    with pytest.raises(UnicodeDecodeError):
        answer.json()
    assert await gateway.outcomes() == ["succeeded"]


async def test_an_ignored_key_charges_again_under_a_key_of_its_own(gateway: GatewayClient) -> None:
    first = await gateway.charge()
    await gateway.put_faults(a_fault(action="ignore_key", times=2))

    extras = [await gateway.charge(), await gateway.charge()]

    ids = [answer.json()["id"] for answer in (first, *extras)]
    items = await gateway.charges()
    assert [item["id"] for item in items] == ids
    assert [item["idempotency_key"] for item in items] == ["key-1", "key-1#2", "key-1#3"]


async def test_a_refund_of_an_extra_charge_returns_just_that(gateway: GatewayClient) -> None:
    await gateway.charge()
    await gateway.put_faults(a_fault(action="ignore_key"))
    extra = await gateway.charge()

    refund = await gateway.refund("key-1#2")

    assert refund.json()["refunded_charge"] == extra.json()["id"]
    assert [item["status"] for item in await gateway.charges()] == ["succeeded", "refunded"]


@pytest.mark.parametrize("setup", ["declined", "refunded", "unused"])
async def test_an_ignored_key_without_a_charge_of_its_own_changes_nothing(gateway: GatewayClient, setup: str) -> None:
    payment_method = "pm_card_declined" if setup == "declined" else "pm_card_ok"
    if setup == "declined":
        await gateway.charge(payment_method=payment_method)
    if setup == "refunded":
        await gateway.refund()
    await gateway.put_faults(a_fault(action="ignore_key"))

    answer = await gateway.charge(payment_method=payment_method)

    assert answer.status_code == {"declined": 402, "refunded": 409, "unused": 201}[setup]


@pytest.mark.parametrize("aim", [{"reference": "order-2"}, {"payment_method": "pm_card_slow"}, {"operation": "refund"}])
async def test_a_fault_spares_the_calls_that_it_is_not_aimed_at(gateway: GatewayClient, aim: dict[str, str]) -> None:
    await gateway.put_faults(a_fault(action="status", status=500, **aim))

    answer = await gateway.charge(reference="order-1", payment_method="pm_card_ok")

    assert answer.status_code == 201


@pytest.mark.parametrize("aim", [{"reference": "order-1"}, {"payment_method": "pm_card_ok"}])
async def test_a_fault_meets_the_refund_of_the_charge_that_it_is_aimed_at(
    gateway: GatewayClient, aim: dict[str, str]
) -> None:
    await gateway.charge("key-1")
    await gateway.charge("key-2", reference="order-2", payment_method="pm_card_flaky")
    await gateway.put_faults(a_fault(operation="refund", action="status", status=503, **aim))

    statuses = [(await gateway.refund(key)).status_code for key in ("key-2", "key-0", "key-1", "key-1")]

    assert statuses == [200, 200, 503, 200]


async def test_a_fault_meets_a_list(gateway: GatewayClient) -> None:
    await gateway.put_faults(a_fault(operation="list", action="status", status=500, reference="order-1"))

    statuses = [(await gateway.list_charges(reference)).status_code for reference in ("order-2", "order-1", "order-1")]

    assert statuses == [200, 500, 200]


async def test_faults_apply_one_a_call_in_their_order(gateway: GatewayClient) -> None:
    await gateway.put_faults(*(a_fault(action="status", status=status) for status in (500, 502)))

    statuses = [(await gateway.charge()).status_code for _ in range(3)]

    assert statuses == [500, 502, 201]


async def test_new_faults_replace_all_others(gateway: GatewayClient) -> None:
    await gateway.put_faults(a_fault(action="status", status=500, times=9))

    await gateway.put_faults()

    assert (await gateway.charge()).status_code == 201


@pytest.mark.parametrize(
    "wrong",
    [
        {"action": "explode"},
        {"operation": "steal"},
        {"times": 0},
        {"action": "status"},
        {"action": "status", "status": 200},
        {"action": "delay"},
        {"action": "delay", "seconds": -1},
        {"action": "ignore_key", "operation": "refund"},
        {"operation": "list", "payment_method": "pm_card_ok"},
        {"refrence": "order-1"},
    ],
)
async def test_a_fault_that_could_never_apply_is_refused_and_the_others_stay(
    gateway: GatewayClient, wrong: dict[str, Any]
) -> None:
    await gateway.put_faults(a_fault(action="status", status=500))

    answer = await gateway.put_faults(a_fault(**wrong))

    assert (answer.status_code, answer.json()["error"]["code"]) == (422, "validation_error")
    assert (await gateway.charge()).status_code == 500
