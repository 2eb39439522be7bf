"""Spans: who records them, errors, calls to the outside, and exemplars."""

import asyncio
from contextlib import suppress

import httpx
import pytest
import structlog
from hypothesis import example, given
from hypothesis import strategies as st
from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.sdk import trace as sdk
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF, Decision, ParentBased, Sampler, SamplingResult
from opentelemetry.trace import SpanKind, StatusCode
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator
from outboxed import _conventions as names
from outboxed._traceparent import context_of
from outboxed._tracing import recorded_by, tracer
from outboxed.process import Metrics
from outboxed.storage import Clock
from outboxed.telemetry import continued_trace, current_traceparent, exemplar, http_call, outgoing_call, set_failure
from prometheus_client.openmetrics.exposition import generate_latest

from ..spans import PARENT, TRACE_ID, Spans, only, recording, said

HEX = "0123456789abcdefABCDEF"
SPAN_ID = "00f067aa0ba902b7"


# --- whose child a span is ---


@given(
    version=st.sampled_from(["00", "01", "ff", "0"]),
    trace_id=st.sampled_from([TRACE_ID, TRACE_ID.upper(), "0" * 32]) | st.text(HEX, min_size=31, max_size=33),
    span_id=st.sampled_from([SPAN_ID, SPAN_ID.upper(), "0" * 16]) | st.text(HEX, min_size=15, max_size=17),
    flags=st.sampled_from(["00", "01", "ff"]) | st.text(HEX, min_size=1, max_size=3),
    end=st.sampled_from(["", "-", "-x", " ", "\n"]),
)
@example(version="00", trace_id=TRACE_ID, span_id=SPAN_ID, flags="01", end="")
@example(version="00", trace_id=TRACE_ID, span_id=SPAN_ID, flags="01", end="-x")
@example(version="00", trace_id=TRACE_ID, span_id=SPAN_ID, flags="01", end="\n")
@example(version="00", trace_id="0" * 32, span_id=SPAN_ID, flags="01", end="")
@example(version="00", trace_id=TRACE_ID, span_id="0" * 16, flags="01", end="")
def test_a_traceparent_is_read_as_opentelemetry_reads_it(
    version: str, trace_id: str, span_id: str, flags: str, end: str
) -> None:
    traceparent = f"{version}-{trace_id}-{span_id}-{flags}{end}"

    read = trace.get_current_span(context_of(traceparent)).get_span_context()

    theirs = TraceContextTextMapPropagator().extract({"traceparent": traceparent}, context=Context())
    assert read == trace.get_current_span(theirs).get_span_context()


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
    ids = {"trace_id": TRACE_ID, "span_id": outer.split("-")[2], "parent_span_id": SPAN_ID}
    assert line == {**ids, "order_id": "7"}
    assert isinstance(trace.get_tracer_provider(), trace.ProxyTracerProvider)


@pytest.mark.parametrize("error", [None, ValueError("a bug")])
def test_after_a_block_that_runs_which_ran_before_it(error: Exception | None) -> None:
    with continued_trace("x", PARENT, order_id="7"):
        outer, line = current_traceparent(), structlog.contextvars.get_contextvars()
        for block in (continued_trace("y", PARENT, order_id="8"), outgoing_call("somebody", "ask")):
            with suppress(ValueError), block:
                if error is not None:
                    raise error

            assert (current_traceparent(), structlog.contextvars.get_contextvars()) == (outer, line)

    assert (current_traceparent(), structlog.contextvars.get_contextvars()) == (None, {})


@pytest.mark.parametrize("traceparent", [None, "", "nonsense"])
def test_what_comes_without_a_readable_trace_begins_one_whatever_runs(spans: Spans, traceparent: str | None) -> None:
    with continued_trace("what runs", None), continued_trace("what comes", traceparent):
        pass

    comes, runs = spans.get_finished_spans()
    assert comes.parent is None
    assert comes.context.trace_id != runs.context.trace_id


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


class RecordsOnly(Sampler):
    """Spans are recorded for processors that look at each, and not exported."""

    def should_sample(self, *_: object, **__: object) -> SamplingResult:
        return SamplingResult(Decision.RECORD_ONLY)

    def get_description(self) -> str:
        return "RecordsOnly"


def test_what_is_recorded_and_not_sampled_is_no_exemplar() -> None:
    provider, exporter = recording(RecordsOnly())

    with recorded_by(provider), continued_trace("x", PARENT):
        assert trace.get_current_span().is_recording()
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


def test_a_span_ends_even_if_it_cannot_be_told_that_it_failed(spans: Spans, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise RuntimeError("a bug of the SDK")

    monkeypatch.setattr(sdk.Span, "set_status", fail)
    with pytest.raises(RuntimeError, match="a bug of the SDK"), continued_trace("x", None):
        raise ValueError("a bug")

    assert current_traceparent() is None
    assert [span.name for span in spans.get_finished_spans()] == ["x"]


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
