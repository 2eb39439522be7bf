"""Dead letters: listed, shown, edited, replayed once, discarded."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
import sqlalchemy as sa
from outboxed._last_minute import MAX_REFUSALS
from outboxed.consuming import BatchConsumer, DeadLetterQueue, Route
from outboxed.errors import TaskConflictError
from outboxed.messages import ConsumedEvent, EventIdentity, Record
from outboxed.ports import NewTask
from outboxed.process import Figure, Metrics
from outboxed.storage import Content, DeadLetterError, Edit, Pruner, dump_headers, tables
from outboxed.tasks import SqlTaskQueue
from outboxed.telemetry import SpanKind, continued_trace
from outboxed.testing.adapters import SqlBackend
from outboxed.testing.records import event_record
from sqlalchemy.ext.asyncio import AsyncEngine

from ..sample import MoneyMoved, SqlAccounts, credit, moved, raw
from .conftest import Transactions, count, somebody_waits


@pytest.fixture
def consumer(transactions: Transactions) -> BatchConsumer[Any]:
    return BatchConsumer("bank", [Route(MoneyMoved, credit)], transactions, Metrics(transactions.clock))


@pytest.fixture
def letters(transactions: Transactions, consumer: BatchConsumer[Any]) -> DeadLetterQueue[SqlAccounts]:
    return DeadLetterQueue(transactions, consumer)


LEASE = timedelta(seconds=30)
ODD = Record("moves", 3, 7, b"\xffkey", None, (("ce_type", None), ("na\0me", b"\xff"), ("ce_type", b"twice")))


async def test_a_dead_letter_keeps_its_record_byte_by_byte(
    consumer: BatchConsumer[Any], letters: DeadLetterQueue[SqlAccounts]
) -> None:
    await consumer.handle([ODD])
    await consumer.handle([ODD])

    [letter] = await letters.list()

    assert await letters.show(letter.id) == letter
    kept = (letter.topic, letter.partition, letter.offset, letter.key, letter.value, letter.headers)
    assert kept == (ODD.topic, ODD.partition, ODD.offset, ODD.key, ODD.value, ODD.headers)
    assert (letter.source, letter.group, letter.status, letter.reason) == ("event", "bank", "open", "the value is null")


class OwnerNamed(ConsumedEvent, type="owner.named.v1", topic="moves", key_field="owner_id"):
    owner_id: str
    name: str


# aegra#369, hyperindex#446: twenty of them halted the consumer, and again after each restart
async def test_any_number_of_events_that_no_column_can_hold_halt_nobody(transactions: Transactions) -> None:
    async def greet(event: OwnerNamed, uow: Any) -> None:
        uow.tasks.schedule(NewTask("greet", event.owner_id, {"name": event.name}))

    consumer = BatchConsumer("bank", [Route(OwnerNamed, greet)], transactions, Metrics(transactions.clock))
    named = {str(uuid4()): name for name in ["Ada", *["No\0body"] * 2 * MAX_REFUSALS, "Zoe"]}
    records = [
        raw(event_record("moves", OwnerNamed.type, {"owner_id": owner_id, "name": name}, key=owner_id))
        for owner_id, name in named.items()
    ]

    await consumer.handle(records)

    assert consumer.progress.halted is None
    letters = await SqlBackend(transactions).dead_letters()
    assert [letter.record for letter in letters] == records[1:-1]
    assert {letter.reason for letter in letters} == {"owner.named.v1: the value: name has a NUL"}
    assert [payload["name"] for *_, payload in await SqlBackend(transactions).tasks()] == ["Ada", "Zoe"]


async def test_a_letter_whose_cause_was_repaired_is_handled_by_its_replay_and_republishes_nothing(
    transactions: Transactions, consumer: BatchConsumer[Any], letters: DeadLetterQueue[SqlAccounts], account_id: UUID
) -> None:
    await consumer.handle([raw(moved(account_id, "13.00", event_id="bad"))])
    [letter] = await letters.list()
    consumer.routes["money.moved.v1"] = Route(MoneyMoved, _repaired)

    await letters.replay(letter.id)

    assert not await letters.list()
    assert [closed.id for closed in await letters.list(status="replayed")] == [letter.id]
    assert await count(transactions.engine, tables.inbox) == 1
    async with transactions() as uow:
        account = await uow.accounts.find(account_id)
    assert account is not None


async def _repaired(event: MoneyMoved, uow: Any) -> None:
    await credit(event.model_copy(update={"amount": event.amount + 1}), uow)


async def test_a_replay_that_fails_leaves_the_letter_open_and_nothing_else(
    transactions: Transactions, consumer: BatchConsumer[Any], letters: DeadLetterQueue[SqlAccounts]
) -> None:
    await consumer.handle([raw(moved(amount="13.00"))])
    [letter] = await letters.list()

    with pytest.raises(RuntimeError, match="unlucky"):
        await letters.replay(letter.id)

    assert [still.id for still in await letters.list()] == [letter.id]
    assert await count(transactions.engine, tables.inbox) == 0


async def _dead_task(transactions: Transactions, *, payload: dict[str, str]) -> SqlTaskQueue:
    queue = SqlTaskQueue(transactions.engine, transactions.clock)
    async with transactions() as uow:
        uow.tasks.schedule(NewTask("send", "1", payload, group="g"))
    [task] = await queue.claim("send", limit=1, lease=LEASE)
    async with transactions() as uow:
        await queue.bury(task, "no such\0 address", uow)
    return queue


async def test_an_edited_letter_is_replayed_as_edited_and_its_original_is_kept(
    transactions: Transactions, consumer: BatchConsumer[Any], letters: DeadLetterQueue[SqlAccounts], account_id: UUID
) -> None:
    broken = raw(replace(moved(account_id), value=b"{"))
    repaired = raw(moved(account_id, "5.00"))
    await consumer.handle([broken])
    [letter] = await letters.list()

    await letters.edit(letter.id, Edit(value=repaired.value))
    edited = await letters.show(letter.id)
    await letters.replay(letter.id)

    assert (edited.value, edited.original) == (repaired.value, Content(broken.key, broken.value, broken.headers))
    assert (edited.key, edited.headers, edited.edited_at is None) == (broken.key, broken.headers, False)
    async with transactions() as uow:
        account = await uow.accounts.find(account_id)
    assert account is not None
    assert account.balance == 5
    assert (await letters.show(letter.id)).original.value == b"{"


async def test_a_letter_is_edited_again_and_again_part_by_part(
    consumer: BatchConsumer[Any], letters: DeadLetterQueue[SqlAccounts]
) -> None:
    await consumer.handle([ODD])
    [letter] = await letters.list()

    await letters.edit(letter.id, Edit(key=b"1", headers={"ce_type": b"once"}))
    await letters.edit(letter.id, Edit(value=b"2", headers={"ce_id": b"3"}, removed_headers=["na\0me"]))

    edited = await letters.show(letter.id)
    assert edited.content == Content(b"1", b"2", (("ce_type", b"once"), ("ce_id", b"3")))
    assert edited.original == Content(ODD.key, ODD.value, ODD.headers)


async def test_an_edited_letter_is_found_by_what_it_is_now(
    consumer: BatchConsumer[Any], letters: DeadLetterQueue[SqlAccounts], account_id: UUID
) -> None:
    await consumer.handle([raw(moved(account_id, "13.00"))])
    [letter] = await letters.list(key=str(account_id), type_="money.moved.v1", source="event")

    await letters.edit(letter.id, Edit(key=b"another", headers={"ce_type": b"money.moved.v2"}))

    assert [each.id for each in await letters.list(key="another", type_="money.moved.v2")] == [letter.id]
    assert not await letters.list(key=str(account_id))
    assert not await letters.list(type_="money.moved.v1")
    assert not await letters.list(source="task")


async def test_an_edited_row_of_the_outbox_goes_back_as_edited(
    transactions: Transactions, letters: DeadLetterQueue[SqlAccounts]
) -> None:
    kept = {"topic": "accounts", "offset": 3, "key": b"k", "value": b"too large", "headers": dump_headers([])}
    async with transactions.engine.begin() as connection:
        row = sa.insert(tables.dead_letters).values(source="outbox", reason="too large", **kept)
        await connection.execute(row)
    [letter] = await letters.list()

    await letters.edit(letter.id, Edit(key=b"k2", value=b"smaller", headers={"ce_type": b"account.credited.v1"}))
    await letters.replay(letter.id)

    async with transactions.engine.connect() as connection:
        [back] = (await connection.execute(sa.select(tables.outbox))).all()
    assert (back.id, back.topic, back.key, back.value) == (3, "accounts", "k2", b"smaller")
    assert back.headers == {"ce_type": "account.credited.v1"}


async def test_an_edit_takes_nothing_away_that_is_not_there(
    consumer: BatchConsumer[Any], letters: DeadLetterQueue[SqlAccounts]
) -> None:
    await consumer.handle([ODD])
    [letter] = await letters.list()

    with pytest.raises(DeadLetterError, match=f"dead letter {letter.id} has no header 'ce_source'"):
        await letters.edit(letter.id, Edit(key=b"1", removed_headers=["ce_source"]))

    assert await letters.show(letter.id) == letter


async def test_an_edited_task_is_scheduled_with_its_new_payload(
    transactions: Transactions, letters: DeadLetterQueue[SqlAccounts]
) -> None:
    queue = await _dead_task(transactions, payload={"to": "ada"})
    [letter] = await letters.list()

    await letters.edit(letter.id, Edit(value=b'{"to": "eve"}'))
    await letters.replay(letter.id)

    [again] = await queue.claim("send", limit=1, lease=LEASE)
    assert (again.key, again.payload, again.group) == ("1", {"to": "eve"}, "g")


@pytest.mark.parametrize("value", [b"{", b"[]", b"\xff", b""])
async def test_a_tasks_value_stays_a_json_object(
    transactions: Transactions, letters: DeadLetterQueue[SqlAccounts], value: bytes
) -> None:
    await _dead_task(transactions, payload={"to": "ada"})
    [letter] = await letters.list()

    with pytest.raises(DeadLetterError, match=f"dead letter {letter.id} is a task: its value must be a JSON object"):
        await letters.edit(letter.id, Edit(value=value))


ACTIONS: dict[str, Callable[[DeadLetterQueue[SqlAccounts], int], Awaitable[Any]]] = {
    "show": lambda letters, number: letters.show(number),
    "replay": lambda letters, number: letters.replay(number),
    "discard": lambda letters, number: letters.discard(number),
    "edit": lambda letters, number: letters.edit(number, Edit(key=b"1")),
}


@pytest.mark.parametrize("closed", ["replay", "discard"])
@pytest.mark.parametrize("again", ["replay", "discard", "edit"])
async def test_a_letter_is_closed_once_and_then_not_edited(
    consumer: BatchConsumer[Any], letters: DeadLetterQueue[SqlAccounts], closed: str, again: str
) -> None:
    await consumer.handle([raw(moved(amount="13.00"))])
    [letter] = await letters.list()
    consumer.routes["money.moved.v1"] = Route(MoneyMoved, _repaired)
    await ACTIONS[closed](letters, letter.id)

    with pytest.raises(DeadLetterError, match=f"{letter.id} was already {closed}"):
        await ACTIONS[again](letters, letter.id)


@pytest.mark.parametrize("second", ["replay", "discard", "edit"])
async def test_who_comes_while_a_letter_is_replayed_waits_and_is_told_so(
    transactions: Transactions, consumer: BatchConsumer[Any], letters: DeadLetterQueue[SqlAccounts], second: str
) -> None:
    await consumer.handle([raw(moved(amount="13.00"))])
    [letter] = await letters.list()
    is_handling, may_end = asyncio.Event(), asyncio.Event()

    async def repaired_slowly(event: MoneyMoved, uow: Any) -> None:
        is_handling.set()
        await may_end.wait()
        await _repaired(event, uow)

    consumer.routes["money.moved.v1"] = Route(MoneyMoved, repaired_slowly)

    async with asyncio.TaskGroup() as tasks:
        first = tasks.create_task(letters.replay(letter.id))
        await is_handling.wait()
        late = asyncio.ensure_future(ACTIONS[second](letters, letter.id))
        try:
            await somebody_waits(transactions.engine)
        finally:
            may_end.set()
        await first
        with pytest.raises(DeadLetterError, match=f"{letter.id} was already replayed"):
            await late


@pytest.mark.parametrize("action", ACTIONS)
async def test_an_unknown_letter_is_named(letters: DeadLetterQueue[SqlAccounts], action: str) -> None:
    with pytest.raises(DeadLetterError, match="there is no dead letter 4711"):
        await ACTIONS[action](letters, 4711)


async def test_a_replayed_task_is_scheduled_again_with_its_group_and_payload(
    transactions: Transactions, letters: DeadLetterQueue[SqlAccounts]
) -> None:
    queue = await _dead_task(transactions, payload={"to": "ada"})
    [letter] = await letters.list()

    await letters.replay(letter.id)

    [again] = await queue.claim("send", limit=1, lease=LEASE)
    assert (letter.source, letter.topic, letter.reason) == ("task", "send", "no such address")
    assert (again.key, again.payload, again.group, again.attempts) == ("1", {"to": "ada"}, "g", 1)


async def test_a_replayed_task_goes_on_in_the_trace_in_which_it_was_given_up(
    transactions: Transactions, letters: DeadLetterQueue[SqlAccounts]
) -> None:
    trace = "0af7651916cd43dd8448eb211c80319c"
    queue = SqlTaskQueue(transactions.engine, transactions.clock)
    async with transactions() as uow:
        with continued_trace("an order", f"00-{trace}-b7ad6b7169203331-01", SpanKind.INTERNAL):
            uow.tasks.schedule(NewTask("send", "1"))
    [task] = await queue.claim("send", limit=1, lease=LEASE)
    async with transactions() as uow:
        await queue.bury(task, "never", uow)
    [letter] = await letters.list()

    await letters.replay(letter.id)

    [again] = await queue.claim("send", limit=1, lease=LEASE)
    assert (again.traceparent or "").split("-")[1] == trace


async def test_a_replayed_task_whose_key_another_task_has_meanwhile_stays_open(
    transactions: Transactions, letters: DeadLetterQueue[SqlAccounts]
) -> None:
    queue = await _dead_task(transactions, payload={"to": "ada"})
    async with transactions() as uow:
        uow.tasks.schedule(NewTask("send", "1", {"to": "bob"}, group="g"))
    [letter] = await letters.list()

    with pytest.raises(TaskConflictError, match="another task waits as send 1"):
        await letters.replay(letter.id)

    assert await letters.list() == [letter]
    assert [task.payload for task in await queue.claim("send", limit=2, lease=LEASE)] == [{"to": "bob"}]


async def test_old_inbox_rows_and_closed_letters_are_pruned_and_open_letters_stay(
    transactions: Transactions, consumer: BatchConsumer[Any], letters: DeadLetterQueue[SqlAccounts]
) -> None:
    await consumer.handle([raw(moved()), raw(moved(amount="13.00")), raw(moved(amount="13.00"))])
    first, second = await letters.list()
    await letters.discard(first.id)
    pruner = Pruner(transactions.engine, transactions.clock)

    transactions.clock.advance(timedelta(days=13, hours=23))
    before = await pruner.prune()
    transactions.clock.advance(timedelta(hours=2))
    after = await pruner.prune()

    assert (before, after) == (0, 2)
    assert await count(transactions.engine, tables.inbox) == 0
    assert [letter.id for letter in await letters.list()] == [second.id]


async def test_a_namesake_stays_known_when_the_event_whose_id_it_has_is_pruned(transactions: Transactions) -> None:
    first, namesake = EventIdentity("/a", "1"), EventIdentity("/b", "1")
    pruner = Pruner(transactions.engine, transactions.clock)
    seen = []

    for days_later, event in ((0, first), (10, namesake), (5, namesake), (0, first), (10, namesake)):
        transactions.clock.advance(timedelta(days=days_later))
        await pruner.prune()
        async with transactions() as uow:
            seen.append(await uow.inbox.insert([event]))

    assert seen == [{first}, {namesake}, set(), {first}, {namesake}]


async def test_many_old_rows_are_pruned_in_steps_of_a_transaction_each(
    transactions: Transactions, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("outboxed.storage._retention.STEP", 10)
    async with transactions() as uow:
        await uow.inbox.insert(EventIdentity("/test", str(number)) for number in range(35))
    transactions.clock.advance(timedelta(days=15))

    with deletions_of(transactions.engine) as deleted:
        assert await Pruner(transactions.engine, transactions.clock).prune() == 35

    assert (sum(deleted), max(deleted)) == (35, 10)


@contextmanager
def deletions_of(engine: AsyncEngine) -> Iterator[list[int]]:
    """How many rows each transaction deletes."""
    deleted = [0]

    def count_rows(_: object, cursor: Any, *__: object) -> None:
        deleted[-1] += cursor.rowcount

    def commit(_: object) -> None:
        deleted.append(0)

    listeners: tuple[tuple[str, Callable[..., None]], ...] = (("after_cursor_execute", count_rows), ("commit", commit))
    for event, listener in listeners:
        sa.event.listen(engine.sync_engine, event, listener)
    try:
        yield deleted
    finally:
        for event, listener in listeners:
            sa.event.remove(engine.sync_engine, event, listener)


async def test_a_pruner_passes_by_what_another_one_is_deleting(transactions: Transactions) -> None:
    async with transactions() as uow:
        await uow.inbox.insert(EventIdentity("/test", str(number)) for number in range(3))
    transactions.clock.advance(timedelta(days=15))

    async with transactions.engine.connect() as other:
        await other.execute(sa.delete(tables.inbox).where(tables.inbox.c.event_id == "1"))
        async with asyncio.timeout(20):
            assert await Pruner(transactions.engine, transactions.clock).prune() == 2


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

    first = await _figures(metrics, transactions)
    async with transactions.engine.begin() as connection:
        await connection.execute(sa.delete(tables.tasks))
        await connection.execute(sa.update(tables.dead_letters).values(status="discarded", closed_at=sa.func.now()))
    second = await _figures(metrics, transactions)

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
        figures = await _figures(metrics, transactions)
        assert figures['tasks_due{kind="send"}'] == 1
        ages.append(figures['tasks_oldest_due_seconds{kind="send"}'] // 30)
        transactions.clock.advance(timedelta(seconds=30))

    assert ages == [1, 3, 5]


async def test_a_task_that_has_its_time_yet_is_not_counted_as_due(transactions: Transactions) -> None:
    metrics = Metrics(transactions.clock)
    async with transactions() as uow:
        uow.tasks.schedule(NewTask("send", "1", delay=timedelta(hours=1)))

    early = await _figures(metrics, transactions)
    transactions.clock.advance(timedelta(hours=1, seconds=30))
    late = await _figures(metrics, transactions)

    names = ('tasks_due{kind="send"}', 'tasks_oldest_due_seconds{kind="send"}')
    assert [early[name] for name in names] == [0, 0]
    assert (late[names[0]], 30 <= late[names[1]] < 3600) == (1, True)


async def test_an_outbox_and_an_inbox_that_grow_are_seen_to_grow_and_to_drain(
    transactions: Transactions, consumer: BatchConsumer[Any]
) -> None:
    metrics = Metrics(transactions.clock)
    seen = []

    for events in (1, 4):
        await consumer.handle([raw(moved()) for _ in range(events)])
        transactions.clock.advance(timedelta(seconds=10))
        seen.append(await _figures(metrics, transactions))
    async with transactions.engine.begin() as connection:
        await connection.execute(sa.delete(tables.outbox))
        await connection.execute(sa.delete(tables.inbox))
    seen.append(await _figures(metrics, transactions))

    assert [(each["outbox_rows"], each["inbox_rows"]) for each in seen] == [(1, 1), (5, 5), (0, 0)]
    assert [int(each["outbox_oldest_seconds"]) // 10 for each in seen] == [1, 2, 0]


async def test_a_large_number_is_an_estimate_and_ages_stay_exact(transactions: Transactions) -> None:
    metrics = Metrics(transactions.clock)
    async with transactions.engine.begin() as connection:
        for statement in LARGE_BACKLOG:
            await connection.exec_driver_sql(statement)

    figures = await _figures(metrics, transactions)

    for name in ("outbox_rows", "inbox_rows", 'tasks_due{kind="send"}'):
        assert 4_000 <= figures[name] <= 6_000, name
    assert (figures['tasks_due{kind="few"}'], figures["outbox_held_rows"]) == (1_000, 1_000)
    assert 7200 <= figures["outbox_oldest_seconds"] < 7300
    assert 10_800 <= figures['tasks_oldest_due_seconds{kind="send"}'] < 10_900


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
    # one is not due before tomorrow, and one was postponed until then
    """
    insert into tasks (kind, key, payload, due_at, first_due_at) values
    ('send', 'later', '{}', now() + interval '1 day', now() + interval '1 day'),
    ('send', 'again', '{}', now() + interval '1 day', now() - interval '3 hours')
    """,
    "analyze outbox, inbox, tasks",
)


async def _figures(metrics: Metrics, transactions: Transactions) -> dict[str, float]:
    text = (await metrics.scrape(transactions.engine, task_kinds=["send"])).decode()
    pairs = (line.rsplit(" ", 1) for line in text.splitlines() if not line.startswith("#"))
    return {name: float(value) for name, value in pairs}
