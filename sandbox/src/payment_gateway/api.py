"""The gateway's HTTP API; sandbox/README.md has its tables."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Annotated

from fastapi import FastAPI, Header, Query, Request
from fastapi.responses import JSONResponse, Response

from payment_gateway import answers
from payment_gateway.cards import card
from payment_gateway.delays import Delays, Sleep
from payment_gateway.faults import Call, Fault, Faults
from payment_gateway.ledger import Ledger
from payment_gateway.processor import Processor, Purchase
from payment_gateway.schemas import ChargeRequest, FaultList, RefundRequest

_SECONDS_WITHHELD = 30

IdempotencyKey = Annotated[str, Header(min_length=1, max_length=255, pattern=r"^[\x21-\x7e]+$")]
Job = Callable[[], Awaitable[Response]]


def create_app(ledger: Ledger, *, sleep: Sleep = asyncio.sleep, stopping: asyncio.Event | None = None) -> FastAPI:
    """Build the gateway on a ledger. `sleep` takes seconds; setting `stopping` ends every wait at once."""
    gateway = _Gateway(ledger, Processor(ledger), Faults(), Delays(sleep, stopping or asyncio.Event()))
    app = FastAPI(title="Payment gateway (sandbox)", exception_handlers=answers.ERROR_HANDLERS)
    app.post("/v1/charges", status_code=201)(gateway.charge)
    app.get("/v1/charges")(gateway.list_charges)
    app.post("/v1/refunds")(gateway.refund)
    app.put("/_faults")(gateway.replace_faults)
    app.get("/_ledger")(gateway.show_ledger)
    app.get("/health")(gateway.health)
    return app


@dataclass(frozen=True)
class _Gateway:
    ledger: Ledger
    processor: Processor
    faults: Faults
    delays: Delays

    async def charge(self, request: Request, body: ChargeRequest, idempotency_key: IdempotencyKey) -> Response:
        terms = card(body.payment_method)
        fault = self.faults.take(Call("charge", body.reference, body.payment_method))

        async def job() -> Response:
            # Late cards are late before the decision, and the decision has no await inside: calls of one key can't
            # overlap, and a refund that came in the meantime is seen.
            await self.delays.before_job(terms.seconds_before_charge)
            ignore_key = fault is not None and fault.action == "ignore_key"
            decision = self.processor.charge(idempotency_key, Purchase(**body.model_dump()), ignore_key=ignore_key)
            if decision.is_first_charge:
                await self.delays.withhold(terms.seconds_before_first_answer, request)
            return answers.charge_answer(decision)

        return await self._perform(request, fault, job, success=201)

    async def list_charges(self, request: Request, reference: Annotated[str, Query(min_length=1)]) -> Response:
        async def job() -> Response:
            return answers.charges_answer(self.processor.charges(reference))

        return await self._perform(request, self.faults.take(Call("list", reference)), job, success=200)

    async def refund(self, request: Request, body: RefundRequest) -> Response:
        key = body.idempotency_key
        purchase = self.processor.purchase_of(key)
        call = Call("refund", purchase.reference, purchase.payment_method) if purchase else Call("refund")

        async def job() -> Response:
            return answers.refund_answer(key, self.processor.refund(key))

        return await self._perform(request, self.faults.take(call), job, success=200)

    async def replace_faults(self, body: FaultList) -> FaultList:
        self.faults.replace(body.faults)
        return body

    async def show_ledger(self) -> Response:
        return answers.ledger_answer(self.ledger.entries())

    async def health(self) -> Response:
        return JSONResponse({"status": "ok"})

    async def _perform(self, request: Request, fault: Fault | None, job: Job, success: int) -> Response:
        match fault:
            case Fault(action="status"):
                return answers.status_fault(fault)
            case Fault(action="delay"):
                await self.delays.before_job(fault.seconds or 0)
                return await job()
            case Fault(action="timeout_after"):
                response = await job()
                await self.delays.withhold(_SECONDS_WITHHELD if fault.seconds is None else fault.seconds, request)
                return response
            case Fault(action="garbage"):
                await job()
                return answers.garbage(success)
            case _:
                return await job()
