"""The way of one order through the services, read from the spans of its trace."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

from tools.measuring.collector import ReceivedSpan


class IncompleteTraceError(RuntimeError):
    """A span of an order's way didn't come; the message is one line for a person."""


@dataclass(frozen=True)
class Milestone:
    """The begin of a service's span, or its end; `hop` says what happened since the milestone before, `by` where."""

    hop: str
    by: str
    service: str
    span: str
    number: int = 0
    """Which one, if there are several of the name."""
    is_end: bool = False


WAY = (
    Milestone("the request arrives", "orders", "orders", "POST /api/v1/orders"),
    Milestone("order committed, event read", "orders", "orders", "send orders"),
    Milestone("to payments", "Kafka", "payments", "process orders"),
    Milestone("charge's task committed, claimed", "payments", "payments", "POST /v1/charges"),
    Milestone("charge", "payment gateway", "payments", "POST /v1/charges", is_end=True),
    Milestone("charge committed, event read", "payments", "payments", "send payments"),
    Milestone("to orders", "Kafka", "orders", "process payments"),
    Milestone("confirmation committed, event read", "orders", "orders", "send orders", number=1),
    Milestone("to notifications", "Kafka", "notifications", "process orders"),
    Milestone("e-mail's task committed, claimed", "notifications", "notifications", "send e-mail"),
    Milestone("e-mail", "mail server", "notifications", "send e-mail", is_end=True),
    Milestone("e-mail written down", "notifications", "notifications", "send_email", is_end=True),
)
MAILED = 10
"""The place of the milestone at which the mail server has the e-mail."""


def moments(spans: Sequence[ReceivedSpan]) -> Sequence[float]:
    """When an order came to each milestone, in seconds since 1970. Raises IncompleteTraceError."""
    return [_moment(milestone, spans) for milestone in WAY]


def hops(placed_at: float, way: Sequence[float]) -> Mapping[str, float]:
    """Seconds of each hop, the first one from the customer's side; they add up to the whole way."""
    steps = pairwise([placed_at, *way])
    return {milestone.hop: after - before for milestone, (before, after) in zip(WAY, steps, strict=True)}


def _moment(milestone: Milestone, spans: Sequence[ReceivedSpan]) -> float:
    found = [span for span in spans if (span.service, span.name) == (milestone.service, milestone.span)]
    if len(found) <= milestone.number:
        raise IncompleteTraceError(f"an order's trace has no {milestone.span!r} of {milestone.service}")
    span = sorted(found, key=lambda each: each.began)[milestone.number]
    return (span.ended if milestone.is_end else span.began) / 1e9
