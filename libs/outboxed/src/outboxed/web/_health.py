"""Live: handling makes progress. Ready: database and Kafka answer, the schema is new enough, nothing has halted."""

import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from sqlalchemy.exc import SQLAlchemyError

from outboxed.consuming import Progress
from outboxed.errors import TransientError
from outboxed.storage import is_transient

STALLED_SECONDS = 30.0
KAFKA_SECONDS = 30.0
"""Longer than an election of a leader or a broker's restart, which end by themselves."""


@dataclass(frozen=True)
class HealthStatus:
    """`reason` is for a person; empty when all is well."""

    ok: bool
    reason: str = ""


@dataclass
class Health:
    """What a process knows of itself; parts that it doesn't run stay None."""

    schema_problem: Callable[[], Awaitable[str | None]]
    progress: Progress | None = None
    lag: Callable[[], int | None] | None = None
    kafka_lost_for: Callable[[], float] | None = None
    clock: Callable[[], float] = time.monotonic

    def live(self) -> HealthStatus:
        """Not live: Kafka answers, lag > 0, and no handling was attempted for 30 s.

        An outage of Kafka or of the database doesn't count: a restart would not end it.
        """
        if self.progress is None or self.lag is None or self.progress.halted:
            return HealthStatus(ok=True)
        lag = self.lag()
        idle = self.clock() - self.progress.last_attempt
        if lag and idle > STALLED_SECONDS:
            return HealthStatus(ok=False, reason=f"{lag} records wait, and none was attempted for {idle:.0f} s")
        return HealthStatus(ok=True)

    async def ready(self) -> HealthStatus:
        """Not ready: the database or Kafka is away, the schema is older than this code's, or the consumer halted.

        An outage of Kafka counts after 30 s.
        """
        if self.progress is not None and self.progress.halted:
            return HealthStatus(ok=False, reason=f"the consumer halted: {self.progress.halted}")
        try:
            problem = await self.schema_problem()
        except (SQLAlchemyError, OSError, TimeoutError, TransientError) as error:
            if is_transient(error):
                return HealthStatus(ok=False, reason="the database does not answer")
            return HealthStatus(ok=False, reason=f"the database refuses: {type(error).__name__}")
        if problem is None and self.kafka_lost_for is not None and (lost_for := self.kafka_lost_for()) > KAFKA_SECONDS:
            problem = f"Kafka has not answered for {lost_for:.0f} s"
        return HealthStatus(ok=problem is None, reason=problem or "")
