"""The Pact Broker, asked whether the providers keep what the consumers expect."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Self
from urllib.parse import quote, urlencode

import httpx

from shop_console.facts import TIMEOUT_SECONDS
from shop_console.pacts import Pact
from shop_console.settings import Settings

NO_LOGIN = "refuses the login: check PACT_BROKER_TOKEN, or PACT_BROKER_USERNAME and PACT_BROKER_PASSWORD"


class State(StrEnum):
    """What the broker says of a pact between the newest versions of both main branches."""

    VERIFIED = "verified"
    FAILED = "failed"
    UNVERIFIED = "not verified"
    UNKNOWN = "unknown"


@dataclass(frozen=True)
class Contract:
    """A pact with its state; `words` name the versions that it's about, or say why nothing is known."""

    pact: Pact
    state: State = State.UNKNOWN
    words: str = ""


class BrokerError(Exception):
    """The broker says nothing of a pact, or of any; the message is a sentence's end."""


@dataclass(frozen=True)
class Broker:
    """A Pact Broker, asked as a reader. Its answers' links aren't followed: a proxy before it may name another host."""

    http: httpx.AsyncClient
    url: str
    headers: Mapping[str, str] = field(default_factory=dict)
    login: tuple[str, str] | None = None

    @classmethod
    def of(cls, settings: Settings, http: httpx.AsyncClient) -> Self | None:
        """By the settings; None where they name none."""
        if settings.pact_broker_base_url is None:
            return None
        url = settings.pact_broker_base_url.rstrip("/")
        if settings.pact_broker_token is not None:
            return cls(http, url, {"Authorization": f"Bearer {settings.pact_broker_token.get_secret_value()}"})
        return cls(http, url, login=settings.pact_broker_login)

    async def contracts(self, pacts: Sequence[Pact]) -> Sequence[Contract]:
        """The state of each. Raises BrokerError where the broker says nothing at all."""
        names = sorted({name for pact in pacts for name in (pact.consumer, pact.provider)})
        branches = dict(zip(names, await asyncio.gather(*map(self._main_branch, names)), strict=True))
        return await asyncio.gather(*(self._contract(pact, branches) for pact in pacts))

    async def _main_branch(self, name: str) -> str | None:
        """Empty where it has none; None for a participant that the broker doesn't know."""
        answer = await self._get(f"/pacticipants/{quote(name, safe='')}")
        return None if answer is None else answer.get("mainBranch") or ""

    async def _contract(self, pact: Pact, branches: Mapping[str, str | None]) -> Contract:
        asked: list[tuple[str, str]] = []
        for name in (pact.consumer, pact.provider):
            branch = branches[name]
            if branch is None:
                return Contract(pact, words=f"the broker doesn't know {name}")
            asked += [("q[][pacticipant]", name), ("q[][latest]", "true")]
            asked += [("q[][branch]", branch)] if branch else []
        # not as httpx' parameters, which stand together by their names: what follows a participant belongs to it
        answer = await self._get(f"/matrix?{urlencode([*asked, ('latestby', 'cvpv')])}")
        try:
            return _judged(pact, (answer or {}).get("matrix", []))
        except (KeyError, TypeError, AttributeError) as error:
            raise BrokerError(f"answers in another form ({error!r})") from None

    async def _get(self, path: str) -> dict[str, Any] | None:
        """The answer; None for what isn't there. Raises BrokerError."""
        try:
            answer = await self.http.get(
                f"{self.url}{path}",
                headers={"Accept": "application/hal+json, application/json", **self.headers},
                auth=self.login or httpx.USE_CLIENT_DEFAULT,
                timeout=TIMEOUT_SECONDS,
            )
            if answer.status_code in {httpx.codes.UNAUTHORIZED, httpx.codes.FORBIDDEN}:
                raise BrokerError(NO_LOGIN)
            if answer.status_code == httpx.codes.NOT_FOUND:
                return None
            found: dict[str, Any] = dict(answer.raise_for_status().json())
        except httpx.HTTPStatusError:
            raise BrokerError(f"answered {answer.status_code}") from None
        except httpx.HTTPError as error:
            raise BrokerError(f"did not answer ({type(error).__name__})") from None
        except (ValueError, TypeError):
            raise BrokerError("answers in another form, which is no JSON object") from None
        return found


def _judged(pact: Pact, rows: Sequence[Mapping[str, Any]]) -> Contract:
    """By the rows of this pact alone: where each of two expects something of the other, the broker tells of both."""
    own = [row for row in rows if (row["consumer"]["name"], row["provider"]["name"]) == (pact.consumer, pact.provider)]
    if not own:
        return Contract(pact, State.UNVERIFIED, f"the newest build of {pact.consumer}'s main branch has no such pact")
    row, result = own[0], own[0]["verificationResult"]
    versions = f"{pact.consumer} {_version(row['consumer'])}"
    if result is None:
        why = f"the newest build of {pact.provider}'s main branch has not verified it"
        return Contract(pact, State.UNVERIFIED, f"{versions}: {why}")
    state = State.VERIFIED if result["success"] is True else State.FAILED
    at = f", {result['verifiedAt']}" if result.get("verifiedAt") else ""
    return Contract(pact, state, f"{versions} with {pact.provider} {_version(row['provider'])}{at}")


def _version(participant: Mapping[str, Any]) -> str:
    version = participant.get("version")
    return str(version["number"]) if version else "of no version"
