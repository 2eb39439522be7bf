"""Passwords as argon2id hashes, a few at a time: a hash takes 64 MiB, and anybody may ask for one."""

import asyncio
from collections.abc import Callable
from typing import Any, TypeVar

import argon2
from outboxed.web import ApiError

AT_ONCE = 1
"""Two would take half of what `docker-compose.yml` gives the service."""
WAIT_SECONDS = 0.8
"""A caller waits so long for its turn; then it is told to come again."""
T = TypeVar("T")


class Argon2Hasher:
    """The library's defaults (RFC 9106, low memory: 64 MiB, 3 passes) are above OWASP's minimum.

    Each call runs in a thread, at most `at_once` at a time. Raises ApiError 503 after WAIT_SECONDS without a turn.
    """

    def __init__(self, hasher: argon2.PasswordHasher | None = None, *, at_once: int = AT_ONCE) -> None:
        self._hasher = hasher or argon2.PasswordHasher()
        self._turns = asyncio.Semaphore(at_once)

    async def hash(self, password: str) -> str:
        """With a salt of its own."""
        return await self._in_turn(self._hasher.hash, password)

    async def verify(self, password_hash: str, password: str) -> bool:
        """Whether the hash is this password's."""
        return await self._in_turn(self._verify, password_hash, password)

    def _verify(self, password_hash: str, password: str) -> bool:
        try:
            return self._hasher.verify(password_hash, password)
        except argon2.exceptions.VerifyMismatchError:
            return False

    async def _in_turn(self, work: Callable[..., T], *args: Any) -> T:
        try:
            async with asyncio.timeout(WAIT_SECONDS):
                await self._turns.acquire()
        except TimeoutError:
            message = "too many passwords are being checked: try again"
            raise ApiError(503, "UNAVAILABLE", message, headers={"Retry-After": "1"}) from None
        running = asyncio.get_running_loop().run_in_executor(None, work, *args)
        # whoever hangs up leaves a thread that goes on: its turn ends with it
        running.add_done_callback(lambda _: self._turns.release())
        return await asyncio.shield(running)
