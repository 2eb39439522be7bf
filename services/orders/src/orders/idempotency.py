"""`Idempotency-Key`: the first answer under a key is the answer of every later request with the same body."""

import hashlib
import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from uuid import UUID

from outboxed.failpoints import failpoint
from outboxed.ports import UnitOfWorkFactory
from outboxed.storage import ConcurrentInsertError
from outboxed.web import ApiError
from pydantic import BaseModel

from orders.ports import StoredResponse, UnitOfWork


@dataclass(frozen=True)
class Answer:
    """What a request is answered: `status`, `body`, and the `location` of what was made."""

    status: int
    body: str
    location: str


class IdempotentRequest:
    """One request under a key.

    Its answer is stored in the transaction that does the work. So an error leaves the key free. Of concurrent twins one
    is stored. The others wait for it at the end of their work, leave nothing behind, and give its answer.
    """

    def __init__(self, user_id: UUID, key: str, request: BaseModel) -> None:
        self._user_id = user_id
        self._key = key
        self._request_hash = _hash(request)

    async def answer(
        self, unit_of_work: UnitOfWorkFactory[UnitOfWork], work: Callable[[UnitOfWork], Awaitable[Answer]]
    ) -> tuple[StoredResponse, bool]:
        """The answer, and whether it's that of an earlier request.

        Raises ApiError for another body, and what `work` raises.
        """
        try:
            return await self._answer_once(unit_of_work, work)
        except ConcurrentInsertError:  # a twin was faster
            return await self._answer_once(unit_of_work, work)

    async def _answer_once(
        self, unit_of_work: UnitOfWorkFactory[UnitOfWork], work: Callable[[UnitOfWork], Awaitable[Answer]]
    ) -> tuple[StoredResponse, bool]:
        async with unit_of_work() as uow:
            if (earlier := await self._earlier(uow)) is not None:
                return earlier, True
            stored = StoredResponse(self._request_hash, **vars(await work(uow)))
            uow.idempotency_keys.add(self._user_id, self._key, stored)
        return stored, False

    @failpoint("idempotency.find")
    async def _earlier(self, uow: UnitOfWork) -> StoredResponse | None:
        stored = await uow.idempotency_keys.find(self._user_id, self._key)
        if stored is not None and stored.request_hash != self._request_hash:
            raise ApiError(
                422, "IDEMPOTENCY_KEY_REUSED", "this Idempotency-Key was used with another body: choose a new one"
            )
        return stored


def _hash(request: BaseModel) -> str:
    """Of compact JSON with sorted keys: equal requests have equal hashes, however they were written."""
    canonical = json.dumps(request.model_dump(mode="json"), sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(canonical.encode()).hexdigest()
