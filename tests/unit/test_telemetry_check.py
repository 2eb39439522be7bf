"""What holds spans to the conventions finds what is wrong with them."""

from dataclasses import replace
from typing import Any

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.semconv.schemas import Schemas
from outboxed import _conventions

from tools.measuring.collector import Collector, ReceivedSpan
from tools.telemetry_check.conventions import OWN, RENAMED, SCHEMA_URL, deviations, known_names, names_of_the_package
from tools.telemetry_check.judgement import judged
from tools.telemetry_check.shop import EMAIL, Journey, Trace

CALLER = Trace("an order", "a" * 32, "b" * 16, [("orders", "process payments")])
PROCESS = {
    "messaging.system.name": "kafka",
    "messaging.operation.name": "process",
    "messaging.operation.type": "process",
    "messaging.destination.name": "payments",
    "messaging.destination.partition.id": "0",
    "messaging.consumer.group.name": "orders",
    "messaging.message.id": "e-1",
    "kafka.offset": 4,
}


def span(name: str = "process payments", **changed: Any) -> ReceivedSpan:
    right = ReceivedSpan(
        name=name,
        kind="CONSUMER",
        trace_id=CALLER.trace_id,
        span_id="c" * 16,
        parent=CALLER.caller,
        links=[],
        attributes=PROCESS,
        resource={"service.name": "orders", "service.version": "1", "telemetry.sdk.name": "opentelemetry"},
        scope="outboxed",
        schema_url=SCHEMA_URL,
        is_error=False,
        message="",
        began=1,
        ended=2,
    )
    return replace(right, **changed)


def sent() -> ReceivedSpan:
    said = {name: value for name, value in PROCESS.items() if "consumer" not in name}
    send = {**said, "messaging.operation.name": "send", "messaging.operation.type": "send"}
    link = [(CALLER.trace_id, CALLER.caller)]
    return span("send payments", kind="CLIENT", span_id="d" * 16, attributes=send, links=link)


def with_(**more: Any) -> dict[str, Any]:
    return PROCESS | {name.replace("__", "."): value for name, value in more.items()}


def without(name: str) -> dict[str, Any]:
    return {each: value for each, value in PROCESS.items() if each != name}


def test_a_span_as_it_should_be_has_no_deviation() -> None:
    assert [*deviations(span()), *deviations(sent())] == []


def test_each_name_of_the_library_is_of_the_conventions_or_our_own() -> None:
    names = {
        value for name, value in vars(_conventions).items() if name.isupper() and name not in {"SCHEMA_URL", "OWN"}
    }

    assert {name for name in names if not name.startswith(_conventions.OWN)} - known_names() == set()
    assert len(names) > 30


def test_the_schema_is_that_of_the_library() -> None:
    assert (_conventions.OWN, _conventions.SCHEMA_URL) == (OWN, SCHEMA_URL)


def test_what_was_renamed_stands_here_only_until_the_package_has_it() -> None:
    assert SCHEMA_URL not in {schema.value for schema in Schemas}, "take its names, and empty RENAMED"
    assert RENAMED.keys() <= names_of_the_package()
    assert not names_of_the_package() & {*RENAMED.values()}


def test_a_name_that_was_given_up_is_no_name() -> None:
    assert {"kafka.offset", "url.template", "http.route"} <= known_names()
    assert not {"messaging.kafka.offset", "messaging.system", "http.method", "peer.service"} & known_names()


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        (
            {"attributes": with_(messaging__kafka__message__offset="4")},
            "has messaging.kafka.message.offset, which is in",
        ),
        ({"attributes": with_(order_id="7")}, "has order_id, which is in no convention"),
        ({"attributes": without("messaging.system.name")}, "lacks messaging.system.name"),
        ({"attributes": with_(kafka__offset="4")}, "has kafka.offset as str"),
        (
            {"attributes": with_(messaging__system__name="kaffka")},
            "has messaging.system.name='kaffka', which the conventions don't",
        ),
        ({"attributes": with_(error__type="TimeoutError")}, "has error.type, and has not failed"),
        ({"attributes": with_(url__query="email=ada")}, "has the values of a query"),
        ({"is_error": True}, "has failed without error.type"),
        ({"kind": "INTERNAL"}, "is INTERNAL, and must be CONSUMER"),
        ({"name": "payment.captured.v1"}, "must be called 'process payments'"),
        ({"schema_url": ""}, "is of the scope 'outboxed' and the schema ''"),
        (
            {"resource": {"service.version": "1", "telemetry.sdk.name": "x"}},
            "comes from a resource without service.name",
        ),
        ({"began": 3}, "ends before it begins"),
        ({"events": ["exception"]}, "has events, which may hold what is personal: exception"),
    ],
)
def test_what_is_wrong_is_told(changed: dict[str, Any], told: str) -> None:
    [found] = deviations(span(**changed))

    assert found.startswith(told)


@pytest.mark.parametrize(
    ("status", "kind", "is_error", "told"),
    [
        (500, "SERVER", False, "was answered with 500, and has not failed"),
        (404, "SERVER", True, "was answered with 404, and has failed"),
        (404, "CLIENT", False, "was answered with 404, and has not failed"),
    ],
)
def test_a_status_says_whether_it_failed(status: int, kind: str, is_error: bool, told: str) -> None:
    said = {"http.request.method": "GET", "url.path": "/", "url.scheme": "http", "http.response.status_code": status}
    call = {"server.address": "a", "server.port": 80, "url.full": "http://a/"} if kind == "CLIENT" else {}
    error = {"error.type": str(status)} if is_error else {}

    assert [*deviations(span("GET", kind=kind, attributes=said | call | error, is_error=is_error))] == [told]


def of_all(*spans: ReceivedSpan, **parts: Any) -> list[str]:
    lines = [{"trace_id": CALLER.trace_id, "span_id": "c" * 16, "service": "orders", "event": "event_handled"}]
    metrics = f'x_bucket{{le="1.0"}} 1.0 # {{trace_id="{CALLER.trace_id}"}} 0.5'
    journey = Journey(**{"traces": [CALLER], "log_lines": lines, "metrics": metrics, **parts})
    return list(judged(Collector(list(spans)), journey))


def test_a_journey_as_it_should_be_has_no_deviation() -> None:
    assert of_all(span(), sent()) == []


@pytest.mark.parametrize(
    ("spans", "parts", "told"),
    [
        ([sent()], {"log_lines": [{"trace_id": CALLER.trace_id, "span_id": "d" * 16}]}, "lacks 'process payments'"),
        ([span()], {}, "continues a span that no `send` has a link to"),
        ([span(), sent(), span(span_id="e" * 16, parent="f" * 16)], {}, "has a parent that never came"),
        ([span(), sent(), span(span_id="e" * 16, parent="")], {}, "belongs to nothing"),
        ([span(), sent(), sent()], {}, "two spans have one id"),
        (
            [span(), sent(), span(span_id="e" * 16, attributes=with_(kafka__offset=9))],
            {},
            "orders handled event e-1 again when it came again",
        ),
        ([span(), replace(sent(), links=[("9" * 32, "9" * 16)])], {}, "has a link to a span that never came"),
        ([span(attributes=with_(messaging__message__id=EMAIL)), sent()], {}, "has the customer's name or address"),
        ([span(), sent()], {"log_lines": []}, "the log has no line of the journey's traces"),
        ([span(), sent()], {"log_lines": [{"trace_id": CALLER.trace_id, "span_id": "0"}]}, "names a span that never"),
        ([span(), sent()], {"metrics": ""}, "no histogram has an exemplar"),
        ([span(), sent()], {"metrics": f'x 1 # {{trace_id="{"9" * 32}"}} 1'}, "1 exemplars name traces that never"),
    ],
)
def test_what_is_wrong_with_all_together_is_told(spans: list[ReceivedSpan], parts: dict[str, Any], told: str) -> None:
    assert [problem for problem in of_all(*spans, **parts) if told in problem]


def test_the_collector_reads_what_an_exporter_sends() -> None:
    request = ExportTraceServiceRequest()
    sent = request.resource_spans.add().scope_spans.add().spans.add(name="GET", trace_id=b"\xaa" * 16)
    sent.attributes.add(key="server.port").value.int_value = 80
    collector = Collector()

    collector.take(request.SerializeToString())

    [found] = collector.spans
    assert (found.name, found.trace_id, found.attributes) == ("GET", "aa" * 16, {"server.port": 80})
