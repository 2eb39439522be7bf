"""Live: handling makes progress. Ready: database and Kafka answer, the schema is new enough, the consumer gets on."""

import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from outboxed.consuming import Progress
from outboxed.storage import answers, is_transient, kind_of

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
        """Not ready: the database or Kafka is away, the schema is too old, or the consumer gets no further.

        An outage of Kafka counts after 30 s.
        """
        if self.progress is not None and self.progress.halted:
            return HealthStatus(ok=False, reason=f"the consumer halted: {self.progress.halted}")
        try:
            problem = await self.schema_problem()
        except Exception as error:  # noqa: BLE001 - whatever it is, the database is of no use
            if is_transient(error) and not answers(error):
                return HealthStatus(ok=False, reason="the database does not answer")
            return HealthStatus(ok=False, reason=f"the database refuses: {kind_of(error)}")
        problem = problem or self._failing() or self._kafka_lost()
        return HealthStatus(ok=problem is None, reason=problem or "")

    def _failing(self) -> str | None:
        if self.progress is None or (since := self.progress.failing_since) is None:
            return None
        seconds = self.clock() - since
        if seconds <= STALLED_SECONDS:
            return None
        return f"for {seconds:.0f} s the consumer has been trying the same records: {self.progress.failure}"

    def _kafka_lost(self) -> str | None:
        if self.kafka_lost_for is None or (seconds := self.kafka_lost_for()) <= KAFKA_SECONDS:
            return None
        return f"Kafka has not answered for {seconds:.0f} s"
