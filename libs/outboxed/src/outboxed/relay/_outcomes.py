"""What becomes of rows after Kafka's answer: deleted, held for another attempt, or set aside."""

from collections.abc import Callable, Sequence
from typing import Protocol

from aiokafka import TopicPartition
from sqlalchemy.ext.asyncio import AsyncConnection

from outboxed._backoff import backoff
from outboxed._contact import KafkaContact
from outboxed._logs import get_logger
from outboxed.messages import reason_of
from outboxed.relay._flow import Batch, Flow
from outboxed.relay._producer import Outcome
from outboxed.relay._refusals import Blame, blame
from outboxed.relay._row import Row
from outboxed.relay._rows import Hold, Rows

log = get_logger()

ATTEMPTS = 3
"""Kafka refuses a row alone so many times before the row is set aside."""
UNNAMED_ATTEMPTS = 10
"""The same, for an error that may be Kafka's own; and only if the row's partition takes others meanwhile."""
FIRST_RETRY = 1.0
LONGEST_RETRY = 60.0


class RelayMetrics(Protocol):
    """What the relay counts."""

    def rows_sent(self, topic: str, rows: int) -> None:
        """Count rows that Kafka has."""
        ...

    def row_refused(self, topic: str) -> None:
        """Count an answer by which Kafka refused a row alone."""
        ...

    def pass_ended(self, seconds: float, *, failed: bool) -> None:
        """Count a pass that sent something, or failed."""
        ...


class Outcomes:
    """Writes what Kafka answered; knows since when a row has been refused for a reason that has no name."""

    def __init__(
        self,
        rows: Rows,
        flow: Flow,
        contact: KafkaContact,
        clock: Callable[[], float],
        metrics: RelayMetrics | None = None,
    ) -> None:
        self._metrics = metrics
        self._rows = rows
        self._flow = flow
        self._contact = contact
        self._clock = clock
        self._unnamed_since: dict[int, float] = {}

    async def write(self, connection: AsyncConnection, outcomes: Sequence[Outcome]) -> tuple[int, BaseException | None]:
        """Returns how many rows were acknowledged, and the error after which the producer can't go on."""
        taken: list[Row] = []
        refused: list[tuple[Batch, BaseException, Blame]] = []
        failure: BaseException | None = None
        for batch, error in outcomes:
            if error is None:
                self._contact.answered("relay")
                self._flow.taken(batch)
                taken += batch.rows
                if self._metrics is not None:
                    self._metrics.rows_sent(batch.topic, len(batch.rows))
                continue
            fault = blame(error)
            if fault is Blame.PRODUCER:
                failure = error
            elif fault is Blame.TOPIC:
                self.pause_topic(batch.topic, error)
            elif fault is Blame.KAFKA:
                self.pause_partition(batch.partition, error)
            else:
                self._flow.refused(batch, error)
                refused.append((batch, error, fault))
        if taken:
            await self._rows.delete(connection, [row.id for row in taken])
        for row in taken:
            self._unnamed_since.pop(row.id, None)
        await self._hold_or_set_aside(connection, [each for each in refused if len(each[0].rows) == 1])
        return len(taken), failure

    def pause_topic(self, topic: str, error: BaseException) -> None:
        """Send nothing of this topic for a while, which becomes longer unless Kafka may take it in a moment."""
        if self._flow.pause(topic, growing=blame(error) is not Blame.KAFKA):
            log.error("kafka_refuses_topic", topic=topic, error=reason_of(error))

    def pause_partition(self, partition: TopicPartition, error: BaseException) -> None:
        """Send nothing to this partition for a moment."""
        self._contact.failed("relay")
        if self._flow.pause(partition, growing=False):
            topic, number = partition
            log.warning("relay_waits_for_kafka", topic=topic, partition=number, error=reason_of(error))

    async def _hold_or_set_aside(
        self, connection: AsyncConnection, refused: Sequence[tuple[Batch, BaseException, Blame]]
    ) -> None:
        holds: list[Hold] = []
        for batch, error, fault in refused:
            row, attempts = batch.rows[0], batch.rows[0].attempts + 1
            if self._metrics is not None:
                self._metrics.row_refused(row.topic)
            if self._is_hopeless(batch, attempts, fault):
                await self._set_aside(connection, row, f"Kafka refused it {attempts} times: {reason_of(error)}")
                continue
            if attempts == 1:
                log.warning("outbox_row_refused", **_named(row), error=reason_of(error))
            holds.append(Hold(row.id, attempts, backoff(attempts, first=FIRST_RETRY, cap=LONGEST_RETRY)))
        if holds:
            await self._rows.hold(connection, holds)

    def _is_hopeless(self, batch: Batch, attempts: int, fault: Blame) -> bool:
        if fault is Blame.ROW:
            return attempts >= ATTEMPTS
        since = self._unnamed_since.setdefault(batch.rows[0].id, self._clock())
        return attempts >= UNNAMED_ATTEMPTS and self._flow.took_others(batch.partition, since=since)

    async def _set_aside(self, connection: AsyncConnection, row: Row, reason: str) -> None:
        letter = await self._rows.set_aside(connection, row, reason)
        self._unnamed_since.pop(row.id, None)
        if letter is not None:
            log.error("outbox_row_set_aside", **_named(row), dead_letter=letter, reason=reason)


def _named(row: Row) -> dict[str, object]:
    return {"row": row.id, "topic": row.topic, "key": row.key}
