"""The gateway's HTTP API; sandbox/README.md has its tables."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Annotated

from fastapi import APIRouter, Depends, FastAPI, Header, Query, Request
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


@dataclass(frozen=True)
class Gateway:
    """What the calls need; a test overrides `gateway` with its own."""

    ledger: Ledger
    processor: Processor
    faults: Faults
    delays: Delays

    @classmethod
    def of(cls, ledger: Ledger, *, sleep: Sleep = asyncio.sleep, stopping: asyncio.Event | None = None) -> "Gateway":
        """One without faults. `sleep` takes seconds; setting `stopping` ends every wait at once."""
        return cls(ledger, Processor(ledger), Faults(), Delays(sleep, stopping or asyncio.Event()))


async def gateway(request: Request) -> Gateway:
    provided: Gateway = request.app.state.gateway
    return provided


Needs = Annotated[Gateway, Depends(gateway)]
router = APIRouter()


def create_app(ledger: Ledger, *, sleep: Sleep = asyncio.sleep, stopping: asyncio.Event | None = None) -> FastAPI:
    """Build the gateway on a ledger; the others are Gateway.of's."""
    # FastAPI's own pages would load from elsewhere
    app = FastAPI(
        title="Payment gateway (sandbox)", docs_url=None, redoc_url=None, exception_handlers=answers.ERROR_HANDLERS
    )
    app.state.gateway = Gateway.of(ledger, sleep=sleep, stopping=stopping)
    app.include_router(router)
    return app


@router.post("/v1/charges", status_code=201)
async def charge(request: Request, body: ChargeRequest, idempotency_key: IdempotencyKey, needs: Needs) -> Response:
    terms = card(body.payment_method)
    fault = needs.faults.take(Call("charge", body.reference, body.payment_method))

    async def job() -> Response:
        # Late cards are late before the decision, and the decision has no await inside: calls of one key can't
        # overlap, and a refund that came in the meantime is seen.
        await needs.delays.before_job(terms.seconds_before_charge)
        ignore_key = fault is not None and fault.action == "ignore_key"
        decision = needs.processor.charge(idempotency_key, Purchase(**body.model_dump()), ignore_key=ignore_key)
        if decision.is_first_charge:
            await needs.delays.withhold(terms.seconds_before_first_answer, request)
        return answers.charge_answer(decision)

    return await _perform(needs.delays, request, fault, job, success=201)


@router.get("/v1/charges")
async def list_charges(request: Request, reference: Annotated[str, Query(min_length=1)], needs: Needs) -> Response:
    async def job() -> Response:
        return answers.charges_answer(needs.processor.charges(reference))

    return await _perform(needs.delays, request, needs.faults.take(Call("list", reference)), job, success=200)


@router.post("/v1/refunds")
async def refund(request: Request, body: RefundRequest, needs: Needs) -> Response:
    key = body.idempotency_key
    purchase = needs.processor.purchase_of(key)
    call = Call("refund", purchase.reference, purchase.payment_method) if purchase else Call("refund")

    async def job() -> Response:
        return answers.refund_answer(key, needs.processor.refund(key))

    return await _perform(needs.delays, request, needs.faults.take(call), job, success=200)


@router.put("/_faults")
async def replace_faults(body: FaultList, needs: Needs) -> FaultList:
    needs.faults.replace(body.faults)
    return body


@router.get("/_ledger")
async def show_ledger(needs: Needs, reference: str | None = None) -> Response:
    """All entries, or those of one reference."""
    entries = needs.ledger.entries() if reference is None else needs.ledger.of_reference(reference)
    return answers.ledger_answer(entries)


@router.get("/health")
async def health() -> Response:
    return JSONResponse({"status": "ok"})


async def _perform(delays: Delays, request: Request, fault: Fault | None, job: Job, success: int) -> Response:
    match fault:
        case Fault(action="status"):
            return answers.status_fault(fault)
        case Fault(action="delay"):
            await delays.before_job(fault.seconds or 0)
            return await job()
        case Fault(action="timeout_after"):
            response = await job()
            await delays.withhold(_SECONDS_WITHHELD if fault.seconds is None else fault.seconds, request)
            return response
        case Fault(action="garbage"):
            await job()
            return answers.garbage(success)
        case _:
            return await job()
