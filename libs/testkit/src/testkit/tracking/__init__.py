"""A tracked session: do something to a system of services, wait until it has come to rest, read what happened."""

from testkit.tracking.bus import Bus
from testkit.tracking.parts import InMemoryPart, RunningPart, StuckRecordError
from testkit.tracking.session import NotAtRestError, Session, tracked
from testkit.tracking.story import Happening, PublishedEvents, Story

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
