"""A FastStream middleware: what no handler takes becomes a dead letter, and the records behind it go on."""

import asyncio
import contextlib
import copy
import json
import time
from collections.abc import Awaitable, Callable, Sequence
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any

import sqlalchemy as sa
from faststream import BaseMiddleware
from faststream.exceptions import AckMessage, IgnoredException, RejectMessage, SkipMessage
from faststream.message import AckStatus
from pydantic import ValidationError
from sqlalchemy.ext.asyncio import AsyncEngine

from outboxed._compat.faststream import read_again
from outboxed._last_minute import LastMinute
from outboxed._logs import get_logger
from outboxed.joining._handlers import records_of
from outboxed.messages import Record, reason_of
from outboxed.ports import EventDeadLetter
from outboxed.storage import insertion_of, is_transient

log = get_logger()

AGAIN_SECONDS = 0.5
"""So long a record waits that FastStream is to give again at once."""
UNREADABLE = (ValidationError, UnicodeDecodeError, json.JSONDecodeError)
"""Such an error says nothing of the handler: twenty of them are no bad deploy."""
DONE = (AckMessage, RejectMessage, SkipMessage)
"""By these a handler says that it is done with a record."""

replaying: ContextVar[bool] = ContextVar("outboxed_replaying", default=False)
"""Whether this message is a dead letter that a person handles again."""

Transient = Callable[[Exception], bool]


@dataclass(frozen=True)
class Keeper:
    """Where records are kept, and what is known of the last minute."""

    table: sa.Table
    engine: AsyncEngine | sa.Engine
    transient: Transient
    last_minute: LastMinute = field(default_factory=lambda: LastMinute(time.monotonic))

    def comes_again(self, error: Exception) -> bool:
        """Whether the same records may be handled later: then no letter is made of them."""
        return is_transient(error) or self.transient(error)

    async def keep(self, records: Sequence[Any], group: str, error: Exception) -> None:
        """Write records down, in a transaction of their own."""
        now = sa.func.clock_timestamp()
        letters = [EventDeadLetter(group, Record.of(each), reason_of(error)) for each in records]
        statement = insertion_of(self.table, letters, now)
        if isinstance(self.engine, AsyncEngine):
            async with self.engine.begin() as connection:
                await connection.execute(statement)
        else:
            await asyncio.to_thread(self._execute, self.engine, statement)
        for each in records:
            where = f"{each.topic}/{each.partition}/{each.offset}"
            log.error("dead_letter_kept", group=group, record=where, reason=reason_of(error))

    @staticmethod
    def _execute(engine: sa.Engine, statement: Any) -> None:
        with engine.begin() as connection:
            connection.execute(statement)


class Keeping(BaseMiddleware):
    """One message's way through the handler.

    A batch that is refused is given record by record: so those that nothing is wrong with are handled.
    """

    def __init__(self, msg: Any, /, *, context: Any, keeper: Keeper) -> None:
        super().__init__(msg, context=context)
        self._keeper = keeper
        self._read = self._is_refused = False

    async def consume_scope(self, call_next: Callable[[Any], Awaitable[Any]], msg: Any) -> Any:
        """See FastStream."""
        self._read = True
        if replaying.get():
            msg.committed = AckStatus.ACKED  # a replay moves no offset
            return await call_next(msg)
        committed = msg.committed
        try:
            return await self._handled(call_next, msg)
        except Exception as error:
            if not isinstance(error, IgnoredException) and msg.committed == committed:
                await read_again(msg.consumer, records_of(msg))  # most of FastStream's policies would pass them by
                msg.committed = AckStatus.NACKED
            raise

    async def _handled(self, call_next: Callable[[Any], Awaitable[Any]], msg: Any) -> Any:
        try:
            returned = await _called(call_next, msg)
        except Exception as error:
            if isinstance(error, IgnoredException):
                raise
            return await self._refused(call_next, msg, error)
        self._keeper.last_minute.handled(record.topic for record in records_of(msg))
        return returned

    async def after_processed(
        self, exc_type: type[BaseException] | None = None, exc_val: BaseException | None = None, exc_tb: Any = None
    ) -> bool | None:
        """See FastStream. What its parser can't read, such as a header that is null, never comes to `consume_scope`."""
        unread = isinstance(exc_val, Exception) and not isinstance(exc_val, IgnoredException) and not self._read
        if unread and not replaying.get() and isinstance(exc_val, Exception):
            await self._keep_unread(records_of(self.msg), exc_val)
            return True
        return await super().after_processed(exc_type, exc_val, exc_tb)

    async def publish_scope(self, call_next: Callable[[Any], Awaitable[Any]], cmd: Any) -> Any:
        """See FastStream. It would publish an empty answer of a handler that gave none."""
        return None if self._is_refused else await call_next(cmd)

    async def _keep_unread(self, records: Sequence[Any], error: Exception) -> None:
        try:
            await self._keeper.keep(records, self._group, error)
        except Exception:
            await asyncio.sleep(AGAIN_SECONDS)
            # FastStream can't answer for what it couldn't read
            consumer = getattr(self.msg, "consumer", None) or getattr(self.context.get("handler_"), "consumer", None)
            if consumer is not None:
                await read_again(consumer, records)
            raise

    async def _refused(self, call_next: Callable[[Any], Awaitable[Any]], msg: Any, error: Exception) -> Any:
        records, self._is_refused = records_of(msg), True
        if self._keeper.comes_again(error):
            await asyncio.sleep(AGAIN_SECONDS)
            raise error
        if len(records) == 1:
            await self._keep(records[0], error)
            return None
        for place in range(len(records)):
            alone = _alone(msg, place)
            with self.context.scope("message", alone), contextlib.suppress(*DONE):  # done with this one alone
                await self._handled(call_next, alone)
        return None

    async def _keep(self, record: Any, error: Exception) -> None:
        if not isinstance(error, UNREADABLE):
            self._keeper.last_minute.refused(record.topic)
        if problem := self._keeper.last_minute.problem():
            log.critical("consumer_halted", problem=problem, remedy="deploy a handler that takes them: they come again")
            await asyncio.sleep(AGAIN_SECONDS)
            raise error
        try:
            await self._keeper.keep([record], self._group, error)
        except Exception:
            self._keeper.last_minute.take_back(record.topic)  # else an outage would look like a bad deploy
            await asyncio.sleep(AGAIN_SECONDS)
            raise

    @property
    def _group(self) -> str:
        return str(getattr(self.context.get("handler_"), "group_id", None) or "")


async def _called(call_next: Callable[[Any], Awaitable[Any]], msg: Any) -> Any:
    """Call the handler. Raises RuntimeError where it was cancelled though nobody cancels the consumer.

    So it is when what it waits for was cancelled elsewhere. FastStream's consumer would end by that, and say nothing.
    """
    task = asyncio.current_task()
    before = task.cancelling() if task is not None else 0
    try:
        return await call_next(msg)
    except asyncio.CancelledError as error:
        if task is None or task.cancelling() > before:
            raise
        raise RuntimeError("the handler waited for something that was cancelled") from error


def _alone(msg: Any, place: int) -> Any:
    """The message of one record of a batch."""
    alone = copy.copy(msg)
    alone.raw_message = (msg.raw_message[place],)
    alone.body = [msg.body[place]]
    alone.batch_headers = [msg.batch_headers[place]]
    return alone
