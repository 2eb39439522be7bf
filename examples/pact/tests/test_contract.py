"""What the mailer expects of the shop's orders, and whether the shop keeps it; neither's own code has changed."""

from pathlib import Path
from uuid import UUID, uuid4

import pytest
from faststream.kafka import TestKafkaBroker
from mailer import app as mailer
from pact_faststream import (
    Expectation,
    MessagePact,
    PactFolder,
    ProviderState,
    ProviderVerificationError,
    Sent,
    verify_provider,
)
from shop import app as shop

ONE = mailer.OrderSeen(order_id=UUID(int=1), total=3)
OTHER = mailer.OrderSeen(order_id=UUID(int=2), total=4)
EXPECTED = Expectation("an order", ONE, given="an order is placed", another=OTHER, topic="orders", key="order_id")
PACT = MessagePact("mailer", "shop", (EXPECTED,))
VARIANTS = {"small": {"total": 1, "order_id": uuid4}, "large": {"total": 2**31, "order_id": uuid4}}


async def test_the_mailer_handles_what_it_expects() -> None:
    async with TestKafkaBroker(mailer.broker):
        await PACT.receive("an order", mailer.broker.subscribers[0], outcome=lambda: list(mailer.mails))


async def test_the_shop_keeps_what_the_mailer_expects(tmp_path: Path) -> None:
    PACT.file(tmp_path).check(write=True)
    sent = Sent()

    async def place(order_id: UUID = ONE.order_id, total: int = 3) -> None:
        await shop.place(order_id, total)

    async with TestKafkaBroker(shop.broker):
        with sent.by(shop.broker):
            states = {"an order is placed": ProviderState(shop.Order, VARIANTS, asked=place)}
            await verify_provider("shop", PactFolder(tmp_path), states, outbox=sent)


async def test_a_shop_that_forgets_the_total_is_told(tmp_path: Path) -> None:
    PACT.file(tmp_path).check(write=True)
    sent = Sent()

    async def place(order_id: UUID = ONE.order_id, total: int = 3) -> None:
        await shop.place(order_id, total - total)

    async with TestKafkaBroker(shop.broker):
        states = {"an order is placed": ProviderState(shop.Order, VARIANTS, asked=place)}
        with sent.by(shop.broker), pytest.raises(ProviderVerificationError, match="total"):
            await verify_provider("shop", PactFolder(tmp_path), states, outbox=sent)
