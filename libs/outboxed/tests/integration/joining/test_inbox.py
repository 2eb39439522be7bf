"""The inbox in a project that has its own subscribers and sessions: each event takes effect once."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from hashlib import sha512
from typing import Annotated, Any
from uuid import NAMESPACE_URL, UUID, uuid5

import pytest
import sqlalchemy as sa
import structlog
from aiokafka import ConsumerRecord
from backing_services.waiting import eventually
from faststream import AckPolicy, Depends
from faststream.kafka import KafkaBroker, KafkaMessage, TestKafkaBroker
from outboxed import Inbox
from outboxed.joining import _running as running
from outboxed.joining._inbox import MAX_BYTES
from outboxed.storage import Pruner, tables
from outboxed.testing.topics import Topics
from pydantic import BaseModel
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, async_sessionmaker
from sqlalchemy.orm import Session, sessionmaker

METADATA = sa.MetaData()
SENT = sa.Table("sent", METADATA, sa.Column("number", sa.Integer))
INBOX = Inbox(metadata=METADATA)


class Mail(BaseModel):
    number: int


@pytest.fixture
def metadata() -> sa.MetaData:
    return METADATA


@pytest.fixture
def sync_sessions(sync_engine: sa.Engine) -> sessionmaker[Session]:
    return sessionmaker(sync_engine)


@pytest.fixture
def broker() -> KafkaBroker:
    return KafkaBroker()


async def sent(engine: AsyncEngine) -> list[int]:
    async with engine.connect() as connection:
        return list((await connection.execute(sa.select(SENT.c.number).order_by(SENT.c.number))).scalars())


def record(number: int, *, offset: int = 0, **headers: str) -> Any:
    """As aiokafka has it; `ce_id` and others are its headers."""
    raw = tuple(
        (name.replace("_", "-") if name.startswith("x") else name, each.encode()) for name, each in headers.items()
    )
    return ConsumerRecord("mails", 0, offset, 0, 0, None, b'{"number": %d}' % number, None, 0, 0, raw)


async def given(subscriber: Any, *records: Any) -> None:
    for each in records:
        await subscriber.process_message(each)


@pytest.fixture
def by_sessions(broker: KafkaBroker, sessions: async_sessionmaker[AsyncSession]) -> Any:
    @broker.subscriber("mails", group_id="mails", ack_policy=AckPolicy.NACK_ON_ERROR)
    @INBOX.once(sessions)
    async def send(mail: Mail, session: AsyncSession) -> None:
        await session.execute(sa.insert(SENT).values(number=mail.number))

    return send._subscribers[0] if hasattr(send, "_subscribers") else broker.subscribers[0]  # noqa: SLF001


async def test_a_copy_takes_no_effect(broker: KafkaBroker, by_sessions: Any, engine: AsyncEngine) -> None:
    async with TestKafkaBroker(broker):
        await given(by_sessions, record(1, ce_id="a"), record(1, ce_id="a", offset=1), record(2, ce_id="b", offset=2))

    assert await sent(engine) == [1, 2]


async def test_events_of_two_sources_with_one_id_are_two(
    broker: KafkaBroker, by_sessions: Any, engine: AsyncEngine
) -> None:
    first, second = record(1, ce_id="a", ce_source="/one"), record(2, ce_id="a", ce_source="/two", offset=1)
    async with TestKafkaBroker(broker):
        await given(by_sessions, first, second, first, second)

    assert await sent(engine) == [1, 2]


LONG = "".join(sha512(bytes([number])).hexdigest() for number in range(100))
"""What no index takes, and no compression makes shorter."""


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ({"ce_id": f"{LONG}1"}, {"ce_id": f"{LONG}2"}),
        ({"ce_id": "a", "ce_source": f"/{LONG}1"}, {"ce_id": "a", "ce_source": f"/{LONG}2"}),
    ],
    ids=["ids", "sources"],
)
async def test_events_are_told_apart_by_the_last_character_of_a_long_name(
    broker: KafkaBroker, by_sessions: Any, engine: AsyncEngine, first: dict[str, Any], second: dict[str, Any]
) -> None:
    both = record(1, **first), record(2, offset=1, **second)
    async with TestKafkaBroker(broker):
        await given(by_sessions, *both, *both)

    assert await sent(engine) == [1, 2]


async def test_the_longest_names_that_are_kept_fit_into_the_index(sessions: async_sessionmaker[AsyncSession]) -> None:
    def known(number: int) -> Any:
        return record(number, ce_id=LONG[:-number][: MAX_BYTES - 5], ce_source=f"{LONG[: MAX_BYTES - 1]}{number}")

    async with sessions.begin() as session:
        assert [await INBOX.claim(session, known(number), name="send") for number in (1, 2, 1)] == [True, True, False]


@pytest.mark.parametrize("known", ["a", 7, UUID(int=7)])
async def test_an_id_of_any_type_is_claimed(sessions: async_sessionmaker[AsyncSession], known: Any) -> None:
    async with sessions.begin() as session:
        assert [await INBOX.claim(session, known, name="send") for _ in range(2)] == [True, False]


async def test_a_record_without_an_id_is_known_by_its_place(
    broker: KafkaBroker, by_sessions: Any, engine: AsyncEngine
) -> None:
    async with TestKafkaBroker(broker):
        await given(by_sessions, record(1), record(1), record(2, offset=1))
        await given(by_sessions, replace(record(3), partition=1), replace(record(4), topic="letters"))

    assert await sent(engine) == [1, 2, 3, 4]


@pytest.mark.parametrize(
    "identify",
    [
        "x-id",
        lambda record: dict(record.headers)["x-id"].decode(),
        lambda record: uuid5(NAMESPACE_URL, str(dict(record.headers)["x-id"])),
    ],
)
async def test_a_project_says_by_what_its_events_are_known(
    broker: KafkaBroker, sessions: async_sessionmaker[AsyncSession], engine: AsyncEngine, identify: Any
) -> None:
    inbox = Inbox(identify=identify)

    @broker.subscriber("mails")
    @inbox.once(sessions, session="db")
    async def send(mail: Mail, db: AsyncSession) -> None:
        await db.execute(sa.insert(SENT).values(number=mail.number))

    async with TestKafkaBroker(broker):
        await given(broker.subscribers[0], record(1, x_id="a"), record(2, x_id="a", offset=1), record(3, x_id="\x1f"))
        await given(
            broker.subscribers[0], record(4, x_id="a", ce_source="/another", offset=3)
        )  # which says nothing here

    assert await sent(engine) == [1, 3]


async def assert_comes_again(broker: KafkaBroker) -> None:
    """Its handler fails once."""
    async with TestKafkaBroker(broker):
        with pytest.raises(RuntimeError, match="once"):
            await given(broker.subscribers[0], record(1, ce_id="a"))
        await given(broker.subscribers[0], record(1, ce_id="a"))


async def test_what_a_handler_wrote_before_it_failed_is_undone_and_comes_again(
    broker: KafkaBroker, sessions: async_sessionmaker[AsyncSession], engine: AsyncEngine
) -> None:
    failures = [RuntimeError("once")]

    @broker.subscriber("mails")
    @INBOX.once(sessions)
    async def send(mail: Mail, session: AsyncSession) -> None:
        await session.execute(sa.insert(SENT).values(number=mail.number))
        if failures:
            raise failures.pop()

    await assert_comes_again(broker)

    assert await sent(engine) == [1]


async def test_what_a_handler_that_is_no_coroutine_wrote_before_it_failed_is_undone_and_comes_again(
    broker: KafkaBroker, sync_sessions: sessionmaker[Session], engine: AsyncEngine
) -> None:
    failures = [RuntimeError("once")]

    @broker.subscriber("mails")
    @INBOX.once(sync_sessions)
    def send(mail: Mail, session: Session) -> None:
        session.execute(sa.insert(SENT).values(number=mail.number))
        if failures:
            raise failures.pop()

    await assert_comes_again(broker)

    assert await sent(engine) == [1]


async def test_a_session_of_the_projects_own_dependency_will_do(
    broker: KafkaBroker, sessions: async_sessionmaker[AsyncSession], engine: AsyncEngine
) -> None:
    async def of_the_request() -> AsyncIterator[AsyncSession]:
        async with sessions.begin() as session:
            yield session

    @broker.subscriber("mails")
    @INBOX.once(session="db")
    async def send(mail: Mail, db: Annotated[AsyncSession, Depends(of_the_request)], message: KafkaMessage) -> None:
        assert message.raw_message
        await db.execute(sa.insert(SENT).values(number=mail.number))

    async with TestKafkaBroker(broker):
        await given(broker.subscribers[0], record(1, ce_id="a"), record(1, ce_id="a", offset=1))

    assert await sent(engine) == [1]


async def test_a_generator_that_yields_a_session_opens_it(
    broker: KafkaBroker, sessions: async_sessionmaker[AsyncSession], engine: AsyncEngine
) -> None:
    async def get_session() -> AsyncIterator[AsyncSession]:
        async with sessions() as session:
            yield session

    @broker.subscriber("mails")
    @INBOX.once(get_session)
    async def send(mail: Mail, session: AsyncSession) -> None:
        await session.execute(sa.insert(SENT).values(number=mail.number))

    async with TestKafkaBroker(broker):
        await given(broker.subscribers[0], record(1, ce_id="a"), record(1, ce_id="a", offset=1))

    assert await sent(engine) == [1]


async def test_a_handler_that_is_no_coroutine_takes_effect_once(
    broker: KafkaBroker, sync_sessions: sessionmaker[Session], engine: AsyncEngine
) -> None:
    @broker.subscriber("mails")
    @INBOX.once(sync_sessions)
    def send(mail: Mail, session: Session) -> None:
        session.execute(sa.insert(SENT).values(number=mail.number))

    async with TestKafkaBroker(broker):
        await given(broker.subscribers[0], record(1, ce_id="a"), record(1, ce_id="a", offset=1))

    assert await sent(engine) == [1]


async def test_a_handler_that_opens_its_own_transaction_claims_the_message(
    broker: KafkaBroker, sessions: async_sessionmaker[AsyncSession], engine: AsyncEngine
) -> None:
    @broker.subscriber("mails")
    async def send(mail: Mail, message: KafkaMessage) -> None:
        async with sessions.begin() as session:
            if await INBOX.claim(session, message, name="send"):
                await session.execute(sa.insert(SENT).values(number=mail.number))

    async with TestKafkaBroker(broker):
        await given(broker.subscribers[0], record(1, ce_id="a"), record(1, ce_id="a", offset=1))

    assert await sent(engine) == [1]


async def test_a_message_can_be_claimed_once_in_a_session_of_either_kind(
    sessions: async_sessionmaker[AsyncSession], sync_sessions: sessionmaker[Session]
) -> None:
    with sync_sessions.begin() as session:
        first = [INBOX.claim_sync(session, each, name="send") for each in ("a", "a", "b")]
    async with sessions.begin() as another:
        later = [await INBOX.claim(another, each, name="send") for each in ("a", "c", "c")]
    with sync_sessions.begin() as session:
        last = [INBOX.claim_sync(session, "c", name=name) for name in ("send", "print")]

    assert (first, later, last) == ([True, False, True], [False, True, False], [False, True])


@pytest.fixture
def batches(broker: KafkaBroker, sessions: async_sessionmaker[AsyncSession]) -> list[list[int]]:
    """What each call of a batch handler was given."""
    calls: list[list[int]] = []

    @broker.subscriber("mails", batch=True)
    @INBOX.once(sessions)
    async def send(mails: list[Mail], session: AsyncSession) -> None:
        calls.append([mail.number for mail in mails])
        await session.execute(sa.insert(SENT), [{"number": mail.number} for mail in mails])

    return calls


async def test_a_batch_handler_gets_what_is_new(
    broker: KafkaBroker, batches: list[list[int]], engine: AsyncEngine
) -> None:
    one, two, three = record(1, ce_id="a"), record(2, ce_id="b", offset=1), record(3, ce_id="c", offset=2)
    async with TestKafkaBroker(broker):
        await given(broker.subscribers[0], (one, two), (two, three, three, one), (one, three))

    assert batches == [[1, 2], [3]]
    assert await sent(engine) == [1, 2, 3]


async def test_of_a_batch_that_comes_again_in_part_other_lists_stay_whole(
    broker: KafkaBroker, sessions: async_sessionmaker[AsyncSession]
) -> None:
    calls: list[tuple[list[int], list[str]]] = []

    @broker.subscriber("mails", batch=True)
    @INBOX.once(sessions)
    async def send(
        mails: list[Mail], session: AsyncSession, languages: Annotated[list[str], Depends(lambda: ["en", "de", "fr"])]
    ) -> None:
        calls.append(([mail.number for mail in mails], languages))
        await session.execute(sa.insert(SENT), [{"number": mail.number} for mail in mails])

    async with TestKafkaBroker(broker):
        await given(broker.subscribers[0], (record(1, ce_id="a"),), (record(1, ce_id="a"), record(2, ce_id="b")))

    assert calls == [([1], ["en", "de", "fr"]), ([2], ["en", "de", "fr"])]


async def test_a_batch_that_faststreams_own_double_gives_is_handled(
    broker: KafkaBroker, batches: list[list[int]], engine: AsyncEngine
) -> None:
    async with TestKafkaBroker(broker):
        await broker.publish_batch({"number": 1}, topic="mails")

    assert (batches, await sent(engine)) == ([[1]], [1])


async def test_each_handler_handles_an_event_once(
    broker: KafkaBroker, sessions: async_sessionmaker[AsyncSession], engine: AsyncEngine
) -> None:
    for number in (1, 2):

        @broker.subscriber("mails", group_id=f"group-{number}")
        @INBOX.once(sessions, name=f"handler {number}")
        async def send(mail: Mail, session: AsyncSession) -> None:
            await session.execute(sa.insert(SENT).values(number=mail.number))

    async with TestKafkaBroker(broker):
        for subscriber in broker.subscribers:
            await given(subscriber, record(1, ce_id="a"), record(1, ce_id="a"))

    assert len(await sent(engine)) == 2


async def test_copies_at_the_same_moment_take_effect_once(
    sessions: async_sessionmaker[AsyncSession], engine: AsyncEngine
) -> None:
    """As two members of a group have them during a rebalance: the second waits for the first to commit."""

    async def handle(number: int) -> None:
        async with sessions.begin() as session:
            if await INBOX.claim(session, record(number % 5, ce_id=f"{number % 5}", offset=number), name="send"):
                await asyncio.sleep(0.01)
                await session.execute(sa.insert(SENT).values(number=number % 5))

    await asyncio.gather(*map(handle, range(50)))

    assert await sent(engine) == [0, 1, 2, 3, 4]


async def test_of_a_copy_whose_first_handling_rolls_back_the_second_takes_effect(
    sessions: async_sessionmaker[AsyncSession],
) -> None:
    async with sessions() as first, sessions() as second:
        assert await INBOX.claim(first, "a", name="send")
        waiting = asyncio.create_task(INBOX.claim(second, "a", name="send"))
        await asyncio.wait([waiting], timeout=0.1)
        assert not waiting.done()

        await first.rollback()

        assert await waiting


async def test_over_kafka_a_crash_before_the_offset_is_committed_repeats_nothing(
    topics: Topics, sessions: async_sessionmaker[AsyncSession], engine: AsyncEngine
) -> None:
    async def consume(until: int) -> None:
        broker = KafkaBroker(topics.kafka.client_options()["bootstrap_servers"])

        @broker.subscriber(
            topics.kafka.topic("moves"),
            group_id=None,  # reads from the start again, as after a crash
            auto_offset_reset="earliest",
            batch=True,
            batch_timeout_ms=20,
        )
        @INBOX.once(sessions, name="mails")
        async def send(mails: list[Mail], session: AsyncSession) -> None:
            await session.execute(sa.insert(SENT), [{"number": mail.number} for mail in mails])

        async with broker:
            await broker.start()
            await eventually(lambda: _has(engine, until))

    def at(number: int) -> Any:
        return ConsumerRecord("moves", 0, 0, 0, 0, b"k", b'{"number": %d}' % number, None, 0, 0, ())

    await topics.send(*map(at, range(20)))
    await consume(20)
    await topics.send(at(20))
    await consume(21)

    assert await sent(engine) == list(range(21))


async def _has(engine: AsyncEngine, number: int) -> bool:
    return len(await sent(engine)) >= number


async def test_a_subscriber_that_commits_first_is_told_of_once(
    broker: KafkaBroker, sessions: async_sessionmaker[AsyncSession]
) -> None:
    @broker.subscriber("mails", group_id="g", ack_policy=AckPolicy.ACK_FIRST)
    @INBOX.once(sessions)
    async def send(mail: Mail, session: AsyncSession) -> None:
        await session.execute(sa.insert(SENT).values(number=mail.number))

    with structlog.testing.capture_logs() as logs:
        async with TestKafkaBroker(broker):
            await given(broker.subscribers[0], record(1, ce_id="a"), record(1, ce_id="b", offset=1))

    assert [line["event"] for line in logs if "inbox" in line["event"]] == ["inbox_offsets_are_committed_first"]


def test_a_handler_without_a_session_is_refused(sessions: async_sessionmaker[AsyncSession]) -> None:
    async def send(mail: Mail) -> None: ...

    with pytest.raises(TypeError, match="has no parameter 'session'"):
        INBOX.once(sessions)(send)


def test_what_is_no_function_is_refused(broker: KafkaBroker, sessions: async_sessionmaker[AsyncSession]) -> None:
    @broker.publisher("answers")
    async def send(mail: Mail, session: AsyncSession) -> None: ...

    with pytest.raises(TypeError, match="directly above the function"):
        INBOX.once(sessions)(send)


async def test_what_is_older_than_its_time_is_forgotten(
    sessions: async_sessionmaker[AsyncSession], engine: AsyncEngine
) -> None:
    async with sessions.begin() as session:
        await INBOX.claim(session, "old", name="send")
        await session.execute(sa.update(INBOX.table).values(handled_at=sa.text("now() - interval '15 days'")))
        await INBOX.claim(session, "new", name="send")

    async with INBOX.pruned(engine):
        await eventually(lambda: _claimed(engine, 1))


async def test_a_project_with_a_sync_engine_forgets_too(
    sync_engine: sa.Engine, sync_sessions: sessionmaker[Session], engine: AsyncEngine
) -> None:
    with sync_sessions.begin() as session:
        INBOX.claim_sync(session, "old", name="send")
        session.execute(sa.update(INBOX.table).values(handled_at=sa.text("now() - interval '15 days'")))

    async with INBOX.pruned(sync_engine):
        await eventually(lambda: _claimed(engine, 0))


async def test_an_error_of_the_pruning_is_logged_and_does_not_end_the_app(
    engine: AsyncEngine, sessions: async_sessionmaker[AsyncSession], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(running, "AGAIN_SECONDS", 0.01)
    errors = iter([RuntimeError("unforeseen")])
    prune = Pruner.prune

    async def fail_once(pruner: Pruner) -> int:
        for error in errors:
            raise error
        return await prune(pruner)

    monkeypatch.setattr(Pruner, "prune", fail_once)
    async with sessions.begin() as session:
        await INBOX.claim(session, "old", name="send")
        await session.execute(sa.update(INBOX.table).values(handled_at=sa.text("now() - interval '15 days'")))

    with structlog.testing.capture_logs() as logs:
        async with INBOX.pruned(engine):
            await eventually(lambda: _claimed(engine, 0))

    assert [(line["event"], line["error"]) for line in logs] == [("pruner_ended", "RuntimeError('unforeseen')")]


async def _claimed(engine: AsyncEngine, number: int) -> bool:
    async with engine.connect() as connection:
        return number == len((await connection.execute(sa.select(INBOX.table.c.event_id))).all())


def test_the_inbox_of_a_service_has_its_own_table() -> None:
    assert INBOX.table.name == "outboxed_inbox" != tables.inbox.name
