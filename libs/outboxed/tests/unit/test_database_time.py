"""The database's time, which is asked once a second."""

import time as clocks
from datetime import UTC, datetime, timedelta

import pytest
from outboxed.storage._clock import DatabaseTime, elapsed

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


class Server:
    """A database whose clock runs as `passed` does, and whose answers take `way` seconds."""

    def __init__(self) -> None:
        self.passed = 100.0
        self.way = 0.0
        self.set_by = timedelta(0)
        self.asked = 0

    @property
    def now(self) -> datetime:
        return NOON + timedelta(seconds=self.passed) + self.set_by

    async def ask(self) -> datetime:
        self.asked += 1
        answer = self.now
        self.passed += self.way
        return answer


@pytest.fixture
def server() -> Server:
    return Server()


@pytest.fixture
def time(server: Server) -> DatabaseTime:
    return DatabaseTime(lambda: server.passed)


async def test_transactions_of_one_second_share_an_answer_and_have_the_time_of_their_begin(
    server: Server, time: DatabaseTime
) -> None:
    first = await time.now(server.ask)
    server.passed += 0.9
    second = await time.now(server.ask)

    assert (first, second, server.asked) == (NOON + timedelta(seconds=100), server.now, 1)


async def test_a_clock_that_was_set_is_followed_within_a_second(server: Server, time: DatabaseTime) -> None:
    await time.now(server.ask)
    server.set_by = timedelta(hours=-2)
    server.passed += 1.0

    assert await time.now(server.ask) == server.now


async def test_an_answer_that_was_long_under_way_is_not_kept(server: Server, time: DatabaseTime) -> None:
    server.way = 0.5
    await time.now(server.ask)
    server.way = 0.0

    assert await time.now(server.ask) == server.now
    assert server.asked == 2


async def test_the_time_is_never_ahead_of_the_database_and_at_most_20_ms_behind(
    server: Server, time: DatabaseTime
) -> None:
    server.way = 0.02
    await time.now(server.ask)

    assert server.now - await time.now(server.ask) == timedelta(seconds=0.02)


async def test_a_question_that_failed_is_asked_again(server: Server, time: DatabaseTime) -> None:
    async def gone() -> datetime:
        raise ConnectionResetError

    with pytest.raises(ConnectionResetError):
        await time.now(gone)

    assert await time.now(server.ask) == server.now


def test_the_clock_that_carries_the_time_on_never_goes_back() -> None:
    before = elapsed()

    assert elapsed() >= before > 0


def test_no_clock_that_somebody_sets_carries_the_time_on() -> None:
    # the system's time may be set back and forth; this one counts from the machine's start
    since_start = getattr(clocks, "CLOCK_BOOTTIME", clocks.CLOCK_MONOTONIC)
    before = clocks.clock_gettime(since_start)

    shipped = DatabaseTime().clock()

    assert before <= shipped <= clocks.clock_gettime(since_start)
