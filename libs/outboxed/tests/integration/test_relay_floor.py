"""Where the relay begins to read: above the rows that were sent, and never above one that may still come."""

from collections.abc import AsyncIterator
from uuid import UUID, uuid4

import pytest
import sqlalchemy as sa
from backing_services.postgres import EmbeddedPostgres, connected
from backing_services.waiting import eventually
from outboxed.consuming import DeadLetterQueue
from outboxed.relay import Relay
from outboxed.relay._floor import Floor
from outboxed.storage import Edit, create_engine, tables
from outboxed.testing.services import running
from outboxed.testing.topics import Topics
from sqlalchemy.ext.asyncio import AsyncConnection

from ..sample import AccountCredited
from .conftest import Transactions, abandoned_at_the_end, count, relay_of, role_of

OUTBOX, LETTERS = tables.outbox, tables.dead_letters

BY_HAND = """
insert into outbox (id, topic, key, value, headers) overriding system value values (1, 'accounts', 'key', '{}', '{}')
"""


@pytest.fixture(autouse=True)
def rises_after_each_row(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("outboxed.relay._floor.EVERY_ROWS", 1)


@pytest.fixture
async def relay(topics: Topics, transactions: Transactions) -> AsyncIterator[Relay]:
    async with abandoned_at_the_end(relay_of(transactions, topics)) as relay:
        yield relay


def floor_of(relay: Relay) -> int:
    return relay._floor.id  # noqa: SLF001 - nothing else tells from where it reads


async def oldest(transactions: Transactions) -> int:
    async with transactions.engine.connect() as connection:
        return int((await connection.execute(sa.select(sa.func.min(OUTBOX.c.id)))).scalar_one())


async def append(transactions: Transactions, key: UUID, *sequences: int) -> None:
    async with transactions() as uow:
        for sequence in sequences:
            uow.events.append(AccountCredited(account_id=key), sequence=sequence)


async def insert(connection: AsyncConnection, key: UUID, sequence: int) -> int:
    """A row whose transaction goes on; returns its id."""
    headers = {"ce_id": str(uuid4()), "ce_type": AccountCredited.type, "ce_sequence": str(sequence)}
    values = {"topic": "accounts", "key": str(key), "value": b"{}", "headers": headers}
    return int((await connection.execute(sa.insert(OUTBOX).values(values).returning(OUTBOX.c.id))).scalar_one())


async def told(topics: Topics, key: UUID, number: int) -> list[int]:
    records = [record for record in await topics.read("accounts", number) if record.key == str(key).encode()]
    return [int(dict(record.headers)["ce_sequence"]) for record in records]


async def sent_twice(transactions: Transactions, relay: Relay) -> int:
    """Some rows in a first pass, another one in a second; returns the id of that one."""
    await append(transactions, uuid4(), 1, 2)
    await relay.send_once()
    await append(transactions, uuid4(), 1)
    next_one = await oldest(transactions)
    await relay.send_once()
    return next_one


async def test_reading_begins_above_what_was_sent(transactions: Transactions, relay: Relay) -> None:
    next_one = await sent_twice(transactions, relay)

    assert floor_of(relay) == next_one - 1


async def test_a_row_that_is_committed_late_is_sent_before_the_later_ones_of_its_key(
    transactions: Transactions, relay: Relay, topics: Topics
) -> None:
    key = uuid4()
    async with transactions.engine.connect() as late:
        late_one = await insert(late, key, 1)
        for _ in range(3):
            await append(transactions, uuid4(), 1, 2)
            await relay.send_once()
        meanwhile = floor_of(relay)
        await late.commit()
    await append(transactions, key, 2)
    await relay.send_once()

    assert meanwhile < late_one
    assert await told(topics, key, 8) == [1, 2]


async def test_the_floor_rises_to_what_was_sent_when_the_writers_were_asked_and_no_higher(
    transactions: Transactions, relay: Relay, topics: Topics
) -> None:
    """Who began later may have been given an id below what was sent since."""
    key = uuid4()
    async with transactions.engine.connect() as first, transactions.engine.connect() as late:
        await insert(first, uuid4(), 1)
        for _ in range(2):  # the second look asks who is writing
            await append(transactions, uuid4(), 1, 2)
            await relay.send_once()
        late_one = await insert(late, key, 1)
        await append(transactions, uuid4(), 1)
        await relay.send_once()
        await first.rollback()
        await append(transactions, key, 2)
        meanwhile = await oldest(transactions)
        async with transactions.engine.connect() as connection:
            await relay._floor.rise(connection)  # noqa: SLF001 - as the next pass begins
        await late.commit()
    await relay.send_once()

    assert floor_of(relay) < late_one < meanwhile
    assert await told(topics, key, 7) == [1, 2]


async def test_a_transaction_that_was_given_no_id_holds_nothing_up(transactions: Transactions, relay: Relay) -> None:
    async with transactions.engine.connect() as other:
        await other.execute(sa.text("create temporary table someones (id int)"))  # it has a snapshot and a number
        next_one = await sent_twice(transactions, relay)

    assert floor_of(relay) == next_one - 1


async def test_letters_whose_rows_do_not_come_back_hold_nothing_up(transactions: Transactions, relay: Relay) -> None:
    letter = {"topic": "accounts", "offset": 0, "key": b"key", "value": b"{}", "headers": b"[]", "reason": "-"}
    letters = [{**letter, "source": "event", "status": "open"}, {**letter, "source": "outbox", "status": "discarded"}]
    async with transactions.engine.begin() as connection:
        await connection.execute(sa.insert(LETTERS).values(letters))

    next_one = await sent_twice(transactions, relay)

    assert floor_of(relay) == next_one - 1


async def test_the_floor_is_below_the_oldest_letter_whose_row_may_come_back(transactions: Transactions) -> None:
    letter = {"source": "outbox", "topic": "accounts", "value": b"{}", "headers": b"[]", "reason": "-"}
    letters = [{**letter, "offset": offset, "key": b"%d" % offset} for offset in (9, 5, 7)]
    floor = Floor()
    async with transactions.engine.begin() as connection:
        await connection.execute(sa.insert(LETTERS).values(letters))
        for row_id in (20, 21):
            floor.passed(1, [row_id])
            await floor.rise(connection)

    assert floor.id == 4


async def test_a_row_of_a_prepared_transaction_is_above_where_reading_begins() -> None:
    """No process has such a transaction, and it may be committed by anybody, at any time."""
    insert_and_prepare = f"begin; {BY_HAND}; prepare transaction 'late'"
    with EmbeddedPostgres(settings={"max_prepared_transactions": "1"}) as server:
        engine = create_engine(server.url("postgres"), application_name="tests")
        async with engine.begin() as connection:
            await connection.run_sync(tables.metadata.create_all)
        async with connected(server.url("postgres")) as another:
            await another.execute(insert_and_prepare)
        floor = Floor()
        async with engine.connect() as connection:
            for row_id in (2, 3):
                floor.passed(1, [row_id])
                await floor.rise(connection)
        await engine.dispose()

    assert floor.id == 0


async def test_a_row_that_waits_is_above_where_reading_begins(
    transactions: Transactions, relay: Relay, topics: Topics
) -> None:
    key = uuid4()
    await append(transactions, key, 1, 2, 3)
    first = await oldest(transactions)
    async with transactions.engine.begin() as connection:
        waits = sa.update(OUTBOX).where(OUTBOX.c.id == first).values(retry_at=sa.text("now() + interval '1 hour'"))
        await connection.execute(waits)
    for _ in range(3):
        await append(transactions, uuid4(), 1)
        await relay.send_once()
    meanwhile = floor_of(relay)
    async with transactions.engine.begin() as connection:
        await connection.execute(sa.update(OUTBOX).where(OUTBOX.c.id == first).values(retry_at=sa.text("now()")))
    while await count(transactions.engine, OUTBOX):
        relay._look_at = relay._release_at = 0.0  # noqa: SLF001 - the next look at held rows is now
        await relay.send_once()

    assert meanwhile < first
    assert await told(topics, key, 6) == [1, 2, 3]


async def test_a_row_that_comes_back_from_the_dead_letters_is_sent_before_the_later_ones_of_its_key(
    transactions: Transactions, relay: Relay, topics: Topics
) -> None:
    key = uuid4()
    await append(transactions, key, 1)
    async with transactions.engine.begin() as connection:
        headers = OUTBOX.c.headers
        await connection.execute(sa.update(OUTBOX).values(headers=headers.op("||")(sa.text("'{\"ce_x\": 1}'::jsonb"))))
    for _ in range(6):
        await relay.send_once()
        await append(transactions, uuid4(), 1, 2)
        relay._look_at = 0.0  # noqa: SLF001 - as above
        async with transactions.engine.begin() as connection:
            await connection.execute(sa.update(OUTBOX).where(OUTBOX.c.attempts > 0).values(retry_at=sa.text("now()")))
    meanwhile = floor_of(relay)
    _, consumer = role_of(topics, transactions)
    queue = DeadLetterQueue(transactions, consumer)
    (letter,) = await queue.list()
    await queue.edit(letter.id, Edit(removed_headers=("ce_x",)))
    await queue.replay(letter.id)
    await append(transactions, key, 2)
    while await count(transactions.engine, OUTBOX):
        await relay.send_once()

    assert letter.source == "outbox"
    assert meanwhile < (letter.offset or 0)
    assert await told(topics, key, 14) == [1, 2]


async def test_rows_of_a_sequence_that_was_set_back_are_sent_at_once(transactions: Transactions, relay: Relay) -> None:
    """As after a fail-over to a server that has not got all transactions."""
    for _ in range(3):
        await append(transactions, uuid4(), 1, 2)
        await relay.send_once()
    begins = floor_of(relay)
    async with transactions.engine.begin() as connection:
        await connection.execute(sa.text("alter table outbox alter id restart with 1"))
    await append(transactions, uuid4(), 1)

    assert begins > 1
    assert (await relay.send_once(), floor_of(relay)) == (1, 0)


async def test_a_row_that_was_put_in_by_hand_is_sent_at_the_next_look_from_the_start(
    transactions: Transactions, relay: Relay
) -> None:
    for _ in range(3):
        await append(transactions, uuid4(), 1, 2)
        await relay.send_once()
    begins = floor_of(relay)
    async with transactions.engine.begin() as connection:
        await connection.execute(sa.text(BY_HAND))

    before = await relay.send_once()
    relay._start_at = 0.0  # noqa: SLF001 - its time has come
    after = await relay.send_once()

    assert begins > 1
    assert (before, after, floor_of(relay)) == (0, 1, 0)


async def test_a_row_that_was_put_in_by_hand_is_found_by_a_relay_that_is_told_of_all_other_work(
    transactions: Transactions, topics: Topics, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("outboxed._wakeups.SAFETY_SECONDS", 0.01)
    monkeypatch.setattr("outboxed._wakeups.POLL_SECONDS", 0.01)
    monkeypatch.setattr("outboxed._wakeups.IDLE_POLL_SECONDS", 0.01)
    transactions.events_appended.hears_others = True
    relay = relay_of(transactions, topics)
    async with running(relay.run):
        for _ in range(3):
            await append(transactions, uuid4(), 1, 2)
            await eventually(lambda: is_empty(transactions))
        await eventually(lambda: floor_of(relay) > 1)
        async with transactions.engine.begin() as connection:
            await connection.execute(sa.text(BY_HAND))
        relay._start_at = 0.0  # noqa: SLF001 - its time has come

        await eventually(lambda: is_empty(transactions))


async def is_empty(transactions: Transactions) -> bool:
    return await count(transactions.engine, OUTBOX) == 0
