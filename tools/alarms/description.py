"""Every alarm once: its rule, how soon it rings, and who is woken. The rules' file and `make alarms` are made of it."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from outboxed.process import AGES

Severity = Literal["page", "ticket"]
_SECONDS = re.compile(r"<(\d+)>")
_DURATION = re.compile(r"<(\d+)s>")
_BUCKET = re.compile(r"<le (\d+)>")
MINUTE = 60


@dataclass(frozen=True)
class Alarm:
    """`rule` is PromQL, in which `<60>` are seconds, `<60s>` a duration and `<le 60>` a bucket: these can be scaled.

    It rings when the rule holds `lasts` seconds, and so `within` so many seconds after a fault begins. `or_in_hours` is
    another rule by which it rings, with windows for whose end no trial can wait: it stands in the unscaled rules alone.
    """

    name: str
    rule: str
    lasts: int
    within: int
    severity: Severity
    summary: str
    or_in_hours: str = ""

    @property
    def page(self) -> str:
        """The file of its runbook: ServiceDown is in service-down.md."""
        return re.sub(r"(?<!^)(?=[A-Z])", "-", self.name).lower() + ".md"


NOT_WHILE_DATABASE_IS_AWAY = "unless on (job) (min by (job) (min_over_time(database_up[<420s>])) == 0)"
"""A rate still holds what happened before the database came back."""
DECLINED = 'events_published_total{type="payment.declined.v1"}'
PAYMENTS_MADE = 'sum(rate(events_published_total{type=~"payment[.](captured|declined)[.]v1"}[<600s>]))'
SERVED = 'http_requests_total{route!="other"'
OUR_ERRORS = f'{SERVED}, status=~"5.."}}'
CALLS = 'http_request_duration_seconds_bucket{route=~".*/orders.*"'
FEW = 5
"""A share says nothing if fewer cases than these are behind it: at night one slow order of ten is a tenth."""
WAITING = "sum by (job, instance) (consumer_lag)"
"""By the labels of HANDLED: a label that a cluster adds, such as the pod, would keep the two from being compared."""
HANDLED = "sum by (job, instance) (rate(events_handled_total[<300s>]))"
NO_CONSUMER = (
    "kafka_lost_seconds > 0 or consumer_failing_seconds > <60> or consumer_halted == 1 "
    "or min_over_time(database_up[<120s>]) == 0"
)
"""For which there are other alarms."""
BUDGET = "0.001"
"""The share of orders that may take more than a minute."""


def late(window: str) -> str:
    """The share of orders that took more than a minute, in a window such as `300s`."""
    in_time = f'sum(rate(order_settling_seconds_bucket{{le="<le 60>"}}[<{window}>]))'
    return f"1 - {in_time} / sum(rate(order_settling_seconds_count[<{window}>]))"


def burns(times: str, short: str, long: str) -> str:
    """Whether orders are late at so many times the rate that the budget bears, in both windows, and more than a few."""
    in_time = f'sum(increase(order_settling_seconds_bucket{{le="<le 60>"}}[<{long}>]))'
    orders = f"sum(increase(order_settling_seconds_count[<{long}>]))"
    share = f"{times} * {BUDGET}"
    return f"{late(short)} > {share} and {late(long)} > {share} and {orders} - {in_time} >= {FEW}"


ALARMS: Sequence[Alarm] = (
    Alarm(
        "ServiceDown",
        "up == 0",
        lasts=MINUTE,
        within=2 * MINUTE,
        severity="page",
        summary="{{ $labels.job }} at {{ $labels.instance }} doesn't answer Prometheus",
    ),
    Alarm(
        "DatabaseDown",
        "min by (job) (database_up) == 0",
        lasts=MINUTE,
        within=2 * MINUTE,
        severity="page",
        summary="the database of {{ $labels.job }} doesn't answer",
    ),
    Alarm(
        "KafkaLost",
        "max by (job) (kafka_lost_seconds) > <60>",
        lasts=30,
        within=4 * MINUTE,
        severity="page",
        summary="Kafka hasn't answered {{ $labels.job }} for {{ $value | humanizeDuration }}",
    ),
    Alarm(
        "ConsumerHalted",
        "max by (job) (consumer_halted) == 1",
        lasts=0,
        within=5 * MINUTE,
        severity="page",
        summary="a consumer of {{ $labels.job }} has refused too many events and waits for a person",
    ),
    Alarm(
        "ConsumerFailing",
        "max by (job) (consumer_failing_seconds > <60> "
        "unless on (job, instance) (min_over_time(database_up[<120s>]) == 0))",
        lasts=30,
        within=3 * MINUTE,
        severity="page",
        summary="a consumer of {{ $labels.job }} has tried the same records for {{ $value | humanizeDuration }}",
    ),
    Alarm(
        "ConsumerBehind",
        f"max by (job) ({WAITING} > <60> * ({HANDLED} or {WAITING} * 0) unless on (job, instance) ({NO_CONSUMER}))",
        lasts=2 * MINUTE,
        within=6 * MINUTE,
        severity="page",
        summary="{{ $value }} records wait for a process of {{ $labels.job }}, more than it handles in a minute",
    ),
    Alarm(
        "OutboxStuck",
        "max by (job) (outbox_oldest_seconds) > <120> unless on (job) kafka_lost_seconds > 0",
        lasts=MINUTE,
        within=5 * MINUTE,
        severity="page",
        summary="an event of {{ $labels.job }} has waited to be sent for {{ $value | humanizeDuration }}",
    ),
    Alarm(
        "EventRefused",
        'max by (job) (dead_letters{source="outbox"}) > 0 or max by (job) (outbox_held_rows) > 0',
        lasts=MINUTE,
        within=6 * MINUTE,
        severity="ticket",
        summary="Kafka refused an event of {{ $labels.job }}; the later ones of its key wait",
    ),
    Alarm(
        "DeadLetters",
        'max by (job, source) (dead_letters{source!="outbox"}) > 0',
        lasts=0,
        within=5 * MINUTE,
        severity="ticket",
        summary="{{ $labels.job }} gave up {{ $value }} of source {{ $labels.source }}",
    ),
    Alarm(
        "TasksOverdue",
        'max by (job, kind) (tasks_oldest_due_seconds{kind!="refund"}) > <120>',
        lasts=MINUTE,
        within=5 * MINUTE,
        severity="page",
        summary="a task {{ $labels.kind }} of {{ $labels.job }} has been due for {{ $value | humanizeDuration }}",
    ),
    Alarm(
        "MoneyNotReturned",
        'max by (job, kind) (tasks_oldest_due_seconds{kind="refund"}) > <120>',
        lasts=MINUTE,
        within=5 * MINUTE,
        severity="page",
        summary="a customer has waited for a refund for {{ $value | humanizeDuration }}",
    ),
    Alarm(
        "OrdersOverdue",
        "max by (job) (orders_overdue) > 0",
        lasts=MINUTE,
        within=2 * MINUTE,
        severity="page",
        summary="{{ $value }} orders are pending after their payment deadline",
    ),
    Alarm(
        "OrdersSlow",
        burns("14.4", "300s", "3600s"),
        lasts=0,
        within=5 * MINUTE,
        severity="page",
        summary="too many orders take more than a minute: at this rate the month's error budget lasts two to five days",
        or_in_hours=burns("6", "1800s", "21600s"),
    ),
    Alarm(
        "DeclinesUnusual",
        f"sum(rate({DECLINED}[<600s>])) / {PAYMENTS_MADE} > 0.5 and sum(increase({DECLINED}[<3600s>])) >= {FEW}",
        lasts=2 * MINUTE,
        within=10 * MINUTE,
        severity="ticket",
        summary="the gateway declines {{ $value | humanizePercentage }} of the cards",
    ),
    Alarm(
        "ApiErrors",
        f"sum by (job) (rate({OUR_ERRORS}[<300s>])) / sum by (job) (rate({SERVED}}}[<300s>])) > 0.05 "
        f"and sum by (job) (increase({OUR_ERRORS}[<3600s>])) >= {FEW} {NOT_WHILE_DATABASE_IS_AWAY}",
        lasts=MINUTE,
        within=4 * MINUTE,
        severity="page",
        summary="{{ $labels.job }} answers {{ $value | humanizePercentage }} of its requests with an error of its own",
    ),
    Alarm(
        "ApiSlow",
        f"histogram_quantile(0.9, sum by (job, le) (rate({CALLS}}}[<300s>]))) > 1 "
        f'and sum by (job) (increase({CALLS}, le="+Inf"}}[<3600s>])) '
        f'- sum by (job) (increase({CALLS}, le="1.0"}}[<3600s>])) >= {FEW} {NOT_WHILE_DATABASE_IS_AWAY}',
        lasts=2 * MINUTE,
        within=6 * MINUTE,
        severity="ticket",
        summary="a tenth of the calls about orders takes {{ $value | humanizeDuration }} or more",
    ),
)


@dataclass(frozen=True)
class Scale:
    """How long a second of the description lasts: 1 in production, less where faults are tried one after another."""

    factor: float = 1.0

    def duration(self, seconds: float) -> str:
        """In Prometheus' form."""
        scaled = seconds * self.factor
        if scaled >= MINUTE and not scaled % MINUTE:
            return f"{scaled // MINUTE:.0f}m"
        return f"{scaled:.0f}s" if not scaled % 1 else f"{scaled * 1000:.0f}ms"

    def promql(self, rule: str) -> str:
        """A rule as Prometheus takes it."""
        text = _DURATION.sub(lambda found: self.duration(int(found[1])), rule)
        text = _BUCKET.sub(lambda found: f"{self._bucket(int(found[1])):.1f}", text)
        return _SECONDS.sub(lambda found: f"{int(found[1]) * self.factor:g}", text)

    def rule(self, alarm: Alarm) -> str:
        """By what an alarm rings, as Prometheus takes it."""
        if alarm.or_in_hours and self.factor == 1:
            return f"({self.promql(alarm.rule)}) or ({self.promql(alarm.or_in_hours)})"
        return self.promql(alarm.rule)

    def _bucket(self, seconds: int) -> float:
        """The largest bound of the histogram that isn't more."""
        return max(bound for bound in AGES if bound <= seconds * self.factor)


def rules(scale: Scale) -> dict[str, Any]:
    """The content of a file of rules."""
    return {"groups": [{"name": "shop", "rules": [_rule(alarm, scale) for alarm in ALARMS]}]}


def _rule(alarm: Alarm, scale: Scale) -> dict[str, Any]:
    return {
        "alert": alarm.name,
        "expr": scale.rule(alarm),
        "for": scale.duration(alarm.lasts),
        "labels": {"severity": alarm.severity},
        "annotations": {"summary": alarm.summary, "runbook_url": f"docs/runbooks/{alarm.page}"},
    }
