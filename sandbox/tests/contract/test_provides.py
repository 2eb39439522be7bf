"""payment-gateway -> payments: the sandbox answers as its consumers expect of the real one."""

from pact_faststream import PactSource, verify_http_provider
from pact_faststream.http import Arrange
from payment_gateway import Ledger, create_app
from payment_gateway.processor import Processor, Purchase


async def test_the_gateway_keeps_what_its_consumers_expect(ledger: Ledger, pact_source: PactSource) -> None:
    processor = Processor(ledger)

    async def nothing_charged() -> None:
        return None

    async def charged(key: str, reference: str = "order-1", amount: str = "50.00", currency: str = "EUR") -> None:
        purchase = Purchase(amount=amount, currency=currency, payment_method="pm_card_ok", reference=reference)
        processor.charge(key, purchase, ignore_key=False)

    async def refunded(key: str) -> None:
        await charged(key)
        processor.refund(key)

    states: dict[str, Arrange] = {
        "nothing was charged": nothing_charged,
        "a key was charged": charged,
        "a key was refunded": refunded,
    }

    assert await verify_http_provider("payment-gateway", pact_source, create_app(ledger), states)
