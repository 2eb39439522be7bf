"""What the spans of events say: on their way to Kafka, handled, and set aside."""

import asyncio
from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

import pytest
from aiokafka import TopicPartition
from aiokafka.errors import KafkaError
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.trace import SpanKind
from outboxed.consuming import BatchConsumer, Route
from outboxed.messages import Record
from outboxed.relay._flow import Batch
from outboxed.relay._producer import BatchProducer
from outboxed.relay._row import Row, WireRecord
from outboxed.relay._spans import Sending
from outboxed.settings import KafkaSettings

from ..sample import MoneyMoved, credit, in_memory_accounts, moved, raw
from ..spans import PARENT, TRACE_ID, Spans, only, said

OTHER = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


class Refusing:
    """What the consumer counts is of no interest."""

    def __getattr__(self, name: str) -> Any:
        return lambda *_, **__: None


def consumer() -> BatchConsumer[Any]:
    return BatchConsumer("bank", [Route(MoneyMoved, credit)], in_memory_accounts(), Refusing())


async def test_a_handled_event_is_a_consumer_span_below_the_one_that_wrote_it(spans: Spans) -> None:
    record = moved(offset=41)
    await consumer().handle([record, record])  # a copy is no span

    span, sent = only(spans), dict(record.headers)
    assert (span.name, span.kind) == ("process moves", SpanKind.CONSUMER)
    assert said(span) == {
        "messaging.system.name": "kafka",
        "messaging.operation.name": "process",
        "messaging.operation.type": "process",
        "messaging.destination.name": "moves",
        "messaging.destination.partition.id": "0",
        "messaging.consumer.group.name": "bank",
        "messaging.message.id": (sent["ce_id"] or b"").decode(),
        "kafka.message.key": (record.key or b"").decode(),
        "kafka.offset": 41,
        "cloudevents.event_id": (sent["ce_id"] or b"").decode(),
        "cloudevents.event_source": (sent["ce_source"] or b"").decode(),
        "cloudevents.event_type": "money.moved.v1",
    }


async def test_a_handler_that_fails_is_a_span_that_failed(spans: Spans) -> None:
    await consumer().handle([raw(moved(amount="13.00"))])

    failed = [(span.name, span.kind, said(span)["error.type"]) for span in spans.get_finished_spans()]
    attempt = ("process moves", SpanKind.CONSUMER, "RuntimeError")
    assert failed == [attempt, attempt, ("dead_letter moves", SpanKind.CLIENT, "RuntimeError")]


async def test_a_record_that_nobody_can_read_is_set_aside_in_its_trace(spans: Spans) -> None:
    headers = (("ce_type", b"money.moved.v1"), ("ce_id", b"1"), ("traceparent", PARENT.encode()))
    await consumer().handle([Record("moves", 2, 41, b"key", b"{", headers)])

    span = only(spans)
    assert span.parent is not None
    assert f"{span.parent.trace_id:032x}" == TRACE_ID
    assert said(span) == {
        "messaging.system.name": "kafka",
        "messaging.operation.name": "dead_letter",
        "messaging.operation.type": "settle",
        "messaging.destination.name": "moves",
        "messaging.destination.partition.id": "2",
        "messaging.consumer.group.name": "bank",
        "kafka.offset": 41,
        "error.type": "undecodable",
    }


def wire(identity: str, traceparent: str | None) -> WireRecord:
    headers = [("ce_id", identity.encode())]
    return WireRecord(b"key", b"{}", [*headers, *([("traceparent", traceparent.encode())] if traceparent else [])])


def sent(*records: WireRecord, error: BaseException | str | None = None) -> None:
    sending = Sending.begun()
    assert sending is not None
    for record in records:
        sending.has(record)
    sending.span("accounts", 3, len(records)).end(error, 12)


def links(span: ReadableSpan) -> Sequence[str]:
    return [f"{link.context.trace_id:032x}" for link in span.links]


def test_a_row_on_its_way_to_kafka_is_in_the_trace_that_wrote_it(spans: Spans) -> None:
    sent(wire("e-1", PARENT))

    span = only(spans)
    assert (span.name, span.kind) == ("send accounts", SpanKind.CLIENT)
    assert said(span) == {
        "messaging.system.name": "kafka",
        "messaging.operation.name": "send",
        "messaging.operation.type": "send",
        "messaging.destination.name": "accounts",
        "messaging.destination.partition.id": "3",
        "messaging.message.id": "e-1",
        "kafka.offset": 12,
    }
    assert span.parent is not None
    assert [f"{span.parent.trace_id:032x}", *links(span)] == [TRACE_ID, TRACE_ID]


def test_a_batch_of_several_traces_has_its_own_with_a_link_to_each(spans: Spans) -> None:
    sent(wire("e-1", PARENT), wire("e-2", OTHER), wire("e-3", None), wire("e-4", PARENT))

    span = only(spans)
    assert span.parent is None
    assert links(span) == [TRACE_ID, OTHER.split("-")[1]]
    assert said(span)["messaging.batch.message_count"] == 4
    assert not {"messaging.message.id", "kafka.offset"} & said(span).keys()


def test_a_batch_with_a_row_of_no_trace_has_its_own(spans: Spans) -> None:
    sent(wire("e-1", PARENT), wire("e-2", None))

    assert (only(spans).parent, links(only(spans))) == (None, [TRACE_ID])


@pytest.mark.parametrize("traceparent", ["nonsense", "00-" + "0" * 32 + "-00f067aa0ba902b7-01"])
def test_a_row_with_an_unreadable_trace_begins_one(spans: Spans, traceparent: str) -> None:
    sent(wire("e-1", traceparent))

    assert (only(spans).parent, links(only(spans))) == (None, [])


def test_a_batch_that_kafka_refuses_or_that_is_given_up_has_failed(spans: Spans) -> None:
    sent(wire("e-1", PARENT), error=TimeoutError("no answer"))
    sent(wire("e-1", PARENT), error="abandoned")

    told = [said(span)["error.type"] for span in spans.get_finished_spans()]
    assert told == ["TimeoutError", "abandoned"]


class Kafka:
    """In place of aiokafka's producer and its client: hands over a batch, or not, and answers as the test says."""

    def __init__(self, answer: "asyncio.Future[Any] | BaseException") -> None:
        self._answer = answer
        self._sender = None
        self.client = self

    def create_batch(self) -> SimpleNamespace:
        return SimpleNamespace(append=lambda **_: None, close=lambda: None)

    async def send_batch(self, *_: object, **__: object) -> "asyncio.Future[Any]":
        if isinstance(self._answer, BaseException):
            raise self._answer
        return self._answer

    async def close(self) -> None:
        """Nothing is open."""


def producer_of(kafka: Any) -> BatchProducer:
    producer = BatchProducer(KafkaSettings(("nowhere:9092",)))
    producer._producer = kafka  # noqa: SLF001 - its own start needs a broker
    return producer


def batch() -> Batch:
    return Batch(TopicPartition("accounts", 3), [Row(1, "accounts", "key", b"{}", "{}", 0, 10)])


@pytest.mark.parametrize("error", [KafkaError("closed"), asyncio.CancelledError()])
async def test_a_batch_that_could_not_be_handed_over_is_a_span_that_failed(spans: Spans, error: BaseException) -> None:
    with pytest.raises(type(error)):
        await producer_of(Kafka(error)).send(batch())

    assert said(only(spans))["error.type"].endswith(type(error).__name__)


async def test_a_batch_that_is_given_up_has_failed_unless_kafka_has_answered(spans: Spans) -> None:
    answered, silent = asyncio.Future[Any](), asyncio.Future[Any]()
    answered.set_result(SimpleNamespace(offset=12))

    for future in (answered, silent):
        producer = producer_of(Kafka(future))
        await producer.send(batch())
        await producer.abandon()

    first, second = map(said, spans.get_finished_spans())
    assert (first["kafka.offset"], first.get("error.type")) == (12, None)
    assert second["error.type"] == "abandoned"
    assert silent.cancelled()


def test_without_a_provider_nothing_is_gathered_on_the_way_to_kafka() -> None:
    assert Sending.begun() is None
