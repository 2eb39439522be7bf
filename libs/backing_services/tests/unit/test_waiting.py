import asyncio
from collections.abc import Iterator

import pytest
from backing_services.waiting import StillWaitingError, eventually


@pytest.fixture
def numbers() -> Iterator[int]:
    return iter(range(4))


async def test_the_first_true_value_is_returned(numbers: Iterator[int]) -> None:
    assert await eventually(lambda: next(numbers), every=0) == 1


async def test_a_coroutine_function_is_awaited(numbers: Iterator[int]) -> None:
    async def condition() -> int:
        return next(numbers)

    assert await eventually(condition, every=0) == 1


async def test_failing_assertions_are_tried_again_until_none_fails(numbers: Iterator[int]) -> None:
    def condition() -> None:
        assert next(numbers) == 3

    await eventually(condition, every=0)

    assert next(numbers, None) is None


async def test_the_last_value_is_told_when_time_runs_out() -> None:
    with pytest.raises(StillWaitingError, match=r"not within 0 s: the inbox fills; it last returned \[\]"):
        await eventually(list, within=0, describe="the inbox fills")


async def test_the_last_failed_assertion_is_told_when_time_runs_out() -> None:
    def nothing_charged() -> None:
        raise AssertionError("charged twice")

    with pytest.raises(StillWaitingError, match="nothing_charged; it last failed with: charged twice"):
        await eventually(nothing_charged, within=0)


async def test_the_state_of_things_is_asked_for_only_when_time_runs_out() -> None:
    with pytest.raises(StillWaitingError, match="3 of 5 orders done"):
        await eventually(lambda: False, within=0, describe=lambda: "3 of 5 orders done")


async def test_a_condition_that_hangs_is_cut_off() -> None:
    with pytest.raises(StillWaitingError, match="it was still running"):
        await eventually(asyncio.Event().wait, within=0)


async def test_any_other_error_comes_through_at_once() -> None:
    def condition() -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await eventually(condition)


async def test_a_timeout_of_the_condition_itself_comes_through() -> None:
    def condition() -> None:
        raise TimeoutError("mine")

    with pytest.raises(TimeoutError, match="mine"):
        await eventually(condition)
