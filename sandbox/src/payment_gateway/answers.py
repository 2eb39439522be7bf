"""Decisions and faults as HTTP answers; every error has the shape `{error: {code, message}}`."""

import math
from collections.abc import Callable, Coroutine
from typing import Any

from fastapi import Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response
from starlette.exceptions import HTTPException

from payment_gateway.delays import StoppingError
from payment_gateway.faults import Fault
from payment_gateway.ledger import Entry, Outcome
from payment_gateway.processor import Charge, Decision

_REFUSALS = {
    Outcome.DECLINED: (402, "the card was declined", "card_declined"),
    Outcome.KEY_REFUNDED: (409, "this idempotency key was refunded and charges no more", "key_refunded"),
    Outcome.KEY_REUSED: (422, "this idempotency key was used for another charge", "key_reused"),
    Outcome.UNAVAILABLE: (503, "try again", "unavailable"),
}


def error(status: int, code: str, message: str, headers: dict[str, str] | None = None) -> JSONResponse:
    return JSONResponse({"error": {"code": code, "message": message}}, status, headers)


def charge_answer(decision: Decision) -> JSONResponse:
    if refusal := _REFUSALS.get(decision.entry.outcome):
        status, message, code = refusal
        return error(status, code, message)
    return JSONResponse({"id": decision.entry.id, "status": "succeeded"}, 201)


def refund_answer(key: str, charge: Entry | None) -> JSONResponse:
    return JSONResponse({"idempotency_key": key, "refunded_charge": charge.id if charge else None})


def charges_answer(charges: list[Charge]) -> JSONResponse:
    items = [
        {
            "id": charge.entry.id,
            "idempotency_key": charge.entry.idempotency_key,
            "reference": charge.entry.reference,
            "amount": charge.entry.amount,
            "currency": charge.entry.currency,
            "status": "refunded" if charge.refunded else "succeeded",
        }
        for charge in charges
    ]
    return JSONResponse({"items": items})


def ledger_answer(entries: list[Entry]) -> JSONResponse:
    shown = ("id", "at", "operation", "idempotency_key", "reference", "amount", "currency", "outcome")
    return JSONResponse({"entries": [{name: getattr(entry, name) for name in shown} for entry in entries]})


def status_fault(fault: Fault) -> JSONResponse:
    status = fault.status or 503
    retry_after = fault.seconds is not None and status in {429, 503}
    headers = {"Retry-After": str(math.ceil(fault.seconds or 0))} if retry_after else None
    return error(status, "fault", "a fault that was asked for", headers)


def garbage(status: int) -> Response:
    return Response(b'{"id": \xff\x00<html>', status, media_type="application/json")


async def on_validation_error(_: Request, problem: Exception) -> JSONResponse:
    errors = problem.errors() if isinstance(problem, RequestValidationError) else []
    message = "; ".join(f"{'.'.join(map(str, each['loc']))}: {each['msg']}" for each in errors)
    return error(422, "validation_error", message)


async def on_http_error(_: Request, problem: Exception) -> JSONResponse:
    if not isinstance(problem, HTTPException):
        return error(500, "internal_error", "the gateway failed; its log says why")
    code = {404: "not_found", 405: "method_not_allowed"}.get(problem.status_code, "bad_request")
    return error(problem.status_code, code, str(problem.detail), dict(problem.headers or {}))


async def on_stopping(_: Request, __: Exception) -> JSONResponse:
    return error(503, "stopping", "the gateway stops; nothing was done")


ERROR_HANDLERS: dict[int | type[Exception], Callable[[Request, Any], Coroutine[Any, Any, Response]]] = {
    RequestValidationError: on_validation_error,
    HTTPException: on_http_error,
    StoppingError: on_stopping,
    Exception: on_http_error,
}
