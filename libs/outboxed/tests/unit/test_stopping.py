import asyncio
from typing import Any

import anyio
import pytest
from outboxed._stopping import Stop, at_most, turns_until
from outboxed.joining._running import Committed, in_background
from outboxed.tasks import Task, TaskKind, Worker
from outboxed.testing.memory import InMemoryTaskQueue

from ..workers import Database, Records


class Deaf:
    """Waits as `asyncio.wait_for` of Python 3.11 may: a cancellation that comes meanwhile is forgotten."""

    def __init__(self) -> None:
        self.waits = asyncio.Event()
        self.turns = 0

    async def turn(self) -> None:
        self.turns += 1
        self.waits.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            return


async def test_a_loop_ends_at_the_turn_after_it_was_told() -> None:
    stop, turns = anyio.Event(), 0

    for _ in turns_until(stop):
        turns += 1
        if turns == 3:
            stop.set()

    assert turns == 3


async def test_a_cancellation_that_a_library_swallowed_ends_a_loop() -> None:
    deaf = Deaf()

    async def loop() -> None:
        for _ in turns_until(anyio.Event()):
            await deaf.turn()

    await _cancelled_while_deaf(asyncio.create_task(loop()), deaf)


async def test_a_cancellation_of_before_ends_no_loop_that_begins_after_it() -> None:
    turns: list[None] = []

    async def at_the_end() -> None:
        stop = anyio.Event()
        try:
            await asyncio.Event().wait()
        finally:
            for turn in turns_until(stop):
                turns.append(turn)
                stop.set()

    running = asyncio.create_task(at_the_end())
    await asyncio.sleep(0)
    running.cancel()

    await asyncio.wait([running])

    assert len(turns) == 1


async def test_a_timeout_inside_a_turn_ends_no_loop() -> None:
    turns, stop = 0, anyio.Event()
    for _ in turns_until(stop):
        with anyio.move_on_after(0):
            await stop.wait()
        turns += 1
        if turns == 2:
            stop.set()

    assert turns == 2


async def test_a_scope_ends_a_loop_that_swallowed_its_cancellation_and_nothing_else() -> None:
    deaf = Deaf()

    with anyio.move_on_after(0.01) as scope:
        for _ in turns_until(anyio.Event()):
            await (anyio.sleep_forever() if deaf.turns else deaf.turn())

    assert (scope.cancelled_caught, deaf.turns) == (True, 1)


async def test_a_worker_ends_though_its_queue_swallowed_the_cancellation(database: Database, records: Records) -> None:
    deaf = Deaf()

    class DeafQueue(InMemoryTaskQueue[Any]):
        async def claim(self, *_: Any, **__: Any) -> list[Task]:
            await deaf.turn()
            return []

    kind = TaskKind[Any]("call", call=None, record=records.record)
    worker = Worker([kind], DeafQueue(database), database, database.tasks_scheduled)

    loop = worker._do_tasks(kind, anyio.Event(), database.tasks_scheduled.subscribe(), set())  # noqa: SLF001 - anyio cancels again
    await _cancelled_while_deaf(asyncio.create_task(loop), deaf)


async def _cancelled_while_deaf(running: "asyncio.Task[None]", deaf: Deaf) -> None:
    await deaf.waits.wait()

    running.cancel()
    await asyncio.wait([running], timeout=10)

    assert running.cancelled()
    assert deaf.turns == 1


async def test_a_time_out_of_what_runs_within_a_time_is_its_own() -> None:
    with pytest.raises(TimeoutError, match="no answer"):
        async with at_most(60):
            raise TimeoutError("no answer")
    async with at_most(0):
        await asyncio.Event().wait()


class Part:
    """Takes some turns of the loop to end."""

    grace = 10.0

    def __init__(self) -> None:
        self.began, self.has_ended = asyncio.Event(), False

    async def run(self, stop: Stop) -> None:
        self.began.set()
        await stop.wait()
        for _ in range(3):
            await asyncio.sleep(0)
        self.has_ended = True


async def test_a_part_beside_an_app_that_anyio_cancels_ends_in_order() -> None:
    part = Part()

    with anyio.CancelScope() as scope:
        async with in_background(part, Committed(), name="part"):
            await part.began.wait()
            scope.cancel()
            await asyncio.sleep(0)

    assert part.has_ended
