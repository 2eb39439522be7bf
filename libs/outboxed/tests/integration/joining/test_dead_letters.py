"""Dead letters in a project that has its own subscribers: what no handler takes is kept, and the rest goes on."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from types import SimpleNamespace
from typing import Any

import httpx
import pytest
import sqlalchemy as sa
import structlog
from backing_services.waiting import eventually
from fastapi import FastAPI, HTTPException, Request
from faststream import AckPolicy
from faststream.exceptions import AckMessage, NackMessage, RejectMessage, SkipMessage
from faststream.kafka import KafkaBroker, KafkaRouter, TestKafkaBroker, TopicPartition
from outboxed import DeadLetters, Inbox, Outbox, Tasks
from outboxed import _last_minute as last_minute
from outboxed._last_minute import MAX_REFUSALS
from outboxed.joining import JoinedDeadLetterQueue
from outboxed.joining import _keeping as keeping
from outboxed.storage import DeadLetter, DeadLetterError, Edit, dump_headers
from outboxed.testing.records import consumer_record
from outboxed.testing.topics import Topics
from outboxed.web import dead_letters_router
from pydantic import BaseModel
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, async_sessionmaker

GROUP, TOPIC = "mailer", "mails"


class Mail(BaseModel):
    number: int


async def _nothing(_: list[Mail]) -> None: ...


class Mended(dict[int, Exception]):
    """Problems that are gone after so many refusals."""

    left = 0

    @classmethod
    def after(cls, refusals: int, problems: dict[int, Exception]) -> "Mended":
        mended = cls(problems)
        mended.left = refusals
        return mended

    def get(self, number: int, default: Any = None) -> Any:
        self.left -= 1
        return default if self.left < 0 else super().get(number, default)


class Project:
    """A team's tables and broker; `bad` are the numbers that its handler refuses."""

    def __init__(self) -> None:
        self.metadata = sa.MetaData()
        self.sent = sa.Table("sent", self.metadata, sa.Column("number", sa.Integer))
        self.inbox = Inbox(metadata=self.metadata)
        self.outbox = Outbox(metadata=self.metadata, topic=TOPIC)
        self.tasks = Tasks(metadata=self.metadata)
        self.letters = DeadLetters(metadata=self.metadata, outbox=self.outbox, tasks=self.tasks)
        self.problems: dict[int, Exception] = {}
        self.before: Callable[[list[Mail]], Awaitable[None]] = _nothing

    def broker(self, engine: AsyncEngine | sa.Engine, sessions: async_sessionmaker[AsyncSession], **more: Any) -> Any:
        """With one subscriber: of single messages, or of batches with `batch=True`."""
        address, options = more.pop("address", "localhost"), more.pop("options", {})
        broker = KafkaBroker(address, middlewares=[self.letters.middleware(engine, **options)])

        async def note(mail: Mail, session: AsyncSession) -> None:
            if problem := self.problems.get(mail.number):
                raise problem
            await session.execute(sa.insert(self.sent).values(number=mail.number))

        async def note_all(mails: list[Mail], session: AsyncSession) -> None:
            await self.before(mails)
            for mail in mails:
                await note(mail, session)

        handler = note_all if more.get("batch") else note
        read = {"group_id": GROUP, "ack_policy": AckPolicy.NACK_ON_ERROR, **more}
        topic = read.pop("topic", TOPIC)
        broker.subscriber(topic, **read)(self.inbox.once(sessions)(handler))
        return broker


@pytest.fixture
def project() -> Project:
    return Project()


@pytest.fixture
def metadata(project: Project) -> sa.MetaData:
    return project.metadata


@pytest.fixture
def broker(project: Project, engine: AsyncEngine, sessions: async_sessionmaker[AsyncSession]) -> Any:
    return project.broker(engine, sessions)


@pytest.fixture
def batches(project: Project, engine: AsyncEngine, sessions: async_sessionmaker[AsyncSession]) -> Any:
    return project.broker(engine, sessions, batch=True)


@pytest.fixture
def queue(project: Project, engine: AsyncEngine, broker: Any) -> JoinedDeadLetterQueue:
    return project.letters.queue(engine, broker)


def record(number: int, *, value: bytes | None = None, **headers: bytes | None) -> Any:
    raw = {"ce_id": str(number).encode(), **headers}
    body = b'{"number": %d}' % number if value is None else value
    return consumer_record(TOPIC, body, key=b"k%d" % number, headers=raw.items(), offset=number)


def reading(topics: Topics) -> dict[str, Any]:
    """For `Project.broker`: a subscriber that reads the topic of this test's Kafka from its beginning."""
    return {
        "address": topics.kafka.client_options()["bootstrap_servers"],
        "topic": topics.kafka.topic(TOPIC),
        "group_id": topics.group,
        "auto_offset_reset": "earliest",
    }


async def given(broker: Any, *records: Any) -> None:
    async with TestKafkaBroker(broker):
        for each in records:
            await broker.subscribers[0].process_message(each)


async def sent(project: Project, engine: AsyncEngine) -> Sequence[int]:
    async with engine.connect() as connection:
        return (
            (await connection.execute(sa.select(project.sent.c.number).order_by(project.sent.c.number))).scalars().all()
        )


async def kept(queue: JoinedDeadLetterQueue, **sought: Any) -> list[tuple[int | None, str]]:
    return [(letter.offset, letter.reason) for letter in await queue.list(**sought)]


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


async def test_what_may_go_well_later_comes_again_after_a_pause(
    project: Project, broker: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While its database is away the consumer would else take a whole core."""
    paused, sleep = [], asyncio.sleep

    async def note(seconds: float, *rest: Any) -> Any:
        paused.append(seconds)
        return await sleep(0, *rest)

    project.problems[1] = OSError("no route")
    monkeypatch.setattr(asyncio, "sleep", note)
    async with TestKafkaBroker(broker):
        with pytest.raises(OSError, match="no route"):
            await broker.subscribers[0].process_message(record(1))

    assert keeping.AGAIN_SECONDS in paused
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


async def test_after_a_replay_what_comes_is_no_replay_any_more(
    project: Project, broker: Any, queue: JoinedDeadLetterQueue
) -> None:
    project.problems = {1: RuntimeError("unlucky")}
    await given(broker, record(1))
    [letter] = await queue.list()
    project.problems = {2: RuntimeError("unlucky")}

    async with TestKafkaBroker(broker):
        await queue.replay(letter.id)
    await given(broker, record(2))

    assert [offset for offset, _ in await kept(queue)] == [2]


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


async def test_a_letter_is_handled_again_by_its_subscriber_once_the_cause_is_mended(
    project: Project, engine: AsyncEngine, broker: Any, queue: JoinedDeadLetterQueue
) -> None:
    project.problems[1] = RuntimeError("unlucky")
    await given(broker, record(1))
    project.problems.clear()
    [letter] = await queue.list()

    async with TestKafkaBroker(broker):
        await queue.replay(letter.id)

    assert await sent(project, engine) == [1]
    assert [closed.id for closed in await queue.list(status="replayed")] == [letter.id]
    with pytest.raises(DeadLetterError, match="already replayed"):
        await queue.replay(letter.id)


async def test_a_letter_of_a_batch_is_handled_again_by_itself(
    project: Project, engine: AsyncEngine, batches: Any
) -> None:
    queue = project.letters.queue(engine, batches)
    project.problems[1] = RuntimeError("unlucky")
    await given(batches, (record(1), record(2)))
    project.problems.clear()
    [letter] = await queue.list()

    async with TestKafkaBroker(batches):
        await queue.replay(letter.id)

    assert await sent(project, engine) == [1, 2]


async def test_a_letter_that_is_refused_again_stays_open(
    project: Project, broker: Any, queue: JoinedDeadLetterQueue
) -> None:
    project.problems[1] = RuntimeError("unlucky")
    await given(broker, record(1))
    [letter] = await queue.list()

    async with TestKafkaBroker(broker):
        with pytest.raises(RuntimeError, match="unlucky"):
            await queue.replay(letter.id)

    assert await kept(queue) == [(1, "RuntimeError: unlucky")]


@pytest.mark.parametrize("unreadable", [record(1, value=b"{"), record(1, odd=None)])
async def test_a_letter_that_still_can_not_be_read_stays_open(
    broker: Any, queue: JoinedDeadLetterQueue, unreadable: Any
) -> None:
    await given(broker, unreadable)
    [letter] = await queue.list()

    async with TestKafkaBroker(broker):
        with pytest.raises(Exception, match=r"Input should be|NoneType"):
            await queue.replay(letter.id)

    assert [one.id for one in await queue.list()] == [letter.id]
    assert await queue.list(status="replayed") == []


async def test_a_letter_is_handled_again_by_the_group_that_refused_it(project: Project, engine: AsyncEngine) -> None:
    """The others of its topic have done their part."""
    handled: list[str] = []
    broker = KafkaBroker("localhost", middlewares=[project.letters.middleware(engine)])

    def subscribe(group: str) -> Any:
        @broker.subscriber(TOPIC, group_id=group, ack_policy=AckPolicy.NACK_ON_ERROR)
        async def note(mail: Mail) -> None:
            if problem := project.problems.get(mail.number):
                raise problem
            handled.append(group)

        return broker.subscribers[-1]

    _first, second, _third = [subscribe(group) for group in ("one", "two", "three")]
    project.problems[1] = RuntimeError("unlucky")
    queue = project.letters.queue(engine, broker)
    async with TestKafkaBroker(broker):
        await second.process_message(record(1))
        project.problems.clear()
        [letter] = await queue.list()
        await queue.replay(letter.id)

    assert (letter.group, handled) == ("two", ["two"])


async def test_the_line_about_a_letter_has_nothing_of_what_the_record_holds(broker: Any) -> None:
    with structlog.testing.capture_logs() as logs:
        await given(broker, record(1, value=b'{"number": "ada@example.com"}'))

    assert [line["event"] for line in logs if line["event"] == "dead_letter_kept"] == ["dead_letter_kept"]
    assert "ada@example.com" not in repr([line for line in logs if line["event"] == "dead_letter_kept"])


async def test_an_edited_letter_is_handled_as_it_was_edited(
    project: Project, engine: AsyncEngine, broker: Any, queue: JoinedDeadLetterQueue
) -> None:
    await given(broker, record(1, value=b"{"))
    [letter] = await queue.list()

    await queue.edit(letter.id, Edit(value=b'{"number": 7}'))
    async with TestKafkaBroker(broker):
        await queue.replay(letter.id)

    assert await sent(project, engine) == [7]
    assert (await queue.show(letter.id)).original.value == b"{"


async def test_a_discarded_letter_is_closed_and_can_be_shown(
    project: Project, broker: Any, queue: JoinedDeadLetterQueue
) -> None:
    project.problems[1] = RuntimeError("unlucky")
    await given(broker, record(1))
    [letter] = await queue.list()

    await queue.discard(letter.id)

    assert await kept(queue) == []
    assert (await queue.show(letter.id)).status == "discarded"


async def test_a_task_that_was_given_up_is_scheduled_again(
    project: Project, engine: AsyncEngine, queue: JoinedDeadLetterQueue
) -> None:
    done: list[str] = []

    @project.tasks.call("call", gives_up=lambda *_: not project.problems)
    async def call(task: Any) -> None:
        if not project.problems:
            raise LookupError
        done.append(task.key)

    async with AsyncSession(engine) as session, session.begin():
        await project.tasks.schedule(session, "call", key="a", payload={"b": 1}, group="g")
    await project.tasks.run_due(engine)
    [letter] = await queue.list(source="task", type_="call", key="g")
    project.problems[0] = LookupError()

    await queue.replay(letter.id)
    await project.tasks.run_due(engine)

    assert (done, await kept(queue)) == (["a"], [])


async def test_a_task_that_is_scheduled_again_goes_on_in_its_trace(
    project: Project, engine: AsyncEngine, queue: JoinedDeadLetterQueue
) -> None:
    trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    headers = dump_headers([("traceparent", trace.encode())])
    values = {"source": "task", "topic": "call", "key": b"a", "value": b"{}", "headers": headers, "reason": "why"}
    async with engine.begin() as connection:
        await connection.execute(sa.insert(project.letters.table).values(values))
    [letter] = await queue.list()

    await queue.replay(letter.id)

    async with engine.connect() as connection:
        kept = (await connection.execute(sa.select(project.tasks.table.c.traceparent))).scalar_one()
    assert kept == trace


async def test_a_row_that_kafka_refused_goes_back_to_its_place(
    project: Project, engine: AsyncEngine, queue: JoinedDeadLetterQueue
) -> None:
    values = {"source": "outbox", "topic": TOPIC, "offset": 3, "key": b"k", "value": b"v", "headers": b"[]"}
    async with engine.begin() as connection:
        await connection.execute(sa.insert(project.letters.table).values(reason="too large", **values))
    [letter] = await queue.list()

    await queue.replay(letter.id)

    async with engine.connect() as connection:
        [row] = (await connection.execute(sa.select(project.outbox.table))).all()
    assert (row.id, row.topic, row.key, row.value) == (3, TOPIC, "k", b"v")


@pytest.mark.parametrize(
    ("source", "needed"),
    [("event", "the broker to queue"), ("task", "DeadLetters.tasks"), ("outbox", "DeadLetters.outbox")],
)
async def test_a_replay_that_lacks_a_part_says_which(
    project: Project, engine: AsyncEngine, source: str, needed: str
) -> None:
    queue = DeadLetters(metadata=project.metadata).queue(engine)
    async with engine.begin() as connection:
        row = sa.insert(project.letters.table).values(source=source, topic=TOPIC, headers=b"[]", reason="why")
        await connection.execute(row)
    [letter] = await queue.list()

    with pytest.raises(DeadLetterError, match=needed):
        await queue.replay(letter.id)

    assert [each.status for each in await queue.list()] == ["open"]


async def test_a_letter_whose_subscriber_is_gone_stays_open_and_says_so(
    project: Project, engine: AsyncEngine, sessions: async_sessionmaker[AsyncSession], broker: Any
) -> None:
    project.problems[1] = RuntimeError("unlucky")
    await given(broker, record(1))
    queue = project.letters.queue(engine, project.broker(engine, sessions, topic="mails."))

    [letter] = await queue.list()
    with pytest.raises(DeadLetterError, match="no subscriber of this broker reads mails in the group mailer"):
        await queue.replay(letter.id)


@pytest.mark.parametrize(
    ("topics", "prefix", "more"),
    [((), "", {"pattern": "mai.*"}), ((), "", {"partitions": [TopicPartition(TOPIC, 0)]}), (("ls",), "mai", {})],
    ids=["a pattern", "partitions", "a router's prefix"],
)
async def test_a_subscriber_is_found_however_it_names_its_topic(
    project: Project,
    engine: AsyncEngine,
    sessions: async_sessionmaker[AsyncSession],
    broker: Any,
    topics: tuple[str, ...],
    prefix: str,
    more: dict[str, Any],
) -> None:
    project.problems[1] = RuntimeError("unlucky")
    await given(broker, record(1))
    project.problems.clear()
    another = KafkaBroker(middlewares=[project.letters.middleware(engine)])
    router: Any = KafkaRouter(prefix=prefix)

    async def note(mail: Mail, session: AsyncSession) -> None:
        await session.execute(sa.insert(project.sent).values(number=mail.number))

    router.subscriber(*topics, group_id=GROUP, **more)(project.inbox.once(sessions)(note))

    another.include_router(router)
    queue = project.letters.queue(engine, another)
    [letter] = await queue.list()
    async with TestKafkaBroker(another):
        await queue.replay(letter.id)

    assert await sent(project, engine) == [1]


async def test_a_project_with_sync_sessions_keeps_and_lists_as_well(
    project: Project, sync_engine: sa.Engine, sessions: async_sessionmaker[AsyncSession]
) -> None:
    project.problems[1] = RuntimeError("unlucky")

    await given(project.broker(sync_engine, sessions), record(1))

    assert await kept(project.letters.queue(sync_engine)) == [(1, "RuntimeError: unlucky")]


@pytest.mark.parametrize("topics", [(TOPIC,)], indirect=True)
async def test_on_a_running_broker_a_poisoned_record_is_kept_and_replayed_and_no_offset_is_lost(
    project: Project, engine: AsyncEngine, sessions: async_sessionmaker[AsyncSession], topics: Topics
) -> None:
    broker = project.broker(engine, sessions, **reading(topics))
    queue = project.letters.queue(engine, broker)
    project.problems[1] = RuntimeError("unlucky")
    await topics.send(record(1), record(2))

    async def letters() -> Sequence[DeadLetter]:
        return await queue.list()

    async def is_handled() -> bool:
        return await sent(project, engine) == [2] and len(await letters()) == 1

    await broker.start()
    await eventually(is_handled)
    project.problems.clear()
    [letter] = await letters()
    await queue.replay(letter.id)
    await broker.stop()

    assert (await sent(project, engine), await letters()) == ([1, 2], [])


def test_letters_in_another_table_than_the_outboxs_are_refused(project: Project) -> None:
    with pytest.raises(ValueError, match="Outbox's letters are in outboxed_dead_letters, these are in letters"):
        DeadLetters(metadata=project.metadata, outbox=project.outbox, table="letters")


def test_letters_of_an_outbox_have_its_metadata(project: Project) -> None:
    assert DeadLetters(outbox=project.outbox).table is project.outbox.dead_letters


async def test_the_admin_api_lists_edits_and_discards_and_notes_who(broker: Any, queue: JoinedDeadLetterQueue) -> None:
    async def who(request: Request) -> str:
        if request.headers.get("x-who") != "ada":
            raise HTTPException(403)
        return "ada"

    await given(broker, record(1, value=b"{"))
    app = FastAPI()
    app.include_router(dead_letters_router(queue, by=who), prefix="/admin")
    transport = httpx.ASGITransport(app=app)
    async with httpx.AsyncClient(transport=transport, base_url="http://shop", headers={"x-who": "ada"}) as client:
        [letter] = (await client.get("/admin/dead-letters")).json()["items"]
        with structlog.testing.capture_logs() as logs:
            edited = await client.patch(f"/admin/dead-letters/{letter['id']}", json={"value": {"text": "{}"}})
            discarded = await client.post(f"/admin/dead-letters/{letter['id']}/discard")
        again = await client.post(f"/admin/dead-letters/{letter['id']}/discard")
        refused = await client.get("/admin/dead-letters", headers={"x-who": "eve"})
        unknown = await client.get("/admin/dead-letters/9")

    assert (letter["topic"], letter["content"]["value"]["text"]) == (TOPIC, "{")
    assert (edited.json()["content"]["value"]["text"], discarded.json()["status"]) == ("{}", "discarded")
    assert [(line["change"], line["operator"]) for line in logs] == [("edited", "ada"), ("discarded", "ada")]
    assert [each.status_code for each in (again, refused, unknown)] == [409, 403, 404]


def test_of_a_batch_each_record_alone_has_its_own_parts() -> None:
    batch = SimpleNamespace(raw_message=("a", "b"), body=["1", "2"], batch_headers=[{"n": "1"}, {"n": "2"}])

    alone = keeping._alone(batch, 1)  # noqa: SLF001 - what a handler sees of it is FastStream's

    assert vars(alone) == {"raw_message": ("b",), "body": ["2"], "batch_headers": [{"n": "2"}]}
    assert batch.raw_message == ("a", "b")
