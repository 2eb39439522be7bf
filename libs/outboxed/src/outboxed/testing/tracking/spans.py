"""The steps of services: outboxed's spans, recorded in this process or read from the logs of other processes."""

import json
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from functools import cache
from typing import Any

from opentelemetry.context import Context
from opentelemetry.sdk.trace import ReadableSpan, Span, SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.sampling import ALWAYS_ON
from opentelemetry.trace import SpanKind

from outboxed import _conventions as names
from outboxed._tracing import recorded_by

REQUEST, EVENT, TASK, CALL = "request", "event", "task", "call"
KINDS = {SpanKind.SERVER: REQUEST, SpanKind.CONSUMER: EVENT, SpanKind.CLIENT: CALL}
"""The steps by the kinds of their spans; an attempt at a task is INTERNAL."""
DONE_BY = (names.PEER, names.GROUP, names.SERVICE)
LOGGED = {
    "request": REQUEST,
    "event_handled": EVENT,
    "task_done": TASK,
    "task_postponed": TASK,
    "task_dead_lettered": TASK,
}
"""The log lines that end a step, with the step's kind."""


@dataclass(frozen=True)
class Step:
    """Something a service did; `at` is when it began (from a log: when it ended), in seconds since 1970.

    `about` is the id of the event that was handled. `service` is empty for a task: its kind names it; for a call it is
    who was called.
    """

    kind: str
    name: str
    trace_id: str
    id: str
    parent: str | None
    at: float
    service: str = ""
    about: str = ""
    outcome: str = ""


@dataclass
class Spans:
    """Steps that ended, and the names of those that are still running, by span id."""

    ended: list[Step] = field(default_factory=list)
    running: dict[int, str] = field(default_factory=dict)


class _Recorder(SpanProcessor):
    """One for the process, with a provider of its own; it passes spans on to its listeners."""

    def __init__(self) -> None:
        self.listeners: list[Spans] = []
        self.provider = TracerProvider(sampler=ALWAYS_ON, shutdown_on_exit=False)
        self.provider.add_span_processor(self)

    def on_start(self, span: Span, parent_context: Context | None = None) -> None:
        del parent_context
        context = span.get_span_context()
        for spans in self.listeners:
            spans.running[context.span_id if context else 0] = span.name

    def on_end(self, span: ReadableSpan) -> None:
        step = _step(span)
        for spans in self.listeners:
            spans.running.pop(int(step.id, 16), None)
            if names.MESSAGING_SYSTEM not in (span.attributes or {}) or span.kind is SpanKind.CONSUMER:
                spans.ended.append(step)  # a batch on its way to Kafka and a dead letter are no steps of their own


_recorder = cache(_Recorder)


@contextmanager
def recorded() -> Iterator[Spans]:
    """The spans of this process from here to the end of the block."""
    spans, recorder = Spans(), _recorder()
    recorder.listeners.append(spans)
    try:
        with recorded_by(recorder.provider):
            yield spans
    finally:
        recorder.listeners.remove(spans)


def _step(span: ReadableSpan) -> Step:
    attributes: Mapping[str, Any] = span.attributes or {}
    context = span.get_span_context()
    outcome = str(attributes.get(names.HTTP_STATUS, ""))
    if not outcome and not span.status.is_ok and not span.status.is_unset:
        outcome = span.status.description or "failed"
    return Step(
        kind=KINDS.get(span.kind, TASK),
        name=_name(span.name, attributes),
        trace_id=f"{context.trace_id:032x}" if context else "",
        id=f"{context.span_id:016x}" if context else "",
        parent=f"{span.parent.span_id:016x}" if span.parent else None,
        at=(span.start_time or 0) / 1e9,
        service=str(next((attributes[name] for name in DONE_BY if name in attributes), "")),
        about=str(attributes.get(names.EVENT_ID, "")),
        outcome=outcome,
    )


def _name(name: str, attributes: Mapping[str, Any]) -> str:
    """What was done, as a log line would say it."""
    if names.URL_PATH in attributes:
        return f"{attributes[names.HTTP_METHOD]} {attributes[names.URL_PATH]}"
    return str(attributes.get(names.EVENT_TYPE, name))


def logged_steps(lines: Iterable[str]) -> Iterator[Step]:
    """The steps in a process's log, which has one JSON object a line; other lines are skipped."""
    for text in lines:
        try:
            line = json.loads(text)
        except ValueError:
            continue
        if isinstance(line, dict) and line.get("event") in LOGGED and "span_id" in line:
            yield _logged(line)


def _logged(line: Mapping[str, Any]) -> Step:
    kind = LOGGED[line["event"]]
    names = {REQUEST: f"{line.get('method')} {line.get('path')}", EVENT: line.get("type"), TASK: line.get("task")}
    outcomes = {"request": line.get("status"), "task_postponed": f"postponed: {line.get('reason')}"}
    outcomes["task_dead_lettered"] = f"dead letter: {line.get('reason')}"
    return Step(
        kind=kind,
        name=str(names[kind]),
        trace_id=line["trace_id"],
        id=line["span_id"],
        parent=line.get("parent_span_id"),
        at=datetime.fromisoformat(line["timestamp"]).timestamp(),
        service=str(line.get("service", "")),
        about=str(line.get("event_id", "")),
        outcome=str(outcomes.get(line["event"], "")),
    )
