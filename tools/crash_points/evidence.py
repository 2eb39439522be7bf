"""What really happened, read outside the services: databases, topics, the gateway's ledger, the mailbox."""

import asyncio
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import httpx
from backing_services.postgres import connected
from notifications.consumers import ROUTES as NOTIFICATIONS_ROUTES
from orders.consumers import ROUTES as ORDERS_ROUTES
from outboxed.consuming import Route
from outboxed.testing.topic_log import lag
from outboxed.testing.topics import Topics
from payments.consumers import ROUTES as PAYMENTS_ROUTES
from shop_harness.ledgers import Ledgers, Snapshot
from shop_harness.system import SERVICES, TOPICS

from tools.crash_points.system import Stage

ROUTES: Mapping[str, Sequence[Route[Any]]] = {
    "orders": ORDERS_ROUTES,
    "payments": PAYMENTS_ROUTES,
    "notifications": NOTIFICATIONS_ROUTES,
}
LEFT = """
select 'event ' || key from outbox
union all select kind || ' ' || key from tasks where kind <> 'payment_deadline'
"""
WAITING = {
    "relay": "select exists (select from outbox)",
    "worker": """
        select exists (select from tasks where greatest(due_at, leased_until) <= clock_timestamp())
    """,
}
"""Whether a role has something to do that nobody else takes; an API and a consumer do nothing until they are asked."""


@dataclass(frozen=True)
class Charge:
    """A decision of the gateway; ``outcome`` is succeeded or refunded."""

    order_id: str
    outcome: str
    amount: Decimal


@dataclass(frozen=True)
class Published:
    """An event as its topic has it."""

    topic: str
    key: str
    type: str
    id: str
    sequence: int


@dataclass(frozen=True)
class Evidence:
    """All ledgers at one moment; ``left`` and ``dead_letters`` are keys by service, ``lag`` is uncommitted records."""

    shop: Snapshot
    money: Sequence[Charge]
    left: Mapping[str, Sequence[str]]
    dead_letters: Mapping[str, Counter[str]]
    inboxes: Mapping[str, set[str]]
    published: Sequence[Published]
    lag: int

    @property
    def is_quiet(self) -> bool:
        """Nothing is under way."""
        return self.lag == 0 and not any(self.left.values())

    def by_key(self) -> Mapping[tuple[str, str], Sequence[Published]]:
        """The first occurrence of each event, in order, by topic and key."""
        first: dict[tuple[str, str], dict[tuple[str, str], Published]] = defaultdict(dict)
        for event in self.published:
            first[event.topic, event.key].setdefault((event.id, event.type), event)
        return {address: list(events.values()) for address, events in first.items()}


class Witness:
    """Reads the ledgers."""

    def __init__(self, stage: Stage, ledgers: Ledgers, http: httpx.AsyncClient, topics: Topics) -> None:
        self._stage = stage
        self._ledgers = ledgers
        self._http = http
        self._topics = topics

    async def evidence(self) -> Evidence:
        """All there is now."""
        return Evidence(
            shop=await self._ledgers.read(),
            money=await self._money(),
            left={service: await self._column(service, LEFT) for service in SERVICES},
            dead_letters={service: Counter(await self._dead_letters(service)) for service in SERVICES},
            inboxes={service: set(await self._column(service, "select event_id from inbox")) for service in SERVICES},
            published=[event for topic in TOPICS for event in await self._published(topic)],
            lag=sum([await self._lag(service) for service in SERVICES]),
        )

    async def status_of(self, order_id: str) -> str:
        """An order's status."""
        [status] = await self._column("orders", "select status from orders where id = $1::text::uuid", order_id)
        return str(status)

    async def has_work(self, process: str) -> bool:
        """Whether there is something that only this process would do."""
        service, role = process.split()
        return role not in WAITING or (await self._column(service, WAITING[role])) == [True]

    async def _dead_letters(self, service: str) -> list[str]:
        keys = await self._column(service, "select key from dead_letters where status = 'open'")
        return [key.decode() for key in keys]

    async def _column(self, service: str, query: str, *values: object) -> list[Any]:
        async with connected(self._stage.database_url(service)) as connection:
            return [row[0] for row in await connection.fetch(query, *values)]

    async def _money(self) -> list[Charge]:
        answer = await self._http.get(f"{self._stage.ports.url('gateway')}/_ledger")
        entries = answer.raise_for_status().json()["entries"]
        return [
            Charge(entry["reference"], entry["outcome"], Decimal(entry["amount"]))
            for entry in entries
            if entry["outcome"] in {"succeeded", "refunded"}
        ]

    async def _published(self, topic: str) -> list[Published]:
        records = await self._topics.read(topic, await self._topics.size(topic))
        return [_published(record) for record in records if any(name == "ce_sequence" for name, _ in record.headers)]

    async def _lag(self, service: str) -> int:
        topics = {route.model.topic: TOPICS[route.model.topic] for route in ROUTES[service]}
        return await lag(self._stage.kafka.bootstrap_servers, service, topics)


async def at_rest(witness: Witness, *, within: float, every: float = 0.5) -> Evidence:
    """The evidence once nothing moves any more, or after ``within`` seconds as it is then."""
    before: Evidence | None = None
    now = await witness.evidence()
    loop = asyncio.get_running_loop()
    deadline = loop.time() + within
    while not (before and before.is_quiet and now.is_quiet and len(before.published) == len(now.published)):
        if loop.time() > deadline:
            break
        await asyncio.sleep(every)
        before, now = now, await witness.evidence()
    return now


def consumers_of(event: Published) -> Sequence[str]:
    """The services that handle it."""
    return [
        service
        for service, routes in ROUTES.items()
        if any((route.model.topic, route.model.type) == (event.topic, event.type) for route in routes)
    ]


def _published(record: Any) -> Published:
    headers = {name: value.decode() for name, value in record.headers}
    return Published(
        topic=record.topic,
        key=record.key.decode(),
        type=headers["ce_type"],
        id=headers["ce_id"],
        sequence=int(headers["ce_sequence"]),
    )
