"""The operators' endpoints of every service: what it knows of a key, and its dead letters."""

import base64
import binascii
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import datetime
from typing import Annotated, Any, Literal, Self

import structlog
from fastapi import APIRouter, Path, Query
from pydantic import BaseModel, field_validator
from sqlalchemy.ext.asyncio import AsyncEngine

from outboxed.consuming import Content, DeadLetter, DeadLetterError, DeadLetterQueue, Edit
from outboxed.messages import Timestamp, reason_of
from outboxed.storage import handled_events, is_transient, open_tasks, waiting_events
from outboxed.tasks import Worker
from outboxed.web._authentication import Principal
from outboxed.web._http import ApiError, ErrorResponse, not_found, with_role

log = structlog.get_logger()

OPERATOR = "operator"
"""The role that a token must give its bearer."""
PREFIX = "/operations"
Operator = Annotated[Principal, with_role(OPERATOR)]
LetterId = Annotated[int, Path(ge=1, le=2**63 - 1)]
EventIds = Annotated[list[str], Query(max_length=100)]


class RawBytes(BaseModel):
    """Bytes: as `text` where they are UTF-8, else as `base64`."""

    text: str | None = None
    base64: str | None = None

    @field_validator("base64")
    @classmethod
    def _check(cls, value: str | None) -> str | None:
        try:
            base64.b64decode(value or "", validate=True)
        except binascii.Error:
            raise ValueError("must be base64") from None
        return value

    @classmethod
    def of(cls, raw: bytes | None) -> Self | None:
        """None for null."""
        if raw is None:
            return None
        try:
            return cls(text=raw.decode())
        except UnicodeDecodeError:
            return cls(base64=base64.b64encode(raw).decode())

    @property
    def raw(self) -> bytes:
        return (self.text or "").encode() if self.base64 is None else base64.b64decode(self.base64)


class HeaderResponse(BaseModel):
    name: str
    value: RawBytes | None


class ContentResponse(BaseModel):
    key: RawBytes | None
    value: RawBytes | None
    headers: list[HeaderResponse]

    @classmethod
    def of(cls, content: Content) -> Self:
        headers = [HeaderResponse(name=name, value=RawBytes.of(raw)) for name, raw in content.headers]
        return cls(key=RawBytes.of(content.key), value=RawBytes.of(content.value), headers=headers)


class DeadLetterResponse(BaseModel):
    """`topic` is a task's kind where `source` is task, and `offset` a row's id where it is outbox."""

    id: int
    source: str
    group: str | None
    topic: str
    partition: int | None
    offset: int | None
    reason: str
    failed_at: Timestamp
    status: str
    edited_at: Timestamp | None
    content: ContentResponse
    original: ContentResponse

    @classmethod
    def of(cls, letter: DeadLetter) -> Self:
        same = ("id", "source", "group", "topic", "partition", "offset", "reason", "failed_at", "status", "edited_at")
        return cls(
            **{name: getattr(letter, name) for name in same},
            content=ContentResponse.of(letter.content),
            original=ContentResponse.of(letter.original),
        )


class DeadLettersResponse(BaseModel):
    items: list[DeadLetterResponse]


class EditRequest(BaseModel):
    """What is null or missing stays as it is; a new header replaces all of its name."""

    key: RawBytes | None = None
    value: RawBytes | None = None
    headers: dict[str, RawBytes] = {}
    removed_headers: list[str] = []

    @property
    def edit(self) -> Edit:
        return Edit(
            key=None if self.key is None else self.key.raw,
            value=None if self.value is None else self.value.raw,
            headers={name: value.raw for name, value in self.headers.items()},
            removed_headers=self.removed_headers,
        )


class TaskResponse(BaseModel):
    """A task that isn't done. `leased_until` is null unless an attempt runs, or ran and was cut."""

    kind: str
    key: str
    attempts: int
    due_at: Timestamp
    first_due_at: Timestamp
    leased_until: Timestamp | None
    last_error: str | None


class AttemptResponse(BaseModel):
    kind: str
    key: str
    number: int
    began: Timestamp
    seconds: float
    outcome: str


class WaitingEventResponse(BaseModel):
    """An event that Kafka hasn't got. `attempts` counts Kafka's refusals; without any, `held` is false."""

    topic: str
    type: str
    event_id: str
    created_at: Timestamp
    attempts: int
    held: bool


class HandledEventResponse(BaseModel):
    event_id: str
    at: Timestamp


class KeyResponse(BaseModel):
    """What a service knows of a key. `attempts` are the latest of the process that answers: see `Attempts`."""

    tasks: list[TaskResponse]
    attempts: list[AttemptResponse]
    outbox: list[WaitingEventResponse]
    handled: list[HandledEventResponse]
    dead_letters: list[DeadLetterResponse]


def operators_router(letters: DeadLetterQueue[Any], engine: AsyncEngine, worker: Worker[Any]) -> APIRouter:
    """Routes below `/operations` for callers with the role OPERATOR; each change leaves a line in the log."""
    failures: dict[int | str, dict[str, Any]] = {401: {"model": ErrorResponse}, 403: {"model": ErrorResponse}}
    router = APIRouter(prefix=PREFIX, tags=["operators"], responses=failures)

    @router.get("/keys/{key}")
    async def show_key(key: str, _: Operator, event_id: EventIds = []) -> KeyResponse:  # noqa: B006 - FastAPI's copy
        return await _of_key(_text(key), [_text(one) for one in event_id], letters, engine, worker)

    router.include_router(_letters_router(letters))
    return router


def _letters_router(letters: DeadLetterQueue[Any]) -> APIRouter:
    router = APIRouter(prefix="/dead-letters", responses={404: {"model": ErrorResponse}})

    @router.get("")
    async def list_letters(
        _: Operator,
        status: Literal["open", "replayed", "discarded"] = "open",
        limit: Annotated[int, Query(ge=1, le=1000)] = 100,
    ) -> DeadLettersResponse:
        found = await letters.list(status=status, limit=limit)
        return DeadLettersResponse(items=[DeadLetterResponse.of(letter) for letter in found])

    @router.get("/{letter_id}")
    async def show_letter(letter_id: LetterId, _: Operator) -> DeadLetterResponse:
        return await _shown(letters, letter_id)

    @router.patch("/{letter_id}")
    async def edit_letter(letter_id: LetterId, body: EditRequest, operator: Operator) -> DeadLetterResponse:
        return await _changed(letters, letter_id, operator, "edited", lambda: letters.edit(letter_id, body.edit))

    @router.post("/{letter_id}/replay")
    async def replay_letter(letter_id: LetterId, operator: Operator) -> DeadLetterResponse:
        return await _changed(letters, letter_id, operator, "replayed", lambda: letters.replay(letter_id))

    @router.post("/{letter_id}/discard")
    async def discard_letter(letter_id: LetterId, operator: Operator) -> DeadLetterResponse:
        return await _changed(letters, letter_id, operator, "discarded", lambda: letters.discard(letter_id))

    return router


async def _shown(letters: DeadLetterQueue[Any], letter_id: int) -> DeadLetterResponse:
    try:
        return DeadLetterResponse.of(await letters.show(letter_id))
    except DeadLetterError:
        raise not_found("dead letter") from None


async def _changed(
    letters: DeadLetterQueue[Any], letter_id: int, operator: Principal, what: str, change: Callable[[], Awaitable[None]]
) -> DeadLetterResponse:
    """Change a letter, and leave a line that says who did. A refusal is 409, and the letter stays as it was."""
    await _shown(letters, letter_id)
    by = {"letter": letter_id, "operator": str(operator.user_id)}
    try:
        await change()
    except DeadLetterError as error:
        raise ApiError(409, "CONFLICT", str(error)) from None
    except Exception as error:
        if is_transient(error):
            raise
        log.warning("dead_letter_refused_again", change=what, reason=reason_of(error), **by)
        raise ApiError(409, "REFUSED_AGAIN", f"it was refused again: {reason_of(error)}") from None
    log.info("dead_letter_changed", change=what, **by)
    return await _shown(letters, letter_id)


async def _of_key(
    key: str, event_ids: Sequence[str], letters: DeadLetterQueue[Any], engine: AsyncEngine, worker: Worker[Any]
) -> KeyResponse:
    async with engine.connect() as connection:
        tasks = await open_tasks(connection, key, [kind.name for kind in worker.kinds])
        waiting = await waiting_events(connection, key)
        handled = await handled_events(connection, event_ids) if event_ids else {}
    return KeyResponse(
        tasks=[TaskResponse.model_validate(row) for row in tasks],
        attempts=[AttemptResponse(**vars(attempt)) for attempt in worker.attempts.of(key)],
        outbox=[_waiting(row) for row in waiting],
        handled=[_handled(event_id, at) for event_id, at in handled.items()],
        dead_letters=[DeadLetterResponse.of(letter) for letter in await letters.about(key)],
    )


def _waiting(row: Mapping[str, Any]) -> WaitingEventResponse:
    headers: Mapping[str, str] = row["headers"]
    same = {name: row[name] for name in ("topic", "created_at", "attempts")}
    event = {"type": headers.get("ce_type", ""), "event_id": headers.get("ce_id", "")}
    return WaitingEventResponse(**same, **event, held=row["retry_at"] is not None)


def _handled(event_id: str, at: datetime) -> HandledEventResponse:
    return HandledEventResponse(event_id=event_id, at=at)


def _text(given: str) -> str:
    """PostgreSQL refuses a NUL in a text, and nothing is called so."""
    return given.replace("\0", "\N{REPLACEMENT CHARACTER}")
