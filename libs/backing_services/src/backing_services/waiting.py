"""The one way to wait in a test: for a condition, never for a time."""

import asyncio
import inspect
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any, TypeVar, overload

T = TypeVar("T")

PATIENCE = 20.0
"""Seconds: a test that passes never waits so long, and a busy machine with a slow disk may need it."""


class StillWaitingError(AssertionError, TimeoutError):
    """A condition did not come true in time."""


@overload
async def eventually(
    condition: Callable[[], Coroutine[Any, Any, T]],
    *,
    within: float = PATIENCE,
    every: float = 0.01,
    describe: str | Callable[[], str] | None = None,
) -> T: ...
@overload
async def eventually(
    condition: Callable[[], T],
    *,
    within: float = PATIENCE,
    every: float = 0.01,
    describe: str | Callable[[], str] | None = None,
) -> T: ...
async def eventually(
    condition: Callable[[], Any],
    *,
    within: float = PATIENCE,
    every: float = 0.01,
    describe: str | Callable[[], str] | None = None,
) -> Any:
    """Call `condition` every `every` seconds until it returns something true, and return that.

    None counts as true: a condition may consist of assertions, and is true once none of them fails. After `within`
    seconds raises StillWaitingError with the last value or failed assertion, and with `describe`, a text or a function
    that returns one. Any other exception comes through at once.
    """
    deadline = asyncio.get_running_loop().time() + within
    while True:
        last = await _attempt(condition, deadline)
        if not isinstance(last, _NotYet):
            return last
        if asyncio.get_running_loop().time() >= deadline:
            told = describe() if callable(describe) else describe
            what = told or getattr(condition, "__qualname__", repr(condition))
            raise StillWaitingError(f"not within {within:g} s: {what}; {last.why}") from last.error
        await asyncio.sleep(every)


@dataclass(frozen=True)
class _NotYet:
    why: str
    error: BaseException | None = None


async def _attempt(condition: Callable[[], Any], deadline: float) -> Any:
    """Check once. An awaitable condition is cut off at the deadline, so that a hanging one is reported."""
    limit = asyncio.timeout_at(max(deadline, asyncio.get_running_loop().time() + 0.01))
    try:
        async with limit:
            outcome = condition()
            value = await outcome if inspect.isawaitable(outcome) else outcome
    except AssertionError as error:
        return _NotYet(f"it last failed with: {error}", error)
    except TimeoutError as error:
        if not limit.expired():
            raise
        return _NotYet("it was still running", error)
    if value or value is None:
        return value
    return _NotYet(f"it last returned {value!r}")
