"""What came of a run: its figures, and the rules that were broken."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace

from shop_harness.evidence import Evidence
from shop_harness.percentiles import percentile
from shop_harness.rules import ARRIVES, CHARGED_ONCE, ENDS, IS_ANSWERED, IS_STORED, RULES, broken

from shop_demo.customers import Outcome


@dataclass(frozen=True)
class Figures:
    """The last line's figures; latencies in ms, from the 201 to the first CONFIRMED or CANCELLED."""

    orders: int
    settled: int
    confirmed: int
    cancelled: int
    mails: int
    expected_mails: int
    rejected: int
    dead_letters: int
    lost: int
    duplicated: int
    p50: int
    p99: int


@dataclass(frozen=True)
class Summary:
    """`broken` are the rules that don't hold, each a sentence."""

    figures: Figures
    outcome: Outcome
    evidence: Evidence
    broken: Sequence[str]

    @property
    def line(self) -> str:
        """The run in one line."""
        f = self.figures
        return (
            f"demo: {f.orders} orders, {f.settled} settled, {f.confirmed} confirmed, {f.cancelled} cancelled, "
            f"{f.mails}/{f.expected_mails} e-mails, {f.rejected} lines rejected, {f.dead_letters} dead letters, "
            f"{f.lost} lost, {f.duplicated} duplicated, p50 {f.p50} ms, p99 {f.p99} ms"
        )

    def as_json(self) -> dict[str, object]:
        """The same for a program."""
        return {
            "figures": asdict(self.figures),
            "rejected": [asdict(rejected) for rejected in sorted(self.outcome.rejected, key=lambda one: one.number)],
            "replayed": self.outcome.replayed,
            "broken_invariants": list(self.broken),
            "line": self.line,
        }


def summarize(outcome: Outcome, seen: Evidence) -> Summary:
    """Hold what was answered against what happened."""
    evidence = replace(seen, answered=outcome.answered)
    latencies = _latencies(outcome, evidence)
    statuses = Counter(order.status for order in evidence.orders.values())
    more_mails = evidence.received_mails - evidence.expected_mails
    figures = Figures(
        orders=len(evidence.orders),
        settled=evidence.settled,
        confirmed=statuses["CONFIRMED"],
        cancelled=statuses["CANCELLED"],
        mails=len(evidence.mails),
        expected_mails=evidence.expected_mails.total(),
        rejected=len(outcome.rejected),
        dead_letters=len(evidence.dead_letters),
        lost=len(list(broken([IS_STORED, ENDS, ARRIVES], evidence))),
        duplicated=len(list(broken([IS_ANSWERED, CHARGED_ONCE], evidence))) + more_mails.total(),
        p50=_percentile(latencies, 50),
        p99=_percentile(latencies, 99),
    )
    return Summary(figures, outcome, evidence, list(broken(RULES, evidence)))


def _latencies(outcome: Outcome, evidence: Evidence) -> list[float]:
    """The databases and the customers have the same clock: they are on one machine."""
    settled = {order.id: order.settled_at for order in evidence.orders.values() if order.settled_at}
    return sorted(
        max(0.0, (settled[accepted.order_id] - accepted.at).total_seconds() * 1000)
        for accepted in outcome.accepted.values()
        if accepted.order_id in settled
    )


def _percentile(values: Sequence[float], percent: int) -> int:
    return round(percentile(values, percent)) if values else 0
