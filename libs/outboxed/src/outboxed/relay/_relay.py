"""The relay: sends outbox rows to Kafka in id order and deletes them after the broker's acknowledgement."""

import asyncio
from collections.abc import Sequence
from typing import Any, ClassVar

import anyio
import sqlalchemy as sa
import structlog
from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from outboxed._compat.aiokafka import close_without_flushing
from outboxed._wakeups import Idling, Wakeup
from outboxed.failpoints import failpoint
from outboxed.messages import OutgoingRecord
from outboxed.settings import KafkaSettings
from outboxed.storage import is_transient, tables

log = structlog.get_logger()

BATCH = 100
ACK_SECONDS = 3.0
OUTAGE_SECONDS = 0.5
CLOSE_SECONDS = 0.4
LOCK_ID = 0x6F7574626F78
"""The advisory lock of this database's one sending relay ("outbox" in ASCII)."""


class Relay:
    """Sends the outbox of a service while its transaction holds the lock; other relays stand by.

    A row is deleted only when Kafka has acknowledged it and every earlier row of its key. So a crash or an error sends
    rows again (at least once), but never a later event of a key without the earlier one.
    """

    grace: ClassVar[float] = 1.0
    """Seconds for the current batch to end after `stop`."""

    def __init__(self, engine: AsyncEngine, kafka: KafkaSettings, appended: Wakeup) -> None:
        self._engine = engine
        self._kafka = kafka
        self._appended = appended.subscribe()
        self._producer: AIOKafkaProducer | None = None
        self._in_flight: dict[int, tuple[str, asyncio.Future[Any]]] = {}

    async def run(self, stop: anyio.Event) -> None:
        """Send until `stop`; a repeated error is logged once."""
        said = ""
        idling = Idling()
        try:
            while not stop.is_set():
                try:
                    sent = await self.send_once()
                except Exception as error:
                    if not (is_transient(error) or isinstance(error, KafkaError)):
                        raise
                    if said != repr(error):
                        log.warning("relay_failed", error=repr(error))
                        said = repr(error)
                    await asyncio.sleep(OUTAGE_SECONDS)
                    continue
                if sent:
                    said = ""
                    idling.end()
                else:
                    await idling.wait(self._appended)
        finally:
            await self._abandon_producer()

    async def send_once(self) -> int:
        """Send one batch if this relay gets the lock; returns how many rows were acknowledged and deleted.

        Raises KafkaError for a row that Kafka refused, after the acknowledged rows were deleted.
        """
        if self._in_flight and not await self._settled():
            return 0
        deleted, failure = await self._send_and_delete()
        if failure is not None:
            raise failure
        return deleted

    async def _send_and_delete(self) -> tuple[int, BaseException | None]:
        async with self._engine.connect() as connection:  # closing it without a commit rolls back
            if not await _lock(connection):
                return 0, None
            if not self._in_flight:
                if not (rows := await _oldest(connection)):
                    return 0, None
                await self._send(rows)
                if not await self._settled():
                    return 0, None
            acknowledged, failure = await self._take_outcomes()
            if acknowledged:
                await _delete(connection, acknowledged)
                await _commit(connection)
            return len(acknowledged), failure

    @failpoint("relay.send")
    async def _send(self, rows: Sequence[tuple[int, OutgoingRecord]]) -> None:
        producer = await self._started_producer()
        async with asyncio.timeout(ACK_SECONDS):
            for row_id, record in rows:
                sent = record.producer_record()
                topic = self._kafka.topic(sent.topic)
                future = await producer.send(topic, key=sent.key, value=sent.value, headers=sent.headers)
                self._in_flight[row_id] = (record.key, future)

    @failpoint("relay.acknowledge")
    async def _settled(self) -> bool:
        """Whether every send has an outcome; until then the producer keeps trying and nothing new is sent."""
        futures = [future for _, future in self._in_flight.values()]
        _, waiting = await asyncio.wait(futures, timeout=ACK_SECONDS)
        if waiting:
            log.warning("relay_waits_for_kafka", rows=len(waiting))
        return not waiting

    async def _take_outcomes(self) -> tuple[list[int], BaseException | None]:
        acknowledged, failure = self._outcomes()
        self._in_flight.clear()
        if failure is not None:
            await self._abandon_producer()
        return acknowledged, failure

    def _outcomes(self) -> tuple[list[int], BaseException | None]:
        acknowledged: list[int] = []
        stopped_keys: set[str] = set()
        failure: BaseException | None = None
        for row_id, (key, future) in self._in_flight.items():
            error = future.exception()
            if error is None and key not in stopped_keys:
                acknowledged.append(row_id)
            else:
                stopped_keys.add(key)
                failure = failure or error
        return acknowledged, failure

    async def _started_producer(self) -> AIOKafkaProducer:
        if self._producer is None:
            producer = AIOKafkaProducer(
                **self._kafka.client_options(),
                enable_idempotence=True,
                acks="all",
                linger_ms=0,
                request_timeout_ms=3000,
            )
            try:
                await asyncio.wait_for(producer.start(), ACK_SECONDS)
            except BaseException:
                await close_without_flushing(producer, within=CLOSE_SECONDS)
                raise
            self._producer = producer
        return self._producer

    async def _abandon_producer(self) -> None:
        """Close without a flush, which would wait for ever without Kafka; the outbox still has the rows."""
        if self._producer is None:
            return
        producer, self._producer = self._producer, None
        await close_without_flushing(producer, within=CLOSE_SECONDS)
        for _, future in self._in_flight.values():
            if not future.cancel() and not future.cancelled():
                future.exception()  # retrieved, so that asyncio doesn't log it as never retrieved
        self._in_flight.clear()


@failpoint("relay.lock")
async def _lock(connection: AsyncConnection) -> bool:
    """Take the lock in a statement of its own: in one statement, the select's snapshot would be older than the lock."""
    lock = sa.select(sa.func.pg_try_advisory_xact_lock(LOCK_ID))
    return bool((await connection.execute(lock)).scalar_one())


@failpoint("relay.read")
async def _oldest(connection: AsyncConnection) -> list[tuple[int, OutgoingRecord]]:
    rows = await connection.execute(sa.select(tables.outbox).order_by(tables.outbox.c.id).limit(BATCH))
    return [(row.id, OutgoingRecord(row.topic, row.key, row.value, row.headers)) for row in rows]


@failpoint("relay.delete")
async def _delete(connection: AsyncConnection, ids: Sequence[int]) -> None:
    # one array: IN is another statement for each number of ids, and each connection caches only a hundred statements
    sent = sa.any_(sa.literal(list(ids), sa.ARRAY(sa.BigInteger)))
    await connection.execute(sa.delete(tables.outbox).where(tables.outbox.c.id == sent))


@failpoint("relay.commit")
async def _commit(connection: AsyncConnection) -> None:
    await connection.commit()
