"""One order through all three services, as its customer sees it: over HTTP and by its e-mails; and why it went so."""

from functools import partial
from pathlib import Path
from types import SimpleNamespace

from orders.events import OrderCancelled, OrderConfirmed, OrderPlaced
from payments.events import PaymentCaptured

from libs.backing_services.tests.snippets import perform, snippet
from tests.customer import Customer

from .shop import OTHERS, Shop

README = Path(__file__).parents[2] / "libs" / "outboxed" / "README.md"
PAID = "POST /api/v1/orders -> order.placed.v1 -> charge -> payment.captured.v1 -> order.confirmed.v1 -> send_email"


async def test_a_paid_order_is_confirmed_and_its_customer_gets_one_confirmation(shop: Shop, customer: Customer) -> None:
    async with shop.tracked() as session:
        order_id = await customer.orders("pm_card_ok")

    await customer.sees(order_id, "PENDING", "CONFIRMED")
    await customer.has_mails("confirmation")
    assert shop.money_of(order_id) == ["succeeded"]
    assert session.sequence.chain("send_email") == PAID
    placed = session.published(OrderPlaced).single()
    assert session.published(PaymentCaptured).single().amount.amount == placed.total.amount
    session.published(OrderConfirmed).single()
    for event in shop.events_of_others():
        session.published(event)
    session.nothing_else()


async def test_a_declined_payment_cancels_the_order_and_sends_no_confirmation(shop: Shop, customer: Customer) -> None:
    async with shop.tracked() as session:
        order_id = await customer.orders("pm_card_declined")

    await customer.sees(order_id, "PENDING", "CANCELLED")
    await customer.has_mails("cancellation")
    assert shop.money_of(order_id) == []
    session.published(OrderConfirmed).none()


async def test_an_order_cancelled_after_its_payment_is_refunded(shop: Shop, customer: Customer) -> None:
    async with shop.tracked() as session:
        order_id = await customer.orders("pm_card_ok")
        await session.settle()
        await customer.cancels(order_id)

    await customer.sees(order_id, "PENDING", "CONFIRMED", "CANCELLED")
    await customer.has_mails("confirmation", "cancellation", "refund")
    assert shop.money_of(order_id) == ["succeeded", "refunded"]
    assert session.sequence.chain("payment.refunded.v1").startswith(f"POST /api/v1/orders/{order_id}/cancel -> ")


async def test_a_gateway_that_answers_too_late_charges_once_and_the_order_is_confirmed(
    shop: Shop, customer: Customer
) -> None:
    async with shop.tracked() as session:
        order_id = await customer.orders("pm_card_timeout_after_charge")
        await session.settle()
        await session.advance(minutes=2)

    await customer.sees(order_id, "PENDING", "CONFIRMED")
    await customer.has_mails("confirmation")
    assert shop.money_of(order_id) == ["succeeded"]


async def test_a_gateway_out_of_order_past_the_deadline_cancels_the_order_and_keeps_no_money(
    shop: Shop, customer: Customer
) -> None:
    async with shop.tracked() as session:
        async with shop.gateway_out_of_order():
            order_id = await customer.orders("pm_card_ok")
            await session.settle()
            await session.advance(minutes=30)
        await session.advance(minutes=2)

    await customer.sees(order_id, "PENDING", "CANCELLED")
    await customer.has_mails("cancellation")
    assert shop.money_of(order_id) in ([], ["succeeded", "refunded"])
    assert session.published(OrderCancelled).single().reason == "payment_deadline"


async def test_the_tracked_session_in_outboxeds_readme(shop: Shop, customer: Customer) -> None:
    headers = {**customer.headers, "Idempotency-Key": "readme"}
    names = {
        "participants": [part for part in shop.parts if part.name not in OTHERS],
        "client": SimpleNamespace(post=partial(shop.http.post, headers=headers)),
        "order": {"items": [{"sku": "ABC", "quantity": 1}], "payment_method": "pm_card_ok"},
        **{event.__name__: event for event in (OrderPlaced, PaymentCaptured, OrderConfirmed)},
    }

    await perform(snippet(README, "tracked(*participants)"), names)

    await customer.has_mails("confirmation")
