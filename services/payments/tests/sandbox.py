"""The real sandbox gateway in this process: no socket, and a caller whose patience needs no clock."""

import asyncio
from collections.abc import Sequence
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import httpx
from fastapi import FastAPI
from payment_gateway import Ledger, create_app
from payments.domain import payment_id_of

_kept_waiting: ContextVar[asyncio.Event] = ContextVar("kept_waiting")


async def _keep_waiting(_: float) -> None:
    """The gateway's sleep: it never ends, and its caller hears of it."""
    _kept_waiting.get().set()
    await asyncio.Event().wait()


class ImpatientTransport(httpx.AsyncBaseTransport):
    """Asks the app, and gives up with httpx's time-out as soon as the app would let it wait: at once, each time."""

    def __init__(self, app: FastAPI) -> None:
        self._app = httpx.ASGITransport(app)

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        _kept_waiting.set(asyncio.Event())
        answer = asyncio.ensure_future(self._app.handle_async_request(request))
        waiting = asyncio.ensure_future(_kept_waiting.get().wait())
        await asyncio.wait({answer, waiting}, return_when=asyncio.FIRST_COMPLETED)
        waiting.cancel()
        if not answer.done():
            answer.cancel()
            await asyncio.gather(answer, return_exceptions=True)
            raise httpx.ReadTimeout("kept waiting")
        return answer.result()


@dataclass(frozen=True)
class Sandbox:
    """One for all tests: every order has keys and references of its own. `faults` are a test's."""

    ledger: Ledger
    http: httpx.AsyncClient

    @classmethod
    def in_process(cls) -> "Sandbox":
        ledger = Ledger()
        transport = ImpatientTransport(create_app(ledger, sleep=_keep_waiting))
        return cls(ledger, httpx.AsyncClient(transport=transport, base_url="http://gateway"))

    async def close(self) -> None:
        await self.http.aclose()
        self.ledger.close()

    async def put_faults(self, *faults: dict[str, Any]) -> None:
        response = await self.http.put("/_faults", json={"faults": [{"times": 1, **fault} for fault in faults]})
        response.raise_for_status()

    def outcomes(self, order_id: UUID) -> Sequence[str]:
        """What the gateway did under the order's own key, in order."""
        entries = self.ledger.of_key(str(payment_id_of(order_id)))
        return [f"{entry.operation} {entry.outcome}" for entry in entries]

    def charges(self, order_id: UUID) -> Sequence[str]:
        """The ids of all charges that succeeded for the order, whatever their keys."""
        return [entry.id for entry in self.ledger.of_reference(str(order_id)) if entry.outcome == "succeeded"]
