"""The gateway's client: against the sandbox for what a gateway does, against a transport for what none should do."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from decimal import Decimal
from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest
from outboxed.telemetry import continued_trace
from outboxed.testing.tracking.spans import recorded
from payments.domain import Charge, payment_id_of
from payments.gateway import HttpPaymentGateway
from payments.ports import GatewayCharge, GatewayUnavailableError, PaymentDeclinedError, ServiceTimeoutError

from ..factories import ChargeFactory
from ..sandbox import Sandbox
from .conftest import PutFaults

TRACE_ID = "4bf92f3577b34da6a3ce929d0e0e4736"
Answering = Callable[[Callable[[httpx.Request], Any]], HttpPaymentGateway]


async def charge(gateway: HttpPaymentGateway, order_id: UUID | None = None, **parts: Any) -> str:
    order_id = order_id or uuid4()
    wanted: Charge = ChargeFactory.create(**parts)
    return await gateway.charge(wanted, idempotency_key=payment_id_of(order_id), reference=order_id)


async def refund(gateway: HttpPaymentGateway, order_id: UUID) -> str | None:
    return await gateway.refund(idempotency_key=str(payment_id_of(order_id)))


# --- the sandbox's answers ---


async def test_a_charge_that_succeeds_gives_its_id(gateway: HttpPaymentGateway, sandbox: Sandbox) -> None:
    order_id = uuid4()

    charge_id = await charge(gateway, order_id)

    assert sandbox.charges(order_id) == [charge_id]


async def test_a_charge_is_made_once_however_often_it_is_asked_for(
    gateway: HttpPaymentGateway, sandbox: Sandbox, order_id: UUID
) -> None:
    asked = {await charge(gateway, order_id) for _ in range(3)}

    assert asked == set(sandbox.charges(order_id))


async def test_the_gateway_is_told_the_amount_with_two_decimals(gateway: HttpPaymentGateway, sandbox: Sandbox) -> None:
    order_id = uuid4()

    await charge(gateway, order_id, amount=Decimal("7.5"), currency="USD")

    [entry] = sandbox.ledger.of_reference(str(order_id))
    assert (entry.amount, entry.currency, entry.payment_method) == ("7.50", "USD", "pm_card_ok")


@pytest.mark.parametrize("payment_method", ["pm_card_declined", "pm_card_of_another_bank"])
async def test_a_declined_card_and_an_unknown_one_are_a_final_no(
    gateway: HttpPaymentGateway, payment_method: str
) -> None:
    with pytest.raises(PaymentDeclinedError, match="card_declined"):
        await charge(gateway, payment_method=payment_method)


async def test_a_key_that_was_refunded_charges_no_more(gateway: HttpPaymentGateway, order_id: UUID) -> None:
    await refund(gateway, order_id)

    with pytest.raises(PaymentDeclinedError, match="key_refunded"):
        await charge(gateway, order_id)


async def test_a_refund_names_the_charge_that_it_returned_also_when_repeated(gateway: HttpPaymentGateway) -> None:
    order_id = uuid4()
    charge_id = await charge(gateway, order_id)

    assert [await refund(gateway, order_id) for _ in range(2)] == [charge_id, charge_id]


async def test_a_refund_of_nothing_returns_nothing(gateway: HttpPaymentGateway) -> None:
    assert await refund(gateway, uuid4()) is None


async def test_an_orders_charges_are_found_by_its_reference(gateway: HttpPaymentGateway, order_id: UUID) -> None:
    charge_id = await charge(gateway, order_id)
    await charge(gateway)

    [found] = await gateway.charges(reference=order_id)

    assert found == GatewayCharge(charge_id, str(payment_id_of(order_id)), Decimal("50.00"), "CHF", "succeeded")
    assert found.succeeded


async def test_a_charge_whose_money_went_back_is_listed_as_such(gateway: HttpPaymentGateway, order_id: UUID) -> None:
    await charge(gateway, order_id)
    await refund(gateway, order_id)

    [found] = await gateway.charges(reference=order_id)

    assert not found.succeeded


async def test_an_order_that_was_never_charged_has_no_charges(gateway: HttpPaymentGateway) -> None:
    assert await gateway.charges(reference=uuid4()) == []


async def test_a_charge_that_is_not_answered_in_time_may_have_been_made(
    gateway: HttpPaymentGateway, sandbox: Sandbox, order_id: UUID
) -> None:
    with pytest.raises(ServiceTimeoutError, match="no answer from the gateway within 5 s"):
        await charge(gateway, order_id, payment_method="pm_card_timeout_after_charge")

    assert len(sandbox.charges(order_id)) == 1


@pytest.mark.parametrize("operation", ["charge", "refund", "list"])
async def test_an_unavailable_gateway_may_say_when_to_come_back(
    gateway: HttpPaymentGateway, faults: PutFaults, operation: str
) -> None:
    await faults({"operation": operation, "action": "status", "status": 429, "seconds": 7})

    with pytest.raises(GatewayUnavailableError, match="429") as unavailable:
        await _call(gateway, operation)

    assert unavailable.value.retry_after == 7


@pytest.mark.parametrize("operation", ["charge", "refund", "list"])
async def test_an_answer_that_makes_no_sense_is_an_unknown_outcome(
    gateway: HttpPaymentGateway, faults: PutFaults, operation: str
) -> None:
    await faults({"operation": operation, "action": "garbage"})

    with pytest.raises(GatewayUnavailableError, match="makes no sense"):
        await _call(gateway, operation)


async def _call(gateway: HttpPaymentGateway, operation: str) -> Any:
    calls: dict[str, Callable[[], Awaitable[Any]]] = {
        "charge": lambda: charge(gateway),
        "refund": lambda: refund(gateway, uuid4()),
        "list": lambda: gateway.charges(reference=uuid4()),
    }
    return await calls[operation]()


# --- answers that no gateway should give ---


@pytest.fixture(scope="session")
async def answers() -> AsyncIterator[list[Callable[[httpx.Request], Any]]]:
    """The one handler of `transport`; a test puts its own there."""
    handlers: list[Callable[[httpx.Request], Any]] = []
    yield handlers
    handlers.clear()


@pytest.fixture(scope="session")
async def transport(answers: list[Callable[[httpx.Request], Any]]) -> AsyncIterator[httpx.AsyncClient]:
    async def handle(request: httpx.Request) -> httpx.Response:
        answer = answers[-1](request)
        response: httpx.Response = await answer if isinstance(answer, Awaitable) else answer
        return response

    async with httpx.AsyncClient(transport=httpx.MockTransport(handle), base_url="http://gateway") as client:
        yield client


@pytest.fixture
def answering(answers: list[Callable[[httpx.Request], Any]], transport: httpx.AsyncClient) -> Answering:
    def gateway(answer: Callable[[httpx.Request], Any]) -> HttpPaymentGateway:
        answers[:] = [answer]
        return HttpPaymentGateway(transport, timeout=5)

    return gateway


@pytest.mark.parametrize("status", [200, 204, 302, 307, 400, 401, 403, 404, 407, 422, 429, 451, 500, 502, 503])
@pytest.mark.parametrize("operation", ["charge", "refund"])
async def test_every_other_status_is_an_unknown_outcome(answering: Answering, operation: str, status: int) -> None:
    if (operation, status) == ("refund", 200):
        status = 201
    headers = {"Location": "http://gateway/elsewhere"} if status in {302, 307} else {}
    gateway = answering(lambda _: httpx.Response(status, headers=headers, json={"id": "ch_1", "status": "succeeded"}))

    with pytest.raises(GatewayUnavailableError, match=str(status)) as unavailable:
        await _call(gateway, operation)

    assert unavailable.value.retry_after is None
    assert ("PAYMENTS_GATEWAY_URL" in str(unavailable.value)) == (status in {401, 403, 407})


@pytest.mark.parametrize(
    "answer",
    [
        httpx.Response(201, content=b""),
        httpx.Response(201, content=b"\xff\xfe"),
        httpx.Response(201, content=b"<html>"),
        httpx.Response(201, json=["ch_1"]),
        httpx.Response(201, json={"status": "succeeded"}),
        httpx.Response(201, json={"id": None, "status": "succeeded"}),
        httpx.Response(201, json={"id": 7, "status": "succeeded"}),
    ],
    ids=lambda answer: f"{answer.status_code} {answer.content!r}",
)
async def test_a_charges_answer_of_the_wrong_shape_is_an_unknown_outcome(
    answering: Answering, answer: httpx.Response
) -> None:
    with pytest.raises(GatewayUnavailableError, match="makes no sense"):
        await charge(answering(lambda _: answer))


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (httpx.Response(402, content=b"declined, sorry"), "card_declined"),
        (httpx.Response(402, json={"error": "card_declined"}), "card_declined"),
        (httpx.Response(409, json={}), "key_refunded"),
    ],
    ids=["no JSON", "another shape", "empty"],
)
async def test_a_final_no_is_final_even_where_its_words_cannot_be_read(
    answering: Answering, answer: httpx.Response, reason: str
) -> None:
    with pytest.raises(PaymentDeclinedError, match=reason):
        await charge(answering(lambda _: answer))


@pytest.mark.parametrize("status", ["pending", "failed", "SUCCEEDED", ""])
async def test_a_charge_that_has_not_succeeded_is_an_unknown_outcome(answering: Answering, status: str) -> None:
    gateway = answering(lambda _: httpx.Response(201, json={"id": "ch_1", "status": status}))

    with pytest.raises(GatewayUnavailableError, match="with status"):
        await charge(gateway)


@pytest.mark.parametrize("amount", ["NaN", "Infinity", "fifty", None])
async def test_a_list_with_an_amount_that_is_none_makes_no_sense(answering: Answering, amount: Any) -> None:
    item = {"id": "ch_1", "idempotency_key": "k", "amount": amount, "currency": "EUR", "status": "succeeded"}
    gateway = answering(lambda _: httpx.Response(200, json={"items": [item]}))

    with pytest.raises(GatewayUnavailableError, match="makes no sense"):
        await gateway.charges(reference=uuid4())


@pytest.mark.parametrize("value", ["Wed, 21 Oct 2026 07:28:00 GMT", "soon", "-1", "1.5", "\u0665".encode(), ""])
async def test_a_time_to_come_back_that_is_no_number_of_seconds_is_left_to_our_own_back_off(
    answering: Answering, value: str | bytes
) -> None:
    raw = value if isinstance(value, bytes) else value.encode()
    gateway = answering(lambda _: httpx.Response(503, headers=[(b"Retry-After", raw)]))

    with pytest.raises(GatewayUnavailableError) as unavailable:
        await charge(gateway)

    assert unavailable.value.retry_after is None


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (httpx.ConnectError("refused"), GatewayUnavailableError),
        (httpx.ReadError("cut"), GatewayUnavailableError),
        (httpx.RemoteProtocolError("nonsense"), GatewayUnavailableError),
        (httpx.DecodingError("no gzip"), GatewayUnavailableError),
        (httpx.ConnectTimeout("late"), ServiceTimeoutError),
        (httpx.ReadTimeout("late"), ServiceTimeoutError),
        (httpx.PoolTimeout("late"), ServiceTimeoutError),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else "",
)
async def test_no_answer_is_an_unknown_outcome(
    answering: Answering, error: Exception, expected: type[Exception]
) -> None:
    def fail(_: httpx.Request) -> httpx.Response:
        raise error

    with pytest.raises(expected):
        await charge(answering(fail))


async def test_an_answer_that_never_ends_is_given_up_after_the_time_of_a_whole_call(
    answering: Answering, transport: httpx.AsyncClient
) -> None:
    async def never(_: httpx.Request) -> httpx.Response:
        await asyncio.Event().wait()
        raise AssertionError

    answering(never)
    gateway = HttpPaymentGateway(transport, timeout=0.001)

    with pytest.raises(ServiceTimeoutError):
        await charge(gateway)


# --- traces ---


async def test_the_gateway_is_told_the_trace_of_the_call(answering: Answering) -> None:
    told: list[str | None] = []

    def answer(request: httpx.Request) -> httpx.Response:
        told.append(request.headers.get("traceparent"))
        return httpx.Response(201, json={"id": "ch_1", "status": "succeeded"})

    with continued_trace("charge", f"00-{TRACE_ID}-00f067aa0ba902b7-01"):
        await charge(answering(answer))

    [traceparent] = told
    assert (traceparent or "").split("-")[1] == TRACE_ID
    assert (traceparent or "").split("-")[2] != "00f067aa0ba902b7"


async def test_a_call_without_an_answer_is_a_span_that_failed(answering: Answering) -> None:
    def nobody(request: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("no route to gateway.internal", request=request)

    with recorded() as spans, pytest.raises(GatewayUnavailableError):
        await charge(answering(nobody))

    [step] = spans.ended
    assert (step.name, step.service) == ("POST /v1/charges", "payment gateway")
    assert step.outcome == "GatewayUnavailableError: the gateway can't be reached: ConnectError"
