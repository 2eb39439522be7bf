"""A row of the outbox, and the record that it becomes."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from outboxed.messages import OutgoingRecord, ProducerRecord

RECORD_OVERHEAD = 21
"""Bytes of a record beside key, value and headers, about (Kafka's protocol, "Record")."""
HEADER_OVERHEAD = 4
_TOPIC = re.compile(r"[a-zA-Z0-9._-]{1,249}")
"""Kafka's `Topic.validate`."""


class UnsendableRowError(Exception):
    """A row that no producer could send; the message says why."""


@dataclass(frozen=True)
class Row:
    """`attempts` counts how often Kafka has refused the row alone. `headers` are whatever the column holds."""

    id: int
    topic: str
    key: str
    value: bytes
    headers: Any
    attempts: int = 0

    @cached_property
    def size(self) -> int:
        """Bytes in a batch, about: to compare rows and batches with each other."""
        headers = self.headers if isinstance(self.headers, Mapping) else {}
        named = sum(len(name) + len(str(value)) + HEADER_OVERHEAD for name, value in headers.items())
        return len(self.key) + len(self.value) + named + RECORD_OVERHEAD

    def producer_record(self) -> ProducerRecord:
        """The record as the producer takes it. Raises UnsendableRowError."""
        if not may_be_a_topic(self.topic):
            raise UnsendableRowError("Kafka has no topic of that name: it takes letters, digits, '.', '_' and '-'")
        headers = self.headers
        if not isinstance(headers, Mapping) or not all(isinstance(value, str) for value in headers.values()):
            raise UnsendableRowError("its headers are no JSON object of texts")
        return OutgoingRecord(self.topic, self.key, self.value, headers).producer_record()

    def raw_headers(self) -> list[tuple[str, bytes | None]]:
        """The headers in Kafka's form; what has no such form is kept as JSON."""
        if not isinstance(self.headers, Mapping):
            return [("", json.dumps(self.headers).encode())]
        return [
            (name, (value if isinstance(value, str) else json.dumps(value)).encode())
            for name, value in self.headers.items()
        ]


def may_be_a_topic(name: str) -> bool:
    """Whether Kafka could have a topic of this name."""
    return bool(_TOPIC.fullmatch(name))
