"""What `outboxed._compat` uses of its dependencies, as far as it needs no server; the rest: ../integration."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FunctionType
from typing import Any

import pytest
import uvicorn
from aiokafka import AIOKafkaProducer
from aiokafka.client import AIOKafkaClient
from aiokafka.consumer import fetcher
from aiokafka.record import default_records, memory_records
from alembic.config import Config
from alembic.runtime.environment import EnvironmentContext
from faststream.kafka import KafkaBroker, TestKafkaBroker
from outboxed.testing.records import consumer_record
from sqlalchemy.orm import Session

from libs.backing_services.tests.canary import canary

AIOKAFKA = "outboxed/_compat/aiokafka.py"
AIOKAFKA_PRODUCER = "outboxed/_compat/aiokafka_producer.py"
FASTSTREAM = "outboxed/_compat/faststream.py"
ODD_HEADERS = "a record with an odd header name stops its partition"


def built(header: bytes) -> bytes:
    """A batch of one record, as it is on the wire; the header's name is four bytes."""
    builder: Any = default_records.DefaultRecordBatchBuilder(
        magic=2,
        compression_type=0,
        is_transactional=0,
        producer_id=-1,
        producer_epoch=-1,
        base_sequence=-1,
        batch_size=1000,
    )
    builder.append(0, timestamp=1, key=b"k", value=b"v", headers=[("name", b"h"), ("none", None)])
    return bytes(builder.build()).replace(b"name", header)


def read(batch: Any) -> list[tuple[Any, ...]]:
    return [(one.offset, one.timestamp, one.key, one.value, one.headers) for one in batch]


@canary("aiokafka", breaks="nothing, but a parser of our own is needed no longer", mend=AIOKAFKA)
def test_aiokafka_does_not_read_a_header_name_that_is_no_utf8() -> None:
    with pytest.raises(UnicodeDecodeError):
        read(default_records.DefaultRecordBatch(built(b"\xff\xfe\xff\xfe")))


@canary("aiokafka", breaks=ODD_HEADERS, mend=AIOKAFKA)
def test_aiokafka_has_a_slow_parser_that_reads_what_the_fast_one_reads() -> None:
    slow = default_records._DefaultRecordBatchPy  # noqa: SLF001 - whether it is there is the point

    assert read(slow(built(b"name"))) == read(default_records.DefaultRecordBatch(built(b"name")))


@canary("aiokafka", breaks=ODD_HEADERS, mend=AIOKAFKA)
def test_aiokafka_reads_slowly_from_a_buffer_that_is_made_before_the_first_record() -> None:
    parsers: list[Any] = [each for each in vars(default_records).values() if hasattr(each, "_maybe_uncompress")]
    assert parsers, "no parser has `_maybe_uncompress` any more"
    slow: Any = parsers[0]
    buffers: list[object] = []

    class Watched(slow):  # type: ignore[misc]  # aiokafka is untyped
        _buffer: Any

        def _maybe_uncompress(self) -> None:
            super()._maybe_uncompress()
            buffers.append(self._buffer)
            self._buffer = bytearray(self._buffer).replace(b"name", b"NAME")

    assert read(Watched(built(b"name"))) == read(default_records.DefaultRecordBatch(built(b"NAME"))), (
        "the slow parser doesn't read from `_buffer`"
    )
    assert isinstance(buffers[0], bytearray), "the slow parser's `_buffer` is no bytearray"


@canary("aiokafka", breaks=ODD_HEADERS, mend=AIOKAFKA)
def test_aiokafka_fetcher_looks_up_the_reader_of_records_in_its_module() -> None:
    functions = [value for value in vars(fetcher.Fetcher).values() if isinstance(value, FunctionType)]

    used = {name for function in functions for name in function.__code__.co_names}

    assert "MemoryRecords" in used, "`Fetcher` has no use of `MemoryRecords` any more"
    assert "MemoryRecords" in vars(fetcher), "`fetcher` has no `MemoryRecords` any more"


@canary("aiokafka", breaks=ODD_HEADERS, mend=AIOKAFKA)
def test_aiokafka_splits_a_fetch_into_batches_one_after_the_other() -> None:
    records: Any = memory_records.MemoryRecords(built(b"one.") + built(b"two."))

    names = []
    while records.has_next():
        names += [headers[0][0] for *_, headers in read(records.next_batch())]

    assert names == ["one.", "two."]
    assert records.next_batch() is None


@canary("aiokafka", breaks="the relay hangs at its end while Kafka is away", mend=AIOKAFKA_PRODUCER)
async def test_aiokafka_producer_can_be_ended_without_flushing() -> None:
    producer: Any = AIOKafkaProducer(bootstrap_servers="127.0.0.1:1")
    closed = getattr(producer, "_closed", None)
    producer._closed = True  # noqa: SLF001 - whether it is there is the point

    try:
        assert closed is False, "a producer has no `_closed` any more"
        await producer._sender.close()  # noqa: SLF001 - same
        await producer.client.close()
    finally:
        await producer.stop()


@canary("faststream", breaks="nothing, but a parser of our own is needed no longer", mend=FASTSTREAM)
async def test_faststream_does_not_parse_a_header_that_is_no_utf8() -> None:
    broker = KafkaBroker()
    subscriber: Any = broker.subscriber("topic", batch=True)
    subscriber(_nothing)

    async with TestKafkaBroker(broker):
        with pytest.raises(UnicodeDecodeError):
            await subscriber.process_message((consumer_record("topic", b"{}", headers=[("odd", b"\xff")]),))


@canary("faststream", breaks="handlers don't get records as they came, and odd ones stop a partition", mend=FASTSTREAM)
async def test_faststream_gives_handlers_the_raw_message_that_a_parser_put_in() -> None:
    handled: list[object] = []
    replaced = (consumer_record("topic", b"another"),)

    async def parse(_: Any, original: Any) -> Any:
        message = await original((consumer_record("topic", b"{}"),))
        message.raw_message = replaced
        return message

    async def decode(message: Any) -> Any:
        return [record.value for record in message.raw_message]

    async def handle(values: list[bytes]) -> None:
        handled.append(values)

    broker = KafkaBroker()
    subscriber: Any = broker.subscriber("topic", batch=True, parser=parse, decoder=decode)
    subscriber(handle)

    async with TestKafkaBroker(broker):
        await subscriber.process_message((consumer_record("topic", b"one"),))

    assert handled == [[b"another"]], "a parser's `raw_message` doesn't reach the decoder"


async def _nothing(records: list[Any]) -> None:
    pass


@canary(
    "uvicorn",
    breaks="a service ends with status 143, and an HTTP pact's server takes pytest's signals",
    mend="outboxed/_compat/uvicorn.py, pact_faststream/_compat/uvicorn.py and sandbox_process/process.py",
)
async def test_uvicorn_takes_signals_in_capture_signals_only() -> None:
    entered = []

    class Server(uvicorn.Server):
        @contextmanager
        def capture_signals(self) -> Iterator[None]:
            entered.append(signal.getsignal(signal.SIGTERM))
            yield
            entered.append(signal.getsignal(signal.SIGTERM))

    server = Server(uvicorn.Config(_nothing, lifespan="off", log_config=None))
    server.should_exit = True  # it starts, sees that, and ends
    await server.serve(sockets=[])

    assert entered == [signal.getsignal(signal.SIGTERM)] * 2, "`serve` takes the signals in another place"


@canary("alembic", breaks="nothing, but migrations of one process need not wait", mend="outboxed/_compat/alembic.py")
def test_alembic_works_on_one_thing_a_process() -> None:
    first, second = (EnvironmentContext(Config(), None) for _ in range(2))  # type: ignore[arg-type]  # no migration is read

    with pytest.raises(KeyError), first, second:
        pass


@canary("aiokafka", breaks="a start that is cancelled leaves a connection open", mend=AIOKAFKA_PRODUCER)
def test_aiokafka_has_its_first_connection_under_the_name_that_is_looked_for() -> None:
    assert "bootstrap_conn" in AIOKafkaClient.bootstrap.__code__.co_varnames


@canary("sqlalchemy", breaks="no listener of a session can publish", mend="outboxed/_compat/sqlalchemy.py")
def test_sqlalchemy_tells_that_a_session_is_being_flushed() -> None:
    session: Any = Session()

    assert session._flushing is False  # noqa: SLF001 - whether it's there is the point
