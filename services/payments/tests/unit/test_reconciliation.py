"""Charges that no payment claims, made by a gateway that ignores its idempotency keys."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any
from uuid import UUID

import pytest
from payments import reconciliation
from payments.domain import Payment, payment_id_of
from payments.gateway import HttpPaymentGateway
from payments.ports import GatewayCharge
from payments.reconciliation import CONCURRENCY, PAGE, return_charge, unclaimed_charges

from ..factories import NOW, ChargeFactory, PaymentFactory
from ..fakes import stored
from ..sandbox import Sandbox
from .conftest import Database, PutFaults


@pytest.fixture
def payment() -> Payment:
    return PaymentFactory.create()


@pytest.fixture
async def charges(gateway: HttpPaymentGateway, faults: PutFaults, payment: Payment) -> tuple[str, str]:
    """One under the payment's key, and one more by a gateway that ignores the key."""
    first = await _charge(gateway, payment.order_id)
    await faults({"operation": "charge", "action": "ignore_key"})
    return first, await _charge(gateway, payment.order_id)


async def _charge(gateway: HttpPaymentGateway, order_id: UUID) -> str:
    return await gateway.charge(ChargeFactory.create(), idempotency_key=payment_id_of(order_id), reference=order_id)


async def unclaimed_ids(database: Database, gateway: HttpPaymentGateway) -> list[str]:
    return [found.charge.id for found in await unclaimed_charges(database, gateway)]


async def test_where_every_charge_has_its_payment_nothing_is_found(
    database: Database, gateway: HttpPaymentGateway, payment: Payment
) -> None:
    await stored(database, payment.capture(await _charge(gateway, payment.order_id), NOW))

    assert await unclaimed_ids(database, gateway) == []


async def test_the_charge_too_many_of_a_captured_payment_is_found_and_returned(
    database: Database, gateway: HttpPaymentGateway, sandbox: Sandbox, payment: Payment, charges: tuple[str, str]
) -> None:
    first, extra = charges
    await stored(database, payment.capture(first, NOW))

    [found] = await unclaimed_charges(database, gateway)
    assert (found.charge.id, found.returnable) == (extra, True)
    await return_charge(found, gateway)

    assert await unclaimed_ids(database, gateway) == []
    assert sandbox.outcomes(payment.order_id) == ["charge succeeded"]  # the captured money stays


async def test_a_captured_payments_own_key_is_never_returned(
    database: Database, gateway: HttpPaymentGateway, payment: Payment, charges: tuple[str, str]
) -> None:
    own, extra = charges
    await stored(database, payment.capture(extra, NOW))

    [found] = await unclaimed_charges(database, gateway)

    assert (found.charge.id, found.returnable) == (own, False)


async def test_a_charge_that_is_under_way_is_claimed_by_its_key(
    database: Database, gateway: HttpPaymentGateway, payment: Payment, charges: tuple[str, str]
) -> None:
    await stored(database, payment)

    assert await unclaimed_ids(database, gateway) == [charges[1]]


@pytest.mark.parametrize("end", ["decline", "void", "refund"])
async def test_every_charge_of_a_payment_that_ended_without_money_is_found(
    database: Database, gateway: HttpPaymentGateway, end: str
) -> None:
    requested = PaymentFactory.create()
    charge_id = await _charge(gateway, requested.order_id)
    ends: dict[str, Payment] = {
        "decline": requested.decline(NOW),
        "void": requested.void(NOW),
        "refund": requested.void(NOW).refund("ch_1", NOW),
    }
    await stored(database, ends[end])

    assert await unclaimed_ids(database, gateway) == [charge_id]


async def test_a_charge_that_the_gateway_still_has_is_found_though_its_payment_says_it_went_back(
    database: Database, gateway: HttpPaymentGateway, payment: Payment
) -> None:
    charge_id = await _charge(gateway, payment.order_id)
    await stored(database, payment.capture(charge_id, NOW).refund(charge_id, NOW))

    assert await unclaimed_ids(database, gateway) == [charge_id]


async def test_every_payment_is_looked_at_however_many_pages_there_are(
    database: Database, gateway: HttpPaymentGateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reconciliation, "PAGE", 3)
    payments = [PaymentFactory.create().decline(NOW) for _ in range(7)]
    await stored(database, *payments)
    charges = {await _charge(gateway, payment.order_id) for payment in payments}

    found = await unclaimed_ids(database, gateway)

    assert (len(found), set(found)) == (7, charges)


async def test_no_transaction_is_open_while_the_gateway_is_asked(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reconciliation, "PAGE", 2)
    await stored(database, *(PaymentFactory.create().decline(NOW) for _ in range(3)))
    is_open, asked = False, list[bool]()

    @asynccontextmanager
    async def transaction(*, reading: bool = False) -> AsyncIterator[Any]:
        nonlocal is_open
        async with database(reading=reading) as uow:
            is_open = True
            yield uow
            is_open = False

    class Gateway(BusyGateway):
        async def charges(self, *, reference: UUID) -> Sequence[GatewayCharge]:
            asked.append(is_open)
            return await super().charges(reference=reference)

    gateway: Any = Gateway()
    assert await unclaimed_charges(transaction, gateway) == []
    assert asked == [False] * 3


class BusyGateway:
    """Counts how many ask at once."""

    def __init__(self) -> None:
        self.asking = self.most = 0

    async def charges(self, *, reference: UUID) -> Sequence[GatewayCharge]:
        del reference
        self.asking += 1
        self.most = max(self.most, self.asking)
        for _ in range(3):
            await asyncio.sleep(0)
        self.asking -= 1
        return ()


async def test_the_gateway_is_asked_a_few_questions_at_once_and_no_more(database: Database) -> None:
    await stored(database, *(PaymentFactory.create() for _ in range(4 * CONCURRENCY)))
    gateway: Any = BusyGateway()

    await unclaimed_charges(database, gateway)

    assert gateway.most == CONCURRENCY
    assert CONCURRENCY <= 10, "the gateway has customers' charges to answer meanwhile"


def test_a_page_of_payments_is_no_whole_table() -> None:
    assert PAGE <= 1000, "it is in memory as a whole, and so is each question about it"
