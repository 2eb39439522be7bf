"""What the services, the gateway and the mail catcher know of one order, asked over HTTP at the same time."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import httpx

from shop_console.catalogue import Catalogue, Described

TIMEOUT_SECONDS = 3.0
MOST_MAILS = 50


@dataclass(frozen=True)
class OfService:
    """A service's answers: `things` are what its views show, `itself` the one that the key is the id of.

    `known` is what it knows of the key as an outbox and an inbox.
    """

    things: Sequence[Mapping[str, Any]] = ()
    itself: Mapping[str, Any] | None = None
    known: Mapping[str, Any] = field(default_factory=dict)

    def list(self, name: str) -> Sequence[Mapping[str, Any]]:
        """A list of what it knows: tasks, attempts, outbox, handled or dead_letters."""
        found: Sequence[Mapping[str, Any]] = self.known.get(name, ())
        return found


@dataclass(frozen=True)
class Facts:
    """All that was answered; `missing` has a sentence for each that wasn't."""

    services: Mapping[str, OfService]
    ledger: Sequence[Mapping[str, Any]]
    mails: Sequence[Mapping[str, Any]]
    missing: Sequence[str]


class NotLoggedInError(Exception):
    """A service takes the token no longer, or the login isn't an operator's."""


@dataclass(frozen=True)
class Sources:
    """Where to ask. `gateway` and `mailbox` are None where there is none."""

    http: httpx.AsyncClient
    gateway: str | None
    mailbox: str | None

    async def about(self, key: str, catalogue: Catalogue, event_ids: Sequence[str], *, token: str) -> Facts:
        """Ask everybody about a key. Raises NotLoggedInError."""
        missing: list[str] = []
        headers = {"Authorization": f"Bearer {token}"}
        names = list(catalogue.services)
        *services, ledger, mails = await asyncio.gather(
            *(self._of_service(catalogue.services[name], key, event_ids, headers, missing) for name in names),
            _or_missing("the payment gateway", lambda: self._ledger(key), missing),
            _or_missing("the mail catcher", lambda: self._mails(key), missing),
        )
        return Facts(dict(zip(names, services, strict=True)), ledger or (), mails or (), missing)

    async def mail(self, mail_id: str) -> Mapping[str, Any] | None:
        """One e-mail as it was rendered; None where it is gone."""
        answer = await self.http.get(f"{self.mailbox}/api/v1/message/{mail_id}", timeout=TIMEOUT_SECONDS)
        if answer.status_code == httpx.codes.NOT_FOUND:
            return None
        found: Mapping[str, Any] = answer.raise_for_status().json()
        return found

    async def mail_page(self, *, start: int, most: int, query: str = "") -> Mapping[str, Any]:
        """E-mails, newest first, as Mailpit lists them."""
        path = "search" if query else "messages"
        parameters = {"start": start, "limit": most, **({"query": query} if query else {})}
        found: Mapping[str, Any] = await self._get(f"{self.mailbox}/api/v1/{path}", parameters)
        return found

    async def _of_service(
        self,
        service: Described,
        key: str,
        event_ids: Sequence[str],
        headers: Mapping[str, str],
        missing: list[str],
    ) -> OfService:
        async def known() -> Any:
            url = f"{service.url}/operations/keys/{key}"
            return await self._get(url, {"event_id": list(event_ids)}, headers)

        async def view(path: str, query: Mapping[str, str]) -> Any:
            return await self._get(f"{service.url}{path}", query, headers)

        found, *answers = await asyncio.gather(
            _or_missing(service.name, known, missing),
            *(_or_missing(service.name, partial(view, *one.request(key)), missing) for one in service.views),
        )
        answered = list(zip(service.views, answers, strict=True))
        itself = next((answer for one, answer in answered if one.in_path and answer), None)
        listed = [thing for one, answer in answered if not one.in_path and answer for thing in answer["items"]]
        return OfService([*([itself] if itself else []), *listed], itself, found or {})

    async def _ledger(self, key: str) -> Any:
        if self.gateway is None:
            return ()
        return (await self._get(f"{self.gateway}/_ledger", {"reference": key}))["entries"]

    async def _mails(self, key: str) -> Any:
        if self.mailbox is None:
            return ()
        listed = await self.mail_page(start=0, most=MOST_MAILS, query=f"message-id:{key}")
        shown = await asyncio.gather(*(self.mail(one["ID"]) for one in listed["messages"]))
        created = {one["ID"]: one["Created"] for one in listed["messages"]}
        return [{**mail, "Created": created[mail["ID"]]} for mail in shown if mail is not None]

    async def _get(self, url: str, query: Mapping[str, Any], headers: Mapping[str, str] | None = None) -> Any:
        answer = await self.http.get(url, params=query, headers=headers, timeout=TIMEOUT_SECONDS)
        if answer.status_code == httpx.codes.SERVICE_UNAVAILABLE:
            # once more: after a crash of its database a service may refuse the first request
            answer = await self.http.get(url, params=query, headers=headers, timeout=TIMEOUT_SECONDS)
        if answer.status_code in {httpx.codes.UNAUTHORIZED, httpx.codes.FORBIDDEN}:
            raise NotLoggedInError(url)
        if answer.status_code in {httpx.codes.NOT_FOUND, httpx.codes.UNPROCESSABLE_ENTITY}:
            return {}  # the key is unknown there, or of another form
        return answer.raise_for_status().json()


async def _or_missing(who: str, ask: Callable[[], Awaitable[Any]], missing: list[str]) -> Any:
    try:
        return await ask()
    except (httpx.HTTPError, ValueError, KeyError) as error:
        sentence = f"{who} did not answer ({type(error).__name__}): what it knows is missing here"
        if sentence not in missing:
            missing.append(sentence)
        return None
