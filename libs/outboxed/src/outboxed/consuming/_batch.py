"""A batch of records becomes one transaction: inbox, handlers, outbox, tasks and dead letters commit together."""

import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from typing import Any, Generic, Protocol, TypeVar

import structlog

from outboxed import _conventions as names
from outboxed._last_minute import LastMinute
from outboxed.errors import ConsumerHaltedError, UndecodableRecordError
from outboxed.failpoints import failpoint
from outboxed.messages import (
    ConsumedEvent,
    EventIdentity,
    Received,
    Record,
    attributes_of,
    decode,
    raised_at,
    reason_of,
)
from outboxed.ports import EventDeadLetter, UnitOfWork, UnitOfWorkFactory
from outboxed.storage import is_transient, kind_of
from outboxed.telemetry import Exemplar, SpanKind, continued_trace, exemplar, set_failure

log = structlog.get_logger()

U = TypeVar("U", bound=UnitOfWork)
Handler = Callable[[Any, U], Awaitable[None]]


@dataclass(frozen=True)
class Route(Generic[U]):
    """What a service does with one type of event: `handle(event, uow)` inside the batch's transaction."""

    model: type[ConsumedEvent]
    handle: Handler[U]


class ConsumerMetrics(Protocol):
    """What the consumer counts."""

    def event_ignored(self, topic: str) -> None:
        """Count a record of a type that this service does not consume."""
        ...

    def event_handled(self, event_type: str, age: float | None, exemplar: Exemplar) -> None:
        """Count an event; `age` is in seconds since its producer recorded it, None where it doesn't say.

        `exemplar` names the span that handled it, if that is recorded and sampled.
        """
        ...

    def event_dead_lettered(self, topic: str) -> None:
        """Count a record that became a dead letter."""
        ...

    def batch_ended(self, seconds: float, *, failed: bool) -> None:
        """Count an attempt at a batch of records; one that failed comes again."""
        ...


@dataclass
class Progress:
    """When handling was last attempted, failed attempts included, and since when it has only failed.

    Both are monotonic seconds. `failure` is the kind of the last error, without its text.
    """

    last_attempt: float = field(default_factory=time.monotonic)
    in_progress: int = 0
    halted: str | None = None
    failing_since: float | None = None
    failure: str = ""

    @property
    def failing_seconds(self) -> float:
        """For how long every attempt has failed; 0 while one succeeds."""
        return 0.0 if self.failing_since is None else time.monotonic() - self.failing_since

    def attempted(self) -> None:
        """Note an attempt at this moment."""
        self.last_attempt = time.monotonic()

    @contextmanager
    def attempt(self, records: int) -> Iterator[None]:
        """Count records as being handled."""
        self.attempted()
        self.in_progress = records
        try:
            yield
        except Exception as error:
            self.failing_since = self.last_attempt if self.failing_since is None else self.failing_since
            self.failure = kind_of(error)
            raise
        else:
            self.failing_since = None
        finally:
            self.attempted()
            self.in_progress = 0


_Handled = tuple[Received[ConsumedEvent], Exemplar]
"""An event, and the exemplar of the span that handled it."""


@dataclass(frozen=True)
class _Batch:
    events: tuple[Received[ConsumedEvent], ...]
    undecodable: tuple[tuple[Record, str], ...]


class BatchConsumer(Generic[U]):
    """Handles batches of records of one consumer group; knows nothing of Kafka's client.

    `handle` raises a transient error after a rollback: offer the same records again, for however long. So an error of
    the connection, the schema or the rights makes no dead letter; `progress` tells since when only errors came.
    Any other error is traced to one event. That event becomes a dead letter, and the others are handled.

    When many events of one type are refused, the batch is ended and `handle` raises ConsumerHaltedError, then and ever
    after. The records come again: to the release before, to a mended one, or to this one after a restart, which then
    goes on, since a record that has a dead letter counts no more.
    """

    def __init__(
        self,
        group: str,
        routes: Sequence[Route[U]],
        unit_of_work: UnitOfWorkFactory[U],
        metrics: ConsumerMetrics,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.group = group
        self.routes = {route.model.type: route for route in routes}
        self.topics = sorted({route.model.topic for route in routes})
        self.progress = Progress()
        self._unit_of_work = unit_of_work
        self._metrics = metrics
        self._last_minute = LastMinute(clock)

    @failpoint("consumer.receive")
    async def handle(self, records: Sequence[Record]) -> None:
        """Handle records in order. Raises transient errors (see storage.is_transient) and ConsumerHaltedError."""
        if self.progress.halted:
            raise ConsumerHaltedError(self.progress.halted)
        with self.progress.attempt(len(records)), self._timed():
            batch = self._decode(records)
            if batch.events or batch.undecodable:
                await self._handle_batch(batch)

    @contextmanager
    def _timed(self) -> Iterator[None]:
        begun, failed = time.monotonic(), True
        try:
            yield
            failed = False
        finally:
            self._metrics.batch_ended(time.monotonic() - begun, failed=failed)

    async def _handle_batch(self, batch: _Batch) -> None:
        try:
            await self._handle_together(batch)
        except Exception as error:
            if is_transient(error):
                raise
            log.warning("batch_refused", group=self.group, events=len(batch.events), error=repr(error))
            await self._handle_one_by_one(batch)

    @failpoint("consumer.decode")
    def _decode(self, records: Sequence[Record]) -> _Batch:
        events: dict[EventIdentity, Received[ConsumedEvent]] = {}
        undecodable: list[tuple[Record, str]] = []
        for record in records:
            try:
                received = self._decode_one(record)
            except UndecodableRecordError as error:
                undecodable.append((record, str(error)))
                continue
            except Exception as error:  # noqa: BLE001 - an unforeseen record must not stop its partition
                undecodable.append((record, reason_of(error) + raised_at(error)))
                continue
            if received is not None:
                events.setdefault(received.attributes.identity, received)  # a copy within the batch is dropped here
        return _Batch(tuple(events.values()), tuple(undecodable))

    def _decode_one(self, record: Record) -> Received[ConsumedEvent] | None:
        attributes = attributes_of(record)
        route = self.routes.get(attributes.type)
        if route is None or route.model.topic != record.topic:
            self._metrics.event_ignored(record.topic)
            return None
        return decode(record, attributes, route.model)

    async def _handle_together(self, batch: _Batch) -> None:
        async with self._unit_of_work() as uow:
            for record, reason in batch.undecodable:
                uow.dead_letters.add(EventDeadLetter(self.group, record, reason))
            handled = await self._apply(batch.events, uow)
        for record, reason in batch.undecodable:
            self._tell_of_dead_letter(record, "undecodable", reason)
        for received, seen in handled:
            self._metrics.event_handled(received.attributes.type, _age(received.record, uow.now), seen)
        self._last_minute.handled(received.attributes.type for received in batch.events)

    async def _apply(self, events: Sequence[Received[ConsumedEvent]], uow: U) -> Sequence[_Handled]:
        """Returns those that were handled now, and not before."""
        if not events:
            return ()
        new = await uow.inbox.insert([received.attributes.identity for received in events])
        unhandled = [received for received in events if received.attributes.identity in new]
        await uow.lock([received.event.key for received in unhandled])
        return [(received, await self._dispatch(received, uow)) for received in unhandled]

    @failpoint("consumer.dispatch")
    async def _dispatch(self, received: Received[ConsumedEvent], uow: U) -> Exemplar:
        """Returns the exemplar of the span."""
        attributes, event, topic = received.attributes, received.event, received.record.topic
        fields = {"group": self.group, "event_id": attributes.id, event.key_field: event.key}
        with continued_trace(
            f"process {topic}",
            attributes.traceparent,
            SpanKind.CONSUMER,
            lambda: _said_of(received, self.group),
            **fields,
        ):
            await self.routes[attributes.type].handle(event, uow)
            log.info("event_handled", type=attributes.type)
            return exemplar()

    async def _handle_one_by_one(self, batch: _Batch) -> None:
        await self._handle_together(_Batch((), batch.undecodable))
        for received in batch.events:
            self.progress.attempted()
            try:
                await self._handle_together(_Batch((received,), ()))
            except Exception as error:
                if is_transient(error):
                    raise
                await self._refuse(received, error)
        self.progress.halted = self._last_minute.problem()
        if self.progress.halted:
            raise ConsumerHaltedError(self.progress.halted)

    @failpoint("consumer.refuse")
    async def _refuse(self, received: Received[ConsumedEvent], error: Exception) -> None:
        reason = reason_of(error) + raised_at(error)
        async with self._unit_of_work() as uow:
            uow.dead_letters.add(EventDeadLetter(self.group, received.record, reason))
        self._tell_of_dead_letter(received.record, error, reason)
        if uow.dead_letters.new:  # a record that is read again, perhaps by another process, is refused once
            self._last_minute.refused(received.attributes.type)

    def _tell_of_dead_letter(self, record: Record, error: Exception | str, reason: str) -> None:
        """A span of its own: that of the handler may have ended well, before the transaction failed."""
        attributes = partial(_said_of_record, record, self.group, "dead_letter", "settle")
        with continued_trace(f"dead_letter {record.topic}", _traceparent(record), SpanKind.CLIENT, attributes):
            set_failure(error, reason)
            log.error("event_dead_lettered", reason=reason, **_position(record))
            self._metrics.event_dead_lettered(record.topic)

    async def replay(self, record: Record, uow: U) -> None:
        """Handle one dead-lettered record in the caller's transaction, which also marks the letter.

        An event that was handled meanwhile, or of a type that this service does not consume, changes nothing. Raises
        UndecodableRecordError, and whatever the handler raises.
        """
        received = self._decode_one(record)
        if received is not None:
            await self._apply((received,), uow)


def _age(record: Record, now: datetime) -> float | None:
    """Seconds since the producer recorded the event; the header may say anything."""
    raw = _header(record, "ce_time")
    try:
        return (now - datetime.fromisoformat((raw or b"").decode())).total_seconds()
    except (ValueError, TypeError):
        return None


def _said_of(received: Received[ConsumedEvent], group: str) -> dict[str, str | int]:
    attributes = received.attributes
    return {
        **_said_of_record(received.record, group, "process", "process"),
        names.MESSAGE_ID: attributes.id,
        names.KAFKA_KEY: received.event.key,
        names.EVENT_ID: attributes.id,
        names.EVENT_SOURCE: attributes.source,
        names.EVENT_TYPE: attributes.type,
    }


def _said_of_record(record: Record, group: str, operation: str, operation_type: str) -> dict[str, str | int]:
    """Source: semantic conventions, messaging spans and Kafka."""
    return {
        names.MESSAGING_SYSTEM: "kafka",
        names.OPERATION_NAME: operation,
        names.OPERATION_TYPE: operation_type,
        names.DESTINATION: record.topic,
        names.PARTITION: str(record.partition),
        names.GROUP: group,
        names.KAFKA_OFFSET: record.offset,
    }


def _traceparent(record: Record) -> str | None:
    """That of a record that nobody could read, perhaps."""
    raw = _header(record, "traceparent")
    return None if raw is None else raw.decode(errors="replace")


def _header(record: Record, name: str) -> bytes | None:
    return next((value for each, value in record.headers if each == name), None)


def _position(record: Record) -> dict[str, object]:
    return {"topic": record.topic, "partition": record.partition, "offset": record.offset}
