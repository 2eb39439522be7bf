"""Mistakes around Kafka: where reading begins, when it counts, and what happens at a stop or a hand-over."""

from tools.mistakes.mistake import ORDERS, OUTBOXED, Mistake, swap
from tools.scratch import Edit

SOURCES = "libs/outboxed/src/outboxed"
LAST_MINUTE = f"{SOURCES}/_last_minute.py"
BATCH, KAFKA = f"{SOURCES}/consuming/_batch.py", f"{SOURCES}/consuming/_kafka.py"

MISTAKES = (
    Mistake(
        "a new group begins at the end of its topics",
        "All that was sent before its first start is lost.",
        OUTBOXED,
        (swap(KAFKA, 'auto_offset_reset="earliest"', 'auto_offset_reset="latest"'),),
    ),
    Mistake(
        "FastStream commits a batch before it is handled",
        "A crash loses the events of a batch.",
        OUTBOXED,
        (swap(KAFKA, "ack_policy=AckPolicy.MANUAL", "ack_policy=AckPolicy.ACK_FIRST"),),
    ),
    Mistake(
        "a hand-over begins after the parser",
        "A record is offered twice when a partition moves at the wrong moment.",
        OUTBOXED,
        (
            swap(
                KAFKA,
                "        handover.batch_begins()\n        return await parsed_as_it_came(records, original)",
                "        parsed = await parsed_as_it_came(records, original)\n"
                "        handover.batch_begins()\n        return parsed",
            ),
        ),
    ),
    Mistake(
        "a hand-over doesn't wait for the batch",
        "The next member handles the same records.",
        OUTBOXED,
        (swap(KAFKA, "        listener=handover,\n", ""),),
    ),
    Mistake(
        "a batch that failed is passed over",
        "Its records are lost until the next restart.",
        OUTBOXED,
        (swap(KAFKA, "        _rewind(message.consumer, message.raw_message)\n        raise", "        raise"),),
    ),
    Mistake(
        "a batch that failed is offered again at once",
        "An outage of the database takes a whole core.",
        OUTBOXED,
        (swap(KAFKA, "            await failures.back_off(consumer.group, error)\n", ""),),
    ),
    Mistake(
        "a topic's prefix reaches the handlers",
        "Every event is ignored on a shared cluster.",
        OUTBOXED,
        (swap(KAFKA, "Record.of(record, topic_prefix=topic_prefix)", "Record.of(record)"),),
    ),
    Mistake(
        "the consumer makes topics that don't exist",
        "They have one partition, and their keys move when somebody mends it.",
        OUTBOXED,
        (
            swap(KAFKA, "        consumer_only=True,\n", ""),
            swap(KAFKA, "allow_auto_create_topics=False", "allow_auto_create_topics=True"),
        ),
    ),
    Mistake(
        "an event of another topic is taken by its type",
        "Anybody who may write to a topic can confirm orders.",
        OUTBOXED,
        (swap(BATCH, "if route is None or route.model.topic != record.topic:", "if route is None:"),),
    ),
    Mistake(
        "twenty refusals among a million events halt the consumer",
        "One customer's odd data stops all.",
        OUTBOXED,
        (swap(LAST_MINUTE, "max(MAX_REFUSALS, REFUSED_SHARE * events)", "MAX_REFUSALS"),),
    ),
    Mistake(
        "refusals are counted for ever",
        "Twenty of them in a year halt the consumer.",
        OUTBOXED,
        (swap(LAST_MINUTE, "counted[0][0] < self._clock() - REFUSAL_WINDOW", "counted[0][0] < self._clock() - 1e9"),),
    ),
    Mistake(
        "a record that is read again counts as another refusal",
        "A restart halts the consumer by the same twenty.",
        OUTBOXED,
        (swap(BATCH, "        if uow.dead_letters.new:  # a record", "        if True:  # a record"),),
    ),
    Mistake(
        "one bad event takes its whole batch with it",
        "A hundred good events become dead letters.",
        OUTBOXED,
        (swap(BATCH, "await self._handle_together(_Batch((received,), ()))", "await self._handle_together(batch)"),),
    ),
    Mistake(
        "a halted consumer goes on with the next batch",
        "A bad release turns a whole topic into dead letters.",
        OUTBOXED,
        (
            swap(
                BATCH,
                "        if self.progress.halted:\n"
                "            raise ConsumerHaltedError(self.progress.halted)\n        with",
                "        with",
            ),
        ),
    ),
    Mistake(
        "what can't be read has no dead letter if the batch is handled one by one",
        "It is gone without a trace.",
        OUTBOXED,
        (swap(BATCH, "        await self._handle_together(_Batch((), batch.undecodable))\n", ""),),
    ),
    Mistake(
        "a copy within a batch is handled, too",
        "An event takes effect twice.",
        OUTBOXED,
        (
            Edit(
                BATCH,
                r"return _Batch\(tuple\(events\.values\(\)\), tuple\(undecodable\)\)",
                "return _Batch((*events.values(), *events.values()), tuple(undecodable))",
            ),
        ),
    ),
    Mistake(
        "the events of an order all have one number",
        "Nobody can see that one is missing.",
        ORDERS,
        (
            swap(
                "services/orders/src/orders/handlers.py",
                "    uow.orders.save(order)\n    uow.events.append(event_of(order), sequence=order.version)",
                "    uow.orders.save(order)\n    uow.events.append(event_of(order), sequence=1)",
            ),
        ),
    ),
    Mistake(
        "a session has one heartbeat",
        "One that is lost gives the partitions away in the middle of a batch.",
        OUTBOXED,
        (Edit(f"{SOURCES}/consuming/_kafka.py", "^HEARTBEATS = 12", "HEARTBEATS = 1"),),
    ),
    Mistake(
        "a hand-over waits for longer than the session lasts",
        "The group throws the member out, and its batch is handled by another one beside it.",
        OUTBOXED,
        (Edit(f"{SOURCES}/consuming/_kafka.py", "^HANDOVER_SECONDS = 1.5", "HANDOVER_SECONDS = 60.0"),),
    ),
    Mistake(
        "a topic that was made again is seen after five minutes",
        "Its events wait for as long as an outage.",
        OUTBOXED,
        (Edit(f"{SOURCES}/consuming/_kafka.py", "^METADATA_MS = 10_000", "METADATA_MS = 300_000"),),
    ),
    Mistake(
        "a session is shorter than Kafka takes",
        "Every consumer is refused where Kafka has its own minimum.",
        OUTBOXED,
        (Edit(f"{SOURCES}/settings/_kafka.py", "(session_timeout_ms: int =) 6000", r"\1 3000"),),
    ),
    Mistake(
        "after a failed batch a partition that has moved on keeps the others from being read again",
        "Their records are passed over and never handled, and the next commit seals it.",
        OUTBOXED,
        (
            swap(
                f"{SOURCES}/consuming/_kafka.py",
                "    for partition, offset in first_offsets(records).items():\n"
                "        try:\n"
                "            consumer.seek(partition, offset)\n"
                "        except IllegalStateError:\n"
                '            log.info("partition_moved_on", topic=partition.topic, partition=partition.partition)\n',
                "    try:\n"
                "        for partition, offset in first_offsets(records).items():\n"
                "            consumer.seek(partition, offset)\n"
                "    except IllegalStateError:\n"
                '        log.info("partitions_moved_on", partitions=len(first_offsets(records)))\n',
            ),
        ),
    ),
    Mistake(
        "a batch that is handled one by one counts as one attempt",
        "After half a minute the process isn't live, is restarted, and begins the same batch again, for ever.",
        OUTBOXED,
        (
            swap(
                f"{SOURCES}/consuming/_batch.py",
                "        for received in batch.events:\n            self.progress.attempted()\n            try:",
                "        for received in batch.events:\n            try:",
            ),
        ),
    ),
    Mistake(
        "the time without records, or without Kafka, counts as a stall",
        "The first records after a quiet hour or an outage find a process that isn't live, and it is restarted.",
        OUTBOXED,
        (
            swap(
                f"{SOURCES}/consuming/_kafka.py",
                "        if not self.lag:\n"
                "            # no record waits, or Kafka is away: the time until now doesn't count as a stall\n"
                "            self._consumer.progress.attempted()\n",
                "",
            ),
        ),
    ),
    Mistake(
        "a commit of offsets has no time-out",
        "A coordinator that doesn't answer holds the partition and its hand-over for most of a minute.",
        OUTBOXED,
        (
            swap(
                f"{SOURCES}/consuming/_kafka.py",
                "        async with asyncio.timeout(COMMIT_SECONDS):\n            await consumer.commit()\n",
                "        await consumer.commit()\n",
            ),
        ),
    ),
    Mistake(
        "of a compressed batch the beginning of its second frame is dropped",
        "The records of a client that writes several frames become one unreadable dead letter.",
        OUTBOXED,
        (
            swap(
                f"{SOURCES}/_batches.py",
                '                waiting += running.unused_data or b""\n                running = decompressor()',
                "                running = decompressor()",
            ),
        ),
    ),
    Mistake(
        "what can't be read of a batch is kept whole, however large it is",
        "One corrupt batch of fifty megabytes is a row that ends whoever lists dead letters.",
        OUTBOXED,
        (
            swap(
                f"{SOURCES}/_batches.py",
                "kept = bytes(batch[:MAX_RECORD_BYTES])",
                "kept = bytes(batch)",
            ),
        ),
    ),
    Mistake(
        "a consumer that could not start is left half-started",
        "In an outage of Kafka each attempt leaves a client behind, until the process has no files left.",
        OUTBOXED,
        (
            swap(
                f"{SOURCES}/consuming/_kafka.py",
                "                await self._broker.stop()  # else the half-started consumer leaks\n",
                "",
            ),
        ),
    ),
    Mistake(
        "a batch is all that was fetched",
        "Thousands of small events are one transaction, which outlasts the hand-over; one bad event "
        "makes all go one by one.",
        OUTBOXED,
        (swap(KAFKA, "        max_records=MAX_RECORDS,\n", ""),),
    ),
    Mistake(
        "a batch that failed never ends for who takes over",
        "Each rebalance waits its full limit, and warns of a batch that doesn't run.",
        OUTBOXED,
        (
            swap(
                KAFKA,
                "            try:\n"
                "                await _handle_and_commit(consumer, records, message)\n"
                "            finally:\n"
                "                handover.batch_ended()\n",
                "            await _handle_and_commit(consumer, records, message)\n"
                "            handover.batch_ended()\n",
            ),
        ),
    ),
    Mistake(
        "an error is told by its text, whatever its text does",
        "A project's error whose `__str__` fails is no dead letter: its batch comes again for ever.",
        OUTBOXED,
        (
            swap(
                f"{SOURCES}/messages/_reasons.py",
                "isinstance(error, ValidationError) else _text(error)",
                "isinstance(error, ValidationError) else error",
            ),
        ),
    ),
)
