"""Calls in a thread of their own: on while the caller's event loop stands still, cancelled with the caller, ended."""

import asyncio
import threading
from collections.abc import AsyncIterator

import pytest
from outboxed.tasks import CallThread


@pytest.fixture
async def calls() -> AsyncIterator[CallThread]:
    calls = CallThread("calls")
    yield calls
    await calls.close()


async def test_a_call_goes_on_while_the_event_loop_stands_still(calls: CallThread) -> None:
    done = threading.Event()

    async def call() -> str:
        for _ in range(10):
            await asyncio.sleep(0)
        done.set()
        return "answered"

    running = asyncio.create_task(calls.run(call))
    await asyncio.sleep(0)

    assert done.wait(5)  # the event loop of this test stands still meanwhile
    assert await running == "answered"


async def test_an_error_comes_through(calls: CallThread) -> None:
    async def call() -> None:
        raise ConnectionResetError("gone")

    with pytest.raises(ConnectionResetError, match="gone"):
        await calls.run(call)


async def test_a_call_is_cancelled_with_its_caller(calls: CallThread) -> None:
    begun, cancelled = asyncio.Event(), threading.Event()
    loop = asyncio.get_running_loop()

    async def call() -> None:
        loop.call_soon_threadsafe(begun.set)
        try:
            await asyncio.Event().wait()
        finally:
            cancelled.set()

    running = asyncio.create_task(calls.run(call))
    await begun.wait()
    running.cancel()

    with pytest.raises(asyncio.CancelledError):
        await running
    assert await asyncio.to_thread(cancelled.wait, 5)


async def test_a_call_that_was_done_all_the_same_has_its_outcome(calls: CallThread) -> None:
    begun = asyncio.Event()
    loop = asyncio.get_running_loop()

    async def call() -> str:
        loop.call_soon_threadsafe(begun.set)
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            return "done"
        return "never"

    running = asyncio.create_task(calls.run(call))
    await begun.wait()
    running.cancel()

    assert await running == "done"


async def test_closing_cancels_what_still_runs_and_ends_the_thread(calls: CallThread) -> None:
    begun, ended = asyncio.Event(), threading.Event()
    loop = asyncio.get_running_loop()

    async def call() -> None:
        loop.call_soon_threadsafe(begun.set)
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    running = asyncio.create_task(calls.run(call))
    await begun.wait()
    await calls.close()

    assert ended.is_set()
    assert "asyncio_calls" not in {thread.name for thread in threading.enumerate()}
    with pytest.raises(asyncio.CancelledError):
        await running


async def test_a_thread_that_was_never_used_is_closed_at_once(calls: CallThread) -> None:
    await calls.close()

    assert "asyncio_calls" not in {thread.name for thread in threading.enumerate()}
