"""What /metrics says of the tables: how much waits, since when, and at what cost."""

from datetime import timedelta
from typing import Any

import pytest
import sqlalchemy as sa
from outboxed.consuming import BatchConsumer
from outboxed.ports import NewTask
from outboxed.process import Figure, Metrics
from outboxed.storage import tables
from outboxed.tasks import SqlTaskQueue
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from ..sample import moved, raw
from .conftest import Transactions, insert_tasks


async def test_figures_count_what_waits_and_forget_what_is_gone(
    transactions: Transactions, consumer: BatchConsumer[Any]
) -> None:
    metrics = Metrics(transactions.clock)
    metrics.observe(Figure("accounts_rich", "Accounts over 100", lambda _: sa.select(sa.literal(3))))
    await consumer.handle([raw(moved()), raw(moved(amount="13.00"))])
    async with transactions() as uow:
        uow.tasks.schedule(NewTask("send", "1"))
        uow.tasks.schedule(NewTask("of_a_newer_release", "1"))
    transactions.clock.advance(timedelta(seconds=30))

    first = await _figures(metrics, transactions.engine)
    async with transactions.engine.begin() as connection:
        await connection.execute(sa.delete(tables.tasks))
        await connection.execute(sa.update(tables.dead_letters).values(status="discarded", closed_at=sa.func.now()))
    second = await _figures(metrics, transactions.engine)

    assert (first["database_up"], first["accounts_rich"]) == (1, 3)
    assert (first["outbox_rows"], first["inbox_rows"]) == (1, 1)
    assert first["outbox_oldest_seconds"] >= 30
    assert first['tasks_oldest_due_seconds{kind="send"}'] >= 30
    assert (first['dead_letters{source="event"}'], first['dead_letters{source="task"}']) == (1, 0)
    assert first['tasks_due{kind="of_a_newer_release"}'] == 1
    assert (second['tasks_due{kind="send"}'], second['dead_letters{source="event"}']) == (0, 0)
    assert 'tasks_due{kind="of_a_newer_release"}' not in second


async def test_a_task_that_is_postponed_again_and_again_grows_older_and_stays_due(transactions: Transactions) -> None:
    metrics, queue = Metrics(transactions.clock), SqlTaskQueue(transactions.engine, transactions.clock)
    async with transactions() as uow:
        uow.tasks.schedule(NewTask("send", "1"))
    ages = []

    for _ in range(3):
        [task] = await queue.claim("send", limit=1, lease=timedelta(seconds=5))
        await queue.postpone(task, timedelta(seconds=60), "no answer")
        transactions.clock.advance(timedelta(seconds=30))
        figures = await _figures(metrics, transactions.engine)
        assert figures['tasks_due{kind="send"}'] == 1
        ages.append(figures['tasks_oldest_due_seconds{kind="send"}'] // 30)
        transactions.clock.advance(timedelta(seconds=30))

    assert ages == [1, 3, 5]


async def test_a_task_that_has_its_time_yet_is_not_counted_as_due(transactions: Transactions) -> None:
    metrics = Metrics(transactions.clock)
    async with transactions() as uow:
        uow.tasks.schedule(NewTask("send", "1", delay=timedelta(hours=1)))

    early = await _figures(metrics, transactions.engine)
    transactions.clock.advance(timedelta(hours=1, seconds=30))
    late = await _figures(metrics, transactions.engine)

    names = ('tasks_due{kind="send"}', 'tasks_oldest_due_seconds{kind="send"}')
    assert [early[name] for name in names] == [0, 0]
    assert (late[names[0]], 30 <= late[names[1]] < 3600) == (1, True)


@pytest.mark.parametrize(
    ("tasks", "due", "oldest"),
    [
        ([("send", -10, -10), ("send", -1, -1)], 2, 10),
        ([("send", -10, 5)], 1, 10),  # postponed
        ([("send", -10, -5)], 1, 10),  # it was postponed, and its time has come again
        ([("send", -10, 5), ("send", -8, -8)], 2, 10),
        ([("send", 5, 9)], 0, 0),  # postponed before its time
        ([("send", -1, -1), ("other", -10, 5)], 1, 1),
        ([("send", -1, -1), ("other", -10, -10)], 1, 1),
        ([("send", 5, 5), ("other", -10, -5)], 0, 0),
    ],
)
async def test_a_task_is_due_since_it_first_was_and_is_counted_once_and_with_its_kind(
    transactions: Transactions, tasks: list[tuple[str, int, int]], due: int, oldest: int
) -> None:
    """Each has its kind, and the minutes from now at which it was due first, and is now."""
    await insert_tasks(transactions.engine, [(*task, None) for task in tasks])

    figures = await _figures(Metrics(transactions.clock), transactions.engine)

    assert figures['tasks_due{kind="send"}'] == due
    assert figures['tasks_oldest_due_seconds{kind="send"}'] // 60 == oldest


async def test_every_kind_is_told_however_many_there_are(transactions: Transactions) -> None:
    kinds = ["call", "mail", "pay", "send"]
    async with transactions() as uow:
        for kind in kinds:
            uow.tasks.schedule(NewTask(kind, "1"))

    figures = await _figures(Metrics(transactions.clock), transactions.engine)

    assert [figures[f'tasks_due{{kind="{kind}"}}'] for kind in kinds] == [1, 1, 1, 1]


async def test_an_outbox_and_an_inbox_that_grow_are_seen_to_grow_and_to_drain(
    transactions: Transactions, consumer: BatchConsumer[Any]
) -> None:
    metrics = Metrics(transactions.clock)
    seen = []

    for events in (1, 4):
        await consumer.handle([raw(moved()) for _ in range(events)])
        transactions.clock.advance(timedelta(seconds=10))
        seen.append(await _figures(metrics, transactions.engine))
    async with transactions.engine.begin() as connection:
        await connection.execute(sa.delete(tables.outbox))
        await connection.execute(sa.delete(tables.inbox))
    seen.append(await _figures(metrics, transactions.engine))

    assert [(each["outbox_rows"], each["inbox_rows"]) for each in seen] == [(1, 1), (5, 5), (0, 0)]
    assert [int(each["outbox_oldest_seconds"]) // 10 for each in seen] == [1, 2, 0]


LARGE_BACKLOG = (
    """
    insert into outbox (topic, key, value, headers, created_at)
    select 'accounts', n, '', '{}', now() - interval '2 hours' + n * interval '1 s' from generate_series(0, 4999) n
    """,
    """
    insert into outbox (topic, key, value, headers, retry_at)
    select 'accounts', n, '', '{}', 'infinity' from generate_series(1, 1000) n
    """,
    "insert into inbox (event_id) select n from generate_series(1, 5000) n",
    """
    insert into tasks (kind, key, payload, due_at, first_due_at)
    select kind, n, '{}', now() - interval '1 hour', now() - interval '1 hour'
    from (values ('send', 4999), ('few', 1000)) as kinds (kind, number), generate_series(1, number) n
    """,
    # 2,000 are not due before tomorrow, and one was postponed until then
    """
    insert into tasks (kind, key, payload, due_at, first_due_at)
    select 'send', 'later' || n, '{}', now() + interval '1 day', now() + interval '1 day'
    from generate_series(1, 2000) n
    """,
    """
    insert into tasks (kind, key, payload, due_at, first_due_at) values
    ('send', 'again', '{}', now() + interval '1 day', now() - interval '3 hours')
    """,
    "analyze outbox, inbox, tasks",
)


@pytest.fixture
async def large_backlog(transactions: Transactions) -> None:
    async with transactions.engine.begin() as connection:
        for statement in LARGE_BACKLOG:
            await connection.exec_driver_sql(statement)


@pytest.mark.usefixtures("large_backlog")
async def test_a_large_number_is_an_estimate_and_ages_stay_exact(transactions: Transactions) -> None:
    metrics = Metrics(transactions.clock)

    figures = await _figures(metrics, transactions.engine)

    for name in ("outbox_rows", "inbox_rows", 'tasks_due{kind="send"}'):
        assert 4_500 <= figures[name] <= 5_500, name
    assert (figures['tasks_due{kind="few"}'], figures["outbox_held_rows"]) == (1_000, 1_000)
    assert 7200 <= figures["outbox_oldest_seconds"] < 7300
    assert 10_800 <= figures['tasks_oldest_due_seconds{kind="send"}'] < 10_900


def reading(engine: AsyncEngine, **settings: str) -> AsyncEngine:
    """An engine whose connections are new: what one has read is counted from its begin."""
    return create_async_engine(engine.url, connect_args={"server_settings": settings}, poolclass=sa.NullPool)


def read_of(table: str) -> Figure:
    """The rows of a table that this connection has read so far."""
    read = "seq_tup_read + coalesce(idx_tup_fetch, 0)"
    query = sa.select(sa.text(f"{read} from pg_stat_xact_user_tables where relname = '{table}'"))
    return Figure(f"read_of_{table}", "Rows read", lambda _: query)


@pytest.mark.usefixtures("large_backlog")
async def test_figures_read_as_many_rows_as_they_count_exactly_however_many_wait(transactions: Transactions) -> None:
    """By their indexes; of a table as small as this one PostgreSQL may as well read all."""
    metrics = Metrics(transactions.clock)
    metrics.observe(read_of("outbox"))
    metrics.observe(read_of("inbox"))

    figures = await _figures(metrics, reading(transactions.engine, enable_seqscan="off"))

    free, held = 1001, 1000
    assert figures["read_of_outbox"] == free + held
    assert figures["read_of_inbox"] == 1001


async def test_of_tasks_that_are_for_later_a_few_are_read_however_many_there_are(transactions: Transactions) -> None:
    """Else PostgreSQL hopes that many are due, and looks at all of them."""
    metrics = Metrics(transactions.clock)
    metrics.observe(read_of("tasks"))
    async with transactions.engine.begin() as connection:
        await connection.exec_driver_sql(
            """
            insert into tasks (kind, key, payload, first_due_at, due_at)
            select 'send', n, '{}', now() + interval '1 day', now() + interval '1 day' from generate_series(1, 5000) n
            """
        )
        await connection.exec_driver_sql("analyze tasks")

    figures = await _figures(metrics, reading(transactions.engine))

    assert figures["read_of_tasks"] < 50


async def test_the_oldest_event_is_found_wherever_its_row_is(transactions: Transactions) -> None:
    """A row that was held and is free again is the last one in the table. Here all are in the wrong order."""
    async with transactions.engine.begin() as connection:
        await connection.exec_driver_sql(
            """
            insert into outbox (id, topic, key, value, headers, created_at) overriding system value
            select 5000 - n, 'accounts', n, '', '{}', now() - n * interval '1 s' from generate_series(0, 4999) n
            """
        )
        await connection.exec_driver_sql("analyze outbox")

    figures = await _figures(Metrics(transactions.clock), transactions.engine)

    assert 4999 <= figures["outbox_oldest_seconds"] < 5100


async def _figures(metrics: Metrics, engine: AsyncEngine) -> dict[str, float]:
    text = (await metrics.scrape(engine, task_kinds=["send"])).decode()
    pairs = (line.rsplit(" ", 1) for line in text.splitlines() if not line.startswith("#"))
    return {name: float(value) for name, value in pairs}
