"""A thread of its own for calls to the outside, which must not wait behind the rest of the process."""

import asyncio
import threading
from collections.abc import Callable, Coroutine
from concurrent.futures import Future
from typing import Any, TypeVar

T = TypeVar("T")
CLOSE_SECONDS = 1.0


class CallThread:
    """Runs coroutines in an event loop in a thread; the thread begins with the first one.

    A call of ten round trips needs the event loop ten times. Where the loop handles batches of events, each of the ten
    waits for its turn behind them, and a call of some milliseconds runs into its time-out. In a thread of its own it
    waits for the interpreter alone, which is some milliseconds.
    """

    def __init__(self, name: str) -> None:
        # named as Python's own threads of an event loop, which outlive the work that began them
        self._name = f"asyncio_{name}"
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None

    async def run(self, call: Callable[[], Coroutine[Any, Any, T]]) -> T:
        """Run a coroutine function in the thread, and return what it returns.

        A cancellation cancels it there, and then waits for what comes of that: a call that was done all the same has
        its outcome.
        """
        loop = self._loop or self._begin()
        outcome: Future[T] = Future()
        running: list[asyncio.Task[T]] = []

        def begin() -> None:
            running.append(loop.create_task(call()))
            running[0].add_done_callback(lambda done: _tell(done, outcome))

        def cancel() -> None:  # there is a task by then: the loop runs what it was told in order
            running[0].cancel()

        loop.call_soon_threadsafe(begin)
        waiting = asyncio.wrap_future(outcome)
        try:
            return await asyncio.shield(waiting)
        except asyncio.CancelledError:
            if not loop.is_closed():
                loop.call_soon_threadsafe(cancel)
            return await waiting

    async def close(self) -> None:
        """End the thread; calls that still run are cancelled."""
        loop, thread, self._loop, self._thread = self._loop, self._thread, None, None
        if loop is None or thread is None:
            return
        loop.call_soon_threadsafe(loop.stop)
        await asyncio.to_thread(thread.join, CLOSE_SECONDS)

    def _begin(self) -> asyncio.AbstractEventLoop:
        loop = type(asyncio.get_running_loop())()  # as fast as the caller's
        self._thread = threading.Thread(target=_serve, args=(loop,), name=self._name, daemon=True)
        self._thread.start()
        self._loop = loop
        return loop


def _serve(loop: asyncio.AbstractEventLoop) -> None:
    with asyncio.Runner(loop_factory=lambda: loop) as runner:
        runner.get_loop().run_forever()


def _tell(done: "asyncio.Task[T]", outcome: "Future[T]") -> None:
    if done.cancelled():
        outcome.cancel()
    if not outcome.set_running_or_notify_cancel():
        return  # it was cancelled, here or by whoever waited for it
    if error := done.exception():
        outcome.set_exception(error)
    else:
        outcome.set_result(done.result())
