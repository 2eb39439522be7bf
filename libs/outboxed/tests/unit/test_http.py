"""The shared HTTP side: one error shape, request and trace ids, a body limit, who calls."""

import re
from collections.abc import AsyncIterator
from typing import Annotated, Any
from urllib.parse import urlsplit

import httpx
import pytest
import structlog
from outboxed.errors import TransientError
from outboxed.telemetry import add_log_fields, current_trace_id, current_traceparent
from outboxed.testing.tokens import KeyPair
from outboxed.web import (
    Caller,
    Encode,
    Health,
    Principal,
    TokenVerifier,
    create_http_app,
    forbidden,
    not_found,
    operations_router,
    with_role,
)
from outboxed.web._http import MAX_BODY_BYTES
from pydantic import BaseModel
from sqlalchemy import exc

TRACE_ID = "4bf92f3577b34da6a3ce929d0e0e4736"
ERRORS: dict[str, Exception] = {
    "missing": not_found("order"),
    "forbidden": forbidden("not yours"),
    "bug": RuntimeError("canary: a password"),
    "cut": ConnectionResetError("canary"),
    "refused": ConnectionRefusedError("canary"),
    "away": TransientError("canary"),
    "pool": exc.TimeoutError("canary"),
}


class Body(BaseModel):
    items: list[int]


@pytest.fixture(scope="session")
def keys() -> KeyPair:
    return KeyPair.generate(issuer="login", audience="bank", role="clerk")


@pytest.fixture(scope="session")
async def client(keys: KeyPair) -> AsyncIterator[httpx.AsyncClient]:
    verifier = TokenVerifier([keys.public], issuer="login", audience="bank", roles=("customer", "clerk"))
    app = create_http_app(title="bank", version="1", token_verifier=verifier)

    async def no_problem() -> None:
        return None

    async def scrape(encode: Encode) -> bytes:
        del encode
        return b"up 1\n"

    @app.get("/api/trace")
    async def trace() -> dict[str, str | None]:
        return {"trace_id": current_trace_id(), "traceparent": current_traceparent()}

    @app.get("/api/accounts/{account_id}")
    async def account(account_id: str) -> str:
        add_log_fields(account_id=account_id)
        return account_id

    @app.get("/api/errors/{name}")
    async def fail(name: str) -> None:
        raise ERRORS[name]

    @app.post("/api/bodies")
    async def read(body: Body) -> int:
        return len(body.items)

    @app.get("/api/me")
    async def me(caller: Caller) -> str:
        return caller.role

    @app.get("/api/secrets")
    async def secrets(_: Annotated[Principal, with_role("clerk")]) -> str:
        return "ours"

    document = {"info": {"title": "bank"}}
    app.include_router(operations_router(Health(schema_problem=no_problem), scrape, document))
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="http://bank") as client:
        yield client


def error_of(response: httpx.Response) -> tuple[int, str]:
    error = response.json()["error"]
    assert error["message"]
    assert error["request_id"] == response.headers["x-request-id"]
    return response.status_code, error["code"]


@pytest.mark.parametrize(
    ("name", "status", "code"),
    [
        ("missing", 404, "NOT_FOUND"),
        ("forbidden", 403, "FORBIDDEN"),
        ("bug", 500, "INTERNAL_ERROR"),
        ("cut", 503, "UNAVAILABLE"),
        ("refused", 503, "UNAVAILABLE"),
        ("away", 503, "UNAVAILABLE"),
        ("pool", 503, "UNAVAILABLE"),
    ],
)
async def test_every_error_has_one_shape_and_no_inside_detail(
    client: httpx.AsyncClient, name: str, status: int, code: str
) -> None:
    response = await client.get(f"/api/errors/{name}")

    assert error_of(response) == (status, code)
    assert "canary" not in response.text
    assert ("retry-after" in response.headers) is (status == 503)
    assert int(response.headers.get("retry-after", "1")) <= 10, "seconds: a database is back soon"


async def test_the_line_of_an_inside_error_says_where_it_was_raised(client: httpx.AsyncClient) -> None:
    """The answer says nothing of it, so nobody would ever know."""
    with structlog.testing.capture_logs() as logs:
        structlog.get_config()["processors"].insert(0, structlog.processors.format_exc_info)  # as a process has it
        await client.get("/api/errors/bug")

    [line] = [line for line in logs if line["event"] == "internal_error"]
    assert "raise ERRORS[name]" in line.get("exception", "no traceback")


async def test_an_unknown_path_and_a_wrong_method_have_that_shape_too(client: httpx.AsyncClient) -> None:
    assert error_of(await client.get("/nowhere")) == (404, "NOT_FOUND")
    wrong = await client.delete("/api/me")
    assert (error_of(wrong), wrong.headers["Allow"]) == ((405, "METHOD_NOT_ALLOWED"), "GET")


@pytest.mark.parametrize(
    ("body", "field"),
    [
        (b'{"items": [1, "x"]}', "body.items.1"),
        (b"{}", "body.items"),
        (b"{nope", "body"),
        (b"\xff\xfe", "body"),
        (b"[" * 10_000, "body"),
        (b"", "body"),
    ],
)
async def test_a_wrong_body_is_refused_with_the_place_of_the_mistake(
    client: httpx.AsyncClient, body: bytes, field: str
) -> None:
    response = await client.post("/api/bodies", content=body, headers={"Content-Type": "application/json"})

    assert error_of(response) == (422, "VALIDATION_ERROR")
    assert response.json()["error"]["details"][0]["field"] == field


async def _in_pieces(size: int) -> AsyncIterator[bytes]:
    for _ in range(0, size, 8192):
        yield b" " * 8192


@pytest.mark.parametrize("announced", [True, False])
async def test_a_body_over_64_kib_is_refused_whatever_its_announced_length(
    client: httpx.AsyncClient, announced: bool
) -> None:
    content: Any = b" " * (MAX_BODY_BYTES + 1) if announced else _in_pieces(MAX_BODY_BYTES + 8192)

    response = await client.post("/api/bodies", content=content, headers={"Content-Type": "application/json"})

    assert error_of(response) == (413, "PAYLOAD_TOO_LARGE")


async def test_a_body_of_64_kib_is_read(client: httpx.AsyncClient) -> None:
    content = b'{"items": []}'.ljust(MAX_BODY_BYTES)

    response = await client.post("/api/bodies", content=content, headers={"Content-Type": "application/json"})

    assert response.status_code == 200


async def test_a_callers_request_id_is_taken_over(client: httpx.AsyncClient) -> None:
    response = await client.get("/api/errors/bug", headers={"X-Request-ID": "mine-7"})

    assert response.json()["error"]["request_id"] == response.headers["x-request-id"] == "mine-7"


@pytest.mark.parametrize("request_id", ["a" * 129, "ä".encode(), b"a\tb", ""])
async def test_an_odd_request_id_is_replaced(client: httpx.AsyncClient, request_id: Any) -> None:
    response = await client.get("/health/live", headers={"X-Request-ID": request_id})

    assert len(response.headers["x-request-id"]) == 36


async def test_every_request_has_an_id_of_its_own(client: httpx.AsyncClient) -> None:
    ids = {(await client.get("/health/live")).headers["x-request-id"] for _ in range(3)}

    assert len(ids) == 3


async def test_the_lines_of_a_request_have_its_own_fields_and_none_of_the_request_before(
    client: httpx.AsyncClient,
) -> None:
    with structlog.testing.capture_logs() as logs:  # both in one context, as on a connection that is kept
        structlog.get_config()["processors"].insert(0, structlog.contextvars.merge_contextvars)
        await client.get("/api/accounts/7")
        await client.get("/api/trace")

    [first, second] = [line for line in logs if line["event"] == "request"]
    written = {"event", "log_level", "method", "path", "status", "service", "request_id", "span_id", "trace_id"}
    assert first.keys() == written | {"account_id"}, "a query may have anything in it, and so may a header"
    assert (first["account_id"], "account_id" in second) == ("7", False)
    assert first["request_id"] != second["request_id"]


async def test_a_callers_trace_is_continued(client: httpx.AsyncClient) -> None:
    parent = f"00-{TRACE_ID}-00f067aa0ba902b7-01"

    trace = (await client.get("/api/trace", headers={"traceparent": parent})).json()

    assert trace["trace_id"] == TRACE_ID
    assert trace["traceparent"] != parent


@pytest.mark.parametrize("headers", [{}, {"traceparent": "nonsense"}])
async def test_without_a_readable_one_a_trace_begins(client: httpx.AsyncClient, headers: dict[str, str]) -> None:
    traces = [(await client.get("/api/trace", headers=headers)).json()["trace_id"] for _ in range(2)]

    assert all(len(trace) == 32 for trace in traces)
    assert traces[0] != traces[1]


async def test_who_calls_is_known_by_the_token(client: httpx.AsyncClient, keys: KeyPair) -> None:
    assert (await client.get("/api/me", headers=keys.bearer("customer"))).json() == "customer"


@pytest.mark.parametrize("headers", [{}, {"Authorization": "Bearer x"}, {"Authorization": "Basic eDp5"}])
async def test_nobody_in_particular_is_asked_to_log_in(client: httpx.AsyncClient, headers: dict[str, str]) -> None:
    response = await client.get("/api/me", headers=headers)

    assert error_of(response) == (401, "UNAUTHENTICATED")
    assert response.headers["www-authenticate"] == "Bearer"


async def test_only_who_has_the_role_sees_what_is_for_it(client: httpx.AsyncClient, keys: KeyPair) -> None:
    refused = await client.get("/api/secrets", headers=keys.bearer("customer"))
    allowed = await client.get("/api/secrets", headers=keys.bearer("clerk"))

    assert error_of(refused) == (403, "FORBIDDEN")
    assert allowed.json() == "ours"


async def test_health_metrics_and_documents_are_open_to_everybody(client: httpx.AsyncClient) -> None:
    paths = ["/health/live", "/health/ready", "/metrics", "/docs", "/asyncapi", "/asyncapi.json", "/openapi.json"]

    assert [(await client.get(path)).status_code for path in paths] == [200] * len(paths)


@pytest.mark.parametrize("path", ["/docs", "/asyncapi"])
async def test_a_page_loads_nothing_from_elsewhere_and_all_that_it_loads_is_there(
    client: httpx.AsyncClient, path: str
) -> None:
    page = (await client.get(path)).text
    loaded = re.findall(r"""(?:src=|href=|url: )["']([^"']+)""", page)

    assert {"docs/swagger-ui.js", "docs/asyncapi.js"} & set(loaded)
    for address in loaded:
        assert address == "data:," or not urlsplit(address).scheme, "relative: a proxy may put a prefix before it"
        assert address == "data:," or (await client.get(f"/{address}")).status_code == 200


@pytest.mark.parametrize("path", ["/docs/swagger-ui.js", "/docs/asyncapi.css"])
async def test_a_browser_asks_again_for_a_pages_files_after_a_release(client: httpx.AsyncClient, path: str) -> None:
    """Their names stay the same: a page of the new release needs its own scripts."""
    kept = (await client.get(path)).headers["cache-control"]

    [seconds] = re.findall(r"max-age=(\d+)", kept)
    assert int(seconds) <= 24 * 3600
    assert "immutable" not in kept


async def test_a_client_that_cannot_unpack_gets_a_pages_files_unpacked(client: httpx.AsyncClient) -> None:
    packed = await client.get("/docs/asyncapi.css", headers={"Accept-Encoding": "gzip"})
    plain = await client.get("/docs/asyncapi.css", headers={"Accept-Encoding": "identity"})

    assert (packed.headers.get("content-encoding"), plain.headers.get("content-encoding")) == ("gzip", None)
    assert {answer.headers.get("vary") for answer in (packed, plain)} == {"Accept-Encoding"}, "a cache keeps both"
    assert int(packed.headers["content-length"]) < int(plain.headers["content-length"]) / 3
    assert packed.text == plain.text
