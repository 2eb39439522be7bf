"""What processes tell each other, and that nothing depends on it for long."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import Any
from uuid import uuid4

import asyncpg
import pytest
import sqlalchemy as sa
import structlog
from backing_services.waiting import eventually
from outboxed._wakeups import Subscription, Wakeup
from outboxed.ports import NewTask
from outboxed.process._announcements import CHANNEL, Announcements
from outboxed.settings import Database
from outboxed.storage import tables
from outboxed.testing.services import running
from outboxed.testing.topics import Topics

from ..sample import AccountCredited
from .conftest import Transactions, count, relay_of, statements_of

PATIENCE = 30
CUT = "select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'announcements'"


@pytest.fixture(autouse=True)
def hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("outboxed.process._announcements.FIRST_BACKOFF", 0.02)
    monkeypatch.setattr("outboxed.process._announcements.SETTLED_SECONDS", 0)


@dataclass
class Process:
    """A process of a service, as far as it tells and hears."""

    transactions: Transactions
    outbox: Wakeup = field(default_factory=Wakeup)
    tasks: Wakeup = field(default_factory=Wakeup)

    def __post_init__(self) -> None:
        url = self.transactions.engine.url.render_as_string(hide_password=False)
        wakeups = {"outbox": self.outbox, "tasks": self.tasks}
        self.announcements = Announcements(Database.parse(url), wakeups, application_name="announcements")

    @asynccontextmanager
    async def listening(self) -> AsyncIterator[Subscription]:
        """Its loop of the outbox, woken by nothing yet."""
        loop = self.outbox.subscribe()
        async with running(self.announcements.run):
            await eventually(lambda: loop.hears_others)
            assert await loop.wait(PATIENCE)  # it looks once when the connection is there
            yield loop

    def knows_another(self) -> bool:
        return bool(self.announcements._heard)  # noqa: SLF001 - nobody else asks


@asynccontextmanager
async def spoken(transactions: Transactions) -> AsyncIterator[list[str]]:
    """What is said, without who says it."""
    words: list[str] = []

    def hear(*heard: Any) -> None:
        words.append(str(heard[-1]).partition(" ")[2])

    options = Database.parse(transactions.engine.url.render_as_string(hide_password=False)).connect_options()
    connection = await asyncpg.connect(**options)
    try:
        await connection.add_listener(CHANNEL, hear)
        yield words
    finally:
        await connection.close()


async def test_work_of_one_process_wakes_another_and_no_loop_twice(transactions: Transactions) -> None:
    one, other = Process(transactions), Process(transactions)
    async with one.listening() as here, other.listening() as there:
        await eventually(one.knows_another)
        tasks = other.tasks.subscribe()

        one.outbox.notify()

        assert await here.wait(PATIENCE)
        assert await there.wait(PATIENCE)
        one.tasks.notify()
        assert await tasks.wait(PATIENCE)
        assert not await here.wait(0)
        assert not await there.wait(0)


class Looking(Wakeup):
    """Counts, whenever somebody is told, what others see of the outbox and the tasks by then."""

    def __init__(self, transactions: Transactions) -> None:
        super().__init__()
        self.seen: list[tuple[int, int]] = []
        url = transactions.engine.url.set(drivername="postgresql+psycopg")
        self._engine = sa.create_engine(url, poolclass=sa.NullPool)

    def notify(self) -> None:
        counts = [sa.select(sa.func.count()).select_from(table) for table in (tables.outbox, tables.tasks)]
        with self._engine.connect() as connection:
            events, tasks = (connection.execute(query).scalar_one() for query in counts)
        self.seen.append((events, tasks))


async def test_nobody_is_told_of_work_before_others_can_see_it(transactions: Transactions) -> None:
    looking = Looking(transactions)
    telling = replace(transactions, events_appended=looking, tasks_scheduled=looking)

    async with telling() as uow:
        await uow.lock([str(uuid4())])  # it begins the transaction, which no statement commits by itself then
        uow.events.append(AccountCredited(account_id=uuid4()), sequence=1)
        uow.tasks.schedule(NewTask("greet", "1"))

    assert looking.seen == [(1, 1), (1, 1)]


async def test_a_process_that_is_alone_announces_nothing(transactions: Transactions) -> None:
    one, other = Process(transactions), Process(transactions)
    async with spoken(transactions) as words, one.listening():
        one.outbox.notify()
        async with other.listening():
            await eventually(lambda: one.knows_another() and other.knows_another())
        await eventually(lambda: "bye" in words)
        await eventually(lambda: not one.knows_another())
        one.outbox.notify()
        async with other.listening():
            await eventually(lambda: words.count("here") == 2)

    assert [word for word in words if word not in {"outbox", "tasks"}] == [
        *("hello", "hello", "here", "bye", "hello", "here", "bye", "bye")
    ]
    assert words.count("outbox") == words.count("hello") + words.count("bye")  # each tells of what others couldn't hear


async def test_a_process_says_again_and_again_that_it_is_here(
    transactions: Transactions, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("outboxed.process._announcements.HERE_SECONDS", 0.01)

    async with spoken(transactions) as words, Process(transactions).listening():
        await eventually(lambda: words.count("here") >= 3)  # nobody asks for it


async def test_the_commits_of_a_moment_are_one_announcement(
    transactions: Transactions, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("outboxed.process._announcements.TOGETHER_SECONDS", 0.5)
    one, other = Process(transactions), Process(transactions)
    async with spoken(transactions) as words, one.listening(), other.listening() as there:
        await eventually(one.knows_another)
        before = words.count("outbox")
        for _ in range(200):
            one.outbox.notify()
            await asyncio.sleep(0)
        assert await there.wait(PATIENCE)
        one.tasks.notify()
        await eventually(lambda: words[-1] == "tasks")

        assert words.count("outbox") <= before + 2


async def test_a_lost_connection_is_made_again_and_its_loops_look_for_what_they_missed(
    transactions: Transactions,
) -> None:
    one = Process(transactions)
    polled = []
    with structlog.testing.capture_logs() as logs:
        async with one.listening() as loop:
            async with transactions.engine.connect() as connection:
                await connection.execute(sa.text(CUT))
            for _ in range(2):  # they look when it is lost, and again when it is there
                assert await loop.wait(PATIENCE)
                polled.append(loop.hears_others)
            await eventually(lambda: loop.hears_others)

    assert polled[0] is False
    assert [line["event"] for line in logs] == ["announcements_lost"]


async def _append(transactions: Transactions) -> None:
    async with transactions() as uow:
        uow.events.append(AccountCredited(account_id=uuid4()), sequence=1)


@pytest.fixture
def only_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """No loop looks by itself."""
    for name in ("POLL_SECONDS", "IDLE_POLL_SECONDS", "SAFETY_SECONDS"):
        monkeypatch.setattr(f"outboxed._wakeups.{name}", 60)


@pytest.mark.usefixtures("only_told")
async def test_a_relay_sends_at_once_what_another_process_committed(transactions: Transactions, topics: Topics) -> None:
    api, relaying = Process(transactions), Process(transactions)
    apart = replace(transactions, events_appended=api.outbox)
    relay = relay_of(replace(transactions, events_appended=relaying.outbox), topics)
    async with api.listening(), relaying.listening(), running(relay.run):
        await eventually(api.knows_another)
        for number in range(3):
            await _append(apart)
            await topics.read("accounts", number + 1)

    assert await count(transactions.engine, tables.outbox) == 0


async def test_a_relay_that_is_told_of_all_work_looks_with_one_statement_and_finds_what_nobody_told(
    transactions: Transactions, topics: Topics, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("outboxed._wakeups.SAFETY_SECONDS", 0.02)
    relaying = Process(transactions)
    relay = relay_of(replace(transactions, events_appended=relaying.outbox), topics)
    async with relaying.listening(), running(relay.run):
        with statements_of(transactions.engine) as said:
            await eventually(lambda: len(said) > 10)
            idle = said[-5:]
        await _append(transactions)
        await topics.read("accounts", 1)
        await eventually(lambda: _is_empty(transactions))

    assert len(set(idle)) == 1
    assert "advisory" not in idle[0]


async def test_a_process_that_has_just_connected_looks_for_the_work_of_those_that_have_not(
    transactions: Transactions, topics: Topics, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("outboxed._wakeups.SAFETY_SECONDS", 60)
    monkeypatch.setattr("outboxed.process._announcements.SETTLED_SECONDS", 60)
    unheard, relaying = Process(transactions), Process(transactions)
    apart = replace(transactions, events_appended=unheard.outbox)
    relay = relay_of(replace(transactions, events_appended=relaying.outbox), topics)

    async with running(relaying.announcements.run), running(relay.run), asyncio.timeout(PATIENCE):
        await eventually(lambda: relaying.outbox.announce is not None)
        await eventually(lambda: relay._is_quiet)  # noqa: SLF001 - nothing outside tells
        await _append(apart)
        await topics.read("accounts", 1)

    assert relaying.outbox.announce is None


async def _is_empty(transactions: Transactions) -> bool:
    return await count(transactions.engine, tables.outbox) == 0


@pytest.mark.usefixtures("only_told")
async def test_a_relay_that_waits_to_be_told_stops_at_once(transactions: Transactions, topics: Topics) -> None:
    relaying = Process(transactions)
    relay = relay_of(replace(transactions, events_appended=relaying.outbox), topics)

    async with relaying.listening(), asyncio.timeout(PATIENCE), running(relay.run):
        await eventually(lambda: relay._is_quiet)  # noqa: SLF001 - nothing outside tells
