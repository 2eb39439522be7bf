"""Lets aiokafka read a record whose header name is no UTF-8, which otherwise stops its partition for ever.

aiokafka 0.14 raises out of ``getmany``, so that the record is never seen, and what was fetched from other partitions in
the same call is lost. librdkafka's clients can send such a name.
"""

from collections.abc import Iterator
from typing import Any

from aiokafka.consumer import fetcher
from aiokafka.record import default_records, memory_records

_Fast: Any = default_records.DefaultRecordBatch
_Slow: Any = default_records._DefaultRecordBatchPy  # noqa: SLF001  # aiokafka's parser without C, where names can be had
_Records: Any = memory_records._MemoryRecordsPy  # noqa: SLF001  # splits a fetch into batches


class _Lenient(bytearray):
    """Bytes whose slices decode whatever they hold, with an escape in place of what is no UTF-8."""

    def __getitem__(self, index: Any) -> Any:
        part = super().__getitem__(index)
        return _Lenient(part) if isinstance(part, bytearray) else part

    def decode(self, encoding: str = "utf-8", errors: str = "backslashreplace") -> str:
        return super().decode(encoding, errors)


class _LenientBatch(_Slow):  # type: ignore[misc]  # aiokafka is untyped
    _buffer: Any

    def _maybe_uncompress(self) -> None:
        super()._maybe_uncompress()
        self._buffer = _Lenient(self._buffer)


class _Batch:
    """aiokafka's own fast batch, read once more by the slow and lenient one where that fails."""

    def __init__(self, buffer: bytes) -> None:
        self._buffer = buffer
        self._fast = _Fast(buffer)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._fast, name)

    def __iter__(self) -> Iterator[Any]:
        try:
            return iter(list(self._fast))
        except UnicodeDecodeError:
            return iter(list(_LenientBatch(self._buffer)))


class LenientRecords(_Records):  # type: ignore[misc]  # aiokafka is untyped
    """What a fetch brought."""

    def next_batch(self, *_: int) -> Any:
        """The next batch of records; see aiokafka.record.memory_records."""
        buffer = self._next_slice
        batch = super().next_batch()
        return _Batch(bytes(buffer)) if isinstance(batch, _Fast) else batch


def read_any_header() -> None:
    """Have every consumer of this process read its records so."""
    fetcher.MemoryRecords = LenientRecords
