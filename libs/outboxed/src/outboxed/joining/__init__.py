"""The parts for a project that has its own sessions, tables, migrations and subscribers."""

from typing import TYPE_CHECKING

from outboxed._extras import exports_of
from outboxed.joining._dead_letters import DeadLetters, JoinedDeadLetterQueue
from outboxed.joining._events import Topic
from outboxed.joining._inbox import Inbox
from outboxed.joining._outbox import Outbox

if TYPE_CHECKING:
    from outboxed.joining._tasks import Tasks

__all__ = ["DeadLetters", "Inbox", "JoinedDeadLetterQueue", "Outbox", "Tasks", "Topic"]

__getattr__ = exports_of(__name__, {("telemetry", "_tasks"): ("Tasks",)})
