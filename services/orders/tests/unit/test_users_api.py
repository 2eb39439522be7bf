"""Users and tokens, through ASGITransport: no socket, no server, the real routing, validation and error handling."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import timedelta
from types import SimpleNamespace
from typing import Any
from uuid import uuid4

import httpx
import jwt
import pytest
from fastapi import FastAPI
from orders import api
from orders.domain import User
from orders.rate_limit import RateLimiter
from outboxed.storage import Clock
from outboxed.testing.services import always
from outboxed.web import ApiError

from ..factories import PASSWORD, UserFactory
from ..fakes import PlainPasswords, stored
from .calls import NEW_USER, error_of
from .conftest import Database, Headers


async def test_registering_gives_the_user_and_never_the_password(client: httpx.AsyncClient) -> None:
    response = await client.post("/users", json=NEW_USER)

    assert response.status_code == 201
    user = response.json()
    assert (user["email"], user["is_member"], user["is_active"]) == ("ada@example.com", False, True)
    assert set(user) == {"id", "email", "name", "is_member", "is_active", "created_at"}


async def test_an_address_has_one_account_whatever_its_case(client: httpx.AsyncClient) -> None:
    await client.post("/users", json=NEW_USER)

    assert error_of(await client.post("/users", json={**NEW_USER, "email": "ADA@example.com"})) == (409, "CONFLICT")


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("email", "no-at-sign"),
        ("email", "two@at@example.com"),
        ("email", "line\nbreak@example.com"),
        ("email", "a" * 250 + "@example.com"),
        ("email", "a" * 65 + "@example.com"),
        ("email", "ada@localhost"),
        ("email", "ada@shop.localhost"),
        ("email", "ada@shop.INVALID"),
        ("email", "ada@[127.0.0.1]"),
        ("email", "ada@[IPv6:::1]"),
        ("email", "ada@127.0.0.1"),
        ("email", "ada@example.com."),
        ("email", "ada@-example.com"),
        ("email", ".ada@example.com"),
        ("email", "ada..b@example.com"),
        ("email", '"ada b"@example.com'),
        ("email", "Ada <ada@example.com>"),
        ("email", "=?utf-8?q?ada?=@example.com"),
        ("email", "ada\u200b@example.com"),
        ("email", "ada@exam\u00adple.com"),
        ("name", ""),
        ("name", "   "),
        ("name", "a" * 201),
        ("name", "nul\0byte"),
        ("name", "Ada\u0085Bcc: eve"),
        ("name", "Ada\u2028Lovelace"),
        ("name", "\u200b\u200d"),
        ("name", "\ufeff"),
        ("name", "\u3164"),
        ("name", "\u00ad \u2060"),
        ("name", "\u0301"),
        ("name", "=?utf-8?q?=45ve?="),
        ("name", "Ada =?UTF-8?B?RXZl?="),
        ("password", "1234567"),
        ("password", "1" * 129),
        ("password", None),
    ],
)
async def test_a_field_outside_its_limits_is_named(client: httpx.AsyncClient, field: str, value: str) -> None:
    response = await client.post("/users", json={**NEW_USER, field: value})

    assert error_of(response) == (422, "VALIDATION_ERROR")
    assert [detail["field"] for detail in response.json()["error"]["details"]] == [f"body.{field}"]


@pytest.mark.parametrize(
    "user",
    [
        {**NEW_USER, "name": "a" * 200},
        {**NEW_USER, "password": "1" * 128},
        {**NEW_USER, "password": "12345678"},
        {**NEW_USER, "name": "Zoë 李"},
        {**NEW_USER, "name": "\u0646\u200c\u06cc \U0001f468\u200d\U0001f469"},
        {**NEW_USER, "name": "=?"},
        {**NEW_USER, "email": "a+b.c@mail.example.com"},
        {**NEW_USER, "email": "a=?b?=@xn--bcher-kva.example"},
        {**NEW_USER, "email": "a" * 64 + "@example.com"},
    ],
)
async def test_a_field_at_its_limit_is_accepted(client: httpx.AsyncClient, user: dict[str, str]) -> None:
    assert (await client.post("/users", json=user)).status_code == 201


async def test_a_user_sees_their_own_account(client: httpx.AsyncClient, customer: User, bearer: Headers) -> None:
    response = await client.get(f"/users/{customer.id}", headers=bearer(customer))

    assert response.json()["email"] == customer.email


async def test_an_operator_sees_every_account(
    client: httpx.AsyncClient, customer: User, operator: User, bearer: Headers
) -> None:
    assert (await client.get(f"/users/{customer.id}", headers=bearer(operator))).status_code == 200


async def test_an_account_that_is_unknown_or_somebody_elses_is_not_found(
    client: httpx.AsyncClient, database: Database, customer: User, operator: User, bearer: Headers
) -> None:
    somebody = UserFactory.create()
    await stored(database, users=[somebody])

    for user_id in (somebody.id, uuid4(), "no-uuid"):
        response = await client.get(f"/users/{user_id}", headers=bearer(customer))
        assert error_of(response) == (404, "NOT_FOUND")
    assert error_of(await client.get(f"/users/{uuid4()}", headers=bearer(operator))) == (404, "NOT_FOUND")


async def test_only_an_operator_changes_a_membership(
    client: httpx.AsyncClient, customer: User, operator: User, bearer: Headers
) -> None:
    url, member = f"/users/{customer.id}/membership", {"is_member": True}

    assert error_of(await client.put(url, json=member, headers=bearer(customer))) == (403, "FORBIDDEN")
    response = await client.put(url, json=member, headers=bearer(operator))
    assert (response.status_code, response.json()["is_member"]) == (200, True)
    for unclear in ("yes", "false", 1, None):
        refused = await client.put(url, json={"is_member": unclear}, headers=bearer(operator))
        assert error_of(refused) == (422, "VALIDATION_ERROR"), unclear
    unknown = await client.put(f"/users/{uuid4()}/membership", json=member, headers=bearer(operator))
    assert error_of(unknown) == (404, "NOT_FOUND")


async def test_a_registered_user_gets_a_token_that_works(client: httpx.AsyncClient) -> None:
    user = (await client.post("/users", json=NEW_USER)).json()

    response = await client.post("/tokens", data={"username": "Ada@Example.com", "password": PASSWORD})

    token = response.json()
    assert (response.status_code, token["token_type"], token["expires_in"]) == (200, "bearer", 3600)
    claims = jwt.decode(token["access_token"], options={"verify_signature": False})
    assert claims["sub"] == user["id"]
    assert (claims["iss"], claims["aud"], claims["role"]) == ("orders", "shop", "customer")
    headers = {"Authorization": f"Bearer {token['access_token']}"}
    assert (await client.get(f"/users/{user['id']}", headers=headers)).status_code == 200


@pytest.mark.parametrize("username", ["ada@example.com", "nobody@example.com", "nul\0byte"])
async def test_a_wrong_password_and_an_unknown_address_get_the_same_answer(
    client: httpx.AsyncClient, username: str
) -> None:
    await client.post("/users", json=NEW_USER)

    response = await client.post("/tokens", data={"username": username, "password": "wrong horse"})

    assert error_of(response) == (401, "UNAUTHENTICATED")
    assert response.json()["error"]["message"] == "wrong e-mail address or password"


@pytest.fixture
def limit(app: FastAPI, dependencies: api.Dependencies) -> Callable[..., None]:
    """Lets each address call so often; other parts of the API may be replaced, too."""

    def replaced(per_minute: int, **parts: Any) -> None:
        parts = {**vars(dependencies), "rate_limiter": RateLimiter(per_minute), **parts}
        app.dependency_overrides[api.dependencies] = always(api.Dependencies(**parts))

    return replaced


async def test_guessing_is_slowed_down(client: httpx.AsyncClient, limit: Callable[..., None]) -> None:
    limit(per_minute=2)
    guess = {"username": "ada@example.com", "password": "guess"}

    statuses = [(await client.post("/tokens", data=guess)).status_code for _ in range(3)]

    assert statuses == [401, 401, 429]


@pytest.mark.parametrize("header", ["X-Forwarded-For", "X-Real-IP", "Forwarded"])
async def test_nobody_says_by_a_header_who_is_guessing(
    client: httpx.AsyncClient, limit: Callable[..., None], header: str
) -> None:
    limit(per_minute=1)
    guess = {"username": "ada@example.com", "password": "guess"}

    answers = [
        await client.post("/tokens", data=guess, headers={header: address}) for address in ("192.0.2.1", "192.0.2.2")
    ]

    assert [answer.status_code for answer in answers] == [401, 429]


WRITTEN_BY_ANYBODY: dict[str, dict[str, Any]] = {
    "/api/v1/users": {"json": NEW_USER},
    "/api/v1/tokens": {"data": {"username": "ada@example.com", "password": "guess"}},
}
"""What nobody needs a token for and is no mere look, each with what is sent."""


async def test_what_anybody_may_have_done_is_limited_and_says_when_to_come_again(
    app: FastAPI, client: httpx.AsyncClient, limit: Callable[..., None]
) -> None:
    limit(per_minute=1)
    found = {
        path
        for path, calls in app.openapi()["paths"].items()
        for method, call in calls.items()
        if method != "get" and "security" not in call
    }

    assert found == WRITTEN_BY_ANYBODY.keys(), "limit it, and say here what is sent"
    for path, content in WRITTEN_BY_ANYBODY.items():
        url = path.removeprefix("/api/v1")
        first, second = [await client.post(url, **content) for _ in range(2)]
        assert first.status_code != 429, path
        assert (*error_of(second), second.headers.get("Retry-After")) == (429, "RATE_LIMITED", "60"), path


class Watched(PlainPasswords):
    """Notes for each password how many transactions are open while it's worked on."""

    def __init__(self, database: Database) -> None:
        super().__init__()
        self._database = database
        self._open = 0
        self.open_then: list[int] = []

    @asynccontextmanager
    async def unit_of_work(self, *, reading: bool = False) -> AsyncIterator[Any]:
        async with self._database(reading=reading) as uow:
            self._open += 1
            try:
                yield uow
            finally:
                self._open -= 1

    async def hash(self, password: str) -> str:
        self.open_then.append(self._open)
        return await super().hash(password)

    async def verify(self, password_hash: str, password: str) -> bool:
        self.open_then.append(self._open)
        return await super().verify(password_hash, password)


@pytest.fixture
def watched(database: Database, limit: Callable[..., None]) -> Watched:
    """Behind the API, which takes one call a minute."""
    passwords = Watched(database)
    limit(per_minute=1, unit_of_work=passwords.unit_of_work, passwords=passwords)
    return passwords


@pytest.mark.parametrize("path", WRITTEN_BY_ANYBODY)
async def test_a_password_costs_nothing_of_whom_is_refused_and_holds_no_connection(
    client: httpx.AsyncClient, database: Database, watched: Watched, path: str
) -> None:
    if path.endswith("/tokens"):
        user: User = UserFactory.create(email="ada@example.com")
        await stored(database, users=[user])
    answers = [await client.post(path.removeprefix("/api/v1"), **WRITTEN_BY_ANYBODY[path]) for _ in range(2)]

    assert answers[1].status_code == 429
    assert watched.open_then == [0], "the second is refused before its password is worked on, and no transaction waits"


async def test_who_called_too_often_shuts_out_no_other_address(app: FastAPI, limit: Callable[..., None]) -> None:
    limit(per_minute=1)

    for address in ("192.0.2.1", "192.0.2.2", "2001:db8::1"):
        transport = httpx.ASGITransport(app, client=(address, 40000))
        async with httpx.AsyncClient(transport=transport, base_url="http://orders/api/v1") as client:
            guess = WRITTEN_BY_ANYBODY["/api/v1/tokens"]
            statuses = [(await client.post("/tokens", **guess)).status_code for _ in range(2)]

        assert statuses == [401, 429], address


async def test_so_many_a_minute_are_neither_so_many_a_second_nor_so_many_an_hour(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    now = 1000.0
    monkeypatch.setattr("limits.aio.storage.memory.time", SimpleNamespace(time=lambda: now))
    limiter = RateLimiter(per_minute=1)

    await limiter.check("create_token", "127.0.0.1")
    now += 59
    with pytest.raises(ApiError):
        await limiter.check("create_token", "127.0.0.1")
    now += 2
    await limiter.check("create_token", "127.0.0.1")


async def test_a_limit_holds_for_any_minute_not_for_each_one_that_begins(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 1000.0
    monkeypatch.setattr("limits.aio.storage.memory.time", SimpleNamespace(time=lambda: now))
    limiter = RateLimiter(per_minute=2)

    for now in (1000.0, 1059.0, 1061.0):  # noqa: B007 - the limiter's clock
        await limiter.check("create_token", "127.0.0.1")

    with pytest.raises(ApiError):  # the third within three seconds
        await limiter.check("create_token", "127.0.0.1")


async def test_an_answer_with_a_token_stays_in_no_cache_and_no_two_tokens_are_one(client: httpx.AsyncClient) -> None:
    await client.post("/users", json=NEW_USER)

    answers = [
        await client.post("/tokens", data={"username": NEW_USER["email"], "password": PASSWORD}) for _ in range(2)
    ]

    tokens = [answer.json()["access_token"] for answer in answers]
    ids = [jwt.decode(token, options={"verify_signature": False})["jti"] for token in tokens]
    assert [answer.headers["Cache-Control"] for answer in answers] == ["no-store"] * 2
    assert ids[0] != ids[1]


def _forged(**claims: Any) -> str:
    valid = {"iss": "orders", "aud": "shop", "sub": str(uuid4()), "role": "operator", "jti": "1"}
    return jwt.encode({**valid, "iat": 1, "exp": 2**40, **claims}, "a-secret-of-thirty-two-characters", "HS256")


@pytest.mark.parametrize(
    "authorization",
    [
        {},
        {"Authorization": "Basic YTpi"},
        {"Authorization": "Bearer nonsense"},
        {"Authorization": f"Bearer {_forged()}"},
        {"Authorization": f"Bearer {jwt.encode({'sub': str(uuid4())}, '', 'none')}"},
    ],
    ids=["none", "basic", "nonsense", "another algorithm", "alg none"],
)
@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/users/1"),
        ("PUT", "/users/1/membership"),
        ("POST", "/orders"),
        ("GET", "/orders"),
        ("GET", "/orders/1"),
        ("POST", "/orders/1/cancel"),
    ],
)
async def test_nobody_gets_in_without_a_token_of_ours(
    client: httpx.AsyncClient, method: str, path: str, authorization: dict[str, str]
) -> None:
    assert error_of(await client.request(method, path, headers=authorization)) == (401, "UNAUTHENTICATED")


async def test_an_expired_token_is_refused(
    client: httpx.AsyncClient, customer: User, bearer: Headers, clock: Clock
) -> None:
    clock.advance(timedelta(hours=-2))

    assert error_of(await client.get("/orders", headers=bearer(customer))) == (401, "UNAUTHENTICATED")
