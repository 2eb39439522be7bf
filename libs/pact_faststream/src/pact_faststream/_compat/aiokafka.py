"""aiokafka: a record in Kafka's own format, without Kafka. Bound: `aiokafka<0.15`.

A producer and a consumer do the same, but need a cluster. Used: `record.default_records.DefaultRecordBatchBuilder` and
`record.memory_records.MemoryRecords`, the parts by which aiokafka writes and reads what is on the wire.
"""

from collections.abc import Sequence
from typing import Any

from aiokafka.record.default_records import DefaultRecordBatchBuilder
from aiokafka.record.memory_records import MemoryRecords

NOBODY = {"producer_id": -1, "producer_epoch": -1, "base_sequence": -1}
PLAIN = {"magic": 2, "compression_type": 0, "is_transactional": 0, "batch_size": 2**31 - 1, **NOBODY}
"""A batch of today's format, of any size: how large a record may be isn't the question here."""

Read = tuple[bytes | None, bytes | None, tuple[tuple[str, bytes | None], ...]]


def written_and_read(key: bytes | None, value: bytes | None, headers: Sequence[tuple[str, bytes]]) -> Read:
    """Key, value and headers as a consumer reads them. Raises TypeError for what a producer refuses."""
    batch: Any = DefaultRecordBatchBuilder(**PLAIN)
    batch.append(0, timestamp=0, key=key, value=value, headers=list(headers))
    [read] = MemoryRecords(bytes(batch.build())).next_batch()
    return read.key, read.value, tuple(read.headers)
