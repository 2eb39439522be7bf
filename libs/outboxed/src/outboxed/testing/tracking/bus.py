"""Kafka between services in one process: one queue a consumer group, in order or in any order that Kafka allows."""

import random
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from itertools import count

from outboxed.messages import OutgoingRecord, Record
from outboxed.testing.topic_log import header


class Bus:
    """Without a seed, every group reads all waiting records in the order of sending.

    With a `seed`, a group reads batches of random size with mixed keys; records of one key and topic stay in order.
    Each record comes `copies` more times, later, as from a relay that died before it deleted the row.
    """

    def __init__(self, *, seed: int | None = None, copies: int = 0) -> None:
        self._random = None if seed is None else random.Random(seed)  # noqa: S311 - an order, not a secret
        self._copies = copies
        self._offsets = count()
        self._queues: dict[str, list[Record]] = {}
        self._groups: dict[str, set[tuple[str, str]]] = {}
        self.sent: list[Record] = []

    def subscribe(self, group: str, types: Iterable[tuple[str, str]]) -> None:
        """Let a group read events of these topics and types."""
        self._groups[group] = set(types)
        self._queues.setdefault(group, [])

    def send(self, outgoing: OutgoingRecord) -> None:
        """Send a record, and its copies after it."""
        sent = outgoing.producer_record()
        record = Record(sent.topic, 0, next(self._offsets), sent.key, sent.value, tuple(sent.headers))
        self.sent.append(record)
        self._enqueue(record)
        for _ in range(self._copies):
            self._enqueue(replace(record, offset=next(self._offsets)))

    def redeliver(self) -> None:
        """Send every record once more, in the order of first sending."""
        for record in self.sent:
            self._enqueue(replace(record, offset=next(self._offsets)))

    def take(self, group: str) -> Sequence[Record]:
        """The group's next batch; empty where nothing waits."""
        queue = self._queues[group]
        if self._random is None:
            batch, queue[:] = list(queue), []
            return batch
        taken: list[Record] = []
        for _ in range(self._random.randint(1, len(queue)) if queue else 0):
            heads: dict[tuple[str, bytes | None], Record] = {}
            for record in queue:
                heads.setdefault((record.topic, record.key), record)
            taken.append(self._random.choice(list(heads.values())))
            queue.remove(taken[-1])
        return taken

    @property
    def waiting(self) -> Mapping[str, Sequence[Record]]:
        """The records that each group has yet to read."""
        return self._queues

    def _enqueue(self, record: Record) -> None:
        for group, types in self._groups.items():
            if (record.topic, header(record, "ce_type")) in types:
                self._queues[group].append(record)
