"""Protocols for a project's own messages, so that any outbox and any pydantic model will do."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol, runtime_checkable

from aiokafka import ConsumerRecord


class PublishedType(Protocol):
    """A class of events that a provider publishes; `type` is the value of their header `ce_type`."""

    type: ClassVar[str]


class Model(Protocol):
    """A pydantic model."""

    @classmethod
    def model_json_schema(cls) -> dict[str, Any]: ...


class ConsumedMessage(Model, Protocol):
    """A consumer's own view of an event: a pydantic model of the fields that it uses.

    `type` is the header `ce_type`, `key_field` the field that the record's key equals.
    """

    type: ClassVar[str]
    topic: ClassVar[str]
    key_field: ClassVar[str]

    def model_dump_json(self, *, exclude_unset: bool = False) -> str: ...
    @classmethod
    def model_validate_json(cls, json_data: str | bytes) -> Any: ...


@runtime_checkable
class OutboxRecord(Protocol):
    """A record as a provider sends it."""

    @property
    def topic(self) -> str: ...
    @property
    def key(self) -> str: ...
    @property
    def value(self) -> bytes: ...
    @property
    def headers(self) -> Mapping[str, str]: ...
    def raw_headers(self) -> Sequence[tuple[str, bytes]]:
        """The headers in Kafka's form."""
        ...


@dataclass(frozen=True)
class WireRecord:
    """A record as a consumer's client reads it: raw."""

    topic: str
    partition: int
    offset: int
    key: bytes | None
    value: bytes | None
    headers: tuple[tuple[str, bytes | None], ...] = ()


def consumer_record(record: WireRecord) -> Any:
    """A record as aiokafka hands it to FastStream."""
    return ConsumerRecord(
        **vars(record),
        timestamp=0,
        timestamp_type=0,
        checksum=None,
        serialized_key_size=len(record.key or b""),
        serialized_value_size=len(record.value or b""),
    )
