"""Since when Kafka hasn't answered, as far as the parts of a process know: each of them reports, readiness asks."""

import time
from collections.abc import Callable
from typing import Literal

Part = Literal["consumer", "relay"]


class KafkaContact:
    """What the consumer and the relay of a process heard of Kafka."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._failing_since: dict[Part, float] = {}

    def answered(self, part: Part) -> None:
        """Kafka answered this part."""
        self._failing_since.pop(part, None)

    def failed(self, part: Part) -> None:
        """Kafka didn't; only the first time in a row counts."""
        self._failing_since.setdefault(part, self._clock())

    def lost_for(self) -> float:
        """Seconds since the first of the parts that get no answer got none; 0 while each gets one."""
        now = self._clock()
        return now - min(self._failing_since.values(), default=now)
