"""The endpoints that every process serves, whatever its role: health, metrics, the AsyncAPI document, pages."""

from collections.abc import Awaitable, Callable
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse, Response
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import choose_encoder

from outboxed.web import _pages
from outboxed.web._health import Health, HealthStatus

Encode = Callable[[CollectorRegistry], bytes]
"""Metrics as text, in one of Prometheus' formats."""
PATHS = ("/health/live", "/health/ready", "/metrics", "/asyncapi.json", *_pages.PATHS)


def operations_router(
    health: Health, scrape: Callable[[Encode], Awaitable[bytes]], asyncapi: dict[str, Any]
) -> APIRouter:
    """Routes at the root of a service. A client that accepts OpenMetrics gets it from `/metrics`, with exemplars."""
    router = APIRouter(tags=["operations"])

    @router.get("/health/live")
    async def live() -> Response:
        return _answer(health.live())

    @router.get("/health/ready")
    async def ready() -> Response:
        return _answer(await health.ready())

    @router.get("/metrics")
    async def metrics(request: Request) -> Response:
        encode, media_type = choose_encoder(request.headers.get("accept", ""))
        return Response(await scrape(encode), media_type=media_type)

    @router.get("/asyncapi.json")
    async def asyncapi_json() -> dict[str, Any]:
        return asyncapi

    router.include_router(_pages.pages_router(asyncapi["info"]["title"]))
    return router


def _answer(verdict: HealthStatus) -> JSONResponse:
    body = {"status": "ok"} if verdict.ok else {"status": "failing", "reason": verdict.reason}
    return JSONResponse(body, status_code=200 if verdict.ok else 503)
