"""Spans: who records them, and what they say by the semantic conventions."""

import asyncio
from collections.abc import AsyncIterator, Iterator, Sequence
from types import SimpleNamespace
from typing import Any

import httpx
import pytest
import structlog
from aiokafka import TopicPartition
from aiokafka.errors import KafkaError
from fastapi import FastAPI
from fastapi.responses import StreamingResponse
from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF, ParentBased
from opentelemetry.trace import SpanKind, StatusCode
from outboxed import _conventions as names
from outboxed._tracing import recorded_by, tracer
from outboxed.consuming import BatchConsumer, Route
from outboxed.messages import Record
from outboxed.process import Metrics
from outboxed.relay._flow import Batch
from outboxed.relay._producer import BatchProducer
from outboxed.relay._row import Row, WireRecord
from outboxed.relay._spans import Sending
from outboxed.settings import KafkaSettings
from outboxed.storage import Clock
from outboxed.telemetry import continued_trace, current_traceparent, exemplar, http_call, outgoing_call, set_failure
from outboxed.web import ApiError, TokenVerifier, create_http_app
from prometheus_client.openmetrics.exposition import generate_latest

from ..sample import MoneyMoved, credit, in_memory_accounts, moved, raw

TRACE_ID = "4bf92f3577b34da6a3ce929d0e0e4736"
PARENT = f"00-{TRACE_ID}-00f067aa0ba902b7-01"
OTHER = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"

Spans = InMemorySpanExporter


def recording(sampler: Any = None) -> tuple[TracerProvider, Spans]:
    exporter = InMemorySpanExporter()
    provider = TracerProvider(sampler=sampler, shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    return provider, exporter


@pytest.fixture
def spans() -> Iterator[Spans]:
    """Those of a provider that somebody has set."""
    provider, exporter = recording()
    with recorded_by(provider):
        yield exporter


def only(spans: Spans) -> ReadableSpan:
    [span] = spans.get_finished_spans()
    return span


def said(span: ReadableSpan) -> dict[str, Any]:
    return dict(span.attributes or {})


# --- who records ---


def test_without_a_provider_a_span_is_its_ids_and_its_childrens() -> None:
    assert tracer() is None
    with continued_trace("x", PARENT, order_id="7"):
        line = structlog.contextvars.get_contextvars()
        outer = current_traceparent() or ""
        with outgoing_call("somebody", "ask"):
            inner = current_traceparent() or ""

    assert outer.split("-")[1] == inner.split("-")[1] == TRACE_ID
    assert len({PARENT.split("-")[2], outer.split("-")[2], inner.split("-")[2]}) == 3
    assert [each.endswith("-01") for each in (outer, inner)] == [True, True], "the parent's decision is passed on"
    ids = {"trace_id": TRACE_ID, "span_id": outer.split("-")[2], "parent_span_id": "00f067aa0ba902b7"}
    assert line == {**ids, "order_id": "7"}
    assert isinstance(trace.get_tracer_provider(), trace.ProxyTracerProvider)


def test_a_trace_that_begins_without_a_provider_says_that_nobody_has_sampled_it() -> None:
    with continued_trace("x", None):
        assert (current_traceparent() or "").endswith("-00")
        assert exemplar() is None


def test_a_disabled_sdk_leaves_the_ids(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_SDK_DISABLED", "true")
    provider, exporter = recording()

    with recorded_by(provider), continued_trace("x", PARENT):
        assert (current_traceparent() or "").split("-")[1] == TRACE_ID
        assert PARENT not in (current_traceparent() or "")

    assert exporter.get_finished_spans() == ()


def test_what_is_not_sampled_is_passed_on_as_such() -> None:
    provider, exporter = recording(ParentBased(ALWAYS_OFF))

    with recorded_by(provider), continued_trace("x", None):
        flags = int((current_traceparent() or "").rpartition("-")[2], 16)
        assert not flags & trace.TraceFlags.SAMPLED
        assert exemplar() is None

    assert exporter.get_finished_spans() == ()


def test_a_span_has_the_schema_its_name_is_of(spans: Spans) -> None:
    with continued_trace("x", PARENT, order_id="7"):
        pass

    scope = only(spans).instrumentation_scope
    assert scope is not None
    assert (scope.name, scope.schema_url) == ("outboxed", names.SCHEMA_URL)
    assert said(only(spans)) == {}


# --- errors ---


def test_an_error_is_told_without_its_traceback_and_still_raised(spans: Spans) -> None:
    with pytest.raises(LookupError), continued_trace("x", None):
        raise LookupError("no such account")

    span = only(spans)
    assert said(span) == {"error.type": "LookupError"}
    assert (span.status.status_code, span.status.description) == (StatusCode.ERROR, "LookupError: no such account")
    assert span.events == ()


async def test_what_is_cancelled_has_failed_and_is_still_cancelled(spans: Spans) -> None:
    async def charge() -> None:
        with continued_trace("charge", None):
            async with asyncio.timeout(0):
                with http_call("gateway", "POST", "http://gateway.test/v1/charges", template="/v1/charges"):
                    await asyncio.Event().wait()

    with pytest.raises(TimeoutError):
        await charge()

    call, attempt = map(said, spans.get_finished_spans())
    assert (call["error.type"], attempt["error.type"]) == ("asyncio.exceptions.CancelledError", "TimeoutError")
    assert "http.response.status_code" not in call


def test_an_error_of_a_library_has_its_modules_name(spans: Spans) -> None:
    with continued_trace("x", None):
        set_failure(httpx.ReadTimeout("late"), "postponed")

    assert said(only(spans)) == {"error.type": "httpx.ReadTimeout"}
    assert only(spans).status.description == "postponed"


def test_an_error_with_half_a_character_can_be_sent(spans: Spans) -> None:
    with continued_trace("x", None):
        set_failure(ValueError("no such name: \ud800"))

    assert only(spans).status.description == "ValueError: no such name: ?"
    assert encode_spans(spans.get_finished_spans()).ByteSize()


# --- calls ---


def test_a_call_over_http_passes_the_trace_on_and_hides_what_is_secret(spans: Spans) -> None:
    url = "https://ada:secret@gateway.test/v1/charges?reference=7&email=ada@example.com"
    with continued_trace("charge", PARENT), http_call("gateway", "GET", url, template="/v1/charges") as call:
        call.answered(200)
        headers = call.headers

    span = spans.get_finished_spans()[0]
    assert (span.name, span.kind) == ("GET /v1/charges", SpanKind.CLIENT)
    assert said(span) == {
        "service.peer.name": "gateway",
        "http.request.method": "GET",
        "http.response.status_code": 200,
        "server.address": "gateway.test",
        "server.port": 443,
        "url.full": "https://gateway.test/v1/charges?reference=REDACTED&email=REDACTED",
        "url.template": "/v1/charges",
    }
    assert span.context is not None
    assert headers == {"traceparent": f"00-{TRACE_ID}-{span.context.span_id:016x}-01"}


def test_a_call_that_is_answered_with_a_no_has_failed(spans: Spans) -> None:
    with http_call("gateway", "POST", "http://gateway.test:81/v1/charges", template="/v1/charges") as call:
        call.answered(402)

    assert said(only(spans))["error.type"] == "402"
    assert said(only(spans))["server.port"] == 81
    assert only(spans).status.status_code is StatusCode.ERROR


# --- HTTP ---


@pytest.fixture
def app() -> FastAPI:
    app = create_http_app(title="bank", version="1", token_verifier=TokenVerifier((), issuer="", audience="", roles=()))

    @app.get("/accounts/{account_id}")
    async def account(account_id: str) -> str:
        if account_id == "broken":
            raise ZeroDivisionError("a bug")
        if account_id == "away":
            raise ApiError(503, "AWAY", "away")
        return account_id

    @app.get("/statement")
    async def statement() -> StreamingResponse:
        async def pages() -> AsyncIterator[bytes]:
            yield b"page 1"
            raise ZeroDivisionError("a bug")

        return StreamingResponse(pages())

    return app


async def answer(app: FastAPI, method: str, path: str, **headers: str) -> None:
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://bank.test:8000") as client:
        await client.request(method, path, headers={"x-request-id": "r-1", **headers})


async def test_a_request_is_a_server_span_with_its_route(app: FastAPI, spans: Spans) -> None:
    await answer(app, "GET", "/accounts/7?page=ada", traceparent=PARENT)

    span = only(spans)
    assert (span.name, span.kind, span.status.status_code) == (
        "GET /accounts/{account_id}",
        SpanKind.SERVER,
        StatusCode.UNSET,
    )
    assert said(span) == {
        "http.request.method": "GET",
        "http.route": "/accounts/{account_id}",
        "http.response.status_code": 200,
        "url.path": "/accounts/7",
        "url.query": "page=REDACTED",
        "url.scheme": "http",
        "server.address": "bank.test",
        "server.port": 8000,
        "outboxed.service": "bank",
        "outboxed.request.id": "r-1",
    }
    assert span.parent is not None
    assert span.parent.trace_id == int(TRACE_ID, 16)


@pytest.mark.parametrize(
    ("path", "status", "error"),
    [("/accounts/broken", 500, "ZeroDivisionError"), ("/accounts/away", 503, "503"), ("/nowhere", 404, None)],
)
async def test_a_request_fails_by_an_error_or_its_status(
    app: FastAPI, spans: Spans, path: str, status: int, error: str | None
) -> None:
    await answer(app, "GET", path)

    told = said(only(spans))
    assert (told["http.response.status_code"], told.get("error.type")) == (status, error)
    assert (only(spans).status.status_code is StatusCode.ERROR) is (error is not None)


async def test_an_answer_that_breaks_off_has_failed_and_has_its_route_and_status(app: FastAPI, spans: Spans) -> None:
    with pytest.raises((ZeroDivisionError, ExceptionGroup)) as raised:  # an older Starlette raises it in a group
        await answer(app, "GET", "/statement")

    told = said(only(spans))
    assert only(spans).name == "GET /statement"
    assert (told["http.response.status_code"], told["error.type"]) == (200, type(raised.value).__name__)


@pytest.mark.parametrize("port", ["9" * 30, "9" * 5000, "-1", ""])
async def test_a_port_that_is_none_is_not_recorded(app: FastAPI, spans: Spans, port: str) -> None:
    await answer(app, "GET", "/accounts/7", host=f"bank.test:{port}")

    assert "server.port" not in said(only(spans))


async def test_a_path_without_a_route_and_a_method_of_nobodys_make_no_name_of_their_own(
    app: FastAPI, spans: Spans
) -> None:
    await answer(app, "BREW", "/pot-7")

    assert only(spans).name == "HTTP"
    told = said(only(spans))
    assert (told["http.request.method"], told["http.request.method_original"]) == ("_OTHER", "BREW")


async def test_what_machines_poll_is_not_recorded(app: FastAPI, spans: Spans) -> None:
    await answer(app, "GET", "/metrics")

    assert spans.get_finished_spans() == ()


# --- messaging ---


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


# --- metrics ---


def test_a_recorded_span_is_the_exemplar_of_what_it_took(spans: Spans) -> None:
    metrics = Metrics(Clock())
    with continued_trace("x", PARENT):
        metrics.request_answered("GET", "/accounts", 200, 0.02)
        metrics.task_attempted("call", "done", 0.02, 0.5)
    metrics.event_handled("money.moved.v1", 0.02, {"trace_id": TRACE_ID, "span_id": "1"})

    assert only(spans) is not None
    text = generate_latest(metrics.registry).decode()  # type: ignore[no-untyped-call]
    with_exemplar = [line.partition("{")[0] for line in text.splitlines() if f'trace_id="{TRACE_ID}"' in line]
    assert sorted(with_exemplar) == [
        "event_age_seconds_bucket",
        "http_request_duration_seconds_bucket",
        "task_age_seconds_bucket",
        "task_duration_seconds_bucket",
    ]
