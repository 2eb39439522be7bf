"""What the relay sends next: one batch a partition, larger after an acknowledgement, smaller after a refusal."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property

from aiokafka import TopicPartition

from outboxed._backoff import backoff
from outboxed.relay._refusals import SIZE_ERRORS
from outboxed.relay._row import Row

WINDOW = 256 * 1024
"""The bytes of a batch, at most; a single row may be larger."""
FIRST_PAUSE = 0.5
LONGEST_PAUSE = 30.0
"""A topic that Kafka refuses is tried again after so many seconds; a leader that is away, after FIRST_PAUSE."""


@dataclass(frozen=True)
class Batch:
    """Rows of one partition in their order; Kafka takes all of them or none."""

    partition: TopicPartition
    rows: Sequence[Row]

    @property
    def topic(self) -> str:
        """The rows' topic; that of `partition` has the cluster's prefix."""
        return self.rows[0].topic

    @cached_property
    def size(self) -> int:
        """Bytes, about."""
        return sum(row.size for row in self.rows)


@dataclass(frozen=True)
class _Pause:
    until: float
    attempts: int


class Flow:
    """Remembers what Kafka took and refused. All of it is memory: losing it costs time, never order.

    A row that can't be sent is found by halves: a batch that was refused becomes a smaller batch, until the row is
    alone. Size has a second memory, a topic's: a batch that is too large once would be so again.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._windows: dict[TopicPartition, int] = {}
        self._largest_taken: dict[str, int] = {}
        self._ceilings: dict[str, int] = {}
        self._too_large: dict[str, int] = {}
        self._pauses: dict[str | TopicPartition, _Pause] = {}
        self._taken_at: dict[TopicPartition, float] = {}

    def batch(self, partition: TopicPartition, rows: Sequence[Row]) -> Batch:
        """The first of a partition's rows, as many as its window has room for, and at least one."""
        room, number = self._window(partition, rows[0].topic), 0
        for row in rows:
            room -= row.size
            if room < 0 and number:
                break  # and no later, smaller row overtakes this one
            number += 1
        return Batch(partition, rows[:number])

    def is_too_large(self, row: Row) -> bool:
        """Whether Kafka refused a row of this topic for its size that was no larger."""
        return row.topic in self._too_large and row.size >= self._too_large[row.topic]

    def may_be_too_large(self, rows: Sequence[Row]) -> bool:
        """Whether one of the rows is as large as one that Kafka refused for its size, of whatever topic."""
        return bool(self._too_large and rows) and _largest(rows) >= min(self._too_large.values())

    def is_open(self, place: str | TopicPartition) -> bool:
        """Whether the topic or the partition may be sent to now, as far as its own refusals say."""
        return not self._is_paused(place)

    def paused_topics(self) -> list[str]:
        """The topics that Kafka refused, and that are not to be tried yet."""
        return [place for place in self._pauses if isinstance(place, str) and self._is_paused(place)]

    @property
    def has_pauses(self) -> bool:
        """Whether a topic or a partition was refused lately and has not taken anything since."""
        forgotten = self._clock() - LONGEST_PAUSE  # nothing was tried there for so long: its rows are gone
        self._pauses = {place: pause for place, pause in self._pauses.items() if pause.until > forgotten}
        return bool(self._pauses)

    def is_doubtful(self, batch: Batch) -> bool:
        """Whether the last attempt there failed: this one is not worth waiting for."""
        return batch.partition in self._pauses or batch.topic in self._pauses

    def taken(self, batch: Batch) -> None:
        """Kafka acknowledged the batch."""
        partition, topic = batch.partition, batch.topic
        self._taken_at[partition] = self._clock()
        self._pauses.pop(partition, None)
        self._pauses.pop(topic, None)
        self._largest_taken[topic] = max(batch.size, self._largest_taken.get(topic, 0))
        if topic in self._too_large and _largest(batch.rows) >= self._too_large[topic]:  # the topic's limit was raised
            del self._too_large[topic]
            self._ceilings.pop(topic, None)
        window = 2 * max(self._windows.get(partition, WINDOW), batch.size)
        if window >= WINDOW:
            self._windows.pop(partition, None)
        else:
            self._windows[partition] = window

    def refused(self, batch: Batch, error: BaseException) -> None:
        """Kafka refused the batch for one of its rows, or for its size."""
        topic, half = batch.topic, batch.size // 2
        is_for_size = isinstance(error, SIZE_ERRORS)
        if len(batch.rows) > 1:
            # of a batch that is too large, the largest row is the first to suspect
            self._windows[batch.partition] = min(half, _largest(batch.rows)) if is_for_size else half
            if is_for_size:
                self._ceilings[topic] = max(half, self._largest_taken.get(topic, 0))
        elif is_for_size:
            self._too_large[topic] = min(batch.size, self._too_large.get(topic, batch.size))

    def pause(self, place: str | TopicPartition, *, growing: bool) -> bool:
        """Send nothing there for a while; returns whether all was well until now."""
        before = self._pauses.get(place)
        attempts = 1 if before is None else before.attempts + 1
        seconds = backoff(attempts, first=FIRST_PAUSE, cap=LONGEST_PAUSE) if growing else FIRST_PAUSE
        self._pauses[place] = _Pause(self._clock() + seconds, attempts)
        return before is None

    def took_others(self, partition: TopicPartition, *, since: float) -> bool:
        """Whether the partition has taken a batch after this moment of the clock."""
        return self._taken_at.get(partition, float("-inf")) > since

    def _window(self, partition: TopicPartition, topic: str) -> int:
        return min(self._windows.get(partition, WINDOW), self._ceilings.get(topic, WINDOW))

    def _is_paused(self, place: str | TopicPartition) -> bool:
        pause = self._pauses.get(place)
        return pause is not None and self._clock() < pause.until


def _largest(rows: Sequence[Row]) -> int:
    return max(row.size for row in rows)
