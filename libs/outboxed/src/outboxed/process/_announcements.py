"""What the processes of a service tell each other by LISTEN and NOTIFY: a row is to be sent, a task is there."""

import asyncio
import math
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from typing import Any
from uuid import uuid4

import anyio
import asyncpg
import structlog

from outboxed._backoff import backoff
from outboxed._stopping import turns_until
from outboxed._wakeups import Wakeup
from outboxed.settings import Database
from outboxed.storage import SESSION_SETTINGS, is_transient, reason_of

log = structlog.get_logger()

CHANNEL = "outboxed"
HELLO, HERE, BYE = "hello", "here", "bye"
TOGETHER_SECONDS = 0.02
"""Announcements of so long are one statement, and one of each kind."""
HERE_SECONDS = 60.0
FORGOTTEN_SECONDS = 150.0
"""A process that hasn't been heard for so long is gone."""
STATEMENT_SECONDS = 5.0
FIRST_BACKOFF, LONGEST_BACKOFF = 0.1, 0.5
SETTLED_SECONDS = 4 * LONGEST_BACKOFF
"""A server's crash cuts off all processes, and each comes back in its own time: by then all can be heard again."""
NOTIFY = "select pg_notify($1, said) from unnest($2::text[]) as said"


class Announcements:
    """Wakes this process's loops for the work of others, and tells others of this process's work.

    On a connection of its own and after the commit: a NOTIFY in the writing transaction would make all commits of the
    server wait for each other. An announcement may be lost with its process or its connection. So loops still look
    every SAFETY_SECONDS, and all the time while there is no connection or only a fresh one: the other processes may
    have none yet.

    A process that is alone announces nothing. Each says `hello`, and whoever hears it answers `here`.
    """

    def __init__(self, database: Database, wakeups: Mapping[str, Wakeup], *, application_name: str) -> None:
        """`wakeups` are by the name under which all processes know the kind of work."""
        socket = {name: value for name, value in SESSION_SETTINGS.items() if name.startswith("tcp_")}
        self._options = database.connect_options(**socket, application_name=application_name)
        self._wakeups = wakeups
        self._token = uuid4().hex
        self._heard: dict[str, float] = {}
        self._to_say: set[str] = set()
        self._turn = asyncio.Event()

    async def run(self, stop: anyio.Event) -> None:
        """Listen until `stop`; a lost connection is made again, and its loss is logged."""
        watching = asyncio.create_task(self._turn_at(stop))
        attempt = 0
        try:
            for _ in turns_until(stop):
                try:
                    connection = await asyncpg.connect(**self._options, command_timeout=STATEMENT_SECONDS)
                    attempt = 0
                    await self._converse(connection, stop)
                except Exception as error:
                    if not is_transient(error):
                        raise
                    attempt += 1
                    log.warning("announcements_lost", reason=reason_of(error), attempt=attempt)
                    with anyio.move_on_after(backoff(attempt, first=FIRST_BACKOFF, cap=LONGEST_BACKOFF)):
                        await stop.wait()
        finally:
            watching.cancel()

    async def _turn_at(self, stop: anyio.Event) -> None:
        await stop.wait()
        self._turn.set()

    async def _converse(self, connection: asyncpg.Connection, stop: anyio.Event) -> None:
        """Until `stop`. Raises an error of the connection when that is lost."""
        try:
            connection.add_termination_listener(lambda _: self._turn.set())
            await connection.add_listener(CHANNEL, self._hear)
            self._to_say = {HELLO, *self._wakeups}  # also what nobody could be told of until now
            opened = time.monotonic()
            here_at, settled_at = opened + HERE_SECONDS, opened + SETTLED_SECONDS
            with self._open():
                for _ in turns_until(stop):
                    if time.monotonic() >= here_at:
                        here_at = time.monotonic() + HERE_SECONDS
                        self._to_say.add(HERE)
                    if time.monotonic() >= settled_at:
                        settled_at = math.inf
                        self._trust_others()
                    await self._say(connection)
                    await asyncio.sleep(TOGETHER_SECONDS)
                    with anyio.move_on_after(max(0.0, min(here_at, settled_at) - time.monotonic())):
                        await self._turn.wait()
            self._to_say = {BYE, *self._wakeups}  # also what this process's last commits leave
            await self._say(connection)
        finally:
            with anyio.move_on_after(1, shield=True):
                await connection.close(timeout=0.5)

    @contextmanager
    def _open(self) -> Iterator[None]:
        """Others are told inside the block. At both ends loops look, as something may have been missed."""
        for name, wakeup in self._wakeups.items():
            wakeup.announce = partial(self._announce, name)
            wakeup.wake()
        try:
            yield
        finally:
            for wakeup in self._wakeups.values():
                wakeup.announce, wakeup.hears_others = None, False
                wakeup.wake()

    def _trust_others(self) -> None:
        """From now on loops wait to be told."""
        for wakeup in self._wakeups.values():
            wakeup.hears_others = True
            wakeup.wake()

    async def _say(self, connection: asyncpg.Connection) -> None:
        self._turn.clear()
        if connection.is_closed():
            raise asyncpg.InterfaceError("the connection was closed")
        # `bye` comes last: by any other word this process would be there again
        if said := [f"{self._token} {what}" for what in sorted(self._to_say, key=BYE.__eq__)]:
            self._to_say.clear()
            await connection.execute(NOTIFY, CHANNEL, said)

    def _announce(self, what: str) -> None:
        gone = time.monotonic() - FORGOTTEN_SECONDS
        if any(at > gone for at in self._heard.values()):
            self._to_say.add(what)
            self._turn.set()

    def _hear(self, _: Any, __: int, ___: str, payload: Any) -> None:
        who, _, what = str(payload).partition(" ")
        if who == self._token:
            return
        self._heard[who] = time.monotonic()
        if what == BYE:
            del self._heard[who]
        elif what == HELLO:
            self._to_say.add(HERE)
            self._turn.set()
        elif what in self._wakeups:
            self._wakeups[what].wake()
