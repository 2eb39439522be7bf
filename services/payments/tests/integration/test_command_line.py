"""`python -m payments reconcile` on PostgreSQL and a gateway behind HTTP."""

from collections.abc import AsyncIterator

import pytest
from backing_services.postgres import DatabaseIsolation
from outboxed.storage import SqlTransactions
from outboxed.testing.suites.commands import Commands
from payments.__main__ import command_line
from payments.domain import Payment, payment_id_of
from payments.gateway import HttpPaymentGateway
from payments.storage import SqlPaymentsUnitOfWork

from ..factories import NOW, ChargeFactory, PaymentFactory
from ..fakes import stored
from .conftest import GatewayServer

Transactions = SqlTransactions[SqlPaymentsUnitOfWork]


@pytest.fixture
def command(
    isolation: DatabaseIsolation,
    transactions: Transactions,  # noqa: ARG001 - which empties the database
    gateway_server: GatewayServer,
) -> Commands:
    urls = {"PAYMENTS_DATABASE_URL": isolation.url, "PAYMENTS_GATEWAY_URL": gateway_server.url}
    return Commands(command_line.typer, urls)


@pytest.fixture
async def gateway(gateway_server: GatewayServer) -> AsyncIterator[HttpPaymentGateway]:
    yield HttpPaymentGateway(gateway_server.http, timeout=5)
    await gateway_server.put_faults()


@pytest.fixture
async def payment(transactions: Transactions) -> Payment:
    payment = PaymentFactory.create()
    await stored(transactions, payment)
    return payment


@pytest.fixture
async def charges(gateway: HttpPaymentGateway, gateway_server: GatewayServer, payment: Payment) -> tuple[str, str]:
    """One under the payment's key, and one more by a gateway that ignores the key."""
    key, reference = payment_id_of(payment.order_id), payment.order_id
    first = await gateway.charge(ChargeFactory.create(), idempotency_key=key, reference=reference)
    await gateway_server.put_faults({"operation": "charge", "action": "ignore_key"})
    return first, await gateway.charge(ChargeFactory.create(), idempotency_key=key, reference=reference)


async def capture(transactions: Transactions, payment: Payment, charge_id: str) -> None:
    async with transactions() as uow:
        uow.payments.save(payment.capture(charge_id, NOW))


@pytest.fixture
async def extra(transactions: Transactions, payment: Payment, charges: tuple[str, str]) -> str:
    """The charge too many of a payment that was captured by the first."""
    first, extra = charges
    await capture(transactions, payment, first)
    return extra


async def test_where_every_charge_has_its_payment_there_is_nothing_to_list(command: Commands) -> None:
    result = await command("reconcile")

    assert (result.exit_code, result.stdout) == (0, "0 charges that no payment claims\n")


async def test_a_charge_too_many_is_listed_and_stays(command: Commands, payment: Payment, extra: str) -> None:
    listed = [await command("reconcile") for _ in range(2)]

    line = f"order {payment.order_id}: charge {extra} of 50.00 CHF: unclaimed\n1 charges that no payment claims\n"
    assert [result.stdout for result in listed] == [line, line]


async def test_fix_returns_the_charge_too_many_and_leaves_the_captured_one(
    command: Commands, gateway: HttpPaymentGateway, payment: Payment, charges: tuple[str, str], extra: str
) -> None:
    fixed = await command("reconcile", "--fix")

    assert f"charge {extra} of 50.00 CHF: returned" in fixed.stdout
    assert (await command("reconcile")).stdout == "0 charges that no payment claims\n"
    left = await gateway.charges(reference=payment.order_id)
    assert [charge.id for charge in left if charge.succeeded] == [charges[0]]


async def test_fix_leaves_a_charge_that_it_could_not_return_alone_to_a_person(
    command: Commands,
    transactions: Transactions,
    gateway: HttpPaymentGateway,
    payment: Payment,
    charges: tuple[str, str],
) -> None:
    first, extra = charges
    await capture(transactions, payment, extra)

    fixed = await command("reconcile", "--fix")

    assert f"charge {first} of 50.00 CHF: has the key of a captured payment" in fixed.stdout
    assert all(charge.succeeded for charge in await gateway.charges(reference=payment.order_id))


@pytest.mark.usefixtures("payment")
async def test_a_gateway_that_does_not_answer_is_one_line(command: Commands) -> None:
    told = await command.refused("reconcile", PAYMENTS_GATEWAY_URL="http://127.0.0.1:1")

    assert told == "payments: the gateway can't be reached: ConnectError; run it again"


async def test_a_wrong_setting_is_one_line_that_names_the_variable(command: Commands) -> None:
    told = await command.refused("reconcile", PAYMENTS_GATEWAY_URL="gateway")

    assert told.startswith("payments: PAYMENTS_GATEWAY_URL: ")


async def test_a_wrong_variable_of_opentelemetry_is_one_line_too(command: Commands) -> None:
    told = await command.refused("reconcile", OTEL_TRACES_EXPORTER="otlp", OTEL_TRACES_SAMPLER="sometimes")

    assert told.startswith("payments: OTEL_TRACES_SAMPLER: must be one of always_on, ")
