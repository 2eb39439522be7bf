"""aiokafka: batches of any size and any header name. Bound: `aiokafka<0.15`.

- A compressed batch is decompressed whole, whatever it becomes, and then handed over record by record without a limit
  of bytes. A batch that can't be decompressed stops its partition for ever, as does one in a codec without a library.
- `getmany` raises on a header name that isn't UTF-8, which librdkafka's clients can send. The record's partition then
  stops for ever, and records that the same call fetched from other partitions are lost.
- aiokafka has no hook for its parser. Used: `consumer.fetcher.MemoryRecords` and `FetchResult` (replaced for the whole
  process), `record.default_records.DefaultRecordBatch`, `record.util.decode_varint_py`, and `_read_msg`,
  `_maybe_uncompress` and `_buffer` of the parser in Python, `record.default_records._DefaultRecordBatchPy`. We know of
  no report upstream.
"""

import struct
from collections.abc import Iterator
from functools import cache
from typing import Any

from aiokafka.consumer import fetcher
from aiokafka.errors import CorruptRecordException
from aiokafka.record import default_records
from aiokafka.record.memory_records import MemoryRecords
from aiokafka.record.util import decode_varint_py

from outboxed._batches import CutRecord, UnreadableBatchError, pieces_of, unreadable

BATCH_HEAD = struct.Struct(">qi")
"""Kafka's protocol: each batch begins with its first offset and the number of bytes that follow."""
MAGIC_AT, PIECEWISE_MAGIC = 16, 2
"""Where a batch has the version of its form; Apache Kafka 4 has no older ones."""
CALL_BYTES = 1024 * 1024
"""Of keys, values and headers, for each partition."""


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

        def _read_msg(self, *_: Any) -> Any:
            # the default is in C, and reads wherever a length leads it: a lying record would end the process
            return super()._read_msg(decode_varint_py)

        def _maybe_uncompress(self) -> None:
            super()._maybe_uncompress()
            self._buffer = _Lenient(self._buffer)

    return LenientBatch


class _Batch:
    """A batch whose records are read a piece at a time.

    aiokafka's fast parser reads a piece; where it fails for a header, the slow and lenient one reads it again. What
    can't be read becomes one record, so that the partition goes on.
    """

    def __init__(self, batch: Any, raw: memoryview) -> None:
        self._batch = batch
        self._raw = raw

    def __getattr__(self, name: str) -> Any:
        return getattr(self._batch, name)

    def __iter__(self) -> Iterator[Any]:
        if self._raw[MAGIC_AT] < PIECEWISE_MAGIC:
            yield from self._batch
            return
        try:
            for piece in pieces_of(self._raw):
                if isinstance(piece, CutRecord):
                    yield piece
                else:
                    yield from _parsed(piece)
        except UnreadableBatchError as error:
            yield unreadable(self._raw, str(error))
        except CorruptRecordException:
            yield unreadable(self._raw, "a record is not what its length says")

    def __next__(self) -> Any:
        return next(self._batch)


def _parsed(piece: memoryview) -> Iterator[Any]:
    try:
        records = list(default_records.DefaultRecordBatch(piece))
    except (UnicodeDecodeError, CorruptRecordException):
        yield from _lenient_batch()(piece)  # hands over what precedes the corrupt
    else:
        yield from records


class BoundedResult(fetcher.FetchResult):  # type: ignore[misc]  # aiokafka is untyped
    """What a partition has waiting; of it, a call gets as many records as fit into CALL_BYTES, and at least one."""

    _partition_records: Any

    def getall(self, max_records: int | None = None) -> list[Any]:
        """The next records. FetchResult has no other hook for their number."""
        if not self.check_assignment(self._topic_partition) or not self.has_more():
            return []
        taken, size = [], 0
        for record in self._partition_records:
            taken.append(record)
            size += _size(record)
            if len(taken) == max_records or size >= CALL_BYTES:
                self._update_position()
                return taken
        self._update_position()
        self._partition_records = None
        return taken


def _size(record: Any) -> int:
    headers = sum(len(name) + len(value or b"") for name, value in record.headers)
    return len(record.key or b"") + len(record.value or b"") + headers


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


def read_any_batch() -> None:
    """Make every consumer of this process accept any batch and any header name, and take about CALL_BYTES at once."""
    fetcher.MemoryRecords = LenientRecords
    fetcher.FetchResult = BoundedResult
