"""Dead letters as the services' operators' API has them, and what a form changes in one."""

import asyncio
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Literal

import httpx

from shop_console.catalogue import Catalogue, Described
from shop_console.facts import TIMEOUT_SECONDS, NotLoggedInError
from shop_console.seen import instant

Status = Literal["open", "replayed", "discarded"]
LISTED = 200
AN_EDIT_TAKES = 30.0
"""Seconds: a replay runs a handler."""


class RefusedError(Exception):
    """A service refuses a change, or doesn't answer; the message is for a person."""


class NoLetterError(LookupError):
    """There is no such letter, or no such service."""


@dataclass(frozen=True)
class Letter:
    """A dead letter of a service; `raw` is the service's answer."""

    service: str
    raw: Mapping[str, Any]

    @property
    def content(self) -> "Text":
        return Text.of(self.raw["content"])

    @property
    def original(self) -> "Text":
        return Text.of(self.raw["original"])

    @property
    def failed_at(self) -> datetime:
        """A time, not its text: that of a whole second has no fraction, and would stand behind those of its second."""
        return instant(str(self.raw["failed_at"])) or datetime.min.replace(tzinfo=UTC)

    @property
    def is_open(self) -> bool:
        return bool(self.raw["status"] == "open")

    @property
    def place(self) -> str:
        """Where it was read, or which row or task it was."""
        raw = self.raw
        if raw["source"] == "event":
            return f"{raw['topic']}/{raw['partition']} at {raw['offset']}"
        return f"row {raw['offset']} for {raw['topic']}" if raw["source"] == "outbox" else f"task {raw['topic']}"


@dataclass(frozen=True)
class Text:
    """A letter's content as a form has it: headers a line each, bytes that are no text as `base64:...`."""

    key: str
    headers: str
    value: str

    @classmethod
    def of(cls, content: Mapping[str, Any]) -> "Text":
        """Of the service's answer."""
        headers = "\n".join(f"{one['name']}={_text(one['value'])}" for one in content["headers"])
        return cls(_text(content["key"]), headers, _text(content["value"]))

    @property
    def whole(self) -> str:
        """All of it, to be compared; JSON is laid out, so that a difference is a line."""
        return f"key: {self.key}\n{self.headers}\n\n{_laid_out(self.value)}"

    def change_to(self, other: "Text") -> Mapping[str, Any]:
        """What the service is asked to change. Raises RefusedError for a line that is no header."""
        before, after = _headers(self.headers), _headers(other.headers)
        return {
            "key": None if other.key == self.key else _raw(other.key),
            "value": None if other.value == self.value else _raw(other.value),
            "headers": {name: _raw(value) for name, value in after.items() if before.get(name) != value},
            "removed_headers": [name for name in before if name not in after],
        }


@dataclass(frozen=True)
class Letters:
    """The dead letters of all services, for one operator."""

    http: httpx.AsyncClient
    catalogue: Catalogue
    token: str = field(repr=False)

    async def list(self, status: Status) -> tuple[Sequence[Letter], Sequence[str]]:
        """The letters of a status, newest first, and a sentence for each service that didn't answer."""
        found: list[Letter] = []
        missing: list[str] = []

        async def of(service: Described) -> None:
            try:
                answer = await self._ask("GET", service.name, "", params={"status": status, "limit": LISTED})
            except RefusedError as error:
                missing.append(str(error))
            else:
                found.extend(Letter(service.name, raw) for raw in answer["items"])

        await asyncio.gather(*(of(service) for service in self.catalogue.services.values()))
        return sorted(found, key=lambda letter: letter.failed_at, reverse=True), missing

    async def get(self, service: str, letter_id: int) -> Letter:
        """Raises NoLetterError, RefusedError."""
        return Letter(service, await self._ask("GET", service, f"/{letter_id}"))

    async def edit(self, letter: Letter, text: Text) -> Letter:
        """Change what a replay will handle. Raises RefusedError."""
        change = letter.content.change_to(text)
        return Letter(letter.service, await self._ask("PATCH", letter.service, f"/{letter.raw['id']}", json=change))

    async def close(self, letter: Letter, how: Literal["replay", "discard"]) -> Letter:
        """Handle it again, or close it unhandled. Raises RefusedError."""
        return Letter(letter.service, await self._ask("POST", letter.service, f"/{letter.raw['id']}/{how}"))

    async def _ask(self, method: str, service: str, path: str, **content: Any) -> Any:
        described = self.catalogue.services.get(service)
        if described is None:
            raise NoLetterError(service)
        headers = {"Authorization": f"Bearer {self.token}"}
        url = f"{described.url}/operations/dead-letters{path}"
        seconds = TIMEOUT_SECONDS if method == "GET" else AN_EDIT_TAKES
        try:
            answer = await self.http.request(method, url, headers=headers, timeout=seconds, **content)
        except httpx.HTTPError as error:
            raise RefusedError(f"{service} did not answer ({type(error).__name__})") from None
        if answer.status_code in {httpx.codes.UNAUTHORIZED, httpx.codes.FORBIDDEN}:
            raise NotLoggedInError(service)
        if answer.status_code == httpx.codes.NOT_FOUND:
            raise NoLetterError(f"{service} {path}")
        if answer.is_error:
            raise RefusedError(f"{service}: {_message(answer)}")
        return answer.json()


def _message(answer: httpx.Response) -> str:
    try:
        return str(answer.json()["error"]["message"])
    except (ValueError, KeyError, TypeError):
        return f"it answered {answer.status_code}"


def _text(raw: Mapping[str, Any] | None) -> str:
    if raw is None:
        return ""
    return str(raw["text"]) if raw["base64"] is None else f"base64:{raw['base64']}"


def _raw(text: str) -> Mapping[str, str]:
    return {"base64": text.removeprefix("base64:")} if text.startswith("base64:") else {"text": text}


def _headers(text: str) -> Mapping[str, str]:
    """The first of each name, as a service reads them."""
    found: dict[str, str] = {}
    for line in filter(None, (line.strip() for line in text.splitlines())):
        name, sign, value = line.partition("=")
        if not (name and sign):
            raise RefusedError(f"a header is a line NAME=VALUE, not {line!r}")
        found.setdefault(name, value)
    return found


def _laid_out(text: str) -> str:
    try:
        return json.dumps(json.loads(text), indent=2, ensure_ascii=False)
    except ValueError:
        return text
