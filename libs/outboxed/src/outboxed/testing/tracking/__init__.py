"""A tracked session: do something to a system of services, wait until it has come to rest, read what happened."""

from outboxed.testing.tracking.bus import Bus
from outboxed.testing.tracking.participants import InMemoryParticipant, RunningParticipant, StuckRecordError
from outboxed.testing.tracking.session import NotAtRestError, Session, tracked
from outboxed.testing.tracking.story import Activity, PublishedEvents, Story

__all__ = [
    "Activity",
    "Bus",
    "InMemoryParticipant",
    "NotAtRestError",
    "PublishedEvents",
    "RunningParticipant",
    "Session",
    "Story",
    "StuckRecordError",
    "tracked",
]
