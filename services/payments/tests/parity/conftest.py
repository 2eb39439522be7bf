from typing import Any

import pytest
from outboxed.ports import UnitOfWorkFactory
from outboxed.storage import Clock, SqlTransactions
from outboxed.tasks import SqlTaskQueue, TaskQueue
from outboxed.testing.memory import InMemoryDatabase, InMemoryTaskQueue
from payments.ports import UnitOfWork

from ..fakes import in_memory_payments

Database = UnitOfWorkFactory[UnitOfWork]


@pytest.fixture(params=["in memory", "PostgreSQL"])
def database(request: pytest.FixtureRequest, clock: Clock) -> Database:
    """Each test of this folder runs on both."""
    if request.param == "in memory":
        return in_memory_payments(clock)
    transactions: Database = request.getfixturevalue("transactions")
    return transactions


@pytest.fixture
def queue(database: Any) -> TaskQueue[Any]:
    if isinstance(database, InMemoryDatabase):
        return InMemoryTaskQueue(database)
    assert isinstance(database, SqlTransactions)
    return SqlTaskQueue(database.engine, database.clock)
