"""payments <- payment-gateway: the real client makes the expected requests and understands the answers."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import httpx
import pytest
from payments.gateway import HttpPaymentGateway
from payments.ports import PaymentDeclinedError

from .gateway_expectations import (
    CHARGE,
    CHARGED_KEY,
    CHARGED_ORDER_ID,
    DECLINED_KEY,
    KEY,
    LISTED_KEY,
    OF_GATEWAY,
    ORDER_ID,
    OTHER_CHARGED_ORDER_ID,
    OTHER_LISTED_KEY,
    REFUNDED_KEY,
    UNUSED_KEY,
)


@asynccontextmanager
async def gateway_for(description: str) -> AsyncIterator[HttpPaymentGateway]:
    with OF_GATEWAY.served(description) as url:
        async with httpx.AsyncClient(base_url=url, trust_env=False) as client:
            yield HttpPaymentGateway(client, timeout=5)


async def test_a_charge_has_an_id() -> None:
    async with gateway_for("a charge") as gateway:
        assert await gateway.charge(CHARGE, idempotency_key=KEY, reference=ORDER_ID) == "ch_1"


async def test_a_declined_card_is_a_final_no() -> None:
    declined = replace(CHARGE, payment_method="pm_card_declined")

    async with gateway_for("a charge of a card that is declined") as gateway:
        with pytest.raises(PaymentDeclinedError, match="card_declined"):
            await gateway.charge(declined, idempotency_key=DECLINED_KEY, reference=ORDER_ID)


async def test_a_refunded_key_is_a_final_no() -> None:
    async with gateway_for("a charge under a key that was refunded") as gateway:
        with pytest.raises(PaymentDeclinedError, match="key_refunded"):
            await gateway.charge(CHARGE, idempotency_key=REFUNDED_KEY, reference=ORDER_ID)


async def test_a_refund_says_which_charge_it_returned() -> None:
    async with gateway_for("a refund of a charge") as gateway:
        assert await gateway.refund(idempotency_key=str(CHARGED_KEY)) == "ch_1"


async def test_a_refund_of_nothing_says_so() -> None:
    async with gateway_for("a refund of nothing") as gateway:
        assert await gateway.refund(idempotency_key=str(UNUSED_KEY)) is None


async def test_the_charges_of_an_order_are_found_by_its_reference() -> None:
    async with gateway_for("the charges of an order") as gateway:
        [charge] = await gateway.charges(reference=CHARGED_ORDER_ID)

    assert (charge.id, charge.idempotency_key, charge.succeeded) == ("ch_1", str(LISTED_KEY), True)


async def test_the_charges_of_another_order_have_values_of_their_own() -> None:
    async with gateway_for("the charges of another order") as gateway:
        [charge] = await gateway.charges(reference=OTHER_CHARGED_ORDER_ID)

    assert (charge.idempotency_key, charge.amount, charge.currency) == (
        str(OTHER_LISTED_KEY),
        Decimal("1062.50"),
        "USD",
    )


def test_the_pact_file_says_what_the_expectations_say(pact_folder: Path, write_contracts: bool) -> None:
    OF_GATEWAY.file(pact_folder).check(write=write_contracts)
