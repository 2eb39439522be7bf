"""A record of a topic, and what a person wants to know of it."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from outboxed.messages import Record

TRACEPARENT_PARTS = 4


@dataclass(frozen=True)
class Seen:
    """A record; `sent` is Kafka's time, which is the producer's clock."""

    record: Record
    sent: datetime

    @property
    def key(self) -> str:
        return text_of(self.record.key)

    def header(self, name: str) -> str:
        """The first header of a name, as text; empty where there is none."""
        return next((text_of(raw) for each, raw in self.record.headers if each == name), "")

    @property
    def type(self) -> str:
        return self.header("ce_type") or "no type"

    @property
    def event_id(self) -> str:
        return self.header("ce_id")

    @property
    def publisher(self) -> str:
        """The service that its source names."""
        return self.header("ce_source").strip("/") or "somebody"

    @property
    def recorded(self) -> datetime:
        """When the publisher recorded it; where it doesn't say so, when it was sent."""
        return instant(self.header("ce_time")) or self.sent

    @property
    def sequence(self) -> int:
        text = self.header("ce_sequence")
        return int(text) if text.isascii() and text.isdigit() else 0

    @property
    def trace_id(self) -> str:
        parts = self.header("traceparent").split("-")
        return parts[1] if len(parts) == TRACEPARENT_PARTS else ""

    @property
    def data(self) -> Any:
        """The value as JSON; None where it isn't."""
        try:
            return json.loads(self.record.value or b"")
        except ValueError:
            return None

    @property
    def email(self) -> str:
        """The first e-mail address in the data."""
        return next(_emails(self.data), "")


def text_of(raw: bytes | None) -> str:
    """Bytes for a person; what is no UTF-8 is escaped."""
    return (raw or b"").decode(errors="backslashreplace")


def instant(text: str) -> datetime | None:
    """A time in RFC 3339, in UTC."""
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        return None
    return found.astimezone(UTC) if found.tzinfo else found.replace(tzinfo=UTC)


def _emails(data: Any) -> Iterator[str]:
    if isinstance(data, Mapping):
        if isinstance(data.get("email"), str):
            yield data["email"]
        for value in data.values():
            yield from _emails(value)
