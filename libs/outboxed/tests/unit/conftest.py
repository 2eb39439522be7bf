"""A worker whose calls, records and counts a test sees, the spans that somebody records, and programs of their own."""

from collections.abc import Iterator
from typing import Any

import pytest
from outboxed._tracing import recorded_by
from outboxed.storage import Clock
from outboxed.tasks import TaskKind, Worker
from outboxed.testing.memory import InMemoryTaskQueue

from ..only_installed import Programs
from ..sample import in_memory_accounts
from ..spans import Spans, recording
from ..workers import Counts, Database, MakeWorker, Outside, Records


@pytest.fixture
def database(clock: Clock) -> Database:
    return in_memory_accounts(clock)


@pytest.fixture
def outside() -> Outside:
    outside = Outside()
    outside.open.set()
    return outside


@pytest.fixture
def records() -> Records:
    return Records()


@pytest.fixture
def counts() -> Counts:
    return Counts()


@pytest.fixture
def make(database: Database, outside: Outside, records: Records, counts: Counts) -> MakeWorker:
    def worker(*others: TaskKind[Any], **changes: Any) -> Worker[Any]:
        kind = TaskKind("call", **{"call": outside.call, "record": records.record, **changes})
        return Worker([kind, *others], InMemoryTaskQueue(database), database, database.tasks_scheduled, counts)

    return worker


@pytest.fixture
def spans() -> Iterator[Spans]:
    """Those of a provider that somebody has set."""
    provider, exporter = recording()
    with recorded_by(provider):
        yield exporter


@pytest.fixture(scope="session")
def programs() -> Iterator[Programs]:
    with Programs() as programs:
        yield programs
