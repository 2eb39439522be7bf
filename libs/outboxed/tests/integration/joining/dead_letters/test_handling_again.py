"""What a person does with letters: lists, edits and discards them, and has them handled again."""

from collections.abc import Sequence
from typing import Any

import httpx
import pytest
import sqlalchemy as sa
import structlog
from backing_services.waiting import eventually
from fastapi import FastAPI, HTTPException, Request
from faststream import AckPolicy
from faststream.kafka import KafkaBroker, KafkaRouter, TestKafkaBroker, TopicPartition
from outboxed import DeadLetters
from outboxed.joining import JoinedDeadLetterQueue
from outboxed.storage import DeadLetter, DeadLetterError, Edit, dump_headers
from outboxed.testing.topics import Topics
from outboxed.web import dead_letters_router
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, async_sessionmaker

from .conftest import GROUP, TOPIC, Mail, Project, given, kept, reading, record, sent


async def mended(project: Project, broker: Any, queue: JoinedDeadLetterQueue, message: Any) -> DeadLetter:
    """The letter of the record 1, which was refused for a cause that is gone."""
    project.problems[1] = RuntimeError("unlucky")
    await given(broker, message)
    project.problems.clear()
    [letter] = await queue.list()
    return letter


async def test_a_letter_is_handled_again_by_its_subscriber_once_the_cause_is_mended(
    project: Project, engine: AsyncEngine, broker: Any, queue: JoinedDeadLetterQueue
) -> None:
    letter = await mended(project, broker, queue, record(1))

    async with TestKafkaBroker(broker):
        await queue.replay(letter.id)

    assert await sent(project, engine) == [1]
    assert [closed.id for closed in await queue.list(status="replayed")] == [letter.id]
    with pytest.raises(DeadLetterError, match="already replayed"):
        await queue.replay(letter.id)


async def test_a_letter_is_closed_when_it_was_handled_and_not_when_that_began(
    project: Project, engine: AsyncEngine, broker: Any, queue: JoinedDeadLetterQueue
) -> None:
    letter = await mended(project, broker, queue, record(1))

    async with TestKafkaBroker(broker):
        await queue.replay(letter.id)

    async with engine.connect() as connection:
        [closed_at] = (await connection.execute(sa.select(project.letters.table.c.closed_at))).scalars()
        [handled_at] = (await connection.execute(sa.select(project.inbox.table.c.handled_at))).scalars()
    assert closed_at > handled_at


async def test_a_letter_of_a_batch_is_handled_again_by_itself(
    project: Project, engine: AsyncEngine, batches: Any
) -> None:
    queue = project.letters.queue(engine, batches)
    letter = await mended(project, batches, queue, (record(1), record(2)))

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
async def test_a_letter_that_still_cannot_be_read_stays_open(
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
        subscriber = broker.subscriber(TOPIC, group_id=group, ack_policy=AckPolicy.NACK_ON_ERROR)

        @subscriber
        async def note(mail: Mail) -> None:
            if problem := project.problems.get(mail.number):
                raise problem
            handled.append(group)

        return subscriber

    _first, second, _third = [subscribe(group) for group in ("one", "two", "three")]
    project.problems[1] = RuntimeError("unlucky")
    queue = project.letters.queue(engine, broker)
    async with TestKafkaBroker(broker):
        await second.process_message(record(1))
        project.problems.clear()
        [letter] = await queue.list()
        await queue.replay(letter.id)

    assert (letter.group, handled) == ("two", ["two"])


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
