"""What runs beside an app of anybody's: on its engine, until its block ends, woken by its commits."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Any, Protocol

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, AsyncSession, async_scoped_session
from sqlalchemy.orm import Session, SessionTransaction, scoped_session

from outboxed._compat.sqlalchemy import is_flushing
from outboxed._logs import get_logger
from outboxed._stopping import Stop, at_most, shielded, turns_until
from outboxed._wakeups import Wakeup
from outboxed.errors import ConfigurationError

log = get_logger()

AGAIN_SECONDS = 5.0
"""A part that ended by an error nobody foresaw begins again after so long."""

AnyEngine = AsyncEngine | sa.Engine | sa.URL | str
AsyncTransaction = AsyncSession | AsyncConnection | async_scoped_session[Any]
SyncTransaction = Session | sa.Connection | scoped_session[Any]


class Part(Protocol):
    """A relay or a worker; `grace` is the time in seconds that it may need to end."""

    @property
    def grace(self) -> float: ...
    async def run(self, stop: Stop) -> None: ...


class Committed:
    """Wakes what waits for rows, in whatever thread and loop the transaction ends that has written them."""

    def __init__(self) -> None:
        self.wakeup = Wakeup()
        self._loops: set[asyncio.AbstractEventLoop] = set()

    async def joined(self, session: AsyncTransaction, statement: sa.Executable) -> AsyncSession | AsyncConnection:
        """The transaction in which rows are written by a statement: flushed, and they are woken when it ends.

        So a row's place is that of the project's rows that were changed before it. Raises ConfigurationError where each
        statement commits by itself.
        """
        own: AsyncSession | AsyncConnection = session() if isinstance(session, async_scoped_session) else session
        if isinstance(own, AsyncSession):
            await own.flush()
            self._tell_after(own.sync_session)
        await refuse_autocommit(own, statement)
        return own

    def joined_sync(self, session: SyncTransaction, statement: sa.Executable) -> Session | sa.Connection:
        """The same for a session that isn't asynchronous; also for its listeners while it is being flushed."""
        own: Session | sa.Connection = session() if isinstance(session, scoped_session) else session
        if isinstance(own, Session):
            if not is_flushing(own):
                own.flush()
            self._tell_after(own)
        refuse_autocommit_sync(own, statement)
        return own

    def _tell_after(self, session: Session) -> None:
        session.info[self] = True
        if not sa.event.contains(session, "after_transaction_end", self._transaction_ended):
            sa.event.listen(session, "after_transaction_end", self._transaction_ended)

    @contextlib.contextmanager
    def heard_here(self) -> Iterator[None]:
        """Inside the block what waits in this loop is woken."""
        loop = asyncio.get_running_loop()
        self._loops.add(loop)
        try:
            yield
        finally:
            self._loops.discard(loop)

    def _transaction_ended(self, session: Session, transaction: SessionTransaction) -> None:
        # after a rollback, too: then they look once for nothing
        if transaction.parent is None and session.info.pop(self, None):
            for loop in list(self._loops):
                with contextlib.suppress(RuntimeError):  # its thread has closed it
                    loop.call_soon_threadsafe(self.wakeup.notify)


async def refuse_autocommit(transaction: AsyncSession | AsyncConnection, statement: sa.Executable) -> None:
    """Raise ConfigurationError where a statement would be committed at once, whatever becomes of those around it."""
    if isinstance(transaction, AsyncSession):
        transaction = await transaction.connection(bind_arguments={"clause": statement})
    if transaction.sync_connection is not None:  # else it's closed, and says so itself
        _refuse_autocommit(transaction.sync_connection)


def refuse_autocommit_sync(transaction: Session | sa.Connection, statement: sa.Executable) -> None:
    """The same for a session that isn't asynchronous."""
    if isinstance(transaction, Session):
        transaction = transaction.connection(bind_arguments={"clause": statement})
    _refuse_autocommit(transaction)


def _refuse_autocommit(connection: sa.Connection) -> None:
    if getattr(connection.connection.dbapi_connection, "autocommit", False):
        raise ConfigurationError(
            "this session commits each statement by itself (isolation_level AUTOCOMMIT): give one that commits them"
            " together"
        )


@asynccontextmanager
async def in_background(part: Part, woken_by: Committed, *, name: str) -> AsyncIterator[None]:
    """Run a part while the block runs.

    No error ends the block. One that nobody foresaw is logged, and the part begins again after AGAIN_SECONDS.
    """
    stop = asyncio.Event()
    running = asyncio.create_task(_run(part, stop, f"{name}_ended"))
    with woken_by.heard_here():
        try:
            yield
        finally:
            stop.set()
            with shielded():
                await _ended(running, within=2 * part.grace)


@asynccontextmanager
async def asynchronous(engine: AnyEngine) -> AsyncIterator[AsyncEngine]:
    """An engine whose transactions see what was committed, whatever the project has set for its own."""
    if isinstance(engine, AsyncEngine):
        yield engine.execution_options(isolation_level="READ COMMITTED")
        return
    from outboxed.storage import create_engine  # noqa: PLC0415 - a project may have another asynchronous driver

    url = sa.make_url(engine.url if isinstance(engine, sa.Engine) else engine)
    text = url.set(drivername="postgresql+asyncpg").render_as_string(hide_password=False)
    made = create_engine(text, application_name="outboxed")
    try:
        yield made
    finally:
        await made.dispose()


async def _run(part: Part, stop: Stop, event: str) -> None:
    for _ in turns_until(stop):
        try:
            await part.run(stop)
        except Exception as error:
            log.critical(event, error=repr(error), again_in=AGAIN_SECONDS, exc_info=error)
            async with at_most(AGAIN_SECONDS):
                await stop.wait()


async def _ended(running: "asyncio.Task[None]", *, within: float) -> None:
    await asyncio.wait([running], timeout=within)
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
