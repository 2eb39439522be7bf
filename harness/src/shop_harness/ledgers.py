"""What really happened, read from where it can't be made up: databases, the gateway's ledger, the mailbox."""

from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from types import TracebackType
from typing import Any, Protocol, Self

import asyncpg
import httpx
from backing_services.postgres import asyncpg_url

from shop_harness.system import SERVICES, Ports

MAIL_PAGE = 500

ORDERS = """
select id::text, customer_email as email, status, total, placed_at,
       (history->1->>'at')::timestamptz as settled_at,
       exists (select from jsonb_array_elements(history) as change where change->>'status' = 'CONFIRMED')
           as was_confirmed
from orders
"""
PAYMENTS = "select order_id::text, status, coalesce(amount, 0) as amount, charge_id from payments"
WORK = """
select (select count(*) from outbox)
     + (select count(*) from tasks where kind <> 'payment_deadline') as open,
       (select count(*) from dead_letters where status = 'open') as dead_letters
"""


@dataclass(frozen=True)
class OrderRow:
    """An order in the orders database."""

    id: str
    email: str
    status: str
    total: Decimal
    placed_at: datetime
    settled_at: datetime | None
    was_confirmed: bool


@dataclass(frozen=True)
class PaymentRow:
    """A payment in the payments database."""

    order_id: str
    status: str
    amount: Decimal
    charge_id: str | None


@dataclass(frozen=True)
class Mail:
    """An e-mail in the mailbox; a Message-ID is ``kind.order_id@domain``."""

    to: str
    message_id: str
    at: datetime

    @property
    def kind(self) -> str:
        return self.message_id.partition(".")[0]

    @property
    def order_id(self) -> str:
        return self.message_id.partition(".")[2].partition("@")[0]


@dataclass(frozen=True)
class Snapshot:
    """The ledgers at one moment. ``kept`` is the money that the gateway has, by charge id and order."""

    orders: Mapping[str, OrderRow]
    payments: Mapping[str, PaymentRow]
    kept: Mapping[str, tuple[str, Decimal]]
    mails: Sequence[Mail]
    open_work: int
    dead_letters: int

    @property
    def settled(self) -> int:
        """Orders that reached an end."""
        return sum(order.status != "PENDING" for order in self.orders.values())

    @property
    def expected_mails(self) -> Counter[str]:
        """By Message-ID's left side: one for each order ever confirmed, each cancelled, each payment refunded."""
        expected = [f"confirmation.{order.id}" for order in self.orders.values() if order.was_confirmed]
        expected += [f"cancellation.{order.id}" for order in self.orders.values() if order.status == "CANCELLED"]
        expected += [f"refund.{payment.order_id}" for payment in self.payments.values() if payment.status == "REFUNDED"]
        return Counter(expected)

    @property
    def received_mails(self) -> Counter[str]:
        """The same, as they are in the mailbox."""
        return Counter(f"{mail.kind}.{mail.order_id}" for mail in self.mails)

    @property
    def is_at_rest(self) -> bool:
        """Nothing is under way: no event, no task, no order without an end, no e-mail missing."""
        waiting = self.expected_mails - self.received_mails
        return self.open_work == 0 and self.settled == len(self.orders) and not waiting


class Ledgered(Protocol):
    """A system whose ledgers can be read."""

    ports: Ports

    def database_url(self, service: str) -> str: ...


class Ledgers:
    """An async context manager that holds the connections."""

    def __init__(self, system: Ledgered) -> None:
        self._system = system
        self._stack = AsyncExitStack()
        self._databases: dict[str, asyncpg.Connection] = {}

    async def __aenter__(self) -> Self:
        for service in SERVICES:
            connection = await asyncpg.connect(asyncpg_url(self._system.database_url(service)))
            self._stack.push_async_callback(connection.close)
            self._databases[service] = connection
        self._http = await self._stack.enter_async_context(httpx.AsyncClient(timeout=10))
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._stack.aclose()

    async def read(self) -> Snapshot:
        """Read all of them."""
        work = [row for service in SERVICES for row in await self._databases[service].fetch(WORK)]
        orders = [OrderRow(**row) for row in await self._databases["orders"].fetch(ORDERS)]
        payments = [PaymentRow(**row) for row in await self._databases["payments"].fetch(PAYMENTS)]
        return Snapshot(
            orders={order.id: order for order in orders},
            payments={payment.order_id: payment for payment in payments},
            kept=await self._kept(),
            mails=await self._mails(),
            open_work=sum(row["open"] for row in work),
            dead_letters=sum(row["dead_letters"] for row in work),
        )

    async def _kept(self) -> dict[str, tuple[str, Decimal]]:
        entries = (await self._get("gateway", "/_ledger"))["entries"]
        kept: dict[str, tuple[str, Decimal]] = {}
        refunded_keys = {
            entry["idempotency_key"]
            for entry in entries
            if entry["operation"] == "refund" and entry["outcome"] == "refunded"
        }
        for entry in entries:
            if entry["operation"] == "charge" and entry["outcome"] == "succeeded":
                kept[entry["id"]] = (entry["reference"], Decimal(entry["amount"]))
        charged = {entry["id"]: entry["idempotency_key"] for entry in entries if entry["id"] in kept}
        return {charge_id: money for charge_id, money in kept.items() if charged[charge_id] not in refunded_keys}

    async def _mails(self) -> list[Mail]:
        mails: list[Mail] = []
        while True:
            page = await self._get("mailbox", "/api/v1/messages", start=len(mails), limit=MAIL_PAGE)
            mails += [_mail(message) for message in page["messages"]]
            if len(page["messages"]) < MAIL_PAGE:
                return mails

    async def _get(self, name: str, path: str, **query: int) -> dict[str, Any]:
        response = await self._http.get(f"{self._system.ports.url(name)}{path}", params=query)
        answer: dict[str, Any] = response.raise_for_status().json()
        return answer


def _mail(message: dict[str, Any]) -> Mail:
    return Mail(message["To"][0]["Address"], message["MessageID"], datetime.fromisoformat(message["Created"]))
