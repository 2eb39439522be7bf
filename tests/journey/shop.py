"""The whole shop in one process, as a test may see it: either in memory or on PostgreSQL, Kafka, HTTP and SMTP."""

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from typing import Any

import httpx
import payment_gateway
from outboxed.testing.tracking import InMemoryParticipant, RunningParticipant, Session, tracked

from tests.customer import Customer


@dataclass(frozen=True)
class Shop:
    """What a test may touch: the API, the gateway; `mails` says which kinds an address got."""

    http: httpx.AsyncClient
    gateway: httpx.AsyncClient
    ledger: payment_gateway.Ledger
    mails: Callable[[str], Sequence[str]]
    parts: Sequence[InMemoryParticipant] | Sequence[RunningParticipant]

    async def customer(self) -> Customer:
        """A new one."""
        return await Customer.registered(self.http, self._mails)

    async def _mails(self, email: str) -> Sequence[str]:
        return self.mails(email)

    def tracked(self, **options: Any) -> AbstractAsyncContextManager[Session]:
        """See outboxed.testing.tracking: the block ends when the shop has come to rest."""
        return tracked(*self.parts, **options)

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
