import re

import pytest

from ..gateway_client import GatewayClient


async def test_a_charge_succeeds_and_is_in_the_ledger(gateway: GatewayClient) -> None:
    answer = await gateway.charge("key-1", amount="47.50", reference="order-1")

    [entry] = await gateway.ledger()
    assert (answer.status_code, answer.json()) == (201, {"id": entry["id"], "status": "succeeded"})
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z", entry.pop("at"))
    assert entry == {
        "id": answer.json()["id"],
        "operation": "charge",
        "idempotency_key": "key-1",
        "reference": "order-1",
        "amount": "47.50",
        "currency": "EUR",
        "outcome": "succeeded",
    }


async def test_the_ledger_can_be_read_by_reference(gateway: GatewayClient) -> None:
    await gateway.charge("key-1", reference="order-1")
    await gateway.charge("key-2", reference="order-2")
    await gateway.refund("key-1")

    found = (await gateway.http.get("/_ledger", params={"reference": "order-1"})).json()["entries"]

    assert [entry["outcome"] for entry in found] == ["succeeded", "refunded"]


@pytest.mark.parametrize("payment_method", ["pm_card_declined", "pm_card_nobody_knows"])
async def test_a_declined_or_unknown_card_is_402_and_charges_nothing(
    gateway: GatewayClient, payment_method: str
) -> None:
    answer = await gateway.charge(payment_method=payment_method)

    assert answer.status_code == 402
    assert answer.json()["error"]["code"] == "card_declined"
    assert await gateway.charges() == []


@pytest.mark.parametrize("payment_method", ["pm_card_ok", "pm_card_declined"])
async def test_the_same_key_gets_the_same_answer_and_one_entry(gateway: GatewayClient, payment_method: str) -> None:
    first = await gateway.charge(payment_method=payment_method)

    again = await gateway.charge(payment_method=payment_method)

    assert (again.status_code, again.json()) == (first.status_code, first.json())
    assert len(await gateway.ledger()) == 1


@pytest.mark.parametrize(
    "change", [{"amount": "1.00"}, {"reference": "order-2"}, {"currency": "USD"}, {"payment_method": "pm_card_slow2"}]
)
async def test_a_key_that_was_used_for_another_charge_is_refused(
    gateway: GatewayClient, change: dict[str, str]
) -> None:
    await gateway.charge()

    answer = await gateway.charge(**change)

    assert (answer.status_code, answer.json()["error"]["code"]) == (422, "key_reused")
    assert await gateway.outcomes() == ["succeeded", "key_reused"]


async def test_a_refund_returns_the_charge_and_refuses_its_key(gateway: GatewayClient) -> None:
    charged = await gateway.charge()

    refund = await gateway.refund()

    assert (refund.status_code, refund.json()) == (
        200,
        {"idempotency_key": "key-1", "refunded_charge": charged.json()["id"]},
    )
    later = await gateway.charge()
    assert (later.status_code, later.json()["error"]["code"]) == (409, "key_refunded")
    assert await gateway.outcomes() == ["succeeded", "refunded", "key_refunded"]


@pytest.mark.parametrize("before", [None, "pm_card_declined"])
async def test_a_refund_of_nothing_says_so_and_refuses_the_key(gateway: GatewayClient, before: str | None) -> None:
    if before:
        await gateway.charge(payment_method=before)

    refund = await gateway.refund()

    assert refund.json() == {"idempotency_key": "key-1", "refunded_charge": None}
    assert (await gateway.charge()).status_code == 409


@pytest.mark.parametrize("charged_before", [True, False])
async def test_a_repeated_refund_gets_the_same_answer_and_one_entry(
    gateway: GatewayClient, *, charged_before: bool
) -> None:
    if charged_before:
        await gateway.charge()
    first = await gateway.refund()

    again = await gateway.refund()

    assert again.json() == first.json()
    assert len(await gateway.ledger()) == 1 + charged_before


async def test_the_list_shows_what_succeeded_under_a_reference_in_order(gateway: GatewayClient) -> None:
    first = await gateway.charge("key-1")
    await gateway.charge("key-2", payment_method="pm_card_declined")
    second = await gateway.charge("key-3", amount="1.00")
    await gateway.charge("key-4", reference="order-2")
    await gateway.refund("key-1")

    items = await gateway.charges("order-1")

    common = {"reference": "order-1", "currency": "EUR"}
    assert items == [
        common | {"id": first.json()["id"], "idempotency_key": "key-1", "amount": "47.50", "status": "refunded"},
        common | {"id": second.json()["id"], "idempotency_key": "key-3", "amount": "1.00", "status": "succeeded"},
    ]


async def test_a_flaky_card_is_unavailable_twice_a_key(gateway: GatewayClient) -> None:
    statuses = [(await gateway.charge(key, payment_method="pm_card_flaky")).status_code for key in "aaaaab"]

    assert statuses == [503, 503, 201, 201, 201, 503]
