"""What the span of a request says."""

from collections.abc import AsyncIterator
from typing import Annotated

import httpx
import pytest
from fastapi import FastAPI, Query
from fastapi.responses import StreamingResponse
from opentelemetry.trace import SpanKind, StatusCode
from outboxed.web import ApiError, TokenVerifier, create_http_app

from ..spans import PARENT, TRACE_ID, Spans, only, said


@pytest.fixture
def app() -> FastAPI:
    app = create_http_app(title="bank", version="1", token_verifier=TokenVerifier((), issuer="", audience="", roles=()))

    @app.get("/accounts/{account_id}")
    async def account(account_id: str) -> str:
        if account_id == "broken":
            raise ZeroDivisionError("a bug")
        if account_id == "away":
            raise ApiError(503, "AWAY", "away")
        return account_id

    @app.get("/transfers")
    async def transfers(page: int = 1, sort_by: Annotated[list[str] | None, Query(alias="sort")] = None) -> int:
        del sort_by
        return page

    @app.get("/statement")
    async def statement() -> StreamingResponse:
        async def pages() -> AsyncIterator[bytes]:
            yield b"page 1"
            raise ZeroDivisionError("a bug")

        return StreamingResponse(pages())

    return app


async def answer(app: FastAPI, method: str, path: str, **headers: str) -> None:
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://bank.test:8000") as client:
        await client.request(method, path, headers={"x-request-id": "r-1", **headers})


async def test_a_request_is_a_server_span_with_its_route(app: FastAPI, spans: Spans) -> None:
    await answer(app, "GET", "/accounts/7", traceparent=PARENT)

    span = only(spans)
    assert (span.name, span.kind, span.status.status_code) == (
        "GET /accounts/{account_id}",
        SpanKind.SERVER,
        StatusCode.UNSET,
    )
    assert said(span) == {
        "http.request.method": "GET",
        "http.route": "/accounts/{account_id}",
        "http.response.status_code": 200,
        "url.path": "/accounts/7",
        "url.scheme": "http",
        "server.address": "bank.test",
        "server.port": 8000,
        "outboxed.service": "bank",
        "outboxed.request.id": "r-1",
    }
    assert span.parent is not None
    assert span.parent.trace_id == int(TRACE_ID, 16)


@pytest.mark.parametrize(
    ("path", "told"),
    [
        ("/transfers?page=2", "page=REDACTED"),
        ("/transfers?sort=day&page=2&sort=amount", "sort=REDACTED&page=REDACTED"),
        ("/transfers?p%61ge=2", "page=REDACTED"),
        ("/transfers?page=2&ada%40example.com=1&ada&%ff=", "page=REDACTED&other=REDACTED"),
        ("/transfers?sort_by=ada", "other=REDACTED"),
        ("/accounts/7?page=ada", "other=REDACTED"),
        ("/nowhere?page=2", "other=REDACTED"),
        ("/transfers?page=ada", "page=REDACTED"),
        ("/transfers?", None),
    ],
)
async def test_of_a_query_the_span_has_the_names_that_the_route_knows_and_no_values(
    app: FastAPI, spans: Spans, path: str, told: str | None
) -> None:
    await answer(app, "GET", path)

    assert said(only(spans)).get("url.query") == told


async def test_a_query_that_nobody_records_is_not_looked_at(app: FastAPI, monkeypatch: pytest.MonkeyPatch) -> None:
    def never() -> None:
        raise AssertionError("the document takes its time")

    monkeypatch.setattr(app, "openapi", never)

    await answer(app, "GET", "/transfers?page=2")


@pytest.mark.parametrize(
    ("path", "status", "error"),
    [("/accounts/broken", 500, "ZeroDivisionError"), ("/accounts/away", 503, "503"), ("/nowhere", 404, None)],
)
async def test_a_request_fails_by_an_error_or_its_status(
    app: FastAPI, spans: Spans, path: str, status: int, error: str | None
) -> None:
    await answer(app, "GET", path)

    told = said(only(spans))
    assert (told["http.response.status_code"], told.get("error.type")) == (status, error)
    assert (only(spans).status.status_code is StatusCode.ERROR) is (error is not None)


async def test_an_answer_that_breaks_off_has_failed_and_has_its_route_and_status(app: FastAPI, spans: Spans) -> None:
    with pytest.raises((ZeroDivisionError, ExceptionGroup)) as raised:  # an older Starlette raises it in a group
        await answer(app, "GET", "/statement")

    told = said(only(spans))
    assert only(spans).name == "GET /statement"
    assert (told["http.response.status_code"], told["error.type"]) == (200, type(raised.value).__name__)


@pytest.mark.parametrize("port", ["9" * 30, "9" * 5000, "-1", ""])
async def test_a_port_that_is_none_is_not_recorded(app: FastAPI, spans: Spans, port: str) -> None:
    await answer(app, "GET", "/accounts/7", host=f"bank.test:{port}")

    assert "server.port" not in said(only(spans))


async def test_a_path_without_a_route_and_a_method_of_nobodys_make_no_name_of_their_own(
    app: FastAPI, spans: Spans
) -> None:
    await answer(app, "BREW", "/pot-7")

    assert only(spans).name == "HTTP"
    told = said(only(spans))
    assert (told["http.request.method"], told["http.request.method_original"]) == ("_OTHER", "BREW")


async def test_what_machines_poll_is_not_recorded(app: FastAPI, spans: Spans) -> None:
    await answer(app, "GET", "/metrics")

    assert spans.get_finished_spans() == ()
