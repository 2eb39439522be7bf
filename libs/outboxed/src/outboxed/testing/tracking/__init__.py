"""A tracked session: do something to a system of services, wait until it has come to rest, read what happened."""

from outboxed.testing.tracking.bus import Bus
from outboxed.testing.tracking.parts import InMemoryPart, RunningPart, StuckRecordError
from outboxed.testing.tracking.session import NotAtRestError, Session, tracked
from outboxed.testing.tracking.story import Happening, PublishedEvents, Story

__all__ = [
    "Bus",
    "Happening",
    "InMemoryPart",
    "NotAtRestError",
    "PublishedEvents",
    "RunningPart",
    "Session",
    "Story",
    "StuckRecordError",
    "tracked",
]
