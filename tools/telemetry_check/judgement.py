"""What is wrong with the spans of a journey: each by itself, all together, and beside the log and the metrics."""

import re
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence

from tools.measuring.collector import Collector, ReceivedSpan
from tools.telemetry_check.conventions import deviations
from tools.telemetry_check.shop import EMAIL, NAME, Journey, Trace

EXEMPLAR = re.compile(r'# \{[^}]*trace_id="([0-9a-f]{32})"')


def judged(collector: Collector, journey: Journey) -> Iterator[str]:
    """Each deviation, a sentence that names the span or the trace."""
    yield from (f"the collector could not read a request: {problem}" for problem in collector.refused)
    for span in collector.spans:
        for problem in (*deviations(span), *_personal(span)):
            yield f"{told(span)} {problem}"
    yield from _ids(collector.spans)
    yield from _parents(collector.spans, journey)
    yield from _ways_through_kafka(collector.spans)
    for trace in journey.traces:
        yield from _trace(trace, collector.spans)
    yield from _log(collector.spans, journey)
    yield from _metrics(collector.spans, journey)


def told(span: ReceivedSpan) -> str:
    """Which span it is, for a person."""
    return f"{span.service}: {span.name!r} ({span.trace_id[:8]}/{span.span_id})"


def _personal(span: ReceivedSpan) -> Iterator[str]:
    texts = [span.name, span.message, *map(str, span.attributes.values())]
    if any(secret in text for secret in (EMAIL, NAME) for text in texts):
        yield "has the customer's name or address"


def _ids(spans: Sequence[ReceivedSpan]) -> Iterator[str]:
    if len({span.span_id for span in spans}) < len(spans):
        yield "two spans have one id, or one came twice"


def _parents(spans: Sequence[ReceivedSpan], journey: Journey) -> Iterator[str]:
    """Each parent and each link is a span that came, or a caller."""
    known = {(span.trace_id, span.span_id) for span in spans} | {(one.trace_id, one.caller) for one in journey.traces}
    for span in spans:
        if span.parent and (span.trace_id, span.parent) not in known:
            yield f"{told(span)} has a parent that never came"
        if any(link not in known for link in span.links):
            yield f"{told(span)} has a link to a span that never came"
        if not span.parent and span.kind != "SERVER" and not span.links:
            yield f"{told(span)} belongs to nothing: it has neither parent nor link"


def _ways_through_kafka(spans: Sequence[ReceivedSpan]) -> Iterator[str]:
    """What a consumer continues was sent: the relay's span has a link to it."""
    sent = {link for span in spans if span.attributes.get("messaging.operation.type") == "send" for link in span.links}
    for span in spans:
        if span.attributes.get("messaging.operation.type") == "process" and (span.trace_id, span.parent) not in sent:
            yield f"{told(span)} continues a span that no `send` has a link to"
    handled: dict[tuple[str, ...], list[ReceivedSpan]] = defaultdict(list)
    for span in spans:
        if span.kind == "CONSUMER" and not span.is_error:
            said = span.attributes
            names = ("messaging.consumer.group.name", "messaging.message.id", "cloudevents.event_source")
            handled[tuple(str(said.get(name)) for name in names)].append(span)
    for (group, event, _), several in handled.items():
        offsets = {one.attributes.get("kafka.offset") for one in several}
        if len(offsets) > 1:
            yield f"{group} handled event {event} again when it came again"


def _trace(trace: Trace, spans: Sequence[ReceivedSpan]) -> Iterator[str]:
    """All that must be there is in this one trace, and leads back to the caller."""
    own = {span.span_id: span for span in spans if span.trace_id == trace.trace_id}
    found = {(span.service, span.name) for span in own.values()}
    linked = {(span.service, span.name) for span in spans for of, _ in span.links if of == trace.trace_id}
    for service, name in trace.wanted:
        if (service, name) not in found | linked:
            yield f"{trace.title}: its trace lacks {name!r} of {service}"
    for span in own.values():
        if not _leads_to(trace.caller, span, own):
            yield f"{trace.title}: {told(span)} doesn't lead back to the caller"


def _leads_to(caller: str, span: ReceivedSpan, own: Mapping[str, ReceivedSpan]) -> bool:
    for _ in own:
        if span.parent == caller:
            return True
        if span.parent not in own:
            return False
        span = own[span.parent]
    return False


def _log(spans: Sequence[ReceivedSpan], journey: Journey) -> Iterator[str]:
    """A line of a trace of the journey names a span that came."""
    known = {(span.trace_id, span.span_id) for span in spans}
    traces = {trace.trace_id for trace in journey.traces}
    lines = [line for line in journey.log_lines if line.get("trace_id") in traces]
    if not lines:
        yield "the log has no line of the journey's traces"
    for line in lines:
        if (line["trace_id"], line.get("span_id")) not in known:
            yield f"{line.get('service')}: the line {line.get('event')!r} names a span that never came"


def _metrics(spans: Sequence[ReceivedSpan], journey: Journey) -> Iterator[str]:
    exemplars = set(EXEMPLAR.findall(journey.metrics))
    if not exemplars:
        yield "orders: no histogram has an exemplar"
    if unknown := exemplars - {span.trace_id for span in spans}:
        yield f"orders: {len(unknown)} exemplars name traces that never came"
