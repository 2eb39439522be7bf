"""By what an inbox knows an event: what one handler has had is new to another one."""

from types import SimpleNamespace
from typing import Any

import pytest
from aiokafka import ConsumerRecord
from outboxed import Inbox
from outboxed.joining._handlers import once
from outboxed.joining._inbox import MAX_BYTES
from outboxed.messages import EventIdentity
from sqlalchemy.ext.asyncio import AsyncSession, async_scoped_session, async_sessionmaker
from sqlalchemy.orm import scoped_session, sessionmaker


def record(topic: str = "mails", *, offset: int = 0, **headers: str) -> Any:
    raw = tuple((name, text.encode()) for name, text in headers.items())
    return ConsumerRecord(topic, 0, offset, 0, 0, None, b"{}", None, 0, 0, raw)


def identity(of: Any, name: str = "send") -> EventIdentity:
    return Inbox().identity_of(of, name)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ((record("mails"), "send"), (record("orders"), "send")),
        ((record("mails", offset=1), "send"), (record("mails", offset=2), "send")),
        ((record(ce_id="a"), "send"), (record(ce_id="a"), "count")),
        ((record(), "send"), (record(), "count")),
        (("a", "send"), ("a", "count")),
        ((7, "send"), (7, "count")),
    ],
    ids=["topics", "offsets", "handlers of an id", "handlers of a place", "handlers of a text", "handlers of a number"],
)
def test_two_are_told_apart_by(one: tuple[Any, str], other: tuple[Any, str]) -> None:
    assert identity(*one) != identity(*other)
    assert identity(*one) == identity(*one)


@pytest.mark.parametrize("letter", ["a", "ä", "漢", "😀"])
def test_no_id_is_longer_than_its_index_takes_in_whatever_letters(letter: str) -> None:
    for length in (MAX_BYTES // 4, MAX_BYTES // 2, MAX_BYTES):
        for part in identity(record(ce_id=letter * length, ce_source=letter * length)):
            assert len(part.encode()) <= MAX_BYTES


class Told:
    """An inbox that is told which session and which name it is asked with."""

    def __init__(self) -> None:
        self.sessions: list[Any] = []
        self.names: list[str] = []

    async def new(self, session: Any, records: Any, name: str) -> list[int]:
        return self.new_sync(session, records, name)

    def new_sync(self, session: Any, records: Any, name: str) -> list[int]:
        self.sessions.append(session)
        self.names.append(name)
        return list(range(len(records)))


@pytest.fixture
def told() -> Told:
    return Told()


MESSAGE = SimpleNamespace(raw_message=record())


def handler_of(module: str) -> Any:
    def send(mail: Any, session: Any) -> None:
        """Nothing."""

    send.__module__, send.__qualname__ = module, "send"
    return send


def test_handlers_of_one_name_in_two_modules_are_two(told: Told) -> None:
    for module in ("shop.mails", "shop.letters"):
        once(told, handler_of(module), sessions=None, parameter="session", name=None)(
            "a mail", session=None, outboxed_message=MESSAGE
        )

    assert told.names == ["shop.mails.send", "shop.letters.send"]


def test_a_scoped_session_of_the_projects_own_is_asked_for_the_session_that_it_has(told: Told) -> None:
    scoped = scoped_session(sessionmaker())

    once(told, handler_of("shop"), sessions=None, parameter="session", name=None)(
        "a mail", session=scoped, outboxed_message=MESSAGE
    )

    assert told.sessions == [scoped()]


async def test_an_asynchronous_scoped_session_is_asked_for_the_session_that_it_has(told: Told) -> None:
    scoped = async_scoped_session(async_sessionmaker(), scopefunc=lambda: 1)

    async def send(mail: Any, session: Any) -> None:
        """Nothing."""

    handler: Any = once(told, send, sessions=None, parameter="session", name=None)
    await handler("a mail", session=scoped, outboxed_message=MESSAGE)

    assert [type(each) for each in told.sessions] == [AsyncSession]
    assert told.sessions == [scoped()]
