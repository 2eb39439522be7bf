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


class Endless:
    """A call that waits until it is cancelled, and then ends as `on_cancel` says."""

    def __init__(self, on_cancel: str = "") -> None:
        self.ended = threading.Event()
        self._on_cancel = on_cancel
        self._begun = asyncio.Event()
        self._loop = asyncio.get_running_loop()

    async def __call__(self) -> str:
        self._loop.call_soon_threadsafe(self._begun.set)
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            if not self._on_cancel:
                raise
        finally:
            self.ended.set()
        return self._on_cancel

    async def begun_in(self, calls: CallThread) -> "asyncio.Task[str]":
        running = asyncio.create_task(calls.run(self))
        await self._begun.wait()
        return running


async def test_a_call_is_cancelled_with_its_caller(calls: CallThread) -> None:
    call = Endless()
    running = await call.begun_in(calls)

    running.cancel()

    with pytest.raises(asyncio.CancelledError):
        await running
    assert await asyncio.to_thread(call.ended.wait, 5)


async def test_a_call_that_was_done_all_the_same_has_its_outcome(calls: CallThread) -> None:
    running = await Endless(on_cancel="done").begun_in(calls)

    running.cancel()

    assert await running == "done"


async def test_closing_cancels_what_still_runs_and_ends_the_thread(calls: CallThread) -> None:
    call = Endless()
    running = await call.begun_in(calls)

    await calls.close()

    assert call.ended.is_set()
    assert "asyncio_calls" not in {thread.name for thread in threading.enumerate()}
    with pytest.raises(asyncio.CancelledError):
        await running


async def test_closing_waits_for_no_call_that_goes_on_and_neither_does_the_end_of_the_process(
    calls: CallThread, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("outboxed.tasks._call_thread.CLOSE_SECONDS", 0.01)
    release, loop, begun = threading.Event(), asyncio.get_running_loop(), asyncio.Event()

    async def goes_on() -> None:
        loop.call_soon_threadsafe(begun.set)
        release.wait()  # whatever it is told

    running = asyncio.create_task(calls.run(goes_on))
    await begun.wait()
    try:
        [thread] = [thread for thread in threading.enumerate() if thread.name == "asyncio_calls"]
        async with asyncio.timeout(10):
            await calls.close()
        assert thread.is_alive()
        assert thread.daemon, "else the process would wait for it"
    finally:
        release.set()
    await running
    await asyncio.to_thread(thread.join)


async def test_a_thread_that_was_never_used_is_closed_at_once(calls: CallThread) -> None:
    await calls.close()

    assert "asyncio_calls" not in {thread.name for thread in threading.enumerate()}
