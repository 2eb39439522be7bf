"""One process, several roles: a signal, or the end of any, stops them all."""

import asyncio
import gc
import os
import signal
import socket
from collections.abc import Awaitable, Callable, Iterator
from functools import partial
from typing import Any

import anyio
import pytest
import structlog
from backing_services.waiting import eventually
from outboxed._wakeups import Wakeup
from outboxed.errors import ConfigurationError
from outboxed.process import Role, bind, run_roles
from outboxed.process._announcements import Announcements
from outboxed.process._roles import leave_to_itself_what_stays
from outboxed.settings import Database

from ..composed import composed


class Stopped:
    """Runs until told to stop, and remembers that it was told."""

    def __init__(self) -> None:
        self.told = False

    async def run(self, stop: anyio.Event) -> None:
        await stop.wait()
        self.told = True


def signalled(number: signal.Signals) -> Callable[[anyio.Event], Awaitable[None]]:
    async def run(stop: anyio.Event) -> None:
        os.kill(os.getpid(), number)
        await stop.wait()

    return run


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_a_signal_stops_every_role_and_is_no_failure(number: signal.Signals) -> None:
    other = Stopped()

    assert await run_roles([Role("other", other.run), Role("signalled", signalled(number))]) == 0

    assert other.told


async def test_a_role_that_dies_stops_the_others_with_status_1() -> None:
    async def dies(_: anyio.Event) -> None:
        raise RuntimeError("a bug")

    other = Stopped()

    assert await run_roles([Role("other", other.run), Role("dies", dies)]) == 1

    assert other.told


@pytest.mark.parametrize(
    ("error", "has_traceback"),
    [(RuntimeError("a bug"), True), (ConfigurationError("BANK_DATABASE_URL: no such database"), False)],
)
async def test_a_role_that_dies_of_a_wrong_setting_says_so_without_a_traceback(
    error: Exception,
    has_traceback: bool,
) -> None:
    async def dies(_: anyio.Event) -> None:
        raise error

    with structlog.testing.capture_logs() as logs:
        await run_roles([Role("dies", dies)])

    [died] = [line for line in logs if line["event"] == "role_died"]
    assert (died["error"], died["exc_info"] is not None) == (repr(error), has_traceback)


async def test_a_role_that_ends_on_its_own_is_one_that_died() -> None:
    async def ends(_: anyio.Event) -> None:
        return

    assert await run_roles([Role("ends", ends), Role("other", Stopped().run)]) == 1


async def test_a_role_that_dies_while_it_stops_is_a_failure() -> None:
    async def dies_late(stop: anyio.Event) -> None:
        await stop.wait()
        raise RuntimeError("a bug")

    assert await run_roles([Role("late", dies_late), Role("signalled", signalled(signal.SIGTERM))]) == 1


async def test_a_role_that_does_not_stop_is_cut_after_its_own_grace() -> None:
    cut = []

    async def hangs(_: anyio.Event) -> None:
        try:
            await anyio.sleep_forever()
        finally:
            cut.append(True)

    async with asyncio.timeout(30):
        roles = [Role("hangs", hangs, grace=0.01), Role("signalled", signalled(signal.SIGTERM), grace=60)]
        assert await run_roles(roles) == 0

    assert cut


async def test_the_grace_of_a_role_is_not_that_of_another() -> None:
    ends, is_cut = [], anyio.Event()

    async def hangs(_: anyio.Event) -> None:
        try:
            await anyio.sleep_forever()
        finally:
            is_cut.set()

    async def takes_longer(_: anyio.Event) -> None:
        await is_cut.wait()
        for _turn in range(1000):  # whoever has the other's grace is cut meanwhile
            await anyio.lowlevel.checkpoint()
        ends.append("in order")

    async with asyncio.timeout(30):
        roles = [Role("hangs", hangs, grace=0.01), Role("takes longer", takes_longer, grace=60)]
        assert await run_roles([*roles, Role("signalled", signalled(signal.SIGTERM))]) == 0

    assert ends == ["in order"]


@pytest.fixture
def frozen_again() -> Iterator[None]:
    """What pytest has imported and left to itself stays so: else each full collection for other tests visits it."""
    yield
    gc.freeze()


class Listener:
    """In the place of a socket: what it is made of and told."""

    def __init__(self, family: int, kind: int, protocol: int) -> None:
        self.family, self.kind, self.protocol = family, kind, protocol
        self.options: list[tuple[int, int, int]] = []

    def setsockopt(self, *option: int) -> None:
        self.options.append(option)  # type: ignore[arg-type]  # three of them

    def bind(self, address: tuple[str, int]) -> None:
        self.address = address

    def listen(self) -> None: ...
    def set_inheritable(self, _: bool) -> None: ...


@pytest.mark.parametrize(
    ("host", "family"),
    [("127.0.0.1", socket.AF_INET), ("::", socket.AF_INET6), ("::1", socket.AF_INET6)],
)
def test_a_process_listens_where_its_predecessor_did_by_the_family_of_its_address(
    monkeypatch: pytest.MonkeyPatch, host: str, family: int
) -> None:
    monkeypatch.setattr(socket, "socket", Listener)

    listener: Any = bind(host, 8000)

    assert (listener.family, listener.address) == (family, (host, 8000))
    assert (socket.SOL_SOCKET, socket.SO_REUSEADDR, 1) in listener.options, "else it waits a minute after a crash"


@pytest.mark.usefixtures("frozen_again")
def test_the_garbage_collector_passes_by_what_a_process_begins_with() -> None:
    stays = [object()]

    leave_to_itself_what_stays()
    looked_at = gc.get_objects()
    gc.unfreeze()

    assert not any(each is stays for each in looked_at)
    assert any(each is stays for each in gc.get_objects())


async def test_a_role_that_goes_on_when_it_is_cancelled_ends_with_its_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """Such as one on a frozen connection."""
    ended, statuses = asyncio.Event(), list[int]()
    monkeypatch.setattr("outboxed.process._roles.os._exit", statuses.append)
    monkeypatch.setattr("outboxed.process._roles.BACKSTOP_SECONDS", 0.001)

    async def frozen(_: anyio.Event) -> None:
        with anyio.CancelScope(shield=True):
            await ended.wait()

    signalled_too = Role("signalled", signalled(signal.SIGTERM), grace=0)
    running = asyncio.create_task(run_roles([Role("frozen", frozen, grace=0), signalled_too]))
    try:
        await eventually(lambda: statuses == [1], every=0.001, within=5)
    finally:
        ended.set()
        await running


async def test_whoever_listens_for_work_gives_a_silent_database_up(monkeypatch: pytest.MonkeyPatch) -> None:
    stop, asked = anyio.Event(), dict[str, Any]()

    async def connect(**options: Any) -> None:
        asked.update(options)
        stop.set()
        raise ConnectionRefusedError

    monkeypatch.setattr("outboxed.process._announcements.asyncpg.connect", connect)
    database = Database.parse("postgresql+asyncpg://nobody@127.0.0.1:1/nowhere")

    await Announcements(database, {}, application_name="bank").run(stop)

    assert 0 < asked["timeout"] <= 10
    assert 0 < asked["command_timeout"] <= 10


class Connection:
    """To a database that has frozen: it never says that it has closed."""

    def __init__(self) -> None:
        self.is_used = asyncio.Event()
        self.closed_within: float | None = None

    def add_termination_listener(self, _: object) -> None: ...

    async def add_listener(self, *_: object) -> None: ...

    def is_closed(self) -> bool:
        return False

    async def execute(self, *_: object) -> None:
        self.is_used.set()

    async def close(self, *, timeout: float | None = None) -> None:  # noqa: ASYNC109 - asyncpg's
        await asyncio.sleep(0)
        self.closed_within = timeout
        raise TimeoutError


async def test_announcements_that_are_cancelled_close_their_connection_and_wait_for_no_answer(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    connection = Connection()

    async def connect(**_: object) -> Connection:
        return connection

    monkeypatch.setattr("outboxed.process._announcements.asyncpg.connect", connect)
    database = Database.parse("postgresql+asyncpg://nobody@127.0.0.1:1/nowhere")

    async with anyio.create_task_group() as group:
        group.start_soon(Announcements(database, {}, application_name="bank").run, anyio.Event())
        await connection.is_used.wait()
        group.cancel_scope.cancel()

    assert connection.closed_within is not None
    assert connection.closed_within <= 1


def test_a_process_that_was_killed_is_told_nothing_once_it_was_silent_for_long(monkeypatch: pytest.MonkeyPatch) -> None:
    database = Database.parse("postgresql+asyncpg://nobody@127.0.0.1:1/nowhere")
    announcements = Announcements(database, {"outbox": Wakeup()}, application_name="bank")
    announcements._hear(None, 0, "", "another-process hello")  # noqa: SLF001 - as asyncpg calls it
    said: list[set[str]] = []

    for seconds in (150.0, 0.0):
        monkeypatch.setattr("outboxed.process._announcements.FORGOTTEN_SECONDS", seconds)
        announcements._to_say.clear()  # noqa: SLF001 - what is said goes to PostgreSQL
        announcements._announce("outbox")  # noqa: SLF001 - as a Wakeup calls it
        said.append(set(announcements._to_say))  # noqa: SLF001 - as above

    assert said == [{"outbox"}, set()]


async def test_a_process_gives_memory_back_and_leaves_to_itself_what_stays_before_it_works(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    done: list[str] = []
    for name in ("give_large_blocks_back", "leave_to_itself_what_stays"):
        monkeypatch.setattr(f"outboxed.process._service.{name}", partial(done.append, name))

    async def run_roles(_: object) -> int:
        done.append("work")
        return 0

    monkeypatch.setattr("outboxed.process._service.run_roles", run_roles)
    monkeypatch.setattr(socket, "socket", Listener)
    monkeypatch.setattr(Listener, "getsockname", lambda _: ("127.0.0.1", 8000), raising=False)
    service = composed()
    await service.run("api")
    await service.close()

    assert done == ["give_large_blocks_back", "leave_to_itself_what_stays", "work"]
