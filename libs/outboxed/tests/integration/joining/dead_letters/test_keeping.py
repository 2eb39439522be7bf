"""What no handler takes is kept, and the rest goes on; what may go well later comes again."""

import asyncio
import threading
from collections.abc import Callable
from contextlib import suppress
from types import SimpleNamespace
from typing import Any

import pytest
import sqlalchemy as sa
import structlog
from backing_services.waiting import eventually
from faststream import AckPolicy
from faststream.exceptions import AckMessage, NackMessage, RejectMessage, SkipMessage
from faststream.kafka import KafkaBroker, TestKafkaBroker
from outboxed import _last_minute as last_minute
from outboxed._last_minute import MAX_REFUSALS
from outboxed.joining import JoinedDeadLetterQueue
from outboxed.joining import _keeping as keeping
from outboxed.testing.topics import Topics
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, async_sessionmaker

from .conftest import GROUP, TOPIC, Mail, Mended, Project, given, kept, reading, record, sent


async def test_a_record_that_the_handler_refuses_is_kept_whole_and_the_next_one_goes_on(
    project: Project, engine: AsyncEngine, broker: Any, queue: JoinedDeadLetterQueue
) -> None:
    project.problems[1] = RuntimeError("unlucky")

    await given(broker, record(1, trace=b"t"), record(2))

    assert await sent(project, engine) == [2]
    [letter] = await queue.list()
    assert (letter.group, letter.topic, letter.partition, letter.offset) == (GROUP, TOPIC, 0, 1)
    assert (letter.key, letter.value) == (b"k1", b'{"number": 1}')
    assert (letter.headers, letter.reason) == ((("ce_id", b"1"), ("trace", b"t")), "RuntimeError: unlucky")


@pytest.mark.parametrize(
    "unreadable",
    [record(1, value=b"{"), record(1, value=b'{"number": "one"}'), record(1, value=b""), record(1, odd=None)],
)
async def test_a_record_that_nobody_can_read_is_kept_too(
    project: Project, engine: AsyncEngine, broker: Any, queue: JoinedDeadLetterQueue, unreadable: Any
) -> None:
    await given(broker, unreadable, record(2))

    assert [letter.offset for letter in await queue.list()] == [1]
    assert await sent(project, engine) == [2]


async def test_the_line_about_a_letter_has_nothing_of_what_the_record_holds(broker: Any) -> None:
    with structlog.testing.capture_logs() as logs:
        await given(broker, record(1, value=b'{"number": "ada@example.com"}'))

    lines = [line for line in logs if line["event"] == "dead_letter_kept"]
    assert len(lines) == 1
    assert "ada@example.com" not in repr(lines)


async def test_of_a_batch_only_what_is_refused_is_kept(
    project: Project, engine: AsyncEngine, batches: Any, queue: JoinedDeadLetterQueue
) -> None:
    project.problems[2] = RuntimeError("unlucky")

    await given(batches, (record(1), record(2), record(3, value=b"{"), record(4)))

    assert await sent(project, engine) == [1, 4]
    assert [offset for offset, _ in await kept(queue)] == [2, 3]


async def test_a_batch_that_the_parser_cannot_read_is_kept_whole(batches: Any, queue: JoinedDeadLetterQueue) -> None:
    await given(batches, (record(1), record(2, odd=None)))

    assert [offset for offset, _ in await kept(queue)] == [1, 2]


@pytest.mark.parametrize("problem", [OSError("no route"), TimeoutError("late"), NackMessage()])
async def test_what_may_go_well_later_is_no_letter(
    project: Project,
    broker: Any,
    queue: JoinedDeadLetterQueue,
    problem: Exception,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(keeping, "AGAIN_SECONDS", 0)
    project.problems[1] = problem

    if isinstance(problem, NackMessage):
        await given(broker, record(1))
    else:
        with pytest.raises(type(problem)):
            await given(broker, record(1))

    assert await kept(queue) == []


def away(_: Project, patch: pytest.MonkeyPatch) -> None:
    async def keep(*_: Any) -> None:
        raise OSError("no route")

    patch.setattr(keeping.Keeper, "keep", keep)


def transient(project: Project, _: pytest.MonkeyPatch) -> None:
    project.problems[1] = OSError("no route")


def halted(project: Project, patch: pytest.MonkeyPatch) -> None:
    patch.setattr(last_minute, "MAX_REFUSALS", 1)
    project.problems[1] = RuntimeError("a bad deploy")


def refused_while_the_database_is_away(project: Project, patch: pytest.MonkeyPatch) -> None:
    away(project, patch)
    project.problems[1] = RuntimeError("unlucky")


@pytest.mark.parametrize(
    ("given_that", "read"),
    [
        (transient, record(1)),
        (halted, record(1)),
        (refused_while_the_database_is_away, record(1)),
        (away, record(1, odd=None)),  # FastStream's parser can't read it
    ],
)
async def test_whatever_comes_again_comes_after_a_pause(
    project: Project,
    broker: Any,
    monkeypatch: pytest.MonkeyPatch,
    given_that: Callable[[Project, pytest.MonkeyPatch], None],
    read: Any,
) -> None:
    """While its database is away the consumer would else take a whole core."""
    given_that(project, monkeypatch)
    paused: list[float] = []
    sleep = asyncio.sleep

    async def note(seconds: float, *rest: Any) -> Any:
        paused.append(seconds)
        return await sleep(0, *rest)

    monkeypatch.setattr(asyncio, "sleep", note)
    async with TestKafkaBroker(broker):
        with pytest.raises((OSError, RuntimeError), match=r"no route|a bad deploy"):
            await broker.subscribers[0].process_message(read)

    assert paused.count(keeping.AGAIN_SECONDS) == 1
    assert 0.1 <= keeping.AGAIN_SECONDS <= 5


async def test_a_project_says_which_of_its_errors_may_go_well_later(
    project: Project,
    engine: AsyncEngine,
    sessions: async_sessionmaker[AsyncSession],
    queue: JoinedDeadLetterQueue,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(keeping, "AGAIN_SECONDS", 0)
    project.problems[1] = LookupError("the other side is away")
    broker = project.broker(engine, sessions, options={"transient": lambda error: isinstance(error, LookupError)})

    with pytest.raises(LookupError):
        await given(broker, record(1))

    assert await kept(queue) == []


async def test_a_handler_that_refuses_many_gets_them_again_instead(
    project: Project, broker: Any, queue: JoinedDeadLetterQueue, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(keeping, "AGAIN_SECONDS", 0)
    project.problems = {number: RuntimeError("a bad deploy") for number in range(MAX_REFUSALS)}
    *first, last = map(record, project.problems)

    with structlog.testing.capture_logs() as logs:
        await given(broker, *first)
        with pytest.raises(RuntimeError):
            await given(broker, last)

    assert len(await kept(queue)) == MAX_REFUSALS - 1
    assert [line["event"] for line in logs if line["log_level"] == "critical"] == ["consumer_halted"]


async def test_refusals_among_many_that_are_handled_are_no_bad_deploy(
    project: Project, broker: Any, queue: JoinedDeadLetterQueue, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(last_minute, "MAX_REFUSALS", 2)
    project.problems = {number: RuntimeError("unlucky") for number in (30, 31)}

    with structlog.testing.capture_logs() as logs:
        await given(broker, *map(record, range(32)))

    assert len(await kept(queue)) == 2
    assert "consumer_halted" not in [line["event"] for line in logs]


@pytest.mark.parametrize(("again", "open_ones"), [(set(), [2]), ({1}, [1, 2])], ids=["it is handled", "it is refused"])
async def test_after_a_replay_what_comes_is_no_replay_any_more(
    project: Project, broker: Any, queue: JoinedDeadLetterQueue, again: set[int], open_ones: list[int]
) -> None:
    project.problems = {1: RuntimeError("unlucky")}
    await given(broker, record(1))
    [letter] = await queue.list()
    project.problems = {number: RuntimeError("unlucky") for number in {2, *again}}

    async with TestKafkaBroker(broker):
        with suppress(RuntimeError):
            await queue.replay(letter.id)
    await given(broker, record(2))

    assert [offset for offset, _ in await kept(queue)] == open_ones


# FastStream says of REJECT_ON_ERROR that it is ACK


@pytest.mark.parametrize("policy", sorted({*AckPolicy} - {AckPolicy.REJECT_ON_ERROR}))
@pytest.mark.parametrize(("batch", "problem"), [(False, RuntimeError("a bad deploy")), (True, OSError("no route"))])
@pytest.mark.parametrize("topics", [(TOPIC,)], indirect=True)
async def test_what_is_no_letter_comes_again_whatever_the_subscribers_policy_is(
    project: Project,
    engine: AsyncEngine,
    sessions: async_sessionmaker[AsyncSession],
    topics: Topics,
    monkeypatch: pytest.MonkeyPatch,
    policy: AckPolicy,
    problem: Exception,
    batch: bool,
) -> None:
    monkeypatch.setattr(keeping, "AGAIN_SECONDS", 0.01)
    monkeypatch.setattr(last_minute, "MAX_REFUSALS", 3)
    numbers = range(6)
    project.problems = Mended.after(8, dict.fromkeys(numbers, problem))
    broker = project.broker(engine, sessions, ack_policy=policy, batch=batch, **reading(topics))
    await topics.send(*map(record, numbers))

    async def is_everything_somewhere() -> bool:
        letters = [int((letter.key or b"").removeprefix(b"k")) for letter in await project.letters.queue(engine).list()]
        return sorted([*letters, *await sent(project, engine)]) == list(numbers)

    await broker.start()
    await eventually(is_everything_somewhere)
    await broker.stop()


@pytest.mark.parametrize("topics", [(TOPIC,)], indirect=True)
async def test_of_several_workers_none_passes_what_another_one_wants_again(
    project: Project,
    engine: AsyncEngine,
    sessions: async_sessionmaker[AsyncSession],
    topics: Topics,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(keeping, "AGAIN_SECONDS", 0.1)
    numbers = range(20)
    project.problems = Mended.after(12, dict.fromkeys(numbers, OSError("no route")))
    policy = AckPolicy.ACK_FIRST  # FastStream has no workers of one partition with another one
    broker = project.broker(engine, sessions, ack_policy=policy, max_workers=4, **reading(topics))
    await topics.send(*map(record, numbers))

    async def is_everything_sent() -> bool:
        return await sent(project, engine) == list(numbers)

    await broker.start()
    await eventually(is_everything_sent)
    await broker.stop()


async def test_a_handler_that_waits_for_what_was_cancelled_is_refused_and_ends_no_consumer(
    project: Project, batches: Any, queue: JoinedDeadLetterQueue
) -> None:
    async def wait_for_it(_: list[Mail]) -> None:
        elsewhere = asyncio.get_running_loop().create_future()
        elsewhere.cancel()
        await elsewhere

    project.before = wait_for_it
    await given(batches, (record(1), record(2)))

    reason = "RuntimeError: the handler waited for something that was cancelled"
    assert await kept(queue) == [(1, reason), (2, reason)]


@pytest.mark.parametrize(("policy", "batch"), [(AckPolicy.ACK_FIRST, False), (AckPolicy.NACK_ON_ERROR, True)])
@pytest.mark.parametrize("topics", [(TOPIC,)], indirect=True)
async def test_what_cannot_be_kept_while_the_database_is_away_is_kept_later(
    project: Project,
    engine: AsyncEngine,
    sessions: async_sessionmaker[AsyncSession],
    topics: Topics,
    monkeypatch: pytest.MonkeyPatch,
    policy: AckPolicy,
    batch: bool,
) -> None:
    """And one record that comes again all the while is no bad deploy."""
    monkeypatch.setattr(keeping, "AGAIN_SECONDS", 0.001)
    monkeypatch.setattr(last_minute, "MAX_REFUSALS", 3)
    outage = iter([OSError("no route")] * 9)
    keep = keeping.Keeper.keep

    async def keep_later(keeper: Any, *arguments: Any) -> None:
        for error in outage:
            raise error
        await keep(keeper, *arguments)

    monkeypatch.setattr(keeping.Keeper, "keep", keep_later)
    project.problems = {1: RuntimeError("unlucky")}
    broker = project.broker(engine, sessions, ack_policy=policy, batch=batch, **reading(topics))
    await topics.send(record(1), record(2, odd=None))

    async def keys() -> list[bytes]:
        return sorted(letter.key or b"" for letter in await project.letters.queue(engine).list())

    async def are_both_kept() -> bool:
        return await keys() == [b"k1", b"k2"]

    await broker.start()
    await eventually(are_both_kept)
    await broker.stop()


async def test_what_is_kept_has_no_answer(project: Project, engine: AsyncEngine, queue: JoinedDeadLetterQueue) -> None:
    """FastStream publishes an empty record for a handler that returned nothing."""
    broker = KafkaBroker(middlewares=[project.letters.middleware(engine)])
    answers: list[Any] = []

    @broker.subscriber("answers")
    async def note(answer: Any) -> None:
        answers.append(answer)

    @broker.publisher("answers")
    @broker.subscriber(TOPIC, group_id=GROUP, ack_policy=AckPolicy.NACK_ON_ERROR)
    async def double(mail: Mail) -> Mail:
        if problem := project.problems.get(mail.number):
            raise problem
        return Mail(number=2 * mail.number)

    project.problems[1] = RuntimeError("unlucky")
    async with TestKafkaBroker(broker):
        for number in (1, 2):
            await broker.publish({"number": number}, topic=TOPIC)

    assert answers == [{"number": 4}]
    assert len(await kept(queue)) == 1


async def test_a_consumer_that_is_cancelled_keeps_no_letter(
    project: Project, batches: Any, queue: JoinedDeadLetterQueue
) -> None:
    begun = asyncio.Event()

    async def hang(_: list[Mail]) -> None:
        begun.set()
        await asyncio.Event().wait()

    project.before = hang
    consuming = asyncio.create_task(given(batches, (record(1), record(2))))
    await begun.wait()
    consuming.cancel()
    with pytest.raises(asyncio.CancelledError):
        await consuming

    assert await kept(queue) == []


@pytest.mark.parametrize("done", [AckMessage(), RejectMessage(), SkipMessage()], ids=repr)
async def test_a_handler_that_is_done_with_one_record_of_a_batch_is_given_the_others(
    project: Project, engine: AsyncEngine, batches: Any, queue: JoinedDeadLetterQueue, done: Exception
) -> None:
    project.problems = {3: RuntimeError("unlucky")}
    asked = iter([done])

    async def once_alone(mails: list[Mail]) -> None:
        if [mail.number for mail in mails] == [1]:
            raise next(asked)

    project.before = once_alone
    await given(batches, (record(1), record(2), record(3), record(4)))

    assert await sent(project, engine) == [2, 4]
    assert [offset for offset, _ in await kept(queue)] == [3]


async def test_a_batch_that_faststreams_own_double_gives_is_kept_too(
    project: Project, engine: AsyncEngine, batches: Any, queue: JoinedDeadLetterQueue
) -> None:
    project.problems = {1: RuntimeError("unlucky")}

    async with TestKafkaBroker(batches):
        await batches.publish_batch({"number": 1}, {"number": 2}, topic=TOPIC)

    assert await sent(project, engine) == [2]
    assert [reason for _, reason in await kept(queue)] == ["RuntimeError: unlucky"]


async def test_any_number_of_records_that_nobody_can_read_halts_nobody(
    broker: Any, queue: JoinedDeadLetterQueue
) -> None:
    await given(broker, *(record(number, value=b"{") for number in range(2 * MAX_REFUSALS)))

    assert len(await kept(queue)) == 2 * MAX_REFUSALS


async def test_a_project_with_sync_sessions_keeps_and_lists_as_well(
    project: Project, sync_engine: sa.Engine, sessions: async_sessionmaker[AsyncSession]
) -> None:
    """In threads: a statement that waits for a lock would hold up all handlers."""
    threads: set[int] = set()
    for event in ("before_cursor_execute", "commit"):
        sa.event.listen(sync_engine, event, lambda *_: threads.add(threading.get_ident()))
    project.problems[1] = RuntimeError("unlucky")

    await given(project.broker(sync_engine, sessions), record(1))

    assert await kept(project.letters.queue(sync_engine)) == [(1, "RuntimeError: unlucky")]
    assert threads
    assert threading.get_ident() not in threads


def test_of_a_batch_each_record_alone_has_its_own_parts() -> None:
    batch = SimpleNamespace(raw_message=("a", "b"), body=["1", "2"], batch_headers=[{"n": "1"}, {"n": "2"}])

    alone = keeping._alone(batch, 1)  # noqa: SLF001 - what a handler sees of it is FastStream's

    assert vars(alone) == {"raw_message": ("b",), "body": ["2"], "batch_headers": [{"n": "2"}]}
    assert batch.raw_message == ("a", "b")
