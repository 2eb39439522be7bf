"""The whole shop in one process, as a test may see it: either in memory or on PostgreSQL, Kafka, HTTP and SMTP."""

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import Any

import httpx
import payment_gateway
from asyncapi_gate import read_document
from outboxed.testing.tracking import InMemoryParticipant, RunningParticipant, Session, tracked
from shop_harness.ledgers import undocumented_of
from shop_harness.services import ROOT, SAGA, SERVICES

from tests.customer import Customer

OTHERS = [name for name in SERVICES if name not in SAGA]
"""Services that came later: each says in `tests/participant.py` how it takes part."""


@dataclass(frozen=True)
class Shop:
    """What a test may touch: the API, the gateway; `mails` says which kinds an address got.

    `topic_prefix` is that of this shop's topics in a Kafka that it shares with others.
    """

    http: httpx.AsyncClient
    gateway: httpx.AsyncClient
    ledger: payment_gateway.Ledger
    mails: Callable[[str], Sequence[str]]
    parts: Sequence[InMemoryParticipant] | Sequence[RunningParticipant]
    topic_prefix: str = ""

    async def customer(self) -> Customer:
        """A new one."""
        return await Customer.registered(self.http, self._mails)

    async def _mails(self, email: str) -> Sequence[str]:
        return self.mails(email)

    @asynccontextmanager
    async def tracked(self, **options: Any) -> AsyncIterator[Session]:
        """See outboxed.testing.tracking: the block ends when the shop has come to rest.

        Each record is then judged by its service's document.
        """
        async with tracked(*self.parts, **options) as session:
            yield session
        records = [replace(one, topic=one.topic.removeprefix(self.topic_prefix)) for one in session.records]
        assert not undocumented_of(records)

    def events_of_others(self) -> Sequence[str]:
        """What the services that came later publish."""
        documents = [read_document(ROOT / f"contracts/asyncapi/{name}.json") for name in OTHERS]
        return [event for document in documents for event in document.sent]

    def money_of(self, order_id: str) -> list[str]:
        """The gateway's decisions about an order that moved money."""
        entries = self.ledger.of_reference(order_id)
        return [entry.outcome.value for entry in entries if entry.outcome.value in {"succeeded", "refunded"}]

    @asynccontextmanager
    async def gateway_out_of_order(self) -> AsyncIterator[None]:
        """It answers 503 to every charge, until the end of the block."""
        fault = {"operation": "charge", "action": "status", "status": 503, "times": 1000}
        (await self.gateway.put("/_faults", json={"faults": [fault]})).raise_for_status()
        try:
            yield
        finally:
            (await self.gateway.put("/_faults", json={"faults": []})).raise_for_status()
