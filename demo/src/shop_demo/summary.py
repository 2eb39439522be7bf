"""What the ledgers say of a run: figures, and invariants that hold or don't."""

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from decimal import Decimal

from shop_harness.ledgers import Snapshot

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
class Verdict:
    """``broken`` are the invariants that don't hold, each a sentence."""

    figures: Figures
    outcome: Outcome
    snapshot: Snapshot
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


def judge(outcome: Outcome, snapshot: Snapshot) -> Verdict:
    """Hold what was answered against what happened."""
    latencies = _latencies(outcome, snapshot)
    statuses = Counter(order.status for order in snapshot.orders.values())
    figures = Figures(
        orders=len(snapshot.orders),
        settled=snapshot.settled,
        confirmed=statuses["CONFIRMED"],
        cancelled=statuses["CANCELLED"],
        mails=len(snapshot.mails),
        expected_mails=snapshot.expected_mails.total(),
        rejected=len(outcome.rejected),
        dead_letters=snapshot.dead_letters,
        lost=len(_lost_orders(outcome, snapshot)) + (snapshot.expected_mails - snapshot.received_mails).total(),
        duplicated=_duplicates(outcome, snapshot),
        p50=_percentile(latencies, 50),
        p99=_percentile(latencies, 99),
    )
    return Verdict(figures, outcome, snapshot, list(_broken(outcome, snapshot)))


def _broken(outcome: Outcome, snapshot: Snapshot) -> Iterator[str]:
    for order_id in _lost_orders(outcome, snapshot):
        yield f"every order answered 201 reaches an end: {order_id} did not"
    for order_id in snapshot.orders.keys() - outcome.accepted.keys():
        yield f"every order was answered 201: {order_id} was not"
    yield from broken_money(snapshot)
    for name, count in (snapshot.expected_mails - snapshot.received_mails).items():
        yield f"every expected e-mail arrives: {count} of {name} missing"
    for name, count in (snapshot.received_mails - snapshot.expected_mails).items():
        yield f"no e-mail is sent twice or without reason: {count} of {name} too many"
    for mail in snapshot.mails:
        order = snapshot.orders.get(mail.order_id)
        if order and mail.to != order.email:
            yield f"an e-mail goes to the order's customer: {mail.message_id} went elsewhere"
    if snapshot.dead_letters:
        yield f"no dead letters: there are {snapshot.dead_letters}"
    if snapshot.open_work:
        yield f"outboxes and tasks drain: {snapshot.open_work} rows are left"


def broken_money(snapshot: Snapshot) -> Iterator[str]:
    """Where the gateway, the orders and the payments disagree about what was paid."""
    kept = _kept_by_order(snapshot)
    for order in snapshot.orders.values():
        expected = [order.total] if order.status == "CONFIRMED" else []
        if kept.get(order.id, []) != expected:
            yield f"a confirmed order is charged once, a cancelled one not at all: {order.id} is not"
    captured = sum(payment.amount for payment in snapshot.payments.values() if payment.status == "CAPTURED")
    at_gateway = sum(amount for amounts in kept.values() for amount in amounts)
    if captured != at_gateway:
        yield f"the gateway has what the payments say: it has {at_gateway}, they say {captured}"


def _kept_by_order(snapshot: Snapshot) -> Mapping[str, list[Decimal]]:
    kept: defaultdict[str, list[Decimal]] = defaultdict(list)
    for order_id, amount in snapshot.kept.values():
        kept[order_id].append(amount)
    return kept


def _lost_orders(outcome: Outcome, snapshot: Snapshot) -> list[str]:
    stored = snapshot.orders
    return [order_id for order_id in outcome.accepted if order_id not in stored or stored[order_id].settled_at is None]


def _duplicates(outcome: Outcome, snapshot: Snapshot) -> int:
    orders = len(snapshot.orders.keys() - outcome.accepted.keys())
    charges = sum(max(0, len(amounts) - 1) for amounts in _kept_by_order(snapshot).values())
    return orders + charges + (snapshot.received_mails - snapshot.expected_mails).total()


def _latencies(outcome: Outcome, snapshot: Snapshot) -> list[float]:
    """The databases and the customers have the same clock: they are on one machine."""
    settled = {order.id: order.settled_at for order in snapshot.orders.values() if order.settled_at}
    return sorted(
        max(0.0, (settled[accepted.order_id] - accepted.at).total_seconds() * 1000)
        for accepted in outcome.accepted.values()
        if accepted.order_id in settled
    )


def _percentile(values: Sequence[float], percent: int) -> int:
    """By nearest rank; 0 of nothing."""
    return round(values[max(0, -(-len(values) * percent // 100) - 1)]) if values else 0
