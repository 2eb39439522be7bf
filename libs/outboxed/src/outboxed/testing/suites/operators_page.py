"""Tests of a list that operators look at, and of who may not."""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, ClassVar
from uuid import uuid4

import httpx
import jwt
import pytest

from outboxed.testing.tokens import KeyPair


def _another_pair(keys: KeyPair) -> KeyPair:
    return KeyPair.generate(issuer=keys.issuer, audience=keys.audience, role=keys.role)


def _unsigned(keys: KeyPair) -> str:
    claims: dict[str, Any] = jwt.decode(keys.token(), options={"verify_signature": False})
    return jwt.encode(claims, "", "none")


INTRUDERS: Mapping[str, Callable[[KeyPair], Mapping[str, str]]] = {
    "no token": lambda _: {},
    "another scheme": lambda _: {"Authorization": "Basic YTpi"},
    "no JWT": lambda _: {"Authorization": "Bearer nonsense"},
    "another key": lambda keys: _another_pair(keys).bearer(),
    "expired": lambda keys: keys.bearer(exp=datetime.now(UTC) - timedelta(hours=1)),
    "another audience": lambda keys: keys.bearer(aud="warehouse"),
    "another issuer": lambda keys: keys.bearer(iss="somebody-else"),
    "an unknown role": lambda keys: keys.bearer("root"),
    "no user": lambda keys: keys.bearer(sub="me"),
    "alg none": lambda keys: {"Authorization": f"Bearer {_unsigned(keys)}"},
}


class OperatorsPageSuite:
    """A list that operators look at by the id of what it is about. Needs the fixtures `client` and `keys`."""

    path: ClassVar[str]
    """Up to the id, such as `/payments?order_id=`."""

    async def test_an_unknown_id_has_an_empty_list(self, client: httpx.AsyncClient, keys: KeyPair) -> None:
        response = await self.look(client, keys.bearer())

        assert (response.status_code, response.json()) == (200, {"items": []})

    @pytest.mark.parametrize("given", [None, "no-uuid", "7"])
    async def test_the_id_has_to_be_given(self, client: httpx.AsyncClient, keys: KeyPair, given: str | None) -> None:
        path, _, parameter = self.path.partition("?")

        response = await client.get(self.path + given if given else path, headers=keys.bearer())

        error = response.json()["error"]
        assert (response.status_code, error["code"]) == (422, "VALIDATION_ERROR")
        assert error["details"][0]["field"] == f"query.{parameter.rstrip('=')}"

    async def test_a_customer_may_not_look(self, client: httpx.AsyncClient, keys: KeyPair) -> None:
        response = await self.look(client, keys.bearer("customer"))

        assert (response.status_code, response.json()["error"]["code"]) == (403, "FORBIDDEN")

    @pytest.mark.parametrize("intruder", INTRUDERS)
    async def test_nobody_looks_without_a_token_of_the_issuer(
        self, client: httpx.AsyncClient, keys: KeyPair, intruder: str
    ) -> None:
        response = await self.look(client, INTRUDERS[intruder](keys))

        assert (response.status_code, response.json()["error"]["code"]) == (401, "UNAUTHENTICATED")

    async def look(self, client: httpx.AsyncClient, headers: Mapping[str, str]) -> httpx.Response:
        return await client.get(f"{self.path}{uuid4()}", headers=headers)
