"""What the relay sends in the turns of one pass, with outcomes that a test gives."""

from collections.abc import Collection, Sequence
from typing import Any

import pytest
from aiokafka import TopicPartition
from aiokafka.errors import MessageSizeTooLargeError
from outboxed._wakeups import Wakeup
from outboxed.relay import Relay
from outboxed.relay._flow import Batch
from outboxed.relay._producer import Outcome
from outboxed.relay._row import Row
from outboxed.settings import KafkaSettings, parse_bootstrap_servers

HERE, ELSEWHERE = TopicPartition("accounts", 0), TopicPartition("other", 0)


class Producer:
    """Remembers what was sent, and has the outcomes that a test gives, one list a turn."""

    def __init__(self, *turns: Sequence[Outcome]) -> None:
        self.sent: list[Batch] = []
        self._turns = list(turns)

    on_their_way: Collection[TopicPartition] = (ELSEWHERE,)

    async def locate(self, topics: Collection[str], *, within: float) -> Any:  # noqa: ARG002 - the producer's
        return {topic: [HERE] for topic in topics}

    async def send(self, batch: Batch) -> Sequence[Outcome]:
        self.sent.append(batch)
        return []

    async def settled(self, *_: object, **__: object) -> Sequence[Outcome]:
        return self._turns.pop(0)


def row(row_id: int, topic: str = "accounts") -> Row:
    return Row(row_id, topic, "one key", b"{}", "{}", 0, 100)


@pytest.fixture
def relay(monkeypatch: pytest.MonkeyPatch) -> Relay:
    async def write(_: object, outcomes: Sequence[Outcome]) -> tuple[int, None]:
        return sum(len(batch.rows) for batch, error in outcomes if error is None), None

    kafka = KafkaSettings(parse_bootstrap_servers("nowhere:9092"))
    relay = Relay(None, kafka, Wakeup())  # type: ignore[arg-type]  # no pass begins here
    monkeypatch.setattr(relay._outcomes, "write", write)  # noqa: SLF001 - what becomes of rows is in the database
    relay._flow._windows[HERE] = 1  # noqa: SLF001 - as after a refusal: one row a batch
    return relay


async def test_a_late_answer_of_another_partition_is_no_answer_for_this_turns_batch(
    relay: Relay, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = row(1), row(2)
    late: Outcome = Batch(ELSEWHERE, (row(0, "other"),)), None
    refused: Outcome = Batch(HERE, (first,)), MessageSizeTooLargeError()
    producer = Producer([late, refused], [])
    monkeypatch.setattr(relay, "_producer", producer)

    await relay._send_in_turns(None, [], [first, second])  # type: ignore[arg-type]  # noqa: SLF001 - the pass's middle

    assert [batch.rows[0].id for batch in producer.sent] == [1]


async def test_rows_of_a_partition_follow_in_the_next_turn_once_the_first_ones_were_taken(
    relay: Relay, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = row(1), row(2)
    producer = Producer([(Batch(HERE, (first,)), None)], [(Batch(HERE, (second,)), None)])
    monkeypatch.setattr(relay, "_producer", producer)

    sent, _ = await relay._send_in_turns(None, [], [first, second])  # type: ignore[arg-type]  # noqa: SLF001 - as above

    assert (sent, [batch.rows[0].id for batch in producer.sent]) == (2, [1, 2])
