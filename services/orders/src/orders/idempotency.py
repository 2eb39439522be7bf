"""`Idempotency-Key`: the first answer under a key is the answer of every later request with the same body."""

import hashlib
import json
from uuid import UUID

from outboxed.failpoints import failpoint
from outboxed.web import ApiError
from pydantic import BaseModel

from orders.ports import StoredResponse, UnitOfWork


class IdempotentRequest:
    """One request under a key; works inside the transaction that does the work.

    Only what is stored there counts, so an error leaves the key free, and a concurrent twin waits and then replays.
    """

    def __init__(self, user_id: UUID, key: str, request: BaseModel) -> None:
        self._user_id = user_id
        self._key = key
        self._request_hash = _hash(request)

    @failpoint("idempotency.claim")
    async def stored_response(self, uow: UnitOfWork) -> StoredResponse | None:
        """The answer that the key already has; None claims the key. Raises ApiError for another body."""
        stored = await uow.idempotency_keys.claim(self._user_id, self._key, self._request_hash)
        if stored is not None and stored.request_hash != self._request_hash:
            raise ApiError(
                422, "IDEMPOTENCY_KEY_REUSED", "this Idempotency-Key was used with another body: choose a new one"
            )
        return stored

    @failpoint("idempotency.store")
    async def store(self, uow: UnitOfWork, *, status: int, body: str, location: str) -> StoredResponse:
        """Keep the answer."""
        response = StoredResponse(self._request_hash, status, body, location)
        await uow.idempotency_keys.store(self._user_id, self._key, response)
        return response


def _hash(request: BaseModel) -> str:
    """Of compact JSON with sorted keys: equal requests have equal hashes, however they were written."""
    canonical = json.dumps(request.model_dump(mode="json"), sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(canonical.encode()).hexdigest()
