"""The operators' endpoints of every service: what it knows of a key, and its dead letters."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Annotated, Any

from fastapi import APIRouter, Query
from pydantic import BaseModel
from sqlalchemy.ext.asyncio import AsyncEngine

from outboxed.consuming import DeadLetterQueue
from outboxed.messages import Timestamp
from outboxed.storage import handled_events, open_tasks, waiting_events
from outboxed.tasks import Worker
from outboxed.web._authentication import Principal
from outboxed.web._dead_letters import DeadLetterResponse, dead_letters_router
from outboxed.web._http import ErrorResponse, with_role

OPERATOR = "operator"
"""The role that a token must give its bearer."""
PREFIX = "/operations"
Operator = Annotated[Principal, with_role(OPERATOR)]
EventIds = Annotated[list[str], Query(max_length=100)]


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

    router.include_router(dead_letters_router(letters, by=_operator))
    return router


async def _operator(principal: Operator) -> str:
    return str(principal.user_id)


async def _of_key(
    key: str, event_ids: Sequence[str], letters: DeadLetterQueue[Any], engine: AsyncEngine, worker: Worker[Any]
) -> KeyResponse:
    async with engine.connect() as connection:
        tasks = await open_tasks(connection, key, [kind.name for kind in worker.kinds])
        waiting = await waiting_events(connection, key)
        handled = await handled_events(connection, event_ids) if event_ids else {}
    return KeyResponse(
        tasks=[TaskResponse.model_validate(row) for row in tasks],
        attempts=[AttemptResponse(**asdict(attempt)) for attempt in worker.attempts.of(key)],
        outbox=[_waiting(row) for row in waiting],
        handled=[HandledEventResponse(event_id=event_id, at=at) for event_id, at in handled.items()],
        dead_letters=[DeadLetterResponse.of(letter) for letter in await letters.about(key)],
    )


def _waiting(row: Mapping[str, Any]) -> WaitingEventResponse:
    headers: Mapping[str, str] = row["headers"]
    same = {name: row[name] for name in ("topic", "created_at", "attempts")}
    event = {"type": headers.get("ce_type", ""), "event_id": headers.get("ce_id", "")}
    return WaitingEventResponse(**same, **event, held=row["retry_at"] is not None)


def _text(given: str) -> str:
    """PostgreSQL refuses a NUL in a text, and nothing is called so."""
    return given.replace("\0", "\N{REPLACEMENT CHARACTER}")
