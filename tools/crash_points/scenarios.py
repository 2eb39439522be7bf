"""What customers, and a careless producer, do to lead a process to a point; and what must come of it."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import uuid4

import httpx
from backing_services.waiting import eventually
from outboxed.testing.records import consumer_record, event_record
from outboxed.testing.topics import Topics

PASSWORD = "correct horse"
PATIENCE = 180.0  # seconds: others' processes are being killed meanwhile


@dataclass(frozen=True)
class Story:
    """``money`` and ``mails`` are what the gateway decided and what the customer got, in the end.

    ``record`` makes one that somebody else sends; it becomes a dead letter in the services of ``refused_by``.
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


def _unreadable(key: str) -> Any:
    return consumer_record("orders", b"no JSON", key=key.encode(), headers=[("ce_type", b"order.placed.v1")])


def _refused(key: str) -> Any:
    """Well-formed, but PostgreSQL takes no NUL."""
    total = {"amount": "1.00", "currency": "EUR"}
    data = {"order_id": key, "total": total, "payment_method": "\0", "pay_before": "2100-01-01T00:00:00Z"}
    return event_record("orders", "order.placed.v1", data, key=key)


CONFIRMED = Story()
DECLINED = Story("pm_card_declined", status="CANCELLED", payment="DECLINED", money=(), mails=("cancellation",))
CANCELLED = Story(
    cancels=True,
    status="CANCELLED",
    payment="REFUNDED",
    money=("succeeded", "refunded"),
    mails=("confirmation", "cancellation", "refund"),
)
FLAKY = Story("pm_card_flaky")
UNREADABLE_RECORD = Story(record=_unreadable, refused_by=("payments", "notifications"))
REFUSED_EVENT = Story(record=_refused, refused_by=("payments",))
REFUSED_MAIL = Story(mails=(), mail_refused=True, refused_by=("notifications",))


@dataclass
class Told:
    """A story as far as it has come: one customer, one order, and the key of the record that was sent."""

    story: Story
    name: str = field(default_factory=lambda: uuid4().hex[:12])
    order_id: str = ""
    record_key: str = field(default_factory=lambda: str(uuid4()))
    headers: dict[str, str] = field(default_factory=dict)

    @property
    def email(self) -> str:
        return f"{self.name}@example.com"

    @property
    def dead_letter_key(self) -> str:
        return f"confirmation.{self.order_id}" if self.story.mail_refused else self.record_key


class Storyteller:
    """Speaks to the shop as its customers do, who try again until they are answered.

    ``status_of`` asks the ledger, so that no customer who only looks comes to a point.
    """

    def __init__(
        self, http: httpx.AsyncClient, mailbox: str, topics: Topics, status_of: Callable[[str], Awaitable[str]]
    ) -> None:
        self._http = http
        self._mailbox = mailbox
        self._topics = topics
        self._status_of = status_of

    async def prepare(self, story: Story) -> Told:
        """All that comes before the cut."""
        told = Told(story)
        user = {"email": told.email, "name": "Ada", "password": PASSWORD}
        await self._answer("POST", "/users", json=user)  # 409 where the first answer was lost
        token = (await self._answer("POST", "/tokens", data={"username": told.email, "password": PASSWORD})).json()
        told.headers = {"Authorization": f"Bearer {token['access_token']}", "Idempotency-Key": told.name}
        if story.mail_refused:
            fault = {"recipient": told.email, "action": "status", "status": 550, "times": 9}
            (await self._http.put(f"{self._mailbox}/_faults", json={"faults": [fault]})).raise_for_status()
        if story.cancels:
            await self._place(told)
            await eventually(lambda: self._is_confirmed(told), within=PATIENCE, every=0.1)
        return told

    async def tell(self, told: Told) -> None:
        """What leads to the cut."""
        if told.story.record is not None:
            await self._topics.send(told.story.record(told.record_key))
        if told.story.cancels:
            path = f"/orders/{told.order_id}/cancel"
            (await self._answer("POST", path, headers=told.headers)).raise_for_status()
        else:
            await self._place(told)

    async def order_again(self, told: Told) -> str:
        """The id of the order that the same request under the same key is answered with."""
        body = {"items": [{"sku": "ABC", "quantity": 4}], "payment_method": told.story.payment_method}
        answer = await self._answer("POST", "/orders", json=body, headers=told.headers)
        order_id: str = answer.raise_for_status().json()["id"]
        return order_id

    async def _place(self, told: Told) -> None:
        told.order_id = await self.order_again(told)

    async def _is_confirmed(self, told: Told) -> bool:
        return await self._status_of(told.order_id) == "CONFIRMED"

    async def _answer(self, method: str, path: str, **content: Any) -> httpx.Response:
        answers: list[httpx.Response] = []

        async def is_answered() -> bool:
            try:
                response = await self._http.request(method, path, **content)
            except httpx.TransportError:
                return False
            answers.append(response)
            return not response.is_server_error

        await eventually(is_answered, within=PATIENCE, every=0.05)
        return answers[-1]
