"""Reads what really happened from where it can't be made up: databases, topics, the gateway's ledger, the mails."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import replace
from datetime import datetime
from decimal import Decimal
from types import TracebackType
from typing import Any, Self

import asyncpg
import httpx
from asyncapi_gate import read_document, undocumented
from backing_services.postgres import asyncpg_url
from outboxed.messages import Record
from outboxed.testing.topic_log import Position, lag, position, read_topics

from shop_harness.evidence import Charge, Evidence, Letter, Mail, OrderRow, PaymentRow
from shop_harness.services import ROOT, SERVICES, TOPICS, topics_of
from shop_harness.system import System

MAIL_PAGE = 500
OUTBOX = "select 'an event of ' || key from outbox"
TASKS = "select kind || ' ' || key from tasks where kind <> 'payment_deadline'"
ORDERS = """
select id::text, customer_email as email, status, total, placed_at,
       (history->1->>'at')::timestamptz as settled_at,
       history @> '[{"status": "CONFIRMED"}]' as was_confirmed
from orders
"""
PAYMENTS = """
select order_id::text, status, coalesce(amount, 0) as amount, charge_id,
       history @> '[{"status": "CAPTURED"}]' as was_captured
from payments
"""
NOTIFICATIONS = """
select one->>'kind' || '.' || id as name, one->>'status' as status
from order_notifications, jsonb_array_elements(notifications) as one
"""
DEAD_LETTERS = """
select coalesce(consumer_group, $1) as service, source, topic, partition, "offset", key
from dead_letters where status = 'open'
"""
INBOX = r"select split_part(event_id, E'\x1f', 1) as event_id from inbox"
"""The ids; the key of an event whose id another source has used has the source, too."""


class Ledgers:
    """An async context manager that holds the connections: these don't outlive a database server."""

    def __init__(self, system: System) -> None:
        self._system = system
        self._stack = AsyncExitStack()
        self._databases: dict[str, asyncpg.Connection] = {}

    async def __aenter__(self) -> Self:
        for service in SERVICES:
            connection = await asyncpg.connect(asyncpg_url(self._system.database_url(service)))
            self._stack.push_async_callback(connection.close)
            self._databases[service] = connection
        self._http = await self._stack.enter_async_context(httpx.AsyncClient(timeout=30, trust_env=False))
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._stack.aclose()

    async def read(self) -> Evidence:
        """Everything but the topics, which take longer."""
        orders = [OrderRow(**row) for row in await self.rows("orders", ORDERS)]
        payments = [PaymentRow(**row) for row in await self.rows("payments", PAYMENTS)]
        letters = [row for service in SERVICES for row in await self.rows(service, DEAD_LETTERS, service)]
        return Evidence(
            orders={order.id: order for order in orders},
            payments={payment.order_id: payment for payment in payments},
            notifications={row["name"]: row["status"] for row in await self.rows("notifications", NOTIFICATIONS)},
            unsent_events=await self._named(OUTBOX),
            open_tasks=await self._named(TASKS),
            dead_letters=[_letter(row) for row in letters],
            charges=_charges((await self._get("gateway", "/_ledger"))["entries"]),
            mails=await all_mails(self._mail_page),
        )

    async def read_with_lag(self) -> Evidence:
        """The same, and how far the groups have come."""
        return replace(await self.read(), lag=await lags(self._system))

    async def read_all(self) -> Evidence:
        """The same, and what the topics and the inboxes hold."""
        records = await read_topics(self._system.kafka.bootstrap_servers, TOPICS)
        return replace(
            await self.read_with_lag(),
            records=records,
            undocumented=undocumented_of(records),
            inboxes={service: {row["event_id"] for row in await self.rows(service, INBOX)} for service in SERVICES},
        )

    async def rows(self, service: str, query: str, *values: object) -> Sequence[asyncpg.Record]:
        """What a service's database answers."""
        return await self._databases[service].fetch(query, *values)

    async def _named(self, query: str) -> Sequence[str]:
        return [f"{service}: {row[0]}" for service in SERVICES for row in await self.rows(service, query)]

    async def _mail_page(self, start: int) -> Sequence[Mapping[str, Any]]:
        page = await self._get("mail_catcher", "/api/v1/messages", start=start, limit=MAIL_PAGE)
        found: Sequence[Mapping[str, Any]] = page["messages"]
        return found

    async def _get(self, name: str, path: str, **query: int) -> dict[str, Any]:
        response = await self._http.get(f"{self._system.ports.url(name)}{path}", params=query)
        answer: dict[str, Any] = response.raise_for_status().json()
        return answer


async def all_mails(page: Callable[[int], Awaitable[Sequence[Mapping[str, Any]]]]) -> list[Mail]:
    """Every e-mail; `page(start)` gives at most MAIL_PAGE of them, from a number on."""
    mails: list[Mail] = []
    while True:
        messages = await page(len(mails))
        mails += [_mail(message) for message in messages]
        if len(messages) < MAIL_PAGE:
            return mails


def undocumented_of(records: Sequence[Record]) -> Mapping[Position, str]:
    """Those that aren't as the checked-in documents of the services say, and why."""
    documents = [read_document(ROOT / f"contracts/asyncapi/{service}.json") for service in SERVICES]
    return {position(record): why for record, why in undocumented(documents, records)}


async def lags(system: System) -> dict[str, int]:
    """How many records each group has before it."""
    return {group: await lag(system.kafka.bootstrap_servers, group, topics_of(group)) for group in SERVICES}


async def at_rest(
    read: Callable[[], Awaitable[Evidence]],
    *,
    looks: int,
    stuck_after: float,
    every: float,
    is_quiet: Callable[[Evidence], bool] = lambda evidence: evidence.is_quiet,
) -> Evidence:
    """The evidence once it was quiet and the same so many times: an e-mail too many would come last.

    Where nothing has moved for `stuck_after` seconds, the evidence as it is.
    """
    clock = asyncio.get_running_loop().time
    seen: object = None
    same, changed_at = 0, clock()
    while True:
        evidence = await read()
        if evidence.progress != seen:
            seen, same, changed_at = evidence.progress, 0, clock()
        same += 1
        if (is_quiet(evidence) and same >= looks) or clock() - changed_at > stuck_after:
            return evidence
        await asyncio.sleep(every)


def _letter(row: asyncpg.Record) -> Letter:
    is_event = row["source"] == "event"
    return Letter(
        row["service"],
        Position(row["topic"], row["partition"], row["offset"]) if is_event else row["key"].decode(),
    )


def _charges(entries: Sequence[Mapping[str, Any]]) -> Sequence[Charge]:
    """The charges of the gateway's ledger that succeeded."""
    refunded = {entry["idempotency_key"]: entry["amount"] for entry in entries if entry["outcome"] == "refunded"}
    return [
        Charge(
            entry["id"],
            entry["reference"],
            Decimal(entry["amount"]),
            Decimal(refunded.get(entry["idempotency_key"], 0)),
        )
        for entry in entries
        if entry["outcome"] == "succeeded"
    ]


def _mail(message: Mapping[str, Any]) -> Mail:
    return Mail(message["To"][0]["Address"], message["MessageID"], datetime.fromisoformat(message["Created"]))
