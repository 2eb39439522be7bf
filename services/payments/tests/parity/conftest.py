from typing import Any

import pytest
from outboxed.ports import UnitOfWorkFactory
from outboxed.storage import Clock
from outboxed.tasks import TaskQueue
from outboxed.testing.adapters import Backend, InMemoryBackend
from payments.ports import UnitOfWork

from ..fakes import in_memory_payments

Database = UnitOfWorkFactory[UnitOfWork]


@pytest.fixture
def in_memory(clock: Clock) -> InMemoryBackend:
    return InMemoryBackend(in_memory_payments(clock))


@pytest.fixture
def database(backend: Backend) -> Database:
    opened: Database = backend.database
    return opened


@pytest.fixture
def queue(backend: Backend) -> TaskQueue[Any]:
    return backend.queue
