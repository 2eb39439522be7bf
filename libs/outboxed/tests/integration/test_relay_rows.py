"""The outbox as the relay sees it: which rows are read, which wait behind which, and until when."""

from collections.abc import AsyncIterator, Sequence

import pytest
import sqlalchemy as sa
from outboxed.relay._rows import MAX_BYTES, Hold, Rows
from outboxed.storage import tables
from sqlalchemy.ext.asyncio import AsyncConnection

from .conftest import Transactions

OUTBOX, LETTERS = tables.outbox, tables.dead_letters
ROWS = Rows()
MINUTE = 60.0


@pytest.fixture
async def connection(transactions: Transactions) -> AsyncIterator[AsyncConnection]:
    """In a transaction that is undone."""
    async with transactions.engine.connect() as connection:
        yield connection


async def insert(connection: AsyncConnection, *keys: str, topic: str = "accounts", value: bytes = b"") -> list[int]:
    """Rows with these keys; returns their ids."""
    row = sa.insert(OUTBOX).values(topic=topic, value=value, headers={}).returning(OUTBOX.c.id)
    return [(await connection.execute(row.values(key=key))).scalar_one() for key in keys]


async def free(connection: AsyncConnection, *, above: int = 0, limit: int = 10) -> list[int]:
    rows, _ = await ROWS.free(connection, limit, above=above)
    return [row.id for row in rows]


async def hold(connection: AsyncConnection, row_id: int, seconds: float) -> None:
    await ROWS.hold(connection, [Hold(row_id, 1, seconds)])


async def due(connection: AsyncConnection, *, limit: int = 10) -> list[int]:
    return [place.id for place in await ROWS.due(connection, limit)]


async def test_of_more_rows_than_may_be_read_at_once_the_oldest_are_read(connection: AsyncConnection) -> None:
    first, second, third, fourth, _ = await insert(connection, *"abcde")

    assert await free(connection, limit=2) == [first, second]
    assert await free(connection, above=second, limit=2) == [third, fourth]


async def test_rows_that_are_asked_for_are_read_and_no_others(connection: AsyncConnection) -> None:
    _, second, third, _, fifth = await insert(connection, *"abcde")

    rows, _ = await ROWS.free(connection, 2, ids=[fifth, second, third])

    assert [row.id for row in rows] == [second, third]
    assert {row.id for row in await ROWS.held(connection, [fifth, second])} == {second, fifth}


async def test_large_rows_are_read_a_few_at_once(connection: AsyncConnection) -> None:
    await insert(connection, *"aaaaaaaaa", value=bytes(MAX_BYTES // 2))

    rows, behind = await ROWS.free(connection, 9)

    assert (len(rows), behind) == (2, [])


async def test_the_places_are_those_of_the_oldest_rows_that_are_free_and_of_other_topics(
    connection: AsyncConnection,
) -> None:
    passed, held = await insert(connection, "a", "b")
    await insert(connection, "c", topic="refused")
    first, second, _ = await insert(connection, *"def")
    await hold(connection, held, MINUTE)

    found = await ROWS.places(connection, 2, above=passed, without=["refused", "another"])

    assert [place.id for place in found] == [first, second]


async def test_rows_that_kafka_has_are_forgotten_and_no_others(connection: AsyncConnection) -> None:
    first, second, third = await insert(connection, *"abc")

    await ROWS.delete(connection, [first, third])

    assert await free(connection) == [second]
    assert await ROWS.is_any_there(connection, above=first)
    assert not await ROWS.is_any_there(connection, above=second)


async def test_a_row_is_held_for_as_long_as_was_said_and_no_other_is(connection: AsyncConnection) -> None:
    now, later, other = await insert(connection, *"abc")
    await hold(connection, now, 0)
    await hold(connection, later, MINUTE)

    assert await free(connection) == [other]
    assert await due(connection) == [now]


async def test_a_row_is_held_from_the_moment_on_and_not_since_the_transaction_began(
    connection: AsyncConnection,
) -> None:
    [held] = await insert(connection, "a")
    await hold(connection, held, 0)

    late = sa.select(OUTBOX.c.retry_at > sa.func.now()).where(OUTBOX.c.id == held)
    assert (await connection.execute(late)).scalar_one()


async def test_of_the_held_rows_of_a_key_the_oldest_alone_is_due(connection: AsyncConnection) -> None:
    first, second, third, fourth = await insert(connection, *"abac")
    for held in (fourth, third, second, first):
        await hold(connection, held, 0)

    assert await due(connection) == [first, second, fourth]
    assert await due(connection, limit=2) == [first, second]


@pytest.mark.parametrize(
    ("held", "released"),
    [([], [0, 1, 2, 3]), ([0], [3]), ([1], [0, 3]), ([3], [0, 1, 2])],
    ids=["none is held for itself", "the first of three", "the second of three", "one of another key"],
)
async def test_a_row_is_released_unless_an_earlier_one_of_its_key_is_held_for_itself(
    connection: AsyncConnection, held: Sequence[int], released: Sequence[int]
) -> None:
    ids = await insert(connection, *"aaab")
    await ROWS.hold_behind(connection, ids)
    for place in held:
        await hold(connection, ids[place], MINUTE)

    assert await ROWS.release(connection) == len(released)
    assert await free(connection) == [ids[place] for place in released]


async def test_what_is_held_behind_another_row_is_no_other_row(connection: AsyncConnection) -> None:
    first, second, third = await insert(connection, *"abc")

    await ROWS.hold_behind(connection, [second])

    assert await free(connection) == [first, third]
    assert await due(connection) == []


async def test_a_row_that_was_set_aside_is_a_letter_and_gone_and_no_other_is(connection: AsyncConnection) -> None:
    await insert(connection, "a", "b")
    (first, second), _ = await ROWS.free(connection, 2)

    letter_id = await ROWS.set_aside(connection, first, "too large")
    again = await ROWS.set_aside(connection, first, "too large")

    letters = sa.select(LETTERS.c.id, LETTERS.c.offset, LETTERS.c.reason)
    assert [tuple(row) for row in await connection.execute(letters)] == [(letter_id, first.id, "too large")]
    assert again is None
    assert await free(connection) == [second.id]


HELD = "insert into outbox (topic, key, value, headers, retry_at) values ('accounts', 'k', '', '{}', now() + '1 hour')"


def letter(source: str, topic: str, *, key: str = "k", offset: int = 0, status: str = "open") -> str:
    values = f"('{source}', '{topic}', '{key}', {offset}, '{status}', '[]', '')"
    return f'insert into dead_letters (source, topic, key, "offset", status, headers, reason) values {values}'  # noqa: S608


@pytest.mark.parametrize(
    ("in_front", "is_behind"),
    [
        (HELD, {"accounts": True, "moves": False}),
        (letter("outbox", "accounts"), {"accounts": True, "moves": False}),
        (letter("outbox", "accounts", key="another"), {"accounts": False, "moves": False}),
        (letter("outbox", "accounts", status="discarded"), {"accounts": False, "moves": False}),
        (letter("outbox", "accounts", offset=2**62), {"accounts": False, "moves": False}),
        (letter("event", "accounts"), {"accounts": False, "moves": False}),
        (letter("task", "moves"), {"accounts": False, "moves": False}),
    ],
    ids=[
        "a held row",
        "a row that was set aside",
        "one of another key",
        "one that was discarded",
        "a later one",
        "a letter of an event",
        "a letter of a task",
    ],
)
async def test_a_row_is_behind_what_was_refused_of_its_own_topic_and_key_alone(
    connection: AsyncConnection, in_front: str, is_behind: dict[str, bool]
) -> None:
    await connection.exec_driver_sql(in_front)
    ids = {topic: (await insert(connection, "k", topic=topic))[0] for topic in is_behind}

    rows, behind = await ROWS.free(connection, 10)

    assert sorted(behind) == sorted(ids[topic] for topic, waits in is_behind.items() if waits)
    assert sorted(row.topic for row in rows) == sorted(topic for topic, waits in is_behind.items() if not waits)
