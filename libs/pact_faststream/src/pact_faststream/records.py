"""Protocols for a project's own messages, so that any outbox and any pydantic model will do."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

from aiokafka import ConsumerRecord

from pact_faststream._compat.aiokafka import written_and_read


class Model(Protocol):
    """A pydantic model."""

    @classmethod
    def model_json_schema(cls) -> dict[str, Any]: ...


class Example(Model, Protocol):
    """An instance of a pydantic model."""

    def model_dump_json(self, *, exclude_unset: bool = False) -> str: ...


class ConsumedMessage(Example, Protocol):
    """A consumer's own view of an event: a pydantic model of the fields that it uses.

    A CloudEvent's model also has three strings as class attributes: `type` is the header `ce_type`, `topic` its topic,
    `key_field` the field that the record's key equals.
    """

    @classmethod
    def model_validate_json(cls, json_data: str | bytes) -> Any: ...


class ProducerRecord(Protocol):
    """A record as a Kafka producer takes it: `headers` in order, a name as often as it is sent."""

    @property
    def topic(self) -> str: ...
    @property
    def key(self) -> bytes | None: ...
    @property
    def value(self) -> bytes | None: ...
    @property
    def headers(self) -> Sequence[tuple[str, bytes]]: ...


@runtime_checkable
class OutboxRecord(Protocol):
    """A row of an outbox."""

    def producer_record(self) -> ProducerRecord:
        """What the producer gets for this row: let the code that really sends call it, too."""
        ...


class UnsendableRecordError(ValueError):
    """A part of a record has a type that Kafka's producers refuse."""


@dataclass(frozen=True)
class WireRecord:
    """A record as a consumer's client reads it: raw."""

    topic: str
    partition: int
    offset: int
    key: bytes | None
    value: bytes | None
    headers: tuple[tuple[str, bytes | None], ...] = ()


def wire(row: OutboxRecord) -> WireRecord:
    """A row as a consumer's client will read it: written in Kafka's own format, and read back.

    Raises UnsendableRecordError for a part that no producer would take, such as a header that is a str.
    """
    sent = row.producer_record()
    if not isinstance(sent.topic, str):
        raise UnsendableRecordError(f"a producer takes no topic like {sent.topic!r}")
    try:
        key, value, headers = written_and_read(sent.key, sent.value, sent.headers)
    except (TypeError, ValueError) as error:
        raise UnsendableRecordError(f"a producer doesn't take this record: {error}") from None
    return WireRecord(sent.topic, 0, 0, key, value, headers)


@dataclass(frozen=True)
class SentRecord:
    """A record that a producer was given, and that is its own outbox row."""

    topic: str
    key: bytes | None
    value: bytes | None
    headers: Sequence[tuple[str, bytes]] = ()

    def producer_record(self) -> ProducerRecord:
        """Itself."""
        return self


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
