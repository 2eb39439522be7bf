"""What a handler may ask of a transaction, as Protocols; SQL and in-memory adapters implement them."""

from collections.abc import Iterable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Protocol, TypeVar

from outboxed.messages import Event, EventIdentity, Record


class Events(Protocol):
    """The outbox: an event appended here is sent if, and only if, the transaction commits."""

    def append(self, event: Event, *other_versions: Event, sequence: int) -> None:
        """Append an event of the aggregate whose version is `sequence`.

        `other_versions` are the same fact in other versions of the event's type. All have one id, so a consumer that
        reads several handles only the first: give the newest first. Raises EventTooLargeError over 512 KiB, ValueError
        for two of one type.
        """
        ...


@dataclass(frozen=True)
class NewTask:
    """Work to be done after the transaction has committed; unique by (kind, key).

    Tasks of one `group` run one at a time, in the order in which they were scheduled.
    """

    kind: str
    key: str
    payload: Mapping[str, Any] = field(default_factory=dict)
    delay: timedelta = timedelta(0)
    group: str | None = None


class Tasks(Protocol):
    """Work that must not be part of the transaction: outside calls and deadlines."""

    def schedule(self, task: NewTask) -> None:
        """Schedule a task, unless the same one still waits.

        The end of the transaction raises TaskConflictError if the one that waits has another payload or group.
        """
        ...


class Inbox(Protocol):
    """The events that this service has handled, by source and id."""

    async def insert(self, events: Iterable[EventIdentity]) -> set[EventIdentity]:
        """Claim events for this transaction; returns those that nobody has handled before."""
        ...


@dataclass(frozen=True)
class EventDeadLetter:
    """A record that this consumer group could not handle, raw, and why."""

    group: str
    record: Record
    reason: str


class DeadLetters(Protocol):
    """What was given up, kept raw until a person replays or discards it."""

    @property
    def new(self) -> int:
        """How many of the records added here were not kept before; known when the transaction has ended."""
        ...

    def add(self, letter: EventDeadLetter) -> None:
        """Keep a record, once for a group however often it is read.

        Records are the same if position, key, value and headers are: a topic that is made again has the same positions.
        """
        ...


class Locks(Protocol):
    """A transaction in which aggregates can be locked."""

    async def lock(self, keys: Sequence[str]) -> None:
        """Lock the aggregates of these event keys, in one sorted statement, so that batches cannot deadlock."""
        ...


class UnitOfWork(Locks, Protocol):
    """One transaction. `now` is its time, by the database's clock."""

    @property
    def now(self) -> datetime: ...
    @property
    def events(self) -> Events: ...
    @property
    def tasks(self) -> Tasks: ...
    @property
    def inbox(self) -> Inbox: ...
    @property
    def dead_letters(self) -> DeadLetters: ...


U_co = TypeVar("U_co", bound=Locks, covariant=True)


class UnitOfWorkFactory(Protocol[U_co]):
    """Opens transactions."""

    def __call__(self, *, reading: bool = False) -> AbstractAsyncContextManager[U_co]:
        """Begin; commit at the end of the block, roll back when an error leaves it.

        With `reading` each statement sees what is committed when it begins, without a transaction around them, which is
        two round trips less. Then nothing may be written: the end of the block raises WrittenWhileReadingError.
        """
        ...
