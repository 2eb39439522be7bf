"""What customers, and a careless producer, do to lead a process to a point, and the expected outcome."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import uuid4

import httpx
from backing_services.waiting import eventually
from outboxed.testing.records import consumer_record, event_record
from outboxed.testing.topics import Topics
from shop_harness.customers import OrdersApi, Patience, order_of

PATIENCE = 180.0  # seconds: other processes are being killed meanwhile
ASKS_AGAIN = Patience(PATIENCE, again_on=frozenset(range(500, 600)), first=0.05, cap=0.05)


@dataclass(frozen=True)
class Scenario:
    """`money` and `mails` are what the gateway decided and what the customer got, in the end.

    `record` makes a record that a careless producer sends; it becomes a dead letter in the services of `refused_by`.
    `unsendable_row` puts a row into the outbox of orders that no producer can send.
    """

    payment_method: str = "pm_card_ok"
    cancels: bool = False
    status: str = "CONFIRMED"
    payment: str = "CAPTURED"
    money: Sequence[str] = ("succeeded",)
    mails: Sequence[str] = ("confirmation",)
    record: Callable[[str], Any] | None = None
    refused_by: Sequence[str] = ()
    mail_refused: bool = False
    unsendable_row: bool = False


def _unreadable(key: str) -> Any:
    return consumer_record("orders", b"no JSON", key=key.encode(), headers=[("ce_type", b"order.placed.v1")])


REFUSED_METHOD = "pm_refused"
"""payments' database refuses it: see REFUSING. What any column refuses doesn't reach a handler."""
REFUSING = f"alter table payments add constraint refusing check (payment_method <> '{REFUSED_METHOD}')"


def _refused(key: str) -> Any:
    """A well-formed record that a handler can't store."""
    total = {"amount": "1.00", "currency": "EUR"}
    data = {"order_id": key, "total": total, "payment_method": REFUSED_METHOD, "pay_before": "2100-01-01T00:00:00Z"}
    return event_record("orders", "order.placed.v1", data, key=key)


CONFIRMED = Scenario()
DECLINED = Scenario("pm_card_declined", status="CANCELLED", payment="DECLINED", money=(), mails=("cancellation",))
CANCELLED = Scenario(
    cancels=True,
    status="CANCELLED",
    payment="REFUNDED",
    money=("succeeded", "refunded"),
    mails=("confirmation", "cancellation", "refund"),
)
FLAKY = Scenario("pm_card_flaky")
UNREADABLE_RECORD = Scenario(record=_unreadable, refused_by=("payments", "notifications"))
REFUSED_EVENT = Scenario(record=_refused, refused_by=("payments",))
UNSENDABLE_ROW = Scenario(unsendable_row=True)
REFUSED_MAIL = Scenario(mails=(), mail_refused=True, refused_by=("notifications",))


@dataclass
class Trial:
    """A scenario's present state: one customer, one order, and the key of the record that was sent."""

    scenario: Scenario
    name: str = field(default_factory=lambda: uuid4().hex[:12])
    order_id: str = ""
    record_key: str = field(default_factory=lambda: str(uuid4()))
    headers: dict[str, str] = field(default_factory=dict)

    @property
    def email(self) -> str:
        return f"{self.name}@example.com"


class ScenarioRunner:
    """Speaks to the shop as its customers do, who try again until they are answered.

    `status_of` asks the database, so that merely looking at an order reaches no point; `put_row` puts an unsendable row
    of a key into an outbox.
    """

    def __init__(
        self,
        http: httpx.AsyncClient,
        mail_catcher: str,
        topics: Topics,
        status_of: Callable[[str], Awaitable[str]],
        put_row: Callable[[str], Awaitable[None]],
    ) -> None:
        self._http = http
        self._api = OrdersApi(http, ASKS_AGAIN)
        self._mail_catcher = mail_catcher
        self._topics = topics
        self._status_of = status_of
        self._put_row = put_row

    async def prepare(self, scenario: Scenario) -> Trial:
        """Do what comes before the crash."""
        trial = Trial(scenario)
        await self._api.register(trial.email)
        trial.headers = await self._api.log_in(trial.email)
        if scenario.mail_refused:
            fault = {"recipient": trial.email, "action": "status", "status": 550, "times": 9}
            (await self._http.put(f"{self._mail_catcher}/_faults", json={"faults": [fault]})).raise_for_status()
        if scenario.cancels:
            trial.order_id = await self.order_again(trial)
            await eventually(lambda: self._is_confirmed(trial), within=PATIENCE, every=0.1)
        return trial

    async def run(self, trial: Trial) -> None:
        """Do what leads to the crash."""
        if trial.scenario.record is not None:
            await self._topics.send(trial.scenario.record(trial.record_key))
        if trial.scenario.unsendable_row:
            await self._put_row(trial.record_key)
        if trial.scenario.cancels:
            (await self._api.cancel(trial.order_id, headers=trial.headers)).raise_for_status()
        else:
            trial.order_id = await self.order_again(trial)

    async def order_again(self, trial: Trial) -> str:
        """Send the same request under the same key again; returns the order's id in the answer."""
        order = order_of(trial.scenario.payment_method)
        answer = await self._api.place(order, key=trial.name, headers=trial.headers)
        order_id: str = answer.raise_for_status().json()["id"]
        return order_id

    async def _is_confirmed(self, trial: Trial) -> bool:
        return await self._status_of(trial.order_id) == "CONFIRMED"
