"""Events, tasks, inbox and dead letters of a transaction: the same in memory and on PostgreSQL."""

import asyncio
import math
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from outboxed.errors import EventTooLargeError, TaskConflictError, WrittenWhileReadingError
from outboxed.messages import Event, EventIdentity, Record
from outboxed.ports import EventDeadLetter, NewTask
from outboxed.storage import storable
from outboxed.tasks import LeaseLostError, Task
from outboxed.testing.adapters import Backend, failed_transaction
from outboxed.testing.records import decoded

from ..sample import Account, AccountCredited

LEASE = timedelta(seconds=30)


class AccountClosed(Event, type="account.closed.v1", topic="accounts", key_field="account_id"):
    account_id: UUID


async def schedule(backend: Backend, *tasks: NewTask) -> None:
    async with backend.database() as uow:
        for task in tasks:
            uow.tasks.schedule(task)


async def claim(backend: Backend, kind: str = "call", limit: int = 10) -> list[Task]:
    return await backend.queue.claim(kind, limit=limit, lease=LEASE)


@pytest.fixture
async def task(backend: Backend) -> Task:
    """The only one, claimed."""
    await schedule(backend, NewTask("call", "1"))
    [task] = await claim(backend)
    return task


async def claimed_keys(backend: Backend, kind: str = "call", limit: int = 10) -> list[str]:
    return [task.key for task in await claim(backend, kind, limit)]


async def complete(backend: Backend, task: Task) -> None:
    async with backend.database() as uow:
        if not await backend.queue.complete([task], uow):
            raise LeaseLostError(task.key)


def events(*ids: str, source: str = "/payments") -> set[EventIdentity]:
    return {EventIdentity(source, event_id) for event_id in ids}


def letter(offset: int = 7, **changes: Any) -> EventDeadLetter:
    record: dict[str, Any] = {
        "topic": "payments",
        "partition": 3,
        "offset": offset,
        "key": b"\xffkey",
        "value": b"\0{",
        "headers": (("ce_type", None), ("na\0me", b"\xff"), ("ce_type", b"twice")),
    }
    return EventDeadLetter("orders", Record(**{**record, **changes}), "no JSON")


# --- one transaction ---


async def test_a_transaction_that_fails_leaves_nothing(backend: Backend) -> None:
    account = Account(uuid4())

    async with failed_transaction(backend.database) as uow:
        uow.accounts.add(account)
        uow.events.append(AccountCredited(account_id=account.id), sequence=1)
        uow.tasks.schedule(NewTask("call", "1"))
        await uow.inbox.insert(events("1"))
        uow.dead_letters.add(letter())

    async with backend.database() as uow:
        assert await uow.accounts.find(account.id) is None
    assert not await backend.outbox()
    assert not await backend.tasks()
    assert not await backend.inbox()
    assert not await backend.dead_letters()


@pytest.mark.parametrize("what", ["an aggregate", "an event", "a task", "a dead letter"])
async def test_what_is_written_while_reading_is_refused_and_not_kept(backend: Backend, what: str) -> None:
    account = Account(uuid4())
    writes: dict[str, Callable[[Any], None]] = {
        "an aggregate": lambda uow: uow.accounts.add(account),
        "an event": lambda uow: uow.events.append(AccountCredited(account_id=account.id), sequence=1),
        "a task": lambda uow: uow.tasks.schedule(NewTask("call", "1")),
        "a dead letter": lambda uow: uow.dead_letters.add(letter()),
    }

    async def write() -> None:
        async with backend.database(reading=True) as uow:
            writes[what](uow)

    with pytest.raises(WrittenWhileReadingError):
        await write()

    async with backend.database(reading=True) as uow:
        assert await uow.accounts.find(account.id) is None
    assert not await backend.outbox()
    assert not await backend.tasks()
    assert not await backend.dead_letters()


async def test_a_transactions_time_moves_with_the_clock(backend: Backend) -> None:
    async with backend.database() as uow:
        before = uow.now
    backend.clock.advance(timedelta(hours=1))

    async with backend.database() as uow:
        after = uow.now

    assert timedelta(hours=1) <= after - before < timedelta(hours=1, minutes=1)


async def test_a_transactions_time_stands_still(backend: Backend) -> None:
    async with backend.database() as uow:
        first = uow.now
        await uow.inbox.insert(events("1"))

        assert uow.now == first


# --- events ---


async def test_events_are_sent_in_the_order_of_appending(backend: Backend) -> None:
    accounts = [uuid4() for _ in range(5)]

    for some in (accounts[:3], accounts[3:]):
        async with backend.database() as uow:
            for account_id in some:
                uow.events.append(AccountCredited(account_id=account_id), sequence=1)
                uow.events.append(AccountClosed(account_id=account_id), sequence=2)

    sent = [(record.key, record.headers["ce_type"]) for record in await backend.outbox()]
    types = ("account.credited.v1", "account.closed.v1")
    assert sent == [(str(account_id), event_type) for account_id in accounts for event_type in types]


async def test_an_event_is_stored_with_its_whole_envelope(backend: Backend) -> None:
    account_id = uuid4()

    async with backend.database() as uow:
        uow.events.append(AccountCredited(account_id=account_id, owner="Zoë 李"), sequence=4)

    [record] = await backend.outbox()
    assert (record.topic, record.key) == ("accounts", str(account_id))
    assert decoded([record])[0][1]["owner"] == "Zoë 李"
    names = {"ce_specversion", "ce_id", "ce_source", "ce_type", "ce_time", "ce_subject", "ce_sequence", "content-type"}
    assert set(record.headers) == names
    assert (record.headers["ce_source"], record.headers["ce_sequence"]) == ("/accounts", "4")


async def test_an_event_that_could_not_be_sent_is_refused_at_once(backend: Backend) -> None:
    async with backend.database() as uow:
        with pytest.raises(EventTooLargeError):
            uow.events.append(AccountCredited(account_id=uuid4(), owner="a" * 512 * 1024), sequence=1)

    assert not await backend.outbox()


# --- inbox ---


async def test_the_inbox_gives_back_only_ids_that_nobody_has_handled(backend: Backend) -> None:
    async with backend.database() as uow:
        assert await uow.inbox.insert(events("a", "b")) == events("a", "b")
        assert await uow.inbox.insert(events("b", "c")) == events("c")

    async with backend.database() as uow:
        assert await uow.inbox.insert([*events("c", "d"), *events("d")]) == events("d")
        assert await uow.inbox.insert([]) == set()

    assert await backend.inbox() == events("a", "b", "c", "d")


async def test_of_concurrent_transactions_one_gets_an_id(backend: Backend) -> None:
    async def handle() -> set[EventIdentity]:
        async with backend.database() as uow:
            claimed: set[EventIdentity] = await uow.inbox.insert(events("a", "b"))
            return claimed

    outcomes = await asyncio.gather(*(handle() for _ in range(5)))

    assert sorted(map(len, outcomes)) == [0, 0, 0, 0, 2]


async def test_an_id_is_free_again_after_its_transaction_failed(backend: Backend) -> None:
    async with failed_transaction(backend.database) as uow:
        await uow.inbox.insert(events("a"))

    async with backend.database() as uow:
        assert await uow.inbox.insert(events("a")) == events("a")


# Two facts were merged into one where readers knew an event by its id alone:
# cloudevents/spec#391: the event of the second source was dropped
async def test_events_of_two_sources_under_one_id_are_two_events_and_each_is_new_once(backend: Backend) -> None:
    ours, theirs = events("a", "b"), events("a", "c", source="/shipping")
    seen = []

    for batch in (ours, theirs, theirs, ours, ours | theirs):
        async with backend.database() as uow:
            seen.append(await uow.inbox.insert(batch))

    assert seen == [ours, theirs, set(), set(), set()]
    assert await backend.inbox() == ours | theirs


async def test_a_batch_may_hold_two_events_of_one_id(backend: Backend) -> None:
    batch = events("a") | events("a", source="/shipping") | events("a", source="")

    for new in (batch, set()):
        async with backend.database() as uow:
            assert await uow.inbox.insert(batch) == new

    assert await backend.inbox() == batch


# --- dead letters ---


async def test_a_dead_letter_keeps_the_record_byte_by_byte(backend: Backend) -> None:
    async with backend.database() as uow:
        uow.dead_letters.add(letter())
        uow.dead_letters.add(letter(8, key=None, value=None, headers=()))

    assert await backend.dead_letters() == [letter(), letter(8, key=None, value=None, headers=())]


UNSTORABLE = ("a NUL: \0", "half a character: \ud800")


@pytest.mark.parametrize("unstorable", UNSTORABLE)
async def test_a_reason_that_postgresql_cannot_hold_keeps_no_record_from_being_kept(
    backend: Backend, unstorable: str
) -> None:
    """A handler's error may have any text, such as that of the record which it refuses."""
    async with backend.database() as uow:
        uow.dead_letters.add(replace(letter(), reason=unstorable))

    [kept] = await backend.dead_letters()
    assert kept.record == letter().record
    assert kept.reason == storable(unstorable)


async def test_a_position_has_one_dead_letter_however_often_it_is_read(backend: Backend) -> None:
    for _ in range(2):
        async with backend.database() as uow:
            uow.dead_letters.add(letter())
            uow.dead_letters.add(letter())
            uow.dead_letters.add(letter(partition=4))

    assert await backend.dead_letters() == [letter(), letter(partition=4)]


# streamnative/kop#530, librdkafka#1582: a topic that is made again has the same positions again
@pytest.mark.parametrize("changes", [{"key": b"k"}, {"key": None}, {"value": b"["}, {"value": None}, {"headers": ()}])
async def test_another_record_at_a_dead_letters_position_has_a_dead_letter_of_its_own(
    backend: Backend, changes: dict[str, Any]
) -> None:
    for _ in range(2):
        async with backend.database() as uow:
            uow.dead_letters.add(letter())
            uow.dead_letters.add(letter(**changes))

    assert await backend.dead_letters() == [letter(), letter(**changes)]


async def test_a_transaction_knows_in_the_end_how_many_of_its_dead_letters_are_new(backend: Backend) -> None:
    new = []

    for letters in ([letter(), letter(), letter(8)], [letter(), letter(9)], []):
        async with backend.database() as uow:
            for each in letters:
                uow.dead_letters.add(each)
        new.append(uow.dead_letters.new)

    assert new == [2, 1, 0]


async def test_what_a_dead_letters_parts_are_told_apart_by_is_where_they_stand(backend: Backend) -> None:
    swapped = [letter(key=b"one", value=None), letter(key=None, value=b"one")]

    async with backend.database() as uow:
        for each in swapped:
            uow.dead_letters.add(each)

    assert await backend.dead_letters() == swapped


# --- tasks ---


async def test_a_task_is_kept_with_its_group_and_payload(backend: Backend) -> None:
    await schedule(backend, NewTask("call", "1", {"to": "ada@example.com", "times": 2}, group="order-1"))

    assert await backend.tasks() == [("call", "1", "order-1", {"to": "ada@example.com", "times": 2})]
    [task] = await claim(backend)
    assert (task.kind, task.key, task.group, task.attempts) == ("call", "1", "order-1", 1)
    assert task.payload == {"to": "ada@example.com", "times": 2}


async def test_a_task_that_still_waits_is_not_made_twice(backend: Backend) -> None:
    call = NewTask("call", "1", {"to": "ada"}, group="g")
    await schedule(backend, call, call)
    await schedule(backend, replace(call, delay=timedelta(hours=1)), NewTask("write", "1"))

    assert await backend.tasks() == [("call", "1", "g", {"to": "ada"}), ("write", "1", None, {})]


@pytest.mark.parametrize("changes", [{"payload": {}}, {"payload": {"to": "bob"}}, {"group": None}, {"group": "h"}])
async def test_another_task_under_the_key_of_one_that_waits_is_refused_and_not_lost(
    backend: Backend, changes: dict[str, Any]
) -> None:
    call = NewTask("call", "1", {"to": "ada"}, group="g")
    await schedule(backend, call)

    with pytest.raises(TaskConflictError, match="another task waits as call 1"):
        await schedule(backend, NewTask("write", "1"), replace(call, **changes))

    assert await backend.tasks() == [("call", "1", "g", {"to": "ada"})]


async def test_a_task_is_due_after_its_delay_and_not_before(backend: Backend) -> None:
    await schedule(backend, NewTask("call", "1", delay=timedelta(minutes=15)))

    assert not await claim(backend)
    backend.clock.advance(timedelta(minutes=14, seconds=50))
    assert not await claim(backend)
    backend.clock.advance(timedelta(seconds=11))
    [task] = await claim(backend)
    assert (task.key, task.due_for < timedelta(minutes=15).total_seconds()) == ("1", True), "not since it was made"


async def test_only_tasks_of_the_kind_are_claimed_oldest_first_up_to_the_limit(backend: Backend) -> None:
    await schedule(backend, NewTask("write", "0"))
    await schedule(backend, NewTask("call", "late", delay=timedelta(seconds=5)))
    await schedule(backend, NewTask("call", "early"))
    await schedule(backend, NewTask("call", "later", delay=timedelta(seconds=6)))
    backend.clock.advance(timedelta(minutes=1))

    assert await claimed_keys(backend, limit=1) == ["early"]
    assert await claimed_keys(backend, limit=1) == ["late"]
    assert await claimed_keys(backend, limit=5) == ["later"]


async def test_a_claimed_task_belongs_to_its_worker_until_the_lease_ends(backend: Backend) -> None:
    await schedule(backend, NewTask("call", "1"))
    [first] = await claim(backend)

    assert not await claim(backend)
    backend.clock.advance(LEASE + timedelta(seconds=1))
    [second] = await claim(backend)

    assert (first.attempts, second.attempts) == (1, 2)
    assert first.token != second.token


async def test_a_task_is_claimed_by_one_of_many_workers(backend: Backend) -> None:
    await schedule(backend, *(NewTask("call", str(number)) for number in range(8)))

    claims = await asyncio.gather(*(claim(backend, limit=3) for _ in range(5)))

    keys = [task.key for tasks in claims for task in tasks]
    assert len(keys) == len(set(keys))


async def test_a_completed_task_is_gone_and_its_key_is_free(backend: Backend, task: Task) -> None:
    await complete(backend, task)

    assert not await backend.tasks()
    await schedule(backend, NewTask("call", "1"))
    assert await claimed_keys(backend) == ["1"]


async def test_a_task_completed_in_a_transaction_that_fails_is_still_there(backend: Backend, task: Task) -> None:
    async with failed_transaction(backend.database) as uow:
        await backend.queue.complete([task], uow)

    await complete(backend, task)
    assert not await backend.tasks()


@pytest.mark.parametrize("end", ["complete", "postpone", "bury"])
async def test_who_lost_the_lease_may_write_nothing(backend: Backend, end: str) -> None:
    await schedule(backend, NewTask("call", "1"))
    [lost] = await claim(backend)
    backend.clock.advance(LEASE + timedelta(seconds=1))
    [owned] = await claim(backend)

    with pytest.raises(LeaseLostError):
        await _ends(backend, end, lost)

    assert not await backend.dead_tasks()
    await _ends(backend, end, owned)


@pytest.mark.parametrize("end", ["complete", "postpone", "bury"])
async def test_a_task_that_is_gone_cannot_be_ended_again(backend: Backend, end: str, task: Task) -> None:
    await complete(backend, task)

    with pytest.raises(LeaseLostError):
        await _ends(backend, end, task)


async def _ends(backend: Backend, end: str, task: Task) -> None:
    if end == "postpone":
        await backend.queue.postpone(task, timedelta(minutes=1), "no answer")
        return
    if end == "complete":
        await complete(backend, task)
        return
    async with backend.database() as uow:
        await backend.queue.bury(task, "no such address", uow)


async def test_a_postponed_task_comes_again_and_its_attempts_go_on_counting(backend: Backend, task: Task) -> None:
    for pause in (LEASE / 2, LEASE * 2):
        await backend.queue.postpone(task, pause, "no answer")

        assert not await claim(backend)
        backend.clock.advance(pause + timedelta(seconds=1))
        [task] = await claim(backend)
    assert task.attempts == 3
    assert task.due_for >= (LEASE / 2 + LEASE * 2).total_seconds(), "it has been due since it first was"


async def test_it_is_known_when_the_next_task_is_due_or_can_be_claimed_again(backend: Backend) -> None:
    nothing = await backend.queue.next_due_in("call")
    await schedule(backend, NewTask("call", "later", delay=timedelta(seconds=100)), NewTask("other", "now"))
    later = await backend.queue.next_due_in("call")
    await schedule(backend, NewTask("call", "now"))
    await claim(backend)
    leased = await backend.queue.next_due_in("call")
    await schedule(backend, NewTask("call", "unclaimed"))
    unclaimed = await backend.queue.next_due_in("call")
    await claim(backend)
    backend.clock.advance(LEASE + timedelta(seconds=1))
    ended = await backend.queue.next_due_in("call")

    assert nothing == math.inf
    assert 95 < later <= 100
    assert LEASE.total_seconds() - 5 < leased <= LEASE.total_seconds()
    assert unclaimed <= 0
    assert ended <= 0


async def test_a_buried_task_is_a_dead_letter_and_no_task_any_more(backend: Backend, task: Task) -> None:
    await _ends(backend, "bury", task)

    assert await backend.dead_tasks() == [("call", "1", "no such address")]
    assert not await backend.tasks()


@pytest.mark.parametrize("unstorable", UNSTORABLE)
async def test_an_error_that_postgresql_cannot_hold_keeps_no_task_from_being_buried(
    backend: Backend, task: Task, unstorable: str
) -> None:
    async with backend.database() as uow:
        await backend.queue.bury(task, unstorable, uow)

    assert await backend.dead_tasks() == [("call", "1", storable(unstorable))]


async def test_tasks_of_a_group_are_done_one_at_a_time_in_the_order_of_their_making(backend: Backend) -> None:
    await schedule(
        backend, NewTask("call", "1", group="g", delay=timedelta(seconds=5)), NewTask("call", "2", group="g")
    )
    await schedule(backend, NewTask("call", "other", group="h"), NewTask("call", "free"))

    assert sorted(await claimed_keys(backend)) == ["free", "other"]
    backend.clock.advance(timedelta(seconds=6))
    [first] = await claim(backend)
    assert first.key == "1"
    assert not await claim(backend)
    await complete(backend, first)
    assert await claimed_keys(backend) == ["2"]


async def test_a_group_holds_back_tasks_of_other_kinds_too(backend: Backend) -> None:
    await schedule(backend, NewTask("write", "1", group="g"), NewTask("call", "1", group="g"))

    assert not await claim(backend, "call")
    assert await claimed_keys(backend, "write") == ["1"]
