"""A project of somebody else's that keeps dead letters: its tables, its subscribers, its records."""

from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import pytest
import sqlalchemy as sa
from faststream import AckPolicy
from faststream.kafka import KafkaBroker, TestKafkaBroker
from outboxed import DeadLetters, Inbox, Outbox, Tasks
from outboxed.joining import JoinedDeadLetterQueue
from outboxed.testing.records import consumer_record
from outboxed.testing.topics import Topics
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
