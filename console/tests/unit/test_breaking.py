"""What is noted of a fault, from its beginning until everything is well again."""

from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime

import pytest
from shop_console.breaking import WELL_LOOKS, Watch, trouble_of, watched
from shop_console.flow import State

WELL, AWAY = State("payments", ""), State("payments", "does not answer (ConnectError)")


def looks(*states: State) -> Callable[[], Awaitable[Sequence[State]]]:
    """One state a look; the last one stays."""
    left = list(states)

    async def look() -> Sequence[State]:
        return [left.pop(0) if len(left) > 1 else left[0]]

    return look


def a_watch() -> Watch:
    return Watch("kill-payments", "Kill payments", "op@example.com", datetime.now(UTC))


async def test_each_change_is_noted_until_everything_is_well_again() -> None:
    watch = a_watch()

    await watched(watch, looks(WELL, AWAY, AWAY, WELL), every=0)

    assert [line for _, line in watch.lines] == [
        "payments does not answer (ConnectError)",
        "payments is well again",
    ]
    assert watch.end == f"recovered after {watch.lines[-1][0]:.1f} s"


async def test_a_short_glimpse_of_health_is_no_recovery() -> None:
    watch = a_watch()
    seen = [AWAY, *[WELL] * (WELL_LOOKS - 1), AWAY, *[WELL] * WELL_LOOKS]
    left = list(seen)

    async def look() -> Sequence[State]:
        return [left.pop(0)]

    await watched(watch, look, every=0)

    assert left == []
    assert [line for _, line in watch.lines].count("payments is well again") == 2


async def test_a_fault_that_nobody_notices_is_said_so() -> None:
    watch = a_watch()

    await watched(watch, looks(WELL), every=0.001, unnoticed_after=0.01)

    assert watch.end == "no service was in trouble within 0.01 s"


@pytest.mark.parametrize(
    ("state", "trouble"),
    [
        (State("orders", ""), ""),
        (State("orders", "the database does not answer"), "the database does not answer"),
        (State("orders", "", kafka_lost=2.0), "does not reach Kafka"),
        (State("orders", "", outbox_oldest=2.0), "has events that wait to be sent"),
        (State("orders", "", oldest_task=2.0), "has tasks that are late"),
        (State("orders", "", kafka_lost=0.5, outbox_oldest=0.5, oldest_task=0.5), ""),
    ],
)
def test_trouble_is_what_a_person_would_call_so(state: State, trouble: str) -> None:
    assert trouble_of(state) == trouble
