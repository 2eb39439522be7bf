"""Dead letters: listed, shown, edited, replayed once, discarded."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
import sqlalchemy as sa
from outboxed._last_minute import MAX_REFUSALS
from outboxed.consuming import BatchConsumer, DeadLetterQueue, Route
from outboxed.errors import TaskConflictError
from outboxed.messages import ConsumedEvent, Record
from outboxed.ports import NewTask
from outboxed.process import Metrics
from outboxed.storage import Content, DeadLetterError, Edit, dump_headers, tables
from outboxed.tasks import SqlTaskQueue
from outboxed.telemetry import SpanKind, continued_trace
from outboxed.testing.adapters import SqlBackend
from outboxed.testing.records import event_record

from ..sample import MoneyMoved, SqlAccounts, credit, moved, raw
from .conftest import Transactions, count, somebody_waits

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


async def test_what_is_done_to_a_letter_is_done_to_no_other(
    consumer: BatchConsumer[Any], letters: DeadLetterQueue[SqlAccounts]
) -> None:
    await consumer.handle([ODD, replace(ODD, offset=8), replace(ODD, offset=9)])
    edited, discarded, other = await letters.list()

    await letters.edit(edited.id, Edit(value=b"2"))
    await letters.discard(discarded.id)

    assert await letters.list() == [await letters.show(edited.id), other]
    assert other.edited_at is None


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
