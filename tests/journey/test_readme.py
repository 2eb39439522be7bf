"""The tracked session in testkit's README, as it stands there."""

from functools import partial
from pathlib import Path
from types import SimpleNamespace

from orders.events import OrderConfirmed, OrderPlaced
from payments.events import PaymentCaptured

from libs.testkit.tests.snippets import perform, snippet
from tests.customer import Customer

from .shop import Shop

README = Path(__file__).parents[2] / "libs" / "testkit" / "README.md"


async def test_the_readmes_tracked_session(shop: Shop, customer: Customer) -> None:
    headers = {**customer.headers, "Idempotency-Key": "readme"}
    names = {
        "parts": shop.parts,
        "client": SimpleNamespace(post=partial(shop.http.post, headers=headers)),
        "order": {"items": [{"sku": "ABC", "quantity": 1}], "payment_method": "pm_card_ok"},
        "OrderPlaced": OrderPlaced,
        "PaymentCaptured": PaymentCaptured,
        "OrderConfirmed": OrderConfirmed,
    }

    await perform(snippet(README, "tracked(*parts)"), names)

    await customer.has_mails("confirmation")
