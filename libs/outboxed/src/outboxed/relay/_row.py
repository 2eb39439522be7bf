"""A row of the outbox, and the record that it becomes."""

import json
import re
from collections.abc import Mapping
from functools import lru_cache
from typing import NamedTuple

from pydantic import TypeAdapter, ValidationError

_TOPIC = re.compile(r"[a-zA-Z0-9._-]{1,249}")
"""Kafka's `Topic.validate`."""
_HEADERS = TypeAdapter(dict[str, bytes]).validator
"""Texts in UTF-8: of JSON's values pydantic takes nothing but a text as bytes."""


class UnsendableRowError(Exception):
    """A row that no producer could send; the message says why."""


NO_TOPIC = "Kafka has no topic of that name: it takes letters, digits, '.', '_' and '-'"


class WireRecord(NamedTuple):
    """What a batch takes of a record."""

    key: bytes
    value: bytes
    headers: list[tuple[str, bytes]]


class Row(NamedTuple):
    """`attempts` counts how often Kafka has refused the row alone. `headers` are the column's text, whatever it holds.

    `size` is in bytes of a batch, about: to compare rows and batches with each other. A row is a tuple, because a
    frozen dataclass costs three times as much to make.
    """

    id: int
    topic: str
    key: str
    value: bytes
    headers: str
    attempts: int
    size: int

    def wire_record(self) -> WireRecord:
        """The record as OutgoingRecord would make it. Raises UnsendableRowError."""
        try:
            headers = list(_HEADERS.validate_json(self.headers).items())
        except ValidationError:
            raise UnsendableRowError("its headers are no JSON object of texts") from None
        return WireRecord(self.key.encode(), self.value, headers)

    def raw_headers(self) -> list[tuple[str, bytes | None]]:
        """The headers in Kafka's form; what has no such form is kept as JSON."""
        try:
            headers = json.loads(self.headers)
        except (ValueError, RecursionError):  # PostgreSQL knows longer numbers and deeper nesting than Python
            headers = None
        if not isinstance(headers, Mapping):
            return [("", self.headers.encode())]
        return [
            (name, (value if isinstance(value, str) else json.dumps(value)).encode()) for name, value in headers.items()
        ]


@lru_cache(maxsize=1024)
def may_be_a_topic(name: str) -> bool:
    """Whether Kafka could have a topic of this name."""
    return bool(_TOPIC.fullmatch(name))
