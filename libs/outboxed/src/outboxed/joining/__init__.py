"""The outbox and the inbox in a project that has its own sessions, tables, migrations and subscribers."""

from outboxed.joining._events import Topic
from outboxed.joining._inbox import Inbox
from outboxed.joining._outbox import Outbox

__all__ = ["Inbox", "Outbox", "Topic"]
