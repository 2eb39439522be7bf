"""Pacts of a plain FastStream consumer and a plain publisher: models and headers of their own, no CloudEvents."""

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest
from faststream.kafka import KafkaBroker, KafkaMessage, TestKafkaBroker
from pact_faststream import (
    Expectation,
    ExpectationError,
    MessagePact,
    PactFolder,
    ProviderState,
    ProviderVerificationError,
    Sent,
    verify_provider,
)
from pact_faststream.rules import TYPE, all_of
from pydantic import BaseModel

ORDER_ID, ANOTHER_ID = UUID("0d2ad7dd-1d6c-4d39-9d5c-3a5a0f3d7f10"), UUID("b1946ac9-2a0c-4f6e-8d57-41f0c2a7d3e5")


class OrderSeen(BaseModel):
    order_id: UUID
    total: int


class Order(BaseModel):
    order_id: UUID
    total: int
    note: str = ""


def pact(**needed: Any) -> MessagePact:
    example, another = OrderSeen(order_id=ORDER_ID, total=3), OrderSeen(order_id=ANOTHER_ID, total=4)
    expectation = Expectation("an order", example, given="an order is placed", another=another, **needed)
    return MessagePact("mailer", "shop", (expectation,))


HEADERS = {"headers": {"x-type": "order.placed", "x-id": "7"}, "header_rules": {"x-id": all_of(TYPE)}}
NEEDED = {"topic": "orders", "key": "order_id", **HEADERS}


@pytest.fixture
def seen() -> list[Any]:
    return []


@pytest.fixture
async def subscriber(seen: list[Any]) -> AsyncIterator[Any]:
    broker = KafkaBroker()
    subscriber = broker.subscriber("orders")

    @subscriber
    async def on_order(order: OrderSeen, message: KafkaMessage) -> None:
        raw: Any = message.raw_message
        seen.append((order.total, raw.key, dict(message.headers)))

    async with TestKafkaBroker(broker):
        yield subscriber


async def test_a_plain_subscriber_gets_what_it_declared_and_no_more(subscriber: Any, seen: list[Any]) -> None:
    await pact().receive("an order", subscriber, outcome=lambda: list(seen))
    await pact(**NEEDED).receive("an order", subscriber, outcome=lambda: list(seen))

    plain, declared = seen
    assert plain == (3, None, {"content-type": "application/json"})
    assert declared[:2] == (3, str(ORDER_ID).encode())
    assert declared[2] == {"content-type": "application/json", "x-type": "order.placed", "x-id": "7"}


async def test_a_topic_that_the_subscriber_does_not_read_is_named(subscriber: Any, seen: list[Any]) -> None:
    with pytest.raises(AssertionError, match="doesn't listen to the topic 'carts'"):
        await pact(topic="carts").receive("an order", subscriber, outcome=lambda: list(seen))


def test_the_pact_file_asks_for_what_was_declared(tmp_path: Path) -> None:
    pact().file(tmp_path).check(write=True)
    [first, *_] = json.loads((tmp_path / "mailer-shop.json").read_text())["interactions"]

    pact(**NEEDED).file(tmp_path).check(write=True)
    [declared, *_] = json.loads((tmp_path / "mailer-shop.json").read_text())["interactions"]

    assert not {"ce_type", "ce_id", "kafka_topic", "kafka_key_field"} & set(first.get("metadata", {}))
    assert {"x-type", "x-id", "kafka_topic", "kafka_key_field"} <= set(declared["metadata"])


@pytest.fixture
async def broker() -> AsyncIterator[KafkaBroker]:
    broker = KafkaBroker()
    async with TestKafkaBroker(broker):
        yield broker


def states(place: Any) -> dict[str, ProviderState]:
    variants = {"small": {"total": 1}, "large": {"total": 2**31}}
    return {"an order is placed": ProviderState(Order, variants, asked=place)}


async def verified(folder: Path, wanted: MessagePact, place: Any, sent: Sent) -> None:
    wanted.file(folder).check(write=True)
    await verify_provider("shop", PactFolder(folder), states(place), outbox=sent)


async def test_a_plain_publisher_keeps_the_pact(broker: KafkaBroker, tmp_path: Path) -> None:
    sent = Sent()
    publisher = broker.publisher("orders", headers={"x-type": "order.placed"})

    async def place(order_id: UUID = ORDER_ID, total: int = 3) -> None:
        order = Order(order_id=order_id, total=total)
        await broker.publish({"audit": True}, "audit")
        await publisher.publish(order, key=str(order_id).encode(), headers={"x-id": str(uuid4())})

    with sent.by(broker):
        await verified(tmp_path, pact(**NEEDED), place, sent)


async def test_each_block_keeps_what_is_published_inside_it_once(broker: KafkaBroker) -> None:
    sent = Sent()

    for number in range(2):
        with sent.by(broker):
            await broker.publish({"number": number}, "orders")
        await broker.publish({"number": "between"}, "orders")

    assert [json.loads(record.value or b"") for record in await sent()] == [{"number": 0}, {"number": 1}]


async def test_each_record_of_a_batch_is_kept(broker: KafkaBroker) -> None:
    sent = Sent()
    publisher = broker.publisher("orders", batch=True)

    with sent.by(broker):
        await publisher.publish({"number": 0}, {"number": 1})
        await broker.publish_batch({"number": 2}, {"number": 3}, topic="orders")

    assert [(record.topic, json.loads(record.value or b"")) for record in await sent()] == [
        ("orders", {"number": number}) for number in range(4)
    ]


@pytest.mark.parametrize(
    ("headers", "key", "topic"),
    [
        ({"x-type": "order.paid"}, "order_id", "orders"),
        ({}, "order_id", "orders"),
        (None, "total", "orders"),
        (None, "order_id", "carts"),
    ],
)
async def test_another_header_key_or_topic_breaks_the_pact(
    broker: KafkaBroker, tmp_path: Path, headers: dict[str, str] | None, key: str, topic: str
) -> None:
    sent = Sent()

    async def place(order_id: UUID = ORDER_ID, total: int = 3) -> None:
        order = Order(order_id=order_id, total=total)
        told = {"x-type": "order.placed"} if headers is None else headers
        await broker.publish(order, topic, key=str(getattr(order, key)).encode(), headers={"x-id": "7", **told})

    with sent.by(broker), pytest.raises(ProviderVerificationError):
        await verified(tmp_path, pact(**NEEDED), place, sent)


@pytest.mark.parametrize("swapped", [False, True])
async def test_a_plain_function_is_a_provider(tmp_path: Path, *, swapped: bool) -> None:
    sent = Sent()

    def build(order_id: UUID = ORDER_ID, total: int = 3) -> Order:
        return Order(order_id=order_id, total=5 if swapped else total)

    place = sent.returned(build, topic="orders", key=lambda order: order.order_id)
    if swapped:
        with pytest.raises(ProviderVerificationError, match="total"):
            await verified(tmp_path, pact(), place, sent)
    else:
        await verified(tmp_path, pact(key="order_id"), place, sent)


AVRO = b"\x00\x00\x00\x00\x07\xfe\xff\x02"


@pytest.mark.parametrize("body", [AVRO, b"\x0a\x03abc"], ids=["Avro", "Protobuf"])
async def test_bytes_go_through_a_pact_as_they_are(tmp_path: Path, body: bytes) -> None:
    got: list[bytes] = []
    broker, sent = KafkaBroker(), Sent()
    subscriber = broker.subscriber("raw")

    @subscriber
    async def on_raw(message: KafkaMessage) -> None:
        got.append(message.body)

    async def send(value: bytes = body) -> None:
        await broker.publish(value, "raw")

    async def send_other() -> None:
        await broker.publish(body + b"\x01", "raw")

    wanted = MessagePact("mailer", "shop", (Expectation("raw", body, given="raw is sent", topic="raw"),))
    wanted.file(tmp_path).check(write=True)
    async with TestKafkaBroker(broker):
        await wanted.receive("raw", subscriber, outcome=lambda: list(got))
        with sent.by(broker):
            same = {"raw is sent": ProviderState(bytes, {"same": send})}
            await verify_provider("shop", PactFolder(tmp_path), same, outbox=sent)
            other = {"raw is sent": ProviderState(bytes, {"other": send_other})}
            with pytest.raises(ProviderVerificationError):
                await verify_provider("shop", PactFolder(tmp_path), other, outbox=sent)

    assert got[0] == body


@pytest.mark.parametrize("more", [{"key": "id"}, {"rules": {"$": all_of(TYPE)}}, {"example": b""}])
def test_bytes_have_no_fields(more: dict[str, Any]) -> None:
    with pytest.raises(ExpectationError, match="bytes have no fields"):
        Expectation(**{"description": "raw", "example": AVRO, "given": "raw is sent", **more})
