import pytest
from outboxed.storage import Clock
from outboxed.testing.adapters import Backend, InMemoryBackend, SqlBackend

from ..fakes import in_memory_orders


@pytest.fixture
def in_memory(clock: Clock) -> InMemoryBackend:
    return InMemoryBackend(in_memory_orders(clock))


@pytest.fixture(params=["in memory", "PostgreSQL"])
def backend(request: pytest.FixtureRequest, in_memory: InMemoryBackend) -> Backend:
    """Each test of this folder runs on both."""
    if request.param == "in memory":
        return in_memory
    return SqlBackend(request.getfixturevalue("transactions"))
