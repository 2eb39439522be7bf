"""aiokafka: records with any header name, and a producer that ends without Kafka. Bound: `aiokafka<0.15`.

- `getmany` raises on a header name that isn't UTF-8, which librdkafka's clients can send. The record's partition then
  stops for ever, and records that the same call fetched from other partitions are lost. aiokafka has no hook for its
  parser. Used: `consumer.fetcher.MemoryRecords` (replaced for the whole process), and `_maybe_uncompress` and `_buffer`
  of the parser in Python, `record.default_records._DefaultRecordBatchPy`. We know of no report upstream.
- `AIOKafkaProducer.stop()` waits for every acknowledgement, and so for ever without Kafka
  (https://github.com/aio-libs/aiokafka/issues/1101). Used: `_closed`, `_sender` and `client`.
"""

import struct
from collections.abc import Iterator
from functools import cache
from typing import Any

import anyio
from aiokafka import AIOKafkaProducer
from aiokafka.consumer import fetcher
from aiokafka.record import default_records
from aiokafka.record.memory_records import MemoryRecords

BATCH_HEAD = struct.Struct(">qi")
"""Kafka's protocol: each batch begins with its first offset and the number of bytes that follow."""


class _Lenient(bytearray):
    """Bytes whose slices always decode: an escape replaces each byte that isn't UTF-8."""

    def __getitem__(self, index: Any) -> Any:
        part = super().__getitem__(index)
        return _Lenient(part) if isinstance(part, bytearray) else part

    def decode(self, encoding: str = "utf-8", errors: str = "backslashreplace") -> str:
        return super().decode(encoding, errors)


@cache
def _lenient_batch() -> Any:
    """The parser in Python, reading from a lenient buffer; the buffer of the parser in C can't be replaced."""
    slow: Any = default_records._DefaultRecordBatchPy  # noqa: SLF001 - see the module's docstring

    class LenientBatch(slow):  # type: ignore[misc]  # aiokafka is untyped
        _buffer: Any

        def _maybe_uncompress(self) -> None:
            super()._maybe_uncompress()
            self._buffer = _Lenient(self._buffer)

    return LenientBatch


class _Batch:
    """aiokafka's fast batch; if reading it fails, the slow and lenient parser reads the batch again."""

    def __init__(self, batch: Any, raw: memoryview) -> None:
        self._batch = batch
        self._raw = raw

    def __getattr__(self, name: str) -> Any:
        return getattr(self._batch, name)

    def __iter__(self) -> Iterator[Any]:
        try:
            return iter(list(self._batch))
        except UnicodeDecodeError:
            return iter(list(_lenient_batch()(self._raw)))

    def __next__(self) -> Any:
        return next(self._batch)


class LenientRecords:
    """The bytes of a fetch, split into batches as aiokafka splits them."""

    def __init__(self, raw: bytes) -> None:
        self._records: Any = MemoryRecords(raw)
        self._raw = memoryview(raw)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._records, name)

    def next_batch(self) -> Any:
        """The next batch of records, or None."""
        batch = self._records.next_batch()
        if batch is None:
            return None
        _, length = BATCH_HEAD.unpack_from(self._raw)
        end = BATCH_HEAD.size + length
        raw, self._raw = self._raw[:end], self._raw[end:]
        return _Batch(batch, raw)


def read_any_header() -> None:
    """Make every consumer of this process accept any header name."""
    fetcher.MemoryRecords = LenientRecords


async def close_without_flushing(producer: AIOKafkaProducer, *, within: float) -> None:
    """Close a producer, even while the caller is being cancelled; each of two steps takes at most `within` seconds."""
    producer._closed = True  # noqa: SLF001 - see the module's docstring
    sender = producer._sender  # noqa: SLF001 - aiokafka has no public way
    with anyio.CancelScope(shield=True):
        if sender is not None:
            with anyio.move_on_after(within):
                await sender.close()  # lets a running request end; the time-out cancels the request
        with anyio.move_on_after(within):
            await producer.client.close()
