"""Dead letters over HTTP: list, show, edit, replay, discard."""

import base64
import binascii
from collections.abc import Awaitable, Callable
from typing import Annotated, Any, Literal, Self

import structlog
from fastapi import APIRouter, Depends, Path, Query
from pydantic import BaseModel, field_validator

from outboxed.messages import Timestamp, reason_of
from outboxed.storage import Content, DeadLetter, DeadLetterError, Edit, Letters, is_transient
from outboxed.web._http import ApiError, ErrorResponse, not_found

log = structlog.get_logger()

LetterId = Annotated[int, Path(ge=1, le=2**63 - 1)]


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


def dead_letters_router(letters: Letters, *, by: Callable[..., Any]) -> APIRouter:
    """Routes below `/dead-letters`; each change leaves a line in the log.

    `by` is a dependency of FastAPI that returns who asks, as text for the log, and refuses whoever may not.
    """
    router = APIRouter(prefix="/dead-letters", responses={404: {"model": ErrorResponse}}, dependencies=[Depends(by)])

    Who = Annotated[str, Depends(by)]  # noqa: N806 - a type

    @router.get("")
    async def list_letters(
        status: Literal["open", "replayed", "discarded"] = "open",
        limit: Annotated[int, Query(ge=1, le=1000)] = 100,
    ) -> DeadLettersResponse:
        found = await letters.list(status=status, limit=limit)
        return DeadLettersResponse(items=[DeadLetterResponse.of(letter) for letter in found])

    @router.get("/{letter_id}")
    async def show_letter(letter_id: LetterId) -> DeadLetterResponse:
        return await _shown(letters, letter_id)

    @router.patch("/{letter_id}")
    async def edit_letter(letter_id: LetterId, body: EditRequest, who: Who) -> DeadLetterResponse:
        return await _changed(letters, letter_id, who, "edited", lambda: letters.edit(letter_id, body.edit))

    @router.post("/{letter_id}/replay")
    async def replay_letter(letter_id: LetterId, who: Who) -> DeadLetterResponse:
        return await _changed(letters, letter_id, who, "replayed", lambda: letters.replay(letter_id))

    @router.post("/{letter_id}/discard")
    async def discard_letter(letter_id: LetterId, who: Who) -> DeadLetterResponse:
        return await _changed(letters, letter_id, who, "discarded", lambda: letters.discard(letter_id))

    return router


async def _shown(letters: Letters, letter_id: int) -> DeadLetterResponse:
    try:
        return DeadLetterResponse.of(await letters.show(letter_id))
    except DeadLetterError:
        raise not_found("dead letter") from None


async def _changed(
    letters: Letters, letter_id: int, who: str, what: str, change: Callable[[], Awaitable[None]]
) -> DeadLetterResponse:
    """Change a letter, and leave a line that says who did. A refusal is 409, and the letter stays as it was."""
    await _shown(letters, letter_id)
    by = {"letter": letter_id, "operator": who}
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
