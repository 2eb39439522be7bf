"""The shop with its spans on their way to a collector, and what is done with it."""

import json
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from secrets import token_hex
from uuid import uuid4

import httpx
from aiokafka import AIOKafkaProducer
from backing_services.postgres import connected
from backing_services.waiting import eventually
from outboxed.messages import Record
from outboxed.testing.topic_log import read_topics
from shop_harness.customers import API, Headers, OrdersApi, Patience, order_of
from shop_harness.ledgers import Ledgers
from shop_harness.services import SERVICES, TOPICS
from shop_harness.system import Ports, System

from tools.measuring.collector import Collector

PATIENCE = Patience(within=60)
SETTLED_WITHIN = 60.0
EMAIL, NAME = "ada.journey@example.com", "Ada Journey"
"""What no span may repeat."""
OF_A_ROUND_TRIP = {"OTEL_BSP_SCHEDULE_DELAY": "100"}
"""Milliseconds: nobody wants to wait for five seconds here."""
REFUSES = """
create function refuse() returns trigger language plpgsql as $$
begin raise exception check_violation using message = 'refused by the journey'; end $$;
create trigger refuse before insert or update on order_notifications for each row execute function refuse()
"""
ENDS = "drop function refuse cascade"
OPENMETRICS = "application/openmetrics-text; version=1.0.0"


class TracedShop(System):
    """See System; its services export to a collector, as the variables say."""

    def __init__(self, variables: Mapping[str, str]) -> None:
        super().__init__(Ports.free(), lambda _: None)
        self.variables = variables

    def environment(self, service: str, port: int = 0) -> dict[str, str]:
        return {**super().environment(service, port), **self.variables}

    async def sql(self, service: str, statement: str) -> None:
        """Run a statement in a service's database."""
        async with connected(self.database_url(service)) as connection:
            await connection.execute(statement)

    async def send(self, *records: Record) -> None:
        """Put records into their topics, as any producer may."""
        async with AIOKafkaProducer(bootstrap_servers=self.kafka.bootstrap_servers) as producer:
            for record in records:
                await producer.send_and_wait(
                    record.topic, record.value, key=record.key, headers=[*record.headers], partition=record.partition
                )

    async def records(self) -> Sequence[Record]:
        """All that Kafka has."""
        return await read_topics(self.kafka.bootstrap_servers, TOPICS)

    def log_lines(self) -> list[dict[str, object]]:
        """What the services have said."""
        texts = [(self.folder / f"{service}.log").read_text() for service in SERVICES]
        return [json.loads(line) for text in texts for line in text.splitlines() if line.startswith("{")]


@dataclass(frozen=True)
class Trace:
    """One part of the journey: the ids that the customer's request came with, and the spans that must be in it."""

    title: str
    trace_id: str
    caller: str
    wanted: Sequence[tuple[str, str]]
    """Services and names."""

    @property
    def traceparent(self) -> str:
        return f"00-{self.trace_id}-{self.caller}-01"


@dataclass(frozen=True)
class Journey:
    """What was done, and what was seen of it beside the spans."""

    traces: Sequence[Trace]
    log_lines: Sequence[Mapping[str, object]]
    metrics: str


ORDERED = (
    ("orders", f"POST {API}/orders"),
    ("orders", "send orders"),
    ("payments", "process orders"),
    ("payments", "charge"),
    ("payments", "POST /v1/charges"),
    ("payments", "send payments"),
    ("orders", "process payments"),
    ("notifications", "process orders"),
)
MAILED = (("notifications", "send_email"), ("notifications", "send e-mail"))
REFUSED = (("notifications", "dead_letter orders"),)


@asynccontextmanager
async def journeyed(collector: Collector) -> AsyncIterator[Journey]:
    """Do all of the journey, with everything at rest between its parts; the services still run in the block."""
    endpoint = {"OTEL_EXPORTER_OTLP_ENDPOINT": collector.url}
    async with TracedShop({**endpoint, **OF_A_ROUND_TRIP}) as shop, Ledgers(shop) as ledgers:
        url = shop.ports.url("orders")
        async with httpx.AsyncClient(base_url=f"{url}{API}", timeout=30, trust_env=False) as http:
            traces = await _Doing(shop, ledgers, OrdersApi(http, PATIENCE)).all()
        metrics = await _metrics(url)
        await _everything_came(collector)
        yield Journey(traces, shop.log_lines(), metrics)


@dataclass
class _Doing:
    shop: TracedShop
    ledgers: Ledgers
    api: OrdersApi

    async def all(self) -> Sequence[Trace]:
        (await self.api.register(EMAIL, name=NAME)).raise_for_status()
        headers = await self.api.log_in(EMAIL)
        confirmed = await self._placed("an order is confirmed", "pm_card_ok", headers, (*ORDERED, *MAILED))
        declined = await self._placed("an order is declined", "pm_card_declined", headers, (*ORDERED, *MAILED))
        flaky = await self._placed("a charge is postponed", "pm_card_flaky", headers, (*ORDERED, *MAILED))
        await self._redelivered()
        await self.shop.sql("notifications", REFUSES)
        refused = await self._placed("a handler fails", "pm_card_ok", headers, (*ORDERED, *REFUSED), letters=1)
        await self.shop.sql("notifications", ENDS)
        unread = await self._unreadable()
        (await self.api.send("GET", "/orders?limit=2", headers=headers)).raise_for_status()
        await self.api.read(str(uuid4()), headers=headers)  # there is none
        return [confirmed, declined, flaky, refused, unread]

    async def _placed(
        self, title: str, card: str, headers: Headers, wanted: Sequence[tuple[str, str]], *, letters: int = 0
    ) -> Trace:
        trace = Trace(title, token_hex(16), token_hex(8), wanted)
        given = {**headers, "traceparent": trace.traceparent}
        (await self.api.place(order_of(card), key=uuid4().hex, headers=given)).raise_for_status()
        await self._until_rest(letters)
        return trace

    async def _redelivered(self) -> None:
        """Each event comes again, under its own id."""
        await self.shop.send(*await self.shop.records())
        await self._until_rest(0)

    async def _unreadable(self) -> Trace:
        trace = Trace("a record can't be read", token_hex(16), token_hex(8), (("payments", "dead_letter orders"),))
        headers = (("ce_type", b"order.placed.v1"), ("ce_id", b"x"), ("traceparent", trace.traceparent.encode()))
        await self.shop.send(Record("orders", 0, 0, b"poison", b"{", headers))
        await self._until_rest(2)
        return trace

    async def _until_rest(self, letters: int) -> None:
        async def rests() -> bool:
            evidence = await self.ledgers.read_with_lag()
            return evidence.is_quiet and len(evidence.dead_letters) >= letters

        await eventually(rests, within=SETTLED_WITHIN, every=0.1)


async def _metrics(url: str) -> str:
    async with httpx.AsyncClient(timeout=10, trust_env=False) as http:
        answer = await http.get(f"{url}/metrics", headers={"Accept": OPENMETRICS})
        return answer.raise_for_status().text


async def _everything_came(collector: Collector) -> None:
    """Nothing more for some turns of the exporter."""
    seen: list[int] = []

    def is_still() -> bool:
        seen.append(len(collector.spans))
        return len(seen) > 5 and len(set(seen[-5:])) == 1

    await eventually(is_still, within=30, every=0.3)
