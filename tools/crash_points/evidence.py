"""What really happened, read outside the services, with the effects that crashes and a careless producer explain."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from outboxed.testing.topic_log import position
from shop_harness.evidence import Evidence, Letter

from tools.crash_points.points import Crash
from tools.crash_points.scenarios import Trial


@dataclass(frozen=True)
class Case:
    """A crash, its order, and the id in the final answer to the same request."""

    crash: Crash
    trial: Trial
    answered_again: str

    @property
    def mails(self) -> Sequence[str]:
        """The e-mails of its scenario, refused ones included."""
        kinds = ("confirmation",) if self.trial.scenario.mail_refused else self.trial.scenario.mails
        return [f"{kind}.{self.trial.order_id}" for kind in kinds]


def judged(evidence: Evidence, cases: Sequence[Case]) -> Evidence:
    """The evidence, with what the harness did on purpose and the effects that this explains."""
    refused_by = {case.trial.record_key.encode(): case.trial.scenario.refused_by for case in cases}
    sent = {position(record): refused_by[record.key] for record in evidence.records if record.key in refused_by}
    refused = {name for case in cases if case.trial.scenario.mail_refused for name in case.mails}
    poison = {Letter(service, at) for at, services in sent.items() for service in services}
    poison |= {Letter("orders", case.trial.record_key) for case in cases if case.trial.scenario.unsendable_row}
    return replace(
        evidence,
        answered={case.trial.order_id: case.trial.email for case in cases},
        asked_again=len(cases),
        wrong_answers=[
            f"{case.crash}: {case.trial.order_id} was placed, then {case.answered_again}"
            for case in cases
            if case.answered_again != case.trial.order_id
        ],
        poison=poison | {Letter("notifications", name) for name in refused},
        made_up=set(sent),
        refused=refused,
        more_copies={name: case.crash.more_copies for case in cases for name in case.mails},
    )


def unlike_its_scenario(case: Case, evidence: Evidence) -> Iterator[str]:
    """How an order's end differs from the end of its scenario, even if all rules hold."""
    scenario, order_id = case.trial.scenario, case.trial.order_id
    order, payment = evidence.orders.get(order_id), evidence.payments.get(order_id)
    if order is None or order.status != scenario.status:
        yield f"its order ends {scenario.status}: it is {order and order.status}"
    if payment is None or payment.status != scenario.payment:
        yield f"its payment ends {scenario.payment}: it is {payment and payment.status}"
    charges = [charge for charge in evidence.charges if charge.order_id == order_id]
    money = [outcome for charge in charges for outcome in ("succeeded", *["refunded"] * bool(charge.refunded))]
    if money != list(scenario.money):
        yield f"the gateway's money is {list(scenario.money)}: it is {money}"
    mails = {mail.name for mail in evidence.mails if mail.to == case.trial.email or mail.order_id == order_id}
    if mails != {f"{kind}.{order_id}" for kind in scenario.mails}:
        yield f"its e-mails are {list(scenario.mails)}: they are {sorted(mails)}"
