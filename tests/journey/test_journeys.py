"""One order through all three services, as its customer sees it: over HTTP and in the mailbox."""

from tests.customer import Customer

from .shop import Shop


async def test_a_paid_order_is_confirmed_and_its_customer_gets_one_confirmation(shop: Shop, customer: Customer) -> None:
    order_id = await customer.orders("pm_card_ok")

    await customer.sees(order_id, "PENDING", "CONFIRMED")
    await customer.has_mails("Your order is confirmed")
    assert shop.money_of(order_id) == ["succeeded"]


async def test_a_declined_payment_cancels_the_order_and_sends_no_confirmation(shop: Shop, customer: Customer) -> None:
    order_id = await customer.orders("pm_card_declined")

    await customer.sees(order_id, "PENDING", "CANCELLED")
    await customer.has_mails("Your order is cancelled")
    assert shop.money_of(order_id) == []


async def test_an_order_cancelled_after_its_payment_is_refunded(shop: Shop, customer: Customer) -> None:
    order_id = await customer.orders("pm_card_ok")
    await customer.sees(order_id, "PENDING", "CONFIRMED")

    await customer.cancels(order_id)

    await customer.sees(order_id, "PENDING", "CONFIRMED", "CANCELLED")
    await customer.has_mails("Your order is confirmed", "Your order is cancelled", "Your money is on its way")
    assert shop.money_of(order_id) == ["succeeded", "refunded"]


async def test_a_gateway_that_answers_too_late_charges_once_and_the_order_is_confirmed(
    shop: Shop, customer: Customer
) -> None:
    order_id = await customer.orders("pm_card_timeout_after_charge")

    await customer.sees(order_id, "PENDING", "CONFIRMED")
    await customer.has_mails("Your order is confirmed")
    assert shop.money_of(order_id) == ["succeeded"]
