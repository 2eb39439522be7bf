"""The endpoints that every process serves, whatever its role: health, metrics, the AsyncAPI document."""

import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from fastapi import APIRouter
from fastapi.responses import HTMLResponse, JSONResponse, Response
from faststream.specification import Specification, get_asyncapi_html
from prometheus_client import CONTENT_TYPE_LATEST

from outboxed.web._health import Health, HealthStatus

PATHS = ("/health/live", "/health/ready", "/metrics", "/asyncapi", "/asyncapi.json")


@dataclass(frozen=True)
class _Document:
    """A document as FastStream's page takes it."""

    title: str
    content: dict[str, Any]

    def to_json(self) -> str:
        return json.dumps(self.content)

    def to_jsonable(self) -> Any:
        return self.content

    def to_yaml(self) -> str:
        return self.to_json()  # JSON is YAML, too


def operations_router(health: Health, scrape: Callable[[], Awaitable[bytes]], asyncapi: dict[str, Any]) -> APIRouter:
    """Routes at the root of a service."""
    router = APIRouter(tags=["operations"])

    @router.get("/health/live")
    async def live() -> Response:
        return _answer(health.live())

    @router.get("/health/ready")
    async def ready() -> Response:
        return _answer(await health.ready())

    @router.get("/metrics")
    async def metrics() -> Response:
        return Response(await scrape(), media_type=CONTENT_TYPE_LATEST)

    @router.get("/asyncapi.json")
    async def asyncapi_json() -> dict[str, Any]:
        return asyncapi

    @router.get("/asyncapi", response_class=HTMLResponse)
    async def asyncapi_page() -> str:
        specification: Specification = _Document(asyncapi["info"]["title"], asyncapi)
        return get_asyncapi_html(specification, try_it_out_path=None)

    return router


def _answer(verdict: HealthStatus) -> JSONResponse:
    body = {"status": "ok"} if verdict.ok else {"status": "failing", "reason": verdict.reason}
    return JSONResponse(body, status_code=200 if verdict.ok else 503)
