"""The dead letters of a project of one's own: listed, edited, handled again or closed by a person."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from outboxed._extras import extra
from outboxed.joining._outbox import Outbox
from outboxed.joining._running import AnyEngine, asynchronous
from outboxed.storage import (
    DeadLetter,
    DeadLetterError,
    Letters,
    Now,
    return_to_outbox,
    run_steps,
    tables,
    task_of,
)

if TYPE_CHECKING:
    from outboxed.joining._tasks import Tasks

NOW = sa.func.clock_timestamp()


class DeadLetters:
    """What was given up: records that no subscriber takes, tasks, and rows of the outbox that Kafka refused.

    `outbox` and `tasks` are the project's own, where it has them; all share one table. It is made in `metadata`, as
    theirs are, and its name is `prefix` and `dead_letters`, or `table`. Raises ValueError where one of them keeps its
    letters in another table.
    """

    def __init__(  # noqa: PLR0913 - each is one word of a project's own
        self,
        *,
        outbox: Outbox | None = None,
        tasks: "Tasks | None" = None,
        metadata: sa.MetaData | None = None,
        schema: str | None = None,
        prefix: str = "outboxed_",
        table: str | None = None,
    ) -> None:
        shared = next((part.metadata for part in (outbox, tasks) if part is not None), None)
        self.metadata = metadata if metadata is not None else sa.MetaData() if shared is None else shared
        self.table = tables.dead_letters_in(self.metadata, table or f"{prefix}dead_letters", schema)
        for part in (outbox, tasks):
            if part is not None and part.dead_letters is not self.table:
                own = f"{type(part).__name__}'s letters are in {part.dead_letters.fullname}"
                raise ValueError(f"{own}, these are in {self.table.fullname}: give both one MetaData and one name")
        self.outbox, self.tasks = outbox, tasks

    def middleware(
        self, engine: AsyncEngine | sa.Engine, *, transient: Callable[[Exception], bool] = lambda _: False
    ) -> Callable[..., Any]:
        """For `KafkaBroker(middlewares=[...])`: a record that no handler takes becomes a dead letter.

        Of a batch that is refused each record is handled by itself. An error of the connection to the database, OSError
        and TimeoutError make no letter, nor does one for which `transient` is true: the record comes again. Where
        handlers refuse more than twenty records of a topic within a minute, and a tenth of them, no more letters are
        made, and the records come again until a handler takes them. They do so with each `ack_policy`; only with
        `AckPolicy.NACK_ON_ERROR` after a crash, too.

        Raises MissingExtraError without FastStream.
        """
        with extra("faststream", of="outboxed.DeadLetters.middleware"):
            from outboxed.joining._keeping import Keeper, Keeping  # noqa: PLC0415 - the rest needs no FastStream
        return partial(Keeping, keeper=Keeper(self.table, engine, transient))

    def queue(self, engine: AnyEngine, broker: Any = None) -> "JoinedDeadLetterQueue":
        """What a person does with the letters. `broker` is FastStream's, and has the subscribers that replays are for.

        `engine` is as for `Outbox.relay`.
        """
        return JoinedDeadLetterQueue(self, engine, broker)


class JoinedDeadLetterQueue(Letters):
    """The dead letters of one project."""

    def __init__(self, letters: DeadLetters, engine: AnyEngine, broker: Any) -> None:
        super().__init__(letters.table)
        self._letters = letters
        self._engine = engine
        self._broker = broker

    @asynccontextmanager
    async def _opened(self) -> AsyncIterator[tuple[AsyncConnection, Now]]:
        async with asynchronous(self._engine) as engine, engine.begin() as connection:
            yield connection, NOW

    async def replay(self, letter_id: int) -> None:
        """Handle the letter again and mark it: a record by its subscriber, a task by a worker, a row by the relay.

        A row of the outbox goes back to its old place there, before the later events of its key. A record is handled in
        the handler's own transaction, and then marked: a crash in between leaves the letter open, and an `Inbox` knows
        that the record was handled.

        Raises DeadLetterError when the letter is not open, or when what it needs was not given to `DeadLetters` or
        `queue`. If the handler raises, the error comes through and the letter stays open.
        """
        async with self._opened() as (connection, now):
            letter = await self._table.take(connection, letter_id)
            await self._replay(letter, connection)
            await self._table.close(connection, letter, "replayed", now)

    async def _replay(self, letter: DeadLetter, connection: AsyncConnection) -> None:
        if letter.source == "outbox":
            outbox = _needed(letter, self._letters.outbox, "DeadLetters(outbox=...)")
            await return_to_outbox(connection, letter, outbox.table)
        elif letter.source == "task":
            tasks = _needed(letter, self._letters.tasks, "DeadLetters(tasks=...)")
            await run_steps(connection, tasks.scheduling([(task_of(letter), letter.header("traceparent"))]))
        else:
            await _handled_again(letter, _needed(letter, self._broker, "the broker to queue(...)"))


def _needed(letter: DeadLetter, part: Any, what: str) -> Any:
    if part is None:
        raise DeadLetterError(f"dead letter {letter.id} is of source {letter.source}: to replay it, give {what}")
    return part


async def _handled_again(letter: DeadLetter, broker: Any) -> None:
    from outboxed._compat.faststream import handle_again  # noqa: PLC0415 - who has a broker has FastStream
    from outboxed.joining._keeping import replaying  # noqa: PLC0415

    token = replaying.set(True)
    try:
        found = await handle_again(broker, letter.group or "", letter.record)
    finally:
        replaying.reset(token)
    if not found:
        raise DeadLetterError(
            f"dead letter {letter.id} can't be handled: no subscriber of this broker reads {letter.topic}"
            f" in the group {letter.group or '(none)'}"
        )
