from datetime import UTC, datetime
from uuid import uuid4

from outboxed.tasks import Attempts, Task


def task(key: str, *, group: str | None = None) -> Task:
    return Task(1, "charge", key, {}, 1, uuid4(), datetime(2026, 1, 15, tzinfo=UTC), group=group)


def test_attempts_are_found_by_the_group_of_their_task_or_else_its_key() -> None:
    attempts = Attempts()

    attempts.add(task("first.7", group="7"), 0.1, "postponed: no answer")
    attempts.add(task("first.7", group="7"), 0.2, "done")
    attempts.add(task("8"), 0.3, "done")

    assert [(attempt.key, attempt.outcome) for attempt in attempts.of("7")] == [
        ("first.7", "postponed: no answer"),
        ("first.7", "done"),
    ]
    assert [attempt.seconds for attempt in attempts.of("8")] == [0.3]


def test_the_oldest_attempts_give_way() -> None:
    attempts = Attempts(kept=2)

    for number, key in enumerate(("7", "8", "7")):
        attempts.add(task(key), float(number), "done")

    assert [[attempt.seconds for attempt in attempts.of(key)] for key in ("7", "8", "9")] == [[2.0], [1.0], []]
