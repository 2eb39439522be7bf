"""What an error of Kafka is about: one row, its topic, Kafka for the moment, or our producer.

A closed list says what a row is blamed for. An error that Kafka doesn't name counts against a row only when its
partition takes other rows meanwhile.
"""

from enum import Enum, auto

from aiokafka.errors import (
    BrokerResponseError,
    CorruptRecordException,
    InvalidTimestampError,
    KafkaError,
    MessageSizeTooLargeError,
    RecordListTooLargeError,
    UnknownError,
)

from outboxed.relay._row import UnsendableRowError

SIZE_ERRORS = (MessageSizeTooLargeError, RecordListTooLargeError)
ROW_ERRORS = (*SIZE_ERRORS, CorruptRecordException, InvalidTimestampError, UnsendableRowError)


class Blame(Enum):
    """Whose fault an error is."""

    ROW = auto()
    """One of the batch's rows can't be sent."""
    UNNAMED = auto()
    """As ROW, if the partition takes other rows: aiokafka names codes above 79 and -1 alike, among them
    INVALID_RECORD (87)."""
    TOPIC = auto()
    """No row of the topic can be sent before a person changes something."""
    KAFKA = auto()
    """The same batch may be taken in a moment: a leader is away, a broker doesn't answer."""
    PRODUCER = auto()
    """This producer can send nothing more; a new one may."""


def blame(error: BaseException) -> Blame:
    """Classify the error of a batch. Raises TypeError for one that isn't of Kafka."""
    if isinstance(error, ROW_ERRORS):
        return Blame.ROW
    if isinstance(error, TimeoutError) or (isinstance(error, KafkaError) and error.retriable):
        return Blame.KAFKA
    if isinstance(error, UnknownError):
        return Blame.UNNAMED
    if isinstance(error, BrokerResponseError):
        return Blame.TOPIC
    if isinstance(error, KafkaError):
        return Blame.PRODUCER
    raise TypeError(f"no error of Kafka: {error!r}") from error
