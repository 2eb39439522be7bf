"""Slows down guessing: so many calls a minute from one address, counted in this process."""

from limits import parse
from limits.aio.storage import MemoryStorage
from limits.aio.strategies import MovingWindowRateLimiter
from outboxed.web import ApiError


class RateLimiter:
    """`per_minute` 0 is no limit."""

    def __init__(self, per_minute: int) -> None:
        self._limit = parse(f"{per_minute}/minute") if per_minute else None
        self._limiter = MovingWindowRateLimiter(MemoryStorage())

    async def check(self, operation: str, address: str) -> None:
        """Count a call. Raises ApiError 429 over the limit."""
        if self._limit is not None and not await self._limiter.hit(self._limit, operation, address):
            raise ApiError(429, "RATE_LIMITED", "too many attempts: wait a minute", headers={"Retry-After": "60"})
