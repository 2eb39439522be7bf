from typing import Any

import pytest
from notifications.ports import UnitOfWork
from outboxed.ports import UnitOfWorkFactory
from outboxed.storage import Clock, SqlTransactions
from outboxed.tasks import SqlTaskQueue, TaskQueue
from outboxed.testing.memory import InMemoryDatabase, InMemoryTaskQueue

from ..fakes import in_memory_notifications

Database = UnitOfWorkFactory[UnitOfWork]


@pytest.fixture(params=["in memory", "PostgreSQL"])
def database(request: pytest.FixtureRequest, clock: Clock) -> Database:
    """Each test of this folder runs on both."""
    if request.param == "in memory":
        return in_memory_notifications(clock)
    transactions: Database = request.getfixturevalue("transactions")
    return transactions


@pytest.fixture
def queue(database: Any) -> TaskQueue[Any]:
    if isinstance(database, InMemoryDatabase):
        return InMemoryTaskQueue(database)
    assert isinstance(database, SqlTransactions)
    return SqlTaskQueue(database.engine, database.clock)
