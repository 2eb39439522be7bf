"""What the dashboards show: each panel once, with its questions in PromQL. The files for Grafana are made of it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from tools.alarms.description import BUDGET, PAYMENTS_MADE, Scale, late

Kind = Literal["line", "figure"]
SERVICE = "service"
"""The variable by which a dashboard of one service is switched to another."""


@dataclass(frozen=True)
class Panel:
    """`queries` are PromQL by the text that names their lines, in which `{{type}}` is a label.

    A `figure` is asked for now alone: over a month's window each point of a line would read the whole month.
    """

    title: str
    says: str
    queries: Mapping[str, str]
    unit: str = "short"
    kind: Kind = "line"


@dataclass(frozen=True)
class Dashboard:
    """`rows` are panels by the heading above them; `by_service` asks for the service that it's about."""

    uid: str
    title: str
    says: str
    rows: Mapping[str, Sequence[Panel]]
    by_service: bool = False

    @property
    def panels(self) -> Sequence[Panel]:
        return [panel for panels in self.rows.values() for panel in panels]


def _quantile(quantile: float, metric: str, *by: str, of: str = "") -> str:
    return (
        f"histogram_quantile({quantile:g}, sum by ({', '.join(('le', *by))}) (rate({metric}_bucket{{{of}}}[{EACH}])))"
    )


def _rate(metric: str, *by: str, of: str = "") -> str:
    return f"sum by ({', '.join(by)}) (rate({metric}{{{of}}}[{EACH}]))"


def _quantiles(metric: str, of: str = "") -> Mapping[str, str]:
    return {f"{100 * each:g} %": _quantile(each, metric, of=of) for each in (0.5, 0.9, 0.99)}


def _promql(rule: str) -> str:
    return Scale().promql(rule)


EACH = "$__rate_interval"
"""Grafana's word for the shortest window in which a rate has points enough."""
OF = f'job=~"${SERVICE}"'
OVERVIEW = Dashboard(
    uid="shop-overview",
    title="The shop",
    says="Do orders settle, how fast, and is anything ringing?",
    rows={
        "Now": [
            Panel(
                "Alarms that ring",
                "Each has a page in docs/runbooks.",
                {"{{alertname}} {{job}}": 'sum by (alertname, job) (ALERTS{alertstate="firing"})'},
            ),
            Panel(
                "Processes that answer",
                "Of each service, as Prometheus reaches them.",
                {"{{job}}": "sum by (job) (up{})"},
            ),
            Panel(
                "Open dead letters",
                "Each waits for a person: docs/how-to/deal-with-dead-letters.md.",
                {"{{job}}, {{source}}": "max by (job, source) (dead_letters{})"},
            ),
        ],
        "Orders": [
            Panel(
                "Orders placed",
                "Events order.placed, as orders commits them.",
                {"placed": f'sum(rate(events_published_total{{type=~"order[.]placed[.].*"}}[{EACH}]))'},
                unit="reqps",
            ),
            Panel(
                "What became of them",
                "First outcomes: confirmed, or why an order was cancelled.",
                {"{{outcome}}": _rate("order_settling_seconds_count", "outcome")},
                unit="reqps",
            ),
            Panel(
                "Settling time",
                "From an order's placing to its first outcome.",
                _quantiles("order_settling_seconds"),
                unit="s",
            ),
            Panel(
                "Past their deadline",
                "Orders still pending after their payment deadline: none should be.",
                {"overdue": "max(orders_overdue{})"},
            ),
            Panel(
                "Declined cards",
                "The share of payments that the gateway declines.",
                {
                    "declined": _promql(
                        f'sum(rate(events_published_total{{type="payment.declined.v1"}}[<600s>])) / {PAYMENTS_MADE}'
                    )
                },
                unit="percentunit",
            ),
            Panel(
                "Requests answered with an error",
                "Answers of 500 and more: errors of the service, not of the caller.",
                {"{{job}}": _rate("http_requests_total", "job", of='status=~"5.."')},
                unit="reqps",
            ),
        ],
        "Error budget: one order of a thousand may take more than a minute": [
            Panel(
                "Left of the month's budget",
                "Of the last 30 days, or of what Prometheus remembers.",
                {"left": f"1 - ({_promql(late('2592000s'))}) / {BUDGET}"},
                unit="percentunit",
                kind="figure",
            ),
            Panel(
                "How fast it burns",
                "1 spends it in a month. OrdersSlow rings above 14.4 in both short windows, or 6 in both long ones.",
                {
                    "in 5 minutes": f"({_promql(late('300s'))}) / {BUDGET}",
                    "in an hour": f"({_promql(late('3600s'))}) / {BUDGET}",
                    "in half an hour": f"({_promql(late('1800s'))}) / {BUDGET}",
                    "in 6 hours": f"({_promql(late('21600s'))}) / {BUDGET}",
                },
            ),
            Panel(
                "Settled within a minute",
                "The share of orders.",
                {"in 5 minutes": f"1 - ({_promql(late('300s'))})", "in an hour": f"1 - ({_promql(late('3600s'))})"},
                unit="percentunit",
            ),
        ],
        "Between the services": [
            Panel(
                "Events handled",
                "For the first time: copies aren't counted.",
                {"{{job}}": _rate("events_handled_total", "job")},
                unit="reqps",
            ),
            Panel(
                "Age of events",
                "Between an event's recording and its handling; one of a hundred is older.",
                {"{{job}}": _quantile(0.99, "event_age_seconds", "job")},
                unit="s",
            ),
            Panel(
                "Records that wait in Kafka",
                "The consumer lag of each service, without processes that don't know theirs.",
                {"{{job}}": "sum by (job) (consumer_lag{} >= 0)"},
            ),
            Panel(
                "Oldest event that waits to be sent",
                "In each service's outbox.",
                {"{{job}}": "max by (job) (outbox_oldest_seconds{})"},
                unit="s",
            ),
            Panel(
                "Oldest call that is due",
                "By the kind of task; a deadline is one, too.",
                {"{{kind}} of {{job}}": "max by (job, kind) (tasks_oldest_due_seconds{})"},
                unit="s",
            ),
            Panel(
                "Kafka doesn't answer",
                "For how long.",
                {"{{job}}": "max by (job) (kafka_lost_seconds{})"},
                unit="s",
            ),
        ],
    },
)
ONE_SERVICE = Dashboard(
    uid="shop-service",
    title="A service",
    says="One service's requests, consumer, relay, tasks, dead letters and processes.",
    by_service=True,
    rows={
        "HTTP": [
            Panel(
                "Requests",
                "By the template of their path; health and metrics aren't counted.",
                {"{{method}} {{route}}": _rate("http_requests_total", "method", "route", of=OF)},
                unit="reqps",
            ),
            Panel(
                "Errors",
                "Answers of 400 and more; those of 500 and more are the service's own.",
                {
                    "{{status}} {{method}} {{route}}": _rate(
                        "http_requests_total", "status", "method", "route", of=f'{OF}, status=~"[45].."'
                    )
                },
                unit="reqps",
            ),
            Panel(
                "Duration",
                "Of one of a hundred requests, by route.",
                {"{{method}} {{route}}": _quantile(0.99, "http_request_duration_seconds", "method", "route", of=OF)},
                unit="s",
            ),
        ],
        "Consumer": [
            Panel(
                "Events handled",
                "For the first time: copies aren't counted.",
                {"{{type}}": _rate("events_handled_total", "type", of=OF)},
                unit="reqps",
            ),
            Panel(
                "Age of events",
                "Between an event's recording and its handling; one of a hundred is older.",
                {"{{type}}": _quantile(0.99, "event_age_seconds", "type", of=OF)},
                unit="s",
            ),
            Panel(
                "Duration of a batch",
                "An attempt at the records that came at once.",
                _quantiles("consumer_batch_duration_seconds", of=OF),
                unit="s",
            ),
            Panel(
                "Batches that failed",
                "Each comes again.",
                {"{{instance}}": _rate("consumer_batches_failed_total", "instance", of=OF)},
                unit="reqps",
            ),
            Panel(
                "Records that wait in Kafka",
                "The consumer lag of each process.",
                {"{{instance}}": f"consumer_lag{{{OF}}}"},
            ),
            Panel(
                "Trying the same records",
                "For how long.",
                {"{{instance}}": f"consumer_failing_seconds{{{OF}}}"},
                unit="s",
            ),
            Panel(
                "Halted",
                "1 for a process that refused too many events, and waits for a person.",
                {"{{instance}}": f"consumer_halted{{{OF}}}"},
            ),
            Panel(
                "Records of other types",
                "Of topics that the service reads, and of no concern to it.",
                {"{{topic}}": f"sum by (topic) (events_ignored{{{OF}}})"},
            ),
            Panel(
                "Records that became dead letters",
                "Since the processes' start.",
                {"{{topic}}": f"sum by (topic) (events_dead_lettered_total{{{OF}}})"},
            ),
            Panel(
                "Rows of the inbox",
                "Ids of handled events; above 1,000 an estimate.",
                {"{{job}}": f"max by (job) (inbox_rows{{{OF}}})"},
            ),
        ],
        "Outbox and relay": [
            Panel(
                "Events committed",
                "To the outbox, with what they tell of.",
                {"{{type}}": _rate("events_published_total", "type", of=OF)},
                unit="reqps",
            ),
            Panel(
                "Events sent",
                "As Kafka acknowledged them.",
                {"{{topic}}": _rate("outbox_sent_total", "topic", of=OF)},
                unit="reqps",
            ),
            Panel(
                "Duration of a pass",
                "Of the relay, in which it sent something.",
                _quantiles("relay_pass_duration_seconds", of=OF),
                unit="s",
            ),
            Panel(
                "Rows that wait",
                "To be sent, or held: what Kafka refused, and the later events of its key.",
                {
                    "{{job}}: waiting": f"max by (job) (outbox_rows{{{OF}}})",
                    "{{job}}: held": f"max by (job) (outbox_held_rows{{{OF}}})",
                },
            ),
            Panel(
                "Oldest row",
                "The age of the oldest event that waits to be sent.",
                {"{{job}}": f"max by (job) (outbox_oldest_seconds{{{OF}}})"},
                unit="s",
            ),
            Panel(
                "What went wrong",
                "Passes that failed, and answers by which Kafka refused an event, since the processes' start.",
                {
                    "failed passes": f"sum(relay_passes_failed_total{{{OF}}})",
                    "refused in {{topic}}": f"sum by (topic) (outbox_refused_total{{{OF}}})",
                },
            ),
        ],
        "Tasks and dead letters": [
            Panel(
                "Attempts",
                "By what came of them.",
                {"{{kind}}: {{outcome}}": _rate("task_attempts_total", "kind", "outcome", of=OF)},
                unit="reqps",
            ),
            Panel(
                "Duration of an attempt",
                "Of one of a hundred.",
                {"{{kind}}": _quantile(0.99, "task_duration_seconds", "kind", of=OF)},
                unit="s",
            ),
            Panel(
                "Late by",
                "Since when a task had been due as it was attempted; one of a hundred was later.",
                {"{{kind}}": _quantile(0.99, "task_age_seconds", "kind", of=OF)},
                unit="s",
            ),
            Panel(
                "Tasks that are due",
                "Above 1,000 an estimate.",
                {"{{kind}}": f"max by (kind) (tasks_due{{{OF}}})"},
            ),
            Panel(
                "Oldest that is due",
                "By the kind of task.",
                {"{{kind}}": f"max by (kind) (tasks_oldest_due_seconds{{{OF}}})"},
                unit="s",
            ),
            Panel(
                "Open dead letters",
                "By what they were: a record, a task, or a row of the outbox.",
                {"{{source}}": f"max by (source) (dead_letters{{{OF}}})"},
            ),
        ],
        "Processes": [
            Panel(
                "Answer, and reach their database",
                "1 for yes.",
                {"{{instance}} answers": f"up{{{OF}}}", "{{instance}}: database": f"database_up{{{OF}}}"},
            ),
            Panel(
                "Kafka doesn't answer",
                "For how long.",
                {"{{instance}}": f"kafka_lost_seconds{{{OF}}}"},
                unit="s",
            ),
            Panel(
                "Since their start",
                "A deployment begins it anew.",
                {"{{instance}}": f"time() - process_start_time_seconds{{{OF}}}"},
                unit="s",
            ),
            Panel(
                "Processor",
                "Cores that a process takes.",
                {"{{instance}}": _rate("process_cpu_seconds_total", "instance", of=OF)},
            ),
            Panel(
                "Memory",
                "That a process holds.",
                {"{{instance}}": f"process_resident_memory_bytes{{{OF}}}"},
                unit="bytes",
            ),
            Panel(
                "Open files",
                "With connections.",
                {"{{instance}}": f"process_open_fds{{{OF}}}"},
            ),
        ],
    },
)
DASHBOARDS = (OVERVIEW, ONE_SERVICE)
