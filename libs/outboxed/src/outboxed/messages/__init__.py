"""Events and their envelope: what a service publishes, and how it reads what others publish."""

from outboxed.messages._asyncapi import document
from outboxed.messages._envelope import (
    MAX_KEY_BYTES,
    MAX_VALUE_BYTES,
    NOT_READ,
    Attributes,
    EventIdentity,
    OutgoingRecord,
    ProducerRecord,
    Received,
    Record,
    attributes_of,
    check_key,
    decode,
    encode,
    encode_versions,
)
from outboxed.messages._events import (
    Amount,
    ConsumedAmount,
    ConsumedData,
    ConsumedEvent,
    ConsumedPrice,
    ConsumedTimestamp,
    Event,
    EventData,
    Timestamp,
    rfc3339,
)
from outboxed.messages._ids import new_event_id
from outboxed.messages._reasons import raised_at, reason_of, summary
from outboxed.messages._storable import unstorable

__all__ = [
    "MAX_KEY_BYTES",
    "MAX_VALUE_BYTES",
    "NOT_READ",
    "Amount",
    "Attributes",
    "ConsumedAmount",
    "ConsumedData",
    "ConsumedEvent",
    "ConsumedPrice",
    "ConsumedTimestamp",
    "Event",
    "EventData",
    "EventIdentity",
    "OutgoingRecord",
    "ProducerRecord",
    "Received",
    "Record",
    "Timestamp",
    "attributes_of",
    "check_key",
    "decode",
    "document",
    "encode",
    "encode_versions",
    "new_event_id",
    "raised_at",
    "reason_of",
    "rfc3339",
    "summary",
    "unstorable",
]
