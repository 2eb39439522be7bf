"""`python -m tools.bench_spans`: microseconds of a span that nobody records, of one in ten, and of every one.

All take turns in one process, so that a busy moment of the machine meets all of them. A span is that of an event that
is handled, with its attributes and the fields of its log lines. It is compared to writing and reading an order as JSON.
"""

import json
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from statistics import median
from time import process_time
from typing import Annotated

import typer
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.sdk.trace.sampling import ALWAYS_ON, ParentBased, Sampler, TraceIdRatioBased
from opentelemetry.trace import SpanKind
from outboxed._tracing import recorded_by
from outboxed.telemetry import continued_trace
from rich.console import Console
from rich.table import Table

from tools.measuring.calibration import ORDER

OFF, SHARE, ON = "off", "10 %", "on"
AT_MOST = 0.6
"""What a span that nobody records may cost, of one that is recorded."""
SAID: Mapping[str, str | int] = {
    "messaging.system.name": "kafka",
    "messaging.operation.name": "process",
    "messaging.operation.type": "process",
    "messaging.destination.name": "orders",
    "messaging.destination.partition.id": "3",
    "messaging.consumer.group.name": "payments",
    "messaging.message.id": "5f0e7a3c-53c6-4c3e-8a51-6f6a7c2f9d10",
    "kafka.message.key": "0f0e7a3c-53c6-4c3e-8a51-6f6a7c2f9d10",
    "kafka.offset": 41,
}


class _Nowhere(SpanExporter):
    """Takes spans as fast as anybody could."""

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        del spans
        return SpanExportResult.SUCCESS

    def shutdown(self) -> None:
        """Nothing to do."""


@contextmanager
def _recorded(sampler: Sampler) -> Iterator[None]:
    provider = TracerProvider(sampler=sampler, shutdown_on_exit=False)
    provider.add_span_processor(BatchSpanProcessor(_Nowhere()))
    try:
        with recorded_by(provider):
            yield
    finally:
        provider.shutdown()


def main(
    spans: Annotated[int, typer.Option(min=1000, help="Spans of a turn.")] = 20_000,
    rounds: Annotated[int, typer.Option(min=1)] = 7,
) -> None:
    """Exit with 1 if a span that nobody records costs more than its share of one that is recorded."""
    ways: Mapping[str, Callable[[], float]] = {
        OFF: lambda: _microseconds(spans, nullcontext()),
        SHARE: lambda: _microseconds(spans, _recorded(ParentBased(TraceIdRatioBased(0.1)))),
        ON: lambda: _microseconds(spans, _recorded(ParentBased(ALWAYS_ON))),
        "an order as JSON": lambda: _of_json(spans),
    }
    for way in ways.values():
        way()  # warm
    turns = [{name: way() for name, way in ways.items()} for _ in range(rounds)]
    costs = {name: median(turn[name] for turn in turns) for name in ways}
    table = Table("", "µs", "to on", "to an order as JSON", title="CPU of a span")
    for name, cost in costs.items():
        ratios = [median(turn[name] / turn[other] for turn in turns) for other in (ON, "an order as JSON")]
        table.add_row(name, f"{cost:.1f}", *(f"{ratio:.2f}" for ratio in ratios))
    Console().print(table)
    share = median(turn[OFF] / turn[ON] for turn in turns)
    tenth = median(turn[SHARE] / turn[ON] for turn in turns)
    print(
        f"spans: off {costs[OFF]:.1f} µs, {share:.2f} times a recorded one, at most {AT_MOST}; 10 % {tenth:.2f} times"
    )
    sys.exit(share > AT_MOST)


def _microseconds(spans: int, recorded: AbstractContextManager[None]) -> float:
    with recorded:
        begun = process_time()
        for number in range(spans):
            # new traces decide for themselves, so that one in ten is recorded
            with continued_trace("process orders", None, SpanKind.CONSUMER, lambda: SAID, order_id=number):
                pass
        return (process_time() - begun) * 1e6 / spans


def _of_json(times: int) -> float:
    begun = process_time()
    for _ in range(times):
        json.loads(json.dumps(ORDER))
    return (process_time() - begun) * 1e6 / times


if __name__ == "__main__":
    typer.run(main)
